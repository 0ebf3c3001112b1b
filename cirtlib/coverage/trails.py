"""Windows in which a trail was off, and changes that made one log less: told by records, digests and the account.

StopLogging, StartLogging, DeleteTrail, UpdateTrail, PutEventSelectors, PutInsightSelectors, GetTrailStatus: AWS
CloudTrail API Reference.
"""

from typing import Any

from cirtlib.coverage import digests, ledger, selectors, settings
from cirtlib.coverage.rows import Held
from cirtlib.coverage.selectors import parsed
from cirtlib.coverage.settings import Trail

OFF = "logging off"
Key = tuple[str, str, str]


def gaps(held: Held) -> list[dict[str, Any]]:
    """Logging-off windows and reductions, as `cirtlib.coverage.gaps` gives them; `to` is None while still in force."""
    known = settings.trails(held)
    found = _Recorded(held, known).read()
    for trail in known.values():
        found += _of_status(trail, found)
    found += _of_digests(held, found)
    found += [
        _gap((account, None, ""), asked, None, f"account {account} had no trail when it was asked at {asked}")
        for account, asked in settings.without(held)
    ]
    told = [_with_others(held, gap) for gap in sorted(found, key=lambda gap: (gap["from"] or "", gap["reason"]))]
    return [{name: gap[name] for name in ("account", "region", "from", "to", "reason")} for gap in told]


def everywhere(held: Held) -> dict[str, str]:
    """Account -> a trail that records all its Regions, as digests of several Regions or the account itself tell."""
    found: dict[str, str] = {}
    for (name, _), accounts in sorted(digests.wide(held).items()):
        for account in accounts:
            found.setdefault(account, name)
    for (account, _, name), trail in sorted(settings.trails(held).items()):
        if trail.is_wide and trail.status.get("IsLogging") is not False:
            found.setdefault(account, name)
    return found


class _Recorded:
    """What the records of calls on trails tell, in order of time."""

    def __init__(self, held: Held, known: dict[Key, Trail]) -> None:
        self.held = held
        self.wide = {key: trail.is_wide for key, trail in known.items() if trail.described}
        self.shared = {key for key, trail in known.items() if trail.is_shared}
        self.homes = digests.wide(held)
        self.off: dict[Key, dict[str, Any]] = {}
        self.found: list[dict[str, Any]] = []

    def read(self) -> list[dict[str, Any]]:
        """Gaps of all records."""
        for moment, name, account, region, request, response, event in self.held.changes:
            asked, answered = parsed(request), parsed(response)
            trail = _trail(asked, answered, account, region)
            if "isMultiRegionTrail" in {**asked, **answered}:
                self.wide[trail] = bool({**asked, **answered}["isMultiRegionTrail"])
            self._take(trail, moment, name, event, asked)
        for gap in self.off.values():
            gap["reason"] += ", still so at the end of the evidence"
        return [*self.found, *self.off.values()]

    def _take(self, trail: Key, moment: str, name: str, event: str, asked: dict[str, Any]) -> None:
        """Take in one call."""
        gap = _gap(self._reach(trail), moment, None, "", trail)
        if name == "StartLogging":
            if trail in self.off:
                ended = self.off.pop(trail)
                self.found.append(
                    {**ended, "to": moment, "reason": f"{ended['reason']}, until StartLogging (event {event})"}
                )
        elif name in {"StopLogging", "DeleteTrail"}:
            how = "stopped" if name == "StopLogging" else "removed"
            self.off.setdefault(trail, {**gap, "reason": f"{OFF}: trail {trail[2]} {how} by {name} (event {event})"})
        elif why := _less(name, asked):
            why = f"trail {trail[2]} was made to record less by {name} (event {event}): {why}"
            self.found.append({**gap, "reason": why})

    def _reach(self, trail: Key) -> tuple[str | None, str | None, str]:
        """Account and Region that a trail records; None for all of them."""
        accounts = self.homes.get((trail[2], trail[1]), set())
        wide = self.wide.get(trail, bool(accounts))
        shared = trail in self.shared or len(accounts) > 1
        return (None if shared else trail[0], None if wide else trail[1], trail[2])


def _gap(
    place: tuple[str | None, str | None, str], start: str | None, end: str | None, reason: str, trail: Key | None = None
) -> dict[str, Any]:
    return {"account": place[0], "region": place[1], "from": start, "to": end, "reason": reason, "trail": trail}


def _of_status(trail: Trail, told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a trail's own status adds to what records told: an end, a stop that nobody recorded, failing delivery."""
    place = (None if trail.is_shared else trail.key[0], None if trail.is_wide else trail.key[1], trail.key[2])
    started, stopped = trail.time("StartLoggingTime"), trail.time("StopLoggingTime")
    open_ = [gap for gap in told if gap["trail"] == trail.key and gap["reason"].startswith(OFF) and not gap["to"]]
    found = []
    if trail.status.get("IsLogging") is True:
        for gap in open_:
            if started and gap["from"] < started:
                gap["to"] = started
                gap["reason"] = gap["reason"].replace(
                    ", still so at the end of the evidence", f", on again since {started} by its own status"
                )
    elif trail.status.get("IsLogging") is False and not open_:
        since = f"since {stopped}" if stopped else "since nobody knows when"
        why = f"{OFF}: trail {trail.key[2]} was off {since}, by its own status at {trail.asked}"
        found.append(_gap(place, stopped, None, why, trail.key))
    if error := trail.status.get("LatestDeliveryError"):
        why = f"trail {trail.key[2]} cannot deliver to its bucket, by its own status at {trail.asked}: {error}"
        found.append(_gap(place, trail.time("LatestDeliveryTime"), None, why, trail.key))
    return found


def _of_digests(held: Held, told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Times without digests and without log files that no record explains."""
    found = []
    for one in digests.stopped(held):
        known = [gap for gap in told if gap["trail"] and gap["trail"][2] == one["trail"]]
        if any(gap["from"] and gap["from"] < one["to"] and one["from"] < (gap["to"] or "~") for gap in known):
            continue
        account, region = (names[0] if len(names) == 1 else None for names in (one["accounts"], one["regions"]))
        where = "" if region else f" of {len(one['regions'])} Regions"
        why = f"{OFF}: trail {one['trail']} has neither digests nor log files{where} of this time, and starts anew"
        found.append(_gap((account, region, one["trail"]), one["from"], one["to"], why))
    return found


def _with_others(held: Held, gap: dict[str, Any]) -> dict[str, Any]:
    """Say how many records of the account are there nevertheless."""
    if gap["reason"].startswith(OFF) and gap["from"]:
        count = ledger.count_between(held, gap["account"], gap["from"], gap["to"])
        whose = "of the account " if gap["account"] else ""
        gap["reason"] += f"; {count:,} records {whose}are there nevertheless, from elsewhere" if count else ""
    return gap


def _trail(asked: dict[str, Any], answered: dict[str, Any], account: str, region: str) -> Key:
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
    if name == "PutInsightSelectors":
        return "no insights" if selectors.insights(asked) == [] else ""
    return _less_selected(asked) if name == "PutEventSelectors" else ""


def _less_selected(asked: dict[str, Any]) -> str:
    words = []
    for selector in selectors.items(asked, "eventSelectors"):
        if selector.get("includeManagementEvents") is False:
            words.append("no management events")
        if selector.get("readWriteType") in {"ReadOnly", "WriteOnly"}:
            words.append(f"{selector['readWriteType']} events")
        if selector.get("excludeManagementEventSources"):
            words.append(f"without {', '.join(map(str, selector['excludeManagementEventSources']))}")
    if selectors.items(asked, "advancedEventSelectors"):
        parts = selectors.parts({"advancedEventSelectors": asked["advancedEventSelectors"]})
        said = "; ".join(f"{part.category} {part.what}".strip() + f" ({part.words})" for part in parts)
        words.append(f"advanced event selectors decide what is recorded: {said}")
        if not any(part.category == selectors.MANAGEMENT for part in parts):
            words.append("no management events")
    return ", ".join(dict.fromkeys(words))
