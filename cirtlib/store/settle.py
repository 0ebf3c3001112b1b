"""The end of every collect: what was read joins the tables, each event once.

One pass that does not depend on the order of reading; `repeats` says which rows stay. Nothing is changed in place:
new files are written aside, a journal says which take whose place, and is played again if the machine stopped midway.
"""

# ruff: noqa: S608 - SQL is put together from names of ours only; values of logs are never in it.

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pyarrow as pa

from cirtlib import evidence
from cirtlib.case import Case, read_json
from cirtlib.errors import EvidenceError
from cirtlib.store import repeats, schema
from cirtlib.store.batches import drop_settled, drop_unanswered, sync, waiting
from cirtlib.store.rewriting import Verdicts, rewrite
from cirtlib.store.schema import literal

_MEMORY = "200MB"
# Bytes below which a file had better be merged with its neighbours.
_SMALL = 1 << 19


def staging(case: Case) -> Path:
    """Where batches wait until they are settled."""
    return case.evidence / "staging"


def recover(case: Case, batches: set[str]) -> None:
    """Bring the store into a whole state: play the journal, and drop batches that no manifest line answers for."""
    _play(case)
    drop_unanswered(staging(case), batches)


def settle(case: Case, names: dict[str, list[str]], *, batches: set[str]) -> None:
    """Merge all staged batches into the store, and tell every place of what was seen more than once.

    A staged file of one account and day becomes a file of the table as it is, unless a row of it is a repeat. Rows of
    mixed batches, files with repeats, and the small files of a folder that gets such rows are written anew, as one.

    `names` gives for each object (SHA-256) the names it was collected under, sorted; `batches` are those that the
    manifest answers for: what a worker that outlived its collect still wrote is not among them.
    """
    run = uuid4().hex[:12]
    made = staging(case) / f"{run}.new"
    made.mkdir(parents=True, mode=0o700)
    journal: dict[str, Any] = {"run": made.name, "moves": [], "removes": []}
    connection = _connect(case)
    try:
        repeats.begin(connection, names, _sightings(case))
        for table in schema.TABLES:
            ready, mixed = waiting(staging(case), table, batches)
            stored = sorted((case.store / table).glob("account_id=*/day=*/*.parquet"))
            _views(connection, table, (ready, mixed, stored))
            if ready or mixed:
                repeats.judge(connection, table)
                changed = repeats.changed_files(connection)
                anew = [file for file in ready if file.as_posix() in changed]
                anew += _to_merge(case.store / table, stored, changed, _folders(connection, mixed, anew))
                rewrite(table, mixed, anew, verdicts=_verdicts(connection), target=made / table)
                journal["removes"] += [[_inside(case, file)] for file in (*mixed, *anew)]
                for number, file in enumerate(sorted(set(ready) - set(anew))):
                    journal["moves"].append([_inside(case, file), _place(file, table, f"{run}-{number}")])
            if any(len(found) > 1 for found in names.values()):
                repeats.note_copies(connection, table)
        repeats.write_sightings(connection, made / "sightings.parquet")
    except duckdb.Error as error:
        raise EvidenceError(f"the store cannot be written: {str(error).splitlines()[0]}") from error
    finally:
        connection.close()
        shutil.rmtree(case.evidence / "spill", ignore_errors=True)
    for number, file in enumerate(sorted(made.glob("*/*/*/*.parquet"))):
        sync(file)
        table = file.relative_to(made).parts[0]
        journal["moves"].append([_inside(case, file), _place(file, table, f"{run}-m{number}")])
    journal["moves"].append([_inside(case, made / "sightings.parquet"), "store/sightings/sightings.parquet"])
    evidence.write(_journal(case), json.dumps(journal).encode())
    _play(case)


def _place(file: Path, table: str, name: str) -> str:
    """Where a file of one account and day goes, relative to the evidence."""
    return f"store/{table}/{file.parts[-3]}/{file.parts[-2]}/{name}.parquet"


def _folders(connection: duckdb.DuckDBPyConnection, mixed: list[Path], anew: list[Path]) -> set[str]:
    """Folders `account_id=.../day=...` that get rows which are written anew."""
    found = {f"{file.parts[-3]}/{file.parts[-2]}" for file in anew}
    if mixed:
        rows = connection.execute(f"SELECT DISTINCT account_id, day FROM {_parquet(mixed, hive=False)}").fetchall()
        found |= {f"account_id={account}/day={day}" for account, day in rows}
    return found


def _to_merge(root: Path, stored: list[Path], changed: set[str], folders: set[str]) -> list[Path]:
    """Stored files that must be written anew, or had better be: small ones of a folder that gets new rows anyway."""
    folders = folders | {file.parent.relative_to(root).as_posix() for file in stored if file.as_posix() in changed}
    return [
        file
        for file in stored
        if file.as_posix() in changed
        or (file.parent.relative_to(root).as_posix() in folders and file.stat().st_size < _SMALL)
    ]


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
    # Batches that others are writing meanwhile stay.
    drop_settled(staging(case), journal["run"])
    _journal(case).unlink()


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


def _parquet(found: list[Path], *, hive: bool) -> str:
    how = "hive_partitioning = true, hive_types_autocast = false" if hive else "hive_partitioning = false"
    return f"read_parquet({files(found)}, filename = true, {how})"


def _views(connection: duckdb.DuckDBPyConnection, table: str, found: tuple[list[Path], list[Path], list[Path]]) -> None:
    """Views `new_rows` and `old_rows` of one table, with the same columns, and the file of each row."""
    fields = [*schema.TABLES[table], pa.field("filename", pa.string())]
    names = [field.name for field in fields]
    connection.register("nothing", pa.schema(fields).empty_table())
    columns = ", ".join(f'"{name}"' for name in names)
    ready, mixed, stored = found
    for view, parts in (("new_rows", ((ready, True), (mixed, False))), ("old_rows", ((stored, True),))):
        sources = [_parquet(part, hive=hive) for part, hive in parts if part] or ["nothing"]
        text = " UNION ALL ".join(f"SELECT {columns} FROM {source}" for source in sources)
        connection.execute(f"CREATE OR REPLACE VIEW {view} AS {text}")


def _verdicts(connection: duckdb.DuckDBPyConnection) -> Verdicts:
    found: Verdicts = {}
    rows = connection.execute(
        "SELECT source_object, source_position, keep, conflict FROM verdict WHERE NOT keep OR conflict OR was_conflict"
    ).fetchall()
    for digest, position, keep, conflict in rows:
        found.setdefault(digest, {})[position] = (keep, conflict)
    return found
