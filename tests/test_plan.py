"""From the extent to ordered steps: every node has a step or a reason, and the state before the attack comes back."""

import json
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

import pytest

from cirtlib.containment.planning import build
from cirtlib.containment.render import plan_json
from cirtlib.containment.restore import CLOSED, without
from cirtlib.containment.validate import check
from cirtlib.errors import PlanError
from tests import plan_sample as sample
from tests.plan_sample import BACKDOOR, DEV, FOREIGN, HOME, MADE, PARTNER, SECOND, TRUST, USER


def steps_of(plan, operation, target=None):
    return [s for s in plan.steps if s.api["operation"] == operation and target in (None, s.target)]


def scope_of(*nodes, edges=()):
    return {"nodes": list(nodes), "edges": list(edges)}


@pytest.fixture(scope="module")
def plan():
    return build(sample.incident(), technique_of=lambda source, name: "T1685" if name == "StopLogging" else "")


def test_order(plan):
    """Logging, evidence, keys, denies, doors, shares, sessions revoked and revoked again, then what was made."""
    words = [step.id.split("-", 1)[1] for step in plan.steps]
    assert words == [
        "start-logging", "record", "protect", "keep-volumes", "snapshot", "deactivate-key", "deactivate-key", "deny",
        "deny", "deny", "deny", "close-door", "isolation-group", "isolation-rules", "isolate", "metadata", "unshare",
        "revoke", "revoke", "revoke-again", "revoke-again", "detach-policy", "delete-password", "stop",
    ]  # fmt: skip
    assert [step.order for step in plan.steps] == list(range(1, 25))


def test_every_node_has_a_step_or_a_reason(plan):
    """No node of the extent is passed over in silence."""
    said = {node for step in plan.steps for node in step.nodes} | {one["node"] for one in plan.unplanned}
    # and the foreign account, which is no node of the extent
    assert said - {f"account:{FOREIGN}"} == {node["id"] for node in sample.incident().extent}


def test_targets_are_of_the_extent(plan):
    """No step changes anything else."""
    assert {step.target for step in plan.steps} <= {node["value"] for node in sample.incident().extent}


def test_trail_is_started_by_name_at_home(plan):
    """StartLogging names the trail, in its home Region and account."""
    (step,) = steps_of(plan, "StartLogging")
    assert step.api["parameters"] == {"Name": "org-trail"}
    assert (step.account, step.region, step.techniques) == (HOME, "us-east-1", ("T1685",))
    assert step.why == ("e-008",)


def test_sessions_are_revoked_after_every_door(plan):
    """A revocation comes after the last deny and trust, waits for it, and comes again in both accounts."""
    revocations = steps_of(plan, "PutRolePolicy")
    doors = [s.order for s in plan.steps if s.id.split("-", 1)[1] in ("deny", "close-door", "deactivate-key")]
    assert [step.target for step in revocations] == [DEV, PARTNER, DEV, PARTNER]
    assert min(step.order for step in revocations) > max(doors)
    assert [step.wait["seconds"] for step in revocations] == [60, 60, 300, 300]
    assert [step.wait["after"] for step in revocations[:3]] == ["12-close-door", "12-close-door", revocations[0].id]


def test_temporary_credentials_are_ended_by_the_revocation(plan):
    """A session key has no step of its own: those that revoke its role carry it."""
    serving = [step.id.split("-", 1)[1] for step in plan.steps if f"access_key:{sample.HOP}" in step.nodes]
    assert serving == ["revoke", "revoke-again"]


def test_lifting_a_deny_needs_the_rest_to_stand(plan):
    """The role's deny may go while keys, trust and revocation stand; the user's only after 36 hours."""
    (role,) = steps_of(plan, "AttachRolePolicy", DEV)
    needed = {step_id.split("-", 1)[1] for step_id in role.rollback["requires"]}
    assert not role.reopens
    assert {"deactivate-key", "close-door", "revoke-again", "stop"} == needed
    (user,) = steps_of(plan, "AttachUserPolicy", USER)
    assert not user.reopens
    assert user.rollback["not_before"]["seconds"] == 36 * 3600
    assert steps_of(plan, "AttachUserPolicy", MADE)[0].reopens


def test_trust_goes_back_to_the_last_state_before(plan):
    """The trust policy is the one that an earlier event set, and the step says which."""
    (step,) = steps_of(plan, "UpdateAssumeRolePolicy")
    assert json.loads(step.api["parameters"]["PolicyDocument"]) == TRUST
    assert "e-001" in " ".join(step.side_effects)


def test_trust_without_an_earlier_event():
    """With nothing earlier in the logs only the attacker's principal goes, and the step says so."""
    plan = build(sample.incident(events=sample.log(before=False)))
    (step,) = steps_of(plan, "UpdateAssumeRolePolicy")
    assert json.loads(step.api["parameters"]["PolicyDocument"]) == TRUST
    assert "only the attacker's principals are taken out" in " ".join(step.side_effects)


@pytest.mark.parametrize(
    ("principal", "left"),
    [
        ({"AWS": [f"arn:aws:iam::{HOME}:root", FOREIGN]}, {"AWS": f"arn:aws:iam::{HOME}:root"}),
        ({"AWS": "*", "Service": "ec2.amazonaws.com"}, {"Service": "ec2.amazonaws.com"}),
        ({"AWS": [DEV, HOME, SECOND]}, {"AWS": [HOME, SECOND]}),
        ({"Federated": "cognito-identity.amazonaws.com"}, {"Federated": "cognito-identity.amazonaws.com"}),
    ],
)
def test_only_what_the_attacker_can_hold_is_taken_out(principal, left):
    """Foreign accounts, everybody and contained principals go; services, providers and our accounts stay."""
    policy = {"Statement": {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}}
    result = without(policy, own_accounts={HOME, SECOND}, contained={DEV})
    assert result["Statement"][0]["Principal"] == left


def test_made_user_stays_shut_once_it_was_used():
    """A user that the attacker made and then used is called compromised; its deny may still never be lifted."""
    scope = sample.scope()
    for node in scope["nodes"]:
        if node["status"] == "attacker_created" and node["kind"] == "principal":
            node["status"] = "compromised"
    scope["nodes"] = [node for node in scope["nodes"] if not node["id"].startswith("login_profile:")]
    (step,) = steps_of(build(sample.incident(given=scope)), "AttachUserPolicy", MADE)
    assert step.reopens


def role_change(document, *, earlier=()):
    events = sample.Log()
    for verdict, request in earlier:
        events.add("iam:UpdateAssumeRolePolicy", verdict=verdict, request={"roleName": "devRole", **request})
    events.add("iam:UpdateAssumeRolePolicy", request={"roleName": "devRole", "policyDocument": document})
    return events


@pytest.mark.parametrize("given", [json.dumps(BACKDOOR), quote(json.dumps(BACKDOOR)), BACKDOOR])
def test_policy_documents_in_every_form(given):
    """A policy in a record may be JSON text, URL-encoded JSON text, or an object."""
    scope = scope_of(sample.node("principal", DEV, "changed"))
    earlier = [("", {"policyDocument": quote(json.dumps(TRUST))})]
    plan = build(sample.incident(events=role_change(given, earlier=earlier), given=scope))
    (step,) = steps_of(plan, "UpdateAssumeRolePolicy")
    assert json.loads(step.api["parameters"]["PolicyDocument"]) == TRUST
    assert not steps_of(plan, "AttachRolePolicy")


def test_doubtful_state_is_not_restored():
    """An earlier change that may be the attacker's is no state before the attack."""
    doubtful = {"policyDocument": json.dumps({**TRUST, "Statement": BACKDOOR["Statement"][1:]})}
    events = role_change(
        json.dumps(BACKDOOR), earlier=[("", {"policyDocument": json.dumps(TRUST)}), ("unclear", doubtful)]
    )
    plan = build(sample.incident(events=events, given=scope_of(sample.node("principal", DEV, "changed"))))
    (step,) = steps_of(plan, "UpdateAssumeRolePolicy")
    assert json.loads(step.api["parameters"]["PolicyDocument"]) == TRUST


def test_trust_in_nobody_else_is_closed():
    """When the attacker's document trusts only foreign accounts, the role is closed to everybody."""
    only = {**BACKDOOR, "Statement": BACKDOOR["Statement"][1:]}
    scope = scope_of(sample.node("principal", DEV, "changed"))
    plan = build(sample.incident(events=role_change(json.dumps(only)), given=scope))
    (step,) = steps_of(plan, "UpdateAssumeRolePolicy")
    assert json.loads(step.api["parameters"]["PolicyDocument"]) == CLOSED


def test_owner_already_put_it_back():
    """A change that the owner made after the attacker's is left alone, with a reason."""
    events = role_change(json.dumps(BACKDOOR))
    events.add(
        "iam:UpdateAssumeRolePolicy",
        verdict="owner",
        request={"roleName": "devRole", "policyDocument": json.dumps(TRUST)},
    )
    plan = build(sample.incident(events=events, given=scope_of(sample.node("principal", DEV, "changed"))))
    assert not plan.steps
    assert plan.unplanned[0]["node"] == f"principal:{DEV}"


def test_responder_is_never_a_target():
    """A responder in the extent is refused, with its reason; nothing is done to it."""
    plan = build(sample.incident(responders=(DEV,)))
    assert not [step for step in plan.steps if step.target == DEV]
    reasons = {one["node"]: one["reason"] for one in plan.unplanned}
    assert "responder" in reasons[f"principal:{DEV}"]


def test_plan_against_a_responder_is_refused(plan):
    """Should a plan target a responder all the same, it is not exported."""
    with pytest.raises(PlanError, match="partnerRole is a responder"):
        check(replace(plan, responders=(PARTNER,)))


def test_same_incident_same_bytes():
    """The plan depends on nothing but the incident: not on the order of rows, not on the clock."""
    incident = sample.incident()
    shuffled = replace(incident, events=incident.events.sample(frac=1, random_state=3))
    assert plan_json(build(incident)) == plan_json(build(shuffled))


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("principal", f"arn:aws:iam::{HOME}:root", "no IAM policy binds root"),
        (
            "principal",
            f"arn:aws:iam::{HOME}:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX",
            "service-linked",
        ),
        ("principal", f"arn:aws:iam::{HOME}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_a_1", "Identity Center"),
        ("credential", "AKIANOBODY0000000001", "GetAccessKeyLastUsed"),
        ("credential", "ASIANOBODY0000000001", "until it expires"),
        ("resource", f"arn:aws:iam::{HOME}:policy/made", "it stays, as evidence"),
        ("resource", "arn:aws:s3:::bucket", "no step for this kind"),
    ],
)
def test_what_cannot_be_planned_has_its_reason(kind, value, said):
    """Each kind of node that no step can deal with says why, and what to do instead."""
    plan = build(sample.incident(given=scope_of(sample.node(kind, value, "compromised"))))
    # after it comes the foreign account, which is no node of the extent
    assert [one["node"] for one in plan.unplanned][:-1] == [sample.node(kind, value, "")["id"]]
    assert said in plan.unplanned[0]["reason"]


@pytest.mark.parametrize(
    ("call", "request_", "gone"),
    [
        ("iam:DeleteAccessKey", {"accessKeyId": sample.MADE_KEY, "userName": "helper"}, "UpdateAccessKey"),
        ("iam:DeleteUser", {"userName": "helper"}, "AttachUserPolicy"),
        ("iam:DetachUserPolicy", {"userName": "helper", "policyArn": sample.ADMIN}, "DetachUserPolicy"),
        ("iam:DeleteLoginProfile", {"userName": "helper"}, "DeleteLoginProfile"),
        ("cloudtrail:StartLogging", {"name": "org-trail"}, "StartLogging"),
        ("ec2:DeleteSnapshot", {"snapshotId": "snap-0a1b2c3d4e5f60001"}, "ModifySnapshotAttribute"),
        (
            "ec2:TerminateInstances",
            {"instancesSet": {"items": [{"instanceId": "i-0a1b2c3d4e5f60001"}]}},
            "StopInstances",
        ),
    ],
)
def test_what_is_gone_gets_no_step(call, request_, gone):
    """A target that was deleted or put back since is not planned for: its step would stop the run."""
    events = sample.log()
    before = len(steps_of(build(sample.incident(events=events)), gone))
    events.add(call, who=f"arn:aws:iam::{HOME}:user/admin", verdict="", request=request_)
    assert len(steps_of(build(sample.incident(events=events)), gone)) == before - 1


def test_everything_that_one_call_made_gets_its_steps():
    """Each machine, snapshot and task of one call is planned for by its own name."""
    machines = [f"arn:aws:ec2:us-east-1:{HOME}:instance/i-0a1b2c3d4e5f6000{n}" for n in (1, 2, 3)]
    tasks = [f"arn:aws:ecs:us-east-1:{HOME}:task/default/0123456789abcde{n}" for n in (1, 2)]
    copies = [f"arn:aws:ec2:us-east-1::snapshot/snap-0a1b2c3d4e5f6000{n}" for n in (1, 2)]
    events = sample.Log()
    items = [{"instanceId": one.rsplit("/", 1)[-1]} for one in machines]
    events.add("ec2:RunInstances", response={"instancesSet": {"items": items}})
    ran = {"tasks": [{"taskArn": one} for one in tasks]}
    events.add("ecs:RunTask", request={"cluster": "default"}, response=ran)
    taken = [{"snapshotId": one.rsplit("/", 1)[-1]} for one in copies]
    events.add("ec2:CreateSnapshots", response={"CreateSnapshotsResponse": {"snapshotSet": {"item": taken}}})
    gone = {"instancesSet": {"items": items[1:2]}}
    events.add("ec2:TerminateInstances", who=f"arn:aws:iam::{HOME}:user/admin", verdict="", request=gone)
    given = scope_of(*(sample.node("resource", one, "attacker_created") for one in [*machines, *tasks, *copies]))
    plan = build(sample.incident(events=events, given=given))
    assert [s.target for s in steps_of(plan, "StopInstances")] == [machines[0], machines[2]]
    stopped = [(s.target, s.nodes, s.api["parameters"]["task"]) for s in steps_of(plan, "StopTask")]
    assert stopped == [(one, (f"resource:{one}",), one) for one in tasks]
    said = {node for step in plan.steps for node in step.nodes} | {one["node"] for one in plan.unplanned}
    assert {f"resource:{one}" for one in [*machines, *tasks, *copies]} <= said


def test_foreign_door_is_named():
    """A role that the attacker entered as somebody whom the plan does not contain is said to be still open."""
    events = sample.Log()
    vendor = f"{FOREIGN}:AROAVENDOR"
    events.add("sts:AssumeRole", who=vendor, key="", request={"roleArn": PARTNER}, account=SECOND)
    scope = scope_of(sample.node("principal", PARTNER, "compromised"))
    assert vendor in build(sample.incident(events=events, given=scope)).warnings[0]


def test_one_entry_recorded_in_two_accounts():
    """The record in the role's account knows the caller only by its id; that in the caller's tells who it is."""
    events = sample.log()
    entry = {"minted_key": sample.HOP, "minted_principal": PARTNER, "request": {"roleArn": PARTNER}}
    events.add("sts:AssumeRole", who=f"{HOME}:AROADEV:dana", key="", account=SECOND, **entry)
    assert not [one for one in build(sample.incident(events=events)).warnings if "The attacker entered" in one]


def test_inline_policy_goes_back():
    """An inline policy that the attacker overwrote is put back; one that it made is removed."""
    events = sample.Log()
    mine = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
    put = {"userName": "dana", "policyName": "work", "policyDocument": json.dumps(mine)}
    events.add("iam:PutUserPolicy", who=USER, verdict="", request=put)
    events.add("iam:PutUserPolicy", request={**put, "policyDocument": json.dumps(TRUST)})
    events.add("iam:PutUserPolicy", request={**put, "policyName": "extra", "policyDocument": json.dumps(TRUST)})
    plan = build(sample.incident(events=events, given=scope_of(sample.node("principal", USER, "changed"))))
    assert [step.api["operation"] for step in plan.steps] == ["PutUserPolicy", "DeleteUserPolicy"]
    assert json.loads(plan.steps[0].api["parameters"]["PolicyDocument"]) == mine


def test_impact_counts_the_others(plan):
    """The impact on a role counts the calls that are not the attacker's, and names who made them."""
    (step,) = steps_of(plan, "AttachRolePolicy", DEV)
    assert "it was used for 4 calls that are not the attacker's" in step.impact
    assert "carol" in step.impact


def test_evidence_waits_while_the_attacker_destroys():
    """Machines are copied first, unless the attacker was destroying hours ago: then credentials go first."""
    events = sample.log()
    event = events.add("ec2:DeleteSnapshot", request={"snapshotId": "snap-other"})
    soon, later = (sample.START + timedelta(hours=hours) for hours in (3, 40))
    plan = build(sample.incident(events=events, as_of=soon))
    words = [step.id.split("-", 1)[1] for step in plan.steps]
    assert words.index("start-logging") < words.index("deactivate-key") < words.index("snapshot") < words.index("stop")
    assert any(event in one for one in plan.warnings)
    calm = build(sample.incident(events=events, as_of=later))
    calmly = [step.id.split("-", 1)[1] for step in calm.steps]
    assert calmly.index("snapshot") < calmly.index("deactivate-key")
    assert not any("destroying" in one for one in calm.warnings)


def test_secrets_that_were_read_are_made_anew():
    """Each secret of the attacker's reading is named for rotation with its event; those that owners read are not."""
    events = sample.log()
    event = events.add("secretsmanager:GetSecretValue", request={"secretId": "db"})
    events.add("ssm:GetParameters", request={"names": ["/app/key", "/app/url"]})
    events.add("secretsmanager:GetSecretValue", verdict="owner", request={"secretId": "mine"})
    notes = {note["target"]: note for note in build(sample.incident(events=events)).recovery if not note["step"]}
    assert set(notes) == {"db", "/app/key", "/app/url"}
    assert event in notes["db"]["how"]


def test_techniques_are_those_of_the_evidence():
    """An event that a step cites tells its technique, also where somebody else made it."""
    events = sample.log()
    event = events.add("s3:GetObject", who="", key="", verdict="", account=SECOND)
    given = sample.scope()
    given["edges"].append({"id": "x2", "from": "a", "to": f"principal:{sample.PARTNER}", "kind": "touched",
                           "confidence": "certain", "evidence": [event], "evidence_count": 1})  # fmt: skip
    plan = build(
        sample.incident(events=events, given=given), technique_of=lambda _, name: "T1530" if name == "GetObject" else ""
    )
    assert steps_of(plan, "AttachRolePolicy", sample.PARTNER)[0].techniques == ("T1530",)
