"""No plan locks those out who respond; what was odd about their identities is the first warning."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from cirtlib.containment import responders
from cirtlib.containment.planning import build
from cirtlib.containment.step import Step, call, read
from cirtlib.errors import PlanError
from tests import plan_sample as sample
from tests.plan_sample import DEV, FOREIGN, HOME, SECOND, START, USER

ROLE = f"arn:aws:iam::{SECOND}:role/responder"
BETWEEN = f"arn:aws:iam::{SECOND}:role/between"
ERIN = f"arn:aws:iam::{HOME}:user/erin"


def trusting(*who):
    return {"Statement": [{"Effect": "Allow", "Principal": {"AWS": list(who)}, "Action": "sts:AssumeRole"}]}


def entered(*callers):
    events = sample.log()
    for who in callers:
        events.add("sts:AssumeRole", who=who, verdict="owner", key=None, minted_principal=ROLE, account=SECOND)
    return events


@pytest.mark.parametrize(
    ("trusts", "callers"),
    [
        ({ROLE: trusting(DEV)}, ()),
        ({ROLE: trusting(DEV, USER)}, ()),
        ({ROLE: trusting(BETWEEN), BETWEEN: trusting(USER)}, ()),
        ({ROLE: trusting(f"arn:aws:sts::{HOME}:assumed-role/devRole/lee")}, ()),
        ({}, (USER,)),
    ],
)
def test_a_role_behind_contained_identities_is_locked_out(trusts, callers):
    """Where every way into the responder's role leads through what the plan contains, the plan is refused."""
    with pytest.raises(PlanError, match=rf"\d+-deny.* would lock out the responder {ROLE}"):
        build(sample.incident(events=entered(*callers), responders=(ROLE,), trusts=trusts))


@pytest.mark.parametrize(
    ("trusts", "callers"),
    [
        ({ROLE: trusting(DEV, ERIN)}, ()),
        ({ROLE: trusting(f"arn:aws:iam::{HOME}:root")}, (USER,)),
        ({ROLE: {"Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}}}}, ()),
        ({ROLE: trusting(BETWEEN), BETWEEN: trusting(ROLE, ERIN)}, ()),
        ({ROLE: trusting(BETWEEN), BETWEEN: trusting(ROLE)}, ()),
        ({}, (USER, ERIN)),
        ({}, ()),
    ],
)
def test_a_role_with_another_way_in_is_not(trusts, callers):
    """One way that stays open, or none that is known, is no lock-out; a circle of roles is none either."""
    assert build(sample.incident(events=entered(*callers), responders=(ROLE,), trusts=trusts)).steps


def test_a_trust_policy_that_is_put_back_may_shut_a_responder_out():
    """What counts is the trust policy as it will be when the plan has run."""
    events = sample.log()
    before = {"roleName": "devRole", "assumeRolePolicyDocument": json.dumps(trusting(USER))}
    for row in events.rows:
        if row["event_name"] == "CreateRole":
            row["request"] = json.dumps(before)
    scope = sample.scope()
    scope["nodes"] = [node for node in scope["nodes"] if node["value"] != DEV]
    scope["nodes"].append(sample.node("principal", DEV, "changed"))
    wide = {ROLE: trusting(DEV), DEV: trusting(f"arn:aws:iam::{HOME}:root")}
    with pytest.raises(PlanError, match="would lock out the responder"):
        build(sample.incident(events=events, given=scope, responders=(ROLE,), trusts=wide))


def written(service, operation, **parameters):
    target = parameters.get("Bucket") or parameters.get("GroupName") or "policy"
    look = read(call("sts", "GetCallerIdentity"), "Account", expected=HOME)
    return Step(key="x", id="01-x", phase="contain", title="x", target=f"arn:aws:s3:::{target}", account=HOME,
                region="us-east-1", api=call(service, operation, **parameters), verify=look)  # fmt: skip


def bucket(statement):
    policy = json.dumps({"Statement": [{"Effect": "Deny", "Principal": "*", "Resource": "*", **statement}]})
    return written("s3", "PutBucketPolicy", Bucket="data", Policy=policy)


def sparing(*arns, operator="ArnNotLike"):
    return {"Condition": {operator: {"aws:PrincipalArn": list(arns)}}}


@pytest.mark.parametrize(
    "statement",
    [
        {"Action": "s3:*"},
        {"Action": ["s3:GetObject", "s3:PutBucket*"], "Principal": {"AWS": "*"}},
        {"Action": "*", **sparing(ERIN)},
        {"NotAction": "s3:GetObject"},
    ],
)
def test_a_bucket_policy_without_exemption_is_refused(statement):
    """A denial to everybody of what would undo it must leave out every responder."""
    with pytest.raises(PlanError, match="01-x: its policy denies to everybody"):
        responders.refuse_lock_out(sample.incident(responders=(ROLE,)), [bucket(statement)])


@pytest.mark.parametrize(
    "statement",
    [
        {"Action": "s3:*", **sparing(ROLE, ERIN)},
        {"Action": "s3:*", **sparing(f"arn:aws:iam::{SECOND}:role/*", operator="StringNotLikeIfExists")},
        {"Action": "s3:DeleteBucket"},
        {"Action": "s3:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        {"Action": "s3:*", "Effect": "Allow"},
        {"Action": "s3:*", "Principal": {"AWS": FOREIGN}},
    ],
)
def test_a_bucket_policy_that_spares_responders_passes(statement):
    """An exemption by name or pattern, a guard-rail on something else, a transport rule, one foreign account."""
    responders.refuse_lock_out(sample.incident(responders=(ROLE,)), [bucket(statement)])


def test_a_brake_without_exemption_is_refused():
    """So is a service control policy that binds a responder; and without responders any that denies to everybody."""
    deny = {"Statement": [{"Effect": "Deny", "Action": "iam:*", "Resource": "*"}]}
    step = written("organizations", "CreatePolicy", Content=json.dumps(deny))
    for named in ((ROLE,), ()):
        with pytest.raises(PlanError, match="denies to everybody"):
            responders.refuse_lock_out(sample.incident(responders=named), [step])
    deny["Statement"][0] |= sparing(ROLE)
    spared = written("organizations", "CreatePolicy", Content=json.dumps(deny))
    responders.refuse_lock_out(sample.incident(responders=(ROLE,)), [spared])


def test_a_group_that_is_denied_takes_its_responder_with_it():
    """A user of a group to which a step denies everything is locked out."""
    step = written("iam", "AttachGroupPolicy", GroupName="admins", PolicyArn="arn:aws:iam::aws:policy/AWSDenyAll")
    incident = sample.incident(responders=(ERIN,))
    with pytest.raises(PlanError, match="01-x would lock out"):
        responders.refuse_lock_out(replace(incident, groups={ERIN: ("admins",)}), [step])
    responders.refuse_lock_out(replace(incident, groups={ERIN: ("people",)}), [step])


def log_of(who=ERIN, **more):
    """Erin works from her own network before the attack, and then does one more thing."""
    events = sample.log()
    usual = {"source_network": "192.0.2.0/24", "user_agent_family": "aws-cli"}
    events.add("iam:ListUsers", who=ERIN, verdict="", at=START - timedelta(days=1), **usual)
    last = events.add("iam:ListRoles", who=who, verdict=more.pop("verdict", ""), **usual | more)
    return events, last


def warned(events):
    frame = events.events()
    for name in ("source_network", "user_agent_family"):
        frame[name] = [row.get(name) for row in events.rows]
    plan = build(replace(sample.incident(events=events, responders=(ERIN,)), events=frame))
    return plan.warnings[0] if plan.warnings[0].startswith("Look at this first") else ""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"source_network": "203.0.113.0/24"}, "a network that is new for it (203.0.113.0/24)"),
        ({"user_agent_family": "nmap"}, "a program that is new for it (nmap)"),
        ({"region": "sa-east-1"}, "a Region that is new for it (sa-east-1)"),
        ({"verdict": "attacker"}, "are the attacker's"),
        ({"verdict": "unclear"}, "are in doubt"),
    ],
)
def test_odd_use_of_a_responder_comes_first(more, said):
    """The first warning names the responder, what is odd, and the event."""
    events, last = log_of(**more)
    warning = warned(events)
    assert said in warning
    assert ERIN in warning
    assert last in warning


def test_usual_use_is_not_warned_of():
    """The same network, program and Region as before is no warning, nor is somebody else's."""
    assert warned(log_of()[0]) == ""
    assert warned(log_of(who=f"arn:aws:iam::{HOME}:user/finn", source_network="203.0.113.0/24")[0]) == ""


def test_a_responder_without_days_before_is_all_new():
    """An identity made for emergencies has no habit: all that it did is shown."""
    events, last = log_of()
    events.rows = [row for row in events.rows if row["event_name"] != "ListUsers"]
    assert f"made no call before the attack; 1 event ({last}) since are all new" in warned(events)
