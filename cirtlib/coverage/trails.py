"""Windows in which a trail was off, and changes that made one log less, told by the records of those calls.

StopLogging, StartLogging, DeleteTrail, UpdateTrail, PutEventSelectors: AWS CloudTrail API Reference.
"""

import json
from typing import Any

from cirtlib.case import Case
from cirtlib.coverage import ledger


def gaps(case: Case) -> list[dict[str, Any]]:
    """Logging-off windows and reductions, as `cirtlib.coverage.gaps` gives them; `to` is None while still in force."""
    off: dict[tuple[str, str, str], dict[str, Any]] = {}
    wide: dict[tuple[str, str, str], bool] = {}
    found: list[dict[str, Any]] = []
    for moment, name, account, region, request, response, event_id in ledger.trail_changes(case):
        asked, answered = _object(request), _object(response)
        trail = _trail(asked, answered, account, region)
        if "isMultiRegionTrail" in {**asked, **answered}:
            wide[trail] = bool({**asked, **answered}["isMultiRegionTrail"])
        gap = {"account": trail[0], "region": None if wide.get(trail) else trail[1], "from": moment, "to": None}
        if name == "StartLogging":
            if trail in off:
                off[trail]["to"] = moment
                off[trail]["reason"] += f", until StartLogging (event {event_id})"
                found.append(off.pop(trail))
        elif name == "StopLogging":
            off.setdefault(
                trail, {**gap, "reason": f"logging off: trail {trail[2]} stopped by StopLogging (event {event_id})"}
            )
        elif name == "DeleteTrail":
            why = f"logging off: trail {trail[2]} removed by DeleteTrail (event {event_id})"
            off.setdefault(trail, {**gap, "reason": why})
        elif why := _less(name, asked):
            found.append(
                {**gap, "reason": f"trail {trail[2]} was made to record less by {name} (event {event_id}): {why}"}
            )
    for gap in off.values():
        gap["reason"] += ", still so at the end of the evidence"
    found += off.values()
    return [_with_others(case, gap) for gap in sorted(found, key=lambda gap: (gap["from"], gap["reason"]))]


def _with_others(case: Case, gap: dict[str, Any]) -> dict[str, Any]:
    """Say how many records of the account are there nevertheless."""
    if gap["reason"].startswith("logging off"):
        count = ledger.count_between(case, gap["account"], gap["from"], gap["to"])
        gap["reason"] += f"; {count:,} records of the account are there nevertheless, from elsewhere" if count else ""
    return gap


def _trail(asked: dict[str, Any], answered: dict[str, Any], account: str, region: str) -> tuple[str, str, str]:
    """Account, Region and name of the trail that a call is about, which it may call by name or by ARN."""
    for text in (asked.get("name"), asked.get("trailName"), answered.get("trailARN"), answered.get("name")):
        if isinstance(text, str) and text:
            parts = text.split(":", 5)
            if len(parts) == 6 and parts[5].startswith("trail/"):
                return parts[4] or account, parts[3] or region, parts[5].removeprefix("trail/")
            return account, region, text
    return account, region, "(unnamed)"


def _less(name: str, asked: dict[str, Any]) -> str:
    """How a change makes a trail record less; '' when it does not."""
    if name == "UpdateTrail":
        told = {
            "isMultiRegionTrail": "one Region only",
            "includeGlobalServiceEvents": "no events of global services",
            "isOrganizationTrail": "no other accounts of the organization",
            "enableLogFileValidation": "no digests",
        }
        words = [text for key, text in told.items() if asked.get(key) is False]
        words += [f"delivery moved to bucket {asked['s3BucketName']}"] if asked.get("s3BucketName") else []
        words += ["encrypted with another key"] if asked.get("kmsKeyId") else []
        return ", ".join(words)
    if name != "PutEventSelectors":
        return ""
    words = []
    for selector in _list(asked.get("eventSelectors")):
        if selector.get("includeManagementEvents") is False:
            words.append("no management events")
        if selector.get("readWriteType") in {"ReadOnly", "WriteOnly"}:
            words.append(f"{selector['readWriteType']} events")
        if selector.get("excludeManagementEventSources"):
            words.append(f"without {', '.join(map(str, selector['excludeManagementEventSources']))}")
    if _list(asked.get("advancedEventSelectors")):
        words.append("advanced event selectors decide what is recorded")
    return ", ".join(dict.fromkeys(words))


def _list(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _object(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
