"""Rows of what was read and of what could not be read.

Key layout: "Finding your CloudTrail log files" (aws-cloudtrail-user-guide).
"""

import re
from typing import Any

from cirtlib.coverage.rows import HISTORY, LOGS, Held, Row, extent_of, gap, source_of

_KEY = re.compile(
    r"(?:^|/)AWSLogs/(?:o-[a-z0-9]+/)?(?P<account>[0-9]{12})/(?P<what>CloudTrail[A-Za-z-]*|GuardDuty)/"
    r"(?P<region>[a-z0-9-]+)/(?P<year>[0-9]{4})/(?P<month>[0-9][0-9])/(?P<day>[0-9][0-9])/"
)
_FILE = re.compile(
    r"(?:^|/)(?P<account>[0-9]{12})_CloudTrail_(?P<region>[a-z0-9-]+)_(?P<year>[0-9]{4})(?P<month>[0-9][0-9])(?P<day>[0-9][0-9])T"
)
Place = tuple[str | None, str | None, str | None]


def delivered(name: str) -> tuple[str, str, str] | None:
    """Account, Region and delivery day that an object's name tells, in the layout of S3."""
    found = _KEY.search(name) or _FILE.search(name)
    if found is None:
        return None
    return found["account"], found["region"], f"{found['year']}-{found['month']}-{found['day']}"


def read(held: Held) -> list[Row]:
    """Rows of what was read, by the day of the events; an object without records counts for its delivery day."""
    counts: dict[tuple[Any, ...], list[int]] = {}
    origins = {item["object"]: item for item in held.objects}
    for table, region in (("cloudtrail", "awsregion"), ("findings", "region")):
        sql = f"SELECT account_id, {region}, day, source_object, count(*) FROM t GROUP BY ALL"  # noqa: S608
        for account, told, day, digest, events in held.ask(table, sql):
            item = origins.get(digest, {"place": "", "source": table, "name": ""})
            source = source_of(item)
            if table == "findings" and source in {LOGS, HISTORY}:
                source = "findings"  # a finding among logs
            elif table == "cloudtrail" and source not in {LOGS, HISTORY}:
                source = LOGS  # a record among findings
            where = told or (delivered(item["name"]) or (None, None))[1]
            key = (source, account, where, None if day == "unknown" else day, extent_of(item))
            tally = counts.setdefault(key, [0, 0])
            tally[0] += 1
            tally[1] += events
    for item in held.objects:
        place = delivered(item["name"])
        if place and not item["other"] and not item["seen"] and item["object"]:
            counts.setdefault((source_of(item), *place, extent_of(item)), [0, 0])[0] += 1
    return [
        Row(source, account, region, day, extent, "read", objects, events)
        for (source, account, region, day, extent), (objects, events) in counts.items()
    ]


def refused(held: Held) -> list[Row]:
    """Rows of objects and records that could not be read, by what their names or their places tell."""
    found: dict[tuple[str, Place, str, str], list[Any]] = {}
    for item in held.objects:
        if not item["rejected"]:
            continue
        reason = str(item["rejections"][0]["reason"])
        key = (source_of(item), _place(item), extent_of(item), _status(item, reason))
        tally = found.setdefault(key, [0, 0, f"{item['name']}: {reason}"])
        tally[0] += 1
        tally[1] += item["rejected"]
    return [
        gap(source, place, status, (status, count, first), objects=objects, extent=extent)
        for (source, place, extent, status), (objects, count, first) in found.items()
    ]


def _status(item: dict[str, Any], reason: str) -> str:
    """Whether an object was denied or is broken; manifests of earlier versions say so in the reason only."""
    status = item.get("status") or ("denied" if "Permission denied" in reason else "failed")
    return status if status in {"denied", "failed"} else "failed"


def _place(item: dict[str, Any]) -> Place:
    facts = item.get("facts") or {}
    told = delivered(item["name"])
    if told is not None:
        return told
    account, region = facts.get("account"), facts.get("region")
    return (str(account) if account else None, str(region) if region else None, None)


def last_records(held: Held) -> dict[str, str]:
    """Time of each account's last record."""
    return dict(held.ask("cloudtrail", "SELECT account_id, max(eventtime) FROM t GROUP BY 1"))


def count_between(held: Held, account: str | None, start: str, end: str | None) -> int:
    """Count of records, of one account or of all, after `start` and before `end`."""
    sql = (
        "SELECT count(*) FROM t WHERE ($1 IS NULL OR account_id = $1) AND eventtime > $2 "
        "AND ($3 IS NULL OR eventtime < $3)"
    )
    found = held.ask("cloudtrail", sql, [account, start, end])
    return int(found[0][0]) if found else 0
