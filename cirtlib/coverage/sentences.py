"""Gaps in few words: days in a row, Regions and accounts that lack the same are one gap. The ledger has every row."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from cirtlib.coverage.rows import LOGS, WORDS, Row

_SHOWN = 3  # accounts or Regions that a sentence names
_MANY = 3  # gaps of one kind in an account from which on they are told together
_TOO_MANY = 8  # gaps of one kind in the case from which on they are told together
# Kinds that are no gap by themselves: a window without logging is told as such, event history fills the day.
_TOLD = {"", "off", "history"}
_QUIET = {"quiet": "other Regions of the account had some", "logged": "a trail recorded all Regions"}


class _Run(NamedTuple):
    """Days in a row of some accounts and Regions that lack the same; `days` counts those of each Region."""

    source: str
    kind: str
    extent: str
    accounts: tuple[str, ...]
    regions: tuple[str, ...]
    first: str | None
    last: str | None
    days: int
    number: int
    example: str


def gaps(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Gaps that the rows of a ledger tell, as `cirtlib.coverage.gaps` gives them."""
    rows = [row for row in rows if row.kind not in _TOLD]
    runs = _runs(row for row in rows if row.kind not in _QUIET)
    runs = _joined(runs, lambda run: (run.source, run.kind, run.extent, run.accounts, run.first, run.last))
    runs = _crowded(runs, lambda run: (run.source, run.kind, run.extent, run.accounts), _MANY)
    runs = _joined(runs, lambda run: (run.source, run.kind, run.extent, run.regions, run.first, run.last))
    runs = _crowded(runs, lambda run: (run.source, run.kind, run.extent), _TOO_MANY)
    return [*map(_gap, runs), *_quiet(rows)]


def _runs(rows: Iterable[Row]) -> list[_Run]:
    """Days in a row of one account and Region with one kind."""
    found: list[_Run] = []
    for row in sorted(rows, key=lambda row: (row.source, row.kind, row.extent, *map(_text, row[1:4]), row.example)):
        accounts, regions = ((name,) if name else () for name in (row.account, row.region))
        one = _Run(row.source, row.kind, row.extent, accounts, regions, row.day, row.day, 1, row.number, row.example)
        last = found[-1] if found else None
        if last and last[:5] == one[:5] and row.day and last.last and row.day in {last.last, _after(last.last)}:
            more = int(row.day != last.last)
            found[-1] = last._replace(last=row.day, days=last.days + more, number=_sum(last, one))
        else:
            found.append(one)
    return found


def _joined(runs: list[_Run], key: Any) -> list[_Run]:  # noqa: ANN401 - a function of a run
    """Runs that differ in accounts or Regions alone, made one."""
    groups: dict[Any, list[_Run]] = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return [_sole(own) for own in groups.values()]


def _crowded(runs: list[_Run], key: Any, most: int) -> list[_Run]:  # noqa: ANN401 - a function of a run
    """Where there are more runs of one key than `most`, one over all of them."""
    groups: dict[Any, list[_Run]] = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return [run for own in groups.values() for run in ([_sole(own)] if len(own) > most else own)]


def _sole(runs: list[_Run]) -> _Run:
    """One run over several: from the first day to the last, with the accounts and Regions of all."""
    first, last = ([day for run in runs if (day := getattr(run, name))] for name in ("first", "last"))
    return runs[0]._replace(
        accounts=tuple(sorted({one for run in runs for one in run.accounts})),
        regions=tuple(sorted({one for run in runs for one in run.regions})),
        first=min(first, default=None), last=max(last, default=None),
        days=sum(run.days for run in runs), number=sum(run.number for run in runs),
    )  # fmt: skip


def _sum(one: _Run, other: _Run) -> int:
    return max(one.number, other.number) if one.kind == "busy" else one.number + other.number


def _gap(run: _Run) -> dict[str, Any]:
    if run.kind == "busy":
        reason = "no objects were collected, though such days are usually busy here"
    elif run.kind == "refused" and run.number > run.days:
        reason = f"{run.number:,} requests went like the first: {run.example}"
    else:
        reason = WORDS[run.kind].format(number=run.number, example=run.example)
    if run.extent != "all":
        reason += f", asked for {run.extent}"
    places = []
    for names, noun in ((run.accounts, "accounts"), (run.regions, "Regions")):
        if len(names) > 1:
            more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
            places.append(f"{len(names):,} {noun}: {', '.join(names[:_SHOWN])}{more}")
    if run.first and run.last:
        spanned = (datetime.fromisoformat(run.last) - datetime.fromisoformat(run.first)).days + 1
        if run.days != spanned * max(len(run.regions), 1) * max(len(run.accounts), 1):
            places.append(f"{run.days:,} days of a Region in all")
    source = f"{run.source}: " if run.source != LOGS else ""
    where = f" ({'; '.join(places)})" if places else ""
    return {
        "account": run.accounts[0] if len(run.accounts) == 1 else None,
        "region": run.regions[0] if len(run.regions) == 1 else None,
        "from": f"{run.first}T00:00:00Z" if run.first else None,
        "to": f"{_after(run.last)}T00:00:00Z" if run.last else None,
        "reason": f"{source}{reason}{where}",
    }


def _quiet(rows: list[Row]) -> list[dict[str, Any]]:
    """One gap for all days of Regions in which there was probably nothing."""
    quiet = [row for row in rows if row.kind in _QUIET]
    if not quiet:
        return []
    account, *others = sorted({str(row.account) for row in quiet})
    pairs = len({(row.account, row.region) for row in quiet})
    days = sorted({str(row.day) for row in quiet})
    why = " or ".join(text for kind, text in _QUIET.items() if any(row.kind == kind for row in quiet))
    reason = (
        f"{len(quiet):,} days of {pairs:,} Regions of accounts have no objects, while {why}: perhaps there was nothing "
        "to log there, but no digest says so; the table of coverage names them"
    )
    span = f"{days[0]}T00:00:00Z", f"{_after(days[-1])}T00:00:00Z"
    return [{"account": None if others else account, "region": None, "from": span[0], "to": span[1], "reason": reason}]


def _after(day: str) -> str:
    return f"{datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1):%Y-%m-%d}"


def _text(value: str | None) -> str:
    return value or ""
