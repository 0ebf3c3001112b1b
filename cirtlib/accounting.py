"""The account of the evidence in words: what was seen, and what keeps it from being whole."""

from typing import Any

import pandas as pd

from cirtlib import queries
from cirtlib.case import Case, read_json
from cirtlib.coverage import gaps


def describe(account: dict[str, Any]) -> str:
    """The account of the evidence in a few lines; every rejection is named, up to ten."""
    lines = [
        f"read {account['objects']:,} objects; {account['new']:,} records are new to the case",
        balance(account),
    ]
    if account["other_objects"]:
        lines.append(f"{len(account['other_objects']):,} objects of another kind (digests and the like), not counted")
    rejections = account["rejections"]
    lines += [f"rejected: {item['object']} at {item['position']}: {item['reason']}" for item in rejections[:10]]
    if len(rejections) > 10:
        lines.append(f"... and {len(rejections) - 10:,} more rejected; --format json lists all")
    return "\n".join(lines)


def only_in_event_history(case: Case) -> pd.DataFrame:
    """Events that no log file holds, such as those of the time in which a trail was stopped, oldest first.

    Where a log file has the event as well, its record is the one that is kept, so what comes from event history is
    there alone.

    Returns
    -------
    DataFrame
        event_time, account_id, region, event_source, event_name, principal, outcome, event_id.
    """
    return queries.sql(
        case,
        "SELECT event_time, account_id, region, event_source, event_name, principal, outcome, event_id FROM events "
        "JOIN (SELECT source_object AS object, source_position AS position FROM cloudtrail_logs "
        "WHERE source_kind = 'event_history') ON source_object = object AND source_position = position "
        "ORDER BY event_time, event_id, account_id",
        engine="local",
    )


def history_line(case: Case) -> str:
    """How many events event history alone holds, and of when; '' when there is none."""
    text = "SELECT count(*) AS n, min(eventtime) AS a, max(eventtime) AS z FROM cloudtrail_logs "
    row = queries.sql(case, text + "WHERE source_kind = 'event_history'", engine="local").iloc[0]
    if not row["n"]:
        return ""
    return f"event history alone holds {row['n']:,} events, from {row['a']} to {row['z']}: no log file has them"


def shortcomings(case: Case) -> list[str]:
    """What keeps the evidence from being whole: rejected records and coverage gaps, one line each."""
    rejected = totals(case).get("rejected", 0)
    lines = [f"{rejected:,} records were rejected"] if rejected else []
    found = len(gaps(case))
    return [*lines, f"coverage has {found:,} gaps"] if found else lines


def gap_line(gap: dict[str, Any]) -> str:
    """One gap in words: where, when, and why nothing was seen there; what is not known is left out."""
    where = " ".join(str(gap[name]) for name in ("account", "region") if gap.get(name))
    when = " ".join(f"{word} {gap[key]}" for word, key in (("from", "from"), ("to", "to")) if gap.get(key))
    return f"gap: {', '.join(part for part in (where, when) if part) or 'everywhere'}: {gap['reason']}"


def totals(case: Case) -> dict[str, Any]:
    """Numbers of the last collect: seen, kept, duplicate and rejected; empty when nothing was collected."""
    collected = read_json(case.evidence / "collected.json", {})
    return dict(collected.get("totals", {}))


def balance(numbers: dict[str, Any]) -> str:
    """The sum that every record stands in."""
    return "seen {seen:,} = kept {kept:,} + duplicate {duplicate:,} + rejected {rejected:,}".format_map(numbers)
