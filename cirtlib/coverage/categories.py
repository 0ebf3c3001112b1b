"""Kinds of events beside management events: whether they were recorded, for what, and what of them is there.

"Logging data events", "Logging network activity events", "Working with CloudTrail Insights"
(aws-cloudtrail-user-guide). A trail records management events unless it was told otherwise, and others only when it was
told to.
"""

from collections import defaultdict
from typing import Any

import pandas as pd

from cirtlib.coverage import selectors, settings
from cirtlib.coverage.rows import Held
from cirtlib.coverage.selectors import DATA, MANAGEMENT, NETWORK, Part, parsed

COLUMNS = ("kind", "recorded", "seen")
UNKNOWN = "not known"
# Kinds of data events that an investigation misses most: type of resource, source of the events.
_MISSED = {
    "S3 object": ("AWS::S3::Object", "s3.amazonaws.com"),
    "Lambda invocation": ("AWS::Lambda::Function", "lambda.amazonaws.com"),
}


def table(held: Held) -> pd.DataFrame:
    """One row for each kind of events: kind, recorded (in words, by which trail), seen (count in this evidence)."""
    recorded, counts = _recorded(held), _counts(held)
    rows: list[tuple[str, str, int]] = [("management events", _words(recorded, MANAGEMENT, ""), counts[MANAGEMENT, ""])]
    named = set()
    for what, (resource, source) in _MISSED.items():
        rows.append((f"{what} data events", _words(recorded, DATA, resource), counts[DATA, source]))
        named |= {(DATA, resource), (DATA, source)}
    for category, noun in ((DATA, "data events"), (NETWORK, "network activity events")):
        others = {
            part.what for _, part in recorded or () if part.category == category and (category, part.what) not in named
        }
        for what in sorted(others):
            rows.append((f"{what or 'all'} {noun}", _words(recorded, category, what), counts[category, what]))
            named.add((category, what))
        for source in sorted(what for kind, what in counts if kind == category and (kind, what) not in named):
            rows.append((f"{source} {noun}", UNKNOWN, counts[category, source]))
    if not any(kind.endswith("network activity events") for kind, *_ in rows):
        rows.append(("network activity events", _words(recorded, NETWORK, ""), 0))
    rows.append(("insights", _insights(held), _rows_of(held, "insights")))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"seen": "int64"})


def gaps(held: Held) -> list[str]:
    """Sentences on kinds of data events of which there is none."""
    counts = _counts(held)
    if not counts:
        return ["no CloudTrail records were collected"]
    recorded = _recorded(held)
    found = []
    for what, (resource, source) in _MISSED.items():
        if counts[DATA, source]:
            continue
        said = _words(recorded, DATA, resource)
        why = {
            UNKNOWN: "reads and writes may be hidden",
            "no": "no trail that is known records them, so that reads and writes are hidden",
        }.get(said, f"though they are recorded ({said})")
        found.append(f"{what} data events are not seen in this evidence: {why}")
    return found


def unseen(held: Held) -> list[str]:
    """Kinds of data events of which there is none."""
    counts = _counts(held)
    return [what for what, (_, source) in _MISSED.items() if not counts.get((DATA, source))]


def _counts(held: Held) -> dict[tuple[str, str], int]:
    """Count of records by category and, for all but management events, source."""
    sql = (
        "SELECT category, CASE WHEN category = 'Management' THEN '' ELSE source END AS source, sum(events) FROM ("
        "SELECT CASE WHEN eventcategory = 'NetworkActivity' THEN 'NetworkActivity' "
        "WHEN eventcategory = 'Data' OR managementevent = 'false' THEN 'Data' ELSE 'Management' END AS category, "
        "COALESCE(eventsource, '') AS source, count(*) AS events FROM t GROUP BY ALL) AS counted GROUP BY ALL"
    )
    found: dict[tuple[str, str], int] = defaultdict(int)
    for category, source, count in held.ask("cloudtrail", sql):
        found[category, source] += int(count)
    return found


def _rows_of(held: Held, table_: str) -> int:
    found = held.ask(table_, "SELECT count(*) FROM t")
    return int(found[0][0]) if found else 0


def _recorded(held: Held) -> list[tuple[str, Part]] | None:
    """What each trail records, by the account's own description, else by the last record that set it; None: unknown."""
    known: dict[tuple[str, ...], list[Part]] = {}
    for _, name, account, _, request, response, _ in held.changes:
        if name == "PutEventSelectors":
            asked = {**parsed(request), **parsed(response)}
            named = str(asked.get("trailName") or asked.get("trailARN") or "").rpartition("/")[2]
            known[account, named] = selectors.parts(asked)
    for (account, _, trail), one in settings.trails(held).items():
        if one.parts is not None:
            known[account, trail] = one.parts
    return [(key[1], part) for key, own in sorted(known.items()) for part in own] if known else None


def _words(recorded: list[tuple[str, Part]] | None, category: str, what: str) -> str:
    """Which trails record a kind of events, and for what."""
    if recorded is None:
        return UNKNOWN
    found = [f"{part.words}, by {trail}" for trail, part in recorded if part.category == category and part.what == what]
    return "; ".join(found) or "no"


def _insights(held: Held) -> str:
    """Which insights were on, by the account's own description, else by the last record that set them."""
    known: dict[tuple[str, str], list[str]] = {}
    for _, name, account, _, request, _, _ in held.changes:
        asked: dict[str, Any] = parsed(request)
        found = selectors.insights(asked)
        if name == "PutInsightSelectors" and found is not None:
            known[account, str(asked.get("trailName") or "").rpartition("/")[2]] = found
    for (account, _, trail), one in settings.trails(held).items():
        if one.insights is not None:
            known[account, trail] = one.insights
    said = [f"{', '.join(own)}, by {trail}" for (_, trail), own in sorted(known.items()) if own]
    return "; ".join(said) or ("no" if known else UNKNOWN)
