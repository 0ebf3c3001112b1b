"""Who else uses what a step changes, and what will stop working."""

import json
from datetime import timedelta

import pandas as pd
import pytest

from cirtlib.containment.planning import build
from tests import plan_sample as sample
from tests.plan_sample import DEV, HOME, INSTANCE, LEAKED, MADE, PARTNER, SNAPSHOT, START, TRAIL, TRUST, USER

CI = f"arn:aws:iam::{HOME}:user/ci"
HOLDER = {"roleName": "devRole", "policyDocument": json.dumps(TRUST)}


def log():
    """The attack, and before it: who used the role, the key, the instance and the snapshot."""
    events = sample.log()
    for day in (1, 2):
        for hour in (6, 7, 15):
            at = (START - timedelta(days=day)).replace(hour=hour)
            more = {"verdict": "", "at": at, "key": "ASIAOTHER00000000009"}
            events.add("sts:AssumeRole", who="ec2.amazonaws.com", minted_principal=DEV, **more | {"key": None})
            events.add("sts:AssumeRole", who=CI, minted_principal=DEV, **more)
            events.add("dynamodb:Query", session_name="i-0aaaaaaaaaaaaaaa1", **more)
            events.add("kms:Decrypt", session_name="deploy", **more)
    more = {"verdict": "", "at": START - timedelta(days=1), "key": None}
    events.add("s3:GetObject", who=USER, user_name="dana", **more | {"key": LEAKED})
    request = {"instancesSet": {"items": [{"instanceId": INSTANCE.rsplit("/", 1)[-1]}]}}
    events.add("ec2:RebootInstances", who=CI, request=request, **more)
    events.add("ec2:DescribeInstances", who=DEV, session_name=INSTANCE.rsplit("/", 1)[-1], **more)
    events.add("ec2:CreateVolume", who=CI, request={"snapshotId": SNAPSHOT.rsplit("/", 1)[-1]}, **more)
    doubtful = {"verdict": "unclear", "at": START - timedelta(hours=5), "session_name": "doubtful"}
    events.add("iam:ListUsers", **doubtful)
    events.add("iam:ListUsers", verdict="", at=START + timedelta(hours=9), session_name="later")
    return events


@pytest.fixture(scope="module")
def plan():
    return build(sample.incident(events=log()))


def step(plan, word, target):
    return next(one for one in plan.steps if one.key.split(" ")[0] == word and one.target == target)


def test_role_is_used_by_its_sessions_and_by_who_assumes_it(plan):
    """Calls of its sessions count, doubtful and later ones do not; callers are those who obtain them."""
    used = step(plan, "deny", DEV).used_by
    # 2 days x 3 hours x 2 calls, 4 of carol's, 1 of the instance's
    assert used["calls"] == 17
    assert used["callers"] == [CI, "ec2.amazonaws.com"]
    assert used["sessions"][:2] == ["deploy", "i-0aaaaaaaaaaaaaaa1"]
    assert {"later", "doubtful"} & set(used["sessions"]) == set()
    assert {"dynamodb", "kms", "s3"} <= set(used["services"])
    assert used["hours"] == [6, 7, 12, 15]
    assert (used["first"], used["last"]) == ("2026-06-06T12:00:00Z", "2026-06-09T15:00:00Z")


def test_impact_is_told_to_the_owner(plan):
    """The sentence says what fails, how much, when, for which services and whom."""
    impact = step(plan, "deny", DEV).impact
    assert impact.startswith("Whatever works as this identity fails")
    assert "17 calls that are not the attacker's, about 3.4 a day" in impact
    assert "in the hours 06-07, 12, 15 (UTC)" in impact
    assert "by: ci, ec2.amazonaws.com" in impact
    assert "deploy" in impact


def test_key_and_user_are_told_apart(plan):
    """A key's use is its own; that of a user whom the attacker made is nobody's."""
    assert step(plan, "key", USER).used_by["calls"] == 1
    assert step(plan, "deny", MADE).used_by["calls"] == 0
    assert "the logs show nobody using it" in step(plan, "deny", MADE).impact


def test_instance_snapshot_and_trail(plan):
    """An instance is used by its own calls and by who names it; others of its role are named; a trail has no users."""
    stop = step(plan, "stop", INSTANCE)
    assert set(stop.used_by["callers"]) == {CI, DEV}
    assert "Other instances with the same role, which this step does not touch: i-0aaaaaaaaaaaaaaa1." in stop.impact
    assert step(plan, "unshare", SNAPSHOT).used_by["callers"] == [CI]
    trail = step(plan, "logging", TRAIL)
    assert trail.used_by is None
    assert trail.impact == "Nothing stops: logging goes on again."


def test_who_a_closed_door_shuts_out():
    """A trust policy that is put back names who came in before and is no longer let in."""
    narrow = {**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": {"Service": "ec2.amazonaws.com"}}]}
    events = log()
    for row in events.rows:
        if row["event_name"] == "CreateRole":
            row["request"] = json.dumps({"roleName": "devRole", "assumeRolePolicyDocument": json.dumps(narrow)})
    shut = step(build(sample.incident(events=events)), "trust", DEV).impact
    assert "does not let in again: ci." in shut
    whole_account = step(build(sample.incident(events=log())), "trust", DEV).impact
    assert "does not let in again: ec2.amazonaws.com." in whole_account


def test_lists_are_short_and_say_how_long_they_are():
    """At most ten are listed, busiest first, and the sentence says how many there are."""
    events = sample.log()
    for number in range(14):
        for _ in range(number + 1):
            at = START - timedelta(days=1)
            events.add("s3:GetObject", who=PARTNER, verdict="", at=at, session_name=f"job-{number:02d}", account=HOME)
    used = step(build(sample.incident(events=events)), "deny", PARTNER)
    assert used.used_by["sessions"] == [f"job-{number:02d}" for number in range(13, 3, -1)]
    assert "job-13, job-12, job-11, job-10, job-09 and 9 more (14 in all)" in used.impact


def test_without_a_baseline_it_says_so():
    """With too few days nothing is called normal, and the owner is to be asked; what was seen is still said."""
    events = log()
    plan = build(sample.incident(events=events, habits=sample.habits(events, exists=False)))
    denied = step(plan, "deny", DEV)
    assert denied.used_by is None
    assert "There is no baseline" in denied.impact
    assert "ask its owner" in denied.impact
    assert "17 calls" in denied.impact


def test_names_from_logs_do_nothing(plan):
    """A name in a log is data to the query and visible text in the sentence."""
    events = sample.log()
    evil = "x' OR 1=1 --\u202e"
    events.add("s3:GetObject", who=PARTNER, verdict="", at=START - timedelta(days=1), session_name=evil)
    impact = step(build(sample.incident(events=events)), "deny", PARTNER).impact
    assert "1 call that" in impact
    assert "\u202e" not in impact


def test_the_case_is_counted_without_its_events_in_memory(incident):
    """On a case the use comes from its store: a role of the incident shows the sessions of before the attack."""
    from cirtlib import queries, scope
    from cirtlib.containment import usage

    case, _ = incident
    judged = scope.load(case)
    habits = usage.of_case(case, judged.to_dict(), judged.verdicts)
    before = queries.events(case, end=judged.content["attack"]["first"])
    role = before["principal"][before["principal"].str.contains(":role/", na=False)].value_counts().index[0]
    rows = habits.count(pd.DataFrame([("role", "principal", role)], columns=["target", "how", "value"]))
    assert rows["count"].sum() == (before["principal"] == role).sum()
