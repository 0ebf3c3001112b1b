"""The three sets of records on which Trino and the embedded engine must agree, each in both."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
from sqlglot import exp

from cirtlib import queries, standard
from cirtlib.case import Case, Source, Window, new_case
from cirtlib.collect import collect
from cirtlib.engine import dialect
from cirtlib.engine import duckdb as local
from cirtlib.engine import trino as remote
from tests import odd_records, trino_tables
from tests.trino_server import Trino

_EMPTY = ("instances", "accounts", "regions")
MOST = 20  # suspects of a kind, where no scope names any


@dataclass(frozen=True)
class Sides:
    """One set of records: the case that holds it, and how each engine is asked."""

    case: Case

    def both(self, tree: exp.Expression, values: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Trino's answer and the embedded engine's."""
        with local.connect(self.case) as connection:
            return remote.run(self.case, tree, values), local.run(connection, tree, values)

    def values(self, question: queries.Question, tree: exp.Expression) -> dict[str, Any]:
        """A value for each of the question's parameters, from the case or from its records."""
        given = {name: standard.typed(name, value, tree) for name, value in question.defaults.items()}
        names = [name for name in question.parameters if name in standard.STANDARD]
        with local.connect(self.case) as connection:
            if self.case.seeds:
                found, _ = standard.values_of(self.case, connection, names)
            else:
                found = {**_suspects(connection), **_times(connection), **{name: [] for name in _EMPTY}}
        return {**dict.fromkeys(question.parameters), **given, **{name: found[name] for name in names}}


def _suspects(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """The most frequent keys, principals and addresses."""
    found = {}
    for name, column in {"keys": "access_key_id", "principals": "principal", "addresses": "source_ip"}.items():
        sql = f"SELECT {column} FROM events WHERE {column} <> '' GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT {MOST}"
        found[name] = [str(row[0]) for row in connection.sql(sql).fetchall()]
    return found


def _times(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """A window of all the records, and a baseline of their first third."""
    sql = "SELECT quantile_disc(event_time, [0.0, 0.3, 1.0]) FROM events"
    first, middle, last = connection.sql(sql).fetchall()[0][0]
    return {"start": first, "end": last, "baseline_start": first, "baseline_end": middle}


@contextlib.contextmanager
def sides(server: Trino, case: Case, table: str) -> Iterator[Sides]:
    """The case's records in a table of the server, and the case with that table as its Trino."""
    trino_tables.everything(server, table, case)
    options = {"host": "127.0.0.1", "port": server.port, "user": "tests", "catalog": "hive", "schema": "default"}
    source = Source("cloudtrail", {"trino": {**options, "table": table}})
    with local.connect(case) as connection:
        bounds = connection.sql("SELECT min(event_time), max(event_time) FROM events").fetchall()[0]
    start, end = (moment.astimezone(UTC) for moment in bounds)
    yield Sides(replace(case, sources=(*case.sources, source), window=Window(start, end)))


def odd_case(folder: Path) -> Case:
    """Case of the odd records, collected from a log file."""
    logs = folder / "logs"
    logs.mkdir(parents=True)
    (logs / "odd.json").write_bytes(odd_records.as_file(odd_records.records()))
    return collected(folder / "case", logs)


def collected(folder: Path, logs: Path) -> Case:
    """Case of all that lies in a folder."""
    case = new_case(folder, {"sources": [{"cloudtrail": {"folder": str(logs)}}]})
    collect(case)
    return case


def order(asked: exp.Expression) -> list[str] | None:
    """Output columns that the text sorts by; None when it does not."""
    by = asked.args.get("order")
    return None if by is None else [one.this.name for one in by.expressions if isinstance(one.this, exp.Column)]


def tree(question: queries.Question) -> exp.Expression:
    """Syntax tree of a question."""
    return dialect.parse(question.text)
