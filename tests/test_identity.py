"""Which credential stands behind an act, what acts issue, and what they create or change."""

import pandas as pd
import pytest
import sample_store
from sample_store import record, role, user

from cirtlib import identity
from cirtlib.engine import duckdb as engine

IAM = "arn:aws:iam::111122223333"
ORG_TRAIL = "arn:aws:cloudtrail:eu-west-1:444455556666:trail/org"
TRAILS = "arn:aws:cloudtrail:us-east-1:111122223333:trail"


@pytest.fixture
def acts_of(tmp_path):
    """Acts of the given records, by event id."""

    def read(*records):
        case = sample_store.make(tmp_path / "case", records)
        with engine.connect(case) as connection:
            return identity.acts(connection).set_index("event_id", drop=False)

    return read


def console(key, created="2026-06-10T10:00:00Z"):
    """Console call of alice with one of the session's many keys."""
    context = {"attributes": {"creationDate": created, "mfaAuthenticated": "true"}}
    return record(
        who=user(key=key, sessionContext=context),
        sessionCredentialFromConsole="true",
        userAgent="Mozilla/5.0",
        eventID=key,
    )


def test_keys_of_one_console_session_are_one_credential(acts_of):
    """The console makes a key a request; principal and creation time hold them together, the keys are aliases."""
    acts = acts_of(console("ASIA1"), console("ASIA2"), console("ASIA3", "2026-06-10T11:00:00Z"))
    assert acts.loc["ASIA1", "credential"] == acts.loc["ASIA2", "credential"] != acts.loc["ASIA3", "credential"]
    assert identity.aliases(acts)[acts.loc["ASIA1", "credential"]] == ["ASIA1", "ASIA2"]


def test_console_login_opens_the_session_that_follows(acts_of):
    """A successful ConsoleLogin issues the console session made within the minute; a failed one issues nothing."""
    who = {k: v for k, v in user().items() if k != "accessKeyId"}
    login = record("ConsoleLogin", "signin", who=who, time="2026-06-10T09:59:58Z", eventID="in",
                   responseElements={"ConsoleLogin": "Success"}, eventType="AwsConsoleSignIn")  # fmt: skip
    failed = login | {"eventID": "failed", "responseElements": {"ConsoleLogin": "Failure"}}
    acts = acts_of(login, failed, console("ASIA1"))
    assert acts.loc["in", "issued"] == acts.loc["ASIA1", "credential"]
    assert acts.loc["failed", "issued"] is None


def test_key_with_a_mint_record_is_its_own_credential(acts_of):
    """An exact mint record beats everything else, whichever record comes first."""
    answer = {"credentials": {"accessKeyId": "ASIA1", "sessionToken": "FAKE"}}
    mint = record("AssumeRole", "sts", time="2026-06-10T12:30:00Z", eventID="mint", responseElements=answer,
                  requestParameters={"roleArn": "arn:aws:iam::111122223333:role/devRole"})  # fmt: skip
    acts = acts_of(record(who=role(key="ASIA1"), eventID="use"), mint)
    assert acts.loc["use", "credential"] == acts.loc["mint", "issued"] == "access_key:ASIA1"


def test_other_accounts_record_of_a_call_gets_the_callers_credential(acts_of):
    """The record that the role's account receives names no key; the shared event id gives it."""
    mine = record("AssumeRole", "sts", eventID="mine", sharedEventID="s")
    who = {"type": "AWSAccount", "principalId": "AIDAALICE", "accountId": "111122223333"}
    theirs = record(
        "AssumeRole", "sts", who=who, eventID="theirs", sharedEventID="s", recipientAccountId="444455556666"
    )
    acts = acts_of(mine, theirs)
    assert acts.loc["theirs", "credential"] == "access_key:AKIAIOSFODNN7EXAMPLE"


def test_act_of_a_service_has_no_credential(acts_of):
    """A service has no key; an odd record without identity neither."""
    acts = acts_of(
        record(who={"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}, eventID="s"), record(who={}, eventID="n")
    )
    assert acts["credential"].isna().all()


def snapshots(made):
    """Answer of CreateSnapshots: once XML, it writes a list of one as the one."""
    return {"CreateSnapshotsResponse": {"snapshotSet": {"item": made}}}


def flow_logs(deleted):
    return {"DeleteFlowLogsRequest": {"FlowLogId": deleted}}


@pytest.mark.parametrize(
    ("call", "request_", "response", "nodes"),
    [
        ("iam CreateUser", None, {"user": {"arn": f"{IAM}:user/p/x"}}, {f"created principal:{IAM}:user/p/x"}),
        ("iam CreateAccessKey", None, {"accessKey": {"accessKeyId": "AKIA2", "userName": "alice"}},
         {"created access_key:AKIA2", f"changed principal:{IAM}:user/team/alice"}),
        ("iam UpdateAssumeRolePolicy", {"roleName": "r"}, None, {f"changed principal:{IAM}:role/r"}),
        ("cloudtrail StopLogging", {"name": ORG_TRAIL}, None, {f"changed resource:{ORG_TRAIL}"}),
        ("cloudtrail StopLogging", {"name": "t"}, None, {f"changed resource:{TRAILS}/t"}),
        ("ec2 RunInstances", {}, {"instancesSet": {"items": [{"instanceId": "i-1"}, {"instanceId": "i-2"}]}},
         {f"created resource:arn:aws:ec2:us-east-1:111122223333:instance/i-{n}" for n in (1, 2)}),
        ("ec2 RunInstances", None, {"instancesSet": None}, set()),
        ("ec2 CreateSnapshots", None, snapshots([{"snapshotId": "snap-1"}, {"snapshotId": "snap-2"}]),
         {f"created resource:arn:aws:ec2:us-east-1::snapshot/snap-{n}" for n in (1, 2)}),
        ("ec2 CreateSnapshots", None, snapshots({"snapshotId": "snap-1"}),
         {"created resource:arn:aws:ec2:us-east-1::snapshot/snap-1"}),
        ("ec2 DeleteFlowLogs", flow_logs([{"content": "fl-1"}, {"content": "fl-2"}]), None,
         {f"changed resource:arn:aws:ec2:us-east-1:111122223333:vpc-flow-log/fl-{n}" for n in (1, 2)}),
        ("ec2 DeleteFlowLogs", flow_logs({"content": "fl-1"}), None,
         {"changed resource:arn:aws:ec2:us-east-1:111122223333:vpc-flow-log/fl-1"}),
        ("ec2 DescribeInstances", {}, {}, set()),
    ],
)  # fmt: skip
def test_effects_name_what_a_call_created_or_changed(call, request_, response, nodes):
    """The table of actions yields full ARNs, several where the call made several, and nothing from an empty answer."""
    source, _, name = call.partition(" ")
    known = ["arn:aws:iam::111122223333:user/team/alice"]
    act = pd.Series({"event_source": f"{source}.amazonaws.com", "event_name": name, "account_id": "111122223333",
                     "region": "us-east-1", "user_name": "alice"})  # fmt: skip
    detail = {"request": request_ or {}, "response": response or {}}
    found = identity.effects(act, detail, identity.Names(known))
    assert {f"{effect.effect} {effect.node}" for effect in found} == nodes


@pytest.mark.parametrize("text", [None, "", "nonsense", "[1]", '"x"'])
def test_parse_of_what_is_no_object_is_empty(text):
    """A missing, broken or odd JSON text reads as nothing."""
    assert identity.parse(text) == {}
