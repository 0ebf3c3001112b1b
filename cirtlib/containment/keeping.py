"""Steps that keep an instance as evidence: recorded, tagged, safe from termination, its volumes kept and copied.

Order and calls follow the EC2 forensics page of the AWS customer playbook framework: what is there is recorded before
anything is changed, and nothing is terminated.
"""

from typing import Any

from cirtlib.containment.step import Ref, Step, call, quoted, read
from cirtlib.text import visible

CASE_TAG, SOURCE_TAG = "cirt-case", "cirt-source"
_ALIVE = ["pending", "running", "stopping", "stopped"]


def place(instance: str) -> tuple[str, str, str]:
    """Region, account and id of an instance's ARN."""
    parts = instance.split(":")
    return parts[3], parts[4], instance.rsplit("/", 1)[-1]


def described(instance_id: str, jmespath: str, **expected: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON scalar
    """Read of DescribeInstances; the path starts at the instance."""
    api = call("ec2", "DescribeInstances", InstanceIds=[instance_id])
    return read(api, jmespath.replace("@", "Reservations[0].Instances[0]"), **expected)


def attribute(instance_id: str, name: str, jmespath: str) -> dict[str, Any]:
    """Read of one attribute of an instance."""
    return read(call("ec2", "DescribeInstanceAttribute", InstanceId=instance_id, Attribute=name), jmespath)


def interfaces(instance_id: str, jmespath: str, **expected: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON scalar
    """Read over all network interfaces of an instance."""
    mine = [{"Name": "attachment.instance-id", "Values": [instance_id]}]
    return read(call("ec2", "DescribeNetworkInterfaces", Filters=mine), jmespath, **expected)


def profiles(instance_id: str, jmespath: str, **expected: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON scalar
    """Read of what associates an instance with a profile."""
    mine = [{"Name": "instance-id", "Values": [instance_id]}]
    return read(call("ec2", "DescribeIamInstanceProfileAssociations", Filters=mine), jmespath, **expected)


def record(instance: str, *, case: str) -> Step:
    """Record all that AWS tells of an instance, then tag it with the case."""
    region, account, instance_id = place(instance)
    tag = {"Key": CASE_TAG, "Value": case[:256]}
    volumes = call("ec2", "DescribeVolumes", Filters=[{"Name": "attachment.instance-id", "Values": [instance_id]}])
    tags = call("ec2", "DescribeTags", Filters=[{"Name": "resource-id", "Values": [instance_id]}])
    mine = f"length(Tags[?Key == {quoted(CASE_TAG)} && Value == {quoted(tag['Value'])}])"
    return Step(
        key=f"record {instance}",
        phase="preserve",
        title=f"Record instance {visible(instance_id)} as it is, and tag it with the case",
        target=instance,
        account=account,
        region=region,
        api=call("ec2", "CreateTags", Resources=[instance_id], Tags=[tag]),
        captures={
            "there": described(instance_id, f"contains({quoted(_ALIVE)}, @.State.Name)", expected=True),
            "instance": described(instance_id, "@"),
            "user_data": attribute(instance_id, "userData", "UserData.Value"),
            "protected": attribute(instance_id, "disableApiTermination", "DisableApiTermination.Value"),
            "shutdown": attribute(
                instance_id, "instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior.Value"
            ),
            "volumes": read(volumes, "Volumes"),
            "console": read(call("ec2", "GetConsoleOutput", InstanceId=instance_id), "Output"),
            "profile": profiles(instance_id, "IamInstanceProfileAssociations"),
            "interfaces": interfaces(instance_id, "NetworkInterfaces"),
            "untagged": read(tags, f"{mine} == `0`", expected=True),
        },
        verify=read(tags, f"{mine} == `1`", expected=True),
        rollback={"api": call("ec2", "DeleteTags", Resources=[instance_id], Tags=[tag])},
        rollback_note="The tag tells everybody to leave it alone.",
        side_effects=("Rules and automation that look at tags see one more.",),
        prerequisites=(
            (
                "Take the memory now if it matters: while the instance runs and Systems Manager, or an agent on it, "
                "reaches it. Isolation cuts that way off too."
            ),
            "Save its VPC flow logs and its own logs if they are kept for a short time.",
        ),
    )


def protect(instance: str) -> Step:
    """Refuse termination of an instance: it is evidence."""
    region, account, instance_id = place(instance)
    flag = attribute(instance_id, "disableApiTermination", "DisableApiTermination.Value")

    def change(*, on: bool) -> dict[str, object]:
        return call("ec2", "ModifyInstanceAttribute", InstanceId=instance_id, DisableApiTermination={"Value": on})

    return Step(
        key=f"protect {instance}",
        phase="preserve",
        title=f"Protect instance {visible(instance_id)} from termination",
        target=instance,
        account=account,
        region=region,
        api=change(on=True),
        captures={"protected": {**flag, "expected": False}},
        verify={**flag, "expected": True},
        rollback={"api": change(on=False)},
        rollback_note="Only when its volumes are no longer needed as evidence.",
        side_effects=("Auto scaling and spot interruption can still end it.",),
    )


def stop_on_shutdown(instance: str) -> Step:
    """Let a shutdown from inside stop an instance, not terminate it."""
    region, account, instance_id = place(instance)
    how = attribute(instance_id, "instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior.Value")

    def change(value: str) -> dict[str, object]:
        return call(
            "ec2",
            "ModifyInstanceAttribute",
            InstanceId=instance_id,
            Attribute="instanceInitiatedShutdownBehavior",
            Value=value,
        )

    return Step(
        key=f"shutdown {instance}",
        phase="preserve",
        title=f"Let a shutdown from inside stop instance {visible(instance_id)}, not terminate it",
        target=instance,
        account=account,
        region=region,
        api=change("stop"),
        captures={"behaviour": {**how, "expected": "terminate"}},
        verify={**how, "expected": "stop"},
        rollback={"api": change("terminate")},
        rollback_note="Only when it is no longer needed as evidence.",
        side_effects=("None while it runs.",),
    )


def keep_volumes(instance: str) -> Step:
    """Keep every volume of an instance when the instance is terminated all the same."""
    region, account, instance_id = place(instance)
    mapped = "@.BlockDeviceMappings[]"
    doomed = "length(@.BlockDeviceMappings[?Ebs.DeleteOnTermination])"

    def change(devices: str) -> dict[str, object]:
        return call("ec2", "ModifyInstanceAttribute", InstanceId=instance_id, BlockDeviceMappings=Ref(devices))

    return Step(
        key=f"keep-volumes {instance}",
        phase="preserve",
        title=f"Keep every volume of instance {visible(instance_id)} even when it is terminated",
        target=instance,
        account=account,
        region=region,
        api=change("${self.kept}"),
        captures={
            "before": described(
                instance_id, mapped + ".{DeviceName: DeviceName, Ebs: {DeleteOnTermination: Ebs.DeleteOnTermination}}"
            ),
            "kept": described(instance_id, mapped + ".{DeviceName: DeviceName, Ebs: {DeleteOnTermination: `false`}}"),
            "doomed": described(instance_id, f"{doomed} > `0`", expected=True),
        },
        verify=described(instance_id, f"{doomed} == `0`", expected=True),
        rollback={"api": change("${self.before}")},
        rollback_note="Only when its volumes are no longer needed as evidence.",
        side_effects=("Volumes that nothing deletes cost money until somebody does.",),
        does_not_stop=("Instance-store volumes are lost when it stops or ends.",),
    )


def snapshot_volumes(instance: str, *, case: str) -> Step:
    """Snapshot all volumes of an instance at one moment, tagged with the case."""
    region, account, instance_id = place(instance)
    tags = [{"Key": CASE_TAG, "Value": case[:256]}, {"Key": SOURCE_TAG, "Value": instance_id}]
    mine = [{"Name": f"tag:{tag['Key']}", "Values": [tag["Value"]]} for tag in tags]
    return Step(
        key=f"snapshot {instance}",
        phase="preserve",
        title=f"Snapshot the volumes of instance {visible(instance_id)}",
        target=instance,
        account=account,
        region=region,
        api=call(
            "ec2",
            "CreateSnapshots",
            InstanceSpecification={"InstanceId": instance_id},
            Description=f"Evidence of case {case}"[:255],
            TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}],
        ),
        captures={
            "instance": described(instance_id, "@"),
            "there": described(instance_id, f"contains({quoted(_ALIVE)}, @.State.Name)", expected=True),
        },
        outputs={"snapshots": "Snapshots[].SnapshotId"},
        verify=read(
            call("ec2", "DescribeSnapshots", OwnerIds=["self"], Filters=mine), "length(Snapshots) > `0`", expected=True
        ),
        rollback_note="The snapshots are evidence and stay.",
        side_effects=(
            "Crash-consistent copies without memory: take memory first where it matters and can be reached.",
        ),
        prerequisites=("Encrypted volumes: whoever runs it may use their key (kms:CreateGrant and the like).",),
        does_not_stop=("Whoever may delete snapshots can delete these: copy them to an account of your own, or lock.",),
    )


def leave_scaling_group(instance: str, group: str) -> Step:
    """Take an instance out of its Auto Scaling group, which would otherwise end and replace it."""
    region, account, instance_id = place(instance)
    mine = f"AutoScalingInstances[?AutoScalingGroupName == {quoted(group)}]"
    known = read(call("autoscaling", "DescribeAutoScalingInstances", InstanceIds=[instance_id]), f"length({mine})")
    given = {"InstanceIds": [instance_id], "AutoScalingGroupName": group}
    standby = call("autoscaling", "EnterStandby", **given, ShouldDecrementDesiredCapacity=False)
    suspended = call(
        "autoscaling",
        "SuspendProcesses",
        AutoScalingGroupName=group,
        ScalingProcesses=["ReplaceUnhealthy", "Terminate"],
    )
    return Step(
        key=f"leave-scaling {instance}",
        phase="preserve",
        title=f"Take instance {visible(instance_id)} out of Auto Scaling group {visible(group)}",
        target=instance,
        account=account,
        region=region,
        api=call("autoscaling", "DetachInstances", **given, ShouldDecrementDesiredCapacity=False),
        captures={
            "scaling": read(known["api"], "AutoScalingInstances"),
            "member": {**known, "expected": 1},
        },
        verify={**known, "expected": 0},
        rollback={"api": call("autoscaling", "AttachInstances", **given)},
        rollback_note="It would serve again, as it was when it was compromised.",
        reopens=True,
        side_effects=("The group starts another instance in its place, from the same template and image.",),
        does_not_stop=("The replacement is as open as this one was: close the way in as well.",),
        alternatives=(
            {
                "title": "Put it on standby instead: it stays a member",
                "api": standby,
                "only_when": "the group must get it back later",
                "evaded_by": "nothing, but the group can still terminate it",
            },
            {
                "title": "Suspend the group's replacing and terminating first",
                "api": suspended,
                "only_when": "the group is about to end it",
                "evaded_by": "nothing; the whole group no longer heals until ResumeProcesses",
            },
        ),
    )


def leave_target_group(instance: str, target_group: str, port: int | None) -> Step:
    """Take an instance out of a target group: a load balancer sends it nothing more."""
    region, account, instance_id = place(instance)
    targets = [{"Id": instance_id} | ({"Port": port} if port else {})]
    left = quoted(["draining", "unused"])
    health = call("elbv2", "DescribeTargetHealth", TargetGroupArn=target_group)
    serving = (
        f"length(TargetHealthDescriptions[?Target.Id == {quoted(instance_id)} && "
        f"!contains({left}, TargetHealth.State)])"
    )
    return Step(
        key=f"leave-target-group {instance} {target_group}",
        phase="contain",
        title=f"Take instance {visible(instance_id)} out of target group {visible(target_group.split('/')[-2])}",
        target=instance,
        account=account,
        region=region,
        api=call("elbv2", "DeregisterTargets", TargetGroupArn=target_group, Targets=targets),
        captures={"serving": read(health, f"{serving} > `0`", expected=True)},
        verify=read(health, f"{serving} == `0`", expected=True),
        rollback={"api": call("elbv2", "RegisterTargets", TargetGroupArn=target_group, Targets=targets)},
        rollback_note="It would serve again, as it was when it was compromised.",
        reopens=True,
        side_effects=("The other targets carry its share; with no other, the service is down.",),
        does_not_stop=("Requests that are under way go on until the deregistration delay is over.",),
    )


def leave_load_balancer(instance: str, name: str) -> Step:
    """Take an instance out of a classic load balancer."""
    region, account, instance_id = place(instance)
    given = {"LoadBalancerName": name, "Instances": [{"InstanceId": instance_id}]}
    look = call("elb", "DescribeLoadBalancers", LoadBalancerNames=[name])
    member = f"length(LoadBalancerDescriptions[0].Instances[?InstanceId == {quoted(instance_id)}])"
    return Step(
        key=f"leave-load-balancer {instance} {name}",
        phase="contain",
        title=f"Take instance {visible(instance_id)} out of load balancer {visible(name)}",
        target=instance,
        account=account,
        region=region,
        api=call("elb", "DeregisterInstancesFromLoadBalancer", **given),
        captures={"member": read(look, member, expected=1)},
        verify=read(look, member, expected=0),
        rollback={"api": call("elb", "RegisterInstancesWithLoadBalancer", **given)},
        rollback_note="It would serve again, as it was when it was compromised.",
        reopens=True,
        side_effects=("The other instances carry its share; with no other, the service is down.",),
    )
