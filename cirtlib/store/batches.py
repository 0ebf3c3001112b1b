"""Rows on their way into the case's tables: a batch of them waits in a folder of its own, on disk, until it is settled.

What is many rows of one account and day is written as the file that it will be in the table, so that settling need only
move it. The rest of a batch, little of many days, waits in one file and is merged with its like.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

# Rows of one account and day from which on they are a file of their own.
ENOUGH = 4_000
_SUFFIX = "-rows"
# Columns of which nearly every value is another: to look for repeats in them costs time and gains nothing.
_PLAIN = {
    "requestparameters", "responseelements", "additionaleventdata", "serviceeventdetails", "requestid", "eventid",
    "errormessage", "record", "details",
}  # fmt: skip
_PRUNED_BY = ["eventtime", "eventsource", "eventname", "awsregion", "eventid", "finding_id", "updated_at"]


class Stage:
    """Writes the rows of one batch below `folder`; they count once `finish` has put them there in one step."""

    def __init__(self, folder: Path, batch: str) -> None:
        self._target = folder / f"{batch}{_SUFFIX}"
        self._scratch = folder / f"{batch}.new"
        self._count = 0

    def add(self, name: str, table: pa.Table) -> None:
        """Write rows of one table of the store."""
        rest = []
        for place, rows in _by_folder(table):
            if len(rows) >= ENOUGH:
                account, day = place
                self._write(rows.drop_columns(["account_id", "day"]), f"{name}/account_id={account}/day={day}")
            else:
                rest.append(rows)
        if rest:
            self._write(pa.concat_tables(rest), f"{name}/mixed")

    def _write(self, rows: pa.Table, place: str) -> None:
        self._count += 1
        folder = self._scratch / place
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = folder / f"{self._count}.parquet"
        pq.write_table(rows, file, **how(rows.schema))
        file.chmod(0o600)
        sync(file)

    def finish(self) -> None:
        """Let the batch count."""
        if self._count:
            self._scratch.replace(self._target)


def how(schema: pa.Schema) -> dict[str, Any]:
    """Options of Parquet for a table of the store."""
    leaves = [name for part in schema for name in _leaves(part)]
    return {
        "compression": "zstd", "compression_level": 1, "store_schema": False,
        "use_dictionary": [name for name in leaves if name not in _PLAIN],
        "write_statistics": [name for name in leaves if name in _PRUNED_BY],
    }  # fmt: skip


def _leaves(part: pa.Field) -> list[str]:
    """Paths of the columns that Parquet makes of a field."""
    kind = part.type
    if pa.types.is_struct(kind):
        return [f"{part.name}.{leaf}" for inner in kind for leaf in _leaves(inner)]
    if pa.types.is_map(kind):
        return [f"{part.name}.key_value.{leaf}" for leaf in ("key", "value")]
    if pa.types.is_list(kind):
        return [f"{part.name}.list.{leaf}" for leaf in _leaves(kind.value_field.with_name("element"))]
    return [part.name]


def _by_folder(table: pa.Table) -> list[tuple[tuple[str, str], pa.Table]]:
    """Rows of each (account, day)."""
    parts = [table[name].combine_chunks() for name in ("account_id", "day")]
    codes = [one if pa.types.is_dictionary(one.type) else one.dictionary_encode() for one in parts]
    accounts, days = (one.dictionary.to_pylist() for one in codes)
    joined = codes[0].indices.to_numpy() * np.int64(len(days)) + codes[1].indices.to_numpy()
    found = []
    for code in np.unique(joined).tolist():
        rows = np.flatnonzero(joined == code)
        first, last = int(rows[0]), int(rows[-1])
        run = last - first + 1 == len(rows)
        found.append(
            (
                (accounts[code // len(days)], days[code % len(days)]),
                table.slice(first, len(rows)) if run else table.take(rows),
            )
        )
    return found


def waiting(folder: Path, table: str, batches: set[str]) -> tuple[list[Path], list[Path]]:
    """Files of one table in these batches: those that can be moved into the table, and those of mixed rows."""
    known = [batch for batch in sorted(folder.glob(f"*{_SUFFIX}")) if batch.name.removesuffix(_SUFFIX) in batches]
    ready = [file for batch in known for file in sorted(batch.glob(f"{table}/account_id=*/day=*/*.parquet"))]
    return ready, [file for batch in known for file in sorted(batch.glob(f"{table}/mixed/*.parquet"))]


def drop_unanswered(folder: Path, batches: set[str]) -> None:
    """Remove what no manifest line answers for."""
    for file in folder.glob("*"):
        if not (file.name.endswith(_SUFFIX) and file.name.removesuffix(_SUFFIX) in batches):
            shutil.rmtree(file) if file.is_dir() else file.unlink()


def drop_settled(folder: Path, run: str) -> None:
    """Remove batches of which no file is left, and the folder `run` of the settling itself."""
    shutil.rmtree(folder / run, ignore_errors=True)
    for batch in folder.glob(f"*{_SUFFIX}"):
        if not any(file.is_file() for file in batch.rglob("*")):
            shutil.rmtree(batch)


def sync(file: Path) -> None:
    """Make sure that a file has reached the disk."""
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
