"""Questions: find, describe and bind the files in queries/, and run them or any Athena SQL on a case.

A question is one SQL file in the Athena dialect with a comment header. Its parameters and columns are read from the
parsed SQL; its values come from the caller, else from the case (`parameters`), else from its `default:` line.
"""

import contextlib
import difflib
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
from sqlglot import exp

from cirtlib.case import Case, Seed, parse_time, read_json
from cirtlib.engine import binding, dialect
from cirtlib.engine import duckdb as engine
from cirtlib.errors import CaseError, NotFoundError, QueryError
from cirtlib.shipped import shipped

TIMES = ("start", "end", "baseline_start", "baseline_end")
SUSPECTS = ("keys", "principals", "addresses", "instances")
STANDARD = (*TIMES, "accounts", "regions", *SUSPECTS)
_HEADER = ("question", "why", "technique", "false positives", "default")
_BEFORE_SEED = timedelta(days=2)


@dataclass(frozen=True)
class Question:
    """One file of queries/: what it asks, why, and what it takes and gives."""

    name: str
    topic: str
    question: str
    why: str
    technique: str
    false_positives: str
    parameters: tuple[str, ...]
    columns: tuple[str, ...]
    defaults: dict[str, str]
    path: Path
    text: str


@functools.cache
def questions() -> tuple[Question, ...]:
    """All questions that ship with the library, by topic and name."""
    folder = shipped("queries")
    files = sorted(file for file in folder.glob("*/*.sql") if file.parent.name != "events")
    return tuple(read_question(file) for file in files)


def read_question(file: Path) -> Question:
    """Question of one SQL file.

    Raises
    ------
    QueryError
        when its header lacks a line, or its SQL is none.
    """
    text = file.read_text(encoding="utf-8")
    header: dict[str, list[str]] = {}
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        key, colon, value = line.removeprefix("--").strip().partition(":")
        if colon and key in _HEADER:
            header.setdefault(key, []).append(value.strip())
        elif header:
            header[next(reversed(header))][-1] += " " + line.removeprefix("--").strip()
    missing = [key for key in _HEADER[:-1] if key not in header]
    if missing:
        raise QueryError(f"{file.name}: the header has no line {', '.join(repr(key + ':') for key in missing)}")
    tree = dialect.parse(text)
    defaults = dict(re.split(r"\s*=\s*", line, maxsplit=1) for line in header.get("default", []))
    question, why, technique, benign = (" ".join(header[key]) for key in _HEADER[:-1])
    names, columns = binding.parameters(tree), tuple(tree.named_selects)
    return Question(file.stem, file.parent.name, question, why, technique, benign, names, columns, defaults, file, text)


def find(name: str) -> Question:
    """Question of that name, as `access_keys_created` or `identity/access_keys_created`.

    Raises
    ------
    QueryError
        when there is none; the message has the nearest names.
    """
    wanted = name.strip().removesuffix(".sql").removeprefix("queries/")
    for question in questions():
        if wanted in (question.name, f"{question.topic}/{question.name}"):
            return question
    names = [question.name for question in questions()]
    near = difflib.get_close_matches(wanted.rpartition("/")[2].lower(), names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(names)}"
    raise QueryError(f"no question is called {name!r}; {hint}")


def ask(case: Case, name: str, **values: Any) -> pd.DataFrame:  # noqa: ANN401 - any value that has a literal
    """Run one question on the case.

    Parameters
    ----------
    name
        of the question, with or without its topic.
    values
        override the standard parameters and the question's own; text is read as the type that the parameter has
        (times as ISO 8601, lists with commas).

    Returns
    -------
    DataFrame
        the question's columns. `attrs` says what was asked: question, parameters, and where the suspects came from
        (`suspects_from`: scope, seeds or given).

    Raises
    ------
    QueryError
        for an unknown question or parameter, or a value that does not fit.
    NotFoundError
        when nothing was collected and the question needs the window.
    """
    question = find(name)
    result = _run(case, dialect.parse(question.text), values, defaults=question.defaults)
    result.attrs["question"] = f"{question.topic}/{question.name}"
    return result


def sql(case: Case, text: str, **values: Any) -> pd.DataFrame:  # noqa: ANN401 - any value that has a literal
    """Run any Athena SELECT on the case: `cloudtrail_logs`, `events`, `findings`, `sightings`.

    Parameters are as for `ask`: the standard ones come from the case where the text names them.

    Raises
    ------
    QueryError
        when the text does anything but ask, cannot be run faithfully, or a parameter is unknown or missing.
    """
    return _run(case, dialect.parse(text), values, defaults={})


def _run(case: Case, tree: exp.Expression, given: dict[str, Any], *, defaults: dict[str, str]) -> pd.DataFrame:
    names = binding.parameters(tree)
    for name in given:
        if name not in names:
            raise QueryError(f"unknown parameter {name!r}; {_known(names)}")
    values = {name: typed(name, value, tree) for name, value in {**defaults, **given}.items() if name in names}
    with _connected(case) as connection:
        wanted = [name for name in names if name not in values and name in STANDARD]
        standard, origin = _standard(case, connection, wanted)
        values = {**values, **standard}
        missing = [name for name in names if name not in values]
        if missing:
            raise QueryError(f"the parameter {missing[0]!r} needs a value: give it as -p {missing[0]}=VALUE")
        result = engine.run(connection, tree, values)
    result.attrs["parameters"] = {name: _plain(values[name]) for name in names}
    if set(names) & set(SUSPECTS):
        result.attrs["suspects_from"] = origin if set(wanted) & set(SUSPECTS) else "given"
    return result


@contextlib.contextmanager
def _connected(case: Case) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = engine.connect(case)
    try:
        yield connection
    finally:
        connection.close()


def _known(names: tuple[str, ...]) -> str:
    return f"this takes {', '.join(names)}" if names else "this takes no parameters"


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Value as JSON can hold it."""
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else value


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
        items = [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else list(value)
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


def _read(text: str, kind: str) -> Any:  # noqa: ANN401
    if kind in ("BIGINT", "INT", "SMALLINT", "TINYINT"):
        return int(text)
    if kind in ("DOUBLE", "FLOAT", "DECIMAL"):
        return float(text)
    if kind == "BOOLEAN":
        return {"true": True, "false": False, "yes": True, "no": False}[text.lower()]
    if kind in ("TIMESTAMP", "TIMESTAMPTZ", "DATE"):
        return parse_time(text)
    return text


def events(
    case: Case, *, principal: str | None = None, start: datetime | str | None = None, end: datetime | str | None = None
) -> pd.DataFrame:
    """Events of the case, oldest first.

    Parameters
    ----------
    principal
        only those of this principal, stable or as logged.
    start, end
        first and last moment; without them everything that was collected, whatever the window.

    Returns
    -------
    DataFrame
        the columns of the events table; event_time and session_created aware UTC, `resources` lists of dicts.
    """
    conditions = {
        "principal": "(principal = :principal OR principal_arn = :principal)",
        "start": "event_time >= :start",
        "end": "event_time <= :end",
    }
    given = {"principal": principal, "start": start, "end": end}
    values = {name: value for name, value in given.items() if value is not None}
    where = " AND ".join(conditions[name] for name in values) or "true"
    return sql(case, f"SELECT * FROM events WHERE {where} ORDER BY event_time, event_id, account_id", **values)  # noqa: S608


def findings(case: Case) -> pd.DataFrame:
    """Findings of the case, earliest first; times aware UTC, `resource_ids`, `remote_ips` and the like are lists."""
    return sql(case, "SELECT * FROM findings ORDER BY COALESCE(first_seen, created_at, updated_at), finding_id")


def parameters(case: Case) -> dict[str, Any]:
    """Values of all standard parameters, as the case gives them: times aware UTC, the others lists of text."""
    with _connected(case) as connection:
        return _standard(case, connection, STANDARD)[0]


def _standard(case: Case, connection: duckdb.DuckDBPyConnection, names: Any) -> tuple[dict[str, Any], str]:  # noqa: ANN401
    """Values of those standard parameters, and where the suspects among them came from."""
    values: dict[str, Any] = {"accounts": list(case.accounts), "regions": list(case.regions)}
    scoped = read_json(case.out / "scope.json")
    if set(names) & set(TIMES):
        start, end = _window(case, connection)
        attack = ((scoped or {}).get("attack") or {}).get("first")
        baseline_end = parse_time(attack) if attack else start
        values |= {"start": start, "end": end, "baseline_end": baseline_end}
        values["baseline_start"] = baseline_end - timedelta(days=case.baseline_days)
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
    with _connected(case) as connection:
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
    first, last = (
        time.to_pydatetime() if not pd.isna(time) else min(seeds) for time in (bounds["first"], bounds["last"])
    )
    start = start or (min(seeds) - _BEFORE_SEED if seeds else first)
    end = end or (as_of(case) if case.window.live else max([last, *seeds]))
    return start, max(start, end)


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
    with _connected(case) as connection:
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
            times[Seed(kind, str(row.id))] = row.time.to_pydatetime() if not pd.isna(row.time) else None
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


def index() -> str:
    """Text of queries/README.md: every question by topic, with what it takes and gives."""
    lines = [
        "# Questions",
        "",
        "Generated by `cirtlib.queries.index()`; do not edit. "
        'Run one with `cirt ask CASE NAME`, or `ask(case, "NAME")`.',
        "`events/` holds the adapters that make the canonical events table, one for each raw layout.",
    ]
    for topic in dict.fromkeys(question.topic for question in questions()):
        lines += ["", f"## {topic}"]
        for question in (one for one in questions() if one.topic == topic):
            lines += [
                "",
                f"### [{question.name}]({topic}/{question.path.name})",
                "",
                f"**{question.question}** {question.why[:1].upper()}{question.why[1:]}.",
                "",
                f"* technique: {question.technique}",
                f"* false positives: {question.false_positives}",
                f"* parameters: {', '.join(f'`{name}`' for name in question.parameters) or 'none'}",
                f"* columns: {', '.join(f'`{name}`' for name in question.columns)}",
            ]
    return "\n".join(lines) + "\n"
