"""Spans of time in whole seconds: what was read of an event history, and what is still to be asked for."""

from collections.abc import Iterable
from datetime import UTC, datetime

from cirtlib.case import parse_time

Span = tuple[int, int]


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time in as few spans as possible, earliest first; a span that does not end after its start is none."""
    found: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def without(span: Span, covered: Iterable[Span]) -> list[Span]:
    """Parts of a span that no other covers, latest first."""
    start, end = span
    found = []
    for first, last in reversed(merged(covered)):
        if last < end:
            found.append((max(last, start), end))
        end = min(end, first)
        if end <= start:
            return [one for one in found if one[0] < one[1]]
    return [one for one in (*found, (start, end)) if one[0] < one[1]]


def around(span: Span, covered: Iterable[Span]) -> Span:
    """The longest covered span that holds this one."""
    return next((one for one in merged(covered) if one[0] <= span[0] and span[1] <= one[1]), span)


def before(found: Iterable[Span], back: int) -> Span:
    """What is left of the span in which one ends up going back so many seconds, given the latest span first."""
    part = 0, 0
    for start, end in found:
        part = start, end - back
        if part[0] < part[1]:
            break
        back -= end - start
    return part


def length(spans: Iterable[Span]) -> int:
    """Seconds in all of them."""
    return sum(end - start for start, end in spans)


def iso(moment: int) -> str:
    """ISO 8601 in UTC."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"


def seconds(text: str | datetime) -> int:
    """Whole seconds since 1970 of a time, or of its ISO 8601 text."""
    return int(parse_time(text).timestamp())
