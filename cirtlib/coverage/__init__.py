"""What was and was not seen: the ledger by source, account, Region and day, and the gaps beside every conclusion."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from cirtlib import evidence, queries, store
from cirtlib.case import Case, parse_time
from cirtlib.coverage import ledger, trails
from cirtlib.coverage.ledger import COLUMNS
from cirtlib.errors import CaseError, NotFoundError
from cirtlib.store import tally

__all__ = ["COLUMNS", "coverage", "gaps", "summary"]

# Services whose data events an investigation misses most; trails leave them out unless told otherwise ("Logging data
# events", aws-cloudtrail-user-guide).
_DATA = {"S3 object": "s3.amazonaws.com", "Lambda invocation": "lambda.amazonaws.com"}


def coverage(case: Case) -> pd.DataFrame:
    """Ledger of the evidence.

    Returns
    -------
    DataFrame
        Columns source, account, region, day, extent, status, objects, events, reason; sorted. Status is read, empty (a
        digest says that there was nothing), absent (neither objects nor digest, between the first and the last day of
        an account and Region, inside the window and its baseline), missing (a digest names a file that is not there),
        failed (objects or records that could not be read) or denied. `events` counts kept records and findings;
        `objects` the files they came from.
    """
    frame = pd.DataFrame(_rows(case), columns=COLUMNS)
    return frame.astype({"objects": "int64", "events": "int64"})


def _rows(case: Case) -> list[dict[str, Any]]:
    objects = tally.standing(evidence.entries(case))
    rows = ledger.read(case, objects)
    rows += ledger.refused(objects)
    rows += ledger.from_digests(case, objects, rows)
    rows += ledger.absent(rows, _bounds(case))
    return sorted(rows, key=lambda row: tuple(row[name] or "" for name in COLUMNS[:6]))


def _bounds(case: Case) -> tuple[str, str] | None:
    """First and last day that matter: those of the window and of the baseline before it."""
    try:
        start, end = queries.window(case)
    except NotFoundError:
        return None
    return f"{start - timedelta(days=case.baseline_days):%Y-%m-%d}", f"{end:%Y-%m-%d}"


def gaps(case: Case) -> list[dict[str, Any]]:
    """What cannot be seen in this evidence, in order of time.

    Returns
    -------
    list of dict
        account, region, from, to (ISO 8601 in UTC; None where open or everywhere) and reason. Logging-off windows, with
        the events that tell of them; trails that were changed to log less; days without objects, missing files and
        rejected records; data events that were not seen; and that nothing lies after the last record.
    """
    found = [*trails.gaps(case), *_days(_rows(case)), *_unseen(case), *_end(case)]
    return sorted(found, key=lambda gap: (gap["from"] or "", gap["account"] or "", gap["region"] or "", gap["reason"]))


def _days(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs of days that are absent, missing, failed or denied, one gap each."""
    words = {"absent": "no objects were collected", "missing": "", "failed": "", "denied": ""}
    found: list[dict[str, Any]] = []
    last: tuple[Any, ...] = ()
    for row in rows:
        if row["status"] not in words:
            continue
        reason, day = words[row["status"]] or row["reason"], row["day"]
        this = (row["source"], row["account"], row["region"], reason)
        first, until = (f"{day}T00:00:00Z", _next(day)) if day else (None, None)
        if day and last == this and found[-1]["to"] == first:
            found[-1]["to"] = until
        else:
            found.append(_gap(row["account"], row["region"], (first, until), reason))
        last = this
    return found


def _next(day: str) -> str:
    return f"{datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"


def _gap(account: str | None, region: str | None, span: tuple[str | None, str | None], reason: str) -> dict[str, Any]:
    return {"account": account or None, "region": region or None, "from": span[0], "to": span[1], "reason": reason}


def _unseen(case: Case) -> list[dict[str, Any]]:
    """Gaps for kinds of data events of which there is none."""
    seen = ledger.data_services(case)
    if seen is None:
        return [_gap(None, None, (None, None), "no CloudTrail records were collected")]
    return [
        _gap(
            None,
            None,
            (None, None),
            f"{what} data events are not seen in this evidence: reads and writes may be hidden",
        )
        for what, service in _DATA.items()
        if service not in seen
    ]


def _end(case: Case) -> list[dict[str, Any]]:
    """Gaps for what comes after the last record, of the case and of accounts that fall silent a day before it."""
    last = ledger.last_records(case)
    if not last:
        return []
    newest = max(last.values())
    try:
        until = f"{queries.as_of(case):%Y-%m-%dT%H:%M:%SZ}"
    except (NotFoundError, CaseError):
        until = None
    found = []
    if until is None or until > newest:
        found.append(_gap(None, None, (newest, until), "nothing was collected after the last record"))
    for silent, moment in sorted(last.items()):
        if parse_time(newest) - parse_time(moment) >= timedelta(days=1) and silent.isdigit():
            found.append(_gap(silent, None, (moment, newest), "nothing of this account after its last record"))
    return found


def summary(case: Case) -> str:
    """One paragraph: what was read of which accounts, Regions and days, and what was not seen."""
    totals, frame = store.total(case), coverage(case)
    seen = frame[frame["status"].eq("read")]
    logs, found = seen[seen["source"].eq("cloudtrail")], seen[seen["source"].ne("cloudtrail")]
    text = (
        f"{totals['objects']:,} objects held {totals['seen']:,} records: {totals['kept']:,} were kept, "
        f"{totals['duplicate']:,} are duplicates and {totals['rejected']:,} were rejected."
    )
    if len(logs):
        days = sorted(set(logs["day"]))
        text += (
            f" {logs['events'].sum():,} CloudTrail records are of {logs['account'].nunique()} accounts and "
            f"{logs['region'].nunique()} Regions, from {days[0]} to {days[-1]}."
        )
    if len(found):
        text += f" {found['events'].sum():,} findings were read."
    off = [gap for gap in trails.gaps(case) if gap["reason"].startswith("logging off")]
    if off:
        text += (
            f" Logging was off in {len(off)} windows, the first from {off[0]['from']} to {off[0]['to'] or 'the end'}."
        )
    absent = frame[frame["status"].eq("absent")]
    if len(absent):
        text += f" {len(absent):,} days of an account and Region have neither objects nor a digest."
    services = ledger.data_services(case)
    unseen = [what for what, service in _DATA.items() if service not in (services or ())]
    return text + (f" Not seen: {' and '.join(unseen)} data events." if unseen else "")
