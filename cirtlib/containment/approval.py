"""Who approves what: the incident lead each phase, and the owners whatever touches others or cannot be undone."""

from cirtlib.containment.step import IRREVERSIBLE, Step

LEAD, ACCOUNT_OWNER, APPLICATION_OWNER = "incident lead", "account owner", "application owner"
BRAKE = "incident lead and the account owner"
PHASES = {"preserve": LEAD, "contain": LEAD, "eradicate": ACCOUNT_OWNER, "recover": APPLICATION_OWNER}


def of_step(step: Step) -> str:
    """Who must approve this step besides its phase; '' where the approval of the phase covers it."""
    if step.used_by and step.used_by["calls"]:
        return APPLICATION_OWNER
    if step.rollback == IRREVERSIBLE and step.phase != "preserve":
        return ACCOUNT_OWNER
    return ""


def reason(step: Step) -> str:
    """Why a step needs an approval of its own; '' when it needs none."""
    return {
        APPLICATION_OWNER: "others use its target, and this stops them.",
        ACCOUNT_OWNER: "it cannot be undone.",
    }.get(of_step(step), "")


def approver(step: Step) -> str:
    """Who approves this step in the end."""
    return of_step(step) or PHASES.get(step.phase, LEAD)
