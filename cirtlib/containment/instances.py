"""Instances of the extent: their evidence is kept."""

from cirtlib.containment import resources
from cirtlib.containment.history import items
from cirtlib.containment.incident import Draft
from cirtlib.containment.targets import of


def instances(draft: Draft) -> None:
    """Keep the instances that the attacker ran or held: no termination, and a copy of their volumes."""
    for node in of(draft, "resource", ":instance/"):
        instance_id = node["value"].rsplit("/", 1)[-1]
        about = [
            act
            for act in draft.incident.history
            if act.source == "ec2.amazonaws.com"
            and instance_id
            in items((act.response if act.name == "RunInstances" else act.request).get("instancesSet"), "instanceId")
        ]
        ended = [act for act in about if act.name == "TerminateInstances"]
        if ended:
            draft.reasons[node["id"]] = f"terminated by event {ended[-1].event_id}; its volumes may be gone"
            continue
        because = [act for act in about if act.attacker]
        draft.add(resources.protect(node["value"]), nodes=[node], because=because)
        draft.add(resources.snapshot_volumes(node["value"], case=draft.incident.name), nodes=[node], because=because)
