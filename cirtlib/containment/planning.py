"""From the extent of a compromise to ordered steps.

The order is that of AWS's guidance and of what stops the attacker soonest: logging back on, evidence, keys, users and
roles denied, doors closed; then, when IAM has spread it, sessions revoked with the time of that moment, and once more;
then what the attacker made is undone. Nothing outside the extent is touched, except logging that was impaired.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

from cirtlib import exposure, queries, snapshot, techniques
from cirtlib import scope as scoping
from cirtlib.case import Case
from cirtlib.containment import brake, catalogue, effect, narrower, outside, resources, responders, returning, usage
from cirtlib.containment.documents import plan_policies
from cirtlib.containment.doors import close_doors
from cirtlib.containment.history import about_user, gone, items, key_users
from cirtlib.containment.incident import Draft, Incident, Node
from cirtlib.containment.instances import instances, isolate_instances
from cirtlib.containment.log import Log
from cirtlib.containment.recovering import recovered, still_reachable
from cirtlib.containment.rows import plan_rows
from cirtlib.containment.step import PHASES, Plan, Step, call, number, read
from cirtlib.containment.targets import editable_roles, made_by_attacker, of
from cirtlib.containment.undo import undo
from cirtlib.containment.unplanned import recovery, rotations, state_reasons
from cirtlib.containment.validate import check
from cirtlib.engine import duckdb as engine
from cirtlib.text import visible

# Calls that destroy what cannot be made again, by the beginning of their names.
_DESTROYING = (
    "DeleteObject", "DeleteBucket", "DeleteSnapshot", "DeleteVolume", "DeleteDB", "DeleteTable", "DeleteFileSystem",
    "DeleteRecoveryPoint", "DeleteSecret", "DeleteLog", "TerminateInstances", "DeregisterImage", "ScheduleKeyDeletion",
    "DisableKey", "PutBucketLifecycle",
)  # fmt: skip
TechniqueOf = Callable[[str, str], str]


def plan(case: Case, *, scope: scoping.Scope | None = None) -> Plan:
    """Containment plan of a case.

    Parameters
    ----------
    scope
        A `Scope`; default: that of the case, as `cirt scope` wrote it.

    Raises
    ------
    PlanError
        when a step would be wrong: an unknown call or parameter, or a responder as its target.
    """
    return plan_for(incident_of(case, scope or scoping.load(case)))


def plan_for(incident: Incident) -> Plan:
    """Plan for the incident of a case, with the techniques that its calls stand for."""
    return build(incident, technique_of=lambda source, name: techniques.describe(source, name).technique)


def incident_of(case: Case, scope: scoping.Scope) -> Incident:
    """What a plan is made from: the case, its scope and its events."""
    events, given = engine.connect(case), scope.to_dict()
    log = Log(events, scope.verdicts)
    seen = {account for account in log.values("account_id") if account.isdigit()}
    return Incident(
        name=case.name,
        title=case.title or case.name,
        as_of=queries.as_of(case),
        scope=given,
        events=events,
        verdicts=scope.verdicts,
        accounts=frozenset(seen | set(case.accounts)),
        responders=case.responders,
        habits=usage.of_case(case, given, scope.verdicts),
        management=brake.management(case, log),
        trusts=responders.trusts(case),
        groups=responders.groups(case),
        confirmed=frozenset({*given["seeds"], *(one.node for one in case.confirmed)}),
        ways_in=exposure.way_in(case).instances,
        states=tuple(snapshot.latest(case)),
        findings=queries.findings(case),
    )


def build(incident: Incident, *, technique_of: TechniqueOf = lambda source, name: "") -> Plan:
    """Plan for an incident; the same incident gives the same plan."""
    draft = Draft(incident)
    _logging(draft)
    plan_rows(draft, preserve=True)
    instances(draft)
    users = _users(draft)
    _keys(draft, users)
    _denied_users(draft)
    known = returning.known_passwords(draft)
    _denied_roles(draft)
    close_doors(draft)
    isolate_instances(draft)
    _shares(draft)
    plan_policies(draft)
    plan_rows(draft, preserve=False)
    _revocations(draft)
    undo(draft)
    returning.conditions(draft, users, known)
    for node in of(draft, "resource", ":instance/", ("compromised", "attacker_created")):
        if f"snapshot {node['value']}" in draft.steps:
            draft.add(resources.stop(node["value"]), nodes=[node])
    state_reasons(draft)
    late = _destroying(draft)
    ordered = sorted(draft.steps.values(), key=lambda step: _turn(step, late=late))
    described = _described(_with_evidence(ordered), incident, technique_of)
    steps = narrower.offer(number(usage.describe(described, incident.habits)), incident)
    responders.refuse_lock_out(incident, steps)
    outside.keep_quarantine(steps)
    exposed, alerts = outside.exposure(incident)
    brakes, urgent, remarks = brake.brakes(incident)
    result = Plan(
        case=incident.name,
        title=incident.title,
        as_of=f"{incident.as_of.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        steps=steps,
        unplanned=(
            *({"node": node, "reason": reason} for node, reason in sorted(draft.reasons.items())),
            *outside.foreign(incident, steps),
            *exposed,
        ),
        recovery=(*recovery(steps), *rotations(incident.history), *recovered(draft)),
        exposed=still_reachable(draft),
        warnings=(*responders.unusual(incident), *alerts, *urgent, *draft.warnings, *remarks),
        brakes=brakes,
        contained_callers=tuple(_caller(step) for step in steps if _denies(step)),
        responders=incident.responders,
    )
    result = replace(result, effect=effect.judge(incident, result))
    check(result)
    return result


def _destroying(draft: Draft) -> bool:
    """Whether the attacker was destroying when last seen, and that may still go on; says so first.

    Evidence comes before containment unless it is being destroyed meanwhile (AWS's incident-response playbooks).
    """
    history = [act for act in draft.incident.history if act.attacker]
    if not history:
        return False
    last = history[-1].time
    done = [act for act in history if act.name.startswith(_DESTROYING) and last - act.time <= timedelta(hours=1)]
    if not done or draft.incident.as_of - last > timedelta(hours=12):
        return False
    draft.warnings.insert(
        0,
        f"The attacker was destroying when last seen ({done[-1].name} at {done[-1].time:%Y-%m-%dT%H:%M:%SZ}, event "
        f"{visible(done[-1].event_id)}): credentials are stopped before machines are copied.",
    )
    return True


def _turn(step: Step, *, late: bool) -> float:
    """Where a step stands in the order; `late`: copies are made after the credentials are stopped."""
    copies = step.phase == "preserve" and ":instance/" in step.target
    return PHASES.index("contain") + 0.5 if late and copies else PHASES.index(step.phase)


def _with_evidence(steps: list[Step]) -> list[Step]:
    """Let the first change of identities in each account save all users, groups, roles and policies first."""
    given = call("iam", "GetAccountAuthorizationDetails", Filter=["User", "Role", "Group", "LocalManagedPolicy"])
    seen: set[str] = set()
    result = []
    for step in steps:
        first = step.api["service"] == "iam" and step.account not in seen
        seen |= {step.account} if first else set()
        result.append(replace(step, captures={"identities": read(given, "@"), **step.captures}) if first else step)
    return result


def _logging(draft: Draft) -> None:
    """Turn on the trails that are off since the attacker stopped them."""
    for node in of(draft, "resource", ":trail/"):
        name = node["value"].rsplit("/", 1)[-1]
        logging = [
            act
            for act in draft.incident.history
            if act.name in ("StopLogging", "StartLogging", "DeleteTrail")
            and str(act.request.get("name", "")).rsplit("/", 1)[-1] == name
        ]
        stops = [act for act in logging if act.name == "StopLogging" and act.attacker]
        if stops and logging[-1].name == "StopLogging":
            draft.add(resources.start_logging(node["value"]), nodes=[node], because=stops)
        elif logging and logging[-1].name == "StartLogging":
            draft.reasons[node["id"]] = f"it is logging again since {logging[-1].time:%Y-%m-%dT%H:%M:%SZ}"
        elif logging and logging[-1].name == "DeleteTrail":
            draft.reasons[node["id"]] = (
                "it was deleted: make it again by hand (CreateTrail, PutEventSelectors, StartLogging)"
            )


def _long_term(draft: Draft) -> list[Node]:
    return [node for node in of(draft, "credential", "AKIA") if node["id"].startswith("access_key:AKIA")]


def _users(draft: Draft) -> dict[str, str]:
    keys = {node["value"] for node in _long_term(draft)}
    return key_users(draft.incident.log, draft.incident.history, keys)


def _keys(draft: Draft, users: dict[str, str]) -> None:
    for node in _long_term(draft):
        key, user = node["value"], users.get(node["value"], "")
        deleted = gone(draft.incident.history, "DeleteAccessKey", accessKeyId=key)
        if deleted:
            draft.reasons[node["id"]] = f"deleted by event {deleted.event_id}"
        elif not user:
            draft.reasons[node["id"]] = (
                "no event tells whose key it is (a root key is not shown as a user's): find its user with "
                "GetAccessKeyLastUsed, and deactivate it by hand, now"
            )
        elif why := outside.unreachable(draft.incident, user):
            draft.reasons[node["id"]] = why
        elif draft.incident.is_responder(user):
            draft.reasons[node["id"]] = "refused: it belongs to a responder of case.yaml"
        else:
            made = [act for act in draft.incident.history if act.minted_key == key and act.attacker]
            draft.add(catalogue.key_inactive(user, key), nodes=[node], because=made)


def _denied_users(draft: Draft) -> None:
    for node in of(draft, "principal", ":user/", ("compromised", "attacker_created")):
        user = node["value"]
        deleted = gone(draft.incident.history, "DeleteUser", userName=catalogue.name_of(user))
        if deleted and deleted.account == user.split(":")[4]:
            draft.reasons[node["id"]] = f"deleted by event {deleted.event_id}"
            continue
        because = [act for act in about_user(draft.incident.history, user) if act.attacker and act.name == "CreateUser"]
        draft.add(catalogue.deny_user(user), nodes=[node], because=because)


def _denied_roles(draft: Draft) -> None:
    for node in editable_roles(draft):
        role = node["value"]
        because = [act for act in draft.incident.history if act.attacker and act.request.get("roleArn") == role]
        step = catalogue.deny_role(role, requires=(), reopens=made_by_attacker(draft, node))
        draft.add(step, nodes=[node], because=because)


def _shares(draft: Draft) -> None:
    """Take back snapshots that the attacker shared."""
    for node in of(draft, "resource", ":snapshot/"):
        snapshot_id = node["value"].rsplit("/", 1)[-1]
        about = [act for act in draft.incident.history if act.request.get("snapshotId") == snapshot_id]
        users: set[str] = set()
        groups: set[str] = set()
        for act in about:
            permission = act.request.get("createVolumePermission") or {}
            if act.attacker:
                users.update(items(permission.get("add"), "userId"))
                groups.update(items(permission.get("add"), "group"))
            users.difference_update(items(permission.get("remove"), "userId"))
            groups.difference_update(items(permission.get("remove"), "group"))
        deleted = [act for act in about if act.name == "DeleteSnapshot"]
        if deleted:
            draft.reasons[node["id"]] = f"deleted by event {deleted[-1].event_id}; a copy may exist where it was shared"
        elif users or groups:
            because = [act for act in about if act.attacker]
            step = resources.unshare(
                node["value"], account=because[0].account, users=sorted(users), groups=sorted(groups)
            )
            draft.add(step, nodes=[node], because=because)
        else:
            draft.reasons[node["id"]] = "shared with nobody, and whoever made it is contained: it stays, as evidence"


def _revocations(draft: Draft) -> None:
    """Revoke the sessions of every role, when the last door is closed, and then once more."""
    roles = [
        node
        for node in editable_roles(draft, ("compromised", "attacker_created", "changed"))
        if f"deny {node['value']}" in draft.steps or f"trust {node['value']}" in draft.steps
    ]
    doors = [key for key in draft.steps if key.split(" ")[0] in ("key", "deny", "trust")]
    for again in (False, True):
        for node in roles:
            after = f"revoke {node['value']}" if again else doors[-1]
            step = catalogue.revoke(node["value"], after=after, again=again)
            draft.add(step, nodes=[node])
    stays = [key for key in draft.steps if key.split(" ")[0] in ("key", "trust", "revoke-again")]
    stops = [
        f"stop {node['value']}" for node in of(draft, "resource", ":instance/", ("compromised", "attacker_created"))
    ]
    for node in roles:
        deny = draft.steps.get(f"deny {node['value']}")
        if deny and isinstance(deny.rollback, dict):
            draft.steps[deny.key] = replace(deny, rollback={**deny.rollback, "requires": (*stays, *stops)})


def _described(steps: list[Step], incident: Incident, technique_of: TechniqueOf) -> list[Step]:
    """Steps with the techniques that their evidence shows, whoever's events it is."""
    ids = sorted({one for step in steps for one in step.why})
    columns = ("event_id", "event_source", "event_name")
    known = incident.log.rows(columns, "event_id IN (SELECT unnest($ids::VARCHAR[])) AND outcome = 'ok'", ids=ids)
    shows: dict[str, set[str]] = {}
    for event_id, source, name in known.itertuples(index=False, name=None):
        shows.setdefault(event_id, set()).add(technique_of(str(source), str(name)))
    return [
        replace(step, techniques=tuple(sorted({one for event in step.why for one in shows.get(event, ()) if one})))
        for step in steps
    ]


def _denies(step: Step) -> bool:
    return step.api["operation"] in ("AttachUserPolicy", "AttachRolePolicy")


def _caller(step: Step) -> dict[str, Any]:
    """Who the contained principal is when it calls: a user is itself, a role any of its sessions."""
    if ":user/" in step.target:
        return {"account": step.account, "arn": step.target, "prefix": False}
    session = f"arn:{step.target.split(':')[1]}:sts::{step.account}:assumed-role/{catalogue.name_of(step.target)}/"
    return {"account": step.account, "arn": session, "prefix": True}
