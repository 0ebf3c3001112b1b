"""Grading by state: whatever contains soundly has full marks; what leaves a way open, or breaks others' work, not."""

import json

import pytest

pytest.importorskip("moto")

from practice_bench import Hands, exercise, planned, practice

pytestmark = pytest.mark.integration

FULL = {"ways": 1.0, "uses": 1.0, "evidence": 1.0, "cleanup": 1.0}
DENY_ALL = "arn:aws:iam::aws:policy/AWSDenyAll"
DENY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})


@pytest.fixture(scope="module")
def spaces(tmp_path_factory):
    """Exercises of this module, each made once."""
    made = {}

    def get(name, seed=1):
        if (name, seed) not in made:
            made[name, seed] = exercise(name, seed, tmp_path_factory.mktemp("learner") / "exercise")
        return made[name, seed]

    return get


def place(arn):
    """Account, kind and name of a user or role."""
    return arn.split(":")[4], arn.split(":")[5].partition("/")[0], arn.rsplit("/", 1)[-1]


def start_logging(account):
    trail = account.truth["logging"].get("trail")
    if trail:
        account.client("cloudtrail", trail.split(":")[4], trail.split(":")[3]).start_logging(Name=trail)


def machines(account):
    """The attacker's instances: account, Region, id."""
    for arn in account.extent("resource"):
        if ":instance/" in arn:
            yield arn.split(":")[4], arn.split(":")[3], arn.rsplit("/", 1)[-1]


def terminate(account, *, keep):
    for owner, region, name in machines(account):
        ec2 = account.client("ec2", owner, region)
        if keep:
            ec2.create_snapshots(InstanceSpecification={"InstanceId": name})
        ec2.terminate_instances(InstanceIds=[name])


def clean(account):
    """Put back trusts and shares, and drop key pairs."""
    for arn, before in account.truth["trust_before"].items():
        iam = account.client("iam", place(arn)[0])
        iam.update_assume_role_policy(RoleName=place(arn)[2], PolicyDocument=json.dumps(before))
    for arn in account.extent("resource"):
        region, kind, name = arn.split(":")[3], arn.split(":")[5].partition("/")[0], arn.rsplit("/", 1)[-1]
        if kind == "key-pair":
            account.client("ec2", arn.split(":")[4], region).delete_key_pair(KeyPairId=name)
    for owner, content in account.bench.record.after["accounts"].items():
        for snapshot in content["snapshots"]:
            for other in snapshot.get("shared_with", []):
                account.client("ec2", owner, snapshot["Region"]).modify_snapshot_attribute(
                    SnapshotId=snapshot["SnapshotId"], Attribute="createVolumePermission", OperationType="remove",
                    UserIds=[other],
                )  # fmt: skip


def deactivate(account):
    """Deactivate every long-term key that the attacker held."""
    keys = set(account.extent("credential"))
    for owner, content in account.bench.record.after["accounts"].items():
        for user in content["users"]:
            for key in user["keys"]:
                if key["AccessKeyId"] in keys:
                    account.client("iam", owner).update_access_key(
                        UserName=user["UserName"], AccessKeyId=key["AccessKeyId"], Status="Inactive"
                    )


def by_hand(account):
    """An inline policy that denies all."""
    for arn in account.extent("principal", "compromised"):
        owner, kind, name = place(arn)
        who = {"UserName": name} if kind == "user" else {"RoleName": name}
        put = account.client("iam", owner).put_user_policy if kind == "user" else None
        (put or account.client("iam", owner).put_role_policy)(**who, PolicyName="stop", PolicyDocument=DENY)


def boundary(account):
    """A permissions boundary that lets nothing through."""
    for arn in account.extent("principal", "compromised"):
        owner, kind, name = place(arn)
        iam = account.client("iam", owner)
        if kind == "user":
            iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=DENY_ALL)
        else:
            iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=DENY_ALL)


def organization(account):
    """A service control policy that denies the compromised principals, and nobody else."""
    condition = {"ArnEquals": {"aws:PrincipalArn": account.extent("principal", "compromised")}}
    deny_everywhere(account, Condition=condition)


def deny_everywhere(account, **more):
    management = account.emulated.home
    organizations = account.client("organizations", management)
    root = organizations.list_roots()["Roots"][0]
    if not root["PolicyTypes"]:
        organizations.enable_policy_type(RootId=root["Id"], PolicyType="SERVICE_CONTROL_POLICY")
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*"} | more
    made = organizations.create_policy(
        Name="stop", Description="d", Type="SERVICE_CONTROL_POLICY",
        Content=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )  # fmt: skip
    organizations.attach_policy(PolicyId=made["Policy"]["PolicySummary"]["Id"], TargetId=root["Id"])


def delete_made_users(account):
    """Delete the users that the attacker made, with all that they have; and deny the others."""
    before = {u["Arn"] for content in account.bench.record.before["accounts"].values() for u in content["users"]}
    by_hand(account)
    for arn in account.extent("principal"):
        owner, kind, name = place(arn)
        if kind != "user" or arn in before:
            continue
        iam = account.client("iam", owner)
        for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
            iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        for one in iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]:
            iam.detach_user_policy(UserName=name, PolicyArn=one["PolicyArn"])
        for one in iam.list_user_policies(UserName=name)["PolicyNames"]:
            iam.delete_user_policy(UserName=name, PolicyName=one)
        iam.delete_user(UserName=name)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", ["exposed_credentials", "misconfigured_resource"])
def test_the_librarys_own_plan_has_full_marks(spaces, name, seed, tmp_path):
    space = spaces(name, seed)
    steps = planned(space)
    with practice(space, tmp_path) as account:
        hands = Hands(account)
        for step in steps:
            hands.contain(step)
        judged = account.bench.judge()
    assert judged.points == FULL, (judged.broken, judged.lost, judged.standing)
    assert {way["result"] for way in judged.ways} == {"closed"}


@pytest.mark.parametrize("contain", [by_hand, boundary, organization, delete_made_users])
def test_any_sound_way_of_containing_has_full_marks(spaces, contain, tmp_path):
    with practice(spaces("exposed_credentials"), tmp_path) as account:
        start_logging(account)
        deactivate(account)
        contain(account)
        clean(account)
        terminate(account, keep=True)
        judged = account.bench.judge()
    assert judged.points == FULL, (judged.ways, judged.broken, judged.lost, judged.standing)


def test_nothing_done_leaves_the_attacker_in_and_breaks_nobody(spaces, tmp_path):
    with practice(spaces("exposed_credentials"), tmp_path) as account:
        nothing = account.bench.judge()
        assert (nothing.points["ways"], nothing.points["cleanup"], nothing.points["uses"]) == (0.0, 0.0, 1.0)
        assert nothing.points["evidence"] < 1  # the trail is still stopped
        assert (nothing.order, nothing.minutes) == ([], None)
        left = {one["node"] for one in nothing.standing}
        assert any(":user/" in node for node in left)  # the user that the attacker made
        # a key alone: the sessions live on
        start_logging(account)
        deactivate(account)
        half = account.bench.judge()
    open_ways = [way["text"] for way in half.ways if way["result"] == "open"]
    assert any(text.startswith("session ASIA") for text in open_ways)
    assert not any(text.startswith("access key") for text in open_ways)
    assert 0 < half.points["ways"] <= 0.5


def test_denying_everybody_closes_the_ways_and_breaks_the_rest(spaces, tmp_path):
    with practice(spaces("exposed_credentials"), tmp_path) as account:
        start_logging(account)
        deny_everywhere(account)
        judged = account.bench.judge()
    assert (judged.points["ways"], judged.points["uses"]) == (1.0, 0.0)
    assert "service control policy" in judged.broken[0]["text"]
    assert judged.broken[0]["event_ids"]


def test_an_innocents_key_that_is_shut_costs(spaces, tmp_path):
    with practice(spaces("exposed_credentials"), tmp_path) as account:
        start_logging(account)
        theirs = account.truth["innocents"]["legit_role_session"]
        owner, _, name = place(theirs["user"])
        account.client("iam", owner).update_access_key(UserName=name, AccessKeyId=theirs["user_key"], Status="Inactive")
        judged = account.bench.judge()
    assert [theirs["user_key"] in one["who"] for one in judged.broken] == [True]
    assert 0.5 < judged.points["uses"] < 1


def test_evidence_is_lost_by_terminating_first_and_by_logging_last(spaces, tmp_path):
    with practice(spaces("exposed_credentials"), tmp_path) as account:
        terminate(account, keep=False)
        start_logging(account)
        judged = account.bench.judge()
    said = " ".join(one["text"] for one in judged.lost)
    assert "was terminated before a snapshot" in said
    assert "came before logging was on again" in said
    assert judged.points["evidence"] == 0.0
