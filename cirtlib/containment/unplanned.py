"""What no step deals with, and why; and what gives service back."""

from cirtlib.containment import outside
from cirtlib.containment.catalogue import name_of
from cirtlib.containment.history import Act, text
from cirtlib.containment.incident import Draft, Node
from cirtlib.containment.step import Step
from cirtlib.policy.conditions import listed
from cirtlib.text import visible
from cirtlib.trust import role_of


def state_reasons(draft: Draft) -> None:
    """Give every node of the extent that no step deals with its step or its reason."""
    served = draft.served()
    holders = _holders(draft)
    for node in draft.incident.extent:
        if node["id"] in served or node["id"] in draft.reasons:
            continue
        holder = holders.get(node["value"], "")
        if node["kind"] == "credential" and _covered(draft, node, holder):
            continue
        if ":federated-user/" in node["value"] and any(_covered(draft, node, one) for one in _issuers(draft, node)):
            continue
        draft.reasons[node["id"]] = _reason(draft, node, holder)


def _holders(draft: Draft) -> dict[str, str]:
    """Principal of each session credential: by its use, or by the event that minted it.

    A credential that an answer issues without saying for whom (a token for the console) is its caller's.
    """
    keys = {node["value"] for node in draft.incident.extent if node["kind"] == "credential"}
    log = draft.incident.log
    found = log.last_by_key("minted_key", "coalesce(minted_principal, principal)", keys)
    found |= log.last_by_key("access_key_id", "principal", keys)
    return {key: role_of(text(principal), draft.incident.names) for key, principal in found.items()}


def _issuers(draft: Draft, node: Node) -> list[str]:
    """Users who made the tokens of a federated user."""
    keys = {one.removeprefix("access_key:") for one in draft.linked(node) if one.startswith("access_key:")}
    where = "minted_key IN (SELECT unnest($keys::VARCHAR[]))"
    return sorted({text(one) for one in draft.incident.log.rows(["principal"], where, keys=sorted(keys))["principal"]})


def _covered(draft: Draft, node: Node, holder: str) -> bool:
    """Whether a step on its principal ends this credential: the revocation of a role's sessions, the deny on a user."""
    linked = [one.removeprefix("principal:") for one in draft.linked(node) if one.startswith("principal:")]
    for principal in [holder, *linked]:
        steps = [f"revoke {principal}", f"revoke-again {principal}"]
        if ":role/" not in principal:
            steps = [f"deny {principal}"]
        if principal and all(draft.serve(step, node) for step in steps):
            return True
    return False


def _reason(draft: Draft, node: Node, holder: str) -> str:
    value, kind = str(node["value"]), node["kind"]
    if value.endswith(":root"):
        return outside.root(draft.incident, value)
    if kind == "credential":
        return _lives_on(node, holder)
    if kind == "principal" and node["status"] == "changed":
        return "what the attacker changed in it is no longer so, or no event shows what it was: look at it by hand"
    if kind == "principal":
        return _outside(draft, value)
    if ":policy/" in value:
        return "attached to nothing that the logs show: it stays, as evidence; delete it when the case is closed"
    names = sorted(
        {act.name for act in draft.incident.history if act.attacker and value.rsplit("/", 1)[-1] in str(act.request)}
    )
    did = f"; the attacker's events on it: {', '.join(names)}" if names else ""
    return f"no step for this kind of resource yet: look at it by hand{did}"


def _lives_on(node: Node, holder: str) -> str:
    """Why no step ends a credential."""
    until = f" ({node['expires']})" if node.get("expires") else ""
    if holder.endswith(":root"):
        return f"a session of root, which no IAM policy binds: it lives until it expires{until}, 15 minutes at most"
    if "/AWSReservedSSO_" in holder:
        return (
            f"a session of {visible(name_of(holder))}, which only Identity Center can deny: it lives until it "
            f"expires{until}"
        )
    whose = f" of {visible(holder)}," if holder else ""
    return f"temporary or console credential{whose} whose principal no step contains: it lives until it expires{until}"


def _outside(draft: Draft, value: str) -> str:
    """What to do about a principal that IAM cannot deny here."""
    account = value.partition(":")[0]
    if account.isdigit() and len(account) == 12:
        if account in draft.incident.accounts:
            return "its records do not tell its ARN: find it by its unique id, and contain it"
        return outside.of_account(account)
    if "-provider/" in value or value.count(":") < 5:
        return (
            "an identity of another directory, known here by its name only: disable it there and end its sessions; "
            "its roles' sessions here are revoked where the plan contains the role"
        )
    return "not a user or role that IAM can deny: contain the identity behind it"


def _user_again(deny: Step, steps: tuple[Step, ...], undo: str) -> list[dict[str, str]]:
    """How a user comes back: first the new password, where the old one was deleted as known, then the rest."""
    name = visible(name_of(deny.target))
    password = next((s for s in steps if s.key == f"known-password {deny.target}"), None)
    late = deny.rollback["not_before"]["step"] if isinstance(deny.rollback, dict) else deny.id
    when = f"the user's own machine and secrets are clean, and 36 hours have passed since {late} ran"
    if password is None:
        return [_note(deny, f"Give user {name} access again, with a new key or without one", when, undo)]
    how = (
        "as an administrator, with CreateLoginProfile and PasswordResetRequired (the user needs iam:ChangePassword): "
        "draw the password only then, and hand it over in person. Enrol the MFA device together, best a passkey or "
        "security key, which no look-alike page can pass on. Signing in works again, and choosing a password of one's "
        "own, when the deny is lifted"
    )
    return [
        _note(password, f"New password and an MFA device for {name}, then the deny may go",
              "the owner is reached in person", how),
        _note(deny, f"Give user {name} access again", f"the new password and the MFA device are there, {when}", undo),
    ]  # fmt: skip


_READS = ("GetSecretValue", "BatchGetSecretValue", "GetParameter", "GetParameters")


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
            notes += _user_again(step, steps, undo)
        elif operation == "PutRolePolicy" and step is again:
            when = "12 hours have passed, the longest that a session from before can live"
            notes.append(_note(step, f"Lift the revocation on role {name}", when, undo))
        elif step.reopens and operation in ("UpdateAccessKey", "StopInstances"):
            notes.append(_note(step, f"{visible(step.title)}: it stays so", "the case is closed", "delete it by hand"))
    return tuple(notes)


def rotations(history: list[Act]) -> tuple[dict[str, str], ...]:
    """Say of every secret that the attacker read that it has to be made anew, once the attacker is out."""
    read: dict[tuple[str, str], list[Act]] = {}
    for act in history:
        if act.attacker and act.name in _READS:
            for path in ("secretId", "secretIdList", "name", "names"):
                found = act.request.get(path) or []
                for one in listed(found):
                    read.setdefault((act.account, str(one)), []).append(act)
    return tuple(
        {
            "title": f"Make {visible(name)} of account {account} anew, and change what it opens",
            "when": "the attacker is contained, for until then the new one can be read as well",
            "how": f"read by {len(acts)} events of the attacker's, the first {visible(acts[0].event_id)}",
            "target": name,
            "step": "",
        }
        for (account, name), acts in sorted(read.items())
    )


def _note(step: Step, title: str, when: str, how: str) -> dict[str, str]:
    return {"title": title, "when": when, "how": how, "target": step.target, "step": step.id}
