"""What no step deals with, and why; and what gives service back."""

from cirtlib.containment.catalogue import name_of
from cirtlib.containment.history import text
from cirtlib.containment.incident import Draft, Node
from cirtlib.containment.step import Step
from cirtlib.text import visible


def state_reasons(draft: Draft) -> None:
    """Give every node of the extent that no step deals with its step or its reason."""
    served = draft.served()
    holders = _holders(draft)
    for node in draft.incident.extent:
        if node["id"] in served or node["id"] in draft.reasons:
            continue
        if node["kind"] == "credential" and _covered(draft, node, holders):
            continue
        draft.reasons[node["id"]] = _reason(draft, node)


def _holders(draft: Draft) -> dict[str, str]:
    """Principal of each session credential: by its use, or by the event that minted it."""
    keys = {node["value"] for node in draft.incident.extent if node["kind"] == "credential"}
    events = draft.incident.events
    minted = events[events["minted_key"].isin(keys)]
    used = events[events["access_key_id"].isin(keys)]
    found = dict(zip(minted["minted_key"], minted["minted_principal"], strict=True))
    found |= dict(zip(used["access_key_id"], used["principal"], strict=True))
    return {str(key): text(principal) for key, principal in found.items()}


def _covered(draft: Draft, node: Node, holders: dict[str, str]) -> bool:
    """Whether a step on its principal ends this credential: the revocation of a role's sessions, the deny on a user."""
    linked = [one.removeprefix("principal:") for one in draft.linked(node) if one.startswith("principal:")]
    for principal in [holders.get(node["value"], ""), *linked]:
        steps = [f"revoke {principal}", f"revoke-again {principal}"]
        if ":role/" not in principal:
            steps = [f"deny {principal}"]
        if principal and all(draft.serve(step, node) for step in steps):
            return True
    return False


def _reason(draft: Draft, node: Node) -> str:
    value, kind = str(node["value"]), node["kind"]
    if value.endswith(":root"):
        return (
            "no IAM policy binds root: change its password and MFA, delete its keys (in a member account by "
            "centralised root access), and open a case with AWS Support"
        )
    if kind == "credential":
        return "temporary or console credential whose principal no step contains: it lives until it expires"
    if kind == "principal" and node["status"] == "changed":
        return "what the attacker changed in it is no longer so, or no event shows what it was: look at it by hand"
    if kind == "principal":
        return "not a user or role that IAM can deny: contain the identity behind it"
    if ":policy/" in value:
        return "attached to nothing that the logs show: it stays, as evidence; delete it when the case is closed"
    names = sorted(
        {act.name for act in draft.incident.history if act.attacker and value.rsplit("/", 1)[-1] in str(act.request)}
    )
    did = f"; the attacker's events on it: {', '.join(names)}" if names else ""
    return f"no step for this kind of resource yet: look at it by hand{did}"


def recovery(steps: tuple[Step, ...]) -> tuple[dict[str, str], ...]:
    """Say for every contained target when, and how, its rightful owners get it back."""
    notes = []
    for step in steps:
        name, operation = visible(name_of(step.target)), step.api["operation"]
        again = next((s for s in steps if s.title.endswith(" again") and s.target == step.target), None)
        undo = f"`rollback.sh --execute --step {step.id}`"
        if operation == "AttachRolePolicy" and not step.reopens:
            when = f"{again.id} is done and verify.sh passes" if again else "its sessions are revoked"
            notes.append(_note(step, f"Give role {name} back to its users", when, undo))
        elif operation == "AttachUserPolicy" and not step.reopens:
            when = (
                "the user's own machine and secrets are clean, and 36 hours have passed since the key was deactivated"
            )
            notes.append(_note(step, f"Give user {name} access again, with a new key or without one", when, undo))
        elif operation == "PutRolePolicy" and step is again:
            when = "12 hours have passed, the longest that a session from before can live"
            notes.append(_note(step, f"Lift the revocation on role {name}", when, undo))
        elif step.reopens and operation in ("UpdateAccessKey", "StopInstances"):
            notes.append(_note(step, f"{visible(step.title)}: it stays so", "the case is closed", "delete it by hand"))
    return tuple(notes)


def _note(step: Step, title: str, when: str, how: str) -> dict[str, str]:
    return {"title": title, "when": when, "how": how, "target": step.target, "step": step.id}
