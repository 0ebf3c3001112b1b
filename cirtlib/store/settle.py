"""The end of every collect: what was read joins the tables, each event once.

One pass that does not depend on the order of reading; `repeats` says which rows stay. Nothing is changed in place:
new files are written aside, a journal says which take whose place, and is played again if the machine stopped midway.
"""

# ruff: noqa: S608 - SQL is put together from names of ours only; values of logs are never in it.

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

import duckdb
import pyarrow as pa

from cirtlib import evidence
from cirtlib.case import Case, read_json
from cirtlib.errors import EvidenceError
from cirtlib.store import repeats, schema
from cirtlib.store.rewriting import Verdicts, rewrite
from cirtlib.store.schema import literal

_MEMORY = "400MB"


def staging(case: Case) -> Path:
    """Where batches wait until they are settled."""
    return case.evidence / "staging"


def recover(case: Case, batches: set[str]) -> None:
    """Bring the store into a whole state: play the journal, and drop files that no manifest line answers for."""
    _play(case)
    for file in staging(case).glob("*"):
        if file.is_dir():
            shutil.rmtree(file)
        elif file.name.partition("-")[0] not in batches:
            file.unlink()


def settle(case: Case, names: dict[str, list[str]], *, batches: set[str]) -> None:
    """Merge all staged batches into the store, and tell every place of what was seen more than once.

    `names` gives for each object (SHA-256) the names it was collected under, sorted; `batches` are those that the
    manifest answers for: what a worker that outlived its collect still wrote is not among them.
    """
    run = uuid4().hex[:12]
    made = staging(case) / run
    made.mkdir(parents=True, mode=0o700)
    journal: dict[str, list[list[str]]] = {"moves": [], "removes": []}
    connection = _connect(case)
    try:
        repeats.begin(connection, names, _sightings(case))
        for table in schema.TABLES:
            found = sorted(staging(case).glob(f"*-{table}.parquet"))
            waiting = [file for file in found if file.name.partition("-")[0] in batches]
            _views(connection, case, table, waiting)
            if waiting:
                repeats.judge(connection, table)
                stored = _touched(connection, case, table)
                rewrite(table, waiting, stored, verdicts=_verdicts(connection), target=made / table)
                journal["removes"] += [[_inside(case, file)] for file in (*waiting, *stored)]
            if any(len(found) > 1 for found in names.values()):
                repeats.note_copies(connection, table)
        repeats.write_sightings(connection, made / "sightings.parquet")
    except duckdb.Error as error:
        raise EvidenceError(f"the store cannot be written: {str(error).splitlines()[0]}") from error
    finally:
        connection.close()
        shutil.rmtree(case.evidence / "spill", ignore_errors=True)
    for number, file in enumerate(sorted(made.glob("*/*/*/*.parquet"))):
        table, account, day = file.relative_to(made).parts[:3]
        journal["moves"].append([_inside(case, file), f"store/{table}/{account}/{day}/{run}-{number}.parquet"])
    journal["moves"].append([_inside(case, made / "sightings.parquet"), "store/sightings/sightings.parquet"])
    evidence.write(_journal(case), json.dumps(journal).encode())
    _play(case)


def _inside(case: Case, file: Path) -> str:
    return file.relative_to(case.evidence).as_posix()


def _journal(case: Case) -> Path:
    return case.evidence / "journal.json"


def _play(case: Case) -> None:
    """Put new files in their places and take old ones away; doing it twice does no harm."""
    journal = read_json(_journal(case))
    if journal is None:
        return
    for source, target in journal["moves"]:
        if (case.evidence / source).exists():
            (case.evidence / target).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            (case.evidence / source).chmod(0o600)
            (case.evidence / source).replace(case.evidence / target)
    for (name,) in journal["removes"]:
        (case.evidence / name).unlink(missing_ok=True)
    _journal(case).unlink()
    shutil.rmtree(staging(case), ignore_errors=True)


def _connect(case: Case) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        ":memory:", config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    )
    connection.execute(f"SET TimeZone = 'UTC'; SET memory_limit = '{_MEMORY}'; SET preserve_insertion_order = false")
    connection.execute(f"SET temp_directory = {literal(case.evidence / 'spill')}")
    return connection


def files(paths: Iterable[Path]) -> str:
    """SQL list of file names, in which brackets and stars of a path are no pattern."""
    plain = ("".join(f"[{letter}]" if letter in "*?[" else letter for letter in path.as_posix()) for path in paths)
    return "[" + ", ".join(literal(path) for path in plain) + "]"


def _sightings(case: Case) -> str | None:
    file = case.store / "sightings" / "sightings.parquet"
    return f"read_parquet({files([file])}, hive_partitioning = false)" if file.is_file() else None


def _views(connection: duckdb.DuckDBPyConnection, case: Case, table: str, waiting: list[Path]) -> None:
    """Views `new_rows` and `old_rows` of one table, with the same columns."""
    connection.register("nothing", pa.table({f.name: pa.array([], f.type) for f in schema.TABLES[table]}))
    stored = sorted((case.store / table).glob("account_id=*/day=*/*.parquet"))
    columns = ", ".join(f'"{name}"' for name in schema.TABLES[table].names)
    for view, found, hive in (("new_rows", waiting, "false"), ("old_rows", stored, "true")):
        source = f"read_parquet({files(found)}, hive_partitioning = {hive}" if found else "nothing"
        if found:
            source += ", hive_types_autocast = false)" if hive == "true" else ")"
        connection.execute(f"CREATE OR REPLACE VIEW {view} AS SELECT {columns} FROM {source}")


def _touched(connection: duckdb.DuckDBPyConnection, case: Case, table: str) -> list[Path]:
    """Files of every folder that gains, loses or changes a row."""
    places = connection.execute(
        "SELECT DISTINCT account_id, day FROM new_rows "
        "UNION SELECT account_id, day FROM verdict WHERE is_old AND (NOT keep OR conflict <> was_conflict)"
    ).fetchall()
    folders = [case.store / table / f"account_id={account}" / f"day={day}" for account, day in sorted(places)]
    return [file for folder in folders for file in sorted(folder.glob("*.parquet"))]


def _verdicts(connection: duckdb.DuckDBPyConnection) -> Verdicts:
    found: Verdicts = {}
    rows = connection.execute(
        "SELECT source_object, source_position, keep, conflict FROM verdict WHERE NOT keep OR conflict OR was_conflict"
    ).fetchall()
    for digest, position, keep, conflict in rows:
        found.setdefault(digest, {})[position] = (keep, conflict)
    return found


def sync(file: Path) -> None:
    """Make sure that a file has reached the disk."""
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
