"""Grading by state: whatever contains soundly has full marks; what leaves a way open, or breaks others' work, not."""

import copy
import json
from pathlib import Path

import pytest

pytest.importorskip("moto")

from containing import (
    PARTS,
    STRATEGIES,
    boundary,
    clean,
    deactivate,
    delete_made_users,
    machines,
    organization,
    place,
    scores,
    start_logging,
    terminate,
)
from practice_bench import exercise, practice

from cirtlib.training.exercise.submit import describe
from cirtlib.training.practice.attacker import ways
from cirtlib.training.practice.isolation import attackers_addresses
from cirtlib.training.practice.judge import _share_of_ways
from cirtlib.training.practice.untried import sentence

pytestmark = pytest.mark.integration

FULL = {"ways": 1.0, "uses": 1.0, "evidence": 1.0, "cleanup": 1.0}


@pytest.fixture(scope="module")
def spaces(tmp_path_factory):
    """Exercises of this module, each made once."""
    made = {}

    def get(name, seed=1):
        if (name, seed) not in made:
            made[name, seed] = exercise(name, seed, tmp_path_factory.mktemp("learner") / "exercise")
        return made[name, seed]

    return get


@pytest.mark.parametrize("contain", [boundary, organization, delete_made_users])
def test_any_sound_way_of_containing_has_full_marks(spaces, contain, tmp_path):
    with practice(spaces("exposed_credentials"), tmp_path) as account:
        start_logging(account)
        deactivate(account)
        contain(account)
        clean(account)
        terminate(account, keep=True)
        judged = account.bench.judge()
    assert judged.points == FULL, (judged.ways, judged.broken, judged.lost, judged.standing)
    # whoever worked with the role that the attacker held is stopped, too: accepted, and named
    assert any("role/devRole assumed by" in one["who"] for one in judged.interrupted)
    assert not {one["who"] for one in judged.interrupted} & {one["who"] for one in judged.broken}


def test_a_way_that_cannot_be_judged_is_neither_open_nor_closed():
    def shares(*results):
        return _share_of_ways([{"result": one, "writes": False} for one in results])

    assert shares("closed", "open", "unknown", "unknown") == 0.5
    assert shares("closed", "unknown") == 1.0
    assert shares("unknown", "unknown") == 0.0


def test_who_assumes_a_role_is_judged_by_their_address(spaces, tmp_path):
    """Denied to the attacker's addresses, an AssumeRole of the attacker's is closed and the owner's goes on."""
    with practice(spaces("exposed_credentials"), tmp_path) as account:
        theirs = sorted(attackers_addresses(account.bench.record))
        condition = {"IpAddress": {"aws:SourceIp": theirs}}
        policy = {"Effect": "Deny", "Action": "sts:AssumeRole", "Resource": "*", "Condition": condition}
        for arn in account.extent("principal", "compromised"):
            owner, kind, name = place(arn)
            if kind == "user":
                account.client("iam", owner).put_user_policy(
                    UserName=name, PolicyName="p",
                    PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [policy]}),
                )  # fmt: skip
        judged = account.bench.judge()
    entered = [way for way in judged.ways if way["text"].startswith("new session of")]
    assert {way["result"] for way in entered if ":user/" in way["text"].partition(" by ")[2]} == {"closed"}
    assert judged.points["uses"] == 1.0, judged.broken


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


def lost(account):
    """What is lost of the evidence, in words, and the points that are left for it."""
    judged = account.bench.judge()
    return [one["text"] for one in judged.lost], judged.points["evidence"]


def stopped_trail(account):
    """A client of the trail that the attacker stopped, and its ARN."""
    arn = account.truth["logging"]["trail"]
    return account.client("cloudtrail", arn.split(":")[4], arn.split(":")[3]), arn


def test_what_the_learner_made_they_may_take_away_again(spaces, tmp_path):
    with practice(spaces("exposed_credentials"), tmp_path) as account:
        start_logging(account)
        home = account.emulated.home
        ec2, s3, trails = (account.client(one, home) for one in ("ec2", "s3", "cloudtrail"))
        mine = ec2.run_instances(ImageId="ami-0123456789abcdef0", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
        ec2.terminate_instances(InstanceIds=[mine])
        s3.create_bucket(Bucket="my-evidence")
        made = trails.create_trail(Name="my-trail", S3BucketName="my-evidence")["TrailARN"]
        trails.start_logging(Name=made)
        trails.stop_logging(Name=made)
        trails.delete_trail(Name="my-trail")
        s3.delete_bucket(Bucket="my-evidence")
        logs = account.client("logs", home)
        logs.create_log_group(logGroupName="mine")
        logs.delete_log_group(logGroupName="mine")
        assert lost(account) == ([], 1.0)
        client, arn = stopped_trail(account)
        client.stop_logging(Name=arn)
        client.start_logging(Name=arn)
        assert lost(account) == (["CloudTrail was stopped"], 0.5)
        terminate(account, keep=False)
        assert any("was terminated before a snapshot" in text for text in lost(account)[0])


def test_copies_and_looking_may_come_before_logging_is_on_again(spaces, tmp_path):
    with practice(spaces("exposed_credentials"), tmp_path) as account:
        home, source = account.emulated.home, account.emulated.buckets["logs"]
        s3 = account.client("s3", home)
        s3.create_bucket(Bucket="my-evidence")
        block = dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        )
        s3.put_public_access_block(Bucket="my-evidence", PublicAccessBlockConfiguration=block)
        s3.put_bucket_versioning(Bucket="my-evidence", VersioningConfiguration={"Status": "Enabled"})
        key = s3.list_objects_v2(Bucket=source, MaxKeys=1)["Contents"][0]["Key"]
        s3.copy_object(Bucket="my-evidence", Key=key, CopySource={"Bucket": source, "Key": key})
        upload = s3.create_multipart_upload(Bucket="my-evidence", Key="disk")["UploadId"]
        part = s3.upload_part(Bucket="my-evidence", Key="disk", UploadId=upload, PartNumber=1, Body=b"1")["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
        s3.complete_multipart_upload(Bucket="my-evidence", Key="disk", UploadId=upload, MultipartUpload=parts)
        athena, changes = account.client("athena", home), len(account.bench.journal.writes())
        athena.start_query_execution(
            QueryString="SELECT 1", ResultConfiguration={"OutputLocation": "s3://my-evidence/"}
        )
        assert len(account.bench.journal.writes()) == changes
        for owner, region, name in machines(account):
            ec2 = account.client("ec2", owner, region)
            ec2.create_tags(Resources=[name], Tags=[{"Key": "case", "Value": "1"}])
            ec2.modify_instance_attribute(InstanceId=name, DisableApiTermination={"Value": True})
            ec2.create_snapshots(InstanceSpecification={"InstanceId": name})
        start_logging(account)
        assert lost(account) == ([], 1.0)


def test_starting_another_trail_is_not_turning_logging_on(spaces, tmp_path):
    with practice(spaces("exposed_credentials"), tmp_path) as account:
        client, arn = stopped_trail(account)
        accounts = account.bench.record.after["accounts"]
        other = next(one["TrailARN"] for held in accounts.values() for one in held["trails"] if one["TrailARN"] != arn)
        account.client("cloudtrail", other.split(":")[4], other.split(":")[3]).start_logging(Name=other)
        deactivate(account)
        client.start_logging(Name=arn.rsplit("/", 1)[-1])
        texts, points = lost(account)
        assert (["iam:UpdateAccessKey came before logging" in one for one in texts], points) == ([True], 0.75)


def test_logging_on_by_name_or_arn_comes_first(spaces, tmp_path):
    for number, form in enumerate((lambda arn: arn, lambda arn: arn.rsplit("/", 1)[-1])):
        with practice(spaces("exposed_credentials"), tmp_path / str(number)) as account:
            client, arn = stopped_trail(account)
            client.start_logging(Name=form(arn))
            deactivate(account)
            assert lost(account) == ([], 1.0)


def test_a_snapshot_counts_only_while_it_is_there(spaces, tmp_path):
    with practice(spaces("exposed_credentials"), tmp_path) as account:
        start_logging(account)
        made = {}
        for owner, region, name in machines(account):
            ec2 = account.client("ec2", owner, region)
            made[name] = ec2, ec2.create_snapshots(InstanceSpecification={"InstanceId": name})["Snapshots"]
            ec2.terminate_instances(InstanceIds=[name])
        assert lost(account) == ([], 1.0)
        copies = []
        for ec2, snapshots in made.values():
            for one in snapshots:
                copy = ec2.copy_snapshot(SourceSnapshotId=one["SnapshotId"], SourceRegion=ec2.meta.region_name)
                ec2.delete_snapshot(SnapshotId=one["SnapshotId"])
                copies.append((ec2, copy["SnapshotId"]))
        assert lost(account) == ([], 1.0)  # a copy is as good
        for ec2, name in copies:
            ec2.delete_snapshot(SnapshotId=name)
        texts, points = lost(account)
    assert points < 1
    assert {name for name in made if any(f"instance {name} is gone, and so is" in text for text in texts)} == set(made)


BASIC = {"ReadWriteType": "All", "IncludeManagementEvents": True}
FIELDS = [{"Field": "eventCategory", "Equals": ["Management"]}]


SELECTORS = [
    ("EventSelectors", BASIC | {"IncludeManagementEvents": False}, False),
    ("EventSelectors", BASIC | {"ReadWriteType": "ReadOnly"}, False),
    ("EventSelectors", BASIC | {"ReadWriteType": "WriteOnly"}, True),
    ("EventSelectors", BASIC | {"ExcludeManagementEventSources": ["kms.amazonaws.com"]}, True),
    ("AdvancedEventSelectors", {"FieldSelectors": FIELDS}, True),
    ("AdvancedEventSelectors", {"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Data"]}]}, False),
    ("AdvancedEventSelectors", {"FieldSelectors": [*FIELDS, {"Field": "readOnly", "Equals": ["true"]}]}, False),
    ("AdvancedEventSelectors",
     {"FieldSelectors": [*FIELDS, {"Field": "eventSource", "NotEquals": ["iam.amazonaws.com"]}]}, False),
    ("EventSelectors", BASIC, True),
]  # fmt: skip


def test_a_trail_that_logs_must_see_changes_and_reach_a_bucket(spaces, tmp_path):
    with practice(spaces("exposed_credentials"), tmp_path) as account:
        start_logging(account)
        client, arn = stopped_trail(account)
        for kind, selector, sees in SELECTORS:
            client.put_event_selectors(TrailName=arn, **{kind: [selector]})
            texts, points = lost(account)
            assert (texts == [], points) == (sees, 1.0 if sees else 0.5), selector
            assert sees or "leave out management events" in texts[0]
        before = client.describe_trails(trailNameList=[arn])["trailList"][0]
        for change, words in (
            ({"S3BucketName": "amzn-s3-demo-nowhere"}, "delivers into bucket amzn-s3-demo-nowhere"),
            ({"IsMultiRegionTrail": False}, "records one Region alone"),
        ):
            client.update_trail(Name=arn, **change)
            texts, points = lost(account)
            assert ([words in one for one in texts], points) == ([True], 0.5)
            client.update_trail(Name=arn, S3BucketName=before["S3BucketName"], IsMultiRegionTrail=True)
        assert lost(account) == ([], 1.0)


def assumed(record, by, role, number):
    """The attacker's AssumeRole of `role` as a session of the role `by`, as a record of the logs."""
    like = next(
        event for event in record.events.values()
        if event["eventName"] == "AssumeRole" and (event.get("requestParameters") or {}).get("roleArn")
    )  # fmt: skip
    made = copy.deepcopy(like)
    made["eventID"], made["recipientAccountId"] = f"00000000-0000-4000-8000-{number:012}", by.split(":")[4]
    issuer = {"type": "Role", "arn": by, "accountId": by.split(":")[4]}
    made["userIdentity"] = {
        "type": "AssumedRole", "arn": f"arn:aws:sts::{by.split(':')[4]}:assumed-role/{by.rsplit('/', 1)[-1]}/x",
        "sessionContext": {"sessionIssuer": issuer},
    }  # fmt: skip
    made["requestParameters"]["roleArn"] = role
    return made


def test_a_role_that_a_role_opened_is_tried_too_and_cycles_end(spaces, monkeypatch, tmp_path):
    with practice(spaces("exposed_credentials"), tmp_path, begin=False) as account:
        record = account.bench.record
        (first,) = [one for one in account.extent("principal") if one.endswith(":role/devRole")]
        owner = place(first)[0]
        iam, user = account.client("iam", owner), account.truth["innocents"]["owner"]["user"]
        chain = [first, *(f"arn:aws:iam::{owner}:role/{name}" for name in ("Depot", "Vault"))]
        for role, others in (("Depot", first), ("Vault", chain[1]), ("devRole", [chain[2], user])):
            trust = {"Effect": "Allow", "Principal": {"AWS": others}, "Action": "sts:AssumeRole"}
            document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
            if role == "devRole":  # the last opens the first again
                iam.update_assume_role_policy(RoleName=role, PolicyDocument=document)
                continue
            iam.create_role(RoleName=role, AssumeRolePolicyDocument=document)
            iam.attach_role_policy(RoleName=role, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
        steps = list(zip(chain, [*chain[1:], first], strict=True))
        for number, (by, role) in enumerate(steps):
            event = assumed(record, by, role, number)
            monkeypatch.setitem(record.events, (event["eventID"], owner), event)
            pairs = [*record.truth["attacker_events"], [event["eventID"], owner]]
            monkeypatch.setitem(record.truth, "attacker_events", pairs)
        names = {way.name for way in ways(account.bench.authority, record) if way.key}
        assert {f"new session of {role} by {by}" for by, role in steps} <= names
        account.bench.begin()
        # the first role is shut, and the sessions of the second are not: the last is reached by nothing
        deactivate(account)
        iam.attach_role_policy(RoleName="devRole", PolicyArn="arn:aws:iam::aws:policy/AWSDenyAll")
        closed = {way["text"]: way["by"] for way in account.bench.judge().ways if way["result"] == "closed"}
    assert closed[f"new session of {chain[2]} by {chain[1]}"] == "what led to it is closed"


def put_policy(account, arn, statement):
    owner, kind, name = place(arn)
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam = account.client("iam", owner)
    if kind == "user":
        iam.put_user_policy(UserName=name, PolicyName="test", PolicyDocument=document)
    else:
        iam.put_role_policy(RoleName=name, PolicyName="test", PolicyDocument=document)


def test_the_attacker_goes_on_to_what_they_had_not_done_yet(spaces, tmp_path):
    """Stopping the trail, reading a secret, sharing a snapshot, making a key: one of them left is a way left."""
    with practice(spaces("exposed_credentials"), tmp_path) as account:
        tries = account.bench.tries()
        done = {(one.owner, one.call) for one in tries if not one.further}
        works = {(one.owner, one.call) for one in tries if one.further and one.result == "open"}
        assert {call for _, call in works} == {
            "cloudtrail:StopLogging", "secretsmanager:GetSecretValue", "ec2:ModifySnapshotAttribute",
            "iam:CreateAccessKey",
        }  # fmt: skip
        owner, call = min(works - done)
        start_logging(account)
        deactivate(account)
        for arn in account.extent("principal", "compromised"):
            spared = {"NotAction": call} if arn == owner else {"Action": "*"}
            put_policy(account, arn, {"Effect": "Deny", "Resource": "*"} | spared)
        clean(account)
        terminate(account, keep=True)
        judged = account.bench.judge()
    assert {way["call"] for way in judged.ways if way["result"] == "open"} == {call}
    assert 0 < judged.points["ways"] <= 0.5


def test_a_further_step_counts_only_for_whoever_could_take_it_at_first(spaces, tmp_path):
    with practice(spaces("phished_console"), tmp_path) as account:
        user = next(one for one in account.extent("principal") if ":user/dev-" in one)

        def tried():
            return {one.call for one in account.bench.tries() if one.owner == user and one.further}

        before = tried()
        assert "ec2:ModifySnapshotAttribute" not in before
        put_policy(account, user, {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"})
        works = {one.call for one in account.bench.tries() if one.owner == user and one.result == "open"}
        assert "ec2:RunInstances" in works  # the policy is in force
        assert tried() == before


def test_what_could_not_be_tried_is_told_and_costs_nothing(spaces, tmp_path, monkeypatch):
    space = spaces("misconfigured_resource")
    with practice(space, tmp_path, begin=False) as account:
        rule = account.bench.rehearsal.rule
        monkeypatch.setattr(
            account.bench.rehearsal, "rule",
            lambda key, service, operation, *more, **named: None if operation == "ListUsers"
            else rule(key, service, operation, *more, **named),
        )  # fmt: skip
        account.bench.begin()
        STRATEGIES["contain soundly"](account)
        judged = account.bench.judge()
        again = account.bench.judge()
    assert judged.points == FULL, (judged.ways, judged.broken)
    assert judged.untried == again.untried  # nothing is counted twice
    rows = {(one["whose"], one["call"]): one for one in judged.untried}
    agent = rows["attacker", "ssm:UpdateInstanceInformation"]
    theirs = {pair[0] for pair in account.truth["attacker_events"]}
    named = {
        event["eventName"] for (name, _), event in account.bench.record.events.items() if name in agent["event_ids"]
    }
    assert (set(agent["event_ids"]) <= theirs, named) == (True, {"UpdateInstanceInformation"})
    assert {("attacker", "iam:ListUsers"), ("others", "iam:ListUsers")} <= rows.keys()
    assert rows["others", "cloudwatch:GetMetricData"]["count"] > 5
    assert not theirs & {name for one in judged.untried if one["whose"] == "others" for name in one["event_ids"]}
    said = sentence(judged.untried)
    calls, _, pages = said.partition("sign-ins, pages and acts of services are no API calls")
    assert "2 kinds of the attacker's calls could not be tried: iam:ListUsers, ssm:UpdateInstanceInformation" in calls
    assert "cloudwatch:GetMetricData" in calls
    assert "signin:ConsoleLogin" in pages
    assert "signin:" not in calls
    assert "s3:" not in said  # what CloudTrail names otherwise than the SDK is tried
    part = {"points": 1, "out_of": 1}
    shown = {"points": 1, "out_of": 1, "parts": {"questions": part}, "judgement": judged.to_dict()}
    none = {"from": "", "how": "run cirt scope"}
    assert any(said in line for line in describe(space, shown | {"scope": none, "timeline": none}))


# What each bad strategy must lose, by exercise; where a part is not named it must be whole.
LOSES = {
    "exposed_credentials": {
        "contain soundly": set(),
        "do nothing": {"ways", "evidence", "cleanup"},
        "contain everybody": {"uses", "cleanup"},
        "contain the wrong principal": {"ways", "uses", "evidence", "cleanup"},
        "terminate before a snapshot": {"evidence"},
        "deactivate keys, leave sessions": {"ways"},
        "follow every finding blindly": {"ways", "uses", "evidence", "cleanup"},
    },
    "false_alarm": {"contain everybody": {"uses"}, "follow every finding blindly": {"uses"}},
}


@pytest.mark.parametrize(("name", "title"), [(name, title) for name, titles in LOSES.items() for title in titles])
def test_a_strategy_loses_the_points_that_it_should(spaces, name, title, tmp_path):
    space = spaces(name)
    got = scores(space, STRATEGIES[title], tmp_path)
    lost = {part for part, worth in space.exercise.containment.items() if got[part] < worth}
    assert lost == LOSES[name][title], got
    shown = " + ".join(f"{got[part]:g}" for part in PARTS).replace(" ", "")
    page = (Path(__file__).parent.parent / "docs" / "exercises.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith(f"| {title} |")]
    assert f"{shown} = {got['sum']:g}" in row
