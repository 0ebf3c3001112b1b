"""The scope of real, labelled records: each file of one attack technique, from its first caller's first record."""

import json

import pytest

from cirtlib.case import new_case
from cirtlib.collect import collect
from cirtlib.scope import scope

FOLDER = "DataDog__stratus-red-team/docs/detonation-logs"
# Begin in the middle of a session: no record of theirs shows who issued its key.
MID_SESSION = {
    "aws.credential-access.ec2-steal-instance-credentials",
    "aws.impact.bedrock-invoke-model",
    "aws.lateral-movement.ec2-serial-console-send-ssh-public-key",
}


def scoped(records, folder):
    (folder / "logs").mkdir()
    (folder / "logs" / "records.json").write_text(json.dumps(records))
    first = next(one for one in records if one["userIdentity"].get("type") != "AWSService")
    content = {"seeds": [{"event": first["eventID"]}], "sources": [{"cloudtrail": {"folder": str(folder / "logs")}}]}
    case = new_case(folder / "case", content)
    collect(case, progress=False, processes=1)
    return scope(case)


def issued(record):
    """Temporary key in the answer of a record of STS."""
    answer = record.get("responseElements") or {}
    return (
        (answer.get("credentials") or {}).get("accessKeyId") if record["eventSource"] == "sts.amazonaws.com" else None
    )


@pytest.mark.integration
def test_every_chain_is_resolved_and_what_begins_mid_session_says_so(real_data, tmp_path):
    """Each issued key hangs on its issuer, each record is the attacker's, each temporary key without issue is a gap."""
    silent, chains = set(), 0
    for number, file in enumerate(sorted((real_data / FOLDER).glob("*.json"))):
        records = json.loads(file.read_text(encoding="utf-8"))
        folder = tmp_path / str(number)
        folder.mkdir()
        found = scoped(records, folder)
        attacker = set(found.verdicts.loc[found.verdicts["verdict"] == "attacker", "event_id"])
        assert attacker == {record["eventID"] for record in records}, file.stem
        minted = {edge["to"]: edge for edge in found.edges if edge["kind"] == "minted"}
        for record in records:
            if key := issued(record):
                chains += 1
                edge = minted[f"access_key:{key}"]
                assert edge["from"] == f"access_key:{record['userIdentity']['accessKeyId']}"
                assert edge["confidence"] == "certain"
                assert record["eventID"] in edge["evidence"]
        if any("who issued access_key:ASIA" in gap["reason"] for gap in found.gaps):
            silent.add(file.stem)
    assert chains >= 9
    assert silent == MID_SESSION
