"""Files of the case's tables, and batches of rows on their way into them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cirtlib.case import Case
from cirtlib.store.settle import sync


def paths(case: Case, table: str) -> list[Path]:
    """Parquet files of one table, sorted; none when nothing was collected for it."""
    return sorted((case.store / table).glob("**/*.parquet"))


def write_staged(folder: Path, batch: str, tables: dict[str, pa.Table]) -> None:
    """Write the tables of one batch aside, where they wait for `settle`; on disk before this returns."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, table in tables.items():
        scratch = folder / f"{batch}-{name}.new"
        pq.write_table(table, scratch, compression="lz4", store_schema=False)
        scratch.chmod(0o600)
        sync(scratch)
        scratch.replace(folder / f"{batch}-{name}.parquet")
