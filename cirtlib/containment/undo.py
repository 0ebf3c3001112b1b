"""Eradicate: undo, one by one, what the attacker's events gave to users and roles."""

from collections.abc import Callable

from cirtlib.containment import catalogue, outside
from cirtlib.containment.history import Act, about_role, about_user
from cirtlib.containment.incident import Draft, Node
from cirtlib.containment.step import Step
from cirtlib.text import visible
from cirtlib.trust import document

# event -> (the event that would have undone it since, the request values that name what was given)
_GIVEN = {
    "AttachUserPolicy": ("DetachUserPolicy", ("policyArn",)),
    "AttachRolePolicy": ("DetachRolePolicy", ("policyArn",)),
    "PutUserPolicy": ("DeleteUserPolicy", ("policyName",)),
    "PutRolePolicy": ("DeleteRolePolicy", ("policyName",)),
    "AddUserToGroup": ("RemoveUserFromGroup", ("groupName",)),
    "CreateLoginProfile": ("DeleteLoginProfile", ()),
    "UpdateLoginProfile": ("DeleteLoginProfile", ()),
}
_BY_HAND = (
    "DetachUserPolicy",
    "DetachRolePolicy",
    "DeleteUserPolicy",
    "DeleteRolePolicy",
    "UpdateTrail",
    "PutEventSelectors",
)


def undo(draft: Draft) -> None:
    """Add a step for all that an attacker's event gave to a user or role of the extent and that is still given."""
    for node in [node for node in draft.incident.extent if node["kind"] == "principal"]:
        owner = node["value"]
        if draft.incident.is_responder(owner) or node["id"] in draft.reasons:
            continue
        about = _about(draft, owner)
        for act in about:
            kept = outside.quarantine(str(act.request.get("policyArn", "")))
            if act.attacker and act.name in _GIVEN and not kept and not _undone(act, about):
                draft.add(_step(act, owner, about), nodes=_nodes(draft, node, act), because=[act])
    for act in draft.incident.history:
        if act.attacker and act.name in _BY_HAND:
            draft.warnings.append(
                f"{act.name} by the attacker at {act.time:%Y-%m-%dT%H:%M:%SZ} (event {visible(act.event_id)}, account "
                f"{act.account}) is not undone by this plan: compare the state with what it was and restore it by hand."
            )


def _about(draft: Draft, owner: str) -> list[Act]:
    if ":user/" in owner:
        return about_user(draft.incident.history, owner)
    return about_role(draft.incident.history, owner) if ":role/" in owner else []


def _undone(act: Act, about: list[Act]) -> bool:
    ending, names = _GIVEN[act.name]
    later = about[about.index(act) + 1 :]
    return any(
        one.name == ending and all(one.request.get(name) == act.request.get(name) for name in names) for one in later
    )


def _step(act: Act, owner: str, about: list[Act]) -> Step:
    value = str(act.request.get((_GIVEN[act.name][1] or ("userName",))[0], ""))
    makers: dict[str, Callable[[], Step]] = {
        "Attach": lambda: catalogue.detach_policy(owner, value),
        "Put": lambda: catalogue.inline_policy(owner, value, _before(act, about)),
        "AddUserToGroup": lambda: catalogue.leave_group(owner, value),
        "LoginProfile": lambda: catalogue.delete_login_profile(owner),
    }
    return next(make for part, make in makers.items() if part in act.name)()


def _before(act: Act, about: list[Act]) -> dict[str, object] | None:
    """Document of an inline policy before the attacker's put, as far as an earlier event tells."""
    for one in reversed(about[: about.index(act)]):
        if one.request.get("policyName") != act.request.get("policyName"):
            continue
        if one.name.startswith("Delete"):
            return None
        if one.name == act.name and not one.in_doubt:
            return document(one.request.get("policyDocument"))
    return None


def _nodes(draft: Draft, node: Node, act: Act) -> list[Node]:
    """Nodes that the undoing serves: the owner, and what was given where that is a node itself."""
    given = draft.incident.node("resource", str(act.request.get("policyArn", "")))
    login = draft.incident.node("credential", node["value"]) if "LoginProfile" in act.name else None
    return [node, *(one for one in (given, login) if one)]
