"""Digest files and log files as they lie in a case: what their names say, and what is inside.

Names: "Finding your CloudTrail log files" and "CloudTrail digest file structure" (aws-cloudtrail-user-guide). A name is
hostile: it is compared, never a path. A digest names log files by bucket and key; a copy may lie anywhere, so they are
found by the last part of their key, which account, Region, time and (in a log file's) chance make unique.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO

from isal import isal_zlib

from cirtlib import evidence, records
from cirtlib.case import Case
from cirtlib.records import compression

_DIGEST = re.compile(
    r"(?P<account>[0-9]{12})_CloudTrail-Digest_(?P<region>[a-z0-9-]+)_(?P<trail>.+)_(?P<home>[a-z0-9-]+)_"
    r"(?P<stamp>20[0-9]{6}T[0-9]{6}Z)(?P<backfill>_backfill)?\.json"
)
_LOG = re.compile(r"(?P<account>[0-9]{12})_CloudTrail_(?P<region>[a-z0-9-]+)_(?P<stamp>20[0-9]{6}T[0-9]{4}Z)_\w+\.json")
_FOLDER = re.compile(r"(?:^|(?<=/))CloudTrail(?:-Digest)?/")
# A digest of a busy hour names some thousands of files, in a megabyte or two.
_MAX_DIGEST = 256 << 20
_PIECE = 1 << 18
# The stubs call this class an instance.
_DAMAGED: Any = isal_zlib.error

Group = tuple[str, str, str, str]


@dataclass(frozen=True)
class Digest:
    """One digest file.

    Attributes
    ----------
    base, name
        Last part of its name, without .gz, and its whole name in its place.
    root
        Folder that holds CloudTrail-Digest/ and, beside it, the log files.
    group
        Account, Region, trail and home Region, as its name says.
    end
        Time in its name.
    content
        SHA-256 of what is inside, uncompressed.
    document, fault
        What is inside, and why that cannot be read ('' when it can).
    signature
        Of its S3 object's metadata; None in a copy that has lost it.
    """

    base: str
    name: str
    root: str
    group: Group
    end: datetime
    backfill: bool
    object: str
    content: str
    document: dict[str, Any]
    fault: str
    signature: str | None

    def text(self, key: str) -> str:
        """One field of the document; '' when it is absent or no text."""
        value = self.document.get(key)
        return plain(value) if isinstance(value, str) else ""

    @property
    def start(self) -> datetime | None:
        """Beginning of the time it answers for."""
        return moment(self.text("digestStartTime"))

    @property
    def logs(self) -> list[dict[str, Any]]:
        """Log files that it names."""
        found = self.document.get("logFiles")
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


@dataclass(frozen=True)
class LogFile:
    """A log file of the case: manifest entry, time of its delivery, folder that holds CloudTrail/, account, Region."""

    entry: dict[str, Any]
    at: datetime
    root: str
    account: str
    region: str


@dataclass
class Collected:
    """What a case holds, by last part of the name: log files, any other objects, and digest files by group."""

    logs: dict[str, list[LogFile]] = field(default_factory=lambda: defaultdict(list))
    others: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    digests: dict[Group, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    def named(self, base: str) -> list[dict[str, Any]]:
        """Manifest entries of objects whose name ends so."""
        return [one.entry for one in self.logs.get(base, ())] or self.others.get(base, [])


def collected(case: Case, entries: Iterable[dict[str, Any]]) -> Collected:
    """Sort manifest entries into digests and log files by their names, or by content where a name tells nothing."""
    found = Collected()
    for entry in entries:
        base = last(entry["name"])
        if base.endswith(".json") and (log := _LOG.fullmatch(base)):
            at = _stamp(log["stamp"])
            if at is not None:
                found.logs[base].append(LogFile(entry, at, root(entry), log["account"], log["region"]))
                continue
        if (made := _DIGEST.fullmatch(base)) or entry.get("other") == "digest":
            if made is None:
                made = _DIGEST.fullmatch(last(str(_inside(case, entry)[1].get("digestS3Object"))))
            if made is not None and _stamp(made["stamp"]) is not None:
                found.digests[_group(made)].append(entry)
                continue
        found.others[base].append(entry)
    return found


def load(case: Case, entries: Iterable[dict[str, Any]]) -> Iterator[Digest]:
    """Read digest files; the same content under the same name is one, and brings its signature if any copy has it."""
    seen: dict[tuple[str, str], tuple[Digest, int]] = {}
    for entry in entries:
        content, document, fault = _inside(case, entry)
        base = last(entry["name"])
        made = _DIGEST.fullmatch(base) or _DIGEST.fullmatch(last(str(document.get("digestS3Object"))))
        if made is None or (end := _stamp(made["stamp"])) is None:
            continue
        metadata = (entry.get("facts") or {}).get("metadata") or {}
        signature = metadata.get("signature")
        digest = Digest(
            base=made[0], name=entry["name"], root=root(entry), group=_group(made),
            end=end, backfill=bool(made["backfill"]), object=entry["object"] or "", content=content, document=document,
            fault=fault, signature=signature if isinstance(signature, str) else None,
        )  # fmt: skip
        known = seen.get((digest.base, content))
        if known is None or (known[0].signature is None and digest.signature is not None):
            seen[digest.base, content] = (digest, len(seen))
    yield from (digest for digest, _ in seen.values())


def _inside(case: Case, entry: dict[str, Any]) -> tuple[str, dict[str, Any], str]:
    """SHA-256 of the uncompressed content, the document, and why there is none."""
    if not entry["object"]:
        return "", {}, "could not be read when it was collected"
    try:
        data = evidence.original(case, entry["object"]).read_bytes()
    except OSError as error:
        return "", {}, f"its original cannot be read: {error.strerror}"
    fault = ""
    if data.startswith(b"\x1f\x8b"):
        data, fault = compression.gunzip(data, _MAX_DIGEST)
    content = hashlib.sha256(data).hexdigest()
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return content, {}, fault or "no JSON"
    if not isinstance(document, dict):
        return content, {}, "no JSON object"
    return content, document, fault


def inflated(case: Case, digest: str) -> tuple[str, str]:
    """SHA-256 of the uncompressed content of an original, and what is wrong with it.

    As for the AWS CLI, a log file is one gzip member and nothing after it, which would be read as further records. A
    copy that was expanded is taken as it is.
    """
    try:
        with evidence.original(case, digest).open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            return _expanded(file) if packed else (hashlib.file_digest(file, "sha256").hexdigest(), "")
    except _DAMAGED:
        return "", "its gzip is damaged"
    except OSError as error:
        return "", f"its original cannot be read: {error.strerror}"


def _expanded(file: BinaryIO) -> tuple[str, str]:
    total, size, member, piece = hashlib.sha256(), 0, isal_zlib.decompressobj(31), file.read(_PIECE)
    while True:
        text = member.decompress(piece, 1 << 20)
        total.update(text)
        size += len(text)
        if size > records.MAX_EXPANDED:
            return "", f"it expands to more than {records.MAX_EXPANDED:,} bytes"
        if member.eof:
            rest = member.unused_data or file.read(1)
            return ("", "there are bytes after the end of its gzip") if rest else (total.hexdigest(), "")
        piece = member.unconsumed_tail or file.read(_PIECE)
        if not piece and not text:
            return total.hexdigest(), "its gzip is truncated"


def _group(made: re.Match[str]) -> Group:
    return made["account"], made["region"], made["trail"], made["home"]


def last(name: str) -> str:
    """Last part of a name, without .gz: a copy may have been expanded."""
    return name.rpartition("/")[2].removesuffix(".gz")


def root(entry: dict[str, Any]) -> str:
    """Folder that holds CloudTrail/ and CloudTrail-Digest/, or the whole place where names do not tell."""
    found = _FOLDER.search(entry["name"])
    return f"{entry['place']}/{entry['name'][: found.start()] if found else ''}"


def delivered(name: str) -> datetime | None:
    """When a log file was delivered, as its name says, to the minute."""
    found = _LOG.fullmatch(last(name))
    return _stamp(found["stamp"]) if found else None


def moment(text: str) -> datetime | None:
    """Aware time of ISO text; None when it is no time in which there was CloudTrail."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return None
    if not 2000 <= value.year < 2100:
        return None
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)


def plain(text: str) -> str:
    """Text that can be written: half characters, which JSON can spell, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _stamp(text: str) -> datetime | None:
    form = "%Y%m%dT%H%M%SZ" if len(text) == 16 else "%Y%m%dT%H%MZ"
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        return None
