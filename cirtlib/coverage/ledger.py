"""Rows of the ledger: what was read, what was refused, what digests say, and the days in between that nothing covers.

Key layout and digests: "Finding your CloudTrail log files" and "CloudTrail digest file structure"
(aws-cloudtrail-user-guide).
"""

import re
from collections import defaultdict
from datetime import date, timedelta
from typing import Any

import duckdb

from cirtlib import evidence, records, store
from cirtlib.case import Case
from cirtlib.errors import EvidenceError
from cirtlib.records import scan
from cirtlib.store.settle import files

COLUMNS = ("source", "account", "region", "day", "extent", "status", "objects", "events", "reason")
_KEY = re.compile(
    r"(?:^|/)AWSLogs/(?:o-[a-z0-9]+/)?(?P<account>[0-9]{12})/(?P<what>CloudTrail[A-Za-z-]*|GuardDuty)/"
    r"(?P<region>[a-z0-9-]+)/(?P<year>[0-9]{4})/(?P<month>[0-9][0-9])/(?P<day>[0-9][0-9])/"
)
_FILE = re.compile(
    r"(?:^|/)(?P<account>[0-9]{12})_CloudTrail_(?P<region>[a-z0-9-]+)_(?P<year>[0-9]{4})(?P<month>[0-9][0-9])(?P<day>[0-9][0-9])T"
)


def row(source: str, place: tuple[Any, ...], status: str, counts: tuple[int, int], reason: str = "") -> dict[str, Any]:
    """One row: source, (account, region, day), status, (objects, events), reason."""
    return dict(zip(COLUMNS, (source, *place, "all", status, *counts, reason), strict=True))


def delivered(name: str) -> tuple[str, str, str] | None:
    """Account, Region and delivery day that an object's name tells, in the layout of S3."""
    found = _KEY.search(name) or _FILE.search(name)
    if found is None:
        return None
    return found["account"], found["region"], f"{found['year']}-{found['month']}-{found['day']}"


def _ask(case: Case, table: str, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a SELECT over one table of the store, named `t`; none when it has no files."""
    found = store.paths(case, table)
    if not found:
        return []
    source = f"read_parquet({files(found)}, hive_partitioning = true, hive_types_autocast = false)"
    with duckdb.connect(":memory:") as connection:
        return list(connection.execute(sql.replace("FROM t", f"FROM {source} t")).fetchall())


def read(case: Case, objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of what was read, by the day of the events; an object without records counts for its delivery day."""
    counts: dict[tuple[Any, ...], list[int]] = {}
    kinds = {item["object"]: item["source"] for item in objects}
    for table, region in (("cloudtrail", "awsregion"), ("findings", "region")):
        sql = f"SELECT account_id, {region}, day, source_object, count(*) FROM t GROUP BY ALL"  # noqa: S608
        for account, where, day, digest, events in _ask(case, table, sql):
            source = "cloudtrail" if table == "cloudtrail" else _finding_source(kinds.get(digest))
            tally = counts.setdefault((source, account, where, None if day == "unknown" else day), [0, 0])
            tally[0] += 1
            tally[1] += events
    for item in objects:
        place = delivered(item["name"])
        if place and not item["other"] and not item["seen"] and item["object"]:
            counts.setdefault((item["source"], *place), [0, 0])[0] += 1
    return [row(key[0], key[1:], "read", (tally[0], tally[1])) for key, tally in counts.items()]


def _finding_source(kind: str | None) -> str:
    return kind if kind and kind != "cloudtrail" else "findings"


def refused(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of objects and records that could not be read, by what their names tell."""
    found: dict[tuple[Any, ...], list[Any]] = {}
    for item in objects:
        if not item["rejected"]:
            continue
        reason = item["rejections"][0]["reason"]
        status = "denied" if "Permission denied" in reason else "failed"
        key = (item["source"], delivered(item["name"]) or (None, None, None), status)
        tally = found.setdefault(key, [0, 0, f"{item['name']}: {reason}"])
        tally[0] += 1
        tally[1] += item["rejected"]
    return [
        row(source, place, status, (objects, 0), f"{count} rejected, the first in {first}")
        for (source, place, status), (objects, count, first) in found.items()
    ]


def from_digests(case: Case, objects: list[dict[str, Any]], read_rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of days that digests call empty, and of files they name that were not collected."""
    have = {item["name"].rpartition("/")[2] for item in objects}
    said: dict[tuple[str, str, str], int] = defaultdict(int)
    lost: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for item in objects:
        if item["other"] != "digest" or not item["object"]:
            continue
        for digest in _digests(case, item["object"]):
            place = delivered(item["name"]) or delivered(str(digest.get("digestS3Object")))
            named = [str(one.get("s3Object")) for one in digest.get("logFiles") or () if isinstance(one, dict)]
            if place:
                said[place] += len(named)
            for name in named:
                if name.rpartition("/")[2] not in have and (where := delivered(name)):
                    lost[where].append(name.rpartition("/")[2])
    seen = {(one["account"], one["region"], one["day"]) for one in read_rows if one["source"] == "cloudtrail"}
    rows = [
        row("cloudtrail", place, "empty", (0, 0)) for place, count in said.items() if not count and place not in seen
    ]
    for place, names in lost.items():
        reason = f"a digest names {len(set(names))} files that were not collected, such as {min(names)}"
        rows.append(row("cloudtrail", place, "missing", (0, 0), reason))
    return rows


def _digests(case: Case, digest: str) -> list[dict[str, Any]]:
    try:
        found = [item.raw for item in records.split(evidence.load(case, digest)) if isinstance(item, records.Other)]
        decoded = [scan.value(raw) for raw in found]
    except (EvidenceError, ValueError):
        return []
    return [one for one in decoded if isinstance(one, dict)]


def absent(rows: list[dict[str, Any]], bounds: tuple[str, str] | None) -> list[dict[str, Any]]:
    """Rows for days of an account and Region that nothing covers, between their first and last day within bounds."""
    days: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in rows:
        known = one["account"] and one["account"].isdigit() and one["region"] and one["day"]
        if one["source"] == "cloudtrail" and known:
            days[one["account"], one["region"]].add(one["day"])
    found = []
    for (account, region), covered in days.items():
        inside = sorted(day for day in covered if bounds is None or bounds[0] <= day <= bounds[1])
        if not inside:
            continue
        day, last = date.fromisoformat(inside[0]), date.fromisoformat(inside[-1])
        while (day := day + timedelta(days=1)) < last:
            if day.isoformat() not in covered:
                found.append(row("cloudtrail", (account, region, day.isoformat()), "absent", (0, 0), "no objects"))
    return found


def data_services(case: Case) -> set[str] | None:
    """Event sources of which there are data events; None when there are no CloudTrail records at all."""
    sql = "SELECT DISTINCT CASE WHEN eventcategory = 'Data' OR managementevent = 'false' THEN eventsource END FROM t"
    found = _ask(case, "cloudtrail", sql)
    return {name for (name,) in found if name} if found else None


def last_records(case: Case) -> dict[str, str]:
    """Time of each account's last record."""
    return dict(_ask(case, "cloudtrail", "SELECT account_id, max(eventtime) FROM t GROUP BY 1"))


def trail_changes(case: Case) -> list[tuple[Any, ...]]:
    """Successful calls that change trails: time, name, account, Region, request, response, event id; by time."""
    return _ask(
        case,
        "cloudtrail",
        "SELECT eventtime, eventname, account_id, awsregion, requestparameters, responseelements, eventid FROM t "
        "WHERE eventsource = 'cloudtrail.amazonaws.com' AND COALESCE(errorcode, '') = '' AND eventname IN "
        "('StopLogging', 'StartLogging', 'DeleteTrail', 'CreateTrail', 'UpdateTrail', 'PutEventSelectors') "
        "ORDER BY eventtime, eventid",
    )


def count_between(case: Case, account: str, start: str, end: str | None) -> int:
    """Count of an account's records after `start` and before `end`."""
    found = store.paths(case, "cloudtrail")
    source = f"read_parquet({files(found)}, hive_partitioning = true, hive_types_autocast = false)"
    with duckdb.connect(":memory:") as connection:
        rows = connection.execute(
            f"SELECT count(*) FROM {source} "  # noqa: S608 - paths of ours
            "WHERE account_id = $1 AND eventtime > $2 AND ($3 IS NULL OR eventtime < $3)",
            [account, start, end],
        ).fetchall()
    return int(rows[0][0])
