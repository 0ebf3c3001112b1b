"""What a plan stops and what it breaks, call by call."""

import json
from datetime import timedelta

import pandas as pd
import pytest

from cirtlib.containment import effect
from cirtlib.containment.planning import build
from cirtlib.containment.step import NOW, Plan, Ref, Step, call, number, read
from tests import plan_sample as sample
from tests.plan_sample import BACKDOOR, DEV, FOREIGN, HOME, PARTNER, SECOND, START, TRUST, USER


def judged(events=None, given=None, **more):
    return build(sample.incident(events=events, given=given, **more)).effect


def test_every_call_of_the_attackers_is_accounted_for():
    """Stopped, alive, expired, possible and unknown add up; nothing is possible when all is contained."""
    mine = judged()["attacker"]
    parts = [mine[name] for name in ("stopped", "alive", "expired")]
    listed = sum(one["count"] for name in ("possible", "unknown") for one in mine[name])
    assert sum(parts) + listed == mine["calls"]
    assert mine["possible"] == []
    assert sum(one["calls"] for one in mine["by_step"]) == mine["stopped"]


def test_the_key_is_stopped_by_its_own_step():
    """Calls with the leaked key end with the step that deactivates it, also those that a deny would let through."""
    plan = build(sample.incident())
    key = next(step for step in plan.steps if sample.LEAKED in step.title)
    stopped = {one["step"]: one["calls"] for one in plan.effect["attacker"]["by_step"]}
    assert stopped[key.id] == 2  # GetCallerIdentity and AssumeRole


@pytest.mark.parametrize("call", ["sts:GetCallerIdentity", "sts:GetSessionToken"])
def test_a_live_credential_is_no_access(call):
    """What answers under every deny is told apart from what is still possible."""
    events = sample.log()
    before = judged()["attacker"]["alive"]
    events.add(call)
    mine = judged(events)["attacker"]
    assert mine["alive"] == before + 1
    assert mine["possible"] == []


def test_what_no_step_contains_is_named():
    """A call by root is still possible, and said with its event."""
    events = sample.log()
    root = f"arn:aws:iam::{HOME}:root"
    event = events.add("s3:GetObject", who=root, key="ASIAROOT0000000000009")
    found = judged(events)
    (one,) = found["attacker"]["possible"]
    assert (one["principal"], one["call"], one["event_ids"]) == (root, "s3:GetObject", [event])
    assert any("Still possible: 1 times s3:GetObject" in said and event in said for said in found["says"])


def test_what_breaks_is_told_with_whose_and_until_when():
    """The owners' calls through a contained role break, so many a day, until the deny may be lifted."""
    found = judged()["legitimate"]
    (one,) = found["broken"]
    assert one["principal"] == DEV
    assert one["calls"] == 4
    assert one["sessions"] == ["carol"]
    assert one["services"] == ["s3"]
    assert "verify.sh passes" in one["until"]
    (said,) = [one for one in judged()["says"] if one.startswith("Breaks")]
    assert "4 calls that succeeded in the 4.0 days of the logs, about 1.0 a day (s3)" in said


def entered(who, *, door):
    events = sample.Log()
    events.add("iam:CreateRole", who=f"arn:aws:iam::{HOME}:user/admin", verdict="", at=START - timedelta(days=5),
               request={"roleName": "devRole", "assumeRolePolicyDocument": json.dumps(TRUST)})  # fmt: skip
    if door:
        request = {"roleName": "devRole", "policyDocument": json.dumps(BACKDOOR)}
        events.add("iam:UpdateAssumeRolePolicy", request=request)
    events.add("sts:AssumeRole", who=who, key="", request={"roleArn": DEV}, caller_account=who.split(":")[0])
    return events


def test_a_closed_door_stops_the_foreign_caller():
    """A role's trust is judged as the plan leaves it."""
    given = {"nodes": [sample.node("principal", DEV, "compromised")], "edges": []}
    vendor = f"{FOREIGN}:AIDAVENDOR"
    plan = build(sample.incident(events=entered(vendor, door=True), given=given))
    stopped = {one["step"].partition("-")[2] for one in plan.effect["attacker"]["by_step"]}
    assert "close-door" in stopped
    open_still = build(sample.incident(events=entered(vendor, door=False), given=given)).effect["attacker"]
    assert open_still["possible"] == []
    assert open_still["alive"] == 1  # it opens sessions that can do nothing while the role is denied


def test_one_call_in_two_accounts_counts_once():
    """The record that the role's account keeps of an entry is the same call."""
    events = sample.log()
    for row in events.rows:
        row["shared_event_id"] = None
        if row["event_name"] == "AssumeRole" and row["minted_key"] == sample.HOP:
            row["shared_event_id"] = "shared"
    twin = {"minted_key": sample.HOP, "minted_principal": PARTNER, "request": {"roleArn": PARTNER}}
    before = judged()["attacker"]["calls"]
    events.add("sts:AssumeRole", who=f"{HOME}:AROADEV:x", key="", account=SECOND, shared_event_id="shared", **twin)
    incident = sample.incident(events=events)
    frame = pd.DataFrame(events.rows)
    frame["event_time"] = pd.to_datetime(frame["event_time"], utc=True)
    object.__setattr__(incident, "events", frame)
    assert build(incident).effect["attacker"]["calls"] == before


def test_an_expired_session_is_said_to_be_expired():
    """A session whose time was over before the plan was made is neither stopped nor possible."""
    events = sample.log()
    key = "ASIAEXPIRED000000008"
    events.add("s3:GetObject", who=f"arn:aws:iam::{HOME}:root", key=key)
    given = sample.scope()
    given["nodes"].append(sample.node("credential", key, "compromised", expires="2026-06-10T13:00:00Z"))
    mine = judged(events, given)["attacker"]
    assert mine["expired"] == 1
    assert mine["possible"] == []


def test_little_is_unknown():
    """Of the sample nothing is left without a judgement."""
    assert judged()["unknown_share"] == 0
    assert USER  # the sample's user is denied, so that its sessions are judged


def denying(key, **condition):
    """Step that puts a deny on devRole, under this condition."""
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition}
    policy = Ref(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    put = call("iam", "PutRolePolicy", RoleName="devRole", PolicyName=key, PolicyDocument=policy)
    return Step(key, "contain", key, DEV, HOME, "us-east-1", put, read(put, "x"))


def under(events, *steps):
    """What becomes of the attacker's calls under these steps."""
    incident = sample.incident(events=events)
    frame = pd.DataFrame(events.rows)
    frame["event_time"] = pd.to_datetime(frame["event_time"], utc=True)
    object.__setattr__(incident, "events", frame)
    return effect.judge(incident, Plan("ir-001", "t", "2026-06-12T09:00:00Z", number(list(steps))))["attacker"]


@pytest.mark.parametrize(("name", "stopped"), [("i-0a1b2c3d4e5f60001", 0), ("eve", 1)])
def test_a_revocation_does_not_reach_what_an_instance_gets_anew(name, stopped):
    """An instance that stays on hands out credentials that are newer than the cut-off."""
    events = sample.Log()
    events.add("s3:ListBuckets", session_name=name, session_created=START, source_identity=None, sign_in_session=None)
    found = under(events, denying("revoke", DateLessThan={"aws:TokenIssueTime": str(NOW)}))
    assert found["stopped"] == stopped
    assert ["hands out new" in one["why"] for one in found["possible"]] == [True] * (1 - stopped)


def test_a_doubt_is_kept_when_a_later_deny_is_certain_not_to_apply():
    """One deny by a key that no log tells, then one for another source identity: still not known."""
    events = sample.Log()
    events.add("s3:ListBuckets", session_created=START, source_identity="eve", sign_in_session=None)
    doubtful = denying("one", StringEquals={"aws:PrincipalOrgID": "o-a1b2c3d4e5"})
    other = denying("two", StringEquals={"aws:SourceIdentity": "mallory"})
    assert [one["count"] for one in under(events, doubtful, other)["unknown"]] == [1]
    assert [one["count"] for one in under(events, other, doubtful)["unknown"]] == [1]
