"""The emergency brake: when it is made, what it denies and to whom not, and that it runs and comes off again."""

import json
import re
from dataclasses import replace
from datetime import timedelta

import boto3
import jmespath
import pytest
from moto import mock_aws

from cirtlib.containment import brake
from cirtlib.containment.log import Log
from cirtlib.containment.planning import build
from cirtlib.errors import PlanError
from tests import plan_sample as sample
from tests.plan_sample import ADMIN, DEV, FOREIGN, HOME, SECOND, START

MANAGER = "123456789012"
RESPONDER = f"arn:aws:iam::{HOME}:role/security/responder"
OTHER = "arn:aws:iam::123456789012:role/security/responder"
REFERENCE = re.compile(r"\$\{([a-z0-9-]+)\.([a-z_]+)\}")


def incident(**more):
    given = {"responders": (RESPONDER, OTHER), "management": (MANAGER, "the snapshot"), **more}
    return sample.incident(**given)


def document(plan):
    (text,) = [s.api["parameters"]["Content"] for s in plan.steps if s.api["operation"] == "CreatePolicy"]
    assert len(text) <= brake.LONGEST
    (statement,) = json.loads(text)["Statement"]
    return statement


def filled(value, state):
    """Value with its references to other steps replaced, as the scripts do it."""
    if isinstance(value, dict):
        return {key: filled(one, state) for key, one in value.items()}
    match = REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return state[match[1]][match[2]] if match else value


class Account:
    """Runs api blocks on the emulator in this process."""

    def __init__(self):
        self.state = {}

    def ask(self, api):
        client = boto3.client(api["service"], region_name="us-east-1")
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", api["operation"]).lower()
        return getattr(client, name)(**filled(api["parameters"], self.state))

    def read(self, one):
        return jmespath.search(one["jmespath"], self.ask(one["api"]))

    def run(self, step):
        for one in step.captures.values():
            assert "expected" not in one or self.read(one) == one["expected"]
        answer = self.ask(step.api)
        self.state[step.id] = {name: jmespath.search(path, answer) for name, path in step.outputs.items()}
        assert self.read(step.verify) == step.verify["expected"]


def test_two_brakes_for_every_account_of_the_extent():
    """An identity freeze and a quarantine for each, with steps in the management account only."""
    plan = build(incident())
    assert [one.title for one in plan.brakes] == [
        f"Emergency brake: {what} of account {account}"
        for account in (HOME, SECOND)
        for what in ("identity freeze", "quarantine")
    ]
    assert plan.to_dict()["brakes"] == [one.title for one in plan.brakes]
    for one in plan.brakes:
        assert one.accounts == [MANAGER]
        assert [step.api["operation"] for step in one.steps] == ["CreatePolicy", "AttachPolicy"]


def test_responders_are_spared():
    """Both policies deny to everybody but the responders, by their exact ARNs."""
    freeze, quarantine, *_ = build(incident()).brakes
    for plan in (freeze, quarantine):
        assert document(plan)["Condition"] == {"ArnNotLike": {"aws:PrincipalArn": sorted([RESPONDER, OTHER])}}
        assert (document(plan)["Effect"], document(plan)["Resource"]) == ("Deny", "*")
    assert document(quarantine)["Action"] == "*"
    what = brake.kinds()["identity-freeze"]
    for denied in ("iam:CreateUser", "iam:UpdateAccessKey", "sts:AssumeRole", "sts:AssumeRoleWithSAML",
                   "sts:GetFederationToken", "organizations:LeaveOrganization", "cloudtrail:StopLogging",
                   "guardduty:DeleteDetector", "config:StopConfigurationRecorder"):  # fmt: skip
        assert what.denies(denied), denied
    for left in ("iam:ListUsers", "iam:GetRole", "s3:GetObject", "ec2:RunInstances", "cloudtrail:LookupEvents"):
        assert not what.denies(left), left


def test_policies_pass_a_linter():
    """Nothing in the documents that parliament calls wrong."""
    from parliament import analyze_policy_string

    for plan in build(incident()).brakes:
        text = next(s.api["parameters"]["Content"] for s in plan.steps if s.api["operation"] == "CreatePolicy")
        assert [one.issue for one in analyze_policy_string(text).findings] == []


def test_an_assumed_role_is_spared_by_its_role():
    """A responder given as a session is spared by the role's ARN with its path, where a record shows it."""
    events = sample.log()
    events.add("iam:ListUsers", who=RESPONDER, verdict="owner", session_name="lee")
    session = f"arn:aws:sts::{HOME}:assumed-role/responder/lee"
    made = brake.build(incident(events=events, responders=(session,)), HOME, "quarantine")
    assert document(made)["Condition"]["ArnNotLike"]["aws:PrincipalArn"] == [RESPONDER]
    with pytest.raises(PlanError, match="not the ARN of one role or user"):
        brake.build(incident(responders=(session,)), HOME, "quarantine")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"responders": ()}, "case.yaml names no `responders`"),
        ({"responders": (f"arn:aws:iam::{HOME}:role/*",)}, "without wildcards"),
        ({"management": ("", "")}, "management account is not known"),
        ({"management": (HOME, "the snapshot")}, "which no service control policy binds"),
        ({"responders": tuple(f"{RESPONDER}-{n}-{'x' * 40}" for n in range(90))}, "more than the 5120"),
    ],
)
def test_refused_with_a_reason(more, said):
    """What would lock the responders out, bind nobody or be too long is not made, and the plan says why."""
    with pytest.raises(PlanError, match=re.escape(said)):
        brake.build(incident(**more), HOME, "quarantine")
    plan = build(incident(**more))
    assert HOME not in " ".join(one.title for one in plan.brakes)
    assert any(said in warning for warning in plan.warnings)


def test_recommended_only_where_the_attacker_administers():
    """An account in which the attacker gave rights is named with the events; the other is braked by decision alone."""
    plan = build(incident())
    (warning,) = [one for one in plan.warnings if "consider" in one]
    assert f"administers account {HOME}" in warning
    assert "CreateUser" in warning
    assert "e-009" in warning
    assert "No event shows" in plan.brakes[2].warnings[0]
    signs = brake.recognised(incident(), HOME)
    assert signs["helper holds AdministratorAccess"] == signs["AttachUserPolicy"]


@pytest.mark.parametrize("verdict", ["owner", "unclear"])
def test_what_the_owner_did_shows_nothing(verdict):
    """Rights given by somebody else, to somebody else, are no sign."""
    events = sample.Log()
    events.add("iam:CreateUser", verdict=verdict, request={"userName": "new"})
    events.add("iam:AttachUserPolicy", verdict=verdict, request={"userName": "new", "policyArn": ADMIN})
    assert brake.recognised(incident(events=events), HOME) == {}


def test_rights_given_before_are_a_sign():
    """An identity of the extent that held every right before the attack administers the account."""
    wide = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    events = sample.Log()
    request = {"userName": "dana", "policyName": "all", "policyDocument": json.dumps(wide)}
    events.add("iam:PutUserPolicy", verdict="owner", request=request)
    narrow = {"roleName": "devRole", "policyName": "few", "policyDocument": json.dumps({"Statement": []})}
    events.add("iam:PutRolePolicy", verdict="owner", request=narrow)
    assert brake.recognised(incident(events=events), HOME) == {"dana holds every action on everything": ["e-001"]}


def test_impact_is_of_the_account_and_of_what_is_denied():
    """The freeze counts only calls that it denies, by the account's own identities; responders do not count."""
    events = sample.log()
    at = START - timedelta(days=1)
    provider = f"arn:aws:iam::{HOME}:oidc-provider/token.ci.example.com:project"
    for who in (DEV, RESPONDER, f"arn:aws:iam::{FOREIGN}:role/vendor", "ec2.amazonaws.com", provider):
        events.add("sts:AssumeRole", who=who, verdict="", at=at, key=None)
        events.add("s3:ListBuckets", who=who, verdict="", at=at, key=None)
    freeze, quarantine, *_ = build(incident(events=events)).brakes
    used = freeze.steps[1].used_by
    # the assumption by devRole, and the administrator's CreateRole of before the attack
    assert (used["calls"], set(used["callers"])) == (2, {DEV, f"arn:aws:iam::{HOME}:user/admin"})
    assert used["services"] == ["iam", "sts"]
    assert "it would have denied 2 calls" in freeze.steps[1].impact
    assert "devRole" in freeze.steps[1].impact
    # these, ListBuckets by devRole, and carol's four
    assert quarantine.steps[1].used_by["calls"] == 2 + 1 + 4
    blind = incident(events=events, habits=sample.habits(events, exists=False))
    assert "There is no baseline" in build(blind).brakes[0].steps[1].impact


def test_what_it_does_not_bind_is_said():
    """The management account, service-linked roles, other accounts' principals, services and federation."""
    for plan in build(incident()).brakes:
        said = " ".join(plan.steps[1].does_not_stop)
        for part in ("management account", "service-linked", "other accounts", "AWS services", "SAML"):
            assert part in said


def test_it_runs_and_comes_off():
    """Made, attached, verified and taken off again in an emulated organization; a second run is refused."""
    with mock_aws():
        organizations = boto3.client("organizations", region_name="us-east-1")
        organizations.create_organization(FeatureSet="ALL")
        root = organizations.list_roots()["Roots"][0]["Id"]
        organizations.enable_policy_type(RootId=root, PolicyType="SERVICE_CONTROL_POLICY")
        made = organizations.create_account(AccountName="workload", Email="workload@example.com")
        account = made["CreateAccountStatus"]["AccountId"]
        before = names(organizations, account)
        for kind in brake.kinds():
            runner, plan = Account(), brake.build(incident(), account, kind)
            for step in plan.steps:
                runner.run(step)
            assert names(organizations, account) - before == {f"cirt-{kind}-{account}"}
            with pytest.raises(AssertionError):
                Account().run(plan.steps[0])
            for step in reversed(plan.steps):
                runner.ask(step.rollback["api"])
            assert names(organizations, account) == before
        left = organizations.list_policies(Filter="SERVICE_CONTROL_POLICY")["Policies"]
        assert not [one for one in left if one["Name"].startswith("cirt-")]


def names(organizations, account):
    found = organizations.list_policies_for_target(TargetId=account, Filter="SERVICE_CONTROL_POLICY")
    return {one["Name"] for one in found["Policies"]}


def test_the_management_account_is_known_from_answers_only(own_incident):
    """An ARN in an answer of AWS Organizations tells it; one in a request does not; case.yaml comes first."""
    events = sample.Log()
    fake = f"arn:aws:organizations::{FOREIGN}:account/o-exampleorgid/{HOME}"
    events.add("organizations:DescribePolicy", request={"policyId": fake})
    assert brake.management(own_incident, Log(events.events(), events.verdicts()))[0] != FOREIGN
    true = f"arn:aws:organizations::{MANAGER}:policy/o-exampleorgid/service_control_policy/p-1"
    events.add("organizations:CreatePolicy", response={"policy": {"policySummary": {"arn": true}}})
    assert brake.management(own_incident, Log(events.events(), events.verdicts())) == (MANAGER, "event e-002")
    named = replace(own_incident, known={"accounts": {"management": ["210987654321"]}})
    assert brake.management(named, Log(events.events(), events.verdicts()))[0] == "210987654321"
