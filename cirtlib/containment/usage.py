"""Who else uses what a step changes: counted over the days before the attack, and said for its owner.

Everything that a plan's steps touch is counted in one query over the case's events, the attacker's and the unclear
taken out; no events table is read into memory for it.
"""

import csv
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import duckdb
import pandas as pd

from cirtlib import queries, snapshot, trust
from cirtlib.case import Case, parse_time
from cirtlib.containment.catalogue import name_of
from cirtlib.containment.step import Step
from cirtlib.engine import duckdb as engine
from cirtlib.text import many, visible

MOST = 10  # callers, services and sessions that a step lists
NAMED = 5  # and that its sentence names
_ASKED = ("target", "how", "value")
# How a row of the baseline uses a target: it signs with the key, acts as the principal or as the session of an
# instance, obtains a session of the role, is another session of an instance's role, or names the resource in its
# request.
_COUNT = """
    WITH habit AS (
        SELECT
            event_time, account_id, access_key_id, principal, session_name, minted_principal, request,
            replace(event_source, '.amazonaws.com', '') AS service,
            -- a role of another account is known by its unique id, and its session's name tells nothing of it
            CASE WHEN principal LIKE 'arn:%' OR user_name IS NULL
                 THEN regexp_replace(coalesce(principal, invoked_by), '^([0-9]{12}:[A-Z0-9]+):.*$', '\\1')
                 ELSE user_name END AS caller,
            invoked_by, event_name
        FROM events ANTI JOIN odd USING (event_id, account_id)
        WHERE event_time >= $start AND event_time < $end
    ),
    peers AS (
        SELECT DISTINCT asked.target, asked.value, habit.principal
        FROM habit JOIN asked ON habit.session_name = asked.value AND asked.how = 'instance'
    ),
    used AS (
        SELECT target, how, caller, service, session_name, invoked_by, event_time, NULL AS call
        FROM habit JOIN asked ON principal = value AND how = 'principal'
        UNION ALL
        SELECT target, how, caller, service, session_name, invoked_by, event_time, NULL
        FROM habit JOIN asked ON access_key_id = value AND how = 'key'
        UNION ALL
        SELECT target, how, caller, service, session_name, invoked_by, event_time, NULL
        FROM habit JOIN asked ON session_name = value AND how = 'instance'
        UNION ALL
        SELECT target, how, caller, NULL, NULL, invoked_by, event_time, NULL
        FROM habit JOIN asked ON minted_principal = value AND how = 'assumed'
        UNION ALL
        SELECT target, 'peer', caller, NULL, session_name, NULL, event_time, NULL
        FROM habit JOIN peers USING (principal)
        WHERE session_name LIKE 'i-%' AND session_name <> value
        UNION ALL
        SELECT target, how, caller, service, session_name, invoked_by, event_time, NULL
        FROM habit JOIN asked ON how = 'named' AND contains(request, '"' || value || '"')
        UNION ALL
        SELECT target, how, caller, service, NULL, invoked_by, event_time, service || ':' || event_name
        FROM habit JOIN asked ON account_id = value AND how = 'account'
    )
    SELECT
        target, how, caller, service, session_name AS session, invoked_by, call, hour(event_time) AS hour,
        min(event_time) AS first, max(event_time) AS last, count(*) AS count
    FROM used
    GROUP BY ALL
    ORDER BY ALL
"""


@dataclass(frozen=True)
class Habits:
    """The baseline, to be asked who used what.

    Attributes
    ----------
    connection
        Has the relation `events`.
    start, end
        The days that are counted: those before the attack, or all that was collected where they are too few.
    days
        Length of the baseline; `exists` is whether that is enough to be one.
    odd
        Events that make no habit (event_id, account_id): the attacker's and the unclear.
    neighbours
        Instances that share a security group with an instance, by its id, as account snapshots have them.
    """

    connection: duckdb.DuckDBPyConnection
    start: datetime
    end: datetime
    days: float
    exists: bool
    odd: pd.DataFrame
    neighbours: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def count(self, asked: pd.DataFrame) -> pd.DataFrame:
        """Rows (target, how, caller, service, session, invoked_by, call, hour, first, last, count) of what is asked.

        `asked` has target, how (principal, key, instance, assumed, named, account) and value.
        """
        self.connection.register("odd", self.odd)
        self.connection.register("asked", asked.astype("string"))
        found = engine.frame(
            self.connection.sql(_COUNT, params={"start": self.start, "end": self.end}).to_arrow_table()
        )
        self.connection.unregister("asked")
        self.connection.unregister("odd")
        return found


def of_case(case: Case, scope: dict[str, Any], verdicts: pd.DataFrame) -> Habits:
    """Baseline of a case, by its scope and the verdicts on its events.

    It is the case's baseline_days before the attack, or all that was collected where the scope says it has none.
    """
    told = scope.get("baseline") or {}
    exists = bool(told.get("used"))
    end = parse_time(told["end"]) if exists else queries.as_of(case)
    start = end - timedelta(days=case.baseline_days) if exists else datetime(1970, 1, 1, tzinfo=UTC)
    odd = verdicts.loc[verdicts["verdict"].isin(["attacker", "unclear"]), ["event_id", "account_id"]].drop_duplicates()
    return Habits(engine.connect(case), start, end, float(told.get("days") or 0), exists, odd, _neighbours(case))


def _neighbours(case: Case) -> dict[str, tuple[str, ...]]:
    """Instances of the account snapshots that share a security group, on any interface, by instance."""
    behind: dict[str, set[str]] = {}
    for one in snapshot.latest(case):
        for instance in one.instances:
            for interface in instance.get("NetworkInterfaces", ()):
                for group in interface.get("Groups", ()):
                    behind.setdefault(str(group["GroupId"]), set()).add(str(instance["InstanceId"]))
    found: dict[str, set[str]] = {}
    for members in behind.values():
        for member in members:
            found.setdefault(member, set()).update(members - {member})
    return {member: tuple(sorted(others)) for member, others in found.items() if others}


def describe(steps: Iterable[Step], baseline: Habits | None) -> list[Step]:
    """Steps with `used_by` and `impact` filled: who else uses the target, and what will stop working."""
    plan = list(steps)
    if baseline is None:
        return [
            replace(step, impact=f"{_stops(step)} Nobody counted who else uses it: ask its owner.") for step in plan
        ]
    wanted = [row for step in plan for row in _asked(step)]
    rows = baseline.count(pd.DataFrame(list(dict.fromkeys(wanted)), columns=list(_ASKED)))
    by_target = dict(list(rows.groupby("target")))
    result = []
    for step in plan:
        mine = by_target.get(_subject(step), rows.iloc[:0])
        use = summary(mine, baseline)
        told = _asked(step) and baseline.exists
        result.append(replace(step, used_by=use if told else None, impact=_impact(step, mine, use, baseline)))
    return result


def _subject(step: Step) -> str:
    """What the step takes away: a key where it is about one, else its target."""
    return str(step.api["parameters"].get("AccessKeyId") or step.target)


def _asked(step: Step) -> list[tuple[str, str, str]]:
    subject = _subject(step)
    name = subject.rsplit("/", 1)[-1]
    if "AccessKeyId" in step.api["parameters"]:
        hows = [("key", subject)]
    elif ":user/" in subject:
        hows = [("principal", subject)]
    elif ":role/" in subject:
        hows = [("principal", subject), ("assumed", subject)]
    elif ":instance/" in subject:
        hows = [("instance", name), ("named", name)]
    elif ":trail/" in subject:
        hows = []  # a trail is used by nobody who would miss its being on
    else:
        hows = [("named", value) for value in sorted({subject, name, subject.rsplit(":", 1)[-1]})]
    return [(subject, how, value) for how, value in hows]


def summary(rows: pd.DataFrame, baseline: Habits) -> dict[str, Any]:
    """`used_by` of a step, as plan.json holds it, from the rows of its target."""
    calls = rows[~rows["how"].isin(["assumed", "peer"])]
    first, last = (calls["first"].min(), calls["last"].max()) if len(calls) else (None, None)
    total = int(calls["count"].sum())
    return {
        "calls": total,
        "first": _iso(first),
        "last": _iso(last),
        "calls_a_day": round(total / max(baseline.days, 1), 1),
        "callers": callers(rows)[:MOST],
        "services": _most(calls, "service")[:MOST],
        "sessions": _most(calls, "session")[:MOST],
        "hours": sorted(int(hour) for hour in calls["hour"].unique()),
    }


def callers(rows: pd.DataFrame) -> list[str]:
    """Who is behind the use, busiest first: who obtains a role's sessions, and services that call on its behalf."""
    assumed = rows[rows["how"] == "assumed"]
    direct = assumed if len(assumed) else rows[rows["how"] != "peer"]
    through = rows.dropna(subset=["invoked_by"])
    return list(dict.fromkeys([*_most(direct, "caller"), *_most(through, "invoked_by")]))


def _most(rows: pd.DataFrame, column: str) -> list[str]:
    counted = rows.dropna(subset=[column]).groupby(column)["count"].sum().reset_index()
    return [str(one) for one in counted.sort_values(["count", column], ascending=[False, True])[column]]


def _iso(when: Any) -> str | None:  # noqa: ANN401 - Timestamp or None
    return None if when is None or pd.isna(when) else f"{when:%Y-%m-%dT%H:%M:%SZ}"


def _stops(step: Step) -> str:
    """What the step takes away from whoever uses its target, in words: its own, or those of data/impact.tsv."""
    if step.impact:
        return step.impact
    known = _phrases()
    for word in (step.key.split(" ", 1)[0], step.api["operation"], step.phase):
        if word in known:
            return known[word]
    return "What relies on the present state may stop."


@functools.cache
def _phrases() -> dict[str, str]:
    text = files("cirtlib").joinpath("data/impact.tsv").read_text(encoding="utf-8")
    return {row["step"]: row["stops"] for row in csv.DictReader(text.splitlines(), delimiter="\t")}


def _impact(step: Step, rows: pd.DataFrame, use: dict[str, Any], baseline: Habits) -> str:
    """What will stop working, and for whom: for the owner of the application."""
    said = [_stops(step)]
    if step.phase == "preserve":
        return said[0]
    if not baseline.exists:
        said.append(
            f"There is no baseline ({baseline.days:.1f} days before the attack were collected), so nobody can say who "
            "depends on it: ask its owner first."
        )
        if use["calls"]:
            said.append(f"In all logs {many(use['calls'], 'call')} by it are neither the attacker's nor unclear.")
    elif _asked(step):
        said.append(sentence(rows, use, baseline))
        said += _shut_out(step, rows) + _peers(rows)
    if others := baseline.neighbours.get(name_of(step.target)) if ":instance/" in step.target else None:
        said.append(f"Behind the same security group, and reached by a change of its rules: {_list(list(others))}.")
    return " ".join(said)


def sentence(rows: pd.DataFrame, use: dict[str, Any], baseline: Habits, *, verb: str = "it was used for") -> str:
    """Say how much, when, for which services and by whom these rows show a target used (`verb` and the calls)."""
    span = f"the {baseline.days:.1f} days before the attack"
    calls = rows[~rows["how"].isin(["assumed", "peer"])]
    if not use["calls"]:
        asked_for = rows.loc[rows["how"] == "assumed", "count"].sum()
        if asked_for:
            return f"In {span} its sessions were asked for {asked_for} times ({_list(callers(rows))}) and made no call."
        return f"In {span} the logs show nobody using it."
    much = f"{many(use['calls'], 'call')} that are not the attacker's, about {use['calls_a_day']:g} a day"
    when = f"last at {use['last']}, in the hours {_hours(use['hours'])} (UTC)"
    parts = [f"In {span} {verb} {much}, {when}", f"services: {_list(_most(calls, 'service'))}"]
    if callers(rows):
        parts.append(f"by: {_list(callers(rows))}")
    if sessions := _most(calls, "session"):
        parts.append(f"sessions: {_list(sessions)}")
    return "; ".join(parts) + "."


def _shut_out(step: Step, rows: pd.DataFrame) -> list[str]:
    """Who obtained sessions of a role before the attack and is not let in by the trust policy that the step writes."""
    if step.api["operation"] != "UpdateAssumeRolePolicy":
        return []
    named = trust.principals(trust.document(step.api["parameters"]["PolicyDocument"]))
    came = _most(rows[rows["how"] == "assumed"], "caller")
    arns = [one for one in came if one.startswith("arn:") or one.endswith(".amazonaws.com")]
    out = [one for one in arns if not trust.admits(named, one, trust.account_of(one))]
    if out:
        return [f"The policy that it writes does not let in again: {_list(out)}."]
    return ["Everybody who came in by an ARN before the attack is let in by it."] if arns else []


def _peers(rows: pd.DataFrame) -> list[str]:
    peers = _most(rows[rows["how"] == "peer"], "session")
    return [f"Other instances with the same role, which this step does not touch: {_list(peers)}."] if peers else []


def _list(values: list[str]) -> str:
    named = ", ".join(visible(name_of(one) if ":role/" in one or ":user/" in one else one) for one in values[:NAMED])
    return f"{named} and {len(values) - NAMED} more ({len(values)} in all)" if len(values) > NAMED else named


def _hours(hours: list[int]) -> str:
    """Hours as spans: `06-08, 12`."""
    spans: list[list[int]] = []
    for hour in hours:
        if spans and hour == spans[-1][1] + 1:
            spans[-1][1] = hour
        else:
            spans.append([hour, hour])
    return ", ".join(f"{first:02d}" if first == last else f"{first:02d}-{last:02d}" for first, last in spans)
