"""How far the evidence of each account and Region reaches, so that silence after a moment can be told from blindness.

A record shows that log files reach its time. Where a Region is silent, only what was asked can show it: a digest names
the log files of an hour, a listing those that were there, event history whatever it holds. CloudTrail delivers within
about 15 minutes of a call ("How CloudTrail works", aws-cloudtrail-user-guide): what was asked tells of the time before.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from cirtlib.case import Case, parse_time
from cirtlib.coverage import Coverage, ledger, look, trails
from cirtlib.coverage.digests import FALSE
from cirtlib.coverage.rows import ALL, HISTORY, LOGS, Held, extent_of, source_of

COLUMNS = ("account", "region", "until", "by", "lacks")
LATE = timedelta(minutes=15)
"""How late CloudTrail may deliver a record."""

Pair = tuple[str, str]
Found = tuple[Pair, datetime, str]


def reach(case: Case | Coverage, since: datetime, *, margin: timedelta = LATE) -> pd.DataFrame:
    """How far the evidence of each account and Region reaches, and what it lacks from `since` to `since + margin`.

    Returns
    -------
    DataFrame
        `COLUMNS`, a row for each account and Region of which something was collected or asked. `until` (aware UTC, NaT
        where nothing tells) is the time until which calls are in the evidence, `by` what shows it: log files, digests,
        a listing or event history. `lacks` are sentences; none where `since + margin` is reached.
    """
    known = look(case)
    best: dict[Pair, tuple[datetime | None, str]] = {}
    for pair, until, by in _found(known.held):
        old = best.get(pair, (None, ""))[0]
        if old is None or until > old:
            best[pair] = (until, by)
    asked = {(row.account, row.region) for row in known.rows if row.source in (LOGS, HISTORY) and row.extent == ALL}
    for account, region in asked:
        if account and region and account.isdigit():
            best.setdefault((account, region), (None, ""))
    rows = [
        [*pair, until, by, list(_lacks(known, pair, (until, by), (since, since + margin)))]
        for pair, (until, by) in sorted(best.items())
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["until"] = pd.to_datetime(table["until"], utc=True)
    return table


def _found(held: Held) -> Iterator[Found]:
    """Everything that shows how far an account and Region is covered."""
    yield from _records(held)
    yield from _digests(held)
    everywhere = trails.everywhere(held)
    for line in held.slices:
        one, pair = line["slice"], (line["slice"]["account"], line["slice"]["region"])
        if one["status"] not in {"read", "empty"} or one["extent"] != ALL or not all(pair):
            continue
        if source_of(line) == HISTORY:
            yield from ((pair, parse_time(end), "event history") for _, end in one["facts"].get("covered") or ())
        elif one["name"].startswith("list:") and one["facts"].get("kind") == "CloudTrail" and pair[0] in everywhere:
            end = parse_time(line["collected_at"]) - LATE
            last = parse_time(one["end"][:10]) + timedelta(days=1) if one["end"] else end
            yield pair, min(end, last), "a listing of the bucket"


def _records(held: Held) -> Iterator[Found]:
    """Last records of log files, and spans of event history, that were read for all events."""
    origins = {item["object"]: item for item in held.objects}
    sql = "SELECT account_id, awsregion, source_object, max(eventtime) FROM t GROUP BY ALL"
    for account, region, digest, last in held.ask("cloudtrail", sql):
        item = origins.get(digest, {"place": "", "source": LOGS, "name": ""})
        if source_of(item) == LOGS and extent_of(item) == ALL and account.isdigit() and region:
            yield (account, region), parse_time(last), "log files"
    for item in held.objects:
        facts = item.get("facts") or {}
        if source_of(item) == HISTORY and extent_of(item) == ALL and len(facts.get("covers") or ()) == 2:
            yield (facts["account"], facts["region"]), parse_time(facts["covers"][1]), "event history"


def _digests(held: Held) -> Iterator[Found]:
    """What digests show: they are delivered every hour, also where there was nothing to log."""
    frame = held.verdicts
    sound = frame[frame["kind"].eq("digest") & ~frame["verdict"].isin(FALSE)]
    for (account, region), end in sound.groupby(["account", "region"])["end"].max().items():
        if account and region and pd.notna(end):
            yield (str(account), str(region)), end.to_pydatetime() - LATE, "digests"


def _lacks(
    known: Coverage, pair: Pair, reached: tuple[datetime | None, str], wanted: tuple[datetime, datetime]
) -> Iterator[str]:
    """What is missing of an account and Region between two moments, in sentences."""
    (account, region), (until, by), (start, end) = pair, reached, wanted
    if until is None:
        yield f"nothing tells how far its evidence reaches, and it must reach {_iso(end)}"
    elif until < end:
        yield f"its evidence ({by}) reaches {_iso(until)}, and must reach {_iso(end)}"
    source = HISTORY if by == "event history" else LOGS
    for row in known.rows:
        hit = row.account == account and row.region in (None, region) and row.source == source
        days = row.day is None or f"{start:%Y-%m-%d}" <= row.day <= f"{end:%Y-%m-%d}"
        if hit and days and row.status in ("missing", "failed", "denied") and row.extent == ALL:
            yield f"{row.status}: {row.reason}"
    if source == LOGS:
        yield from _off(known, pair, wanted)


def _off(known: Coverage, pair: Pair, wanted: tuple[datetime, datetime]) -> Iterator[str]:
    """Times in which a trail was off and nothing else recorded the account."""
    first, last = map(_iso, wanted)
    for gap in known.windows:
        if not _is_off(gap, pair):
            continue
        start, end = max(gap["from"] or first, first), min(gap["to"] or last, last)
        if start < end and not ledger.count_between(known.held, pair[0], start, end):
            yield str(gap["reason"])


def _is_off(gap: dict[str, Any], pair: Pair) -> bool:
    where = gap["account"] in (None, pair[0]) and gap["region"] in (None, pair[1])
    return where and str(gap["reason"]).startswith(trails.OFF)


def _iso(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"
