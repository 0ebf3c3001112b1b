"""Instances: kept as evidence, cut off, and nothing done to one that is only suspected.

What the attacker made or held, and what the analyst confirmed, gets steps; a lead gets a warning with the command that
confirms it.
"""

from dataclasses import replace

from cirtlib.containment import isolation, keeping
from cirtlib.containment.asr import close_way_in
from cirtlib.containment.incident import Draft, Node
from cirtlib.containment.machines import Machine, machine
from cirtlib.containment.targets import of
from cirtlib.text import visible

_PART = ":instance/"
_SHUTDOWN = "instanceInitiatedShutdownBehavior"


def instances(draft: Draft) -> None:
    """Keep every instance in hand as evidence; say what is known against those that are only suspected."""
    for node in _in_hand(draft):
        known = machine(draft.incident, node["value"])
        ended = [act for act in known.acts if act.name == "TerminateInstances"]
        if ended:
            draft.reasons[node["id"]] = f"terminated by event {ended[-1].event_id}; its volumes may be gone"
            continue
        arn, because = node["value"], [act for act in known.acts if act.attacker]
        steps = [keeping.record(arn, case=draft.incident.name), keeping.protect(arn)]
        steps += [] if _stops_on_shutdown(known) else [keeping.stop_on_shutdown(arn)]
        steps += [keeping.keep_volumes(arn), keeping.snapshot_volumes(arn, case=draft.incident.name)]
        steps += [keeping.leave_scaling_group(arn, known.scaling_group)] if known.scaling_group else []
        for step in steps:
            draft.add(replace(step, why=known.evidence), nodes=[node], because=because)
    for node in _suspected(draft):
        draft.warnings.append(_suspicion(draft, node))


def isolate_instances(draft: Draft) -> None:
    """Cut every instance in hand off: no network, no metadata, no profile."""
    for node in _in_hand(draft):
        arn = node["value"]
        if f"snapshot {arn}" not in draft.steps:
            continue
        known = machine(draft.incident, arn)
        because = [act for act in known.acts if act.attacker]
        vpc, subnet = (next(iter(known.path.of_kind(kind)), "") for kind in ("VPC", "subnet"))
        name = isolation.group_name(draft.incident.name, vpc or known.instance_id)
        cards: list[str] = known.path.of_kind("network interface") or [""]
        steps = [keeping.leave_target_group(arn, group, port) for group, port in known.target_groups]
        steps += [keeping.leave_load_balancer(arn, balancer) for balancer in known.balancers]
        steps += [isolation.make_group(arn, name), isolation.empty_group(arn, name)]
        for index, card in enumerate(cards):
            one = isolation.isolate(arn, name, index=index, of=len(cards), interface=card, subnet=subnet)
            steps.append(one)
        steps.append(isolation.metadata_off(arn))
        if known.path.of_kind("instance profile") or known.path.of_kind("role"):
            steps.append(isolation.take_profile(arn))
        for step in steps:
            draft.add(replace(step, why=known.evidence), nodes=[node], because=because)
        close_way_in(draft, node, known)


def _in_hand(draft: Draft) -> list[Node]:
    """Instances of the extent, and those that the analyst named or confirmed."""
    mine = of(draft, "resource", _PART)
    known = {node["id"] for node in mine}
    named = [node for node in _suspects(draft) if node["id"] in draft.incident.confirmed]
    return mine + [node for node in named if node["id"] not in known]


def _suspects(draft: Draft) -> list[Node]:
    nodes = draft.incident.scope["nodes"]
    return [one for one in nodes if one["status"] == "suspected" and _PART in one["value"]]


def _suspected(draft: Draft) -> list[Node]:
    return [node for node in _suspects(draft) if node["id"] not in draft.incident.confirmed]


def _suspicion(draft: Draft, node: Node) -> str:
    """Why an instance is suspected, that nothing is done to it, and how it gets its steps."""
    leads = [lead["reason"] for lead in draft.incident.scope.get("leads", ()) if lead["node"] == node["id"]]
    name = visible(node["value"])
    return (
        f"{name} is suspected ({visible('; '.join(leads)) or 'see the leads'}), and no step touches it: until it is "
        f"confirmed nothing isolates it, and it may hand out new credentials of its role. If it is in the attacker's "
        f"hands: `cirt confirm CASE 'resource:{name}' --reason TEXT`, then `cirt plan CASE`; if it is not: `cirt clear`"
    )


def _stops_on_shutdown(known: Machine) -> bool:
    """Whether records show that a shutdown from inside only stops it: launched so (the default), and never changed."""
    launch = next((act for act in known.acts if act.name == "RunInstances"), None)
    changed = any(act.name == "ModifyInstanceAttribute" and _SHUTDOWN in act.request for act in known.acts)
    return launch is not None and not changed and launch.request.get(_SHUTDOWN, "stop") == "stop"
