"""Policies judged for one request: allowed, denied by a statement, not allowed, or unknown."""

import json

import pytest

from cirtlib.containment import catalogue
from cirtlib.containment.restore import CLOSED
from cirtlib.errors import PolicyError
from cirtlib.policy import NOT_KNOWN, Request, evaluate

ACCOUNT, OTHER = "111122223333", "444455556666"
ROLE, SESSION = f"arn:aws:iam::{ACCOUNT}:role/dev", f"arn:aws:sts::{ACCOUNT}:assumed-role/dev/dana"
USER = f"arn:aws:iam::{ACCOUNT}:user/dana"
ALL = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
DENY = {"Version": "2012-10-17", "Statement": {"Sid": "no", "Effect": "Deny", "Action": "*", "Resource": "*"}}
BEFORE, CUT, AFTER = "2026-06-10T09:00:00Z", "2026-06-10T10:00:00Z", "2026-06-10T11:00:00Z"
REVOKED = json.loads(catalogue.revoke(ROLE, after="x").api["parameters"]["PolicyDocument"].replace("${now}", CUT))


def request(action="s3:GetObject", *, resource="arn:aws:s3:::data/x", role=True, complete=True, **more):
    context = more.pop("context", {})
    return Request(
        action=action, resource=resource, principal=SESSION if role else USER, account=ACCOUNT,
        role=ROLE if role else "", context=context, complete=complete, **more,
    )  # fmt: skip


def allow(**more):
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", **more}]}


def deny(**condition):
    statement = {"Sid": "no", "Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition}
    return {"Version": "2012-10-17", "Statement": [statement]}


def trust(who, **condition):
    body = {"Effect": "Allow", "Principal": who, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [body | ({"Condition": condition} if condition else {})]}


def test_a_deny_wins_and_is_named():
    """Whatever allows it, a Deny statement decides, and is cited."""
    found = evaluate(request(), identity=[ALL, DENY])
    assert (found.result, found.by, found.refused) == ("denied", "no", True)


@pytest.mark.parametrize(
    ("issued", "result"), [(BEFORE, "denied"), (AFTER, "allowed"), (None, "allowed"), (NOT_KNOWN, "unknown")]
)
def test_a_revocation_stops_older_sessions_only(issued, result):
    """A session from before the cut-off is denied; a newer one, and a long-term key without such a time, are not."""
    context = {} if issued is None else {"aws:TokenIssueTime": issued}
    assert evaluate(request(context=context), identity=[ALL, REVOKED]).result == result


def test_what_is_not_known_is_not_guessed():
    """A key that the evidence does not tell makes the result unknown, unless the call fails either way."""
    one = deny(StringEquals={"aws:SourceIdentity": "dana"})
    assert evaluate(request(complete=False), identity=[ALL, one]).result == "unknown"
    assert evaluate(request(), identity=[ALL, one]).result == "allowed"
    refused = evaluate(request(complete=False), identity=[one])
    assert (refused.result, refused.refused) == ("unknown", True)
    assert evaluate(request(complete=False), identity=[ALL, one, DENY]).result == "denied"


@pytest.mark.parametrize(
    ("who", "caller", "identity", "result"),
    [
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, SESSION, [ALL], "allowed"),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, SESSION, [], "not_allowed"),
        ({"AWS": ROLE}, SESSION, [], "allowed"),
        ({"AWS": ROLE}, USER, [ALL], "not_allowed"),
        ({"AWS": OTHER}, SESSION, [ALL], "not_allowed"),
        ({"AWS": "AROAEXAMPLE"}, SESSION, [ALL], "unknown"),
        ({"Service": "ec2.amazonaws.com"}, "ec2.amazonaws.com", [ALL], "allowed"),
    ],
)
def test_who_may_enter_a_role(who, caller, identity, result):
    """The trust policy decides; naming the account only delegates to identity policies."""
    asked = Request(
        action="sts:AssumeRole", resource=f"arn:aws:iam::{ACCOUNT}:role/target", principal=caller, account=ACCOUNT,
        role=ROLE if caller == SESSION else "",
    )  # fmt: skip
    assert evaluate(asked, identity=identity, resource=trust(who)).result == result


def test_a_closed_role_admits_nobody():
    """The trust that a plan writes for the attacker's role denies everybody."""
    asked = request("sts:AssumeRole", resource=f"arn:aws:iam::{ACCOUNT}:role/target")
    assert evaluate(asked, identity=[ALL], resource=CLOSED).result == "denied"


def test_another_account_needs_both_sides():
    """Across accounts the caller's policy and the resource's policy both have to allow."""
    asked = request(resource_account=OTHER)
    opened = {"Version": "2012-10-17", "Statement": [{**ALL["Statement"], "Principal": {"AWS": ACCOUNT}}]}
    assert evaluate(asked, identity=[ALL], resource=opened).result == "allowed"
    assert evaluate(asked, identity=[], resource=opened).result == "not_allowed"
    assert evaluate(asked, identity=[ALL]).result == "not_allowed"


def test_limits():
    """Boundary, session policy and each level of service control policies have to allow as well; empty levels deny."""
    other = allow(Action="ec2:*")
    assert evaluate(request(), identity=[ALL], boundary=other).by == "resource or identity policy"
    assert evaluate(request(), identity=[ALL], session=[other]).result == "not_allowed"
    assert evaluate(request(), identity=[ALL], scps=[[ALL], [other]]).by == "service control policy of level 1"
    assert evaluate(request(), identity=[ALL], scps=[[ALL], [ALL]]).result == "allowed"
    assert evaluate(request(), identity=[ALL], scps=[[]]).result == "not_allowed"


def test_responders_are_exempt():
    """An SCP that exempts a role by ArnNotLike spares its sessions."""
    brake = deny(ArnNotLike={"aws:PrincipalArn": ["arn:aws:iam::*:role/responder"]})
    assert evaluate(request(), identity=[ALL], scps=[[ALL, brake]]).result == "denied"
    responder = Request(
        action="s3:GetObject", resource="*", principal=f"arn:aws:sts::{ACCOUNT}:assumed-role/responder/ana",
        account=ACCOUNT, role=f"arn:aws:iam::{ACCOUNT}:role/responder",
    )  # fmt: skip
    assert evaluate(responder, identity=[ALL], scps=[[ALL, brake]]).result == "allowed"


@pytest.mark.parametrize(
    ("operator", "key", "wanted", "given", "holds"),
    [
        ("StringEquals", "aws:username", "dana", "dana", True),
        ("StringEquals", "aws:username", "dana", None, False),
        ("StringNotEquals", "aws:username", "dana", None, True),
        ("StringEqualsIfExists", "aws:username", "dana", None, True),
        ("StringLike", "aws:userid", "AROA*:da?a", "AROAEXAMPLE:dana", True),
        ("StringLike", "aws:userid", "a[b]*", "ab", False),
        ("Bool", "aws:MultiFactorAuthPresent", "false", None, False),
        ("BoolIfExists", "aws:MultiFactorAuthPresent", "false", None, True),
        ("Null", "aws:TokenIssueTime", "true", None, True),
        ("NumericLessThan", "aws:MultiFactorAuthAge", "3600", "60", True),
        ("DateGreaterThan", "aws:CurrentTime", CUT, AFTER, True),
        ("IpAddress", "aws:SourceIp", ["192.0.2.0/24", "203.0.113.0/24"], "203.0.113.66", True),
        ("NotIpAddress", "aws:SourceIp", "203.0.113.0/24", "203.0.113.66", False),
        ("IpAddress", "aws:SourceIp", "203.0.113.0/24", "cloudtrail.amazonaws.com", False),
        ("ArnLike", "aws:PrincipalArn", f"arn:aws:iam::{ACCOUNT}:role/*", None, True),
        ("ForAnyValue:StringEquals", "aws:CalledVia", ["glue.amazonaws.com"], ["athena.amazonaws.com"], False),
        ("ForAllValues:StringEquals", "aws:CalledVia", ["glue.amazonaws.com"], None, True),
        ("StringEquals", "aws:username", "${aws:userid}", "dana", False),
    ],
)
def test_conditions(operator, key, wanted, given, holds):
    """Each operator, with a key that is there and one that is not, as the IAM user guide has it."""
    context = {} if given is None else {key: given}
    found = evaluate(request(context=context), identity=[allow(Condition={operator: {key: wanted}})])
    assert found.result == ("allowed" if holds else "not_allowed")


@pytest.mark.parametrize(
    "policy",
    [
        {}, [], {"Statement": [{"Action": "*"}]}, {"Statement": [{"Effect": "allow", "Action": "*"}]},
        {"Statement": [{"Effect": "Allow"}]}, {"Statement": [{"Effect": "Allow", "Action": "*", "Ressource": "*"}]},
        {"Statement": [{"Effect": "Allow", "Action": "*", "Condition": {"Bool": "x"}}]},
    ],
)  # fmt: skip
def test_what_is_no_policy_is_refused(policy):
    """A document that IAM would refuse is an error that says what is wrong, never a permission."""
    with pytest.raises(PolicyError, match="identity policy 0"):
        evaluate(request(), identity=[policy])


def test_an_operator_that_nobody_knows_is_unknown():
    """BinaryEquals and misspelt operators are not judged."""
    for operator in ("BinaryEquals", "StringEqual"):
        policy = allow(Condition={operator: {"aws:username": "dana"}})
        assert evaluate(request(context={"aws:username": "dana"}), identity=[policy]).result == "unknown"
