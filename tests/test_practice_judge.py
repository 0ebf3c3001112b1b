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
