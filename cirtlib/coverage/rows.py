"""Rows of the ledger, and what of a case they are made from, read once."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

import duckdb
import pandas as pd

from cirtlib import digest, evidence, queries, store
from cirtlib.case import Case
from cirtlib.errors import CaseError, NotFoundError
from cirtlib.store import tally
from cirtlib.store.settle import files

COLUMNS = ("source", "account", "region", "day", "extent", "status", "objects", "events", "reason")

LOGS, HISTORY = "cloudtrail", "event history"
"""Sources of the ledger that hold CloudTrail records: what a trail delivered, and what LookupEvents gave."""

ALL = "all"
WORDS = {
    "log missing": "digests name {number:,} files that were not collected, such as {example}",
    "digest missing": "{number:,} digests are missing, such as {example}",
    "log changed": "{number:,} log files are not what their digest says, such as {example}",
    "digest false": "{number:,} digests are not genuine, such as {example}",
    "failed": "{number:,} rejected, the first in {example}",
    "denied": "{number:,} may not be read, the first is {example}",
    "refused": "{example}",
    "partial": "event history was not read to its end: collect again",
    "none": "no objects were collected of this account",
    "busy": "no objects were collected, though there are usually {number:,} events on such a day",
    "off": "no objects were collected: logging was off",
    "history": "no objects were collected; event history covers the day",
    "logged": "no objects were collected while trail {example} recorded all Regions: likely there was nothing",
    "quiet": "no objects were collected while other Regions of the account had some: perhaps there was nothing",
}
"""Why a row is a gap, by its kind. `quiet` and `logged` are the days of Regions in which probably nothing was done."""


class Row(NamedTuple):
    """One row: the columns of the ledger, then what groups it with others: kind, number, and an example.

    The kind is '' for what is no gap, else a key of WORDS; names in an example are hostile.
    """

    source: str
    account: str | None
    region: str | None
    day: str | None
    extent: str
    status: str
    objects: int = 0
    events: int = 0
    reason: str = ""
    kind: str = ""
    number: int = 0
    example: str = ""


def gap(
    source: str,
    place: tuple[str | None, str | None, str | None],
    status: str,
    said: tuple[str, int, str],
    *,
    objects: int = 0,
    extent: str = ALL,
) -> Row:
    """Row of what was not seen: source, (account, Region, day), status, (kind, number, example)."""
    kind, number, example = said
    reason = WORDS[kind].format(number=number, example=example)
    return Row(source, *place, extent, status, objects, 0, reason, kind, number, example)


@dataclass(frozen=True)
class Held:
    """What a case holds: its manifest, and what follows from it once it is asked for.

    Attributes
    ----------
    objects
        Manifest lines of objects that count.
    slices
        Manifest lines of what was asked as a whole, the last of each name in a place.
    """

    case: Case
    objects: list[dict[str, Any]]
    slices: list[dict[str, Any]]

    @cached_property
    def window(self) -> tuple[datetime, datetime] | None:
        """Begin and end of the window; None where nothing tells."""
        try:
            return queries.window(self.case)
        except NotFoundError:
            return None

    @cached_property
    def bounds(self) -> tuple[str, str] | None:
        """First and last day that matter: those of the window and of the baseline before it."""
        if self.window is None:
            return None
        start, end = self.window
        return f"{start - timedelta(days=self.case.baseline_days):%Y-%m-%d}", f"{end:%Y-%m-%d}"

    @cached_property
    def until(self) -> str | None:
        """The moment as of which the case is told, ISO 8601."""
        try:
            return f"{queries.as_of(self.case):%Y-%m-%dT%H:%M:%SZ}"
        except (NotFoundError, CaseError):
            return None

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """Verdicts on digests and log files; no rows without digests."""
        if not any(item["other"] == "digest" for item in self.objects):
            return pd.DataFrame(columns=list(digest.COLUMNS))
        return digest.verdicts(self.case)

    @cached_property
    def changes(self) -> list[tuple[Any, ...]]:
        """Successful calls that change trails: time, name, account, Region, request, response, event id; by time."""
        return self.ask(
            "cloudtrail",
            "SELECT eventtime, eventname, account_id, awsregion, requestparameters, responseelements, eventid FROM t "
            "WHERE eventsource = 'cloudtrail.amazonaws.com' AND COALESCE(errorcode, '') = '' AND eventname IN "
            "('StopLogging', 'StartLogging', 'DeleteTrail', 'CreateTrail', 'UpdateTrail', 'PutEventSelectors', "
            "'PutInsightSelectors') ORDER BY eventtime, eventid",
        )

    def ask(self, table: str, sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """Rows of a SELECT over one table of the store, named `t`; none when it has no files."""
        found = store.paths(self.case, table)
        if not found:
            return []
        source = f"read_parquet({files(found)}, hive_partitioning = true, hive_types_autocast = false)"
        with duckdb.connect(":memory:") as connection:
            return list(connection.execute(sql.replace("FROM t", f"FROM {source} t"), parameters or []).fetchall())


def held(case: Case) -> Held:
    """Read the manifest of a case."""
    lines = evidence.lines(case)
    slices = {(line["place"], line["slice"]["name"]): line for line in lines if "slice" in line}
    return Held(case, tally.standing([line for line in lines if "slice" not in line]), list(slices.values()))


def source_of(line: dict[str, Any]) -> str:
    """Source of a manifest line as the ledger names it."""
    return HISTORY if line["place"] == "event_history" else str(line["source"])


def extent_of(line: dict[str, Any]) -> str:
    """All, or the filter by which an object was asked for."""
    return str((line.get("facts") or {}).get("extent") or ALL)


def days(first: str, last: str) -> Iterator[str]:
    """Days from the first to the last, both included, as YYYY-MM-DD."""
    day, end = date.fromisoformat(first[:10]), date.fromisoformat(last[:10])
    while day <= end:
        yield day.isoformat()
        day += timedelta(days=1)
