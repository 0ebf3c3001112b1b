"""What was and was not seen: the ledger by source, account, Region and day, and the gaps beside every conclusion.

Each function takes a case, or what `look` found in one, so that several of them read it once.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from cirtlib import store
from cirtlib.case import Case
from cirtlib.coverage import absent, asked, categories, digests, ledger, limits, sentences, trails
from cirtlib.coverage.rows import COLUMNS, HISTORY, LOGS, Held, Row, held
from cirtlib.text import many

__all__ = ["COLUMNS", "Coverage", "coverage", "gaps", "kinds", "look", "places", "summary"]


@dataclass(frozen=True)
class Coverage:
    """What a case covers, read once.

    Attributes
    ----------
    rows
        The ledger, sorted.
    windows
        Windows in which a trail was off or recorded less, as `gaps` gives them.
    """

    held: Held
    rows: list[Row]
    windows: list[dict[str, Any]]

    def table(self) -> pd.DataFrame:
        """The ledger: see `coverage`."""
        frame = pd.DataFrame([row[: len(COLUMNS)] for row in self.rows], columns=list(COLUMNS))
        return frame.astype({"objects": "int64", "events": "int64"})

    def gaps(self) -> list[dict[str, Any]]:
        """The gaps: see the function of this name."""
        found = [*self.windows, *sentences.gaps(self.rows), *limits.gaps(self.held, self.rows)]
        found += [
            {"account": None, "region": None, "from": None, "to": None, "reason": reason}
            for reason in categories.gaps(self.held)
        ]
        return sorted(
            found, key=lambda gap: (gap["from"] or "", gap["account"] or "", gap["region"] or "", gap["reason"])
        )

    def summary(self) -> str:
        """The paragraph: see the function of this name."""
        totals = store.total(self.held.case)
        text = (
            f"{totals['objects']:,} objects held {totals['seen']:,} records: {totals['kept']:,} were kept, "
            f"{totals['duplicate']:,} are duplicates and {totals['rejected']:,} were rejected."
        )
        text += _seen(self.rows)
        off = [gap for gap in self.windows if gap["reason"].startswith(trails.OFF)]
        if off:
            since, until = off[0]["from"] or "a time that is not known", off[0]["to"] or "the end"
            times = "window" if len(off) == 1 else "windows"
            text += f" Logging was off in {len(off)} {times}, the first from {since} to {until}."
        text += _unseen(self.rows)
        unseen = categories.unseen(self.held)
        return text + (f" Not seen: {' and '.join(unseen)} data events." if unseen else "")


def look(case: Case | Coverage) -> Coverage:
    """Read what a case covers; what was read already is given back as it is."""
    if isinstance(case, Coverage):
        return case
    known = held(case)
    windows = trails.gaps(known)
    rows = asked.marked(known, ledger.read(known))
    rows += [*digests.rows(known, rows), *asked.rows(known, rows), *ledger.refused(known)]
    off = [gap for gap in windows if gap["reason"].startswith(trails.OFF)]
    rows += absent.rows(known, rows, asked.listed(known), (trails.everywhere(known), off))
    return Coverage(known, sorted(rows, key=lambda row: tuple(part or "" for part in row[:6])), windows)


def coverage(case: Case | Coverage) -> pd.DataFrame:
    """Ledger of the evidence.

    Returns
    -------
    DataFrame
        Columns source, account, region, day, extent, status, objects, events, reason; sorted. Source is that of the
        case, or `event history`. Extent is all, or the filter that alone was asked for. Status is read, empty (digests
        or event history say that there was nothing), absent (no objects, where there should be some: the reason says
        what is known of such a day), missing (a digest names a file that is not there), failed (objects or records that
        could not be read, or are not what a digest says) or denied. `events` counts kept records and findings;
        `objects` the files they came from. Day is None for what is of no single day.
    """
    return look(case).table()


def places(case: Case | Coverage) -> pd.DataFrame:
    """The ledger in short: one row per source, account and Region.

    Returns
    -------
    DataFrame
        Columns source, account, region, days_read, days_absent, other (how many rows were empty, missing, failed or
        denied), objects, events, and reason: the first, and how many others there are.
    """
    columns = ["source", "account", "region", "days_read", "days_absent", "other", "objects", "events", "reason"]
    rows = []
    for place, group in look(case).table().groupby(columns[:3], dropna=False, sort=True):
        status = group["status"]
        days = [group.loc[status == name, "day"].nunique() for name in ("read", "absent")]
        other = status[~status.isin(["read", "absent"])].value_counts().sort_index()
        reasons = list(dict.fromkeys(filter(None, group["reason"])))
        more = f" (and {many(len(reasons) - 1, 'other reason')})" if len(reasons) > 1 else ""
        sums = [group["objects"].sum(), group["events"].sum()]
        said = ", ".join(f"{count:,} {name}" for name, count in other.items())
        rows.append([*place, *days, said, *sums, (reasons[0] if reasons else "") + more])
    return pd.DataFrame(rows, columns=columns)


def gaps(case: Case | Coverage) -> list[dict[str, Any]]:
    """What cannot be seen in this evidence, in order of time.

    Returns
    -------
    list of dict
        account, region, from, to (ISO 8601 in UTC; None where open or everywhere) and reason. Windows without logging,
        with the events that tell of them; trails that were changed to log less, or fail to deliver; days without
        objects, missing and changed files, what was refused; kinds of events that were not seen; what is too old for an
        API; and that nothing lies after the last record. What lacks in the same way is one gap.
    """
    return look(case).gaps()


def kinds(case: Case | Coverage) -> pd.DataFrame:
    """One row for each kind of events: kind, recorded (by which trail, for what; `not known`), seen (count)."""
    return categories.table(case.held if isinstance(case, Coverage) else held(case))


def summary(case: Case | Coverage) -> str:
    """One paragraph: what was read of which accounts, Regions and days, and what was not seen."""
    return look(case).summary()


def _seen(rows: list[Row]) -> str:
    """What was read, in words."""
    read = [row for row in rows if row.status == "read"]
    text = ""
    for source, words in ((LOGS, "CloudTrail records"), (HISTORY, "records of event history")):
        own = [row for row in read if row.source == source]
        if own:
            days = sorted(row.day for row in own if row.day)
            text += (
                f" {sum(row.events for row in own):,} {words} are of {len({row.account for row in own})} accounts and "
                f"{len({row.region for row in own})} Regions"
            )
            text += f", from {days[0]} to {days[-1]}." if days else "."  # lookups that found nothing new have no day
            partial = {row.extent for row in own} - {"all"}
            if partial:
                text += f" Of them {len(partial)} lookups cover only what they were asked for."
    found = sum(row.events for row in read if row.source not in {LOGS, HISTORY})
    return text + (f" {found:,} findings were read." if found else "")


def _unseen(rows: list[Row]) -> str:
    """What was not seen, in words."""
    words = {
        "none": "{} days of an account and Region have neither objects nor anything else of the account.",
        "busy": "{} days of Regions that are usually busy have no objects.",
        "quiet": "{} days of an account and Region have no objects while other Regions had some.",
        "logged": "{} days of an account and Region have no objects while a trail recorded all Regions.",
        "log missing": "Digests name files that are not there on {} days of an account and Region.",
        "log changed": "Log files are not what their digests say on {} days of an account and Region.",
    }
    counts = {kind: sum(row.kind == kind for row in rows) for kind in words}
    text = "".join(f" {words[kind].format(f'{count:,}')}" for kind, count in counts.items() if count)
    denied = sum(row.status == "denied" for row in rows)
    return text + (f" {denied:,} rows of the ledger were denied." if denied else "")
