"""What no step can change is named, with its reason and what to do instead."""

import json
from dataclasses import replace

import pytest

from cirtlib.containment import outside
from cirtlib.containment.planning import build
from cirtlib.containment.step import call
from cirtlib.errors import PlanError
from tests import plan_sample as sample
from tests.plan_sample import DEV, FOREIGN, HOME, USER

SSO = f"arn:aws:iam::{HOME}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_PowerUsers_0123456789abcdef"
QUARANTINE = "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3"


def reasons(plan):
    return {one["node"]: one["reason"] for one in plan.unplanned}


def alone(*nodes, events=None, **more):
    """Plan of an extent of these nodes only."""
    return build(sample.incident(events=events or sample.Log(), given={"nodes": list(nodes), "edges": []}, **more))


def test_identity_center_names_the_user_and_how_to_find_it():
    """The permission set, the users behind the attacker's sessions, read-only commands, and what to do then."""
    events = sample.Log()
    events.add("s3:ListBuckets", who=SSO, session_name="alice@example.com")
    events.add("s3:ListBuckets", who=SSO, session_name="bob@example.com", verdict="owner")
    events.add("s3:ListBuckets", who=SSO, session_name="x; reboot")
    plan = alone(sample.node("principal", SSO, "compromised"), events=events)
    assert not plan.steps
    reason = reasons(plan)[f"principal:{SSO}"]
    assert "permission set PowerUsers" in reason
    assert "AttributeValue=alice@example.com`" in reason
    for part in ("bob", "reboot"):
        assert part not in reason
    for part in ("list-instances", "list-account-assignments", "aws:TokenIssueTime", "12 hours"):
        assert part in reason


def test_service_linked_role_names_its_service():
    """It cannot be edited and no guard-rail binds it: the service is the place."""
    role = f"arn:aws:iam::{HOME}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    plan = alone(sample.node("principal", role, "compromised"))
    assert not plan.steps
    assert "autoscaling.amazonaws.com was told to do" in reasons(plan)[f"principal:{role}"]


@pytest.mark.parametrize(
    ("management", "said"),
    [
        ("", "in a member account of an organization"),
        (HOME, "which no guard-rail binds"),
        ("123456789012", "in the management account 123456789012 delete its credentials"),
    ],
)
def test_root(management, said):
    """Root is bound by no IAM policy; what else there is depends on the organization."""
    arn = f"arn:aws:iam::{HOME}:root"
    plan = alone(sample.node("principal", arn, "compromised"), management=(management, "x" if management else ""))
    reason = reasons(plan)[f"principal:{arn}"]
    assert reason.startswith("no IAM policy binds root")
    assert said in reason


def test_foreign_accounts_are_named_with_what_let_them_in():
    """Trust and share with a foreign account: both events, the steps that end it, and that copies stay."""
    plan = build(sample.incident())
    reason = reasons(plan)[f"account:{FOREIGN}"]
    ending = [step.id for step in plan.steps if step.key.split(" ")[0] in ("trust", "unshare")]
    assert len(ending) == 2
    for part in (*ending, "UpdateAssumeRolePolicy (event e-013)", "ModifySnapshotAttribute (event e-017)", "copied"):
        assert part in reason
    assert f"account:{HOME}" not in reasons(plan)


def test_identities_of_foreign_accounts_get_no_step():
    """A role, a user and a key of an account that is not ours are outside the plan's reach."""
    role, user = f"arn:aws:iam::{FOREIGN}:role/theirs", f"arn:aws:iam::{FOREIGN}:user/theirs"
    events = sample.Log()
    events.add("s3:ListBuckets", who=user, key="AKIATHEIRS0000000001")
    nodes = [sample.node("principal", one, "compromised") for one in (role, user)]
    nodes.append(sample.node("credential", "AKIATHEIRS0000000001", "compromised"))
    plan = alone(*nodes, events=events)
    assert not plan.steps
    assert all("does not reach" in one["reason"] for one in plan.unplanned)
    assert len(plan.unplanned) == 3


def quarantined(*more, **who):
    """The attack, after AWS (or `who`) put the leaked key's user under quarantine."""
    events = sample.log()
    request = {"userName": "dana", "policyArn": QUARANTINE}
    by = {"who": f"arn:aws:iam::{HOME}:root", "verdict": "", "source_ip_kind": "aws_internal", **who}
    put = events.add("iam:AttachUserPolicy", key=None, request=request, **by)
    for name in more:
        events.add(name, request=request)
    frame = events.events()
    frame["source_ip_kind"] = [row.get("source_ip_kind") for row in events.rows]
    return build(replace(sample.incident(events=events), events=frame)), put


def test_quarantine_of_aws_is_an_exposure_alert_and_stays():
    """It is flagged with its event, in the warnings and as an entry; no step takes it off."""
    plan, put = quarantined()
    (alert,) = [one for one in plan.warnings if one.startswith("Exposure alert")]
    for part in ("AWS attached AWSCompromisedKeyQuarantineV3 to user dana", put, "contains nobody"):
        assert part in alert
        assert part in reasons(plan)[f"resource:{QUARANTINE}"]
    assert not [step for step in plan.steps if QUARANTINE in json.dumps(step.api)]


def test_quarantine_that_was_taken_off_is_to_come_back():
    """Where the attacker took it off, the alert says so."""
    plan, _ = quarantined("iam:DetachUserPolicy")
    (alert,) = [one for one in plan.warnings if one.startswith("Exposure alert")]
    assert "taken off since by event" in alert


def test_quarantine_by_somebody_else_names_them():
    """What AWS did is told from what somebody else did; the policy stays even if that is held for the attacker."""
    plan, _ = quarantined(who=DEV, source_ip_kind="public", verdict="attacker")
    (alert,) = [one for one in plan.warnings if one.startswith("Exposure alert")]
    assert f"{DEV} attached" in alert
    assert not [step for step in plan.steps if QUARANTINE in json.dumps(step.api)]


def test_a_plan_that_takes_it_off_is_refused():
    """Whatever made such a step, it is not exported."""
    step = next(one for one in build(sample.incident()).steps if one.target == USER)
    wrong = replace(step, api=call("iam", "DetachUserPolicy", UserName="dana", PolicyArn=QUARANTINE))
    with pytest.raises(PlanError, match=f"{step.id}: takes off a quarantine policy"):
        outside.keep_quarantine((step, wrong))
