"""What the attacker left in EC2 beside the instances themselves, taken from their records: key pairs, and profiles.

The state that the generator writes holds an instance without network as an id alone.
"""

import copy
from typing import Any

from cirtlib.training.exercise.record import Record
from cirtlib.training.practice.identities import identified

Json = dict[str, Any]


def completed(record: Record) -> Json:
    """State of the accounts at the end of the logs, with the attacker's key pairs and the profiles of their instances.

    Returns
    -------
    dict
        As `Record.after`, with ids and ages of users, roles and keys; an account may have `key_pairs`, each with
        Region, KeyName, KeyPairId and KeyFingerprint.
    """
    state: Json = copy.deepcopy(record.after)
    for pair in record.truth["attacker_events"]:
        event = record.events[tuple(pair)]
        if event.get("errorCode"):
            continue
        content = state["accounts"].get(event["recipientAccountId"], {})
        if event["eventName"] in ("CreateKeyPair", "ImportKeyPair"):
            answer = event["responseElements"]
            names = {"KeyName": "keyName", "KeyPairId": "keyPairId", "KeyFingerprint": "keyFingerprint"}
            made = {"Region": event["awsRegion"]} | {ours: answer[theirs] for ours, theirs in names.items()}
            content.setdefault("key_pairs", []).append(made)
        elif event["eventName"] == "RunInstances":
            profile = (event["requestParameters"].get("iamInstanceProfile") or {}).get("arn")
            started = {one["instanceId"] for one in event["responseElements"]["instancesSet"]["items"]}
            for instance in content.get("instances", []):
                if profile and instance["InstanceId"] in started:
                    instance["IamInstanceProfile"] = profile
    return identified(state, record)
