"""Files of the case's tables, and batches of rows on their way into them."""

from pathlib import Path

from cirtlib import records
from cirtlib.case import Case
from cirtlib.store.batches import Stage
from cirtlib.store.reading import Account, read_each


def paths(case: Case, table: str) -> list[Path]:
    """Parquet files of one table, sorted; none when nothing was collected for it."""
    return sorted((case.store / table).glob("**/*.parquet"))


def read_and_stage(
    folder: Path, batch: str, objects: list[tuple[str, str, Path]], *, limit: int = records.MAX_EXPANDED
) -> list[Account]:
    """Read objects (name, SHA-256, file) straight into a batch below `folder`; the account of each.

    Rows go to disk as they are read, so that a large object needs no more memory than a small one.
    """
    made = Stage(folder, batch)
    accounts = read_each(objects, made.add, limit=limit)
    made.finish()
    return accounts
