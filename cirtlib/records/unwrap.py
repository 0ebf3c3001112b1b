"""Containers and wrappers around records, and what kind of record lies inside.

Containers: `{"Records": [...]}` ("CloudTrail log file examples", aws-cloudtrail-user-guide), LookupEvents' `Events`
rows with the record as text, EventBridge's `detail`, CloudWatch Logs' `logEvents[].message`, `_raw` and `message` of
log shippers, lists, lines, and what test collections put around one record.
"""

from collections.abc import Callable, Generator, Iterator
from typing import cast

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
MAX_WRAPS = 8
_FIRST = 1 << 16  # bytes in which the first record of a list ends
_TRIED = 3  # elements of a list of unknown name that are looked at


class Leaf(Struct, frozen=True, gc=False):
    """One record, or what cannot be read as one: kind, bytes, where from (object, event_history, athena), why."""

    kind: str
    raw: bytes
    origin: str = "object"
    reason: str = ""
    record: layout.Record | None = None


# Leaves, and records as documented in lists of them where that was asked for.
Found = Iterator[Leaf | list[layout.Record]]


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
    if depth > MAX_WRAPS:
        yield Leaf(UNKNOWN, raw, origin, f"records are wrapped more than {MAX_WRAPS} times")
    elif mark == b"[":
        yield from _list(raw, origin, depth)
    elif mark == b"{":
        yield from cast("Iterator[Leaf]", _object(raw, origin, depth))
    elif mark == b'"' and (inner := (scan.text(raw) or "").strip().encode())[:1] in {b"{", b"["}:
        yield from leaves(inner, origin=origin, depth=depth + 1)
    elif scan.is_whole(raw):
        yield Leaf(UNKNOWN, raw, origin, "no JSON object")
    else:
        reason = "not JSON" if mark != b'"' else "the JSON ends in the middle of a value"
        yield from salvaged(raw, origin, reason, depth)


def salvaged(raw: bytes, origin: str, reason: str, depth: int = 0) -> Iterator[Leaf]:
    """Records that stand whole in broken bytes, and what lies between them as broken: damage costs only itself.

    At least one leaf is broken.
    """
    done, gaps = 0, 0
    if depth <= MAX_WRAPS:
        for start, end in scan.objects(raw.decode("latin-1"), 1):
            if start < done or not (found := records_in(raw[start:end], origin, depth)):
                continue
            if raw[done:start].strip(FRAME):
                yield Leaf(BROKEN, raw[done:start], origin, reason)
                gaps += 1
            yield from found
            done = end
    if not gaps or raw[done:].strip(FRAME):
        yield Leaf(BROKEN, raw[done:], origin, reason)


FRAME = b" \t\r\n\0\x1e,:[]{}"  # what may stand between records without being one


def records_in(raw: bytes, origin: str, depth: int) -> list[Leaf]:
    """Leaves of one JSON object, if one of them is a record."""
    record = layout.strict(raw)
    if record is not None:
        return [Leaf(LOG, raw, origin, "", record)]
    found = list(leaves(raw, origin=origin, depth=depth + 1))
    return found if any(leaf.kind in {LOG, INSIGHT, AGGREGATED, FINDING} for leaf in found) else []


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
    """What is whole inside a value that is broken further on; and the broken rest, as the last leaf."""
    if broken.raw[:1] in {b"{", b"["} and depth <= MAX_WRAPS:
        yield from leaves(broken.raw, origin=origin, depth=depth + 1)
    else:
        yield from salvaged(broken.raw, origin, broken.reason, depth)


def _object(raw: bytes, origin: str, depth: int) -> Found:
    fields, broken = scan.members(raw)
    if broken is None:

        def descend(name: str, own: str) -> Found:
            return leaves(fields[name], origin=own, depth=depth + 1)

        yield from inside(fields, lambda: raw, origin, descend)
    elif goes_on(fields, broken.key, broken.raw):
        yield from _remains(broken, origin, depth)
    else:
        yield from salvaged(raw, origin, broken.reason, depth)


def goes_on(fields: dict[str, bytes], key: str, rest: bytes) -> bool:
    """Whether an object breaks off inside the list or wrapper that holds its records."""
    return rest[:1] in {b"{", b"["} and key.lower() in (*_LISTS, *_SINGLES) and kind(fields) == UNKNOWN


def inside(
    fields: dict[str, bytes], raw: Callable[[], bytes], origin: str, descend: Callable[[str, str], Found]
) -> Found:
    """Leaves of one whole object: itself a record, or what holds some.

    `fields` are its values, of which the beginning is enough; `raw` gives its bytes; `descend` the leaves of the value
    of one key, with an origin.
    """
    names = {name.lower(): name for name in fields}
    if "cloudtrailevent" in names:
        origin = "event_history"
    else:
        what = kind(fields)
        if what != UNKNOWN:
            yield Leaf(what, raw(), "athena" if "eventtime" in fields else origin)
            return
    if "records" in names:
        name = names["records"]
        yield from _records(fields[name], origin, lambda: descend(name, origin))
        return
    for wrapper in (*_LISTS, *_SINGLES):
        if wrapper in names and (yield from _known(descend(names[wrapper], origin))):
            return
    for name, content in fields.items():
        if content.startswith(b"[") and _begins_with_record(content):
            yield from descend(name, origin)
            return
    yield Leaf(UNKNOWN, raw(), origin, f"neither a CloudTrail record nor a finding; its keys are {_named(fields)}")


def _begins_with_record(content: bytes) -> bool:
    """Whether one of the first things in a list, whatever the list's name, is a record."""
    done, tried = 0, 0
    for start, end in scan.objects(content[:_FIRST].decode("latin-1"), 1):
        if start < done:
            continue  # it lies in the one before
        raw, done, tried = content[start:end], end, tried + 1
        if layout.strict(raw) is not None or kind(scan.members(raw)[0]) != UNKNOWN:
            return True
        if tried == _TRIED:
            break
    return False


def _known(found: Found) -> Generator[Leaf | list[layout.Record], None, bool]:
    """Leaves, unless every one of them is of no known kind; whether there were any."""
    waiting: list[Leaf | list[layout.Record]] = []
    for leaf in found:
        if isinstance(leaf, Leaf) and leaf.kind == UNKNOWN:
            waiting.append(leaf)
            continue
        yield from waiting
        yield leaf
        yield from found
        return True
    return False


def _records(head: bytes, origin: str, descend: Callable[[], Found]) -> Found:
    """Elements of `Records`: each was meant to be a record; one which is none is broken, not of another kind."""
    if not head.startswith(b"["):
        yield Leaf(BROKEN, head, origin, f"Records is no list but {head[:20].decode('utf-8', 'replace')}")
        return
    for leaf in descend():
        if isinstance(leaf, Leaf) and leaf.kind == UNKNOWN and b'"aws:' not in leaf.raw:
            yield Leaf(BROKEN, leaf.raw, leaf.origin, leaf.reason)
        else:
            yield leaf


def _named(fields: dict[str, bytes]) -> str:
    shown = ", ".join(name[:40] for name in list(fields)[:6])
    return shown + (", ..." if len(fields) > 6 else "") if fields else "none"
