"""What may be called, and the policy that follows from it."""

import re
from functools import cache
from pathlib import Path

import botocore.session
import pytest

from cirtlib.aws import allowed
from cirtlib.permissions import policy, text
from cirtlib.sources.account import catalogue

READING = re.compile(r"(Get|List|Describe|Lookup|Head|BatchGet)[A-Z]")
# What reads although its name says otherwise, and what writes a report or results of its own: named in the README.
EXCEPTIONS = {
    ("sts", "AssumeRole"),
    ("iam", "GenerateCredentialReport"),
    ("athena", "StartQueryExecution"),
    ("athena", "StopQueryExecution"),
    ("glue", "CreateTable"),
}
SESSION = botocore.session.Session()


@cache
def model(service):
    return SESSION.get_service_model(service)


@pytest.mark.parametrize("call", sorted(allowed()), ids=".".join)
def test_every_allowed_call_exists_and_reads(call):
    """A row names an operation that AWS has, an action of IAM and a reason; it reads, or is a named exception."""
    service, operation = call
    assert operation in model(service).operation_names
    assert READING.match(operation) or call in EXCEPTIONS
    row = allowed()[call]
    assert all(re.fullmatch(r"[a-z0-9-]+:[A-Za-z0-9]+", action) for action in row["iam_action"].split())
    assert row["iam_action"]
    assert row["why"]


def test_no_call_is_named_twice():
    """One row for each operation."""
    file = Path(__file__).parent.parent / "cirtlib" / "data" / "allowed_calls.tsv"
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert len(lines) - 1 == len(allowed())


def test_the_snapshot_asks_what_is_allowed():
    """Every call of the snapshot is allowed, comes from calls of the same scope, and fills members that AWS knows."""
    scopes = {row.name: row.scope for row in catalogue()}
    for row in catalogue():
        assert (row.service, row.operation) in allowed()
        shape = model(row.service).operation_model(row.operation).input_shape
        members = shape.members if shape else {}
        assert set(row.parameters) <= set(members), row.name
        assert {name for name in shape.required_members if shape} <= set(row.parameters) if shape else True, row.name
        for head, _ in row.each:
            assert head == "touched" or scopes[head] == row.scope, row.name


def test_the_policy_allows_each_action_once():
    """A statement for each service; what is not read-only by name is one of the exceptions."""
    statements = policy()["Statement"]
    actions = [action for statement in statements for action in statement["Action"]]
    assert len(actions) == len(set(actions))
    assert "iam:GetAccountAuthorizationDetails" in actions
    assert "s3:GetBucketPublicAccessBlock" in actions
    named = {f"{service}:{operation}" for service, operation in EXCEPTIONS} | {"kms:Decrypt"}
    assert all(READING.match(action.partition(":")[2]) or action in named for action in actions)


def test_the_policy_that_ships_is_this_one():
    """docs/permissions.json is what `cirtlib.permissions.text` gives."""
    file = Path(__file__).parent.parent / "docs" / "permissions.json"
    assert file.read_text(encoding="utf-8") == text()
