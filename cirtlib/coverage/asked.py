"""Rows of what was asked as a whole: listings of a bucket, Regions of event history, APIs of findings.

A listing that went well makes no row of its own: it says which accounts and Regions were asked, so that a day without
objects is `absent` (`listed`). Event history that was read for a filter covers that filter, and nothing else.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from cirtlib.coverage.rows import ALL, HISTORY, LOGS, WORDS, Held, Row, days, extent_of, gap, source_of

_TRAIL = "CloudTrail"  # the folder of a trail's log files in a bucket
_KINDS = {"denied": "refused", "failed": "broken off"}
Place = tuple[str, str, str]


def rows(held: Held, read: list[Row]) -> list[Row]:
    """Rows of everything that was asked, given the rows of what was read."""
    there = {(row.account, row.region, row.day) for row in read if row.source == HISTORY and row.extent == ALL}
    whole = history(held)
    quiet = "event history holds no management events of it"
    empty = [Row(HISTORY, *place, ALL, "empty", reason=quiet) for place in sorted(whole - there)]
    found = empty
    for line in held.slices:
        source, one = source_of(line), line["slice"]
        if one["status"] not in {"read", "empty"}:
            found += _refused(held, source, one)
        elif source == HISTORY and one["extent"] == ALL:
            continue
        elif not _is_listing(one):
            place = (one["account"], one["region"], None)
            found.append(Row(source, *place, one["extent"], one["status"], reason=_words(one)))
        elif one["status"] == "empty" and source != LOGS:
            found.append(Row(source, one["account"], one["region"], None, ALL, "empty", reason=_words(one)))
    return found


def marked(held: Held, read: list[Row]) -> list[Row]:
    """Rows of what was read, those marked of which event history was not read to the end of the day."""
    whole, words = history(held), WORDS["partial"]
    return [
        row._replace(reason=words, kind="partial")
        if row.source == HISTORY and row.extent == ALL and row.day and row[1:4] not in whole
        else row
        for row in read
    ]


def history(held: Held) -> set[Place]:
    """Account, Region and day of every day, within bounds, for which event history was read whole."""
    covered: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for line in held.slices:
        if source_of(line) == HISTORY and line["slice"]["extent"] == ALL:
            own = [(start, end) for start, end in line["slice"]["facts"].get("covered") or ()]
            covered[line["slice"]["account"], line["slice"]["region"]] += own
    for line in held.objects:
        facts = line.get("facts") or {}
        if source_of(line) == HISTORY and extent_of(line) == ALL and len(facts.get("covers") or ()) == 2:
            covered[facts["account"], facts["region"]].append(tuple(facts["covers"]))
    return {
        (account, region, day)
        for (account, region), spans in covered.items()
        for start, end in _merged(spans)
        if (inside := _inside(held, start, end))
        for day in days(*inside)
        # The days on which all reading began and ended are as whole as they were asked for.
        if (start <= f"{day}T00:00:00Z" or start == min(spans)[0])
        and (end >= f"{day}T23:59:59Z" or end == max(one[1] for one in spans))
    }


def _merged(spans: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Spans of time that touch or overlap made one."""
    found: list[tuple[str, str]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def listed(held: Held) -> dict[tuple[str, str], tuple[str, str]]:
    """First and last day, within bounds, for which the log files of an account and Region were listed."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for line in held.slices:
        one = line["slice"]
        if source_of(line) != LOGS or one["status"] not in {"read", "empty"} or not _is_listing(one):
            continue
        if one["facts"]["kind"] == _TRAIL and one["account"] and one["region"] and (span := _span(held, one)):
            key = one["account"], one["region"]
            known = found.get(key, span)
            found[key] = min(known[0], span[0]), max(known[1], span[1])
    return found


def _is_listing(one: dict[str, Any]) -> bool:
    return "kind" in one["facts"] and one["name"].startswith("list:")


def _refused(held: Held, source: str, one: dict[str, Any]) -> Iterator[Row]:
    """Rows of what was denied, failed or is not there: one a day where it was for all events of an account's Region."""
    status = one["status"]
    # What lies beyond the reach of event history is told once, for all of it, by `limits`.
    kind = "" if one["name"].endswith("/beyond") else _KINDS.get(status, "not there")
    span = _span(held, one) if source in {LOGS, HISTORY} and one["extent"] == ALL and one["region"] else None
    for day in days(*span) if span else (None,):
        row = gap(
            source, (one["account"], one["region"], day), status,
            ("refused", 1, _words(one, times=day is None)), extent=one["extent"],
        )  # fmt: skip
        yield row._replace(kind=kind)


def _span(held: Held, one: dict[str, Any]) -> tuple[str, str] | None:
    """First and last day of a slice, within bounds and not after the case's `as_of`; None when it has no such days."""
    return _inside(held, one["start"], one["end"])


def _inside(held: Held, start: str, end: str) -> tuple[str, str] | None:
    bounds = held.bounds or (start[:10], end[:10])
    first = max(start[:10] or bounds[0], bounds[0])
    last = min(filter(None, (end[:10] or bounds[1], bounds[1], (held.until or "")[:10])), default="")
    return (first, last) if first and last and first <= last else None


def _words(one: dict[str, Any], *, times: bool = True) -> str:
    """Reason of a slice, and its time where the row has no day."""
    said = str(one["reason"] or ("" if one["status"] == "read" else one["status"]))
    if call := one["facts"].get("operation"):
        said = f"{one['facts'].get('service')}.{call}: {said}"
    when = " ".join(f"{word} {one[key]}" for word, key in (("from", "start"), ("to", "end")) if one[key])
    return ", ".join(part for part in (said, when if times else "") if part)
