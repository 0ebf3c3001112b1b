"""Questions: find, describe and bind the files in queries/, and run them or any Athena SQL on a case.

A question is one SQL file in the Athena dialect with a comment header. Its parameters and columns are read from the
parsed SQL; its values come from the caller, else from the case (`parameters`), else from its `default:` line.
"""

import difflib
import functools
import importlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from sqlglot import exp

from cirtlib import standard
from cirtlib.case import ENGINES, Case
from cirtlib.engine import binding, dialect, differences
from cirtlib.engine import duckdb as local
from cirtlib.engine import slice as only
from cirtlib.errors import QueryError
from cirtlib.shipped import shipped
from cirtlib.standard import as_of, parameters, seed_times, window

__all__ = [
    "Question", "as_of", "ask", "events", "find", "finding_history", "findings", "index", "parameters", "questions",
    "read_question", "seed_times", "sql", "window",
]  # fmt: skip

# what the first hour asks, and the question that answers it, or the function where SQL alone cannot
FIRST_HOUR = (
    ("Is the finding true, and which record is it?", "finding_records"),
    ("Was logging really off, and for how long?", "logging_off"),
    ("Who is the principal, as a person?", "who_is_it"),
    ("How did it get the credential?", "credential_origin"),
    ("What else did the same session do?", "same_session"),
    ("What did the same addresses and programs do under other principals?", "shared_traits"),
    ("Which networks and programs are new for the principal?", "new_networks"),
    ("Which Regions are new?", "new_regions"),
    ("What did it enumerate?", "enumeration"),
    ("Were there bursts of denials?", "denied_bursts"),
    ("Did someone gain rights?", "privilege_escalation"),
    ("Which credentials did the suspect mint?", "credentials_minted"),
    ("What was made to come back by?", "footholds"),
    ("Where did it move on to?", "lateral_movement"),
    ("Which defences were impaired besides?", "defence_impairment"),
    ("Was data read?", "data_read"),
    ("Was data taken out of the account?", "taken_out"),
    ("Was anything destroyed or encrypted?", "destruction"),
    ("Does it cost money?", "resource_hijack"),
    ("What happened, one line for each burst?", "bursts"),
    ("Do findings and logs agree on the extent?", "finding_agreement"),
    ("Who else uses it, and would be stopped by containment?", "who_uses_it"),
    ("Which resources were touched?", "resources_touched"),
    ("What was the way in?", "`cirtlib.scope(case)`: its leads; the chain of credentials alone is credential_origin"),
    ("What can not be seen?", "`cirtlib.coverage(case)`, `cirt coverage CASE`"),
    (
        "Did containment work?",
        "containment_held; each call: calls_after_containment; the verdict: `cirtlib.verify_containment(case)`",
    ),
    ("What is still dangling?", "attacker_made; what no step dealt with: `cirtlib.verify_containment(case)`"),
)
_HEADER = ("question", "why", "technique", "false positives", "default")


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


def ask(case: Case, name: str, *, engine: str | None = None, **values: Any) -> pd.DataFrame:  # noqa: ANN401 - any value that has a literal
    """Run one question on the case.

    Parameters
    ----------
    name
        of the question, with or without its topic.
    engine
        where it runs: local, athena or trino; default: what the case says.
    values
        override the standard parameters and the question's own; text is read as the type that the parameter has
        (times as ISO 8601, lists with commas).

    Returns
    -------
    DataFrame
        the question's columns. `attrs` says what was asked: question, parameters, and where the suspects came from
        (`suspects_from`: scope, seeds or given). From another engine also: engine, query_id, bytes_scanned, and of
        Athena price_usd.

    Raises
    ------
    QueryError
        for an unknown question or parameter, or a value that does not fit.
    NotFoundError
        when nothing was collected and the question needs the window.
    """
    question = find(name)
    result = _run(case, dialect.parse(question.text), values, defaults=question.defaults, engine=engine, strict=True)
    result.attrs["question"] = f"{question.topic}/{question.name}"
    return result


def sql(case: Case, text: str, *, engine: str | None = None, **values: Any) -> pd.DataFrame:  # noqa: ANN401 - any value that has a literal
    """Run any Athena SELECT on the case: `cloudtrail_logs`, `events`, `findings`, `finding_history`, `sightings`.

    Parameters are as for `ask`: the standard ones come from the case where the text names them. With engine="local",
    said in so many words, the answer is from what the case holds, even if that is only the suspects' slice.

    Raises
    ------
    QueryError
        when the text does anything but ask, cannot be run faithfully, or a parameter is unknown or missing.
    """
    return _run(case, dialect.parse(text), values, defaults={}, engine=engine, strict=engine != "local")


def _run(
    case: Case,
    tree: exp.Expression,
    given: dict[str, Any],
    *,
    defaults: dict[str, str],
    engine: str | None,
    strict: bool,
) -> pd.DataFrame:
    elsewhere = _elsewhere(engine or case.engine, tree)
    names = binding.parameters(tree)
    for name in given:
        if name not in names:
            raise QueryError(f"unknown parameter {name!r}; {_known(names)}")
    values = {name: standard.typed(name, value, tree) for name, value in {**defaults, **given}.items() if name in names}
    with local.connect(case) as connection:
        wanted = [name for name in names if name not in values and name in standard.STANDARD]
        supplied, origin = standard.values_of(case, connection, wanted)
        values = {**values, **supplied}
        missing = [name for name in names if name not in values]
        if missing:
            raise QueryError(f"the parameter {missing[0]!r} needs a value: give it as -p {missing[0]}=VALUE")
        if not elsewhere and strict:
            only.refuse(case, tree, values)
        result = elsewhere(case, tree, values) if elsewhere else local.run(connection, tree, values)
    result.attrs["parameters"] = {name: _plain(values[name]) for name in names}
    if set(names) & set(standard.SUSPECTS):
        result.attrs["suspects_from"] = origin if set(wanted) & set(standard.SUSPECTS) else "given"
    return result


def _elsewhere(engine: str, tree: exp.Expression) -> Callable[..., pd.DataFrame] | None:
    """What runs a question on another engine; None for the embedded one, which also says what columns there are.

    Raises
    ------
    QueryError
        for an engine that there is not.
    """
    if engine not in ENGINES:
        raise QueryError(f"there is no engine {engine!r}; there are {', '.join(ENGINES)}")
    if engine == "local" or isinstance(tree, exp.Describe):
        return None
    module = importlib.import_module(f"cirtlib.engine.{engine}")  # their clients are slow to load
    return module.run  # type: ignore[no-any-return]


def _known(names: tuple[str, ...]) -> str:
    return f"this takes {', '.join(names)}" if names else "this takes no parameters"


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Value as JSON can hold it."""
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else value


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
    text = f"SELECT * FROM events WHERE {where} ORDER BY event_time, event_id, account_id"  # noqa: S608
    return sql(case, text, engine="local", **values)


def findings(case: Case) -> pd.DataFrame:
    """Every version of every finding of the case, earliest first; `latest` marks one of each.

    Times are aware UTC; `resource_ids`, `remote_ips` and the like are lists.
    """
    text = "SELECT * FROM findings ORDER BY COALESCE(first_seen, created_at, updated_at), finding_id"
    return sql(case, text, engine="local")


def finding_history(case: Case, finding_id: str | None = None) -> pd.DataFrame:
    """What changed in findings (Security Hub keeps it for 90 days), or in one: a row for each changed field.

    Returns
    -------
    DataFrame
        updated_at (aware UTC), finding_id, account_id, region, field, old_value, new_value (text, as Security Hub gives
        them; None where it does not), created (the finding is new), source (BATCH_IMPORT_FINDINGS: its product;
        BATCH_UPDATE_FINDINGS: a customer), identity (which), record_id; earliest first. A change that names no field
        is one row.
    """
    condition, given = ("finding_id = :finding", {"finding": finding_id}) if finding_id else ("true", {})
    text = f"SELECT * FROM finding_history WHERE {condition} ORDER BY updated_at, record_id"  # noqa: S608
    found = sql(case, text, engine="local", **given)
    rows = [{**row, **change} for row in found.to_dict("records") for change in _changes(str(row["updates"]))]
    columns = "updated_at finding_id account_id region field old_value new_value created source identity record_id"
    table = pd.DataFrame(rows, columns=columns.split())
    return table.astype({"updated_at": found["updated_at"].dtype, "created": "boolean"})


def _changes(updates: str) -> list[dict[str, Any]]:
    names = {"field": "UpdatedField", "old_value": "OldValue", "new_value": "NewValue"}
    changes = [one for one in json.loads(updates) if isinstance(one, dict)]
    return [{name: one.get(key) for name, key in names.items()} for one in changes or [{}]]


def index() -> str:
    """Text of queries/README.md: every question by topic, with what it takes and gives."""
    lines = [
        "# Questions",
        "",
        "Generated by `cirtlib.queries.index()`; do not edit. Run one with `cirt ask CASE NAME`.",
        "`events/` holds the adapters that make the canonical events table, one for each raw layout.",
        "",
        "## The first hour",
        "",
        "| | asked | answered by |",
        "|---|---|---|",
    ]
    places = {question.name: f"[{question.name}]({question.topic}/{question.path.name})" for question in questions()}
    for number, (asked, answer) in enumerate(FIRST_HOUR, 1):
        linked = re.sub(r"\w+", lambda word: places.get(word[0], word[0]), answer)
        lines.append(f"| {number} | {asked} | {linked} |")
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
    lines += [
        "",
        "## Where engines differ",
        "",
        "Each question gives the same rows, values and types on a case folder, on Athena and on Trino: tests check it",
        "on a real Trino. What differs is the data, and a few things at the edges:",
        "",
        *differences.table(),
    ]
    return "\n".join(lines) + "\n"


def as_json(tables: Mapping[str, pd.DataFrame]) -> dict[str, list[dict[str, Any]]]:
    """Tables as JSON values: a list of rows each, times in ISO 8601."""
    return {name: json.loads(table.to_json(orient="records", date_format="iso")) for name, table in tables.items()}
