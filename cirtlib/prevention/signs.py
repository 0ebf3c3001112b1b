"""What an incident shows of gaps: signs, each with the event and finding ids that it rests on."""

import re
from collections import defaultdict
from dataclasses import dataclass

import duckdb

from cirtlib import coverage, identity, scope
from cirtlib.case import Case
from cirtlib.engine import duckdb as engine
from cirtlib.exposure import WayIn, way_in

_SHOWN = 20  # ids of one sign: enough to look it up, few enough to read
_PRINCIPAL = re.compile(r"arn:[a-z-]+:iam::\d{12}:(user|role)/[\w+=,.@/-]+|[a-z0-9.-]+\.amazonaws\.com")


@dataclass(frozen=True)
class Sign:
    """One thing that the incident shows: in words, how often, and the first ids of events or findings."""

    text: str
    count: int
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Signs:
    """All that the controls are chosen and filled in by.

    Attributes
    ----------
    found
        sign -> what it says; the kinds of signs stand at the head of data/prevention.yaml.
    accounts
        accounts in which the attacker acted.
    regions
        Regions in which people and workloads other than the attacker changed something.
    roles
        role that the attacker assumed -> who else assumed it: ARNs of users and roles, and names of services.
    compromised
        users and roles of the extent: not to be trusted before their credentials are renewed.
    """

    found: dict[str, Sign]
    accounts: tuple[str, ...]
    regions: tuple[str, ...]
    roles: dict[str, tuple[str, ...]]
    compromised: frozenset[str] = frozenset()


def look(case: Case) -> Signs:
    """Read the signs of a case.

    Raises
    ------
    NotFoundError
        when the case has no seed, or a seed matches nothing in the evidence.
    """
    judged = scope.load(case)
    mine = judged.verdicts[judged.verdicts["verdict"] == "attacker"][["event_id", "account_id"]].drop_duplicates()
    with engine.connect(case) as connection:
        connection.register("wanted", mine)
        found = _calls(connection)
        regions = tuple(sorted({*_regions(connection), *case.regions}))
        found |= _elsewhere(connection, regions)
        roles = {role: _callers(connection, role) for role in _assumed(connection)}
        accounts = connection.sql("SELECT DISTINCT account_id FROM wanted ORDER BY 1").fetchall()
        connection.unregister("wanted")
    found |= _of_way_in(way_in(case))
    kinds = coverage.kinds(case)
    unseen = kinds[kinds["seen"] == 0]["kind"]
    found |= {f"unseen:{kind}": Sign(f"coverage: no {kind} in the evidence", 0) for kind in unseen}
    held = frozenset(node["value"] for node in judged.extent() if node["kind"] == "principal")
    return Signs(found, tuple(str(one) for (one,) in accounts), regions, roles, held)


def _calls(connection: duckdb.DuckDBPyConnection) -> dict[str, Sign]:
    """Calls of the attacker that succeeded, by name."""
    rows = connection.sql(
        "SELECT event_name, count(*), list(event_id ORDER BY event_time, event_id) FROM events "
        "JOIN wanted USING (event_id, account_id) WHERE outcome = 'ok' GROUP BY ALL ORDER BY 1"
    ).fetchall()
    return {f"event:{name}": Sign(str(name), count, tuple(ids[:_SHOWN])) for name, count, ids in rows}


def _regions(connection: duckdb.DuckDBPyConnection) -> list[str]:
    rows = connection.sql(
        "SELECT DISTINCT region FROM events ANTI JOIN wanted USING (event_id, account_id) "
        "WHERE region IS NOT NULL AND NOT COALESCE(read_only, true) AND outcome = 'ok' AND invoked_by IS NULL "
        "ORDER BY 1"
    ).fetchall()
    return [str(region) for (region,) in rows]


def _elsewhere(connection: duckdb.DuckDBPyConnection, regions: tuple[str, ...]) -> dict[str, Sign]:
    """Changes of the attacker in Regions where nobody else changes anything."""
    rows = connection.sql(
        "SELECT region, event_id FROM events JOIN wanted USING (event_id, account_id) "
        "WHERE region IS NOT NULL AND NOT COALESCE(read_only, true) ORDER BY event_time, event_id"
    ).fetchall()
    found = [(region, event) for region, event in rows if region not in regions]
    if not found:
        return {}
    names = ", ".join(sorted({region for region, _ in found}))
    ids = tuple(event for _, event in found[:_SHOWN])
    return {"region:unused": Sign(f"changes in {names}, where nobody else changed anything", len(found), ids)}


def _assumed(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Roles that the attacker assumed."""
    rows = connection.sql(
        "SELECT request FROM events JOIN wanted USING (event_id, account_id) "
        "WHERE event_name = 'AssumeRole' AND outcome = 'ok' ORDER BY event_time, event_id"
    ).fetchall()
    names = [str(identity.parse(request).get("roleArn") or "") for (request,) in rows]
    return [name for name in dict.fromkeys(names) if _PRINCIPAL.fullmatch(name)]


def _callers(connection: duckdb.DuckDBPyConnection, role: str) -> tuple[str, ...]:
    """Who but the attacker assumed a role; a name that no policy can hold is left out."""
    rows = connection.execute(
        "SELECT DISTINCT principal FROM events ANTI JOIN wanted USING (event_id, account_id) "
        "WHERE event_name = 'AssumeRole' AND outcome = 'ok' AND principal IS NOT NULL AND contains(request, $quoted) "
        "ORDER BY 1",
        {"quoted": f'"{role}"'},
    ).fetchall()
    return tuple(str(one) for (one,) in rows if _PRINCIPAL.fullmatch(str(one)))


def _of_way_in(found: WayIn) -> dict[str, Sign]:
    """Credentials by how they were obtained, causes, and failed controls of the ways in."""
    ids: dict[str, list[str]] = defaultdict(list)
    words: dict[str, str] = {}
    for one in found.credentials:
        words[f"credential:{one.method}"] = f"a credential that the attacker used ({one.method})"
        ids[f"credential:{one.method}"].append(str(one.first["event_id"]))
    causes = [cause for one in found.credentials for cause in one.causes]
    causes += [cause for place in found.instances for cause in place.judged.causes]
    for cause in causes:
        if cause.confidence == "unlikely":
            continue
        words.setdefault(f"cause:{cause.role}", f"way in: {cause.what} ({cause.confidence})")
        ids[f"cause:{cause.role}"] += cause.evidence
        for control in cause.controls:
            failed = all(factor.holds == "yes" for factor in cause.factors if factor.name == "failed before")
            words[f"control:{control}"] = (
                f"control {control} failed on the way in" if failed else f"control {control} is on the way in"
            )
            ids[f"control:{control}"] += cause.evidence
    for beside in (one for place in found.instances for one in place.judged.beside):
        if beside["state"] == "failed":
            words[f"control:{beside['control']}"] = f"control {beside['control']} failed beside the way in"
            ids[f"control:{beside['control']}"].append(str(beside["finding_id"]))
    told = {name: tuple(dict.fromkeys(found)) for name, found in ids.items()}
    return {name: Sign(words[name], len(told[name]), told[name][:_SHOWN]) for name in words}
