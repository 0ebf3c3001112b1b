"""The account of the evidence: for each object and for the case, seen = kept + duplicate + rejected.

Seen and rejected stand in the manifest; kept and duplicate are counted in the tables, so that the sum is a check.
"""

# ruff: noqa: S608 - SQL is put together from names of ours only; values of logs are never in it.

import json
from collections import Counter
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cirtlib import evidence
from cirtlib.case import Case
from cirtlib.store import schema
from cirtlib.store.settle import files
from cirtlib.store.tables import paths


def key(entry: dict[str, Any]) -> str:
    """Where an object lies: one file is one object, however many sources name its folder."""
    return f"{entry['place']}/{entry['name']}"


def standing(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Manifest entries that count: a failure to read does not, once the object was read."""
    readable = {key(entry) for entry in entries if entry["object"]}
    return [entry for entry in entries if entry["object"] or key(entry) not in readable]


def names(entries: list[dict[str, Any]]) -> dict[str, list[str]]:
    """For each object (SHA-256) all places where it lay, sorted: the first is the one whose records are kept."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        if entry["object"]:
            found.setdefault(entry["object"], []).append(key(entry))
    return {digest: sorted(places) for digest, places in found.items()}


def objects(case: Case) -> list[dict[str, Any]]:
    """Account of every object: name, place, object, source, other, seen, kept, duplicate, rejected, rejections."""
    entries = standing(evidence.entries(case))
    first = {digest: places[0] for digest, places in names(entries).items()}
    counted = tally(case)
    found = []
    for entry in entries:
        own = entry["object"] and first[entry["object"]] == key(entry)
        kept, duplicate = counted.get(entry["object"], (0, 0)) if own else (0, entry["seen"] - entry["rejected"])
        shown = ("name", "place", "object", "source", "other", "seen", "rejected", "rejections")
        found.append({**{part: entry[part] for part in shown}, "kept": kept, "duplicate": duplicate})
    return found


def total(case: Case) -> dict[str, Any]:
    """Account of the case as DESIGN's `collect` gives it, without `new`.

    Keys: objects, seen, kept, duplicate, rejected (numbers), other_objects (names), rejections (object, position,
    reason).
    """
    found = objects(case)
    sums = {part: sum(item[part] for item in found) for part in ("seen", "kept", "duplicate", "rejected")}
    return {
        "objects": len(found),
        **sums,
        "other_objects": sorted({item["name"] for item in found if item["other"]}),
        "rejections": [
            {"object": item["name"], "position": one["position"], "reason": one["reason"]}
            for item in found
            for one in item["rejections"]
        ],
    }


def tally(case: Case) -> dict[str, tuple[int, int]]:
    """For each object (SHA-256) how many of its records are kept, in any table, and how many are duplicates.

    Further names of the same bytes are not counted: all they hold is duplicate.
    """
    kept, repeats = Counter[str](), Counter[str]()
    for table in schema.TABLES:
        for file in paths(case, table):
            _count(pq.read_table(file, columns=["source_object"], partitioning=None), kept)
    for file in paths(case, "sightings"):
        rows = pq.read_table(file, columns=["source_object", "kept", "copy"], partitioning=None)
        _count(rows.filter(pc.and_(pc.invert(rows["kept"]), pc.equal(rows["copy"], 0))), repeats)
    return {digest: (kept[digest], repeats[digest]) for digest in kept | repeats}


def _count(rows: pa.Table, counts: Counter[str]) -> None:
    for one in rows["source_object"].value_counts().to_pylist():
        counts[one["values"]] += one["counts"]


def write_collected(case: Case, *, collected_at: str) -> dict[str, Any]:
    """Write evidence/collected.json, which pins the manifest and says what the evidence spans; its totals."""
    totals = total(case)
    content: dict[str, Any] = {"collected_at": collected_at, **_span(case), "totals": totals}
    content["manifest"] = evidence.head(case)
    evidence.write(case.evidence / "collected.json", json.dumps(content, indent=1).encode())
    return totals


def _span(case: Case) -> dict[str, Any]:
    found = paths(case, "cloudtrail")
    if not found:
        return {"first_event": None, "last_event": None, "accounts": [], "regions": []}
    with duckdb.connect(":memory:") as connection:
        rows = connection.execute(
            "SELECT min(eventtime), max(eventtime), list_sort(list(DISTINCT account_id)), "
            "list_sort(list(DISTINCT awsregion) FILTER (awsregion IS NOT NULL)) "
            f"FROM read_parquet({files(found)}, hive_partitioning = true, hive_types_autocast = false)"
        ).fetchall()
    first, last, accounts, regions = rows[0]
    known = [account for account in accounts if account.isdigit()]
    return {"first_event": first, "last_event": last, "accounts": known, "regions": regions or []}
