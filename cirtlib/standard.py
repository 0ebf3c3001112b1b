"""What questions are asked about: the window, the baseline and the suspects, as the case gives them.

The suspects are those of the written scope where there is one, else what the seeds name.
"""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pandas as pd
from sqlglot import exp

from cirtlib.case import Case, Seed, parse_time, read_json
from cirtlib.engine import duckdb as engine
from cirtlib.errors import CaseError, NotFoundError, QueryError

TIMES = ("start", "end", "baseline_start", "baseline_end")
SUSPECTS = ("keys", "principals", "addresses", "instances")
STANDARD = (*TIMES, "accounts", "regions", *SUSPECTS)
BEFORE_SEED = timedelta(days=2)


def parameters(case: Case) -> dict[str, Any]:
    """Values of all standard parameters, as the case gives them: times aware UTC, the others lists of text."""
    with engine.connect(case) as connection:
        return values_of(case, connection, STANDARD)[0]


def values_of(case: Case, connection: duckdb.DuckDBPyConnection, names: Iterable[str]) -> tuple[dict[str, Any], str]:
    """Values of those standard parameters, and where suspects come from in this case: scope or seeds.

    Raises
    ------
    NotFoundError
        when the window is among them and nothing was collected.
    """
    values: dict[str, Any] = {"accounts": list(case.accounts), "regions": list(case.regions)}
    scoped = read_json(case.out / "scope.json")
    if set(names) & set(TIMES):
        start, end = _window(case, connection)
        attack = ((scoped or {}).get("attack") or {}).get("first")
        baseline_end = parse_time(attack) if attack else start
        values |= {"start": start, "end": end, "baseline_end": baseline_end}
        days = timedelta(days=case.baseline_days)
        # the earliest record may claim to be from year 1
        values["baseline_start"] = max(baseline_end, datetime.min.replace(tzinfo=UTC) + days) - days
    if set(names) & set(SUSPECTS):
        found = _scope_suspects(scoped) if scoped else _seed_suspects(case, connection)
        values |= {name: sorted(found[name]) for name in SUSPECTS}
    return {name: values[name] for name in names}, "scope" if scoped else "seeds"


def window(case: Case) -> tuple[datetime, datetime]:
    """First and last moment under investigation, aware UTC.

    What case.yaml does not say: the start is 2 days before the earliest time that a seed finding or event names, or
    the first event; the end is that of the logs, or of the last collect for a live case.

    Raises
    ------
    NotFoundError
        when nothing was collected.
    """
    if case.window.start and case.window.end:
        return case.window.start, case.window.end
    with engine.connect(case) as connection:
        return _window(case, connection)


def _window(case: Case, connection: duckdb.DuckDBPyConnection) -> tuple[datetime, datetime]:
    start, end = case.window.start, case.window.end
    if start and end:
        return start, end
    seeds = [time for time in _seed_times(case, connection).values() if time]
    bounds = engine.run(connection, "SELECT min(event_time) AS first, max(event_time) AS last FROM events").iloc[0]
    if pd.isna(bounds["first"]) and not seeds:
        raise NotFoundError(
            f"no event in {case.path}; run `cirt collect {case.path}` first, or set window in case.yaml"
        )
    first, last = (_moment(time) or min(seeds) for time in (bounds["first"], bounds["last"]))
    start = start or (min(seeds) - BEFORE_SEED if seeds else first)
    end = end or (as_of(case) if case.window.live else max([last, *seeds]))
    return start, max(start, end)


def _moment(time: Any) -> datetime | None:  # noqa: ANN401 - a pandas time or NaT
    return None if pd.isna(time) else time.to_pydatetime().astimezone(UTC)


def as_of(case: Case) -> datetime:
    """The case's "now", aware UTC: as_of of case.yaml, else the time of the last collect.

    Raises
    ------
    NotFoundError
        when neither is known.
    """
    if case.as_of:
        return case.as_of
    collected = read_json(case.evidence / "collected.json")
    if not collected:
        raise NotFoundError(
            f"nothing was collected in {case.path}; run `cirt collect {case.path}`, or set as_of in case.yaml"
        )
    return parse_time(collected["collected_at"], "collected_at")


def seed_times(case: Case) -> dict[Seed, datetime | None]:
    """Earliest time that each seed finding or event names, aware UTC; None for seeds of other kinds.

    Raises
    ------
    NotFoundError
        naming the seed findings and events that the case does not hold.
    """
    with engine.connect(case) as connection:
        times = _seed_times(case, connection)
    lost = [str(seed) for seed, time in times.items() if time is None and seed.kind in ("finding", "event")]
    if lost:
        raise NotFoundError(
            f"not in this case: {', '.join(lost)}; check the seeds in {case.path / 'case.yaml'} and what was collected"
        )
    return times


def _seed_times(case: Case, connection: duckdb.DuckDBPyConnection) -> dict[Seed, datetime | None]:
    asked = {
        "finding": "SELECT finding_id AS id, min(COALESCE(first_seen, created_at, updated_at)) AS time FROM findings "
        "WHERE contains(:ids, finding_id) GROUP BY finding_id",
        "event": "SELECT event_id AS id, min(event_time) AS time FROM events "
        "WHERE contains(:ids, event_id) GROUP BY event_id",
    }
    times: dict[Seed, datetime | None] = dict.fromkeys(case.seeds)
    for kind, text in asked.items():
        ids = [seed.value for seed in case.seeds if seed.kind == kind]
        for row in engine.run(connection, text, {"ids": ids}).itertuples() if ids else ():
            times[Seed(kind, str(row.id))] = _moment(row.time)
    return times


def _scope_suspects(scoped: dict[str, Any]) -> dict[str, set[str]]:
    """Suspects that a written scope names: what is compromised or the attacker's own, and whence the attacker came."""
    found: dict[str, set[str]] = {name: set() for name in SUSPECTS}
    for node in scoped.get("nodes", []):
        value, kind = str(node.get("value", "")), node.get("kind")
        if kind == "address" and node.get("attacker_events"):
            found["addresses"].add(value)
        if node.get("status") not in ("compromised", "attacker_created"):
            continue
        if kind == "credential":
            found["keys"] |= {key for key in (value, *node.get("aliases", [])) if re.fullmatch(r"A[KS]IA\w+", key)}
        elif kind == "principal":
            found["principals"].add(value)
        elif instance := re.search(r":instance/(i-\w+)$", value):
            found["instances"].add(instance[1])
    return found


def _seed_suspects(case: Case, connection: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    """Suspects that the seeds name: themselves, what a seed finding names, who did a seed event."""
    of_kind: dict[str, list[str]] = {}
    for seed in case.seeds:
        of_kind.setdefault(seed.kind, []).append(seed.value)
    found: dict[str, set[str]] = {name: set() for name in SUSPECTS}
    found["keys"] |= set(of_kind.get("access_key", []))
    found["addresses"] |= set(of_kind.get("ip", []))
    found["instances"] |= {value.rpartition("/")[2] for value in of_kind.get("instance", [])}
    named = {*of_kind.get("principal", []), *of_kind.get("session", [])}
    for row in _of_findings(connection, of_kind.get("finding", [])):
        found["keys"] |= {key for key in (row["access_key_id"], *_items(row["sequence_keys"])) if key}
        found["addresses"] |= set(_items(row["remote_ips"]))
        found["instances"] |= {row["instance_id"]} - {None, ""}
        named |= {row["principal_id"]} - {None, ""}
    for row in _of_events(connection, of_kind.get("event", [])):
        found["keys"] |= {row["access_key_id"]} - {None}
        found["addresses"] |= {row["source_ip"]} - {None} if row["source_ip_kind"] in ("public", "private") else set()
        found["principals"] |= {row["principal"]} - {None}
    known = _known_principals(connection, sorted(named), sorted(found["keys"]))
    # a name that no event bears stands for itself
    found["principals"] |= known or set(of_kind.get("principal", []))
    return found


def _items(value: Any) -> list[str]:  # noqa: ANN401
    return list(value) if isinstance(value, list) else []


def _of_findings(connection: duckdb.DuckDBPyConnection, ids: list[str]) -> list[dict[str, Any]]:
    text = (
        "SELECT access_key_id, sequence_keys, remote_ips, instance_id, principal_id FROM findings "
        "WHERE contains(:ids, finding_id)"
    )
    return _rows(engine.run(connection, text, {"ids": ids})) if ids else []


def _of_events(connection: duckdb.DuckDBPyConnection, ids: list[str]) -> list[dict[str, Any]]:
    text = "SELECT access_key_id, source_ip, source_ip_kind, principal FROM events WHERE contains(:ids, event_id)"
    return _rows(engine.run(connection, text, {"ids": ids})) if ids else []


def _known_principals(connection: duckdb.DuckDBPyConnection, named: list[str], keys: list[str]) -> set[str]:
    """Stable principals of the events that bear one of these names or keys."""
    text = (
        "SELECT DISTINCT principal FROM events WHERE principal IS NOT NULL AND (contains(:keys, access_key_id) "
        "OR contains(:named, principal) OR contains(:named, principal_arn) OR contains(:named, principal_id) "
        "OR contains(:named, split_part(principal_id, ':', 1)) OR contains(:named, user_name))"
    )
    return set(engine.run(connection, text, {"named": named, "keys": keys})["principal"]) if named or keys else set()


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows with None for what is missing."""
    return [
        {name: None if not isinstance(value, list) and pd.isna(value) else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def typed(name: str, value: Any, tree: exp.Expression) -> Any:  # noqa: ANN401
    """Value of the type that the parameter has: a standard one's, else that of the CAST around it, else as it is.

    Raises
    ------
    QueryError
        when it cannot be read as that type.
    """
    if name in TIMES:
        try:
            return parse_time(value, name)
        except CaseError as error:
            raise QueryError(f"parameter {error}") from None
    if name in STANDARD:
        items = _listed(value) if isinstance(value, str) else list(value)
        if not all(isinstance(item, str) for item in items):
            raise QueryError(f"parameter {name}: {value!r} should be a list of texts; account ids are 12-digit texts")
        return items
    if not isinstance(value, str):
        return value
    casts = [
        node.parent.to.this
        for node in tree.find_all(exp.Placeholder)
        if node.name == name and isinstance(node.parent, exp.Cast)
    ]
    try:
        return _read(value, casts[0].value) if casts else value
    except ValueError:
        raise QueryError(f"parameter {name}: {value!r} is no {casts[0].value.lower()}") from None


def _listed(text: str) -> list[Any]:
    """Items of a list written as a,b or, where an item has a comma or a blank of its own, as a JSON array."""
    if text.lstrip().startswith("["):
        try:
            items = json.loads(text)
        except ValueError:
            items = None
        if isinstance(items, list):
            return items
    return [item.strip() for item in text.split(",") if item.strip()]


def _read(text: str, kind: str) -> Any:  # noqa: ANN401
    if kind in ("BIGINT", "INT", "SMALLINT", "TINYINT"):
        return int(text)
    if kind in ("DOUBLE", "FLOAT", "DECIMAL"):
        return float(text)
    if kind == "BOOLEAN":
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if kind in ("TIMESTAMP", "TIMESTAMPTZ", "DATE"):
        return parse_time(text)
    return _listed(text) if kind == "ARRAY" else text
