"""One object -> rows of the case's tables and its account: what was seen, rejected, or of another kind.

`read_each` needs nothing but its arguments, so that it can run in any process.
"""

import gc
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from cirtlib import findings, records
from cirtlib.findings import history
from cirtlib.records import scan
from cirtlib.records.layout import Record, forgiving, identifier, plain, rebuilt, time
from cirtlib.store.builder import Builder

# Key layout: "CloudTrail log file examples" and "Finding your CloudTrail log files" (aws-cloudtrail-user-guide); an
# organization's trail puts its own id (o-...) before the account.
_ACCOUNT = re.compile(r"(?:^|/)AWSLogs/(?:o-[a-z0-9]+/)?([0-9]{12})/|(?:^|/)([0-9]{12})_CloudTrail")
_TABLE = {"insight": "insights", "aggregated": "aggregated"}
ANOTHER = "another kind"
# Bytes of one object's rejected items that are held whole, and of each that comes after them.
_HELD, _SHOWN = 32 << 20, 1024
# Position, reason, bytes.
Rejection = tuple[int, str, bytes]


@dataclass
class Account:
    """What one object held: records seen and rejected, where and why, and its kind when it holds others."""

    seen: int = 0
    rejections: list[Rejection] = field(default_factory=list)
    digests: int = 0
    other: str | None = None


def read_each(
    objects: list[tuple[str, str, Path]],
    give: Callable[[str, pa.Table], None],
    *,
    limit: int = records.MAX_EXPANDED,
) -> list[Account]:
    """Read objects (name, SHA-256, the file that holds its bytes), and account for each.

    However large an object is, no more than a part of it is in memory at a time.

    Parameters
    ----------
    give
        Gets the name of a table and rows of it, as soon as there are enough to be written.
    limit
        Bytes to which one compressed object may expand.
    """
    builder = Builder(give)
    # Rows hold no cycles: looking for them while millions of texts are made doubles the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        made = [_read(file, (name, digest), builder, limit) for name, digest, file in objects]
        builder.finish()
    finally:
        if collecting:
            gc.enable()
    return made


def _read(file: Path, known: tuple[str, str], builder: Builder, limit: int) -> Account:
    """Add every record in one object, known as (name, SHA-256), to the builder, and account for it."""
    name, digest = known
    made, strangers = Account(), list[Rejection]()
    account = path_account(name)
    held = 0

    def told(position: int, reason: str, raw: bytes) -> Rejection:
        nonlocal held
        held += len(raw)
        # Position and object lead back to the original; a file of nothing but rejections must not fill the memory.
        return position, reason, raw if held <= _HELD else raw[:_SHOWN]

    for item in records.read(file, name=name, limit=limit):
        if isinstance(item, records.Run):
            made.seen += len(item.records)
            builder.events(item.records, item.position, (digest, "object", account))
        elif isinstance(item, records.Other):
            made.digests += item.kind == "digest"
            strangers += [told(item.position, item.reason, item.raw)] if item.kind != "digest" else []
        elif isinstance(item, records.Rejected):
            made.rejections.append(told(item.position, item.reason, item.raw))
        else:
            try:
                _add(item, digest, account, builder)
            except ValueError as error:
                made.rejections.append(told(item.position, str(error), item.raw))
            else:
                made.seen += 1
    made.seen += len(made.rejections)
    if made.seen:
        # Among records, what is none may be a record that was spoilt: it is not passed over.
        made.seen += len(strangers)
        made.rejections = sorted([*made.rejections, *strangers])
    elif strangers:
        made.other = ANOTHER
    if made.digests:
        made.other = "digest"
    return made


def path_account(name: str) -> str | None:
    """Account that an object's name says it is from."""
    found = _ACCOUNT.search(name.replace("\\", "/"))
    return (found[1] or found[2]) if found else None


def _add(item: records.Item, digest: str, account: str | None, builder: Builder) -> None:
    link = (digest, item.position, item.origin)
    if item.kind == "cloudtrail":
        record, unmodelled = _record(item)
        builder.event(record, item.position, (digest, item.origin, account), unmodelled)
    elif item.kind == "finding":
        builder.finding(_finding(item.raw), link)
    elif item.kind == "finding_history":
        builder.finding_history(history.row(scan.value(item.raw)), link)
    else:
        builder.other(_TABLE[item.kind], _other(item.raw, account), link)


def _finding(raw: bytes) -> dict[str, Any]:
    try:
        found = findings.rows(scan.value(raw))
    except ValueError:
        raise
    except Exception as error:  # a finding of a shape nobody thought of costs itself, not the collect
        raise ValueError(f"a finding that cannot be read: {type(error).__name__}: {error}") from error
    if len(found) != 1:
        raise ValueError(f"a finding was expected, {len(found)} were found")
    return found[0]


def _record(item: records.Item) -> tuple[Record, tuple[str | None] | None]:
    """The record for its columns; and its column `unmodelled`, in a tuple, if the forgiving reader had to read it."""
    record, unmodelled = item.record, None
    if record is None or not plain(record, item.raw):
        values = forgiving(records.redact(item.raw))
        record, unmodelled = rebuilt(values), (values[-1],)
    if not record.eventid:
        record.eventid = identifier(None, item.raw)
    return record, unmodelled


def _other(raw: bytes, account: str | None) -> dict[str, str | None]:
    """Columns of an insight or an aggregated record; its time is that of the event, or the start of its time window."""
    clean = records.redact(raw)
    content = scan.value(clean)
    if not isinstance(content, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - a rejection, not a mistake in the program
    fields = {str(name).lower(): value for name, value in content.items()}
    frame = fields.get("timewindow")
    start = frame.get("windowStart") if isinstance(frame, dict) else None
    named = fields.get("recipientaccountid") or fields.get("accountid") or account
    return {
        "eventid": _text(fields.get("eventid")) or identifier(None, raw),
        "eventtime": time(_text(fields.get("eventtime")) or _text(start)),
        "account": _text(named),
        "awsregion": _text(fields.get("awsregion")),
        "record": clean.decode("utf-8", "replace"),
    }


def _text(value: Any) -> str | None:  # noqa: ANN401
    return None if value is None or isinstance(value, dict | list) else str(value)


def now() -> str:
    """The moment of the call, as ISO 8601 text in UTC."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
