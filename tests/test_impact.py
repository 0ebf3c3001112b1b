"""What the attacker's acts came to: read, taken, destroyed, cost, still open, unseen."""

import json

import pandas as pd
import pytest
from trail import ACCOUNT, FOREIGN, OFFICE, SDK, THIEF, Trail, user
from typer.testing import CliRunner

from cirtlib import impact, techniques
from cirtlib.cli import app
from cirtlib.impact import Impact, described
from cirtlib.impact.acts import consequences, outsiders

DEV, ADMIN = user("dev", "AKIADEV"), user("admin", "AKIAADMIN")


def act(number, source, name, request=None, response=None, **changes):
    """One successful act of the attacker."""
    whole = {
        "event_time": pd.Timestamp("2026-06-10T10:00Z") + pd.Timedelta(minutes=number),
        "event_id": f"e{number}",
        "event_source": f"{source}.amazonaws.com",
        "event_name": name,
        "account_id": ACCOUNT,
        "region": "us-east-1",
        "source_ip": THIEF,
        "node": "access_key:AKIADEV",
        "outcome": "ok",
        "request": json.dumps(request) if request else None,
        "response": json.dumps(response) if response else None,
        "additional": None,
        "service_details": None,
    }
    return whole | changes


def came_of(*acts):
    return consequences(techniques.annotate(pd.DataFrame(acts)), {ACCOUNT})


def rows(table):
    return [(row.what, row.target, row.detail) for row in table.itertuples()]


def test_the_sentences_count_in_words():
    """Hours are those of all machines together; things are one or several; a bucket's objects are counted by calls."""

    def table(*kinds):
        return pd.DataFrame(kinds, columns=["what", "target", "events"]).assign(bytes_out=None)

    read = table(
        ("secret", "a", 1), ("secret", "b", 1), ("object", "b/k", 4), ("database, by a snapshot of it", "d", 1)
    )
    taken = table(("objects fetched", "bucket", 5), ("shared", "snap-1", 1))
    machines = pd.DataFrame({"hours": [1.0, 2.0], "large": [False, True]})
    state, gap = pd.DataFrame({"state": ["open"]}), pd.DataFrame({"reason": ["why"]})
    none = table()
    said = Impact(read, taken, none, machines, none, state, gap, none).words()
    assert said[0] == "Read: 2 secrets, 1 object, 1 database, by a snapshot of it."
    assert said[1] == "Left: objects fetched (5 calls), 1 shared."
    assert "2 machines, 3.0 machine-hours in all, 1 of them large or accelerated" in said[3]
    assert said[5] == "Not seen: 1 gap."


def test_what_was_read_names_each_thing_once_with_its_volume():
    """Two reads of one object are one row; bytes are summed where S3 says them and unknown where it does not."""
    key = {"bucketName": "amzn-s3-demo-bucket", "key": "a.csv"}
    sent = json.dumps({"bytesTransferredOut": 700.0})
    found = came_of(
        act(1, "s3", "GetObject", key, additional=sent),
        act(2, "s3", "GetObject", key, additional=sent),
        act(3, "secretsmanager", "GetSecretValue", {"secretId": "prod/db"}),
        act(4, "secretsmanager", "GetSecretValue", {"secretId": "prod/db"}, outcome="denied"),
        act(5, "ssm", "GetParameters", {"names": ["/a", "/b"]}),
    )
    assert rows(found["read"]) == [
        ("object", "amzn-s3-demo-bucket/a.csv", ""),
        ("secret", "prod/db", ""),
        ("parameter", "/a, /b", ""),
    ]
    assert list(found["read"]["event_ids"]) == [["e1", "e2"], ["e3"], ["e5"]]
    assert found["read"]["bytes_out"][0] == 1400
    assert pd.isna(found["read"]["bytes_out"][1])
    assert rows(found["taken"]) == [("objects fetched", "amzn-s3-demo-bucket", "")]


def test_what_left_says_to_whom_and_taking_back_is_not_leaving():
    """Shares name the account; a policy counts only where it lets in somebody from outside."""

    def share(what):
        return {"snapshotId": "snap-1", "createVolumePermission": {what: {"items": [{"userId": FOREIGN}]}}}

    def policy(principal):
        statement = {"Effect": "Allow", "Principal": principal, "Action": "s3:GetObject"}
        return {"bucketName": "b", "bucketPolicy": {"Statement": [statement]}}

    found = came_of(
        act(1, "ec2", "ModifySnapshotAttribute", share("add")),
        act(2, "ec2", "ModifySnapshotAttribute", share("remove")),
        act(3, "s3", "PutBucketPolicy", policy("*")),
        act(4, "s3", "PutBucketPolicy", policy({"AWS": f"arn:aws:iam::{FOREIGN}:root"})),
        act(5, "s3", "PutBucketPolicy", policy({"AWS": f"arn:aws:iam::{ACCOUNT}:role/app"})),
        act(6, "rds", "ModifyDBSnapshotAttribute", {"dBSnapshotIdentifier": "db", "valuesToAdd": ["all"]}),
        act(7, "ec2", "CopySnapshot", {"sourceSnapshotId": "snap-2", "sourceRegion": "us-east-1"}),
        act(8, "ec2", "CopySnapshot", {"sourceSnapshotId": "snap-2", "sourceRegion": "eu-west-1"}),
    )
    assert rows(found["taken"]) == [
        ("shared", "snap-1", FOREIGN),
        ("opened by a policy", "b", "anyone"),
        ("opened by a policy", "b", FOREIGN),
        ("shared", "db", "all"),
        ("copied from another Region", "snap-2", "eu-west-1"),
    ]


def test_an_exported_mailbox_left():
    """Whose mailbox, into which bucket, by which role; asking how far the export is takes nothing."""
    asked = {"organizationId": "m-1", "entityId": "box-1", "s3BucketName": "b", "roleArn": "arn:aws:iam::1:role/mail"}
    found = came_of(
        act(1, "workmail", "StartMailboxExportJob", asked),
        act(2, "workmail", "DescribeMailboxExportJob", {"organizationId": "m-1", "jobId": "j"}),
    )
    assert rows(found["taken"]) == [("mailbox exported to a bucket", "m-1/box-1", "b, arn:aws:iam::1:role/mail")]


def test_outsiders_are_read_from_policies_in_any_form():
    """An object, JSON text inside a request, a list of principals; a denial lets in nobody; deep nesting ends."""
    allow = {"Statement": {"Principal": {"AWS": [FOREIGN, ACCOUNT]}, "Effect": "Allow"}}
    assert outsiders({"policy": json.dumps(allow)}, {ACCOUNT}) == [FOREIGN]
    assert outsiders({"Statement": [{"Effect": "Deny", "Principal": "*"}]}, set()) == []
    assert outsiders({"Statement": [{"Principal": {"Service": "ec2.amazonaws.com"}}]}, set()) == []
    deep = {}
    for _ in range(500):
        deep = {"a": deep}
    assert outsiders(deep, set()) == []


def test_what_was_destroyed_says_what_can_still_be_saved():
    """Scheduled, disabled, deleted; a deletion without recovery is told apart; reads called Delete* are none."""
    day = "Jul 1, 2026, 10:00:00 AM"
    found = came_of(
        act(1, "kms", "ScheduleKeyDeletion", {"keyId": "k"}, {"deletionDate": day}),
        act(2, "secretsmanager", "DeleteSecret", {"secretId": "s"}, {"deletionDate": day}),
        act(3, "secretsmanager", "DeleteSecret", {"secretId": "s2", "forceDeleteWithoutRecovery": True}),
        act(4, "cloudtrail", "StopLogging", {"name": "main"}),
        act(5, "iam", "DeleteUser", {"userName": "ann"}),
        act(6, "s3", "PutBucketVersioning", {"bucketName": "b", "VersioningConfiguration": {"Status": "Enabled"}}),
        act(
            7,
            "s3",
            "PutObject",
            {"bucketName": "b", "key": "x", "x-amz-server-side-encryption-customer-algorithm": "AES256"},
        ),
    )
    assert rows(found["destroyed"]) == [
        ("scheduled for deletion", "k", day),
        ("scheduled for deletion", "s", day),
        ("deleted without recovery", "s2", ""),
        ("disabled", "main", ""),
        ("deleted", "ann", ""),
        ("encrypted with a key that AWS does not have", "b/x", ""),
    ]


@pytest.mark.parametrize("broken", ["[]", "{", '"text"', '{"createVolumePermission": 5}', "{}"])
def test_a_request_of_another_shape_is_no_obstacle(broken):
    """What the paths do not find is left out, and nothing fails."""
    found = came_of(act(1, "ec2", "ModifySnapshotAttribute", request=None) | {"request": broken})
    assert found["taken"].empty
    assert len(came_of(act(1, "s3", "GetObject") | {"request": broken})["read"]) == 1


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A thief makes user, key and machines; the administrator ends some of it, and the case closes at noon."""
    trail = Trail()
    trail.habit(DEV, days=range(8))
    first = trail.add(9.40, DEV, "iam:ListUsers", ip=THIEF, agent=SDK)
    for name in ("one", "two"):
        made = {"user": {"arn": f"arn:aws:iam::{ACCOUNT}:user/{name}", "userName": name}}
        trail.add(9.41, DEV, "iam:CreateUser", ip=THIEF, agent=SDK, request={"userName": name}, response=made)
        key = {"accessKey": {"accessKeyId": f"AKIA{name.upper()}", "userName": name}}
        trail.add(9.42, DEV, "iam:CreateAccessKey", ip=THIEF, agent=SDK, request={"userName": name}, response=key)
    items = [
        {"instanceId": f"i-0000000{n}", "instanceType": kind} for n, kind in ((1, "p4d.24xlarge"), (2, "t3.micro"))
    ]
    run = {"instancesSet": {"items": items}}
    trail.add(9.5, DEV, "ec2:RunInstances", ip=THIEF, agent=SDK, request={"instanceType": "t3.micro"}, response=run)
    trail.add(9.55, DEV, "ssm:SendCommand", ip=THIEF, agent=SDK, request={"documentName": "AWS-RunShellScript"})
    off = {"userName": "one", "accessKeyId": "AKIAONE", "status": "Inactive"}
    trail.add(9.75, ADMIN, "iam:UpdateAccessKey", ip=OFFICE, request=off)
    trail.add(9.75, ADMIN, "iam:DeleteUserPolicy", ip=OFFICE, request={"userName": "two", "policyName": "p"})
    over = {"instancesSet": {"items": [{"instanceId": "i-00000001"}]}}
    trail.add(9.75, ADMIN, "ec2:TerminateInstances", ip=OFFICE, request=over)
    return impact(trail.case(tmp_path_factory.mktemp("ended"), {"event": first}, as_of="2026-06-11T00:00:00Z"))


def test_what_is_still_open_is_what_nobody_ended(ended):
    """A deactivated key and a terminated machine are closed by the record that did it; the rest stands."""
    state = dict(zip(ended.open["node"], ended.open["state"], strict=True))
    assert state["access_key:AKIAONE"] == "closed"
    assert state["access_key:AKIATWO"] == "open"
    assert state["access_key:AKIADEV"] == "open"
    assert state[f"principal:arn:aws:iam::{ACCOUNT}:user/two"] == "open", "a policy of it was deleted, not the user"
    assert state[f"resource:arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-00000001"] == "closed"
    assert state[f"resource:arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-00000002"] == "open"
    assert list(ended.open["state"]) == sorted(ended.open["state"], key=["open", "unknown", "closed", "expired"].index)
    assert ended.open["event_ids"].map(len).min() >= 1


def test_hours_of_machines_end_with_them_or_with_the_case(ended):
    """Six hours until the termination, twelve until as_of; accelerators are large; no price is made up."""
    table = ended.instances.set_index("instance")
    assert table["hours"].to_dict() == {"i-00000001": 6.0, "i-00000002": 12.0}
    assert table["large"].to_dict() == {"i-00000001": True, "i-00000002": False}
    assert table["price_usd"].isna().all()


def test_what_is_hidden_is_said(ended):
    """CloudTrail hides the text of commands: the row cites the call."""
    hidden = ended.unseen[ended.unseen["reason"].str.startswith("CloudTrail hides")]
    assert len(hidden) == 1
    assert len(hidden["event_ids"].iloc[0]) == 1


def test_every_action_has_its_meaning(ended):
    """Access, tactic and technique in both numberings, id of the AWS catalogue, counts and ids."""
    made = ended.actions[ended.actions["event_name"] == "CreateAccessKey"].iloc[0]
    assert (made["access"], made["technique"], made["ttc"], made["events"]) == (
        "credential",
        "T1098.001",
        "T1098.001",
        2,
    )
    assert len(made["event_ids"]) == 2
    assert made["first"] <= made["last"]


def test_the_incident(incident):
    """Snapshot shared, secrets read, trail stopped, machines running, temporary credentials over: all in words, too."""
    case, truth = incident
    made = impact(case)
    assert set(made.read["what"]) >= {"secret", "disk, by a snapshot of it"}
    assert set(made.taken["detail"]) <= set(truth["external_accounts"])
    assert list(made.destroyed["event_name"]) == ["StopLogging"]
    assert made.instances["large"].all()
    states = dict(zip(made.open["node"], made.open["state"], strict=True))
    assert {state for node, state in states.items() if node.startswith("access_key:ASIA")} == {"expired"}
    true = {event for event, _ in truth["attacker_events"]}
    for name in ("read", "taken", "destroyed", "instances", "actions"):
        assert {one for ids in made.tables()[name]["event_ids"] for one in ids} <= true, name
    assert any("S3 object data events are not seen" in sentence for sentence in made.words())
    json.dumps(made.to_dict())


def test_the_command_prints_and_gives_one_table(incident):
    """A person reads sentences and tables; a program takes one table or all."""
    path = str(incident[0].path)
    said = CliRunner().invoke(app, ["impact", path])
    assert said.exit_code == 0, said.output
    assert "Still open: 9" in said.output
    table = json.loads(CliRunner().invoke(app, ["impact", path, "--table", "open", "-f", "json"]).stdout)
    assert {"state", "why", "event_ids"} <= set(table[0])
    assert CliRunner().invoke(app, ["impact", path, "-f", "csv"]).exit_code == 2


class Described:
    """A snapshot of an account: one key is off, one user is gone, and us-east-1 alone was asked for machines."""

    taken_at = "2026-06-12T00:00:00Z"
    complete = True
    access_keys = ({"AccessKeyId": "AKIAOFF", "Status": "Inactive"}, {"AccessKeyId": "AKIAON", "Status": "Active"})
    users = ({"Arn": f"arn:aws:iam::{ACCOUNT}:user/there"},)
    login_profiles = ({"UserName": "there"},)
    roles = ()
    instances = ({"InstanceId": "i-1", "State": {"Name": "running"}},)
    snapshots = ()

    def pages(self, call, *, region=None):
        """Pages of a call in a Region."""
        return [("us-east-1", "", {})] if region == "us-east-1" else []


@pytest.mark.parametrize(
    ("node", "state"),
    [
        ("access_key:AKIAOFF", "closed"),
        ("access_key:AKIAON", "open"),
        ("access_key:AKIAGONE", "closed"),
        (f"principal:arn:aws:iam::{ACCOUNT}:user/there", "open"),
        (f"principal:arn:aws:iam::{ACCOUNT}:user/gone", "closed"),
        (f"principal:arn:aws:iam::{ACCOUNT}:role/unasked", None),
        (f"login_profile:arn:aws:iam::{ACCOUNT}:user/there", "open"),
        (f"login_profile:arn:aws:iam::{ACCOUNT}:user/gone", "closed"),
        (f"resource:arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-1", "open"),
        (f"resource:arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-2", "closed"),
        (f"resource:arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/i-3", None),
        ("access_key:ASIATEMPORARY", None),
    ],
)
def test_a_snapshot_of_the_account_says_what_stands(node, state):
    """Present, switched off or gone; what was not asked for, and what is newer than the snapshot, is not told."""
    one = {"id": node, "value": node.partition(":")[2]}
    said = described.state(one, Described(), pd.Timestamp("2026-06-10T00:00Z"))
    assert (said and said[0]) == state
    assert described.state(one, Described(), pd.Timestamp("2026-06-13T00:00Z")) is None
    assert described.state(one, None, pd.NaT) is None
