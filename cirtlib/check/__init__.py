"""Could a collect read what it needs here, and is there anything to read? Asked before an incident; reads no logs.

One row for each thing that was checked. `denied` and `failed` are what a collect would fail at; `off` is evidence that
will not be there.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cirtlib.aws import Aws, targets
from cirtlib.case import Case, new_case
from cirtlib.check import calls, logs, settings
from cirtlib.check.calls import RESULTS, Answer, Lane, Row
from cirtlib.errors import CaseError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RESULTS", "Row", "case_of", "check", "folded", "is_ready", "table"]

COLUMNS = ["account", "region", "what", "result", "detail"]
_API = ("guardduty", "security_hub", "account")
_THREADS = 32
_T = TypeVar("_T")
_U = TypeVar("_U")


def case_of(
    accounts: Sequence[str] = (),
    regions: Sequence[str] = (),
    buckets: Sequence[str] = (),
    access: Mapping[str, str] | None = None,
) -> Case:
    """What would be checked for a case of these accounts that reads all that cirtlib can; it is written nowhere.

    `access` is that of case.yaml; what is '' in it is left out.

    Raises
    ------
    CaseError
        when an account, a Region or a bucket's address is none.
    """
    apis: list[dict[str, Any]] = [{"cloudtrail": {"event_history": True}}, *({kind: {"api": True}} for kind in _API)]
    content = {
        "accounts": list(accounts),
        "regions": list(regions),
        "access": {name: value for name, value in (access or {}).items() if value},
        "sources": [*({"cloudtrail": {"s3": address}} for address in buckets), *apis],
    }
    with tempfile.TemporaryDirectory(prefix="cirt-") as scratch:
        try:
            return new_case(Path(scratch) / "check", content)
        except CaseError as error:  # its first line names a folder that nobody asked for
            raise CaseError("cannot check that:\n" + str(error).partition("\n")[2]) from None


def check(case: Case) -> list[Row]:
    """Everything that was checked for a case, in order of account and Region; what lies in buckets last.

    Raises
    ------
    CaseError
        when a bucket's address is none.
    AccessError
        when there are no credentials at all, or they have run out.
    """
    places = logs.places(case)
    aws = Aws(case.access)
    where = targets(case, aws)
    found: list[Row] = []
    sources = _needed(case)
    reached = _side_by_side(aws.reach, where)
    entered: dict[str, list[str]] = {}
    for account, (status, reason) in zip(where, reached, strict=True):
        found.append(Row(account, "", "enter the account", status, reason))
        if status == "ok":
            entered[account] = where[account]
    found += _accounts(aws, entered, sources)
    found.sort(key=lambda row: row.account)
    for place in places:
        found += logs.rows(case, aws, place, list(where))
    return found


def _needed(case: Case) -> frozenset[str]:
    """Names of what the case reads through APIs, as data/check_calls.tsv has them."""
    history = {"event_history" for source in case.sources if "event_history" in source.options}
    return frozenset(history | {source.kind for source in case.sources if "api" in source.options})


def _accounts(aws: Aws, entered: dict[str, list[str]], sources: frozenset[str]) -> Iterator[Row]:
    """What can be called, and what is on, in each account and Region."""
    asked = sources | {"settings"}
    lanes = [lane for account, regions in entered.items() for lane in calls.lanes(account, regions, asked)]
    answers = dict(zip(lanes, _side_by_side(lambda lane: calls.run(aws, lane, asked), lanes), strict=True))
    for lane, given in answers.items():
        yield from calls.rows(lane, given, sources)
    yield from _trails(aws, answers, sources)
    for lane, given in answers.items():
        if made_row := _SETTINGS.get(lane.service):
            yield made_row(lane.account, lane.region, given)


_SETTINGS = {"guardduty": settings.guardduty, "securityhub": settings.security_hub, "config": settings.config}


def _trails(aws: Aws, answers: dict[Lane, dict[str, Answer]], sources: frozenset[str]) -> Iterator[Row]:
    """What can be called of trails, and what they do in each account and Region."""
    found: dict[str, dict[str, Answer]] = {}
    for lane, given in answers.items():
        if "DescribeTrails" in given:
            found.setdefault(lane.account, {})[lane.region] = given["DescribeTrails"]
    known = settings.trails(found)
    _side_by_side(lambda trail: settings.learn(aws, trail, sources | {"settings"}), known)
    for trail in known:
        yield from settings.call_rows(trail, sources)
    for account, regions in found.items():
        yield from settings.trail_rows(account, regions, {trail.arn: trail for trail in known})


def _side_by_side(work: Callable[[_T], _U], items: Iterable[_T]) -> list[_U]:
    """Results in order; the first error ends the rest."""
    with ThreadPoolExecutor(_THREADS) as threads:
        try:
            return list(threads.map(work, items))
        finally:
            threads.shutdown(cancel_futures=True)


def is_ready(rows: Iterable[Row]) -> bool:
    """Whether a collect would get all that it asks for."""
    return not any(row.result in {"denied", "failed"} for row in rows)


def folded(rows: Iterable[Row]) -> list[Row]:
    """The same for reading: Regions of an account where the same holds, and calls that went well, in one row each."""
    regions: dict[tuple[str, str, str, str], list[str]] = {}
    for row in rows:
        regions.setdefault((row.account, row.what, row.result, row.detail), []).append(row.region)
    several = [Row(account, _listed(where), *rest) for (account, *rest), where in regions.items()]
    made: list[Row] = []
    good: dict[tuple[str, str], int] = {}
    for row in several:
        if not (row.what.startswith("call ") and row.result == "ok"):
            made.append(row)
            continue
        service = row.what.split()[1]
        if (row.account, service) in good:
            at = good[row.account, service]
            made[at] = Row(row.account, "", f"call {service}", "ok", f"{made[at].detail}, {row.what.split()[2]}")
        else:
            good[row.account, service] = len(made)
            made.append(Row(row.account, "", f"call {service}", "ok", row.what.split()[2]))
    return made


def _listed(regions: list[str]) -> str:
    return ", ".join(regions) if len(regions) < 4 else f"{len(regions)} Regions"


def table(rows: Iterable[Row]) -> "pd.DataFrame":
    """Rows as a table: account, region, what, result, detail."""
    import pandas as pd  # noqa: PLC0415 - loaded where it is needed

    return pd.DataFrame([[getattr(row, name) for name in COLUMNS] for row in rows], columns=COLUMNS, dtype="string")
