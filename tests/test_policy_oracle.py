"""The evaluator of policies agrees with an independent one wherever it does not say unknown.

Left out, for the simulator is wrong about them: 0.0.0.0/0, which it matches with nothing, and addresses of one family
beside networks of the other, for which it takes NotIpAddress to fail ("all IP addresses except the specified address or
range", IAM user guide).
"""

import json
import os
import random
import subprocess
from collections import Counter

import pytest

from cirtlib.policy import Request, evaluate
from tests import iam_simulator

pytestmark = pytest.mark.integration
CASES = 10_000
OURS, THEIRS = "111122223333", "444455556666"
SAID = {"allowed": "Allowed", "denied": "ExplicitlyDenied", "not_allowed": "ImplicitlyDenied"}
CALLS = {
    "s3:GetObject": "arn:aws:s3:::data/{}",
    "s3:ListBucket": "arn:aws:s3:::data",
    "ec2:TerminateInstances": "arn:aws:ec2:us-east-1:{account}:instance/i-0a1b2c3d4e5f60001",
    "iam:CreateUser": "arn:aws:iam::{account}:user/{}",
    "cloudtrail:StopLogging": "arn:aws:cloudtrail:us-east-1:{account}:trail/audit",
    "kms:Decrypt": "arn:aws:kms:us-east-1:{account}:key/0b6f1f4e-1d2c-4d57-9a3e-5f0a1b2c3d4e",
    "sts:AssumeRole": "arn:aws:iam::{account}:role/target",
    "lambda:InvokeFunction": "arn:aws:lambda:us-east-1:{account}:function:job",
}
WITH_POLICY = ("s3:GetObject", "s3:ListBucket", "kms:Decrypt", "sts:AssumeRole", "lambda:InvokeFunction")
TEXTS = {
    "aws:userid": ["AROAEXAMPLE:dana", "AROAEXAMPLE:erin", "AIDAEXAMPLE"],
    "aws:username": ["dana", "erin"],
    "aws:SourceIdentity": ["dana", "erin"],
    "aws:PrincipalAccount": [OURS, THEIRS],
    "aws:PrincipalOrgID": ["o-aaaaaaaaaa", "o-bbbbbbbbbb"],
    "aws:PrincipalType": ["User", "AssumedRole"],
    "aws:PrincipalTag/team": ["red", "blue"],
    "aws:RequestedRegion": ["us-east-1", "eu-central-1"],
    "aws:SourceVpce": ["vpce-1", "vpce-2"],
    "aws:SourceAccount": [OURS, THEIRS],
    "aws:UserAgent": ["aws-cli/2.17", "Boto3/1.34"],
    "s3:prefix": ["home/dana", "home/erin", ""],
    "sts:ExternalId": ["one", "two"],
    "sts:RoleSessionName": ["dana", "erin"],
}
ONLY_FOR = {"s3:prefix": "s3:ListBucket", "sts:ExternalId": "sts:AssumeRole", "sts:RoleSessionName": "sts:AssumeRole"}
ARNS = {
    "aws:PrincipalArn": [f"arn:aws:iam::{OURS}:{one}" for one in ("user/dana", "role/dev", "role/responder")],
    "aws:SourceArn": [f"arn:aws:sns:us-east-1:{OURS}:one", f"arn:aws:sns:us-east-1:{THEIRS}:two"],
}  # fmt: skip
DATES = ["2026-06-10T10:00:00Z", "2026-06-10T12:00:00Z", "2026-06-11T00:00:00Z"]
KEYS_BY_KIND = {
    "String": tuple(TEXTS),
    "Arn": tuple(ARNS),
    "Date": ("aws:TokenIssueTime", "aws:CurrentTime"),
    "Bool": ("aws:MultiFactorAuthPresent", "aws:SecureTransport", "aws:ViaAWSService"),
    "Numeric": ("aws:MultiFactorAuthAge",),
    "Ip": ("aws:SourceIp",),
}
_COMPARED = ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
OPERATORS = {
    "String": tuple(
        f"String{one}" for one in (*_COMPARED[:2], "EqualsIgnoreCase", "NotEqualsIgnoreCase", "Like", "NotLike")
    ),
    "Arn": ("ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"),
    "Date": tuple(f"Date{one}" for one in _COMPARED),
    "Bool": ("Bool",),
    "Numeric": tuple(f"Numeric{one}" for one in _COMPARED),
    "Ip": ("IpAddress", "NotIpAddress"),
}
MANY = {
    "aws:PrincipalOrgPaths": ["o-a/r-1/ou-1/", "o-a/r-1/ou-2/"],
    "aws:CalledVia": ["athena.amazonaws.com", "glue.amazonaws.com"],
}


def value_of(rng, kind, key):
    if kind == "String":
        return rng.choice(TEXTS[key])
    if kind == "Arn":
        return rng.choice(ARNS[key])
    return {
        "Date": lambda: rng.choice(DATES),
        "Bool": lambda: rng.choice(["true", "false"]),
        "Numeric": lambda: rng.choice(["10", "3600", "7200"]),
        "Ip": lambda: rng.choice(["203.0.113.66", "198.51.100.7"]),
    }[kind]()


def wanted(rng, kind, key, operator):
    value = value_of(rng, kind, key)
    if kind == "Ip":
        return rng.choice([value, "203.0.113.0/24", "198.51.100.0/24"])
    if "Like" in operator:
        return (
            rng.choice([value, value[:-2] + "*", "*" + value[-3:], value[:1] + "?" + value[2:]])
            if kind == "String"
            else rng.choice([value, value.rsplit("/", 1)[0] + "/*" if "/" in value else value.rsplit(":", 1)[0] + ":*"])
        )
    if "IgnoreCase" in operator:
        return value.upper()
    if kind == "String" and rng.random() < 0.05:
        return "${aws:username}"
    return value


def condition(rng, action, counts):
    if rng.random() < 0.12:
        key = rng.choice(list(MANY))
        operator = rng.choice(
            [
                "ForAnyValue:StringEquals",
                "ForAllValues:StringEquals",
                "ForAnyValue:StringLike",
                "ForAllValues:StringNotEquals",
                "ForAnyValue:StringNotEquals",
            ]
        )
        values = rng.sample([*MANY[key], "other"], rng.randint(1, 2))
        counts[operator] += 1
        counts[key] += 1
        return {operator: {key: values}}
    kind = rng.choice(list(OPERATORS))
    own = [key for key, only in ONLY_FOR.items() if only == action and kind == "String"]
    fitting = [key for key in KEYS_BY_KIND[kind] if ONLY_FOR.get(key, action) == action]
    key = rng.choice(own if own and rng.random() < 0.4 else fitting)
    if rng.random() < 0.08:
        counts["Null"] += 1
        counts[key] += 1
        return {"Null": {key: rng.choice(["true", "false"])}}
    operator = rng.choice(OPERATORS[kind])
    suffix = "IfExists" if rng.random() < 0.15 else ""
    counts[operator] += 1
    counts["IfExists"] += bool(suffix)
    counts[key] += 1
    values = [wanted(rng, kind, key, operator) for _ in range(rng.choice([1, 1, 2]))]
    return {operator + suffix: {key: values if len(values) > 1 or rng.random() < 0.5 else values[0]}}


def statement(rng, action, resource, counts, *, effect, principals=()):
    service = action.split(":")[0]
    body = {"Effect": effect}
    kind = rng.random()
    if kind < 0.88:
        body["Action"] = rng.choice(
            [
                action,
                f"{service}:*",
                "*",
                [action, "iam:ListUsers"],
                action.upper(),
                f"{service}:{action.split(':')[1][:3]}*",
            ]
        )
    elif kind < 0.94:
        body["Action"] = "sqs:SendMessage"
    else:
        body["NotAction"] = rng.choice([["iam:*", "sqs:*"], action, f"{service}:*"])
    if action != "sts:AssumeRole" or not principals:
        if rng.random() < 0.93:
            body["Resource"] = rng.choice(
                ["*", resource, [resource, "arn:aws:s3:::other"], resource[:-2] + "*", resource[:-1] + "?"]
            )
        else:
            body["NotResource"] = rng.choice([resource, "arn:aws:s3:::other/*"])
    if principals:
        body["Principal"] = rng.choice(principals)
    if rng.random() < 0.6:
        body["Condition"] = condition(rng, action, counts)
        if rng.random() < 0.2:
            body["Condition"] |= condition(rng, action, counts)
    return body


def policy(rng, action, resource, counts, *, deny, principals=(), sure=0.0):
    made = []
    if rng.random() < sure:
        allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        if principals:
            allow["Principal"] = rng.choice(principals)
            if action == "sts:AssumeRole":
                allow = {**allow, "Action": "sts:AssumeRole"}
                del allow["Resource"]
        made.append(allow)
    for _ in range(rng.randint(1, 2)):
        effect = "Deny" if rng.random() < deny else "Allow"
        made.append(statement(rng, action, resource, counts, effect=effect, principals=principals))
    return {"Version": "2012-10-17", "Statement": made}


def case(rng, counts):
    """One request with its policies, as the evaluator and as the simulator take it."""
    action = rng.choice(list(CALLS))
    role = rng.random() < 0.5
    cross = rng.random() < 0.2 and action in WITH_POLICY
    owner = THEIRS if cross else OURS
    resource = CALLS[action].format("thing", account=owner)
    principal = f"arn:aws:sts::{OURS}:assumed-role/dev/dana" if role else f"arn:aws:iam::{OURS}:user/dana"
    context = {"aws:PrincipalArn": f"arn:aws:iam::{OURS}:role/dev" if role else principal}
    for kind, keys in KEYS_BY_KIND.items():
        for key in keys:
            if key != "aws:PrincipalArn" and ONLY_FOR.get(key, action) == action and rng.random() < 0.6:
                context[key] = value_of(rng, kind, key)
    context |= {key: rng.sample(values, rng.randint(1, 2)) for key, values in MANY.items() if rng.random() < 0.6}
    given = {"identity": [policy(rng, action, resource, counts, deny=0.19, sure=0.05)]}
    if action in WITH_POLICY and (cross or rng.random() < 0.5 or action in ("kms:Decrypt", "sts:AssumeRole")):
        principals = [
            {"AWS": f"arn:aws:iam::{OURS}:root"},
            {"AWS": OURS},
            {"AWS": context["aws:PrincipalArn"]},
            {"AWS": principal},
            "*",
            {"AWS": "*"},
            {"Service": "ec2.amazonaws.com"},
            {"AWS": [THEIRS, OURS]},
        ]
        given["resource"] = policy(rng, action, resource, counts, deny=0.2, principals=principals, sure=0.35)
    if rng.random() < 0.2:
        given["boundary"] = policy(rng, action, resource, counts, deny=0.2, sure=0.6)
    if role and rng.random() < 0.2:
        given["session"] = [policy(rng, action, resource, counts, deny=0.2, sure=0.6)]
    if rng.random() < 0.3:
        given["scps"] = [[policy(rng, action, resource, counts, deny=0.3, sure=0.8)] for _ in range(2)]
    request = Request(
        action=action, resource=resource, principal=principal, account=OURS, resource_account=owner,
        role=context["aws:PrincipalArn"] if role else "", context=context,
    )  # fmt: skip
    simulation = {
        "request": {
            "action": action,
            "principal": principal,
            "resource": {"resource": resource, "accountId": owner},
            "contextVariables": context,
        },
        "identityPolicies": [{"name": "one", "policy": given["identity"][0]}],
        "serviceControlPolicies": [
            {"orgIdentifier": f"ou-{n}", "policies": [{"name": "scp", "policy": one[0]}]}
            for n, one in enumerate(given.get("scps", []))
        ],
        "resourceControlPolicies": [],
    }
    if "resource" in given:
        simulation["resourcePolicy"] = given["resource"]
    if "boundary" in given:
        simulation["permissionBoundaryPolicies"] = [{"name": "boundary", "policy": given["boundary"]}]
    if "session" in given:
        simulation["sessionPolicy"] = given["session"][0]
    return request, given, simulation


def by_session(request, given):
    """Whether a resource's policy names the role session itself beside a session policy.

    Both add up then, and what the session policy leaves out limits nothing (IAM user guide, "Session policies"); the
    simulator has the session policy limit it all the same.
    """
    return "session" in given and request.principal in json.dumps(given.get("resource"))


def test_ten_thousand_requests():
    """Allowed, denied and not allowed, over every operator and key: no disagreement, and little that is unknown."""
    try:
        iam_simulator.install()
    except (iam_simulator.UnavailableError, OSError, subprocess.SubprocessError) as error:
        if os.environ.get("CIRTLIB_REQUIRE_ORACLE"):
            raise
        pytest.skip(str(error))
    rng, counts = random.Random(7), Counter()
    cases = [case(rng, counts) for _ in range(CASES)]
    answers = iam_simulator.simulate([simulation for _, _, simulation in cases])
    results, wrong = Counter(), []
    for (request, given, simulation), answer in zip(cases, answers, strict=True):
        assert "errors" not in answer, (answer, simulation)
        found = evaluate(request, **given).result
        results[found] += 1
        if found != "unknown" and SAID[found] != answer["result"] and not by_session(request, given):
            wrong.append((found, answer, simulation))
    assert not wrong, f"{len(wrong)} of {CASES}: {json.dumps(wrong[0])}"
    decided = CASES - results["unknown"]
    assert results["unknown"] <= CASES * 0.02
    assert all(results[name] * 4 >= decided for name in SAID), results
    assert min(counts.values()) >= 100, counts
