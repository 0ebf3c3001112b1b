"""aws_runbooks.json: inputs of AWS's own containment runbooks, dry run first."""

import json
from dataclasses import replace

import pytest

from cirtlib.containment import catalogue
from cirtlib.containment.aws_runbooks import aws_runbooks, executions
from cirtlib.containment.planning import build
from cirtlib.containment.validate import api_faults
from tests import plan_sample as sample
from tests.hostile import HOSTILE, small


def api(given):
    return {"service": "ssm", "operation": "StartAutomationExecution", "parameters": given}


def test_inputs_are_valid_and_dry_first():
    """Every value is a list of texts, botocore accepts each input, and the dry run differs in nothing else."""
    found = json.loads(aws_runbooks(build(sample.incident())))
    assert "dry_run" in found["note"]
    assert {one["dry_run"]["DocumentName"] for one in found["runbooks"]} == {
        "AWSSupport-ContainIAMPrincipal", "AWSSupport-ContainEC2Instance",
    }  # fmt: skip
    for one in found["runbooks"]:
        dry, change = one["dry_run"], one["change"]
        assert api_faults(api(dry)) == api_faults(api(change)) == []
        assert all(isinstance(value, list) and all(isinstance(item, str) for item in value)
                   for value in dry["Parameters"].values())  # fmt: skip
        assert dry["Parameters"]["DryRun"] == ["true"]
        assert change == {**dry, "Parameters": {**dry["Parameters"], "DryRun": ["false"]}}
        assert dry["Parameters"]["Action"] == ["Contain"]
        assert one["leaves"]


def test_which_targets_have_one():
    """Users, roles, instances and buckets that the plan contains; a path is no part of a name."""
    found = {one["target"]: one for one in executions(build(sample.incident()))}
    assert found[sample.USER]["dry_run"]["Parameters"]["PrincipalName"] == ["dana"]
    assert found[sample.USER]["dry_run"]["Parameters"]["PrincipalType"] == ["IAM user"]
    assert found[sample.DEV]["dry_run"]["Parameters"]["PrincipalType"] == ["IAM role"]
    assert found[sample.INSTANCE]["dry_run"]["Parameters"]["InstanceId"] == ["i-0a1b2c3d4e5f60001"]
    assert sample.TRAIL not in found
    assert all(step.endswith(("deny", "revoke", "again", "door", "key", "policy", "password"))
               for step in found[sample.DEV]["instead_of"])  # fmt: skip


def test_a_bucket_keeps_its_responders():
    """Whoever responds keeps access to a bucket that is closed."""
    step = replace(catalogue.leave_group(sample.USER, "g"), phase="contain", target="arn:aws:s3:::demo")
    responders = ("arn:aws:iam::111122223333:role/IncidentResponder",)
    one = executions(small(step, responders=responders))[0]
    assert one["dry_run"]["Parameters"]["BucketName"] == ["demo"]
    assert one["dry_run"]["Parameters"]["BucketRestrictAccess"] == list(responders)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_values(name):
    """A name is the value of one parameter, whole, or there is no alternative; it never becomes another field."""
    step = replace(catalogue.leave_group(sample.USER, "g"), phase="contain")
    step = replace(step, target=f"arn:aws:iam::111122223333:user/{name}")
    for one in executions(small(step)):
        assert set(one["dry_run"]["Parameters"]) == {"Action", "DryRun", "PrincipalType", "PrincipalName"}
        assert step.target.endswith(one["dry_run"]["Parameters"]["PrincipalName"][0])
