"""The events of a large case, kept ready: what the adapter makes of the store, written once and read by every question.

A file holds what one account did in one month, named after the store's files and the adapter that it was made of; so it
is made anew when either changes, and can be deleted at any time. Questions give the same answer with and without.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from cirtlib import locking
from cirtlib.case import Case

# Bytes of the store from which on keeping events ready is worth its time: about 250,000 events.
SMALL = 32 << 20
_ROWS = 30_000  # in one row group: what a question about a day of a busy account reads
# opens the embedded engine, and creates on it the view `events` of some files of the store
Engine = tuple[Callable[[Case], duckdb.DuckDBPyConnection], Callable[[duckdb.DuckDBPyConnection, list[Path]], None]]


def folder(case: Case) -> Path:
    """Where they lie: beside what was written, as it is no evidence."""
    return case.out / "cache" / "events"


def ready(case: Case, stored: list[Path], engine: Engine, recipe: str) -> list[Path]:
    """Files with all events of the case, made where they are missing; none for a small case, or while it is collected.

    Parameters
    ----------
    stored
        Files of the store's table of CloudTrail.
    engine
        See `Engine`.
    recipe
        Text of all that decides what that gives.
    """
    months: dict[tuple[str, str], list[Path]] = {}
    for file in stored:
        months.setdefault((file.parts[-3], file.parts[-2][:11]), []).append(file)
    if sum(file.stat().st_size for file in stored) < SMALL or _collecting(case):
        return []
    wanted = {_place(case, month, files, recipe): files for month, files in months.items()}
    missing = [place for place in wanted if not place.is_file()]
    if missing:
        try:
            with _alone(folder(case)):
                _make(case, {place: wanted[place] for place in missing if not place.is_file()}, engine)
                _forget(folder(case), set(wanted))
        except (OSError, duckdb.Error) as error:
            reason = str(error).splitlines()[0]
            sys.stderr.write(f"events cannot be kept ready in {folder(case)} ({reason}); questions take longer\n")
            return []
    return list(wanted)


def _place(case: Case, month: tuple[str, str], files: list[Path], recipe: str) -> Path:
    names = "\n".join([recipe, duckdb.__version__, *(file.relative_to(case.store).as_posix() for file in files)])
    digest = hashlib.sha256(names.encode()).hexdigest()[:24]
    return folder(case) / f"{month[0].partition('=')[2]}-{month[1].partition('=')[2]}-{digest}.parquet"


def _collecting(case: Case) -> bool:
    """Whether a collect is at work, after which the store is another."""
    lock = case.evidence / "lock"
    if not lock.is_file():
        return False
    with lock.open() as file:
        return not locking.take(file, wait=False)


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Hold the folder; who comes second waits, and finds what the first made."""
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (place / "lock").open("w") as lock:
        locking.take(lock, wait=True)
        yield


def _make(case: Case, missing: dict[Path, list[Path]], engine: Engine) -> None:
    if not missing:
        return
    sys.stderr.write("keeping the events of this case ready for questions (once after a collect) ...\n")
    opened, views = engine
    with opened(case) as connection:
        for place, files in missing.items():
            views(connection, files)
            half = place.with_name(f".{place.name}.{os.getpid()}")
            written = "'" + str(half).replace("'", "''") + "'"
            # files in order of days, so that a question about one day passes over the others
            connection.execute(
                f"COPY (FROM events) TO {written} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROWS})"
            )
            half.chmod(0o600)
            half.replace(place)


def _forget(place: Path, wanted: set[Path]) -> None:
    """Take away what no question reads any more."""
    for file in [*place.glob("*.parquet"), *place.glob(".*.parquet.*")]:
        if file not in wanted:
            file.unlink(missing_ok=True)
