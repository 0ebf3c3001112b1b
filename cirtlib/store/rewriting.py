"""Rows on their way into the folders of a table: old and new ones, those that stay, one new file a folder.

One Parquet writer a folder is several times faster for nested columns than Arrow's or DuckDB's own partitioned writing.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cirtlib.store import schema
from cirtlib.store.batches import how

_ROWS = 10_000
# Rows that wait in memory, over all folders, and folders that are held open; what is more is written and closed.
_WAITING, _OPEN = 20_000, 64
# Position of a row -> whether it stays, and its conflict flag; by object.
Verdicts = dict[str, dict[int, tuple[bool, bool]]]


def rewrite(table: str, mixed: Iterable[Path], placed: Iterable[Path], *, verdicts: Verdicts, target: Path) -> None:
    """Write the rows that stay below `target`, by account and day, one file each.

    `mixed` files say of each row where it belongs; of `placed` ones the folder says it.
    """
    made = schema.TABLES[table]
    folders = _Folders(target)
    for batch in _chosen(made, mixed, placed, verdicts):
        folders.add(batch)
    folders.close()


class _Folders:
    """Writers of the folders `account_id=.../day=...`, in order of their last use."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._open: OrderedDict[tuple[str, str], tuple[pq.ParquetWriter, list[pa.Table]]] = OrderedDict()
        self._count = 0
        self._waiting = 0

    def add(self, rows: pa.Table) -> None:
        places = rows.select(["account_id", "day"]).group_by(["account_id", "day"]).aggregate([]).to_pylist()
        for place in places:
            key = place["account_id"], place["day"]
            here = pc.and_(pc.equal(rows["account_id"], key[0]), pc.equal(rows["day"], key[1]))
            self._write(key, (rows.filter(here) if len(places) > 1 else rows).drop_columns(["account_id", "day"]))

    def _write(self, key: tuple[str, str], rows: pa.Table) -> None:
        if key not in self._open:
            self._open[key] = self._writer(key, rows.schema), []
        self._open[key][1].append(rows)
        self._waiting += len(rows)
        self._open.move_to_end(key)
        while self._waiting > _WAITING:
            self._flush(max(self._open, key=lambda one: sum(map(len, self._open[one][1]))))
        while len(self._open) > _OPEN:
            self._close(next(iter(self._open)))

    def _writer(self, key: tuple[str, str], made: pa.Schema) -> pq.ParquetWriter:
        folder = self._target / f"account_id={key[0]}" / f"day={key[1]}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._count += 1
        file = folder / f"{self._count}.parquet"
        return pq.ParquetWriter(file, made, **how(made))

    def _flush(self, key: tuple[str, str]) -> None:
        writer, waiting = self._open[key]
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
        self._waiting -= sum(map(len, waiting))
        waiting.clear()

    def _close(self, key: tuple[str, str]) -> None:
        self._flush(key)
        self._open.pop(key)[0].close()

    def close(self) -> None:
        for key in list(self._open):
            self._close(key)


def _chosen(made: pa.Schema, mixed: Iterable[Path], placed: Iterable[Path], verdicts: Verdicts) -> Iterator[pa.Table]:
    judged = pa.array(list(verdicts), pa.string())
    for file in mixed:
        for batch in pq.ParquetFile(file).iter_batches(_ROWS):
            yield _stay(pa.Table.from_batches([batch]), made, verdicts, judged)
    for file in placed:
        account, day = (part.partition("=")[2] for part in file.parts[-3:-1])
        for batch in pq.ParquetFile(file).iter_batches(_ROWS):
            rows = pa.Table.from_batches([batch])
            for name, value in (("account_id", account), ("day", day)):
                rows = rows.append_column(name, pa.array([value], pa.string()).take(pa.array([0] * len(rows))))
            yield _stay(rows, made, verdicts, judged)


def _stay(rows: pa.Table, made: pa.Schema, verdicts: Verdicts, judged: pa.Array) -> pa.Table:
    """Rows that stay, with the conflict flag as judged."""
    rows = rows.select(made.names).cast(made)
    if pc.any(pc.is_in(rows["source_object"], judged)).as_py():
        places = zip(rows["source_object"].to_pylist(), rows["source_position"].to_pylist(), strict=True)
        found = [verdicts.get(digest, {}).get(position) for digest, position in places]
        flags = rows["conflict"].to_pylist()
        conflict = [flag if one is None else one[1] for one, flag in zip(found, flags, strict=True)]
        rows = rows.set_column(made.get_field_index("conflict"), made.field("conflict"), pa.array(conflict, pa.bool_()))
        rows = rows.filter(pa.array([one is None or one[0] for one in found], pa.bool_()))
    return rows
