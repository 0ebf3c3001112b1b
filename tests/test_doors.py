"""What a change by the attacker lets in: each kind of door, who comes through it, and who does not."""

import pytest
from trail import ACCOUNT, CLI, FOREIGN, OFFICE, SDK, THIEF, Trail, role, service, user

from cirtlib.scope import doors, scope

LEAKED, OTHERS = "AKIALEAKED", "AKIAOTHERS"
INSTANCE = "i-0123456789abcdef0"
HOST = f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/{INSTANCE}"
THIEF_AT = {"ip": THIEF, "agent": SDK}


@pytest.fixture
def trail():
    """Nine days of a user and an instance at work, then the user's key in the thief's hands."""
    made = Trail()
    made.habit(user("alice", LEAKED))
    made.habit(role("web", INSTANCE, "ASIAHOST"), ip="10.0.0.5", agent=CLI)
    made.add(9.5, user("alice", LEAKED), "sts:GetCallerIdentity", **THIEF_AT)
    return made


def judged(trail, folder):
    """Verdicts by event id, and the scope."""
    found = scope(trail.case(folder, {"access_key": LEAKED}))
    return dict(zip(found.verdicts["event_id"], found.verdicts["verdict"], strict=True)), found


def leads(found):
    return {lead["node"]: lead["reason"] for lead in found.leads}


def test_a_key_made_active_again_is_the_attackers_from_then_on(trail, tmp_path):
    """What it did before it was switched off stays its owner's."""
    trail.add(2.0, user("bob", OTHERS), "s3:ListBuckets")
    request = {"userName": "bob", "accessKeyId": OTHERS, "status": "Active"}
    trail.add(9.6, user("alice", LEAKED), "iam:UpdateAccessKey", request=request, **THIEF_AT)
    used = trail.add(9.7, user("bob", OTHERS), "s3:ListBuckets", ip="192.0.2.77")
    said, found = judged(trail, tmp_path)
    assert said[used] == "attacker"
    assert {node["value"]: node["status"] for node in found.extent()}[OTHERS] == "compromised"


def test_a_key_that_was_switched_off_lets_nobody_in(trail, tmp_path):
    """The same call with Inactive changes the key, and its later use is not the attacker's on that account."""
    request = {"userName": "bob", "accessKeyId": OTHERS, "status": "Inactive"}
    trail.add(9.6, user("alice", LEAKED), "iam:UpdateAccessKey", request=request, **THIEF_AT)
    used = trail.add(9.7, user("bob", OTHERS), "s3:ListBuckets", ip="192.0.2.77")
    said, _ = judged(trail, tmp_path)
    assert used not in said


def test_a_role_that_the_attacker_gave_to_an_instance_is_his_there_and_its_old_role_is_not(trail, tmp_path):
    """The instance's sessions of the new role are let in by the change; those of the role that it had are leads."""
    request = {"AssociateIamInstanceProfileRequest": {"InstanceId": INSTANCE, "IamInstanceProfile": {"Name": "admin"}}}
    trail.add(9.6, user("alice", LEAKED), "ec2:AssociateIamInstanceProfile", request=request, **THIEF_AT)
    new = trail.add(9.7, role("admin", INSTANCE, "ASIANEW"), "iam:ListUsers", ip="10.0.0.5")
    old = trail.add(9.7, role("web", INSTANCE, "ASIAHOST"), "s3:ListBuckets", ip="10.0.0.5")
    said, found = judged(trail, tmp_path)
    assert said[new] == "attacker"
    assert old not in said
    assert "after the attacker changed it" in leads(found)["access_key:ASIAHOST"]


def test_an_instance_that_was_given_a_command_is_the_attackers_only_from_his_place(trail, tmp_path):
    """Its own work goes on and is a lead; its credentials at the attacker's network and program are his."""
    request = {"instanceIds": [INSTANCE], "documentName": "AWS-RunShellScript"}
    trail.add(9.6, user("alice", LEAKED), "ssm:SendCommand", request=request, **THIEF_AT)
    own = trail.add(9.7, role("web", INSTANCE, "ASIAOWN"), "s3:ListBuckets", ip="10.0.0.5")
    stolen = trail.add(9.8, role("web", INSTANCE, "ASIATAKEN"), "s3:ListBuckets", **THIEF_AT)
    said, found = judged(trail, tmp_path)
    assert said[stolen] == "attacker"
    assert own not in said
    assert "access_key:ASIAOWN" in leads(found)
    edge = next(edge for edge in found.edges if edge["to"] == "access_key:ASIATAKEN" and edge["kind"] == "minted")
    assert (edge["from"], edge["confidence"]) == (f"resource:{HOST}", "likely")


def test_a_function_of_the_attackers_runs_as_his_and_another_does_not(trail, tmp_path):
    """Lambda names a session after its function; the same name in another account is another function."""
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:sync"
    trail.add(9.6, user("alice", LEAKED), "lambda:CreateFunction20150331", response={"functionArn": arn}, **THIEF_AT)
    trail.assume(9.61, service("lambda.amazonaws.com"), "job", "ASIAFN", session="awslambda_1", account=ACCOUNT)
    ran = trail.add(9.62, role("job", "sync", "ASIAFN"), "s3:ListBuckets", ip="10.0.0.9")
    other = trail.add(9.62, role("job", "sync", "ASIAX", account=FOREIGN), "s3:ListBuckets", ip="10.0.0.9")
    said, _ = judged(trail, tmp_path)
    assert said[ran] == "attacker"
    assert other not in said


def test_a_bucket_shared_with_an_account_lets_that_account_in(trail, tmp_path):
    """Who of that account read before is not let in by the change, nor is anybody else's account."""
    bucket = [{"ARN": "arn:aws:s3:::data", "type": "AWS::S3::Bucket"}]
    who = {name: {"type": "AWSAccount", "principalId": f"AIDA{name}", "accountId": FOREIGN} for name in ("OLD", "NEW")}
    elsewhere = {"type": "AWSAccount", "principalId": "AIDAELSE", "accountId": "123456789012"}
    more = {"account": ACCOUNT, "resources": bucket, "ip": "192.0.2.50"}
    trail.add(9.2, who["OLD"], "s3:GetObject", **more)
    allow = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{FOREIGN}:root"}, "Action": "s3:*"}
    request = {"bucketName": "data", "bucketPolicy": {"Statement": [allow]}}
    trail.add(9.6, user("alice", LEAKED), "s3:PutBucketPolicy", request=request, **THIEF_AT)
    read = trail.add(9.7, who["NEW"], "s3:GetObject", **more)
    others = [trail.add(9.7, one, "s3:GetObject", **more) for one in (who["OLD"], elsewhere)]
    said, _ = judged(trail, tmp_path)
    assert said[read] == "attacker"
    assert not set(others) & set(said)


def test_who_assumed_the_role_before_is_not_let_in_by_the_attackers_policy(trail, tmp_path):
    """A policy that names old friends and a new one lets in the new one."""
    carol, mallory = user("carol", "AKIACAROL"), user("mallory", "AKIAMALLORY")
    trail.assume(3.0, carol, "ops", "ASIAC1")
    named = [f"arn:aws:iam::{ACCOUNT}:user/{name}" for name in ("carol", "mallory")]
    policy = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": named}, "Action": "sts:AssumeRole"}]}
    request = {"roleName": "ops", "policyDocument": policy}
    trail.add(9.6, user("alice", LEAKED), "iam:UpdateAssumeRolePolicy", request=request, **THIEF_AT)
    friend = trail.assume(9.7, carol, "ops", "ASIAC2", ip=OFFICE)
    stranger = trail.assume(9.7, mallory, "ops", "ASIAM1", ip="192.0.2.88", agent=SDK)
    said, found = judged(trail, tmp_path)
    assert said[stranger] == "attacker"
    assert friend not in said
    assert "access_key:AKIACAROL" in leads(found)


@pytest.mark.parametrize(
    ("call", "request_", "named"),
    [
        ("AddPermission", {"functionName": "f", "principal": "999988887777"}, {"999988887777"}),
        ("PutKeyPolicy", {"policy": '{"Statement": {"Effect": "Allow", "Principal": "*"}}'}, {"*"}),
        ("PutResourcePolicy", {"resourcePolicy": "not JSON"}, set()),
        ("PutBucketPolicy", {"bucketName": "x"}, set()),
    ],
)
def test_whom_a_policy_names_is_read_from_every_form(call, request_, named):
    """Text or object, a list or one, or nothing that can be read."""
    assert doors.named_by_policy(call, request_) == named
