"""Security Hub findings of every account and Region of the case through its API, and the history of control findings.

GetFindings gives at most 100 findings a page (Security Hub API reference); archived and suppressed ones are among them,
for no filter is set that the user did not ask for. A repeated collect asks for what was updated since. What an analyst,
or an attacker, sets with BatchUpdateFindings leaves UpdatedAt as it was (its API reference), so suppressed findings are
asked for again, and those that the case does not hold as suppressed are kept.

Where a Region collects the findings of others (cross-Region aggregation), the same finding comes from both and is one
in the store. What is kept is the answer as received (see `cirtlib.sources.answers`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from cirtlib.aws import Aws, explain, targets
from cirtlib.case import Case
from cirtlib.errors import CaseError
from cirtlib.findings.fields import at, items, text
from cirtlib.sources import Blob, Known, Place, Slice, answers, finding_history, matching

_PAGE = 100
_OVERLAP = timedelta(hours=6)  # other products, and other Regions, hand their findings in late
_KEPT = timedelta(days=120)  # longer than the 90 days after which Security Hub deletes a finding
_ORDER = [{"Field": "UpdatedAt", "SortOrder": "asc"}]
_SUPPRESSED: list[Mapping[str, Any]] = [{"Value": "SUPPRESSED", "Comparison": "EQUALS"}]
_HISTORIES = 2000
_OFF = "Security Hub is off in this Region"


@dataclass(frozen=True)
class _Asked:
    """What the user wants: filters in Security Hub's form, times, histories a Region; and what was asked already."""

    filters: Mapping[str, list[Mapping[str, Any]]]
    window: tuple[datetime | None, datetime | None, str]
    histories: int
    matches: matching.Matches
    unchecked: list[str]
    done: set[tuple[str, str]] = field(default_factory=set)


def place(case: Case, kind: str, options: dict[str, Any]) -> Place:
    """Security Hub in the accounts and Regions of the case.

    `options` is {api: true} or {api: {filters: the Filters of GetFindings, start: TIME, end: TIME, history: NUMBER}};
    the times choose findings that were made before the end and updated since the start, and `history` is the number of
    control findings in a Region whose history is asked for, those that do not pass first (default 2000).

    Raises
    ------
    CaseError
        when the options are not understood.
    """
    chosen = answers.settings(kind, options, {"filters", "start", "end", "history"})
    histories = chosen.pop("history", _HISTORIES)
    if not isinstance(histories, int) or isinstance(histories, bool) or histories < 0:
        raise CaseError(f"source {kind}: api: history: {histories!r} is no number of findings; correct case.yaml")
    wanted = dict(chosen.get("filters") or {})
    matching.check(kind, "securityhub", "AwsSecurityFindingFilters", wanted)
    # Several filters on one field widen what is asked for, so a time of ours cannot narrow one of theirs.
    for name, option in (("UpdatedAt", "start"), ("CreatedAt", "end")):
        if chosen.get(option) and wanted.get(name):
            raise CaseError(f"source {kind}: api: {option} and a filter on {name} exclude each other; leave one out")
    if chosen.get("start"):
        wanted["UpdatedAt"] = [_between(chosen["start"], None)]
    if chosen.get("end"):
        wanted["CreatedAt"] = [_between(None, chosen["end"])]
    extent = answers.extent(chosen)
    window = (chosen.get("start"), chosen.get("end"), extent)
    asked = _Asked(wanted, window, histories, *matching.filters(wanted))
    where = "security_hub api" + ("" if extent == "all" else f" {extent}")
    return Place(kind, where, lambda known: _read(case, asked, known))


def _between(start: datetime | None, end: datetime | None) -> dict[str, str]:
    """`DateFilter`, which takes both ends: far off where there is none."""
    return {
        "Start": answers.iso(start) if start else "2015-01-01T00:00:00.000Z",
        "End": answers.iso(end) if end else "2100-01-01T00:00:00.000Z",
    }


def _read(case: Case, asked: _Asked, known: Known) -> Iterator[Blob | Slice]:
    aws = Aws(case.access)
    asked.done.clear()
    asked.done.update(finding_history.known(known))
    yield from answers.over_regions(targets(case, aws), partial(_region, aws, asked, known))


def _region(aws: Aws, asked: _Asked, known: Known, account: str, region: str) -> Iterator[Blob | Slice]:
    """Pages of one Region, histories, and how it ended; an error ends the Region, not the collect."""
    reading = answers.Reading(account, region, known, asked.window)
    if asked.unchecked:
        reading.remarks.append(f"the filter on {', '.join(asked.unchecked)} was left to AWS")
    controls = finding_history.Controls()
    fault: Exception | None = None
    try:
        client = answers.client(aws, "securityhub", account, region)
        yield from _pages(client, asked, reading, controls)
    except answers.FAULTS as error:
        fault = error
    if fault is not None and _is_off(fault):
        yield reading.end("absent", _OFF)
        return
    ended = None
    if controls and asked.histories:
        how = finding_history.Bounds(asked.histories, _left(asked, reading), asked.done)
        ended = yield from finding_history.read(client, controls, how, reading)
    if fault is not None:
        yield reading.end(*explain(fault))
        return
    total = reading.found + int(reading.facts.get("given", 0))
    facts: dict[str, Any] = {**reading.facts, "given": total}
    # A history that could not be had is asked for again only if its finding is: time then stands still.
    if ended is None or ended.is_whole:
        facts["until"] = reading.until(str(reading.facts.get("until", "")))
    if ended is not None:
        facts["history"] = {"limit": asked.histories, "left": ended.left}
    yield reading.end("read" if total else "empty", facts=facts)


def _left(asked: _Asked, reading: answers.Reading) -> list[str]:
    """Histories that earlier collects did not ask for, unless this one is given all findings anew."""
    return list((reading.facts.get("history") or {}).get("left", ())) if _since(asked, reading) else []


def _is_off(error: Exception) -> bool:
    """Whether the account is not subscribed: InvalidAccessException, which is not a want of permission."""
    return isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") == "InvalidAccessException"


def _pages(
    client: answers.Client,
    asked: _Asked,
    reading: answers.Reading,
    controls: "finding_history.Controls",
) -> Iterator[Blob]:
    since = _since(asked, reading)
    filters: dict[str, list[Mapping[str, Any]]] = dict(asked.filters)
    if since:
        filters["UpdatedAt"] = [_between(since, None)]
    for answer in _answers(client, filters):
        given = items(answer.get("Findings"))
        controls.add(given)
        reading.known.expect(1, 0)
        yield from reading.page(answers.body(answer), asked.matches, _suppressed)
    if not since or "WorkflowStatus" in filters:
        return
    held = reading.put_away()
    start = asked.window[0] or since - _KEPT
    filters["UpdatedAt"] = [_between(min(start, since), since)]
    filters["WorkflowStatus"] = _SUPPRESSED
    for answer in _answers(client, filters):
        given = items(answer.get("Findings"))
        if all(_suppressed(finding) in held for finding in given):
            continue
        controls.add(given)
        yield from reading.page(answers.body(answer), asked.matches, _suppressed)


def _answers(client: answers.Client, filters: Mapping[str, Any]) -> Iterator[Any]:
    return answers.pages(client.get_findings, Filters=filters, SortCriteria=_ORDER, MaxResults=_PAGE)


def _since(asked: _Asked, reading: answers.Reading) -> datetime | None:
    """From when on updates are asked for; None: all of them."""
    history = reading.facts.get("history") or {}
    more = history.get("left") and asked.histories > history.get("limit", 0)
    if more or ("UpdatedAt" in asked.filters and not asked.window[0]):
        return None
    since = answers.since(reading.facts.get("until"), _OVERLAP)
    return max(filter(None, (since, asked.window[0]))) if since else None


def _suppressed(finding: object) -> str:
    if text(finding, "Workflow", "Status") != "SUPPRESSED":
        return ""
    return answers.short(at(finding, "ProductArn"), at(finding, "Id"))
