"""Containers and wrappers around records, and what kind of record lies inside.

Containers: `{"Records": [...]}` ("CloudTrail log file examples", aws-cloudtrail-user-guide), LookupEvents' `Events`
rows with the record as text, EventBridge's `detail`, CloudWatch Logs' `logEvents[].message`, `_raw` and `message` of
log shippers, lists, lines, and what test collections put around one record.
"""

from collections.abc import Iterator

from msgspec import Struct

from cirtlib.records import layout, scan

LOG, INSIGHT, AGGREGATED, FINDING = "cloudtrail", "insight", "aggregated", "finding"
HISTORY = "finding_history"
DIGEST, UNKNOWN, BROKEN = "digest", "unknown", "broken"

# Names in lower case. A list below one of these holds records, rows or wrappers.
_LISTS = ("records", "events", "logevents", "findings", "test_events", "hits", "results")
# What lies below one of these, as JSON or as text that is JSON, is a record, a row, a list or another wrapper.
_SINGLES = (
    "cloudtrailevent", "detail", "_raw", "message", "doc", "log", "data", "event", "record", "_source", "result",
    "finding", "event_payload", "override_record",
)  # fmt: skip
_STRONG = {"useridentity", "eventid", "awsregion", "sourceipaddress", "eventversion", "recipientaccountid"}
_CORE = _STRONG | {"eventname", "eventsource", "eventtime", "eventtype", "requestid", "useragent", "requestparameters"}
_MAX_WRAPS = 8


class Leaf(Struct, frozen=True, gc=False):
    """One record, or what cannot be read as one: kind, bytes, where from (object, event_history, athena), why."""

    kind: str
    raw: bytes
    origin: str = "object"
    reason: str = ""
    record: layout.Record | None = None


def kind(fields: dict[str, bytes]) -> str:
    """Kind of one JSON object by its keys: what stands above (cloudtrail, insight, finding, ...), or unknown."""
    names = {name.lower(): content for name, content in fields.items()}
    if "digests3object" in names or "digeststarttime" in names:
        return DIGEST
    kinds = (names.get("eventtype", b"") + names.get("eventcategory", b"")).lower()
    if "insightdetails" in names or b"insight" in kinds:
        return INSIGHT
    if b"aggregated" in kinds or {"timewindow", "summary"} <= set(names):
        return AGGREGATED
    if names.get("eventsource", b"").startswith(b'"aws:'):
        return UNKNOWN  # a notification of S3, which borrows CloudTrail's names
    core = len(_CORE & set(names))
    if ("eventtime" in names and core > 1) or (core > 2 and _STRONG & set(names)):
        return LOG
    return _kind_of_finding(names)


def _kind_of_finding(names: dict[str, bytes]) -> str:
    """Kind by the keys of a finding (GuardDuty, ASFF, OCSF; `cirtlib.findings` has the last word) or of its history."""
    if {"findingidentifier", "updatetime"} <= set(names):
        return HISTORY  # of GetFindingHistory, whose list is called Records too
    if "finding_info" in names or "productarn" in names:
        return FINDING
    if "service" in names and names.keys() & {"arn", "severity", "resource"}:
        return FINDING if names["service"].startswith(b"{") else UNKNOWN
    return FINDING if b'"Sequence"' in names.get("detection", b"") else UNKNOWN


def leaves(raw: bytes, *, origin: str = "object", depth: int = 0) -> Iterator[Leaf]:
    """Every record in one JSON value, in order; what is broken or of no known kind is a leaf as well."""
    record = layout.strict(raw)
    if record is not None:
        yield Leaf(LOG, raw, origin, "", record)
        return
    raw = raw.strip()
    mark = raw[:1]
    if depth > _MAX_WRAPS:
        yield Leaf(UNKNOWN, raw, origin, f"records are wrapped more than {_MAX_WRAPS} times")
    elif mark == b"[":
        yield from _list(raw, origin, depth)
    elif mark == b"{":
        yield from _object(raw, origin, depth)
    elif mark == b'"' and (inner := (scan.text(raw) or "").strip().encode())[:1] in {b"{", b"["}:
        yield from leaves(inner, origin=origin, depth=depth + 1)
    elif scan.is_whole(raw):
        yield Leaf(UNKNOWN, raw, origin, "no JSON object")
    else:
        yield Leaf(BROKEN, raw, origin, "not JSON" if mark != b'"' else "the JSON ends in the middle of a value")


def _list(raw: bytes, origin: str, depth: int) -> Iterator[Leaf]:
    found, broken = scan.elements(raw)
    for item in found:
        content = bytes(item)
        record = layout.strict(content)
        if record is not None:  # what nearly all are; this loop is the hot path
            yield Leaf(LOG, content, origin, "", record)
        else:
            yield from leaves(content, origin=origin, depth=depth + 1)
    if broken is not None:
        yield from _remains(broken, origin, depth)


def _remains(broken: scan.Broken, origin: str, depth: int) -> Iterator[Leaf]:
    """What is whole inside a value that is broken further on; and the broken rest, once, as the last leaf."""
    if broken.raw[:1] in {b"{", b"["} and depth <= _MAX_WRAPS:
        yield from leaves(broken.raw, origin=origin, depth=depth + 1)
    else:
        yield Leaf(BROKEN, broken.raw, origin, broken.reason)


def _object(raw: bytes, origin: str, depth: int) -> Iterator[Leaf]:
    fields, broken = scan.members(raw)
    names = {name.lower(): name for name in fields}
    if broken is not None:
        if broken.raw[:1] in {b"{", b"["} and broken.key.lower() in (*_LISTS, *_SINGLES) and kind(fields) == UNKNOWN:
            yield from _remains(broken, origin, depth)
        else:
            yield Leaf(BROKEN, raw, origin, broken.reason)
        return
    if "cloudtrailevent" in names:
        origin = "event_history"
    else:
        what = kind(fields)
        if what != UNKNOWN:
            yield Leaf(what, raw, "athena" if "eventtime" in fields else origin)
            return
    if "records" in names:
        yield from _records(fields[names["records"]], origin, depth)
        return
    for name in (*_LISTS, *_SINGLES):
        if name in names:
            found = list(leaves(fields[names[name]], origin=origin, depth=depth + 1))
            if any(leaf.kind != UNKNOWN for leaf in found):
                yield from found
                return
    yield Leaf(UNKNOWN, raw, origin, f"neither a CloudTrail record nor a finding; its keys are {_named(fields)}")


def _records(raw: bytes, origin: str, depth: int) -> Iterator[Leaf]:
    """Elements of `Records`: each was meant to be a record; one which is none is broken, not of another kind."""
    if not raw.startswith(b"["):
        yield Leaf(BROKEN, raw, origin, f"Records is no list but {raw[:20].decode('utf-8', 'replace')}")
        return
    for leaf in _list(raw, origin, depth):
        notice = leaf.kind == UNKNOWN and b'"aws:' in leaf.raw
        yield Leaf(BROKEN, leaf.raw, leaf.origin, leaf.reason) if leaf.kind == UNKNOWN and not notice else leaf


def _named(fields: dict[str, bytes]) -> str:
    shown = ", ".join(name[:40] for name in list(fields)[:6])
    return shown + (", ..." if len(fields) > 6 else "") if fields else "none"
