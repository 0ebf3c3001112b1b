"""Which nodes of the extent a plan can work on, and why it cannot on the others."""

from cirtlib.containment import catalogue, outside
from cirtlib.containment.history import about_role, about_user, gone
from cirtlib.containment.incident import Draft, Node


def of(draft: Draft, kind: str, part: str, statuses: tuple[str, ...] = ()) -> list[Node]:
    """Nodes of the extent of this kind whose value holds `part`, responders taken out (and said so)."""
    found = []
    for node in draft.incident.extent:
        if node["kind"] != kind or part not in node["value"] or (statuses and node["status"] not in statuses):
            continue
        if kind == "principal" and draft.incident.is_responder(node["value"]):
            draft.reasons[node["id"]] = (
                "refused: case.yaml names it as a responder. If it is compromised, take it off `responders` and "
                "respond with another identity"
            )
        elif kind == "principal" and (why := outside.unreachable(draft.incident, node["value"])):
            draft.reasons[node["id"]] = why
        else:
            found.append(node)
    return found


def editable_roles(draft: Draft, statuses: tuple[str, ...] = ("compromised", "attacker_created")) -> list[Node]:
    """Roles of the extent that IAM lets us edit and that are still there."""
    found = []
    for node in of(draft, "principal", ":role/", statuses):
        role = node["value"]
        deleted = gone(draft.incident.history, "DeleteRole", roleName=catalogue.name_of(role))
        if why := outside.uneditable(draft.incident, role):
            draft.reasons[node["id"]] = why
        elif deleted and deleted.account == role.split(":")[4]:
            draft.reasons[node["id"]] = f"deleted by event {deleted.event_id}"
        else:
            found.append(node)
    return found


def made_by_attacker(draft: Draft, node: Node) -> bool:
    """Whether the attacker made this user or role; once used it is called compromised, which says more."""
    history, value = draft.incident.history, node["value"]
    about = about_user(history, value) if ":user/" in value else about_role(history, value)
    created = any(act.attacker and act.name in ("CreateUser", "CreateRole") for act in about)
    return created or node["status"] == "attacker_created"
