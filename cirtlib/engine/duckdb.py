"""The embedded engine: DuckDB over the Parquet tables of one case folder, read-only and without any other access."""

import atexit
import difflib
import re
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
from sqlglot import exp

from cirtlib.case import Case
from cirtlib.engine import derived, dialect, macros
from cirtlib.engine.binding import bind
from cirtlib.engine.schema import DOCUMENTED, EXTRA, FINDING_HISTORY, FINDINGS, LATEST, LINK, PARTITIONS, SIGHTINGS
from cirtlib.errors import EvidenceError, QueryError
from cirtlib.shipped import shipped

_TEXT_AND_TIME = re.compile(
    r"Cannot (?:compare|mix) values.*(?:VARCHAR.*(?:TIMESTAMP|DATE)|(?:TIMESTAMP|DATE).*VARCHAR)"
)

_NO_COLUMN = re.compile(r'column (?:named )?"([^"]+)"(?: not found)?')

_TABLES = {
    "cloudtrail": {**DOCUMENTED, **EXTRA, **LINK, **PARTITIONS},
    "findings": FINDINGS,
    "finding_history": FINDING_HISTORY,
    "sightings": SIGHTINGS,
}
# views of the cases that were read last: to make them takes longer than most questions
_MOST = 4
_bases: dict[str, duckdb.DuckDBPyConnection] = {}


def connect(case: Case) -> duckdb.DuckDBPyConnection:
    """In-memory connection with the views of the case: the names in `dialect.RELATIONS`.

    A table without files is an empty view with its columns. `findings` holds every version of a finding, and its
    column `latest` marks one of each. The connection reads nothing but the case's store, loads
    no extension, and its settings are locked. Times are UTC. It is meant for
    a few questions at a time: it ends when several other cases were read since.

    Raises
    ------
    EvidenceError
        when a file of the store cannot be read.
    """
    stored = {table: sorted((case.store / table).glob("**/*.parquet")) for table in _TABLES}
    prepared = derived.ready(case, stored["cloudtrail"], (_open, _create_events), adapter() + repr(macros.MACROS))
    state = [*stored.values(), prepared, [file.stat().st_mtime_ns for files in stored.values() for file in files]]
    key = repr((case.path, state))
    if key not in _bases:
        base = _base(case, stored, prepared)
        _close(keep=_MOST - 1)
        _bases[key] = base
    return _bases[key].cursor()


def _open(case: Case) -> duckdb.DuckDBPyConnection:
    """Connection that means what Athena means, and leaves nothing outside the case."""
    connection = duckdb.connect(
        ":memory:", config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    )
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    # Athena divides whole numbers into whole numbers
    connection.execute("SET GLOBAL integer_division = true")
    # sorting more than memory holds must not leave evidence in whatever folder the program was started from
    connection.execute(f"SET GLOBAL temp_directory = {_text(case.evidence / 'spill')}")
    macros.install(connection)
    return connection


def _base(case: Case, stored: dict[str, list[Path]], prepared: list[Path]) -> duckdb.DuckDBPyConnection:
    connection = _open(case)
    ours = (case.store, derived.folder(case))
    allowed = (*ours, *map(_pattern, ours), case.evidence / "spill")
    connection.execute(f"SET GLOBAL allowed_directories = [{', '.join(map(_text, allowed))}]")
    connection.execute("SET GLOBAL enable_external_access = false")
    try:
        _create_views(connection, stored, prepared)
    except duckdb.Error as error:
        connection.close()
        raise EvidenceError(
            f"the store of {case.path} cannot be read: {_first_line(error)}; collect it again"
        ) from None
    connection.execute("SET lock_configuration = true")
    return connection


def _close(keep: int = 0) -> None:
    """Let go of all cases but those that were read last."""
    while len(_bases) > keep:
        _bases.pop(next(iter(_bases))).close()


atexit.register(_close)  # DuckDB reports functions of Python that are still defined when Python ends


def _create_views(connection: duckdb.DuckDBPyConnection, stored: dict[str, list[Path]], prepared: list[Path]) -> None:
    _create_events(connection, stored["cloudtrail"])
    if prepared:
        connection.execute(f"CREATE OR REPLACE VIEW events AS FROM read_parquet({_list(prepared)})")
    for name, schema in _TABLES.items():
        if name != "cloudtrail":
            source, present = _source(connection, stored[name], schema)
            chosen = ", ".join(_column(column, kind, present) for column, kind in schema.items())
            chosen += f", {LATEST} AS latest" if name == "findings" else ""
            connection.execute(f"CREATE VIEW {name} AS SELECT {chosen} FROM {source}")  # noqa: S608 - ours


def _create_events(connection: duckdb.DuckDBPyConnection, files: list[Path]) -> None:
    """Views `cloudtrail_logs` and `events` of files of the store."""
    source, present = _source(connection, files, _TABLES["cloudtrail"])
    kept = {name: kind for name, kind in _TABLES["cloudtrail"].items() if name not in PARTITIONS}
    columns = [_column(name, kind, present) for name, kind in kept.items()]
    account, day = (_column(name, "VARCHAR", present).rsplit(" AS ", 1)[0] for name in PARTITIONS)
    columns += [f"{value} AS {name}" for name, value in _published(account, day).items()]
    connection.execute(f"CREATE OR REPLACE VIEW cloudtrail_logs AS SELECT {', '.join(columns)} FROM {source}")  # noqa: S608 - ours
    connection.execute(f"CREATE OR REPLACE VIEW events AS {adapter()}")


def _published(account: str, day: str) -> dict[str, str]:
    """Partition columns that published tables add, all of them text."""
    slashed = f"replace({day}, '-', '/')"
    return {
        "account": account,
        "region": "awsregion",
        "year": f"substr({day}, 1, 4)",
        "month": f"substr({day}, 6, 2)",
        "day": f"substr({day}, 9, 2)",
        "timestamp": slashed,
        "date_partition": slashed,
        "region_partition": "awsregion",
        "account_partition": account,
    }


def adapter() -> str:
    """DuckDB SQL of the one definition of `events`, queries/events/cloudtrail.sql."""
    return dialect.cached((shipped("queries") / "events" / "cloudtrail.sql").read_text(encoding="utf-8"))


def _source(connection: duckdb.DuckDBPyConnection, files: list[Path], schema: dict[str, str]) -> tuple[str, set[str]]:
    """What to select a table from, and the columns that are there."""
    if not files:
        empty = ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in schema.items())
        return f"(SELECT {empty} WHERE false)", set(schema)
    source = f"read_parquet({_list(files)}, hive_partitioning = true, hive_types_autocast = false)"
    present = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}  # noqa: S608 - ours
    return source, present


def _list(files: list[Path]) -> str:
    """SQL list of files."""
    return f"[{', '.join(_text(_pattern(file)) for file in files)}]"


def _pattern(folder: Path) -> str:
    """Glob pattern of a path: brackets and stars in the case's own path are no pattern."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in folder.as_posix())


def _column(name: str, kind: str, present: set[str]) -> str:
    """Column of a view in its declared type; one that the files lack is NULL."""
    return f'CAST("{name}" AS {kind}) AS "{name}"' if name in present else f'CAST(NULL AS {kind}) AS "{name}"'


def _text(value: object) -> str:
    """Literal of a text that is ours, such as a path."""
    return "'" + str(value).replace("'", "''") + "'"


def run(
    connection: duckdb.DuckDBPyConnection, sql: str | exp.Expression, parameters: dict[str, Any] | None = None
) -> pd.DataFrame:
    """Rows that one Athena SELECT gives, its `:name` parameters bound as typed literals.

    Raises
    ------
    QueryError
        when the SQL is no question, cannot be run faithfully, or DuckDB refuses it.
    """
    tree = bind(dialect.parse(sql) if isinstance(sql, str) else sql, parameters or {})
    text = dialect.to_duckdb(tree)
    try:
        return frame(connection.sql(text).to_arrow_table())
    except duckdb.Error as error:
        raise QueryError(_first_line(error).rstrip("!") + _nearest(connection, tree, str(error))) from None


def _nearest(connection: duckdb.DuckDBPyConnection, tree: exp.Expression, said: str) -> str:
    """Names of columns like the one that is not there, of the relations that were asked; '' for another error."""
    asked = _NO_COLUMN.search(said)
    if not asked:
        return ""
    relations = sorted({one.name.lower() for one in tree.find_all(exp.Table)} & set(dialect.RELATIONS))
    columns = [row[0] for name in relations for row in connection.execute(f"DESCRIBE {name}").fetchall()]
    near = difflib.get_close_matches(asked[1].lower(), dict.fromkeys(columns), n=3)
    listed = " and ".join(f"DESCRIBE {name}" for name in relations)
    return f"; did you mean {' or '.join(near)}?" if near else f"; {listed} lists the columns" if listed else ""


def described(case: Case, tree: exp.Expression) -> pa.Schema | None:
    """Columns that a question gives, its parameters bound already; None when it cannot run here."""
    try:
        with connect(case) as connection:
            return connection.sql(dialect.to_duckdb(tree)).limit(0).to_arrow_table().schema
    except (duckdb.Error, QueryError):
        return None


def frame(table: pa.Table) -> pd.DataFrame:
    """Data frame of an Arrow table: booleans and whole numbers that may be missing stay such, lists are lists."""
    wide = [
        place for place, field in enumerate(table.schema) if pa.types.is_decimal(field.type) and field.type.scale == 0
    ]
    for place in wide:  # sum() of whole numbers comes as a decimal of 38 places
        column = table.column(place)
        try:
            table = table.set_column(place, table.schema.field(place).name, column.cast(pa.int64()))
        except pa.ArrowInvalid:
            continue
    types = {
        field.name: pd.Int64Dtype()
        for field, column in zip(table.schema, table.columns, strict=True)
        if pa.types.is_integer(field.type) and column.null_count
    }
    result = table.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get, timestamp_as_object=False)
    for name, dtype in types.items():
        result[name] = table.column(name).to_pandas(types_mapper=lambda _, dtype=dtype: dtype)
    for place, field in enumerate(table.schema):
        if pa.types.is_list(field.type) or pa.types.is_map(field.type):
            result.isetitem(place, pd.Series(table.column(place).to_pylist(), index=result.index, dtype=object))
    return result


def _first_line(error: Exception) -> str:
    """What DuckDB says, without the SQL that it quotes."""
    text = str(error).split("\n\nLINE ", 1)[0].strip()
    if _TEXT_AND_TIME.search(text):
        return (
            "a text column cannot be compared with a TIMESTAMP; write from_iso8601_timestamp(eventtime) >= "
            "TIMESTAMP '2026-06-10 00:00:00', or compare it with a text: eventtime >= '2026-06-10T00:00:00Z'"
        )
    return text.splitlines()[0] if text else type(error).__name__
