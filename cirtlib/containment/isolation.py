"""Steps that cut an instance off: a security group without rules on every interface, no metadata, no profile.

What a group cannot do is said in each step: it does not cut what is already connected, and it filters neither DNS of
the VPC's resolver nor the metadata service (EC2 user guide, connection tracking; VPC user guide, security groups).
"""

import re
from typing import Any

from cirtlib.containment.keeping import described, interfaces, place, profiles
from cirtlib.containment.step import IRREVERSIBLE, Ref, Step, call, quoted, read
from cirtlib.text import visible

_TRACKED = (
    (
        "Connections that are open when the group changes may live on: tracked flows stay up to 5 days idle on older "
        "types, 350 seconds on newer Nitro types. Nothing here proves that they ended: look in the VPC flow logs, or "
        "stop the instance."
    ),
    (
        "Flows through a NAT gateway, a Network Load Balancer, PrivateLink, a transit gateway or Network Firewall are "
        "always tracked: changing groups does not cut them, whatever the order of the groups."
    ),
    (
        "No group filters DNS to the VPC's own resolver: data can still leave in names (Route 53 Resolver DNS Firewall "
        "filters them)."
    ),
)
_SERVES = (
    "Look whether it serves a load balancer or an Auto Scaling group that no step of this plan names (elbv2 "
    "DescribeTargetHealth, elb DescribeLoadBalancers, autoscaling DescribeAutoScalingInstances): those would replace "
    "or end it."
)


def group_name(case: str, where: str) -> str:
    """Name of the group of isolation for a VPC or an instance; only characters that a group's name may have."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", case)[:100]
    return f"cirt-isolation-{plain}-{where}"


def _group(name: str, jmespath: str, **expected: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON scalar
    """Read of the group of isolation: by its name, which no other VPC has."""
    filters = [{"Name": "group-name", "Values": [name]}]
    return read(call("ec2", "DescribeSecurityGroups", Filters=filters), jmespath, **expected)


def make_group(instance: str, name: str) -> Step:
    """Make the security group of isolation in the VPC of an instance; new groups let everything out."""
    region, account, instance_id = place(instance)
    found = "length(SecurityGroups)"
    return Step(
        key=f"isolation-group {account} {region} {name}",
        phase="contain",
        title=f"Make the security group {visible(name)} in the VPC of instance {visible(instance_id)}",
        target=instance,
        account=account,
        region=region,
        api=call(
            "ec2",
            "CreateSecurityGroup",
            GroupName=name,
            Description="Isolation: no rules, nothing in and nothing out",
            VpcId=Ref("${self.vpc}"),
        ),
        captures={
            "vpc": described(instance_id, "@.VpcId"),
            "absent": _group(name, f"{found} == `0`", expected=True),
        },
        outputs={"group": "GroupId"},
        verify=_group(name, f"{found} == `1`", expected=True),
        rollback=IRREVERSIBLE,
        rollback_note="The group goes with the rollback of the step that takes its rules away.",
        side_effects=("None: nothing is in the group yet.",),
    )


def empty_group(instance: str, name: str) -> Step:
    """Take away the rules that a new group has: it lets out everything, by IPv6 as well where the VPC has it."""
    region, account, _ = place(instance)
    first = "SecurityGroups[0]"
    empty = f"{first}.IpPermissions == `[]` && {first}.IpPermissionsEgress == `[]`"
    return Step(
        key=f"isolation-rules {account} {region} {name}",
        phase="contain",
        title=f"Take every rule out of the security group {visible(name)}",
        target=instance,
        account=account,
        region=region,
        api=call("ec2", "RevokeSecurityGroupEgress", GroupId=Ref("${self.group}"), IpPermissions=Ref("${self.egress}")),
        captures={
            "group": _group(name, f"{first}.GroupId"),
            "egress": _group(name, f"{first}.IpPermissionsEgress"),
            "open": _group(name, f"length({first}.IpPermissionsEgress) > `0`", expected=True),
        },
        verify=_group(name, empty, expected=True),
        rollback={"api": call("ec2", "DeleteSecurityGroup", GroupId=Ref("${self.group}"))},
        rollback_note="Deletes the group, when no interface is in it any more.",
        reopens=True,
        side_effects=("None: nothing is in the group yet.",),
        depends_on=(f"isolation-group {account} {region} {name}",),
    )


def isolate(instance: str, name: str, *, index: int, of: int, interface: str = "", subnet: str = "") -> Step:
    """Put one network interface of an instance into the group of isolation, and into no other.

    Parameters
    ----------
    index, of
        Which of the instance's known interfaces, by device index; the last one's check is over all that there are.
    interface
        Its id, where it is known; for reading only: the id is read again when the step runs.
    subnet
        Its subnet, where it is known: then the network ACL is offered as another way.
    """
    region, account, instance_id = place(instance)
    one = f"sort_by(NetworkInterfaces, &Attachment.DeviceIndex)[{index}]"
    alone = f"Groups[].GroupName == {quoted([name])}"
    missed = f"length(NetworkInterfaces[?!({alone})])"
    whole = interfaces(instance_id, f"length(NetworkInterfaces) > `0` && {missed} == `0`", expected=True)
    label = f"{visible(interface)} " if interface else ""

    def change(groups: list[Ref] | Ref) -> dict[str, object]:
        return call(
            "ec2", "ModifyNetworkInterfaceAttribute", NetworkInterfaceId=Ref("${self.interface}"), Groups=groups
        )

    return Step(
        key=f"isolate {instance} {index}",
        phase="contain",
        title=f"Isolate instance {visible(instance_id)}: interface {label}({index + 1} of {of} known) into "
        f"{visible(name)} alone",
        target=instance,
        account=account,
        region=region,
        api=change([Ref("${self.isolation}")]),
        captures={
            "interface": interfaces(instance_id, f"{one}.NetworkInterfaceId"),
            "groups": interfaces(instance_id, f"{one}.Groups[].GroupId"),
            "isolation": _group(name, "SecurityGroups[0].GroupId"),
            "reachable": interfaces(instance_id, f"{one}.{alone}", expected=False),
        }
        | _acl(subnet),
        verify=whole if index == of - 1 else interfaces(instance_id, f"{one}.{alone}", expected=True),
        rollback={"api": change(Ref("${self.groups}"))},
        rollback_note="Gives the interface its old groups back: the way in is open again unless it was closed.",
        reopens=True,
        side_effects=(
            "Whatever the instance serves is down, and nobody logs in to it: neither SSH nor Systems Manager.",
            "Agents on it no longer report; health checks fail.",
        ),
        prerequisites=(_SERVES,) if index == 0 else (),
        does_not_stop=_TRACKED,
        alternatives=_other_ways(instance_id, subnet=subnet),
        depends_on=(f"isolation-rules {account} {region} {name}", f"snapshot {instance}"),
    )


def _acl(subnet: str) -> dict[str, Any]:
    filters = [{"Name": "association.subnet-id", "Values": [subnet]}]
    look = read(call("ec2", "DescribeNetworkAcls", Filters=filters), "NetworkAcls[0].NetworkAclId")
    return {"acl": look} if subnet else {}


def _other_ways(instance_id: str, *, subnet: str) -> tuple[dict[str, Any], ...]:
    """What may cut tracked connections as well: AWS's runbook with two groups, and a network ACL."""
    runbook = call(
        "ssm",
        "StartAutomationExecution",
        DocumentName="AWSSupport-ContainEC2Instance",
        Parameters={"InstanceId": [instance_id], "Action": ["Contain"], "DryRun": ["true"]},
    )
    two_groups = {
        "title": "AWS's runbook, dry run first: a group that lets everything in and out, and then one without rules, "
        "so that open connections are untracked when the rules go",
        "api": runbook,
        "only_when": "open connections must end and the instance must run on; it is open to everybody for a moment",
        "evaded_by": "connections that were tracked before, for all that AWS's documentation promises: unverified",
    }
    deny = {
        "title": "A network ACL entry that denies all egress of the subnet: stateless, it cuts open connections",
        "api": call(
            "ec2",
            "CreateNetworkAclEntry",
            NetworkAclId=Ref("${self.acl}"),
            RuleNumber=1,
            Protocol="-1",
            RuleAction="deny",
            Egress=True,
            CidrBlock="0.0.0.0/0",
        ),
        "only_when": "everything in the subnet may lose its network",
        "evaded_by": "IPv6 (needs an entry of its own), traffic inside the subnet, DNS, the metadata service",
    }
    return (two_groups, deny) if subnet else (two_groups,)


def metadata_off(instance: str) -> Step:
    """Turn the metadata service of an instance off: it hands out no credentials any more."""
    region, account, instance_id = place(instance)
    endpoint = described(instance_id, "@.MetadataOptions.HttpEndpoint")

    def change(value: str, **more: Ref) -> dict[str, object]:
        return call("ec2", "ModifyInstanceMetadataOptions", InstanceId=instance_id, HttpEndpoint=value, **more)

    back = {"HttpTokens": Ref("${self.tokens}"), "HttpPutResponseHopLimit": Ref("${self.hops}")}
    return Step(
        key=f"metadata {instance}",
        phase="contain",
        title=f"Turn the metadata service of instance {visible(instance_id)} off",
        target=instance,
        account=account,
        region=region,
        api=change("disabled"),
        captures={
            "tokens": described(instance_id, "@.MetadataOptions.HttpTokens"),
            "hops": described(instance_id, "@.MetadataOptions.HttpPutResponseHopLimit"),
            "endpoint": {**endpoint, "expected": "enabled"},
        },
        verify={**endpoint, "expected": "disabled"},
        rollback={"api": change("enabled", **back)},
        rollback_note="Whoever is on the instance gets credentials of its role again.",
        reopens=True,
        side_effects=("Programs on the instance lose their credentials when those at hand expire, at most 6 hours.",),
        does_not_stop=(
            (
                "Credentials that it handed out live until they expire, wherever they were taken to: the role's "
                "sessions are revoked in steps of their own."
            ),
        ),
    )


def take_profile(instance: str) -> Step:
    """Take the instance profile, and with it the role, from an instance."""
    region, account, instance_id = place(instance)
    own = "IamInstanceProfileAssociations[?State == 'associated' || State == 'associating']"
    back = call(
        "ec2",
        "AssociateIamInstanceProfile",
        InstanceId=instance_id,
        IamInstanceProfile={"Arn": Ref("${self.profile}")},
    )
    return Step(
        key=f"profile {instance}",
        phase="contain",
        title=f"Take the instance profile from instance {visible(instance_id)}",
        target=instance,
        account=account,
        region=region,
        api=call("ec2", "DisassociateIamInstanceProfile", AssociationId=Ref("${self.association}")),
        captures={
            "association": profiles(instance_id, f"{own}.AssociationId | [0]"),
            "profile": profiles(instance_id, f"{own}.IamInstanceProfile.Arn | [0]"),
            "associated": profiles(instance_id, f"length({own})", expected=1),
        },
        verify=profiles(instance_id, f"length({own})", expected=0),
        rollback={"api": back},
        rollback_note="Whoever is on the instance gets credentials of its role again.",
        reopens=True,
        side_effects=("What runs on the instance may no longer call AWS, Systems Manager included.",),
        does_not_stop=("Credentials that were handed out before live until they expire or are revoked.",),
    )
