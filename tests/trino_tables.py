"""Tables of CloudTrail records for the tests' Trino: one event a line, gzip, read by the OpenX JSON SerDe."""

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from sqlglot import exp

from cirtlib import evidence, records
from cirtlib.case import Case
from cirtlib.engine.schema import DOCUMENTED, EXTRA, LINK
from cirtlib.store.settle import files
from cirtlib.store.tables import paths
from tests.trino_server import Trino

# what the store adds to a record as it was delivered
ADDED = ("useridentity_json", "unmodelled", *LINK)
PARTITIONS = ("account", "region", "day")


@dataclass(frozen=True)
class Line:
    """One record as delivered, on one line, and the partition it lies in."""

    raw: bytes
    account: str
    region: str
    day: str
    added: dict[str, Any] = field(default_factory=dict)

    def text(self) -> bytes:
        """The record with what was added to it, as one JSON line."""
        whole = self.raw.replace(b"\r", b" ").replace(b"\n", b" ").rstrip()
        if not self.added:
            return whole
        more = json.dumps(self.added).encode()[1:]
        return whole[:-1] + (b"," if whole[:-1].strip() != b"{" else b"") + more


def hive_type(kind: str) -> str:
    """Trino's name of a DuckDB type."""
    return str(exp.DataType.build(kind, dialect="duckdb").sql("trino"))


def lines(case: Case) -> Iterator[Line]:
    """Every record in the case's store, as it was delivered, with the columns that only the store has."""
    chosen = ", ".join(f'"{name}"' for name in (*ADDED, "account_id", "awsregion", "eventtime", "eventid"))
    source = f"read_parquet({files(paths(case, 'cloudtrail'))}, hive_partitioning = true, hive_types_autocast = false)"
    with duckdb.connect() as connection:
        rows = connection.execute(f"SELECT {chosen} FROM {source} ORDER BY source_object, source_position").fetchall()
    wanted: dict[str, dict[int, tuple[Any, ...]]] = {}
    for row in rows:
        wanted.setdefault(row[ADDED.index("source_object")], {})[row[ADDED.index("source_position")]] = row
    for digest, places in wanted.items():
        for item in records.split(evidence.load(case, digest)):
            row = places.get(item.position)
            if row is not None:
                added = {name: value for name, value in zip(ADDED, row, strict=False) if value is not None}
                *_, account, region, time, ident = row
                raw, mended = _mended(item.raw, time, ident)
                yield Line(raw, account, region or "none", time[:10].replace("-", "/"), {**added, **mended})


def _mended(raw: bytes, time: str, ident: str) -> tuple[bytes, dict[str, Any]]:
    """The record without what no SerDe can hold, and what collect put in the place of a missing id or an odd time."""
    content = json.loads(raw)
    named = content.get("resources") or []
    if not isinstance(named, list) or not all(isinstance(one, dict) for one in named):
        content["resources"] = [one if isinstance(one, dict) else {} for one in named]
        raw = json.dumps(content).encode()
    more = {}
    if content.get("eventTime") != time:
        more["eventTime"] = time
    if content.get("eventID") != ident:
        more["eventID"] = ident
    return raw, more


def create(server: Trino, name: str, rows: Iterable[Line], *, more: dict[str, str] | None = None) -> int:
    """Make the table hive.default.NAME of these records, with AWS's documented columns.

    Parameters
    ----------
    more
        Further columns, name to DuckDB type.

    Returns
    -------
    int
        the number of records.
    """
    folders: dict[Path, list[bytes]] = {}
    for row in rows:
        parts = zip(PARTITIONS, (row.account, row.region, row.day.replace("/", "%2F")), strict=True)
        folder = server.files / name / "/".join(f"{key}={value}" for key, value in parts)
        folders.setdefault(folder, []).append(row.text())
    for folder, texts in folders.items():
        folder.mkdir(parents=True)
        (folder / "events.json.gz").write_bytes(gzip.compress(b"\n".join(texts) + b"\n", 1))
    (server.files / name).mkdir(exist_ok=True)
    columns = {**DOCUMENTED, **(more or {}), **dict.fromkeys(PARTITIONS, "VARCHAR")}
    listed = ", ".join(f'"{column}" {hive_type(kind)}' for column, kind in columns.items())
    server.run(
        f"CREATE TABLE hive.\"default\".{name} ({listed}) WITH (format = 'OPENX_JSON', "
        f"external_location = 'local:///{name}', partitioned_by = ARRAY{list(PARTITIONS)})"
    )
    server.run(f"CALL hive.system.sync_partition_metadata('default', '{name}', 'ADD')")
    return sum(map(len, folders.values()))


def everything(server: Trino, name: str, case: Case) -> int:
    """Table of all records of a case with every column that the store has, so that both engines know the same."""
    return create(server, name, lines(case), more={**EXTRA, **LINK})
