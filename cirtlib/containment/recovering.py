"""Instances again in service: the newest copy from before the compromise, and what their roles really need.

Both are proposals in words; nothing here is run.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from cirtlib.case import parse_time
from cirtlib.containment.history import items
from cirtlib.containment.incident import Draft, Incident
from cirtlib.containment.log import ATTACKER
from cirtlib.containment.machines import Machine, machine
from cirtlib.containment.validate import service_model
from cirtlib.snapshot import Snapshot
from cirtlib.text import visible

MARGIN = timedelta(hours=24)
# Services most of whose operations have actions of other names: those of the same name.
_SAME_NAME = {"s3": {"GetObject", "PutObject", "DeleteObject"}, "lambda": {"GetFunction", "ListFunctions"}}
_MOST_RESOURCES = 20
_ARN = re.compile(r'"(arn:[^"\\*?]+)"')
_COPIES = ("CreateSnapshot", "CreateSnapshots", "CreateImage")


def recovered(draft: Draft) -> tuple[dict[str, str], ...]:
    """Notes of `Plan.recovery` for every instance that the plan cuts off and that is not the attacker's own."""
    notes = []
    for key, step in draft.steps.items():
        if not key.startswith("record ") or any(_made(draft, node) for node in step.nodes):
            continue
        known = machine(draft.incident, step.target)
        notes.append(_note(step.target, "Recovery point", recovery_point(draft, known)))
        for role in known.path.of_kind("role"):
            text = least_privilege(draft.incident, role)
            notes.append(_note(role, f"Least privilege for role {visible(role.rsplit('/', 1)[-1])}", text))
    return tuple(notes)


def _made(draft: Draft, node: str) -> bool:
    return any(one["id"] == node and one["status"] == "attacker_created" for one in draft.incident.extent)


def _note(target: str, title: str, how: str) -> dict[str, str]:
    when = "the way in is closed, and its owner agrees"
    return {"title": title, "when": when, "how": how, "target": target, "step": ""}


def recovery_point(draft: Draft, known: Machine) -> str:
    """The newest copy of an instance from before its first compromise, or that there is none, and why."""
    first = _compromised(draft, known)
    if first is None:
        return "none: no evidence tells when the instance was first compromised, so no copy is known to be clean"
    latest = first - MARGIN
    state = next((one for one in draft.incident.states if one.account == known.path.account), None)
    copies = sorted([*_recorded(draft, known), *(_kept(state, known) if state else [])])
    before = [one for one in copies if one[0] <= latest]
    bound = (
        f"first sign of compromise {first:%Y-%m-%dT%H:%M:%SZ}, less a margin of {MARGIN // timedelta(hours=1)} hours"
    )
    seen = "the account snapshot and the records" if state else "the records only: there is no account snapshot"
    if not before:
        return (
            f"none: no copy from before {latest:%Y-%m-%dT%H:%M:%SZ} ({bound}) among {len(copies)} in {seen}; build it "
            "anew from its image and code"
        )
    when, what, evidence = before[-1]
    return (
        f"{visible(what)} of {when:%Y-%m-%dT%H:%M:%SZ} ({visible(evidence)}), the newest before "
        f"{latest:%Y-%m-%dT%H:%M:%SZ} ({bound}); from {seen}. Check that it is there and whole, and start it with the "
        "way in closed, new secrets and another security group"
    )


def _compromised(draft: Draft, known: Machine) -> datetime | None:
    """First sign on the instance; a log may begin later than the attack, so it is an upper bound."""
    moments = [act.time for act in known.acts if act.attacker]
    if known.way_in and known.way_in.first is not None:
        moments.append(pd.Timestamp(known.way_in.first).to_pydatetime().astimezone(UTC))
    attack = (draft.incident.scope.get("attack") or {}).get("first")
    moments += [parse_time(attack)] if attack and not moments else []
    return min(moments, default=None)


def _volumes(known: Machine) -> set[str]:
    mapped = known.row.get("BlockDeviceMappings", ())
    return {str(one["Ebs"]["VolumeId"]) for one in mapped if "VolumeId" in one.get("Ebs", {})}


def _recorded(draft: Draft, known: Machine) -> Iterator[tuple[datetime, str, str]]:
    """Copies that records show being made of the instance or its volumes, and not by the attacker."""
    for act in draft.incident.history:
        named = {str(act.request.get("instanceId", "")), str(act.request.get("volumeId", ""))}
        given = act.request.get("instanceSpecification")
        named |= {str(given.get("instanceId", ""))} if isinstance(given, dict) else set()
        if act.attacker or act.name not in _COPIES or not named & {known.instance_id, *_volumes(known)}:
            continue
        made = [*items(act.response.get("snapshotSet"), "snapshotId")]
        made += [str(act.response[key]) for key in ("imageId", "snapshotId") if act.response.get(key)]
        yield from ((act.time, one, f"event {act.event_id}") for one in made)


def _kept(state: Snapshot, known: Machine) -> Iterator[tuple[datetime, str, str]]:
    """Copies that the account snapshot shows: of its volumes, and recovery points of AWS Backup."""
    where = f"account snapshot of {state.taken_at}"
    for one in state.snapshots:
        if one.get("VolumeId") in _volumes(known):
            yield parse_time(str(one["StartTime"])), str(one["SnapshotId"]), where
    pages = state.pages("backup.ListRecoveryPointsByResource", region=known.path.region, target=known.instance_id)
    for _, _, answer in pages:
        for one in answer.get("RecoveryPoints", ()):
            if one.get("Status") == "COMPLETED":
                yield parse_time(str(one["CreationDate"])), str(one["RecoveryPointArn"]), where


def least_privilege(incident: Incident, role: str) -> str:
    """A policy document of what a role did when it was not in the attacker's hands, as JSON, with its basis.

    Actions are those whose events have their name; resources are those that the records name, objects as all of their
    bucket. Where they name none, or many, it is every resource, and that is said.
    """
    columns = ("event_time", "event_source", "event_name", "request", "resources")
    mine = incident.log.rows(columns, f"principal = $role AND outcome = 'ok' AND NOT {ATTACKER}", role=role)
    used: dict[str, set[str]] = {}
    unknown = set()
    for (source, name), rows in mine.groupby(["event_source", "event_name"], sort=True):
        service = str(source).removesuffix(".amazonaws.com")
        if _is_action(service, str(name)):
            used[f"{service}:{name}"] = _resources(service, rows)
        else:
            unknown.add(f"{service}:{name}")
    if not used:
        return "not known: no record shows what the role did before the attack"
    statements: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for action, arns in used.items():
        statements[tuple(sorted(arns)) if 0 < len(arns) <= _MOST_RESOURCES else ("*",)].append(action)
    content = [{"Effect": "Allow", "Action": names, "Resource": list(arns)} for arns, names in statements.items()]
    document = json.dumps({"Version": "2012-10-17", "Statement": content}, sort_keys=True)
    wide = statements.get(("*",), [])
    rest = f" On every resource, for the records name none or too many: {', '.join(wide)}." if wide else ""
    rest += f" Not turned into actions: {', '.join(visible(one) for one in sorted(unknown))}." if unknown else ""
    return (
        f"A proposal from {len(mine)} calls that are not the attacker's, {mine['event_time'].min():%Y-%m-%d} to "
        f"{mine['event_time'].max():%Y-%m-%d}: {document} . Calls that were not logged, or come rarely, are not in "
        f"it.{rest}"
    )


def _resources(service: str, rows: pd.DataFrame) -> set[str]:
    """ARNs of a service that records name in `resources` or the request; of S3 objects, all those of their bucket."""
    named = [one["arn"] for listed in rows["resources"] if hasattr(listed, "__iter__") for one in listed]
    named += [match for text in rows["request"].dropna() for match in _ARN.findall(text)]
    found = {str(arn) for arn in named if arn and str(arn).split(":")[2:3] == [service]}
    if service == "s3":
        return {f"{arn.partition('/')[0]}/*" for arn in found if "/" in arn}
    return found


def _is_action(service: str, name: str) -> bool:
    """Whether an event's name is the name of an action: that is so for most operations, not for those renamed."""
    try:
        names = service_model(service).operation_names
    except Exception:
        return False
    return name in (_SAME_NAME.get(service) or names)


def still_reachable(draft: Draft) -> tuple[str, ...]:
    """What stays reachable from the internet when the plan has run, as far as the account snapshots show it."""
    said = []
    known = {one.account: one for one in draft.incident.states}
    isolated = {step.target.rsplit("/", 1)[-1] for key, step in draft.steps.items() if key.startswith("isolate ")}
    accounts = sorted({step.account for step in draft.steps.values()} | known.keys())
    for account in accounts:
        state = known.get(account)
        if state is None:
            said.append(f"Account {account}: not known, no account snapshot")
            continue
        said += list(_open(state, isolated))
        said.append(
            f"Account {account}: load balancers, databases, buckets, function URLs and APIs are not judged here; state "
            f"of {state.taken_at}"
        )
    return tuple(said)


def _open(state: Snapshot, isolated: set[str]) -> Iterator[str]:
    """Interfaces with a public address in a group that lets the world in, but for isolated instances."""
    groups = {str(one["GroupId"]): list(_world(one)) for one in state.security_groups}
    for one in state.rows("ec2.DescribeNetworkInterfaces", "NetworkInterfaces"):
        public = (one.get("Association") or {}).get("PublicIp")
        instance = (one.get("Attachment") or {}).get("InstanceId") or "no instance"
        ports = [port for group in one.get("Groups", ()) for port in groups.get(str(group.get("GroupId")), ())]
        if public and ports and instance not in isolated:
            yield (
                f"Account {state.account}, {one.get('Region', '')}: {visible(str(instance))} at {public} "
                f"({one.get('NetworkInterfaceId')}): {', '.join(dict.fromkeys(ports))}"
            )


def _world(group: dict[str, Any]) -> Iterator[str]:
    for rule in group.get("IpPermissions", ()):
        networks = [one.get("CidrIp") for one in rule.get("IpRanges", ())]
        networks += [one.get("CidrIpv6") for one in rule.get("Ipv6Ranges", ())]
        if {"0.0.0.0/0", "::/0"} & set(networks):
            first, last = rule.get("FromPort"), rule.get("ToPort")
            yield "all ports" if first in (None, -1) else f"port {first}" if first == last else f"ports {first}-{last}"
