"""The state before the attack: what a role's trust was, and what is left when only the attacker's part is removed."""

from dataclasses import dataclass
from typing import Any

from cirtlib.containment.history import Act, about_role
from cirtlib.policy.conditions import listed
from cirtlib.trust import document, statements

CLOSED = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}


@dataclass(frozen=True)
class Trust:
    """A role's trust: what the attacker made of it, what it goes back to, and where that comes from."""

    now: dict[str, Any]
    before: dict[str, Any]
    changed_by: tuple[str, ...]
    source: str
    exact: bool


def trust(history: list[Act], role: str, *, own_accounts: set[str], contained: set[str]) -> Trust | None:
    """Trust policy of `role` before the attacker changed it, or None when no attacker's event did.

    The last earlier event that set it and is not in doubt wins. With none, every principal that the attacker can hold
    (of a foreign account, or in `contained`) is taken out of what the attacker wrote.
    """
    setting = [act for act in about_role(history, role) if act.name in ("CreateRole", "UpdateAssumeRolePolicy")]
    changes = [act for act in setting if act.attacker and act.name == "UpdateAssumeRolePolicy"]
    now = _trust_document(changes[-1]) if changes else None
    if now is None:
        return None
    if _owner_set_it_since(setting, changes[-1]):
        return None
    by = tuple(act.event_id for act in changes)
    earlier = [act for act in setting[: setting.index(changes[0])] if not act.in_doubt]
    for act in reversed(earlier):
        known = _trust_document(act)
        if known is not None:
            return Trust(
                now, known, by, f"{act.name} of {act.time:%Y-%m-%dT%H:%M:%SZ} (event {act.event_id})", exact=True
            )
    left = without(now, own_accounts=own_accounts, contained=contained)
    return Trust(now, left, by, "no earlier event set it: only the attacker's principals are taken out", exact=False)


def _owner_set_it_since(setting: list[Act], last_change: Act) -> bool:
    return any(not act.attacker for act in setting[setting.index(last_change) + 1 :])


def _trust_document(act: Act) -> dict[str, Any] | None:
    given = act.request.get("policyDocument") or act.request.get("assumeRolePolicyDocument")
    return document(given)


def without(policy: dict[str, Any], *, own_accounts: set[str], contained: set[str]) -> dict[str, Any]:
    """Trust policy less every AWS principal that is foreign or contained; closed to everybody when nothing is left."""
    kept = []
    for statement in statements(policy):
        principal = statement.get("Principal")
        if statement.get("Effect") != "Allow":
            kept.append(statement)
            continue
        named = {"AWS": principal} if isinstance(principal, str) else dict(principal or {})
        all_aws = listed(named.pop("AWS", []))
        aws = [one for one in all_aws if _harmless(one, own_accounts, contained)]
        if aws == all_aws:
            kept.append(statement)
        elif aws or named:
            rest = {"AWS": aws[0] if len(aws) == 1 else aws} if aws else {}
            kept.append({**statement, "Principal": {**named, **rest}})
    return {**policy, "Statement": kept} if kept else CLOSED


def _harmless(principal: str, own_accounts: set[str], contained: set[str]) -> bool:
    account = principal if principal.isdigit() else (principal.split(":") + [""] * 5)[4]
    return account in own_accounts and principal not in contained
