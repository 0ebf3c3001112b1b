"""The case's Parquet tables: append, de-duplicate, resume; and the original behind every row.

Layout: `evidence/store/<table>/account_id=.../day=.../*.parquet` for cloudtrail, insights, aggregated, findings and
finding_history, and `evidence/store/sightings/sightings.parquet`. `account_id` is 12 digits or `unknown`, `day` the
event's day in UTC: both are checked before they become folders.
"""

# ruff: noqa: S608 - SQL is put together from names of ours only; values of logs are bound as parameters.

from pathlib import Path
from typing import Any

import duckdb

from cirtlib import evidence, records
from cirtlib.case import Case
from cirtlib.errors import NotFoundError
from cirtlib.store import schema
from cirtlib.store.settle import files, recover, settle, staging
from cirtlib.store.tables import paths
from cirtlib.store.tally import objects, total

__all__ = ["objects", "paths", "record", "recover", "settle", "staging", "total"]


def record(case: Case, event_id: str, *, account_id: str | None = None) -> list[bytes]:
    """Original bytes of an event, session tokens redacted in place, one for each row that is kept of it.

    Also takes the id of an insight, an aggregated event or a finding.

    Parameters
    ----------
    account_id
        Only the record of this account; default: of every account that recorded it.

    Raises
    ------
    NotFoundError
        when no such event was collected.
    EvidenceError
        when the original is gone or was changed.
    """
    places: list[tuple[str, int]] = []
    with duckdb.connect(":memory:") as connection:
        for table, name in schema.IDENTITY_COLUMN.items():
            if found := paths(case, table):
                places += _places(connection, f'"{name}"', found, (event_id, account_id))
    if not places:
        where = f" in account {account_id}" if account_id else ""
        raise NotFoundError(f"no event or finding {event_id!r}{where} in this case; is the id whole?")
    return [records.redact(_at(case, digest, position)) for digest, position in dict.fromkeys(places)]


def _places(
    connection: duckdb.DuckDBPyConnection, name: str, found: list[Path], wanted: tuple[str, str | None]
) -> list[tuple[Any, ...]]:
    source = f"read_parquet({files(found)}, hive_partitioning = true, hive_types_autocast = false)"
    rows: list[tuple[Any, ...]] = connection.execute(
        f"SELECT source_object, source_position FROM {source} "
        f"WHERE {name} = $1 AND ($2 IS NULL OR account_id = $2) ORDER BY account_id, source_object, source_position",
        list(wanted),
    ).fetchall()
    return rows


def _at(case: Case, digest: str, position: int) -> bytes:
    """Bytes of the item at a position of an original."""
    # The bound was kept when it was collected; what was let in then is let out now.
    for item in records.split(evidence.load(case, digest), limit=1 << 62):
        if item.position == position:
            return item.raw
    raise NotFoundError(f"object {digest} has no record at position {position}; was it collected by another version?")
