"""Which of several rows of one event stay, and every place where it was seen.

The identity of an event is (event id, account). Where it repeats, equal content is a duplicate; of different content
the richest source's stays (raw object > event history > Athena; then object name, then position), except that raw
records which differ all stay, flagged `conflict`. Of a finding every version stays.

The tables in memory: `objects` (object, name, copies), `verdict` (one row for each row of a repeated event) and `place`
(sightings: event id, account, object, position, kept; `copy` counts further names of the same bytes from 1).
"""

# ruff: noqa: S608 - SQL is put together from names of ours only; values of logs are never in it.

import hashlib
import json
from pathlib import Path

import duckdb
import pyarrow as pa

from cirtlib.records import COLUMNS
from cirtlib.store import schema
from cirtlib.store.schema import literal

_RANK = "CASE source_kind WHEN 'object' THEN 0 WHEN 'event_history' THEN 1 ELSE 2 END"
_CONTENT = {
    "cloudtrail": [name for name in COLUMNS if name not in {"useridentity", "eventid"}],
    "insights": ["record"],
    "aggregated": ["record"],
    "findings": ["details"],
    "finding_history": ["record_id"],
}
_AT = "source_object, source_position"


def begin(connection: duckdb.DuckDBPyConnection, names: dict[str, list[str]], sightings: str | None) -> None:
    """Make the tables that outlast one table of the store; `sightings` is where earlier ones can be read."""
    connection.register(
        "given",
        pa.table(
            {
                "object": pa.array(list(names), pa.string()),
                "name": pa.array([found[0] for found in names.values()], pa.string()),
                "copies": pa.array([len(found) for found in names.values()], pa.int32()),
            }
        ),
    )
    connection.execute("CREATE TEMP TABLE objects AS FROM given")
    connection.execute(
        "CREATE TEMP TABLE place (event_id VARCHAR, account_id VARCHAR, source_object VARCHAR, "
        "source_position INTEGER, kept BOOLEAN)"
    )
    if sightings:
        connection.execute(
            f"INSERT INTO place SELECT event_id, account_id, {_AT}, kept FROM {sightings} WHERE copy = 0"
        )


def judge(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Make `verdict` for one table from its `new_rows` and `old_rows`, and note the places."""
    name = schema.IDENTITY_COLUMN[table]
    run = connection.execute
    light = " UNION ALL ".join(
        f'SELECT "{name}" AS event_id, account_id, day, {_AT}, source_kind, conflict AS was_conflict, {old} AS is_old, '
        f"filename FROM {view}"
        for view, old in (("new_rows", "false"), ("old_rows", "true"))
    )
    # Numbers first: the ids of all events need ten times the memory, and nearly all are there once.
    run(
        "CREATE OR REPLACE TEMP TABLE likely AS SELECT number FROM "
        f"(SELECT hash(event_id, account_id) AS number, is_old FROM ({light})) "
        "GROUP BY number HAVING count(*) > 1 AND bool_or(NOT is_old)"
    )
    run(
        "CREATE OR REPLACE TEMP TABLE lit AS "
        "SELECT *, count(*) OVER same AS times, bool_or(NOT is_old) OVER same AS is_new "
        f"FROM ({light}) WHERE hash(event_id, account_id) IN (FROM likely) "
        "WINDOW same AS (PARTITION BY event_id, account_id)"
    )
    run("DELETE FROM lit WHERE times < 2 OR NOT is_new")
    parts = ", ".join(f"""COALESCE(CAST("{column}" AS VARCHAR), chr(30))""" for column in _CONTENT[table])
    whole = f"FROM ({_rows(connection, 'lit')}) SEMI JOIN lit USING ({_AT})"
    run(
        "CREATE OR REPLACE TEMP TABLE candidate AS SELECT lit.* EXCLUDE (times, is_new), content FROM lit JOIN "
        f"(SELECT {_AT}, md5(concat_ws(chr(31), {parts})) AS content {whole}) USING ({_AT})"
    )
    _compare_closely(connection, table)
    run(_verdict("true" if table == "findings" else f"rank = 0 AND {_RANK} = 0", table != "findings"))
    run("DELETE FROM place WHERE kept AND (event_id, account_id) IN (SELECT (event_id, account_id) FROM verdict)")
    run(f"INSERT INTO place SELECT event_id, account_id, {_AT}, keep FROM verdict")


def _rows(connection: duckdb.DuckDBPyConnection, wanted: str) -> str:
    """SQL of all rows in those files that have one of the rows in table `wanted`: no other file is opened."""
    found = connection.execute(f"SELECT DISTINCT filename FROM {wanted}").fetchall()
    listed = ", ".join(literal(name) for (name,) in found) or "''"
    return f"FROM (FROM new_rows UNION ALL FROM old_rows) WHERE filename IN ({listed})"


def changed_files(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Files of which a row goes, or changes its flag."""
    rows = connection.execute(
        "SELECT DISTINCT filename FROM verdict WHERE NOT keep OR conflict <> was_conflict"
    ).fetchall()
    return {name for (name,) in rows}


def _verdict(all_stay: str, flag: bool) -> str:
    """SQL that makes `verdict`: `all_stay` says for which rows every different content stays."""
    order = f"{_RANK}, name, source_position"
    conflict = "count(*) FILTER (keep) OVER (PARTITION BY event_id, account_id) > 1" if flag else "false"
    return (
        "CREATE OR REPLACE TEMP TABLE verdict AS WITH ranked AS (SELECT c.*, "
        f"min({_RANK}) OVER (PARTITION BY event_id, account_id) AS rank, "
        f"row_number() OVER (PARTITION BY event_id, account_id, content ORDER BY {order}) AS of_content, "
        f"row_number() OVER (PARTITION BY event_id, account_id ORDER BY {order}) AS of_all "
        "FROM candidate c LEFT JOIN objects o ON o.object = c.source_object), "
        f"chosen AS (SELECT *, of_content = 1 AND (of_all = 1 OR ({all_stay})) AS keep FROM ranked) "
        f"SELECT event_id, account_id, day, {_AT}, filename, was_conflict, keep, {conflict} AS conflict FROM chosen"
    )


def _compare_closely(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Give rows that differ as text, but not as JSON, the same content."""
    columns = ", ".join(f'"{column}"' for column in _CONTENT[table])
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE differing AS SELECT source_object, source_position, filename FROM candidate "
        "SEMI JOIN (SELECT event_id, account_id FROM candidate GROUP BY ALL HAVING count(DISTINCT content) > 1) "
        "USING (event_id, account_id)"
    )
    reader = connection.sql(
        f"SELECT {_AT}, {columns} FROM ({_rows(connection, 'differing')}) SEMI JOIN differing USING ({_AT})"
    ).to_arrow_reader(10_000)
    found = []
    for batch in reader:
        for row in batch.to_pylist():
            place = row.pop("source_object"), row.pop("source_position")
            found.append((*place, canonical(row)))
    if not found:
        return
    objects, positions, contents = zip(*found, strict=True)
    connection.register("closely", pa.table({"object": objects, "position": positions, "content": contents}))
    connection.execute(
        "UPDATE candidate SET content = closely.content FROM closely "
        "WHERE source_object = closely.object AND source_position = closely.position"
    )


def canonical(row: dict[str, object]) -> str:
    """Hash of a row's content that does not depend on the order of JSON keys or on white space."""
    meant = {name: _meaning(value) for name, value in row.items()}
    return hashlib.sha256(json.dumps(meant, sort_keys=True, default=str).encode()).hexdigest()


def _meaning(value: object) -> object:
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def note_copies(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Note the places of rows whose object was collected under more than one name."""
    name = schema.IDENTITY_COLUMN[table]
    connection.execute(
        f'INSERT INTO place SELECT "{name}", account_id, {_AT}, true FROM (FROM new_rows UNION ALL FROM old_rows) r '
        "WHERE source_object IN (SELECT object FROM objects WHERE copies > 1) AND NOT EXISTS "
        "(FROM place p WHERE p.source_object = r.source_object AND p.source_position = r.source_position)"
    )


def write_sightings(connection: duckdb.DuckDBPyConnection, target: Path) -> None:
    """Write `place` as the table of sightings, with one more row for each further name of an object."""
    connection.execute(
        f"COPY (SELECT event_id, account_id, {_AT}, kept AND copy = 0 AS kept, copy FROM place p "
        "LEFT JOIN objects o ON o.object = p.source_object, "
        "LATERAL (SELECT unnest(range(COALESCE(o.copies, 1))) AS copy) "
        f"ORDER BY ALL) TO {literal(target)} (FORMAT parquet, COMPRESSION zstd)"
    )
