"""Those who respond: no plan may lock them out, and odd use of their own identities is the first thing to look at."""

import fnmatch
import re
from collections.abc import Iterable
from typing import Any

import pandas as pd

from cirtlib import snapshot, trust
from cirtlib.case import Case
from cirtlib.containment.history import about_role
from cirtlib.containment.incident import Incident
from cirtlib.containment.step import Step
from cirtlib.errors import PlanError
from cirtlib.policy.conditions import listed
from cirtlib.text import visible

_SHOWN = 5  # events and values that a warning cites
_SESSION = re.compile(r"arn:[\w-]+:sts::(\d{12}):assumed-role/([\w+=,.@-]+)(?:/(.*))?")
_SPARING = [
    (operator, "aws:principalarn") for operator in ("ArnNotLike", "ArnNotEquals", "StringNotLike", "StringNotEquals")
]
# what may be new for a responder: the events' column, and its words
_TRAITS = {"source_network": "network", "user_agent_family": "program", "region": "Region"}


def trusts(case: Case) -> dict[str, dict[str, Any]]:
    """Trust policy of every role in the case's account snapshots, by ARN."""
    found = {}
    for one in snapshot.latest(case):
        for role in one.roles:
            policy = trust.document(role.get("AssumeRolePolicyDocument"))
            if policy:
                found[str(role["Arn"])] = policy
    return found


def groups(case: Case) -> dict[str, tuple[str, ...]]:
    """Groups of every user in the case's account snapshots, by the user's ARN."""
    return {str(user["Arn"]): tuple(user.get("GroupList", ())) for one in snapshot.latest(case) for user in one.users}


def refuse_lock_out(incident: Incident, steps: Iterable[Step]) -> None:
    """Refuse steps that would leave a responder without a way in, or without the right to undo them.

    Raises
    ------
    PlanError
        naming the responder, the step, and what to do about it.
    """
    plan = tuple(steps)
    ways = _Ways(incident, plan)
    faults = []
    for arn in incident.responders:
        closing = ways.closing(identity(incident, arn)[0], frozenset())
        if closing:
            faults.append(
                f"{', '.join(sorted(closing))} would lock out the responder {visible(arn)}, who has no other way in "
                "that is known. Give it one and collect the account snapshot again, or respond with another identity"
            )
    for step in plan:
        faults += [f"{step.id}: {fault}" for fault in _document_faults(incident, step)]
    if faults:
        raise PlanError("the plan is refused:\n" + "\n".join(f"  - {fault}" for fault in faults))


def identity(incident: Incident, arn: str) -> tuple[str, str]:
    """User or role behind a responder's ARN, and the session's name where the ARN is of one session."""
    session = _SESSION.fullmatch(arn)
    if not session:
        return arn, ""
    return incident.names.find(session[1], "role", session[2]), session[3] or ""


class _Ways:
    """Who can still come in as whom when the steps have run."""

    def __init__(self, incident: Incident, steps: tuple[Step, ...]) -> None:
        self._incident = incident
        self._shut: dict[str, str] = {}
        self._trust: dict[str, tuple[dict[str, Any] | None, str]] = {}
        self._groups: dict[str, str] = {}
        for step in steps:
            operation = step.api["operation"]
            if step.key.startswith("deny ") or operation in ("DeleteSAMLProvider", "DeleteOpenIDConnectProvider"):
                self._shut[step.target] = step.id
            elif operation == "UpdateAssumeRolePolicy":
                self._trust[step.target] = trust.document(step.api["parameters"]["PolicyDocument"]), step.id
            elif operation in ("AttachGroupPolicy", "PutGroupPolicy"):
                self._groups[str(step.api["parameters"]["GroupName"])] = step.id

    def closing(self, arn: str, seen: frozenset[str]) -> set[str]:
        """Ids of the steps that close every known way to work as `arn`; empty while one is open or none is known."""
        if arn in self._shut:
            return {self._shut[arn]}
        if ":user/" in arn:
            member = self._incident.groups.get(arn, ())
            return {self._groups[name] for name in member if name in self._groups}
        if ":role/" not in arn or arn in seen:
            return set()
        shut: set[str] = set()
        for one in self._callers(arn):
            session = _SESSION.fullmatch(one)
            caller = identity(self._incident, one)[0] if session else one
            closed = self.closing(caller, seen | {arn})
            if not closed:
                return set()
            shut |= closed
        return shut

    def _callers(self, role: str) -> set[str]:
        """Whom the role's trust policy names when the steps have run; where it is not known, who assumed the role."""
        changed, _ = self._trust.get(role, (None, ""))
        known = changed or self._incident.trusts.get(role) or self._recorded(role)
        if known:
            return trust.principals(known)
        entries = self._incident.log.ask("SELECT DISTINCT principal FROM events WHERE minted_principal = $r", r=role)
        return set(entries["principal"].dropna())

    def _recorded(self, role: str) -> dict[str, Any] | None:
        for act in reversed(about_role(self._incident.history, role)):
            if act.name in ("CreateRole", "UpdateAssumeRolePolicy"):
                return trust.document(act.request.get("policyDocument") or act.request.get("assumeRolePolicyDocument"))
        return None


def _document_faults(incident: Incident, step: Step) -> list[str]:
    """Denials to everybody in the policy that a step writes which would bind the responders as well."""
    service, operation = step.api["service"], step.api["operation"]
    if operation == "UpdateAssumeRolePolicy":
        return []  # of the roles alone that `_Ways` looks at
    given = step.api["parameters"]
    policy = next((given[name] for name in ("Content", "Policy", "ResourcePolicy") if name in given), None)
    faults = []
    for statement in trust.statements(trust.document(policy)):
        guard_rail = service == "organizations"
        everybody = guard_rail or statement.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
        named = "Action" if "Action" in statement else "NotAction"
        actions = [str(one).lower() for one in listed(statement.get(named))]
        matched = any(fnmatch.fnmatchcase(f"{service}:{operation}".lower(), one) for one in actions)
        undoing = matched == (named == "Action")
        if (
            statement.get("Effect") == "Deny"
            and everybody
            and (guard_rail or undoing)
            and not _spares(incident, statement)
        ):
            faults.append(
                "its policy denies to everybody, and spares not every responder by aws:PrincipalArn: nobody but root "
                "could undo it" + ("" if incident.responders else "; name the responders in case.yaml")
            )
    return faults


def _spares(incident: Incident, statement: dict[str, Any]) -> bool:
    """Whether a denial leaves out every responder; one that has only other conditions is not judged."""
    conditions = {
        (operator.removesuffix("IfExists"), key.lower()): listed(value)
        for operator, block in (statement.get("Condition") or {}).items()
        for key, value in block.items()
    }
    named = [values for (operator, key), values in conditions.items() if (operator, key) in _SPARING]
    spared = [one for values in named for one in values]
    if not spared:
        return bool(conditions)
    wanted = [identity(incident, arn)[0] for arn in incident.responders]
    return all(any(fnmatch.fnmatchcase(arn, str(one)) for one in spared) for arn in wanted)


def unusual(incident: Incident) -> list[str]:
    """Warnings of what was done as a responder and is the attacker's, in doubt, or new for that identity."""
    said = []
    for arn in incident.responders:
        name, session = identity(incident, arn)
        columns = ["event_id", "account_id", "event_time", "principal", "session_name", *_TRAITS]
        own = incident.log.rows(columns, "principal = $name", name=name)
        own = own[own["session_name"] == session] if session else own
        found = [*_judged(own, incident.verdicts), *_new(own, incident)]
        if found:
            said.append(
                f"Look at this first: responder {visible(arn)}: {'; '.join(found)}. If it was not you, somebody else "
                "works as a responder: respond with another identity, and take this one off `responders`."
            )
    return said


def _judged(own: pd.DataFrame, verdicts: pd.DataFrame) -> list[str]:
    judged = own.merge(verdicts[["event_id", "account_id", "verdict"]]).sort_values(["event_time", "event_id"])
    words = {"attacker": "are the attacker's", "unclear": "are in doubt"}
    return [
        f"{_cited(judged.loc[judged['verdict'] == verdict, 'event_id'])} {word}"
        for verdict, word in words.items()
        if judged["verdict"].eq(verdict).any()
    ]


def _new(own: pd.DataFrame, incident: Incident) -> list[str]:
    """Networks, programs and Regions since the attack began that the identity did not use in its days before."""
    habits = incident.habits
    if habits is None or not habits.exists:
        return []
    before = own[(own["event_time"] >= habits.start) & (own["event_time"] < habits.end)]
    since = own[own["event_time"] >= habits.end].sort_values(["event_time", "event_id"])
    if before.empty and len(since):
        return [f"it made no call before the attack; {_cited(since['event_id'])} since are all new"]
    found = []
    for column, word in _TRAITS.items():
        new = since[since[column].notna() & ~since[column].isin(before[column].dropna())]
        if len(new):
            values = list(dict.fromkeys(map(str, new[column])))
            more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
            named = ", ".join(map(visible, values[:_SHOWN])) + more
            found.append(f"{_cited(new['event_id'])} come from a {word} that is new for it ({named})")
    return found


def _cited(events: pd.Series) -> str:
    ids = list(dict.fromkeys(map(str, events)))
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return f"{len(ids)} event{'s'[: len(ids) != 1]} ({', '.join(map(visible, ids[:_SHOWN]))}{more})"
