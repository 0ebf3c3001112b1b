"""Emergency brake for an account whose administrator is the attacker: two service control policies, as plans.

Who may write IAM undoes every step of a plan as fast as it is made. Then the account is braked from outside, from the
organization's management account: its identities are frozen, or all that it does is denied, to everybody but the
responders. Each brake is a plan of its own, made for every account of the extent, and run only by decision.
"""

import fnmatch
import json
import re
from dataclasses import dataclass
from datetime import UTC
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd
import yaml

from cirtlib import snapshot, trust
from cirtlib.case import Case
from cirtlib.containment import usage
from cirtlib.containment.catalogue import iam_region, name_of
from cirtlib.containment.history import Act
from cirtlib.containment.incident import Incident
from cirtlib.containment.log import Log
from cirtlib.containment.responders import identity, refuse_lock_out
from cirtlib.containment.step import Plan, Ref, Step, call, number, quoted, read
from cirtlib.containment.validate import check
from cirtlib.errors import PlanError
from cirtlib.policy.conditions import listed
from cirtlib.text import visible

LONGEST = 5120  # characters of a service control policy
_MANAGEMENT = re.compile(r"arn:[\w-]+:organizations::(\d{12}):")
_ROLE_OR_USER = re.compile(r"arn:[\w-]+:iam::\d{12}:(?:role|user)/[\w+=,.@/-]+")
_SCP = "SERVICE_CONTROL_POLICY"
_SHOWN = 5  # events that a sentence cites


@dataclass(frozen=True)
class Kind:
    """One kind of brake, as cirtlib/data/brake.yaml describes it."""

    id: str
    title: str
    what: str
    leaves: str
    actions: tuple[str, ...]

    def denies(self, call_: str) -> bool:
        """Whether a call, as `service:Event`, is one that it denies."""
        return any(fnmatch.fnmatchcase(call_, action) for action in self.actions)


@cache
def _data() -> dict[str, Any]:
    text = files("cirtlib").joinpath("data/brake.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)  # type: ignore[no-any-return]


@cache
def kinds() -> dict[str, Kind]:
    """Kinds of brake by id."""
    return {name: Kind(name, **{**one, "actions": tuple(one["actions"])}) for name, one in _data()["brakes"].items()}


def brakes(incident: Incident) -> tuple[tuple[Plan, ...], list[str], list[str]]:
    """Brakes for every account of the extent; warnings of accounts that the attacker administers; and remarks.

    A remark says why a brake cannot be made that no event asks for.

    Raises
    ------
    PlanError
        when one that was made must not be exported.
    """
    inside = {str(node.get("account")) for node in incident.extent if node["kind"] in ("principal", "credential")}
    plans: list[Plan] = []
    warnings: list[str] = []
    remarks: list[str] = []
    for account in sorted(inside & incident.accounts):
        signs = recognised(incident, account)
        try:
            made = [build(incident, account, kind, signs) for kind in kinds()]
        except PlanError as error:
            (warnings if signs else remarks).append(f"{_administers(account, signs)}{error}")
            continue
        plans += made
        if signs:
            titles = " or ".join(f"'{one.title}'" for one in made)
            warnings.append(
                f"{_administers(account, signs)}Who administers an account undoes this plan as fast as it is made: "
                f"consider {titles} before it."
            )
    said = " ".join(warnings)
    return tuple(plans), warnings, [one for one in dict.fromkeys(remarks) if one not in said]


def _administers(account: str, signs: dict[str, list[str]]) -> str:
    if not signs:
        return ""
    ids = list(dict.fromkeys(one for events in signs.values() for one in events))
    cited = ", ".join(map(visible, ids[:_SHOWN])) + (f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else "")
    return f"The attacker administers account {account}: {', '.join(sorted(signs))} (events {cited}). "


def recognised(incident: Incident, account: str) -> dict[str, list[str]]:
    """What shows that the attacker administers an account, each with its event ids; empty where nothing does.

    It gave rights by IAM or changed the organization, or one of its identities was given administrator's rights.
    """
    signs: dict[str, list[str]] = {}
    calls = {
        (f"{source}.amazonaws.com", name) for source, all_ in _data()["administrator_calls"].items() for name in all_
    }
    found = incident.log.attackers.query("outcome == 'ok' and account_id == @account")
    for source, name, event in found[["event_source", "event_name", "event_id"]].itertuples(index=False, name=None):
        if (source, name) in calls:
            signs.setdefault(str(name), []).append(str(event))
    held = {name_of(node["value"]) for node in incident.extent if node["kind"] == "principal"}
    for act in incident.history:
        owner = act.request.get("userName") or act.request.get("roleName")
        if act.account == account and owner in held and (right := _administrator(act)):
            signs.setdefault(f"{visible(owner)} holds {right}", []).append(act.event_id)
    return signs


def _administrator(act: Act) -> str:
    """Administrator's rights that an event gave, in words; empty where it gave none."""
    if act.name in ("AttachUserPolicy", "AttachRolePolicy"):
        name = name_of(str(act.request.get("policyArn", "")))
        return name if name in _data()["administrator_policies"] else ""
    if act.name not in ("PutUserPolicy", "PutRolePolicy"):
        return ""
    for statement in trust.statements(trust.document(act.request.get("policyDocument"))):
        actions, resources = _listed(statement.get("Action")), _listed(statement.get("Resource"))
        if statement.get("Effect") == "Allow" and {"*", "*:*", "iam:*"} & set(actions) and "*" in resources:
            return "every action on everything"
    return ""


def _listed(value: Any) -> list[str]:  # noqa: ANN401 - any JSON value
    return [str(one) for one in listed(value)]


def management(case: Case, log: Log) -> tuple[str, str]:
    """Management account of the organization, and where that is known from; ("", "") where nothing says it.

    case.yaml comes first (an account named `management` under `known.accounts`), then account snapshots, then answers
    of AWS Organizations in the events. A request is not asked: its caller wrote it.
    """
    named = (case.known.get("accounts") or {}).get("management") or []
    for account in listed(named):
        return str(account), "case.yaml, known.accounts"
    for one in snapshot.latest(case):
        told = [
            answer["Organization"]["MasterAccountId"]
            for _, _, answer in one.pages("organizations.DescribeOrganization")
        ]
        trails = [str(trail["TrailARN"]).split(":")[4] for trail in one.trails if trail.get("IsOrganizationTrail")]
        for account in (*told, *trails):
            return str(account), f"the snapshot of account {one.account} of {one.taken_at}"
    where = "event_source = 'organizations.amazonaws.com' AND response IS NOT NULL"
    answers = log.rows(["event_id", "response"], where)
    found = {
        match[1]: str(event)
        for event, text in answers[["event_id", "response"]].itertuples(index=False, name=None)
        if (match := _MANAGEMENT.search(str(text)))
    }
    return (
        next(((account, f"event {event}") for account, event in found.items()), ("", ""))
        if len(found) == 1
        else ("", "")
    )


def build(incident: Incident, account: str, kind: str, signs: dict[str, list[str]] | None = None) -> Plan:
    """One brake for one account (`kind`: identity-freeze or quarantine), as a plan of its own.

    Raises
    ------
    PlanError
        when case.yaml names no responder or one whose role cannot be told, when the management account is not known or
        is itself the account, or when the policy would be too long.
    """
    what = kinds()[kind]
    manager, source = incident.management
    exempt = _exempt(incident)
    title = f"Emergency brake: {what.title} of account {account}"
    if not exempt:
        raise PlanError(
            "No emergency brake: case.yaml names no `responders`, and it would shut out those "
            "who respond as well. Name their roles or users by ARN."
        )
    if not manager:
        raise PlanError(
            "No emergency brake: the organization's management account is not known, if there "
            "is one. Name it in case.yaml as `known: {accounts: {management: [ID]}}`, or collect its account snapshot."
        )
    if manager == account:
        raise PlanError(
            f"No emergency brake for account {account}: it is the organization's management account ({source}), "
            "which no service control policy binds. Contain its identities one by one, and secure its root user."
        )
    document = policy(what, exempt)
    steps = _steps(incident, account, what, document)
    result = Plan(
        case=incident.name,
        title=title,
        as_of=f"{incident.as_of.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        steps=number(steps),
        warnings=tuple(_warnings(incident, account, what, signs or {})),
        responders=incident.responders,
    )
    refuse_lock_out(incident, result.steps)
    check(result)
    return result


def _exempt(incident: Incident) -> list[str]:
    """Roles and users of the responders, as aws:PrincipalArn has them: a session by its role's ARN, path and all."""
    found = []
    for arn in incident.responders:
        name, _ = identity(incident, arn)
        # the path of a session's role is known only where a record shows it
        unknown = name != arn and incident.log.rows(["event_id"], "principal = $name", name=name).empty
        if unknown or not _ROLE_OR_USER.fullmatch(name):
            raise PlanError(
                f"No emergency brake: the responder {visible(arn)} of case.yaml is not the ARN of one role or user, "
                "so it cannot be spared. Write it as arn:aws:iam::ACCOUNT:role/PATH/NAME, without wildcards."
            )
        found.append(name)
    return sorted(set(found))


def policy(kind: Kind, exempt: list[str]) -> str:
    """Text of the service control policy that denies a kind's actions to everybody but these roles and users.

    Raises
    ------
    PlanError
        when it is longer than AWS Organizations takes.
    """
    statement = {
        "Sid": "".join(word.capitalize() for word in kind.id.split("-")),
        "Effect": "Deny",
        "Action": list(kind.actions) if len(kind.actions) > 1 else kind.actions[0],
        "Resource": "*",
        "Condition": {"ArnNotLike": {"aws:PrincipalArn": exempt}},
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))
    if len(text) > LONGEST:
        raise PlanError(
            f"No emergency brake: with {len(exempt)} responders the policy has {len(text)} characters, more than the "
            f"{LONGEST} that AWS Organizations takes. Name fewer in case.yaml, such as the one role that they share."
        )
    return text


def _steps(incident: Incident, account: str, kind: Kind, document: str) -> list[Step]:
    """Make the policy, then attach it to the account; both in the management account."""
    name = f"cirt-{kind.id}-{account}"
    where: dict[str, Any] = {
        "account": incident.management[0],
        "region": iam_region(incident.responders[0]),
        "phase": "contain",
        "target": account,
    }
    create = f"create-brake {name}"
    return [
        Step(key=create, **where, **_create(incident, kind, name, document)),
        Step(
            key=f"attach-brake {name}",
            wait={"after": create, "seconds": 0},
            depends_on=(create,),
            **where,
            **_attach(incident, account, kind, name),
        ),
    ]


def _create(incident: Incident, kind: Kind, name: str, document: str) -> dict[str, Any]:
    manager, source = incident.management
    enabled = read(call("organizations", "ListRoots"), f"Roots[0].PolicyTypes[?Type=='{_SCP}'].Status | [0]")
    listed = read(call("organizations", "ListPolicies", Filter=_SCP), f"contains(Policies[].Name, {quoted(name)})")
    described = call("organizations", "DescribePolicy", PolicyId=Ref("${self.policy}"))
    return {
        "title": f"Make the policy {name}; it binds nobody yet",
        "api": call(
            "organizations",
            "CreatePolicy",
            Content=document,
            Description=f"Emergency brake of case {incident.name}: {kind.title}"[:512],
            Name=name,
            Type=_SCP,
        ),
        "captures": {"enabled": {**enabled, "expected": "ENABLED"}, "there": {**listed, "expected": False}},
        "outputs": {"policy": "Policy.PolicySummary.Id"},
        "verify": read(described, "Policy.PolicySummary.Name", expected=name),
        "rollback": {"api": call("organizations", "DeletePolicy", PolicyId=Ref("${self.policy}"))},
        "rollback_note": "Only when it is detached.",
        "prerequisites": (
            f"A role in the management account {manager} (known from {visible(source)}) that may write policies.",
            "Service control policies are enabled in the organization.",
        ),
        "impact": "Nothing stops: a policy that is attached nowhere binds nobody.",
    }


def _attach(incident: Incident, account: str, kind: Kind, name: str) -> dict[str, Any]:
    made = Ref("${after.policy}")
    listed = call("organizations", "ListPoliciesForTarget", TargetId=account, Filter=_SCP)
    attached = read(listed, f"contains(Policies[].Name, {quoted(name)})")
    used_by, impact = _impact(incident, account, kind)
    return {
        "title": f"Attach {name} to account {account}",
        "api": call("organizations", "AttachPolicy", PolicyId=made, TargetId=account),
        "captures": {"before": read(listed, "Policies[].Id"), "attached": {**attached, "expected": False}},
        "verify": {**attached, "expected": True},
        "rollback": {"api": call("organizations", "DetachPolicy", PolicyId=made, TargetId=account)},
        "rollback_note": "When the plan itself has run and verify.sh passes: until then the attacker works again.",
        "reopens": True,
        "prerequisites": ("The account has room for one more policy: AWS limits how many are attached to it.",),
        "side_effects": ("It takes effect within minutes. It ends no session; it denies what sessions ask for.",),
        "does_not_stop": (kind.leaves, *_data()["does_not_bind"]),
        "used_by": used_by,
        "impact": impact,
    }


def _impact(incident: Incident, account: str, kind: Kind) -> tuple[dict[str, Any] | None, str]:
    """Who in the account made calls before the attack that the brake denies."""
    habits = incident.habits
    if habits is None or not habits.exists:
        return None, f"{kind.what} There is no baseline, so nobody can say who depends on it: ask the account's owner."
    rows = habits.count(pd.DataFrame([(account, "account", account)], columns=["target", "how", "value"]))
    # of this account's users and roles only: nobody else is bound
    own = rows["caller"].str.fullmatch(rf"arn:[\w-]+:iam::{account}:(?:root|(?:role|user)/.+)").fillna(value=False)
    own = own.astype(bool) & ~rows["caller"].map(lambda caller: incident.is_responder(str(caller))).astype(bool)
    denied = rows[own & rows["call"].map(lambda name: kind.denies(str(name))).astype(bool)]
    use = usage.summary(denied, habits)
    if not use["calls"]:
        return use, f"{kind.what} In the {habits.days:.1f} days before the attack nobody made a call that it denies."
    return use, f"{kind.what} {usage.sentence(denied, use, habits, verb='it would have denied')}"


def _warnings(incident: Incident, account: str, kind: Kind, signs: dict[str, list[str]]) -> list[str]:
    said = []
    if signs:
        said.append(f"{_administers(account, signs)}This brake answers that.")
    else:
        said.append("No event shows that the attacker administers this account: the plan alone may be enough.")
    inside = [one for one in incident.responders if one.split(":")[4] == account]
    if not inside:
        said.append(
            f"No responder has an identity in account {account}: while the brake holds, nobody can {_work(kind)} in it."
        )
    else:
        names = ", ".join(map(visible, inside))
        said.append(f"Whoever can work as {names} is not bound: see first that the attacker cannot.")
    return said


def _work(kind: Kind) -> str:
    return "work" if "*" in kind.actions else "change identities"
