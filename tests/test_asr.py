"""The way in, closed by ASR where the account has it: with the control finding, in the account's own documents."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import boto3
import parliament
import plan_sample as sample
import pytest
from moto import mock_aws
from plan_runner import Runner

from cirtlib.containment import asr, recovering
from cirtlib.containment.incident import Draft
from cirtlib.containment.machines import machine
from cirtlib.containment.step import number
from cirtlib.containment.validate import step_faults
from cirtlib.errors import PlanError
from cirtlib.exposure import Instance
from cirtlib.exposure.path import Path
from cirtlib.exposure.rules import Rule
from cirtlib.exposure.table import Cause
from cirtlib.exposure.weakness import Judged

GROUP, TAKEN, BESIDE = "sg-0a1b2c3d4e5f60001", "i-0a1b2c3d4e5f60001", "i-0a1b2c3d4e5f60002"
ARN = f"arn:aws:ec2:us-east-1:{sample.HOME}:instance/{TAKEN}"
CONTROL = {
    "Id": f"arn:aws:securityhub:us-east-1:{sample.HOME}:security-control/EC2.19/finding/1",
    "ProductName": "Security Hub",
    "Compliance": {"Status": "FAILED", "SecurityControlId": "EC2.19"},
}
ACTION = f"arn:aws:securityhub:us-east-1:{sample.SECOND}:action/custom/ASRRemediation"
ROLE = f"arn:aws:iam::{sample.HOME}:role/SO0111-Remediate-SC-2.0.0-EC2.19"


class State(SimpleNamespace):
    """An account snapshot by hand: answers by call."""

    def rows(self, call, member, *, region=None):
        return self.answers.get(call, [])

    def pages(self, call, *, region=None, target=None):
        return [("us-east-1", target, answer) for answer in self.answers.get(call, [])]


def snapshot(**more):
    """What the account with ASR answers."""
    answers = {
        "ssm.ListDocuments": [{"Name": "ASR-SC_2.0.0_EC2.19"}, {"Name": "ASR-AFSBP_1.0.0_EC2.19"}],
        "securityhub.DescribeActionTargets": [{"ActionTargetArn": ACTION}],
        "ec2.DescribeNetworkInterfaces": [
            {"NetworkInterfaceId": f"eni-{one}", "Groups": [{"GroupId": GROUP}], "Attachment": {"InstanceId": one},
             "Association": {"PublicIp": "198.51.100.7"}, "Region": "us-east-1"}
            for one in (TAKEN, BESIDE)
        ],
    }  # fmt: skip
    rule = {"FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    volume = {"Ebs": {"VolumeId": "vol-1"}}
    times = ("2026-06-01T00:00:00Z", "2026-06-08T00:00:00Z", "2026-06-10T11:00:00Z")
    fields = {
        "account": sample.HOME,
        "taken_at": "2026-06-12T08:00:00Z",
        "answers": answers | more,
        "roles": [{"RoleName": ROLE.rsplit("/", 1)[1], "Arn": ROLE}],
        "instances": [{"InstanceId": TAKEN, "BlockDeviceMappings": [volume]}],
        "security_groups": [{"GroupId": GROUP, "IpPermissions": [rule]}],
        "snapshots": [{"SnapshotId": f"snap-{n}", "VolumeId": "vol-1", "StartTime": at} for n, at in enumerate(times)],
    }
    return State(**fields)


def draft(*states, findings=(CONTROL,)):
    """A draft in which the taken instance was open on port 22 to the world."""
    import pandas as pd

    rows = [
        {"finding_id": one["Id"], "control_id": one["Compliance"]["SecurityControlId"], "latest": True,
         "compliance_status": "FAILED", "resource_ids": [f"arn:aws:ec2:us-east-1:{sample.HOME}:security-group/{GROUP}"],
         "details": json.dumps(one)}
        for one in findings
    ]  # fmt: skip
    cause = Cause("open", "door", GROUP, tuple(row["control_id"] for row in rows), (), 1.0, "likely")
    path = Path(TAKEN, sample.HOME, "us-east-1", {GROUP: "security group"})
    rule = Rule(GROUP, "0.0.0.0/0", 22, 22, ("e-open",))
    first = datetime(2026, 6, 10, 12, tzinfo=UTC)
    way_in = Instance(path, first, (), (rule,), Judged((cause,), (), 0), ())
    incident = replace(sample.incident(), ways_in=(way_in,), states=states, findings=pd.DataFrame(rows))
    return Draft(incident)


def step_of(made):
    asr.close_way_in(made, sample.node("resource", ARN, "compromised"), machine(made.incident, ARN))
    (step,) = number(list(made.steps.values()))
    assert step_faults(step) == []
    return step


def test_the_control_finding_is_carried_and_the_button_comes_first():
    """The account's own document and role get the whole finding; button, orchestrator and direct call are told."""
    step = step_of(draft(snapshot()))
    given = step.api["parameters"]
    assert (step.api["operation"], given["DocumentName"]) == ("StartAutomationExecution", "ASR-SC_2.0.0_EC2.19")
    assert json.loads(given["Parameters"]["Finding"][0]) == CONTROL
    assert given["Parameters"]["AutomationAssumeRole"] == [ROLE]
    assert "Remediate with ASR" in step.prerequisites[0]
    assert [one["api"]["operation"] for one in step.alternatives] == ["StartExecution", "RevokeSecurityGroupIngress"]
    assert BESIDE in " ".join(step.side_effects)
    assert "isolates nothing" in " ".join(step.does_not_stop)
    assert set(step.why) == {"e-open", CONTROL["Id"]}
    assert step.reopens
    assert step.phase == "prevent"


@pytest.mark.parametrize(
    "state",
    [
        None,
        snapshot(**{"ssm.ListDocuments": []}),
        snapshot(**{"ssm.ListDocuments": [{"Name": "ASR-SC_2.0.0_EC2.18"}]}),
    ],
)
def test_without_asr_the_calls_are_direct(state):
    """No snapshot, or none of its document: the rule is revoked by a direct call, and rolled back by its own."""
    step = step_of(draft(*([state] if state else [])))
    assert step.api["operation"] == "RevokeSecurityGroupIngress"
    assert step.rollback["api"]["operation"] == "AuthorizeSecurityGroupIngress"
    assert step.reopens


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ProductName": "GuardDuty", "Compliance": {}}, "no control finding"),
        ({"ProductName": "GuardDuty"}, "no control finding"),
        ({"Compliance": {"SecurityControlId": "EC2.4"}}, "terminates instances"),
        ({"Compliance": {"SecurityControlId": "CloudTrail.1"}}, "no stopped trail"),
        ({"Compliance": {"SecurityControlId": "EC2.53"}}, "no runbook for EC2.53"),
    ],
)
def test_what_asr_must_not_get_is_refused(change, words):
    """Findings of GuardDuty, runbooks that do harm or too little, and controls without a runbook."""
    with pytest.raises(PlanError, match=words):
        asr.control_of(CONTROL | change)


def test_a_control_without_runbook_is_said_and_closed_directly():
    """EC2.53 has no runbook: the plan says so."""
    other = {**CONTROL, "Compliance": {"SecurityControlId": "EC2.53"}}
    made = draft(snapshot(), findings=(other,))
    assert step_of(made).api["operation"] == "RevokeSecurityGroupIngress"
    assert [text for text in made.warnings if "no runbook for EC2.53" in text]


def test_106_controls_have_runbooks():
    """The shipped table is whole, and every runbook it names belongs to a control of its own."""
    assert len(asr.runbooks()) == 106
    assert set(asr.runbooks().values()) <= set(asr.runbooks())


def test_the_recovery_point_is_older_than_the_compromise_by_the_margin():
    """Of three copies the newest from a day or more before the first sign; without any: none, and why."""
    made = draft(snapshot())
    assert "snap-1 of 2026-06-08" in recovering.recovery_point(made, machine(made.incident, ARN))
    bare = draft()
    text = recovering.recovery_point(bare, machine(bare.incident, ARN))
    assert text.startswith("none: no copy from before 2026-06-09T12:00:00Z")
    assert "no account snapshot" in text


def test_what_stays_open_is_told():
    """The neighbour in the same group stays reachable; the isolated instance does not; unknown accounts are said."""
    from cirtlib.containment.isolation import isolate

    made = draft(snapshot())
    one = isolate(ARN, "cirt-isolation-x", index=0, of=1)
    made.steps[one.key] = one
    text = "\n".join(recovering.still_reachable(made))
    assert f"{BESIDE} at 198.51.100.7" in text
    assert "port 22" in text
    assert TAKEN not in text.replace(BESIDE, "")
    bare = draft()
    bare.steps[one.key] = one
    assert recovering.still_reachable(bare) == (f"Account {sample.HOME}: not known, no account snapshot",)


def test_least_privilege_passes_the_linter():
    """The policy allows what the role did and nothing else."""
    log = sample.log()
    key, bucket = f"arn:aws:kms:us-east-1:{sample.HOME}:key/1", "arn:aws:s3:::amzn-s3-demo-bucket"
    log.add("kms:Decrypt", verdict="", request={"keyId": key})
    log.add("s3:GetObject", verdict="", request={"object": f"{bucket}/a/b.csv"})
    text = recovering.least_privilege(sample.incident(events=log), sample.DEV)
    document = text[text.index("{") : text.rindex("}") + 1]
    allowed = {one["Action"][0]: one["Resource"] for one in json.loads(document)["Statement"]}
    assert allowed == {"kms:Decrypt": [key], "s3:GetObject": [f"{bucket}/*"]}
    assert "Not turned into actions: s3:ListBuckets" in text
    assert not parliament.analyze_policy_string(document).findings


def test_the_direct_call_closes_that_rule_alone():
    """On moto: the world's rule goes, the others stay; rolled back it is there again."""
    with mock_aws():
        ec2 = boto3.client("ec2", region_name="us-east-1")
        group = ec2.create_security_group(GroupName="open", Description="open")["GroupId"]
        wide = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        narrow = {**wide, "IpRanges": [{"CidrIp": "192.0.2.0/24"}]}
        web = {**wide, "FromPort": 443, "ToPort": 443}
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[wide, narrow, web])
        known = machine(sample.incident(), ARN)
        (step,) = number([asr.revoke(known, Rule(group, "0.0.0.0/0", 22, 22), others=())])

        def rules():
            found = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
            rows = [one for one in found["SecurityGroupRules"] if not one["IsEgress"]]
            return sorted((one["FromPort"], one["CidrIpv4"]) for one in rows)

        before, run = rules(), Runner()
        run.contain(step)
        assert rules() == [(22, "192.0.2.0/24"), (443, "0.0.0.0/0")]
        run.rollback(step)
        assert rules() == before
