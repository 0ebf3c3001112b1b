"""Rows of days without objects, told apart by what is known of them: a quiet Region is no gap in the logs, perhaps.

A trail of all Regions delivers nothing for a Region in which nothing was called. So a day without objects proves
nothing by itself; it is worse the less was delivered of the account on that day, and the busier the Region usually is.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from statistics import median
from typing import Any

from cirtlib.coverage.rows import ALL, HISTORY, LOGS, Held, Row, days, gap

# Events on a usual day from which on a day without any is remarkable.
_BUSY = 20
Pair = tuple[str, str]
About = tuple[dict[str, str], list[dict[str, Any]]]


class _Seen:
    """What the rows so far cover, by account and Region."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.covered: dict[Pair, set[str]] = defaultdict(set)
        self.alive: dict[str, set[str]] = defaultdict(set)  # account -> days with objects of any Region
        self.events: dict[Pair, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.history: set[tuple[str, str, str]] = set()
        for row in rows:
            if not (row.account and row.account.isdigit() and row.region and row.day) or row.extent != ALL:
                continue
            pair = row.account, row.region
            if row.source == HISTORY and row.status in {"read", "empty"} and not row.kind:
                self.history.add((*pair, row.day))
            elif row.source == LOGS:
                self.covered[pair].add(row.day)
                if row.status == "read":
                    self.alive[row.account].add(row.day)
                    self.events[pair][row.day] += row.events

    def usual(self, pair: Pair) -> dict[bool, int]:
        """Events on a usual working day (False) and day of a weekend (True), days without any included."""
        counts: dict[bool, list[int]] = {False: [], True: []}
        for day in self.alive[pair[0]]:
            counts[_is_weekend(day)].append(self.events[pair][day] if pair in self.events else 0)
        return {weekend: int(median(found)) if found else 0 for weekend, found in counts.items()}


def rows(
    held: Held,
    others: list[Row],
    listed: dict[Pair, tuple[str, str]],
    about: tuple[dict[str, str], list[dict[str, Any]]],
) -> list[Row]:
    """Rows for days of an account and Region that nothing covers.

    They lie between the first and last day of the account, and where a listing asked for more, in that; always within
    the window and its baseline. An account and Region of which nothing was collected and nobody asked has none.

    Parameters
    ----------
    about
        Account -> trail that records all Regions; windows in which logging was off.
    """
    seen = _Seen(others)
    spans = {account: (min(own), max(own)) for account, own in _by_account(held, seen).items()}
    found = []
    for pair in sorted(set(seen.covered) | set(listed)):
        wanted = set[str]()
        for span in (spans.get(pair[0]), listed.get(pair)):
            wanted.update(days(*span) if span else ())
        usual = seen.usual(pair)
        for day in sorted(wanted - seen.covered.get(pair, set())):
            said = _kind(seen, (*pair, day), usual, about)
            found.append(gap(LOGS, (*pair, day), "absent", said))
    return found


def _by_account(held: Held, seen: _Seen) -> dict[str, list[str]]:
    """Days of an account that are covered, within bounds."""
    found: dict[str, list[str]] = defaultdict(list)
    for (account, _), own in seen.covered.items():
        inside = [day for day in own if held.bounds is None or held.bounds[0] <= day <= held.bounds[1]]
        if inside:
            found[account] += (min(inside), max(inside))
    return found


def _kind(seen: _Seen, where: tuple[str, str, str], usual: dict[bool, int], about: About) -> tuple[str, int, str]:
    """Kind, number and example of a day without objects."""
    account, _, day = where
    trails, windows = about
    if where in seen.history:
        return "history", 0, ""
    if any(_is_off(window, where) for window in windows):
        return "off", 0, ""
    if day not in seen.alive.get(account, ()):
        return "none", 0, ""
    count = usual[_is_weekend(day)]
    if count >= _BUSY:
        return "busy", count, ""
    return ("logged", 0, trails[account]) if account in trails else ("quiet", 0, "")


def _is_off(window: dict[str, Any], where: tuple[str, str, str]) -> bool:
    account, region, day = where
    if window["account"] not in {None, account} or window["region"] not in {None, region}:
        return False
    return (window["from"] or "") < f"{day}T23:59:59Z" and (window["to"] or "~") > f"{day}T00:00:00Z"


def _is_weekend(day: str) -> bool:
    return date.fromisoformat(day).weekday() >= 5
