"""CloudTrail bytes -> records -> rows: every container and every shape of record, nothing lost without a word.

`split` finds the records in an object, `row` gives the columns of one. A record's position is its index among all that
`split` yields for the object, so that position and object lead back to the original bytes.
"""

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from cirtlib.records import large, layout, scan, unwrap
from cirtlib.records.compression import MAX_EXPANDED, Part, parts
from cirtlib.records.layout import COLUMNS, Record, identifier, row, strict, typed
from cirtlib.records.redact import redact
from cirtlib.records.windows import BLANK, Text, transcoded

__all__ = [
    "COLUMNS", "MAX_EXPANDED", "Item", "Other", "Record", "Rejected", "Run", "identifier", "kind", "read", "redact",
    "row", "split", "strict", "typed",
]  # fmt: skip

# What is named so is meant to hold JSON; if it does not, that is a rejection and not a file of another kind.
_MEANT_AS_JSON = (".json", ".jsonl", ".ndjson", ".gz", ".zip", ".cloudtrail", "")
_SHOWN = 2 << 20  # of a large text that is no JSON
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


class Item(Struct, frozen=True, gc=False):
    """One whole record: bytes as delivered, kind (as `kind` names it), and origin (source_kind)."""

    position: int
    raw: bytes
    kind: str
    origin: str
    record: Record | None = None


class Run(Struct, frozen=True, gc=False):
    """Records of one object that are as documented, decoded, from one position on; with all of the object's bytes."""

    position: int
    records: list[Record]


class Rejected(Struct, frozen=True, gc=False):
    """What ought to be a record and cannot be read as one: its bytes and the reason."""

    position: int
    reason: str
    raw: bytes


class Other(Struct, frozen=True, gc=False):
    """What is no record and was not meant as one: a digest, or JSON or text of another kind."""

    position: int
    kind: str
    raw: bytes
    reason: str = ""


def split(data: bytes | Path, *, name: str = "", limit: int = MAX_EXPANDED) -> Iterator[Item | Rejected | Other]:
    """Every record in one object, in order; the one function that knows every container.

    Parameters
    ----------
    data
        The object as delivered, or the file that holds it: JSON, JSON lines, gzip, zip.
    name
        Its name, which only decides what bytes that are no JSON are: rejected, or a file of another kind.
    limit
        Bytes to which a compressed object may expand; what lies beyond is rejected.

    Yields
    ------
    Item, Rejected or Other
        positions count from 0 over all of them.
    """
    for item in read(data, name=name, limit=limit, runs=False):
        if not isinstance(item, Run):
            yield item


def read(
    data: bytes | Path, *, name: str = "", limit: int = MAX_EXPANDED, runs: bool = True
) -> Iterator[Run | Item | Rejected | Other]:
    """Every record in one object, as `split` gives them, but records that are as documented in runs where that can be.

    A run has no bytes of its records; positions are the same either way.
    """
    position = 0
    for part in parts(data, limit=limit):
        for leaf in _leaves(part, name, runs):
            if isinstance(leaf, list):
                yield Run(position, leaf)
                position += len(leaf)
                continue
            if leaf.kind == unwrap.BROKEN:
                yield Rejected(position, leaf.reason, leaf.raw)
            elif leaf.kind in {unwrap.DIGEST, unwrap.UNKNOWN}:
                yield Other(position, leaf.kind, leaf.raw, leaf.reason)
            else:
                yield Item(position, leaf.raw, leaf.kind, leaf.origin, leaf.record)
            position += 1


def _leaves(part: Part, name: str, runs: bool) -> Iterator[unwrap.Leaf | list[Record]]:
    """Leaves of one text; a fault of its archive is one more broken leaf, unless the text itself ends broken."""
    last = None
    for leaf in _texts(part, part.name or name, runs):
        if last is not None:
            yield last
        last = leaf
    if isinstance(last, unwrap.Leaf) and part.fault and last.kind == unwrap.BROKEN:
        yield unwrap.Leaf(unwrap.BROKEN, last.raw, last.origin, f"{part.fault}: {last.reason}")
        return
    if last is not None:
        yield last
    if part.fault:
        yield unwrap.Leaf(unwrap.BROKEN, b"", "object", part.fault)


def _texts(part: Part, name: str, runs: bool) -> Iterator[unwrap.Leaf | list[Record]]:
    data = part.data
    beginning = data[:4] if isinstance(data, bytes) else data.read(0, 4)
    for mark, encoding in _MARKS.items():
        # JSON begins with ASCII, of which UTF-16 makes a zero byte each: without one the mark is a stray.
        if beginning.startswith(mark) and (encoding != "utf-16" or b"\0" in beginning[2:] or len(beginning) == 2):
            data = data.decode(encoding, "replace").encode() if isinstance(data, bytes) else transcoded(data, encoding)
            part.data = data
            break
    inner = data.strip(BLANK) if isinstance(data, bytes) else b""
    start = inner[:1] if isinstance(data, bytes) else data.read(data.blank(0), 1)
    if not start and not part.fault:
        yield unwrap.Leaf(unwrap.BROKEN, b"", "object", "empty")
    elif start and start not in {b"{", b"["}:
        yield from _no_json(data, name)
    elif start:
        yield from _json(inner, runs) if isinstance(data, bytes) else large.leaves(data, runs=runs)


def _no_json(data: bytes | Text, name: str) -> unwrap.Found:
    """A text of another kind, or one that is broken from its beginning on: its name tells."""
    reason = "not JSON from byte 0 on"
    if _suffix(name) not in _MEANT_AS_JSON:
        shown = data if isinstance(data, bytes) else data.read(0, _SHOWN)
        yield unwrap.Leaf(unwrap.UNKNOWN, shown, "object", reason)
    elif isinstance(data, bytes):
        yield from unwrap.salvaged(data, "object", reason)
    else:
        yield from large.salvaged(data, reason)


def _json(data: bytes, runs: bool) -> Iterator[unwrap.Leaf | list[Record]]:
    """Leaves of one JSON value, or of several that stand one after another. An empty list has none."""
    if runs and (found := layout.run(data)) is not None:
        if found:
            yield found
    elif scan.is_whole(data):
        yield from unwrap.leaves(data)
    else:
        for value, _ in scan.documents(data):
            yield from unwrap.leaves(value)


def _suffix(name: str) -> str:
    """Last suffix of a file name below which a compressed text would not be of its own kind."""
    name = name.replace("\\", "/").rpartition("/")[2].lower()
    stem = name.removesuffix(".gz")
    _, dot, suffix = stem.rpartition(".")
    return dot + suffix


def kind(raw: bytes) -> str:
    """Kind of one record: cloudtrail, insight, aggregated, digest, finding, finding_history or unknown."""
    fields, _ = scan.members(raw) if raw.lstrip().startswith(b"{") else ({}, None)
    return unwrap.kind(fields)
