"""What was read: originals as delivered, the manifest that chains them, and what could not be decoded.

An object's name is hostile: it stands in the manifest and nowhere else. Files are named by hashes, mode 0600.
Originals stay unredacted; the quarantine is derived, so that session tokens are out of it.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cirtlib.case import Case, read_json
from cirtlib.errors import EvidenceError
from cirtlib.records import redact

# A broken tail can be as large as its object, which is kept whole anyway.
_QUARANTINED = 1 << 20
_PIECE = 1 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def sha256(data: bytes) -> str:
    """SHA-256 of bytes as lower-case hexadecimal text."""
    return hashlib.sha256(data).hexdigest()


def sha256_of(file: Path) -> tuple[str, int]:
    """SHA-256 of a file's content as hexadecimal text, and its size in bytes."""
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest(), source.tell()


def prepare(case: Case) -> None:
    """Make the folders of the evidence, for the owner alone.

    Raises
    ------
    EvidenceError
        when they cannot be made.
    """
    try:
        for folder in (case.evidence, case.raw, case.quarantine, case.store):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
    except OSError as error:
        raise EvidenceError(f"cannot write into {case.evidence}: {error.strerror}; the case must be writable") from None


def original(case: Case, digest: str) -> Path:
    """Where the original with this SHA-256 lies."""
    return case.raw / digest[:2] / digest


def keep(case: Case, data: bytes) -> str:
    """Keep the original as delivered; its SHA-256 as hexadecimal text."""
    digest = sha256(data)
    place = original(case, digest)
    if not _is_kept(place, len(data)):
        write(place, data)
    return digest


def keep_file(case: Case, file: Path, *, move: bool = False) -> tuple[str, int]:
    """Keep the original that lies in `file`, however large, and take the file away if it is ours to `move`.

    Returns
    -------
    tuple
        SHA-256 as hexadecimal text, and the size in bytes of what was kept: what was read, should the file be growing.
    """
    scratch = case.raw / f"{os.getpid()}.new"
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as source, os.fdopen(os.open(scratch, _NEW, 0o600), "wb") as target:
        while piece := source.read(_PIECE):
            digest.update(piece)
            target.write(piece)
            size += len(piece)
    place = original(case, digest.hexdigest())
    if _is_kept(place, size):
        scratch.unlink()
    else:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        scratch.replace(place)
    if move:
        file.unlink()
    return digest.hexdigest(), size


def _is_kept(place: Path, size: int) -> bool:
    """Whether the original lies there. One that was damaged since is replaced by the very bytes that belong there."""
    try:
        return place.stat().st_size == size
    except OSError:
        return False


def load(case: Case, digest: str) -> bytes:
    """Bytes of an original.

    Raises
    ------
    EvidenceError
        when it is gone or is no longer what was collected.
    """
    try:
        data = original(case, digest).read_bytes()
    except OSError as error:
        raise EvidenceError(f"the original {digest} cannot be read ({error.strerror}); see `cirt verify`") from None
    if sha256(data) != digest:
        raise EvidenceError(f"the original {digest} was changed since it was collected; see `cirt verify`")
    return data


def set_aside(quarantine: Path, digest: str, position: int, raw: bytes) -> str:
    """Put what could not be decoded into the quarantine (first MiB, redacted); the SHA-256 of what was put there."""
    data = redact(raw)[:_QUARANTINED]
    write(_quarantined(quarantine, digest, position), data)
    return sha256(data)


def _quarantined(quarantine: Path, digest: str, position: int) -> Path:
    return quarantine / digest[:2] / f"{digest}-{position}"


def write(place: Path, data: bytes) -> None:
    """Write a file for the owner alone, whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = place.with_name(place.name + ".new")
    with os.fdopen(os.open(scratch, _NEW, 0o600), "wb") as file:
        file.write(data)
    scratch.replace(place)


def entries(case: Case) -> list[dict[str, Any]]:
    """Lines of the manifest for objects and API pages, in the order of reading.

    Keys: name, place, object (SHA-256; None when it could not be read), size, source, mark and facts (of its place),
    collected_at, batch, seen, rejected, rejections (position, reason, sha256 of what is in the quarantine), other (kind
    of an object that holds no records), status (of one that could not be read: failed or denied).

    Raises
    ------
    EvidenceError
        when a line is no JSON.
    """
    return [line for line in lines(case) if "slice" not in line]


def slices(case: Case) -> list[dict[str, Any]]:
    """Lines of the manifest for what was asked as a whole: the last of each name in a place, in order of reading.

    Keys: slice (that of `cirtlib.sources.Slice`), place, source, collected_at.

    Raises
    ------
    EvidenceError
        when a line is no JSON.
    """
    return list({(line["place"], line["slice"]["name"]): line for line in lines(case) if "slice" in line}.values())


def lines(case: Case) -> list[dict[str, Any]]:
    """All lines of the manifest; `entries` and `slices` say what they hold.

    Raises
    ------
    EvidenceError
        when a line is no JSON.
    """
    found = []
    for number, line in enumerate(_lines(case), 1):
        try:
            found.append(json.loads(line))
        except ValueError:
            raise EvidenceError(f"{case.manifest}, line {number} is damaged; see `cirt verify`") from None
    return found


def _lines(case: Case) -> Iterator[bytes]:
    """Whole lines; a last one without its line end was never finished, and its object counts as not read."""
    data = case.manifest.read_bytes() if case.manifest.is_file() else b""
    yield from data.split(b"\n")[:-1]


class Manifest:
    """The manifest, open for one collect to add to: each line names the hash of the line before."""

    def __init__(self, case: Case) -> None:
        """Open it, and take away what a crash left unfinished at its end."""
        whole = list(_lines(case))
        self._previous = sha256(whole[-1]) if whole else ""
        self._file = os.fdopen(os.open(case.manifest, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        self._size = sum(len(line) + 1 for line in whole)
        self._file.truncate(self._size)

    def append(self, new: Iterable[dict[str, Any]]) -> None:
        """Add lines; all of them have reached the disk when this returns, or none is there."""
        text, previous = b"", self._previous
        for entry in new:
            line = json.dumps({**entry, "previous": previous}, ensure_ascii=True, separators=(",", ":")).encode()
            previous = sha256(line)
            text += line + b"\n"
        try:
            self._file.seek(self._size)
            self._file.write(text)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(self._size)
            raise
        self._previous, self._size = previous, self._size + len(text)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def head(case: Case) -> dict[str, Any]:
    """Length of the manifest and hash of its last line, which collected.json pins."""
    lines = list(_lines(case))
    return {"lines": len(lines), "last": sha256(lines[-1]) if lines else ""}


def verify(case: Case) -> list[str]:
    """Check originals, quarantine and manifest against their hashes.

    Returns
    -------
    list of str
        One sentence for each fault; empty when everything is as it was collected.
    """
    faults = _chain(case)
    seen: set[str] = set()
    for number, line in enumerate(_lines(case), 1):
        try:
            entry = json.loads(line)
        except ValueError:
            faults.append(f"manifest.jsonl, line {number}: no JSON")
            continue
        digest = entry.get("object")
        if digest and digest not in seen:
            seen.add(digest)
            faults += _check(original(case, digest), digest, f"the original of {entry['name']!r}")
        for item in entry.get("rejections", ()):
            if digest and item.get("sha256"):
                place = _quarantined(case.quarantine, digest, item["position"])
                faults += _check(
                    place, item["sha256"], f"item {item['position']} of {entry['name']!r} in the quarantine"
                )
    return list(dict.fromkeys(faults))


def _chain(case: Case) -> list[str]:
    faults, previous = [], ""
    lines = list(_lines(case))
    for number, line in enumerate(lines, 1):
        try:
            said = json.loads(line).get("previous")
        except (ValueError, AttributeError):
            said = None
        if said != previous:
            faults.append(
                f"manifest.jsonl, line {number}: the chain is broken; this line or the one before was changed"
            )
        previous = sha256(line)
    if case.manifest.is_file() and case.manifest.stat().st_size != sum(len(line) + 1 for line in lines):
        faults.append("manifest.jsonl: its last line is unfinished; collect again")
    pinned = read_json(case.evidence / "collected.json", {}).get("manifest")
    if pinned is not None:
        count = pinned["lines"]
        if len(lines) < count or (count and sha256(lines[count - 1]) != pinned["last"]):
            faults.append(f"manifest.jsonl: it is not the one of the last collect, which had {count} lines")
    return faults


def _check(place: Path, digest: str, what: str) -> list[str]:
    try:
        data = place.read_bytes()
    except OSError as error:
        return [f"{what} is missing ({error.strerror}): {digest}"]
    return [] if sha256(data) == digest else [f"{what} was changed: {digest}"]
