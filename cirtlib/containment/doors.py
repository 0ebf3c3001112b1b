"""How the attacker came into roles: trust policies are put back, and what stays open is named."""

from cirtlib.containment import catalogue
from cirtlib.containment.history import Act, about_role
from cirtlib.containment.incident import Draft
from cirtlib.containment.restore import CLOSED, Trust, trust
from cirtlib.containment.targets import editable_roles, made_by_attacker
from cirtlib.text import visible
from cirtlib.trust import document


def close_doors(draft: Draft) -> None:
    """Put trust policies back, and name the doors that no step closes."""
    incident = draft.incident
    contained = {node["value"] for node in incident.extent if node["kind"] == "principal"}
    for node in editable_roles(draft, ("compromised", "attacker_created", "changed")):
        role = node["value"]
        restored = trust(incident.history, role, own_accounts=set(incident.accounts), contained=contained)
        if made_by_attacker(draft, node):
            restored = _closed(incident.history, role)
        if restored:
            because = [act for act in incident.history if act.event_id in restored.changed_by]
            draft.add(catalogue.close_trust(role, restored), nodes=[node], because=because)
        for caller in _entered_as(incident.history, role):
            if f"deny {caller}" not in draft.steps and f"trust {role}" not in draft.steps:
                draft.warnings.append(
                    f"The attacker entered {visible(role)} as {visible(caller)}, which this plan does not contain: "
                    "deny it where it is."
                )


def _entered_as(history: list[Act], role: str) -> list[str]:
    """As whom the attacker assumed a role.

    Its own account names a foreign caller only by account and id, the caller's account by its ARN: of two records of
    one call, the ARN is taken.
    """
    entries = [a for a in history if a.name == "AssumeRole" and a.attacker and a.request.get("roleArn") == role]
    named = {act.minted_key for act in entries if act.principal.startswith("arn:")}
    callers = {act.principal for act in entries if act.principal.startswith("arn:") or act.minted_key not in named}
    return sorted(callers - {"", role})


def _closed(history: list[Act], role: str) -> Trust | None:
    """Trust of an attacker-made role: nobody."""
    setting = [a for a in about_role(history, role) if a.name in ("CreateRole", "UpdateAssumeRolePolicy")]
    last = setting[-1].request if setting else {}
    now = document(last.get("policyDocument") or last.get("assumeRolePolicyDocument"))
    return Trust(now, CLOSED, (setting[-1].event_id,), "the attacker made this role", exact=True) if now else None
