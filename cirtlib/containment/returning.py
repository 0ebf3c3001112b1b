"""What has to stand before a denied user may come back: keys off, passwords gone, old sessions run out."""

from dataclasses import replace

from cirtlib import passwords
from cirtlib.containment import catalogue
from cirtlib.containment.incident import Draft
from cirtlib.containment.targets import made_by_attacker
from cirtlib.text import visible

_NOTHING = "No step of this plan takes away what the attacker came in with as this user."


def known_passwords(draft: Draft) -> dict[str, passwords.Known]:
    """Add a step for every denied user whose password the attacker knows from before; the passwords, by user."""
    incident = draft.incident
    records = incident.log.rows(passwords.COLUMNS, passwords.WHERE)
    found = passwords.known(records, incident.verdicts, incident.scope["nodes"], incident.scope["edges"])
    mine = {one.user: one for one in found if f"deny {one.user}" in draft.steps}
    for user, one in mine.items():
        node = incident.node("principal", user)
        if node is None:
            continue
        if one.changed is None:
            key = f"known-password {user}"
            draft.add(catalogue.delete_known_password(user), nodes=[node])
            why = dict.fromkeys((*one.event_ids, *draft.steps[key].why))
            draft.steps[key] = replace(draft.steps[key], why=tuple(why))
        elif one.changed["event_name"] == "UpdateLoginProfile":
            when = f"{one.changed['event_time']:%Y-%m-%dT%H:%M:%SZ}"
            draft.warnings.append(
                f"The attacker knew the password of {visible(user)}, and UpdateLoginProfile since ({when}, event "
                f"{visible(one.changed['event_id'])}) set another, or only asked for one at the next "
                "sign-in, which its record does not tell. If it did not set another: iam:DeleteLoginProfile, now."
            )
    return mine


def conditions(draft: Draft, users: dict[str, str], known: dict[str, passwords.Known]) -> None:
    """Say of every denied user which steps must stand, and for how long, before the deny may go.

    Parameters
    ----------
    users
        Key -> ARN of its user.
    known
        Passwords that the attacker knows, by user.
    """
    for key, step in draft.steps.items():
        user = step.target
        node = draft.incident.node("principal", user)
        if key != f"deny {user}" or ":user/" not in user or node is None or not isinstance(step.rollback, dict):
            continue
        keys = sorted(f"key {one}" for one, owner in users.items() if owner == user and f"key {one}" in draft.steps)
        gone = [one for one in (f"known-password {user}", f"login {user}") if one in draft.steps]
        made = draft.incident.node("credential", user) is not None and f"login {user}" not in draft.steps
        changed = user in known and known[user].changed is not None
        closed = [*keys, *gone]
        late = {"step": closed[-1] if closed else key, "seconds": catalogue.USER_SESSION_SECONDS}
        new = f"known-password {user}" in draft.steps
        what = ["its keys were deactivated"] * bool(keys) + ["its password was deleted"] * bool(gone)
        note = (
            "Sessions of a user live up to 36 hours: the deny may go when those from before "
            f"{' and '.join(what) or 'it was set'} have run out"
            f"{', and the owner has a new password and an MFA device: see “Recover”.' if new else '.'}"
        )
        draft.steps[key] = replace(
            step,
            rollback={**step.rollback, "requires": closed, "not_before": late},
            rollback_note=note if closed or changed else _NOTHING,
            reopens=made_by_attacker(draft, node) or made or not (closed or changed),
        )
