"""Instances in a plan: kept, cut off on every interface, given back as they were; a lead is left alone."""

from dataclasses import replace

import boto3
import plan_sample as sample
import pytest
from moto import mock_aws
from moto.backends import get_backend
from plan_runner import Runner

from cirtlib.containment import isolation, keeping
from cirtlib.containment.planning import build
from cirtlib.containment.step import number
from cirtlib.containment.validate import step_faults
from cirtlib.training.account_network import own_groups

REGION = "us-east-1"
SUSPECT = f"arn:aws:ec2:{REGION}:{sample.HOME}:instance/i-0a1b2c3d4e5f60009"


def steps_for(instance, *, interfaces):
    """Every step on one instance, in the plan's order."""
    name = isolation.group_name("ir-001", "vpc-1")
    steps = [
        keeping.record(instance, case="ir-001"), keeping.protect(instance), keeping.stop_on_shutdown(instance),
        keeping.keep_volumes(instance), keeping.snapshot_volumes(instance, case="ir-001"),
        isolation.make_group(instance, name), isolation.empty_group(instance, name),
        *(isolation.isolate(instance, name, index=index, of=interfaces) for index in range(interfaces)),
        isolation.metadata_off(instance), isolation.take_profile(instance),
    ]  # fmt: skip
    return number(steps)


@pytest.fixture
def machine():
    """An instance with two interfaces in a group that is open to the world, and a profile."""
    with mock_aws():
        ec2, iam = boto3.client("ec2", region_name=REGION), boto3.client("iam", region_name=REGION)
        iam.create_role(RoleName="web", AssumeRolePolicyDocument="{}")
        iam.create_instance_profile(InstanceProfileName="web")
        iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="web")
        subnet = ec2.describe_subnets()["Subnets"][0]
        group = ec2.create_security_group(GroupName="open", Description="open", VpcId=subnet["VpcId"])["GroupId"]
        made = ec2.run_instances(
            ImageId="ami-12c6146b", MinCount=1, MaxCount=1, SubnetId=subnet["SubnetId"], SecurityGroupIds=[group],
            InstanceInitiatedShutdownBehavior="terminate", IamInstanceProfile={"Name": "web"},
        )["Instances"][0]  # fmt: skip
        card = ec2.create_network_interface(SubnetId=subnet["SubnetId"], Groups=[group])["NetworkInterface"]
        ec2.attach_network_interface(
            NetworkInterfaceId=card["NetworkInterfaceId"], InstanceId=made["InstanceId"], DeviceIndex=1
        )
        (reservation,) = get_backend("ec2")["123456789012"][REGION].reservations.values()
        own_groups(reservation.instances[0])
        yield ec2, f"arn:aws:ec2:{REGION}:{sample.HOME}:instance/{made['InstanceId']}", group


def seen(ec2, arn):
    """What the steps are about, as AWS tells it."""
    instance = arn.rsplit("/", 1)[1]
    one = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    cards = ec2.describe_network_interfaces(Filters=[{"Name": "attachment.instance-id", "Values": [instance]}])
    return {
        "groups": sorted([group["GroupName"] for group in card["Groups"]] for card in cards["NetworkInterfaces"]),
        "metadata": one["MetadataOptions"]["HttpEndpoint"],
        "kept": [not volume["Ebs"]["DeleteOnTermination"] for volume in one["BlockDeviceMappings"]],
        "profile": ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"] != [],
        "tags": one.get("Tags", []),
        "state": one["State"]["Name"],
    }


def test_cut_off_and_given_back(machine):
    """Both interfaces are in one group without rules; rolled back, everything is as it was."""
    ec2, arn, _ = machine
    before, run, steps = seen(ec2, arn), Runner(), steps_for(arn, interfaces=2)
    for step in steps:
        run.contain(step)
    for step in steps:
        run.verify(step)
    after = seen(ec2, arn)
    name = isolation.group_name("ir-001", "vpc-1")
    assert after["groups"] == [[name], [name]]
    assert (after["metadata"], after["profile"], after["state"]) == ("disabled", False, "running")
    assert all(after["kept"])
    (group,) = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [name]}])["SecurityGroups"]
    assert (group["IpPermissions"], group["IpPermissionsEgress"]) == ([], [])
    for step in reversed(steps):
        run.rollback(step)
    assert seen(ec2, arn) == before
    assert not ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [name]}])["SecurityGroups"]


def test_an_interface_that_nobody_knew_of_fails_the_check(machine):
    """With one interface known and two there, the check of the isolation does not pass."""
    _, arn, _ = machine
    run, steps = Runner(), steps_for(arn, interfaces=1)
    with pytest.raises(AssertionError, match="isolate"):
        for step in steps:
            run.contain(step)


def test_what_gives_access_back_is_marked(machine):
    """Rollback of whatever cuts the instance off would let the attacker in again."""
    _, arn, _ = machine
    steps = {step.key.split(" ")[0]: step for step in steps_for(arn, interfaces=1)}
    assert all(steps[word].reopens for word in ("isolate", "metadata", "profile", "isolation-rules"))
    assert not [fault for step in steps.values() for fault in step_faults(step)]
    text = " ".join(steps["isolate"].does_not_stop)
    assert all(word in text for word in ("tracked", "NAT", "DNS"))


def suspicion(**more):
    """The attack, with one more instance that is only suspected."""
    given = sample.scope()
    given["nodes"].append(sample.node("resource", SUSPECT, "suspected"))
    given["leads"] = [{"node": f"resource:{SUSPECT}", "reason": "the attacker held its credentials", "rarity": None}]
    return build(replace(sample.incident(given=given), **more))


def test_a_lead_gets_a_warning_and_no_step():
    """The warning says why, and how to confirm."""
    plan = suspicion()
    assert SUSPECT not in {step.target for step in plan.steps}
    (warning,) = [text for text in plan.warnings if SUSPECT in text]
    assert f"cirt confirm CASE 'resource:{SUSPECT}'" in warning
    assert "the attacker held its credentials" in warning


def test_a_confirmed_lead_is_isolated_and_runs_on():
    """Confirmed, it gets evidence first, then isolation; it is not stopped, for its memory is evidence."""
    plan = suspicion(confirmed=frozenset({f"resource:{SUSPECT}"}))
    words = [step.id.split("-", 1)[1] for step in plan.steps if step.target == SUSPECT]
    assert words[0] == "record"
    assert words.index("snapshot") < words.index("isolate")
    assert "shutdown" in words
    assert "stop" not in words
    assert not [text for text in plan.warnings if SUSPECT in text]


class Answers:
    """An account snapshot by hand that shows who sends the suspect traffic, and its Auto Scaling group."""

    account, taken_at = sample.HOME, "2026-06-12T08:00:00Z"
    target_group = f"arn:aws:elasticloadbalancing:{REGION}:{sample.HOME}:targetgroup/web/0123456789abcdef"
    security_groups, roles, snapshots = [], [], []

    def __init__(self):
        self.id = SUSPECT.rsplit("/", 1)[1]
        tags = [{"Key": "aws:autoscaling:groupName", "Value": "web"}]
        cards = [{"NetworkInterfaceId": f"eni-0a1b2c3d4e5f6000{n}"} for n in (1, 2)]
        self.instances = [{"InstanceId": self.id, "Tags": tags, "NetworkInterfaces": cards}]

    def pages(self, call, *, region=None, target=None):
        health = {"TargetHealthDescriptions": [{"Target": {"Id": self.id, "Port": 8080}}]}
        return [(REGION, self.target_group, health)] if call == "elbv2.DescribeTargetHealth" else []

    def rows(self, call, member, *, region=None):
        classic = [{"LoadBalancerName": "old", "Instances": [{"InstanceId": self.id}]}]
        return classic if call == "elb.DescribeLoadBalancers" else []


def test_it_leaves_its_scaling_group_and_load_balancers():
    """What the snapshot shows of them becomes steps that can be undone; each interface is isolated by its own step."""
    plan = suspicion(confirmed=frozenset({f"resource:{SUSPECT}"}), states=(Answers(),))
    steps = [step for step in plan.steps if step.target == SUSPECT]
    by = {step.api["operation"]: step for step in steps}
    leave = ["DetachInstances", "DeregisterTargets", "DeregisterInstancesFromLoadBalancer"]
    assert [by[name].rollback["api"]["operation"] for name in leave] == [
        "AttachInstances", "RegisterTargets", "RegisterInstancesWithLoadBalancer",
    ]  # fmt: skip
    assert by["DetachInstances"].api["parameters"]["AutoScalingGroupName"] == "web"
    assert by["DeregisterTargets"].api["parameters"]["Targets"] == [{"Id": Answers().id, "Port": 8080}]
    assert max(by[name].order for name in leave) < by["ModifyNetworkInterfaceAttribute"].order
    cards = [step for step in steps if step.api["operation"] == "ModifyNetworkInterfaceAttribute"]
    assert ["60001" in cards[0].title, "60002" in cards[1].title] == [True, True]
    assert not [fault for step in steps for fault in step_faults(step)]
