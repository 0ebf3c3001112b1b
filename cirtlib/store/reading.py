"""One object -> rows of the case's tables and its account: what was seen, rejected, or of another kind.

`read` needs nothing but its arguments and the builder, so that it can run in any process.
"""

import gc
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from cirtlib import findings, records
from cirtlib.records import scan
from cirtlib.records.layout import Record, forgiving, identifier, time, typed
from cirtlib.store.builder import Builder

# Key layout: "CloudTrail log file examples" and "Finding your CloudTrail log files" (aws-cloudtrail-user-guide); an
# organization's trail puts its own id (o-...) before the account.
_ACCOUNT = re.compile(r"(?:^|/)AWSLogs/(?:o-[a-z0-9]+/)?([0-9]{12})/|(?:^|/)([0-9]{12})_CloudTrail")
_TABLE = {"insight": "insights", "aggregated": "aggregated"}
ANOTHER = "another kind"


@dataclass
class Account:
    """What one object held: records seen and rejected, where and why, and its kind when it holds others."""

    seen: int = 0
    rejections: list[tuple[int, str, bytes]] = field(default_factory=list)
    digests: int = 0
    other: str | None = None


def read(data: bytes, *, name: str, digest: str, builder: Builder, limit: int = records.MAX_EXPANDED) -> Account:
    """Add every record in one object to the builder, and account for it.

    `name` says what bytes are meant to be and which account they are from; `digest` is the object's SHA-256.
    """
    made, strangers = Account(), list[records.Other]()
    account = path_account(name)
    for item in records.split(data, name=name, limit=limit):
        if isinstance(item, records.Other):
            made.digests += item.kind == "digest"
            strangers += [item] if item.kind != "digest" else []
            continue
        made.seen += 1
        if isinstance(item, records.Rejected):
            made.rejections.append((item.position, item.reason, item.raw))
            continue
        try:
            _add(item, digest, account, builder)
        except ValueError as error:
            made.rejections.append((item.position, str(error), item.raw))
    if made.seen:
        # Among records, what is none may be a record that was spoilt: it is not passed over.
        made.seen += len(strangers)
        made.rejections += [(item.position, item.reason, item.raw) for item in strangers]
        made.rejections.sort(key=lambda rejection: rejection[0])
    elif strangers:
        made.other = ANOTHER
    if made.digests:
        made.other = "digest"
    return made


def read_many(
    objects: list[tuple[str, str, Path]], *, limit: int = records.MAX_EXPANDED
) -> tuple[dict[str, pa.Table], list[Account]]:
    """Read a batch of objects (name, SHA-256, file): Arrow tables by name, and the account of each object."""
    builder = Builder()
    # Rows hold no cycles: looking for them while millions of texts are made doubles the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        made = [
            read(file.read_bytes(), name=name, digest=digest, builder=builder, limit=limit)
            for name, digest, file in objects
        ]
        return builder.tables(), made
    finally:
        if collecting:
            gc.enable()


def path_account(name: str) -> str | None:
    """Account that an object's name says it is from."""
    found = _ACCOUNT.search(name.replace("\\", "/"))
    return (found[1] or found[2]) if found else None


def _add(item: records.Item, digest: str, account: str | None, builder: Builder) -> None:
    link = (digest, item.position, item.origin)
    if item.kind == "cloudtrail":
        builder.event(_values(item), link, account)
    elif item.kind == "finding":
        builder.finding(_finding(item.raw), link)
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


def _values(item: records.Item) -> tuple[str | None, ...]:
    """Values of one CloudTrail record; the record as `split` decoded it serves if it holds no session token."""
    # Looking for CloudTrail's own spelling is enough for a record that is exactly as documented.
    clean = records.redact(item.raw) if item.record is None or b"essionToken" in item.raw else item.raw
    record: Record | None = item.record if clean is item.raw else records.strict(clean)
    values = (typed(record) if record is not None else None) or forgiving(clean)
    if not values[_EVENT_ID]:
        values = (*values[:_EVENT_ID], identifier(None, item.raw), *values[_EVENT_ID + 1 :])
    return values


_EVENT_ID = records.COLUMNS.index("eventid")


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
