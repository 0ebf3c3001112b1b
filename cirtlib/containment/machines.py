"""What is known of an instance: from findings, records and the account snapshot, each fact with where it was read."""

from dataclasses import dataclass, field
from typing import Any

from cirtlib.containment.history import Act, items
from cirtlib.containment.incident import Incident
from cirtlib.exposure import Instance
from cirtlib.exposure.path import Path
from cirtlib.snapshot import Snapshot

_SHOWN = 10


@dataclass(frozen=True)
class Machine:
    """An instance and what it hangs on.

    Attributes
    ----------
    path
        Interfaces, groups, subnet, VPC, profile and role by id, each with its evidence.
    acts
        Events of EC2 that name it, in order of time.
    row
        What the account snapshot says (an item of DescribeInstances); empty without one.
    way_in
        How somebody came into it, where that was looked for.
    scaling_group
        Name of its Auto Scaling group; empty when it is in none that we know of.
    target_groups
        (ARN, port) of target groups that it is registered with, by the account snapshot.
    balancers
        Names of classic load balancers that it is registered with, by the account snapshot.
    """

    arn: str
    path: Path
    acts: tuple[Act, ...] = ()
    row: dict[str, Any] = field(default_factory=dict)
    way_in: Instance | None = None
    scaling_group: str = ""
    target_groups: tuple[tuple[str, int | None], ...] = ()
    balancers: tuple[str, ...] = ()

    @property
    def instance_id(self) -> str:
        """Id of the instance."""
        return self.path.instance

    @property
    def evidence(self) -> tuple[str, ...]:
        """Ids of the findings on it and of what the attacker did with its role: why it is in a plan at all."""
        if self.way_in is None:
            return ()
        did = [event for act in self.way_in.acts if act["verdict"] == "attacker" for event in act["ids"]]
        return tuple(dict.fromkeys([*(sign.finding for sign in self.way_in.signs), *did]))[:_SHOWN]


def machine(incident: Incident, arn: str) -> Machine:
    """Gather what is known of an instance."""
    parts = arn.split(":")
    account, region, instance_id = parts[4], parts[3], arn.rsplit("/", 1)[-1]
    way_in = next((one for one in incident.ways_in if one.path.instance == instance_id), None)
    path = way_in.path if way_in else Path(instance_id, account, region)
    acts = tuple(act for act in incident.history if act.source == "ec2.amazonaws.com" and instance_id in _about(act))
    state = next((one for one in incident.states if one.account == account), None)
    row = next((one for one in state.instances if one.get("InstanceId") == instance_id), {}) if state else {}
    if not way_in:
        if state and row:
            path.tell(row, f"account snapshot of {state.taken_at}")
        for act in acts:
            told = [one for one in _listed(act.response) if one.get("instanceId") == instance_id]
            path.tell(told if act.name == "RunInstances" else [act.request, act.response], act.event_id)
    return Machine(
        arn, path, acts, row, way_in, _scaling_group(row, acts), _target_groups(state, region, instance_id),
        _balancers(state, region, instance_id),
    )  # fmt: skip


def _about(act: Act) -> list[str]:
    named = act.response if act.name == "RunInstances" else act.request
    return [*items(named.get("instancesSet"), "instanceId"), str(act.request.get("instanceId", ""))]


def _listed(response: dict[str, Any]) -> list[dict[str, Any]]:
    found = (response.get("instancesSet") or {}).get("items") or []
    return [one for one in found if isinstance(one, dict)]


def _scaling_group(row: dict[str, Any], acts: tuple[Act, ...]) -> str:
    """Auto Scaling group by the tag that it puts on its instances: in the snapshot, or in the launch."""
    tags = [(one.get("Key"), one.get("Value")) for one in row.get("Tags", ())]
    for act in acts:
        given = act.request.get("tagSpecificationSet") if act.name == "RunInstances" else None
        for one in (given or {}).get("items") or ():
            tags += [(tag.get("key"), tag.get("value")) for tag in one.get("tags") or ()]
    return next((str(value) for key, value in tags if key == "aws:autoscaling:groupName"), "")


def _target_groups(state: Snapshot | None, region: str, instance: str) -> tuple[tuple[str, int | None], ...]:
    found = [
        (arn, one["Target"].get("Port"))
        for _, arn, answer in (state.pages("elbv2.DescribeTargetHealth", region=region) if state else ())
        for one in answer.get("TargetHealthDescriptions", ())
        if one["Target"]["Id"] == instance
    ]
    return tuple(found)


def _balancers(state: Snapshot | None, region: str, instance: str) -> tuple[str, ...]:
    rows = state.rows("elb.DescribeLoadBalancers", "LoadBalancerDescriptions", region=region) if state else []
    return tuple(
        str(one["LoadBalancerName"])
        for one in rows
        if instance in [each.get("InstanceId") for each in one.get("Instances", ())]
    )
