"""The true answers, by name: each computed from the generator's record of what it did, never typed a second time.

A resolver takes the record of an incident and gives a text, a list (of which any is right, or all where the question
asks for a set), or None where the question does not arise in this incident.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from cirtlib.errors import TrainingError
from cirtlib.training.exercise.record import Record

Json = dict[str, Any]
Answer = str | list[str] | None
_RESOLVERS: dict[str, Callable[[Record], Answer]] = {}
_WORLD = ("0.0.0.0/0", "::/0")


def answer(resolver: Callable[[Record], Answer]) -> Callable[[Record], Answer]:
    """Register a resolver under its own name."""
    _RESOLVERS[resolver.__name__] = resolver
    return resolver


def names() -> list[str]:
    """Names of all resolvers."""
    return sorted(_RESOLVERS)


def resolve(name: str, record: Record) -> Answer:
    """What a resolver gives for an incident.

    Raises
    ------
    TrainingError
        when there is no resolver of this name.
    """
    if name not in _RESOLVERS:
        raise TrainingError(f"no answer is called {name!r}; known: {', '.join(names())}")
    found = _RESOLVERS[name](record)
    return found or None


# Records of the attack.


def _attack(record: Record) -> list[Json]:
    """The attacker's records, in their order."""
    mine = [record.events[tuple(pair)] for pair in record.truth["attacker_events"]]
    return sorted(mine, key=lambda one: (one["eventTime"], one["eventID"]))


def _did(record: Record, *calls: str) -> list[Json]:
    """The attacker's records of these calls that succeeded."""
    return [one for one in _attack(record) if one["eventName"] in calls and not one.get("errorCode")]


def _others(record: Record, *calls: str) -> list[Json]:
    """Everybody else's records of these calls that succeeded."""
    mine = {tuple(pair) for pair in record.truth["attacker_events"]}
    return [
        one for pair, one in record.events.items()
        if pair not in mine and one["eventName"] in calls and not one.get("errorCode")
    ]  # fmt: skip


def _who(event: Json) -> str:
    """ARN of the user or role behind a record."""
    identity = event["userIdentity"]
    return str(identity.get("sessionContext", {}).get("sessionIssuer", {}).get("arn") or identity.get("arn") or "")


def _told(event: Json) -> Json:
    return event.get("requestParameters") or {}


def _gave(event: Json) -> Json:
    return event.get("responseElements") or {}


def _unique(found: list[str]) -> list[str]:
    return list(dict.fromkeys(one for one in found if one))


def _user_arn(record: Record, event: Json, name: str) -> str:
    users = record.after["accounts"][event["recipientAccountId"]]["users"]
    return next((str(one["Arn"]) for one in users if one["UserName"] == name), "")


# Whoever attacked, and how it began.


@answer
def attack_began(record: Record) -> Answer:
    """Time of the attacker's first call."""
    return record.truth["attack"]["first"]  # type: ignore[no-any-return]


@answer
def first_event(record: Record) -> Answer:
    """Event id of the attacker's first call; of records of the same second, any."""
    mine = _attack(record)
    return [one["eventID"] for one in mine if one["eventTime"] == mine[0]["eventTime"]] if mine else None


@answer
def leaked_key(record: Record) -> Answer:
    """Long-term key that the attack began with."""
    return _attack(record)[0]["userIdentity"].get("accessKeyId")  # type: ignore[no-any-return]


@answer
def leaked_user(record: Record) -> Answer:
    """User whose key that is."""
    return _who(_attack(record)[0])


@answer
def owner_address(record: Record) -> Answer:
    """Address from which the rightful owner works."""
    return record.truth["innocents"].get("owner", {}).get("address")  # type: ignore[no-any-return]


@answer
def attacker_addresses(record: Record) -> Answer:
    """All addresses that the attacker worked from."""
    return _unique([one["sourceIPAddress"] for one in _attack(record) if one["sourceIPAddress"][:1].isdigit()])


@answer
def first_address(record: Record) -> Answer:
    """Address of the attacker's first calls."""
    return _unique([one["sourceIPAddress"] for one in _attack(record) if one["sourceIPAddress"][:1].isdigit()])[:1]


@answer
def innocents_at_address(record: Record) -> Answer:
    """Ordinary principals that go out through the attacker's first address, too."""
    return record.truth["innocents"].get("shared_address_principals")  # type: ignore[no-any-return]


# Logging that was stopped.


@answer
def stop_event(record: Record) -> Answer:
    """Event that stopped the trail."""
    return [one["eventID"] for one in _did(record, "StopLogging")]


@answer
def stop_principal(record: Record) -> Answer:
    """Role that stopped the trail."""
    return _unique([_who(one) for one in _did(record, "StopLogging")])


@answer
def stopped_at(record: Record) -> Answer:
    """When the trail was stopped."""
    return record.truth["logging"].get("stopped")  # type: ignore[no-any-return]


@answer
def stopped_trail(record: Record) -> Answer:
    """Trail that was stopped."""
    return record.truth["logging"].get("trail")  # type: ignore[no-any-return]


@answer
def surviving_trail(record: Record) -> Answer:
    """Trail of the organization, which a member account cannot stop."""
    trails = [one for content in record.after["accounts"].values() for one in content["trails"]]
    return [str(one["Name"]) for one in trails if one["IsOrganizationTrail"] and one["IsLogging"]]


@answer
def after_the_stop(record: Record) -> Answer:
    """Whether the logs show what the attacker changed after the trail was stopped: yes or no."""
    stopped = record.truth["logging"].get("stopped")
    if not stopped:
        return None
    return "yes" if any(one["eventTime"] > stopped and not one["readOnly"] for one in _attack(record)) else "no"


# Sessions.


@answer
def role_session(record: Record) -> Answer:
    """Access key of the attacker's session of the role that stopped the trail."""
    roles = stop_principal(record) or []
    return [
        _gave(one)["credentials"]["accessKeyId"] for one in _did(record, "AssumeRole") if _told(one)["roleArn"] in roles
    ]


@answer
def innocent_session(record: Record) -> Answer:
    """Access key of the rightful session of the developers' role."""
    return record.truth["innocents"].get("legit_role_session", {}).get("key")  # type: ignore[no-any-return]


@answer
def innocent_user(record: Record) -> Answer:
    """Who works through the developers' role rightfully."""
    return record.truth["innocents"].get("legit_role_session", {}).get("user")  # type: ignore[no-any-return]


@answer
def rightful_users_of_role(record: Record) -> Answer:
    """Users who assumed the role, apart from the attacker and whom they stole from."""
    roles = set(stop_principal(record) or [])
    found = [_who(one) for one in _others(record, "AssumeRole") if _told(one).get("roleArn") in roles]
    return sorted(set(_unique(found)) - {str(leaked_user(record))})


@answer
def sessions_outlive_key(record: Record) -> Answer:
    """Whether a session that was opened with the leaked key is alive when one looks: yes or no."""
    opened = [one for one in _did(record, "AssumeRole") if one["userIdentity"].get("accessKeyId") == leaked_key(record)]
    if not opened:
        return None
    hours = (record.as_of.timestamp() - _seconds(opened[-1]["eventTime"])) / 3600
    return "yes" if hours * 3600 < _told(opened[-1]).get("durationSeconds", 3600) else "no"


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


# What the attacker made.


@answer
def made_user(record: Record) -> Answer:
    """User that the attacker made."""
    return _unique([_gave(one)["user"]["arn"] for one in _did(record, "CreateUser")])


@answer
def made_keys(record: Record) -> Answer:
    """Long-term keys that the attacker made."""
    return _unique([_gave(one)["accessKey"]["accessKeyId"] for one in _did(record, "CreateAccessKey")])


@answer
def key_holder(record: Record) -> Answer:
    """User for whom the attacker made a key."""
    return _unique([_user_arn(record, one, _told(one).get("userName", "")) for one in _did(record, "CreateAccessKey")])


@answer
def password_holder(record: Record) -> Answer:
    """User for whom the attacker set a console password."""
    found = _did(record, "CreateLoginProfile", "UpdateLoginProfile")
    return _unique([_user_arn(record, one, _told(one)["userName"]) for one in found])


@answer
def automation_user(record: Record) -> Answer:
    """User that a pipeline made, as it does now and then."""
    return record.truth["innocents"].get("automation", {}).get("user")  # type: ignore[no-any-return]


@answer
def automation_key(record: Record) -> Answer:
    """Key of the user that a pipeline made."""
    return record.truth["innocents"].get("automation", {}).get("key")  # type: ignore[no-any-return]


@answer
def opened_role(record: Record) -> Answer:
    """Role whose trust policy the attacker widened."""
    named = {_told(one)["roleName"] for one in _did(record, "UpdateAssumeRolePolicy")}
    return [arn for arn in record.truth["trust_before"] if arn.rsplit("/", 1)[-1] in named]


@answer
def let_in_account(record: Record) -> Answer:
    """Foreign account that the widened trust lets in."""
    return _foreign_in(record, "UpdateAssumeRolePolicy")


@answer
def shared_snapshot(record: Record) -> Answer:
    """Snapshot that the attacker shared."""
    return _unique([_told(one)["snapshotId"] for one in _did(record, "ModifySnapshotAttribute")])


@answer
def shared_with(record: Record) -> Answer:
    """Foreign account with which the snapshot was shared."""
    return _foreign_in(record, "ModifySnapshotAttribute")


def _foreign_in(record: Record, call: str) -> list[str]:
    texts = [str(_told(one)) for one in _did(record, call)]
    return [account for account in record.truth["external_accounts"] if any(account in text for text in texts)]


@answer
def snapshot_region(record: Record) -> Answer:
    """Region of the shared snapshot."""
    return _unique([one["awsRegion"] for one in _did(record, "ModifySnapshotAttribute")])


@answer
def started_instances(record: Record) -> Answer:
    """Instances that the attacker started."""
    runs = [_gave(one)["instancesSet"]["items"] for one in _did(record, "RunInstances")]
    return [item["instanceId"] for items in runs for item in items]


@answer
def instances_region(record: Record) -> Answer:
    """Region in which the attacker started instances."""
    return _unique([one["awsRegion"] for one in _did(record, "RunInstances")])


@answer
def home_region(record: Record) -> Answer:
    """Region of the first finding or trail."""
    return record.truth["seed_finding"].split(":")[3] if record.truth["seed_finding"] else None


@answer
def second_account(record: Record) -> Answer:
    """Account that the attacker moved on to."""
    first = _attack(record)[0]["recipientAccountId"]
    return _unique(
        [one["recipientAccountId"] for one in _attack(record) if one["recipientAccountId"] != first and _read(one)]
    )


def _read(event: Json) -> bool:
    return event["eventName"] in ("GetSecretValue", "GetObject") and not event.get("errorCode")


@answer
def bridge_role(record: Record) -> Answer:
    """Role through which the attacker moved on to another account."""
    return [
        _told(one)["roleArn"] for one in _did(record, "AssumeRole")
        if _told(one)["roleArn"].split(":")[4] != one["userIdentity"].get("accountId", "")
    ]  # fmt: skip


@answer
def secrets_read(record: Record) -> Answer:
    """Secrets that the attacker read."""
    return _unique([_told(one)["secretId"] for one in _did(record, "GetSecretValue")])


@answer
def bucket_read(record: Record) -> Answer:
    """Bucket whose objects the attacker read."""
    return _unique([_told(one).get("bucketName", "") for one in _did(record, "GetObject")])


@answer
def objects_visible(record: Record) -> Answer:
    """Whether the logs would show reads of objects in S3 (data events): yes or no."""
    return "yes" if any(one["eventName"] == "GetObject" for one in record.events.values()) else "no"


# An instance in the open.


@answer
def victim_instance(record: Record) -> Answer:
    """Instance whose credentials were taken."""
    return [arn.rsplit("/", 1)[-1] for arn in record.truth["leads"] if ":instance/" in arn]


@answer
def instance_role(record: Record) -> Answer:
    """Role whose credentials were used from outside."""
    return _unique([_who(one) for one in _attack(record) if ":role/" in _who(one)])[:1]


@answer
def other_instances_of_role(record: Record) -> Answer:
    """Other instances that the same role serves."""
    roles = instance_role(record) or []
    found = {
        _told(one)["roleSessionName"] for one in _others(record, "AssumeRole")
        if _told(one).get("roleArn") in roles and _told(one).get("roleSessionName", "").startswith("i-")
    }  # fmt: skip
    return sorted(found - {*(victim_instance(record) or []), *(started_instances(record) or [])})


@answer
def stolen_key(record: Record) -> Answer:
    """Session keys of the instance's that were used from outside."""
    return _unique([
        one["userIdentity"].get("accessKeyId", "") for one in _attack(record)
        if one["userIdentity"]["type"] == "AssumedRole"
        and one["userIdentity"]["arn"].rsplit("/", 1)[-1] in (victim_instance(record) or [])
    ])  # fmt: skip


@answer
def opening_event(record: Record) -> Answer:
    """Event that opened the port to the world, days before."""
    return record.truth["innocents"].get("opener", {}).get("event")  # type: ignore[no-any-return]


@answer
def open_group(record: Record) -> Answer:
    """Security group that stood open."""
    return record.truth["innocents"].get("opener", {}).get("group")  # type: ignore[no-any-return]


@answer
def twin_instance(record: Record) -> Answer:
    """Another instance as open as the first, that nobody got into."""
    return record.truth["innocents"].get("exposed_twin", {}).get("instance")  # type: ignore[no-any-return]


@answer
def metadata_control(record: Record) -> Answer:
    """Control that says that the instance answers the old metadata service."""
    return _control(record, "Ec2Instance", victim_instance(record), before=True, word="IMDS")


@answer
def port_controls(record: Record) -> Answer:
    """Controls of the security group that had failed before the attack."""
    return _control(record, "SecurityGroup", open_group(record), before=True)


@answer
def late_control(record: Record) -> Answer:
    """Control of the instance that failed only after the attack."""
    return _control(record, "", victim_instance(record), before=False)


def _control(record: Record, kind: str, of: Answer, *, before: bool, word: str = "") -> list[str]:
    """Controls that failed for something, by when they first did."""
    named = [of] if isinstance(of, str) else of or []
    content = json.loads((record.findings / "security_hub.json").read_text(encoding="utf-8"))
    first = record.truth["attack"]["first"]
    found = []
    for one in content["Findings"]:
        if one.get("Compliance", {}).get("Status") != "FAILED":
            continue
        ids = [resource["Id"] for resource in one["Resources"] if kind in resource["Type"]]
        if not any(name in identifier for name in named for identifier in ids):
            continue
        if (one["FirstObservedAt"] < first) == before and word in one["Title"]:
            found.append(one["Compliance"]["SecurityControlId"])
    return _unique(found)


# A phished console session.


@answer
def sign_in_event(record: Record) -> Answer:
    """The attacker's first sign-in to the console."""
    return [one["eventID"] for one in _did(record, "ConsoleLogin")[:1]]


@answer
def phished_at(record: Record) -> Answer:
    """When the attacker first signed in."""
    return [one["eventTime"] for one in _did(record, "ConsoleLogin")[:1]]


@answer
def phished_principal(record: Record) -> Answer:
    """Whose console session it was."""
    return _unique([_who(one) for one in _did(record, "ConsoleLogin")[:1]])


@answer
def phished_without_mfa(record: Record) -> Answer:
    """Whether the sign-in was made with MFA: yes or no, as its record says."""
    found = _did(record, "ConsoleLogin")
    return {"Yes": "yes", "No": "no"}.get(found[0].get("additionalEventData", {}).get("MFAUsed", "")) if found else None


@answer
def second_address(record: Record) -> Answer:
    """Address from which what was made was used."""
    return _unique([one["sourceIPAddress"] for one in _attack(record) if one["sourceIPAddress"][:1].isdigit()])[1:]


@answer
def finding_about_attack(record: Record) -> Answer:
    """Whether any finding of GuardDuty is about the attack: yes or no."""
    return "yes" if record.truth["seed_finding"] else "no"


@answer
def pipelines_key(record: Record) -> Answer:
    """Key that a pipeline made meanwhile: no part of it."""
    return automation_key(record)


# An alarm about somebody's duty.


@answer
def alarm_event(record: Record) -> Answer:
    """Record that the alarm is about."""
    return record.truth.get("alarm", {}).get("event")  # type: ignore[no-any-return]


@answer
def alarm_principal(record: Record) -> Answer:
    """Principal that the alarm is about."""
    return record.truth.get("alarm", {}).get("principal")  # type: ignore[no-any-return]


@answer
def alarm_at(record: Record) -> Answer:
    """When it happened."""
    return record.truth.get("alarm", {}).get("at")  # type: ignore[no-any-return]


@answer
def alarm_address(record: Record) -> Answer:
    """Where it came from."""
    return record.truth.get("alarm", {}).get("address")  # type: ignore[no-any-return]


@answer
def alarm_ticket(record: Record) -> Answer:
    """Entry of the change calendar that announced it."""
    return record.truth.get("alarm", {}).get("ticket")  # type: ignore[no-any-return]


@answer
def alarm_confirmed_by(record: Record) -> Answer:
    """Who answers for it: name or address of mail."""
    who = record.truth.get("alarm", {}).get("confirmed_by", {})
    return [who["name"], who["email"]] if who else None


@answer
def alarm_explained_by(record: Record) -> Answer:
    """Events of earlier days by the same principal, from the same place, with the same program."""
    return [event for event, _ in record.truth.get("alarm", {}).get("explained_by", [])]


@answer
def alarm_verdict(record: Record) -> Answer:
    """Attack or duty: by whether anything is in the extent."""
    return "attack" if record.truth["extent"] else "duty"


@answer
def alarm_calls(record: Record) -> Answer:
    """Call that the alarm is about."""
    event = record.truth.get("alarm", {}).get("event")
    return _unique([one["eventName"] for (name, _), one in record.events.items() if name == event])


@answer
def to_contain(record: Record) -> Answer:
    """What has to be contained: nothing where nothing is in the extent."""
    return "everything of the principal" if record.truth["extent"] else "nothing"
