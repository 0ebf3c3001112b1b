"""No local answer beyond what was fetched: where a case holds only its suspects' slice, other questions go elsewhere.

A question is within the slice if each of its looks at the events is bound to suspects that the slice covers.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import duckdb
from sqlglot import exp

from cirtlib import evidence
from cirtlib.case import Case
from cirtlib.errors import QueryError
from cirtlib.store.settle import files
from cirtlib.store.tables import paths

NAME = "suspects"  # of the slice in the manifest
# parameter -> what of the slice covers its values
_COVERED = {"keys": "keys", "principals": "principals", "addresses": "addresses", "instances": "sessions"}
_EVENTS = {"events", "cloudtrail_logs"}


def refuse(case: Case, tree: exp.Expression, values: dict[str, Any]) -> None:
    """Let a question pass that the local store can answer as a whole.

    Parameters
    ----------
    tree
        Of the question, its parameters not yet bound.
    values
        Of its parameters, typed.

    Raises
    ------
    QueryError
        when all or part of the asked accounts and days are there only as a slice, and the question goes beyond it.
    """
    looks = [table for table in tree.find_all(exp.Table) if table.name.lower() in _EVENTS]
    found = _slice(case) if looks else None
    if found is None or (days := _only_sliced(case, found, values)) is None:
        return
    where = f"{days[0]} to {days[1]}" if days[0] != days[1] else days[0]
    go = (
        f"ask it with --engine {found['facts'].get('engine', 'athena')}, or collect whole logs from S3: add "
        f"cloudtrail: {{s3: s3://...}} to sources in {case.path / 'case.yaml'}"
    )
    if free := next((look for look in looks if not _is_bound(look)), None):
        raise QueryError(
            f"of {where} this case holds only what its suspects did, and the question looks at {free.name} of others "
            f"too: {go}"
        )
    covered = found["facts"].get("covered") or {}
    for name, of in _COVERED.items():
        used = any(one.name == name for one in tree.find_all(exp.Placeholder))
        if used and (beyond := sorted(set(map(str, values.get(name) or ())) - set(covered.get(of, ())))):
            raise QueryError(
                f"of {where} this case holds only what its suspects did, and {beyond[0]} ({name}) is none of those it "
                f"was fetched for: add it to seeds and collect again, or {go}"
            )


def _slice(case: Case) -> dict[str, Any] | None:
    """The case's slice, as its manifest has it; None without one."""
    if not case.manifest.is_file():
        return None
    engines = tuple(f"{how}:" for source in case.sources for how in ("athena", "trino") if how in source.options)
    if not engines:
        return None
    found = [
        line["slice"]
        for line in evidence.lines(case)
        if "slice" in line
        and str(line["place"]).startswith(engines)
        and line["slice"]["name"] == NAME
        and line["slice"]["status"] in ("read", "empty")  # one that failed since leaves the earlier one as it is
    ]
    return found[-1] if found else None


def _only_sliced(case: Case, found: dict[str, Any], values: dict[str, Any]) -> tuple[str, str] | None:
    """First and last of the asked days that are there only as a slice; None where all are there as a whole."""
    if not found["start"]:
        return None
    times = sorted(value for value in values.values() if isinstance(value, datetime))
    began = datetime.fromisoformat(found["start"]) - timedelta(days=case.baseline_days)
    first = max(began, times[0]) if times else began
    last = min(datetime.fromisoformat(found["end"]), times[-1]) if times else datetime.fromisoformat(found["end"])
    asked = [f"{first + timedelta(days=n):%Y-%m-%d}" for n in range((last.date() - first.date()).days + 1)]
    whole, known = _whole(case)
    accounts = set(values.get("accounts") or case.accounts or known)
    lacking = [day for day in asked if not accounts or any((account, day) not in whole for account in accounts)]
    return (lacking[0], lacking[-1]) if lacking else None


def _whole(case: Case) -> tuple[set[tuple[str, str]], set[str]]:
    """(account, day) of which other sources gave records, and all accounts of the store."""
    stored = paths(case, "cloudtrail")
    if not stored:
        return set(), set()
    source = f"read_parquet({files(stored)}, hive_partitioning = true, hive_types_autocast = false)"
    text = f"SELECT account_id, day, bool_or(source_kind <> 'athena') FROM {source} GROUP BY ALL"  # noqa: S608 - ours
    with duckdb.connect(":memory:") as connection:
        rows = connection.execute(text).fetchall()
    return {(account, day) for account, day, whole in rows if whole}, {account for account, _, _ in rows}


def _is_bound(look: exp.Expression) -> bool:
    """Whether one look at the events is held to suspects: a condition of its own SELECT that each row must meet."""
    asked = look.find_ancestor(exp.Select)
    where = asked.args.get("where") if asked is not None else None
    if asked is None or where is None:
        return False
    names = {look.alias_or_name.lower()}
    beside = [one for one in asked.find_all(exp.Table) if one.find_ancestor(exp.Select) is asked]
    if sum(one.name.lower() in _EVENTS for one in beside) == 1:
        names.add("")  # a column without a table is of this one
    return any(_names_suspects(part, names) for part in _parts(where.this, exp.And))


def _parts(node: exp.Expression, kind: type[exp.Connector]) -> Iterator[exp.Expression]:
    node = node.unnest()
    if isinstance(node, kind):
        yield from _parts(node.left, kind)
        yield from _parts(node.right, kind)
    else:
        yield node


def _names_suspects(condition: exp.Expression, names: set[str]) -> bool:
    """Whether every alternative of a condition asks for a suspect, in a column of the table of these names."""
    alternatives = list(_parts(condition, exp.Or))
    if len(alternatives) > 1:
        return all(_names_suspects(one, names) for one in alternatives)
    if isinstance(alternatives[0], exp.And):
        return any(_names_suspects(one, names) for one in _parts(alternatives[0], exp.And))
    # what suspects have in common with others, as a subquery tells it, is in other events than theirs too
    if not isinstance(alternatives[0], exp.ArrayContains | exp.In) or alternatives[0].find(exp.Query):
        return False
    held = any(one.table.lower() in names for one in alternatives[0].find_all(exp.Column))
    return held and any(one.name in _COVERED for one in alternatives[0].find_all(exp.Placeholder))
