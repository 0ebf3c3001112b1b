"""Findings and logs are held against each other, both ways."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from cirtlib import findings, identity, reconcile
from cirtlib.cli import app
from cirtlib.reconcile import compare
from cirtlib.scope import Scope

ACCOUNT, REGION = "111122223333", "eu-west-1"
KEY, OTHER = "AKIAEXAMPLE000000001", "ASIAEXAMPLE000000002"
USER, ROLE = f"arn:aws:iam::{ACCOUNT}:user/alice", f"arn:aws:iam::{ACCOUNT}:role/ops"
WINDOW = (pd.Timestamp("2026-06-10T00:00Z"), pd.Timestamp("2026-06-12T00:00Z"))


def act(minute, name, **changes):
    """One act of alice's key from the attacker's address."""
    whole = dict.fromkeys((*identity.ACT_COLUMNS, "issued")) | {
        "event_time": pd.Timestamp("2026-06-11T10:00Z") + pd.Timedelta(minutes=minute),
        "event_id": f"e{minute}",
        "account_id": ACCOUNT,
        "region": REGION,
        "event_source": "iam.amazonaws.com",
        "event_name": name,
        "source_ip": "203.0.113.7",
        "source_network": "203.0.113.0/24",
        "principal": USER,
        "principal_id": "AIDAEXAMPLE1",
        "access_key_id": KEY,
        "credential": f"access_key:{KEY}",
        "outcome": "ok",
    }
    return whole | changes


def guardduty(number, kind, *, api=True, key=KEY, action="AWS_API_CALL", **changes):
    """One GuardDuty finding as EventBridge delivers it."""
    call = {"actionType": action}
    if api:
        remote = {"ipAddressV4": "203.0.113.7"}
        call["awsApiCallAction"] = {"api": "CreateUser", "serviceName": "iam.amazonaws.com", "remoteIpDetails": remote}
    times = {"eventFirstSeen": "2026-06-11T10:00:00Z", "eventLastSeen": "2026-06-11T10:05:00Z"}
    made = {
        "arn": f"arn:aws:guardduty:{REGION}:{ACCOUNT}:detector/d/finding/{number}",
        "accountId": ACCOUNT,
        "region": REGION,
        "type": kind,
        "severity": 5,
        "resource": {"accessKeyDetails": {"accessKeyId": key}} if key else {},
        "service": {"action": call, "count": 3, **times, **changes.pop("service", {})},
    }
    return findings.row(made | changes)


def scope(rows, nodes=(), gaps=()):
    """A scope in which alice's key is compromised; `rows` are (event id, verdict)."""
    whole = [{"id": f"access_key:{KEY}", "kind": "credential", "value": KEY, "status": "compromised"}, *nodes]
    edges = [{"from": f"access_key:{KEY}", "to": f"principal:{USER}", "evidence": ["e1"]}]
    columns = ["event_id", "account_id", "node", "verdict", "reason"]
    judged = [[event, ACCOUNT, f"access_key:{KEY}", verdict, ""] for event, verdict in rows]
    return Scope({"nodes": whole, "edges": edges, "gaps": list(gaps)}, pd.DataFrame(judged, columns=columns))


def told(acts, found, known):
    """The row of each finding, by the last part of its id."""
    made = compare(pd.DataFrame(found), pd.DataFrame(acts), known, window=WINDOW)
    return made, {row["finding_id"].rpartition("/")[2]: row for row in made.findings.to_dict("records")}


def test_a_finding_stands_for_the_records_of_its_call():
    """Call, caller, address and time; its count is what GuardDuty aggregated, not the number of records."""
    acts = [act(1, "CreateUser"), act(2, "ListUsers"), act(90, "CreateUser")]
    _, row = told(acts, [guardduty(1, "Persistence:IAMUser/AnomalousBehavior")], scope([("e1", "attacker")]))
    assert (row["1"]["state"], row["1"]["records"], row["1"]["aggregated"]) == ("agrees", 1, 3)
    assert row["1"]["event_ids"] == ["e1"]
    assert row["1"]["explained_by"] == f"access_key:{KEY}"
    assert row["1"]["why"] == "found by call, caller and address: 1 attacker"


def test_what_the_scope_does_not_explain_stands_first_and_owners_are_told_apart():
    """Records without a verdict are unexplained, an owner's are the owner's, an address alone only relates."""
    acts = [
        act(1, "CreateUser"),
        act(
            2,
            "CreateUser",
            access_key_id=OTHER,
            credential=f"access_key:{OTHER}",
            principal=ROLE,
            source_ip="192.0.2.9",
        ),
        act(3, "ListUsers", source_ip="198.51.100.1"),
    ]
    known = scope([("e1", "owner"), ("e3", "attacker")])
    found = [
        guardduty(1, "Persistence:IAMUser/AnomalousBehavior"),
        guardduty(2, "Persistence:IAMUser/AnomalousBehavior", key=OTHER),
        guardduty(3, "Recon:IAMUser/TorIPCaller", key="AKIAEXAMPLE000000009"),
    ]
    found[2]["remote_ips"] = ["198.51.100.1"]
    made, row = told(acts, found, known)
    assert row["1"]["state"] == "owner"
    assert row["2"]["state"] == "not explained"
    assert row["2"]["why"] == "found by call and caller: 1 without verdict"
    assert (row["3"]["state"], row["3"]["explained_by"]) == ("related", "address:198.51.100.1")
    assert list(made.findings["state"]) == ["not explained", "related", "owner"]


def test_a_finding_from_the_api_without_its_caller_is_found_by_call_address_and_time():
    """GetFindings drops the caller's identity; what it leaves still finds the record, and the loss is said."""
    whole = guardduty(1, "Policy:IAMUser/RootCredentialUsage", key="")
    whole["details"] = '{"AccountId": "111122223333"}'
    made, row = told(
        [act(1, "CreateUser"), act(2, "CreateUser", source_ip="192.0.2.9")], [whole], scope([("e1", "attacker")])
    )
    assert row["1"]["event_ids"] == ["e1"]
    assert "GetFindings gives no caller" in row["1"]["why"]
    assert made.findings["state"][0] == "agrees"


def test_why_there_is_no_record_is_said():
    """Never recorded, not collected, a gap, a data event, a caller without records, or unknown: each in its words."""
    acts = [act(1, "ListUsers"), act(2, "GetUser", region="us-east-1")]
    gap = {"account": ACCOUNT, "region": "us-east-1", "from": "2026-06-11T09:00:00Z", "to": None, "reason": "was off"}
    probe = {"actionType": "PORT_PROBE"}
    found = [
        guardduty("probe", "Recon:EC2/PortProbeUnprotectedPort", api=False, key="", service={"action": probe}),
        guardduty("runtime", "Execution:Runtime/NewBinaryExecuted", api=False, key="", action="NONE"),
        guardduty("elsewhere", "Persistence:IAMUser/AnomalousBehavior", region="ap-south-1")
        | {"remote_ips": [], "api_service": "ec2.amazonaws.com"},
        guardduty("gap", "Persistence:IAMUser/AnomalousBehavior", region="us-east-1") | {"remote_ips": []},
        guardduty("data", "Exfiltration:S3/AnomalousBehavior") | {"api_name": "GetObject", "remote_ips": []},
        guardduty("caller", "Persistence:IAMUser/AnomalousBehavior", key=OTHER),
        guardduty("unknown", "Persistence:IAMUser/AnomalousBehavior") | {"remote_ips": []},
        guardduty("weak", "Persistence:IAMUser/AnomalousBehavior"),
    ]
    _, row = told(acts, found, scope([("e1", "attacker")], gaps=[gap]))
    whys = {name: one["why"] for name, one in row.items()}
    assert whys["probe"] == "no CloudTrail record exists of it: it was seen in VPC flow logs"
    assert whys["runtime"] == "no CloudTrail record exists of it: it was seen in the runtime agent on the machine"
    assert whys["elsewhere"].startswith(f"not collected: no record of account {ACCOUNT}, Region ap-south-1")
    assert whys["gap"] == "not collected: was off"
    assert whys["data"] == "GetObject is a data event, and no trail here recorded it"
    assert whys["caller"].startswith("no record of its caller")
    assert whys["unknown"].startswith("unknown: 2 records of its caller are here, none of CreateUser")
    assert whys["weak"].startswith(
        "found by caller and address: 1 attacker, 1 without verdict; of CreateUser itself none"
    )
    assert {one["records"] for name, one in row.items() if name != "weak"} == {0}


def test_samples_name_nobody_and_archived_findings_are_kept():
    """A sample is set apart even when it names a key of the extent; an archived finding is marked."""
    found = [
        guardduty(1, "Persistence:IAMUser/AnomalousBehavior", title="[SAMPLE] made up"),
        guardduty(2, "Persistence:IAMUser/AnomalousBehavior", service={"archived": True}),
    ]
    made, row = told([act(1, "CreateUser")], found[:1], scope([("e1", "attacker")]))
    assert (row["1"]["state"], row["1"]["records"], row["1"]["event_ids"]) == ("sample", 0, [])
    assert list(made.unnamed["node"]) == [f"access_key:{KEY}"]
    made, row = told([act(1, "CreateUser")], found, scope([("e1", "attacker")]))
    assert row["2"]["archived"]
    assert made.unnamed.empty
    assert any("1 archived" in sentence for sentence in made.words())


def test_an_attack_sequence_is_a_second_scope():
    """Its actors, resources, endpoints and signals are in both, in the sequence alone, or in the scope alone."""
    signal = guardduty(1, "Persistence:IAMUser/AnomalousBehavior")
    sequence = {
        "actors": [
            {"user": {"name": "alice", "uid": "AIDAEXAMPLE1", "credentialUid": KEY}},
            {"user": {"name": "ops", "uid": "AROAEXAMPLE9:x", "credentialUid": OTHER}},
        ],
        "resources": [{"uid": "arn:aws:s3:::amzn-s3-demo-bucket", "resourceType": "S3_BUCKET"}],
        "endpoints": [{"ip": "203.0.113.7"}, {"ip": "192.0.2.1"}],
        "signals": [{"uid": signal["finding_id"], "name": "first"}, {"uid": "arn:other", "name": "second"}],
    }
    kind = "AttackSequence:IAM/CompromisedCredentials"
    whole = guardduty(2, kind, api=False, key="", service={"detection": {"sequence": sequence}})
    made_user = {"id": "principal:made", "kind": "principal", "value": "made", "status": "attacker_created"}
    own = {"id": f"principal:{USER}", "kind": "principal", "value": USER, "status": "compromised"}
    acts = [act(1, "CreateUser")]
    made, row = told(acts, [signal, whole], scope([("e1", "attacker")], nodes=[made_user, own]))
    where = dict(zip(made.sequences["node"], made.sequences["where"], strict=True))
    assert where == {
        f"access_key:{KEY}": "both",
        f"principal:{USER}": "both",
        "address:203.0.113.7": "both",
        f"finding:{signal['finding_id']}": "both",
        f"access_key:{OTHER}": "only in the sequence",
        "principal:AROAEXAMPLE9:x": "only in the sequence",
        "resource:arn:aws:s3:::amzn-s3-demo-bucket": "only in the sequence",
        "address:192.0.2.1": "only in the sequence",
        "finding:arn:other": "only in the sequence",
        "principal:made": "only in the scope",
    }
    assert row["2"]["state"] == "agrees"
    assert made.words()[-1] == "Attack sequences name 4 both, 5 only in the sequence; 1 only in the scope."


def test_the_documented_attack_sequence_of_security_hub_is_read(real_data):
    """ASFF writes the same tree under Detection, with Id where GuardDuty says Uid."""
    file = real_data / "aws_docs_examples" / "asff_detection_sequence_awsdocs.json"
    whole = findings.row(json.loads(file.read_text(encoding="utf-8")))
    made, _ = told([act(1, "CreateUser")], [whole], scope([("e1", "attacker")]))
    alone = made.sequences[made.sequences["where"] == "only in the sequence"]
    assert "access_key:ASIAIOSFODNN7EXAMPLE" in set(alone["node"])
    assert "address:203.0.113.1" in set(alone["node"]) | set(made.sequences["node"])


def test_the_incident_reconciled(incident):
    """Of the true findings each agrees; noise does not; what no finding names is told."""
    case, truth = incident
    made = reconcile(case)
    states = dict(zip(made.findings["finding_id"], made.findings["state"], strict=True))
    assert states[case.seeds[0].value] == "agrees"
    assert made.findings.loc[made.findings["state"] == "agrees", "explained_by"].ne("").all()
    assert set(made.findings["state"]) >= {"agrees", "not explained", "sample"}
    named = made.findings.loc[made.findings["state"] == "agrees", "event_ids"].explode().dropna()
    assert set(named) <= {event for event, _ in truth["attacker_events"]}
    assert not made.unnamed.empty
    json.dumps(made.to_dict())


def test_the_command_prints_sentences_tables_and_json(incident):
    """Without options a person reads it; a table alone is a file of rows."""
    path = str(incident[0].path)
    said = CliRunner().invoke(app, ["reconcile", path])
    assert said.exit_code == 0, said.output
    assert "findings agree with the scope" in said.output
    rows = json.loads(CliRunner().invoke(app, ["reconcile", path, "--table", "findings", "-f", "json"]).stdout)
    assert {"state", "why", "event_ids"} <= set(rows[0])
    whole = json.loads(CliRunner().invoke(app, ["reconcile", path, "-f", "json"]).stdout)
    assert set(whole) == {"says", "findings", "unnamed", "sequences"}
    assert CliRunner().invoke(app, ["reconcile", path, "--table", "nothing"]).exit_code == 2


@pytest.mark.parametrize("name", ["findings", "unnamed", "sequences"])
def test_no_findings_are_no_obstacle(name):
    """A case without findings has empty tables with their columns, and says so."""
    empty = pd.DataFrame(columns=[*findings.COLUMNS, "latest"])
    made = compare(empty, pd.DataFrame([act(1, "CreateUser")]), scope([("e1", "attacker")]), window=WINDOW)
    assert len(getattr(made, name).columns) > 5
    assert made.words()[0] == "0 of 0 findings agree with the scope; 0 have no record here."
