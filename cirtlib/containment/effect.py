"""What a plan stops, call by call: whether each call that succeeded would still succeed once the plan has run.

Every call of the attacker's and every call of the others is judged against the steps: keys that are inactive, denies
(by the evaluator of policies), trust policies, passwords, providers, functions and machines. A call that no step
touches is as possible as it was.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from cirtlib.containment.incident import Incident
from cirtlib.containment.step import Plan, Step
from cirtlib.policy import NOT_KNOWN, Request, evaluate
from cirtlib.text import many, visible
from cirtlib.trust import document, statements

STOPPED, ALIVE, EXPIRED, POSSIBLE, UNKNOWN = "stopped", "alive", "expired", "possible", "unknown"
# They succeed under every deny, and give no access (IAM user guide, "Disabling permissions for temporary security
# credentials"; API references of both calls).
_ONLY_ALIVE = {"sts:GetCallerIdentity", "sts:GetSessionToken"}
_ENTRIES = {"sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity"}
_ALL = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
_DENY_ALL = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}
_WHO = [
    "principal", "principal_type", "access_key_id", "session_created", "session_name", "user_name", "event_source",
    "event_name", "account_id", "caller_account", "invoked_by", "source_identity", "sign_in_session", "_role",
]  # fmt: skip
_SHOWN = 5
# Each call once: of the records that two accounts keep of it, the one that names its caller by ARN.
_GROUPED = f"""
    WITH once AS (
        SELECT *, CASE WHEN starts_with(event_name, 'AssumeRole') AND json_valid(request)
                       THEN request ->> '$.roleArn' END AS _role
        FROM events
        WHERE outcome = 'ok' AND (
            shared_event_id IS NULL OR coalesce(starts_with(principal, 'arn:'), false) OR shared_event_id NOT IN (
                SELECT shared_event_id FROM events
                WHERE outcome = 'ok' AND starts_with(principal, 'arn:') AND shared_event_id IS NOT NULL
            )
        )
    )
    SELECT
        {", ".join(_WHO)}, coalesce(verdict = 'attacker', false) AS mine, count(*) AS count,
        min(event_id, {_SHOWN}) AS event_ids, min(event_time) AS first, max(event_time) AS last
    FROM once LEFT JOIN judged USING (event_id, account_id)
    WHERE coalesce(verdict, '') = 'attacker'
       OR (coalesce(verdict, '') <> 'unclear' AND principal_type IS DISTINCT FROM 'AWSService')
    GROUP BY ALL
    ORDER BY min((event_time, event_id, account_id))
"""  # noqa: S608 - ours
_LATER = datetime(9999, 12, 31, 0, 0, 1, tzinfo=UTC)  # after the cut-off that stands for ${now}


@dataclass(frozen=True)
class Judgement:
    """What becomes of one call: a word, the step that does it, and why."""

    word: str
    step: str = ""
    why: str = ""


@dataclass
class _Steps:
    """The plan's steps by what they take away."""

    keys: dict[str, Step] = field(default_factory=dict)
    denied: dict[str, Step] = field(default_factory=dict)
    documents: dict[str, list[tuple[Step, dict[str, Any]]]] = field(default_factory=dict)
    trusts: dict[str, Step] = field(default_factory=dict)
    passwords: dict[str, Step] = field(default_factory=dict)
    things: dict[str, Step] = field(default_factory=dict)


def judge(incident: Incident, plan: Plan) -> dict[str, Any]:
    """Say what the plan stops of the attacker's calls, and what it breaks of everybody else's.

    Returns
    -------
    dict
        `attacker`: calls, stopped, alive (the credential answers and has no access), expired, by_step, possible,
        unknown; `legitimate`: calls, days, broken, unknown; `unknown_share` of all calls; `says`, sentences. Lists hold
        groups of equal calls with counts and the first event ids.
    """
    steps = _sorted(plan)
    expires = {str(node["value"]): str(node["expires"]) for node in incident.extent if node.get("expires")}
    as_of = f"{incident.as_of:%Y-%m-%dT%H:%M:%SZ}"
    mine, others = _calls(incident)
    cache: dict[tuple[Any, ...], Judgement] = {}

    def judged(calls: pd.DataFrame) -> list[tuple[dict[str, Any], Judgement]]:
        found = []
        for row in calls.to_dict("records"):
            key = tuple(str(row[name]) for name in _WHO)
            if key not in cache:
                said = _judge(row, steps)
                over = expires.get(str(row["access_key_id"]), "9") <= as_of
                cache[key] = Judgement(EXPIRED) if over and said.word != STOPPED else said
            found.append(({str(name): value for name, value in row.items()}, cache[key]))
        return found

    attacker, rest = judged(mine), judged(others)
    days = _days(others)
    result: dict[str, Any] = {
        "attacker": _attacker(attacker),
        "legitimate": {
            "calls": sum(row["count"] for row, _ in rest),
            "days": round(days, 1),
            "broken": _broken(rest, days, plan),
            "unknown": _listed(rest, UNKNOWN),
        },
    }
    total = result["attacker"]["calls"] + result["legitimate"]["calls"]
    unknown = sum(one["count"] for part in result.values() for one in part["unknown"])
    result["unknown_share"] = round(unknown / total, 4) if total else 0.0
    return json.loads(json.dumps(result | {"says": _says(result)}))  # type: ignore[no-any-return]


def _calls(incident: Incident) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Successful calls of the attacker's, and of everybody else, each as groups of equal calls: `_WHO`, count, ids."""
    found = incident.log.ask(_GROUPED)
    found = found.astype(object).where(found.notna(), None)
    mine = found["mine"].astype(bool)
    return found[mine], found[~mine]


def _sorted(plan: Plan) -> _Steps:
    found = _Steps()
    for step in plan.steps:
        given, operation = step.api["parameters"], step.api["operation"]
        if operation == "UpdateAccessKey" and given.get("Status") == "Inactive":
            found.keys[given["AccessKeyId"]] = step
        elif operation in ("AttachUserPolicy", "AttachRolePolicy") and given["PolicyArn"].endswith(
            ":policy/AWSDenyAll"
        ):
            found.documents.setdefault(step.target, []).append((step, _DENY_ALL))
            found.denied[step.target] = step
        elif operation in ("PutRolePolicy", "PutUserPolicy"):
            policy = document(given["PolicyDocument"].replace("${now}", "9999-12-31T00:00:00Z"))
            if policy and _denies(policy):
                found.documents.setdefault(step.target, []).append((step, policy))
        elif operation == "UpdateAssumeRolePolicy":
            found.trusts[step.target] = step
        elif operation == "DeleteLoginProfile":
            found.passwords[step.target] = step
        elif step.phase in ("contain", "eradicate"):
            found.things.setdefault(step.target, step)
            found.things.setdefault(step.target.rpartition("/")[2], step)
    return found


def _denies(policy: dict[str, Any]) -> bool:
    return any(one.get("Effect") == "Deny" for one in statements(policy))


def _judge(row: dict[str, Any], steps: _Steps) -> Judgement:
    """What becomes of one call when the plan has run."""
    call = f"{str(row['event_source']).removesuffix('.amazonaws.com')}:{row['event_name']}"
    key, principal = str(row["access_key_id"] or ""), str(row["principal"] or "")
    if key in steps.keys:
        return Judgement(STOPPED, steps.keys[key].id)
    stopped = _denied(row, call, principal, steps)
    if stopped:
        alive = Judgement(ALIVE, why="it answers under every deny, and gives no access")
        return alive if call in _ONLY_ALIVE else stopped
    machine = steps.things.get(str(row["session_name"] or ""))
    if machine and machine.api["operation"] == "StopInstances":
        return Judgement(STOPPED, machine.id)
    if call in _ENTRIES:
        return _entry(row, call, principal, steps)
    if call.startswith("signin:") or row["event_name"] == "ConsoleLogin":
        return _sign_in(principal, steps)
    why = "no step contains its principal" if principal else "its record names nobody whom a step could contain"
    if principal in steps.documents and _renewed(row, steps):
        why = "its instance hands out new credentials, which no revocation reaches"
    return Judgement(POSSIBLE, why=why)


def _denied(row: dict[str, Any], call: str, principal: str, steps: _Steps) -> Judgement | None:
    """The step whose deny stops the call, as the evaluator of policies has it; a sign-in ends with its password."""
    if call == "signin:ConsoleLogin" and principal in steps.passwords:
        return _sign_in(principal, steps)  # no deny keeps anybody from signing in
    who = principal
    if row["principal_type"] == "FederatedUser":  # the policies of the user who made the token bind it
        account, name = str(row["account_id"]), str(row["user_name"] or "")
        who = next(
            (one for one in steps.documents if one.split(":")[4:5] == [account] and one.endswith(f"/{name}")), who
        )
    documents = steps.documents.get(who, [])
    if not documents:
        return None
    request = _request(row | {"session_created": _LATER} if _renewed(row, steps) else row, call, who)
    doubt = None
    for step, policy in documents:
        found = evaluate(request, identity=[_ALL, policy])
        if found.result == "denied":
            return Judgement(STOPPED, step.id)
        if found.result == UNKNOWN:
            doubt = Judgement(UNKNOWN, why=f"whether {found.by} applies to it is not known")
    return doubt


def _renewed(row: dict[str, Any], steps: _Steps) -> bool:
    """Whether the session is of an instance that stays on: it hands out credentials that are newer than any cut-off."""
    name = str(row["session_name"] or "")
    machine = steps.things.get(name)
    return name.startswith("i-") and not (machine and machine.api["operation"] == "StopInstances")


def _request(row: dict[str, Any], call: str, principal: str, resource: str = "*") -> Request:
    """The call as policies see it; what a record does not tell is not known."""
    role = principal if ":role/" in principal else ""
    session = str(row["session_name"] or "")
    foreign, _, _ = principal.partition(":")  # `<account>:<principalId>`: what a record knows of a foreign caller
    own = foreign if foreign.isdigit() else (principal.split(":") + [""] * 5)[4]
    account = str(row["caller_account"] or own or row["account_id"])
    arn = principal
    if role:
        arn = f"arn:{role.split(':')[1]}:sts::{account}:assumed-role/{role.rpartition('/')[2]}/{session}"
    created = row["session_created"]
    issued = f"{created:%Y-%m-%dT%H:%M:%SZ}" if hasattr(created, "strftime") else NOT_KNOWN
    context: dict[str, Any] = {"aws:TokenIssueTime": issued}
    for key, name in (("aws:SourceIdentity", "source_identity"), ("aws:SignInSessionArn", "sign_in_session")):
        if row[name]:
            context[key] = str(row[name])
    return Request(
        action=call, resource=resource, principal=arn, account=account, role=role, context=context, complete=False,
        resource_account=(resource.split(":") + [""] * 5)[4] or account,
    )  # fmt: skip


def _entry(row: dict[str, Any], call: str, principal: str, steps: _Steps) -> Judgement:
    """What becomes of entering a role: by the trust policy that the plan leaves, and by what the role can still do."""
    role = str(row["_role"] or "")
    provider = next((step for name, step in steps.things.items() if "-provider/" in name and name in principal), None)
    if provider:
        return Judgement(STOPPED, provider.id)
    if role in steps.trusts:
        policy = document(steps.trusts[role].api["parameters"]["PolicyDocument"])
        found = evaluate(_request(row, call, principal, role), identity=[_ALL], resource=policy)
        if found.refused:
            return Judgement(STOPPED, steps.trusts[role].id)
        if found.refused is None:
            return Judgement(UNKNOWN, why=f"whether the trust policy of {role} lets it in is not known")
    if role in steps.denied:
        why = f"it opens sessions of {role}, which can do nothing while {steps.denied[role].id} stands"
        return Judgement(ALIVE, why=why)
    return Judgement(POSSIBLE, why=f"no step closes the door of {role or 'the role'}")


def _sign_in(principal: str, steps: _Steps) -> Judgement:
    if principal in steps.passwords:
        return Judgement(STOPPED, steps.passwords[principal].id)
    if principal in steps.denied:
        return Judgement(ALIVE, why=f"signing in works, and gives no access while {steps.denied[principal].id} stands")
    return Judgement(POSSIBLE, why="no step takes the password or denies the user")


def _attacker(judged: list[tuple[dict[str, Any], Judgement]]) -> dict[str, Any]:
    def count(test: Callable[[Judgement], bool]) -> int:
        return sum(row["count"] for row, found in judged if test(found))

    names = list(dict.fromkeys(found.step for _, found in judged if found.word == STOPPED))
    return {
        "calls": count(lambda _: True),
        STOPPED: count(lambda found: found.word == STOPPED),
        ALIVE: count(lambda found: found.word == ALIVE),
        EXPIRED: count(lambda found: found.word == EXPIRED),
        "by_step": [
            {"step": name, "calls": sum(row["count"] for row, found in judged if found == Judgement(STOPPED, name))}
            for name in sorted(names)
        ],
        POSSIBLE: _listed(judged, POSSIBLE),
        UNKNOWN: _listed(judged, UNKNOWN),
    }


def _listed(judged: list[tuple[dict[str, Any], Judgement]], word: str) -> list[dict[str, Any]]:
    """Groups of calls with this word, by who and what, most first."""
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for row, found in judged:
        if found.word != word:
            continue
        call = f"{str(row['event_source']).removesuffix('.amazonaws.com')}:{row['event_name']}"
        key = (str(row["principal"] or ""), call, found.why)
        group = groups.setdefault(
            key, {"principal": key[0], "call": call, "count": 0, "why": found.why, "event_ids": []}
        )
        group["count"] += row["count"]
        group["event_ids"] = [*group["event_ids"], *row["event_ids"]][:_SHOWN]
    return sorted(groups.values(), key=lambda one: (-one["count"], one["principal"], one["call"]))


def _broken(judged: list[tuple[dict[str, Any], Judgement]], days: float, plan: Plan) -> list[dict[str, Any]]:
    """Rightful calls that stop, by whose they are and the step."""
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for row, found in judged:
        if found.word != STOPPED:
            continue
        who = str(row["principal"] or "")
        new = {"principal": who, "step": found.step, "calls": 0, "sessions": set(), "services": set(), "event_ids": []}
        group = groups.setdefault((who, found.step), new)
        group["calls"] += row["count"]
        group["sessions"] |= {str(row["session_name"] or row["user_name"] or "")} - {""}
        group["services"].add(str(row["event_source"]).removesuffix(".amazonaws.com"))
        group["event_ids"] = [*group["event_ids"], *row["event_ids"]][:_SHOWN]
    until = {one["step"]: one["when"] for one in plan.recovery}
    for group in groups.values():
        group["calls_a_day"] = round(group["calls"] / days, 1)
        group["until"] = until.get(group["step"], "")
        group["sessions"], group["services"] = sorted(group["sessions"])[:10], sorted(group["services"])[:10]
    return sorted(groups.values(), key=lambda one: (-one["calls"], one["principal"], one["step"]))


def _days(calls: pd.DataFrame) -> float:
    if calls.empty:
        return 1.0
    return float(max((calls["last"].max() - calls["first"].min()).total_seconds() / 86400, 1.0))


def _says(result: dict[str, Any]) -> list[str]:
    """The result in sentences."""
    mine, others = result["attacker"], result["legitimate"]
    possible = sum(one["count"] for one in mine[POSSIBLE])
    total = f"Of {many(mine['calls'], 'call')} of the attacker's that succeeded, {mine[STOPPED]} are stopped"
    over = f"{mine[EXPIRED]} were made with credentials that have expired since"
    said = [f"{total}, {over}, and {possible or 'none'} would still be possible."]
    if mine[ALIVE]:
        said.append(f"{mine[ALIVE]} only show that a credential is still alive: they give no access.")
    for one in mine[POSSIBLE]:
        who = visible(one["principal"]) or "a caller without a name"
        why = f"{visible(one['why'])} (event {one['event_ids'][0]})"
        said.append(f"Still possible: {one['count']} times {one['call']} by {who}: {why}.")
    for one in others["broken"]:
        until = f", until {one['until']}" if one["until"] else ""
        calls = f"{many(one['calls'], 'call')} that succeeded in the {others['days']} days of the logs"
        what = f"{calls}, about {one['calls_a_day']} a day ({', '.join(one['services'][:5])})"
        said.append(f"Breaks: {visible(one['principal'])}, {what}, by {one['step']}{until}.")
    if not others["broken"]:
        said.append("No rightful call breaks, as far as the logs tell.")
    doubtful = sum(one["count"] for part in (mine, others) for one in part[UNKNOWN])
    if doubtful:
        said.append(f"{doubtful} calls could not be judged ({result['unknown_share']:.1%} of all).")
    return said
