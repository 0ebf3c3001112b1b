"""Where evidence comes from: one module for each kind of place.

The contract: a source module has a function `place(case, kind, options)` that checks its options and returns a `Place`,
whose `read(known)` yields what lies there: a `Blob` for every object or API page that `known` does not answer for, and
a `Slice` for every part of an API or a listing that was asked for, with how that ended. It decides nothing of content.

Only `place` raises CaseError, before anything is read. While reading, what cannot be read is a `Blob` with a fault, and
what is refused as a whole a `Slice` that is denied or failed; an AccessError (credentials that ran out) ends the
collect, which keeps what was read.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STATUSES = ("read", "empty", "absent", "missing", "failed", "denied")


@dataclass(frozen=True)
class Blob:
    """One object or API page as delivered.

    Attributes
    ----------
    name
        Its name in its place; hostile, never a path of ours.
    data, file
        Its bytes, or the file that holds them; `spool` says that the file is the collect's to move.
    fault, status
        Why there are no bytes, and whether that is `failed` or `denied`.
    mark
        Changes whenever the content does: version id, ETag, size with time of modification. '' when nothing tells.
    facts
        What its place says of it, for the manifest: version_id, etag, last_modified, metadata, account, region, ...
    other
        Kind of an object that is kept but holds no records, such as `account snapshot`.
    """

    name: str
    data: bytes = b""
    file: Path | None = None
    spool: bool = False
    fault: str = ""
    status: str = "failed"
    mark: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    other: str = ""


@dataclass(frozen=True)
class Slice:
    """What was asked of a place as a whole and how it ended: one row of the ledger.

    A later slice of the same name in the same place takes this one's place. Times are ISO 8601 in UTC, '' where open;
    `extent` is `all` or the filter; `facts` is what the source needs to go on from here.
    """

    name: str
    status: str
    account: str | None = None
    region: str | None = None
    start: str = ""
    end: str = ""
    extent: str = "all"
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Milestone:
    """What was read so far is worth having in the store now, while reading goes on."""

    text: str


@dataclass
class Known:
    """What the case holds of one place already, and how a source speaks to the collect.

    Attributes
    ----------
    marks
        (name, mark) of every object that was read.
    facts
        Object name -> facts of its last reading.
    slices
        Slice name -> its last slice.
    scratch
        Folder for files of the source's making (`Blob.spool`).
    say
        Shows one line to the user.
    expect
        Tells progress how many objects and bytes are to come, on top of what it was told before.
    """

    marks: set[tuple[str, str]] = field(default_factory=set)
    facts: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    slices: dict[str, Slice] = field(default_factory=dict)
    scratch: Path = Path()
    say: Callable[[str], None] = lambda _: None
    expect: Callable[[int, int], None] = lambda _objects, _bytes: None

    def has(self, name: str, mark: str) -> bool:
        """Whether this very object was read before."""
        return bool(mark) and (name, mark) in self.marks


@dataclass(frozen=True)
class Place:
    """One place, ready to be read: kind of evidence, where (as the manifest names it), and how.

    `needs_store` says that reading it asks the store about what other places gave, which is settled before.
    """

    kind: str
    where: str
    read: Callable[[Known], Iterable[Blob | Slice | Milestone]]
    needs_store: bool = False
