"""GuardDuty findings through its API: every detector of every account and Region, archived findings among them.

ListFindings gives at most 50 ids a page and GetFindings takes at most 50 (GuardDuty API reference). GuardDuty adds new
activity to a finding that is there and overwrites its details, so a repeated collect asks for what was updated since,
and the store keeps every version that differs. Archiving a finding need not touch its time of update: archived ones are
listed again, and those that the case does not hold as archived are fetched. One that was taken out of the archive
again, and not updated since, stays known as archived.

A delegated administrator is given the findings of its members too; the same finding from both is one in the store. What
is kept is the answer as received (see `cirtlib.sources.answers`); GuardDuty's own export to S3 and EventBridge have the
same form. Should one of them say more than another, both versions are kept.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from cirtlib.aws import Aws, explain, targets
from cirtlib.case import Case
from cirtlib.findings.fields import at, text, truth
from cirtlib.sources import Blob, Known, Place, Slice, answers, matching

_PAGE = 50
_OVERLAP = timedelta(hours=1)  # findings reach the API some minutes after the time that they bear
_REMEMBERED = 1000  # ids that were listed and not given
_OFF = "GuardDuty is off: no detector"


@dataclass(frozen=True)
class _Asked:
    """What the user wants: criteria in GuardDuty's form, times, and whether a finding is what they ask for."""

    criteria: Mapping[str, Mapping[str, Any]]
    window: tuple[datetime | None, datetime | None, str]
    matches: matching.Matches
    unchecked: list[str]

    def criterion(self, **bounds: Any) -> dict[str, Any]:  # noqa: ANN401 - botocore's parameters
        """`FindingCriteria` of ListFindings with these conditions on updatedAt, in milliseconds, in addition."""
        made = {name: dict(rule) for name, rule in self.criteria.items()}
        rule = made.setdefault("updatedAt", {})
        for name, bound in bounds.items():
            rule[name] = max(bound, rule.get(name, bound)) if name == "GreaterThanOrEqual" else bound
        return {"Criterion": {name: rule for name, rule in made.items() if rule}}


def place(case: Case, kind: str, options: dict[str, Any]) -> Place:
    """GuardDuty in the accounts and Regions of the case.

    `options` is {api: true} or {api: {criteria: the Criterion of ListFindings, start: TIME, end: TIME}}; the times
    choose findings that were made before the end and updated since the start.

    Raises
    ------
    CaseError
        when the options are not understood.
    """
    chosen = answers.settings(kind, options, {"criteria", "start", "end"})
    wanted = chosen.get("criteria") or {}
    matching.check(kind, "guardduty", "FindingCriteria", {"Criterion": wanted})
    bounds = {
        "createdAt": ("LessThanOrEqual", chosen.get("end")),
        "updatedAt": ("GreaterThanOrEqual", chosen.get("start")),
    }
    criteria = {name: dict(rule) for name, rule in wanted.items()}
    for name, (comparison, moment) in bounds.items():
        if moment:
            criteria.setdefault(name, {}).setdefault(comparison, _milliseconds(moment))
    extent = answers.extent(chosen)
    asked = _Asked(criteria, (chosen.get("start"), chosen.get("end"), extent), *matching.criteria(criteria))
    where = "guardduty api" + ("" if extent == "all" else f" {extent}")
    return Place(kind, where, lambda known: _read(case, asked, known))


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _read(case: Case, asked: _Asked, known: Known) -> Iterator[Blob | Slice]:
    aws = Aws(case.access)
    yield from answers.over_regions(targets(case, aws), partial(_region, aws, asked, known))


def _region(aws: Aws, asked: _Asked, known: Known, account: str, region: str) -> Iterator[Blob | Slice]:
    """Pages of one Region and how it ended; an error ends the Region, not the collect."""
    reading = answers.Reading(account, region, known, asked.window)
    if asked.unchecked:
        reading.remarks.append(f"the filter on {', '.join(asked.unchecked)} was left to AWS")
    found: dict[str, Any] = {}
    try:
        client = answers.client(aws, "guardduty", account, region)
        detectors = [one for answer in answers.pages(client.list_detectors) for one in answer["DetectorIds"]]
        for detector in detectors:
            if _is_suspended(client, detector, reading):
                reading.remarks.append(f"GuardDuty is suspended: detector {detector} is disabled and finds nothing new")
            found[detector] = yield from _detector(client, detector, asked, reading)
    except answers.FAULTS as error:
        yield reading.end(*explain(error))
        return
    if not detectors:
        yield reading.end("absent", _OFF + (", though there was one when it was last asked" if reading.facts else ""))
        return
    total = reading.found + int(reading.facts.get("given", 0))
    suspended = any(remark.startswith("GuardDuty is suspended") for remark in reading.remarks)
    status = "read" if total else "absent" if suspended else "empty"
    yield reading.end(status, facts={"detectors": found, "given": total})


def _is_suspended(client: answers.Client, detector: str, reading: answers.Reading) -> bool:
    try:
        return bool(client.get_detector(DetectorId=detector)["Status"] == "DISABLED")
    except answers.FAULTS as error:
        reading.remarks.append(f"whether the detector is enabled could not be asked: {explain(error)[1]}")
        return False


def _detector(
    client: answers.Client, detector: str, asked: _Asked, reading: answers.Reading
) -> Generator[Blob, None, dict[str, Any]]:
    """Pages of one detector; returns the facts to go on from."""
    earlier = (reading.facts.get("detectors") or {}).get(detector) or {}
    since = answers.since(earlier.get("until"), _OVERLAP)
    ids = dict.fromkeys(earlier.get("missing", ()))
    bounds = {"GreaterThanOrEqual": _milliseconds(since)} if since else {}
    ids |= dict.fromkeys(_listed(client, detector, asked.criterion(**bounds)))
    if since and "service.archived" not in asked.criteria:
        criterion = asked.criterion(LessThan=_milliseconds(since))
        criterion["Criterion"]["service.archived"] = {"Equals": ["true"]}
        held = reading.put_away()
        ids |= dict.fromkeys(one for one in _listed(client, detector, criterion) if answers.short(one) not in held)
    listed = list(ids)
    reading.known.expect(-(-len(listed) // _PAGE), 0)
    missing: list[str] = []
    for start in range(0, len(listed), _PAGE):
        missing += yield from _given(client, detector, listed[start : start + _PAGE], asked, reading)
    if missing:
        missing = yield from _again(client, detector, missing, asked, reading)
    return {"until": reading.until(earlier.get("until", "")), **({"missing": missing[:_REMEMBERED]} if missing else {})}


def _listed(client: answers.Client, detector: str, criterion: dict[str, Any]) -> Iterator[str]:
    """Ids of all findings that meet the criterion, the longest unchanged first."""
    order = {"AttributeName": "updatedAt", "OrderBy": "ASC"}
    asked = {"DetectorId": detector, "SortCriteria": order, "MaxResults": _PAGE}
    if criterion["Criterion"]:
        asked["FindingCriteria"] = criterion
    for answer in answers.pages(client.list_findings, **asked):
        yield from answer["FindingIds"]


def _given(
    client: answers.Client, detector: str, ids: list[str], asked: _Asked, reading: answers.Reading
) -> Generator[Blob, None, list[str]]:
    """Page of up to 50 findings; returns the ids that the answer lacks."""
    order = {"AttributeName": "updatedAt", "OrderBy": "ASC"}
    answer = client.get_findings(DetectorId=detector, FindingIds=ids, SortCriteria=order)
    given = {str(one.get("Id")) for one in answer["Findings"]}
    yield from reading.page(answers.body(answer), asked.matches, _archived, detector=detector)
    return [one for one in ids if one not in given]


def _again(
    client: answers.Client, detector: str, missing: list[str], asked: _Asked, reading: answers.Reading
) -> Generator[Blob, None, list[str]]:
    """Ask once more for what was listed and not given; returns what is still missing, and says so."""
    still: list[str] = []
    for start in range(0, len(missing), _PAGE):
        still += yield from _given(client, detector, missing[start : start + _PAGE], asked, reading)
    if still:
        shown = ", ".join(still[:5]) + (", ..." if len(still) > 5 else "")
        reading.remarks.append(
            f"{len(still)} findings were listed and not given ({shown}); the next collect asks for them again"
        )
    return still


def _archived(finding: object) -> str:
    archived = truth(at(finding, "service", "archived"))
    return answers.short(text(finding, "id")) if archived else ""
