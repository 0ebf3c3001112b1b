"""Bytes as delivered -> the text inside: gzip of any number of members, zip archives, both nested; bounded in size.

What is damaged gives everything that stands before the damage, and a fault; of a file of several gzip members also
those after it. Texts that are large are not held in memory. gzip: RFC 1952.
"""

import io
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from isal import isal_zlib

from cirtlib.records import windows
from cirtlib.records.windows import Pieces, Text

# CloudTrail's own objects expand to some 50 MB. What grows past this is a bomb or a dump to be split first.
MAX_EXPANDED = 1 << 30
_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"
_MAX_DEPTH = 3
_PIECE = 1 << 20
_SMALL_PIECE = 4096
_TRIED = 8  # places that look like the next member after a damaged one
# The stubs call this class an instance.
_DAMAGED: Any = isal_zlib.error
_BAD_ZIP = (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError, EOFError, zlib.error)


@dataclass
class Part:
    """One text inside an object: its name inside an archive ('' otherwise), its bytes, and what is wrong with it.

    `known_fault` is what was known before the text was read to its end.
    """

    name: str
    data: bytes | Text
    known_fault: str = ""

    @property
    def fault(self) -> str:
        """What is wrong with it; '' when nothing is, or its end was not read yet."""
        return (self.data.fault if isinstance(self.data, Text) else "") or self.known_fault


def parts(
    source: bytes | Path | BinaryIO, *, limit: int = MAX_EXPANDED, name: str = "", depth: int = 0
) -> Iterator[Part]:
    """Every text inside bytes or a file, expanded to at most `limit` bytes each."""
    if isinstance(source, Path) and source.stat().st_size <= windows.LARGE:
        source = source.read_bytes()
    head = source[:4] if isinstance(source, bytes) else _open(source).read(4)
    if depth > _MAX_DEPTH and head.startswith((_GZIP, _ZIP)):
        yield Part(name, b"", f"archives are nested more than {_MAX_DEPTH} deep")
    elif head.startswith(_GZIP):
        yield from _gzip(source, limit, name, depth)
    elif head.startswith(_ZIP):
        yield from _members(source, limit, name, depth)
    elif isinstance(source, bytes) and len(source) <= windows.LARGE:
        yield Part(name, source)
    else:
        yield Part(name, Text(lambda: _plain(_open(source))))


def _open(source: bytes | Path | BinaryIO) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if isinstance(source, Path):
        return source.open("rb")
    source.seek(0)
    return source


def _plain(source: BinaryIO) -> Pieces:
    while piece := source.read(_PIECE):
        yield piece
    return ""


def _gzip(source: bytes | Path | BinaryIO, limit: int, name: str, depth: int) -> Iterator[Part]:
    # The last bytes tell the size of the last member, and mostly truly: what is large is not expanded in vain.
    if isinstance(source, bytes) and int.from_bytes(source[-4:], "little") <= max(windows.LARGE, len(source)):
        bound = min(limit, windows.LARGE)
        data, fault = gunzip(source, bound)
        if bound == limit or fault != _too_large(bound):
            yield from _inner(data, fault, limit, (name, depth))
            return
        del data
    yield from _streamed(lambda: expanded(_open(source), limit), limit, (name, depth))


def _inner(data: bytes | BinaryIO, fault: str, limit: int, where: tuple[str, int]) -> Iterator[Part]:
    """Texts inside expanded bytes, of which `fault` is told once: with the text, or after those of an archive."""
    name, depth = where
    told = not fault
    for part in parts(data, limit=limit, name=name, depth=depth + 1):
        if not told and part.name == name:
            part.known_fault, told = part.known_fault or fault, True
        yield part
    if not told:
        yield Part(name, b"", fault)


def _streamed(pieces: Callable[[], Pieces], limit: int, where: tuple[str, int]) -> Iterator[Part]:
    """Texts inside what expands to much; an archive in it goes to a temporary file, to be read with leaps."""
    text = Text(pieces)
    if not text.read(0, 4).startswith((_GZIP, _ZIP)):
        yield Part(where[0], text)
        return
    with tempfile.TemporaryFile() as file:
        place = 0
        while piece := text.read(place, _PIECE):
            place += file.write(piece)
        yield from _inner(file, text.fault, limit, where)


def _members(source: bytes | Path | BinaryIO, limit: int, name: str, depth: int) -> Iterator[Part]:
    try:
        archive = zipfile.ZipFile(_open(source))
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        yield Part(name, b"", f"damaged zip archive: {error}")
        return
    for entry in archive.infolist():
        if entry.is_dir():
            continue
        where = f"{name}/{entry.filename}" if name else entry.filename, depth
        bound = min(limit, windows.LARGE)
        content, fault = _joined(_member(archive, entry, bound))
        if bound == limit or fault != _too_large(bound):
            limit -= len(content)
            yield from _inner(content, fault, max(limit, 0), where)
            continue

        def pieces(entry: zipfile.ZipInfo = entry, most: int = limit) -> Pieces:
            return _member(archive, entry, most)

        size = 0
        for part in _streamed(pieces, limit, where):
            yield part
            size = max(size, part.data.end if isinstance(part.data, Text) else 0)
        limit = max(limit - size, 0)


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int) -> Pieces:
    """Content of a zip member as far as it can be read."""
    size = 0
    try:
        with archive.open(entry) as stream:
            while piece := stream.read(1 << 16):
                if size + len(piece) > limit:
                    yield piece[: limit - size]
                    return _too_large(limit)
                size += len(piece)
                yield piece
    except _BAD_ZIP as error:
        return f"damaged zip member: {error or 'it ends early'}"
    return ""


def _too_large(limit: int) -> str:
    return f"it expands to more than {limit:,} bytes; expand it yourself, or allow more"


def _joined(pieces: Pieces) -> tuple[bytes, str]:
    taken: list[bytes] = []
    while True:
        try:
            taken.append(next(pieces))
        except StopIteration as end:
            return b"".join(taken), end.value


def gunzip(data: bytes, limit: int = MAX_EXPANDED) -> tuple[bytes, str]:
    """Content of all gzip members in `data`, and what is wrong with it ('' when nothing is)."""
    member = isal_zlib.decompressobj(31)
    try:
        text = member.decompress(data, limit + 1)
    except _DAMAGED:
        text = b""
    if member.eof and not member.unused_data and len(text) <= limit:  # what nearly every object is
        return text, ""
    return _joined(expanded(io.BytesIO(data), limit))


def expanded(source: BinaryIO, limit: int) -> Pieces:
    """Content of all gzip members in a file, and what is wrong with it.

    Text that follows the last member is part of it; anything else there is padding and no fault.
    """
    size, place, faults = 0, 0, list[str]()
    while True:
        source.seek(place)
        if source.read(2) != _GZIP:
            break
        member = _one(source, place)
        given = 0
        while True:
            try:
                piece = next(member)
            except StopIteration as end:
                fault, after = end.value
                break
            if size + len(piece) > limit:
                yield piece[: limit - size]
                return _too_large(limit)
            size, given = size + len(piece), given + len(piece)
            yield piece
        if fault and not given and size and _left(source, place) < 18:
            return "; ".join(faults)  # too short for a member (header and trailer have 18 bytes): padding
        if fault:
            faults.append(fault)
            found = _next_member(source, place + 1)
            if found is None:
                return faults[0]
            after = found
            yield b"\n"
        place = after
    yield from _trailing(source, place, limit - size)
    return faults[0] if faults else ""


def _left(source: BinaryIO, place: int) -> int:
    return source.seek(0, io.SEEK_END) - place


def _trailing(source: BinaryIO, place: int, limit: int) -> Iterator[bytes]:
    """JSON that stands uncompressed behind the last member."""
    source.seek(place)
    piece = source.read(_PIECE)
    if place and piece.lstrip(windows.BLANK)[:1] in {b"{", b"["}:
        yield b"\n"
        while piece and limit > 0:
            yield piece[:limit]
            limit -= len(piece)
            piece = source.read(_PIECE)


def _one(source: BinaryIO, place: int) -> Generator[bytes, None, tuple[str, int]]:
    """Content of the member at `place`; returns what is wrong with it and where it ends."""
    member, given = isal_zlib.decompressobj(31), 0
    source.seek(place)
    raw = b""
    while not member.eof:
        raw = member.unconsumed_tail or source.read(_PIECE)
        try:
            piece = member.decompress(raw, _PIECE)
        except _DAMAGED:
            break
        given += len(piece)
        if piece:
            yield piece
        elif not raw:
            break
    if member.eof:
        return "", source.tell() - len(member.unused_data)
    rescued = _rescue(source, place)
    skipped = 0
    while True:
        try:
            piece = next(rescued)
        except StopIteration as end:
            return end.value, place
        fresh = piece[max(given - skipped, 0) :]
        skipped += len(piece)
        if fresh:
            yield fresh


def _rescue(source: BinaryIO, place: int) -> Pieces:
    """What a damaged gzip member gives before the damage, down to the last byte."""
    member, step = zlib.decompressobj(31), _SMALL_PIECE
    while not member.eof:
        source.seek(place)
        raw = source.read(step)
        if not raw:
            return "truncated gzip"
        before = member.copy() if step > 1 else member
        try:
            piece = member.decompress(raw)
        except zlib.error as error:
            if step == 1:
                return "damaged gzip: " + str(error).rpartition(": ")[2]
            member, step = before, 1  # once more, byte by byte, to lose nothing that stands before the damage
            continue
        place += len(raw)
        if piece:
            yield piece
    return ""


def _next_member(source: BinaryIO, place: int) -> int | None:
    """Start of a whole gzip member behind a damaged one."""
    tried = 0
    while tried < _TRIED:
        source.seek(place)
        window = source.read(_PIECE)
        found = window.find(_GZIP + b"\x08")
        if found < 0:
            if len(window) < _PIECE:
                return None
            place += len(window) - 2
            continue
        place, tried = place + found, tried + 1
        if _is_member(source, place):
            return place
        place += 1
    return None


def _is_member(source: BinaryIO, place: int) -> bool:
    member = isal_zlib.decompressobj(31)
    source.seek(place)
    try:
        while not member.eof:
            raw = member.unconsumed_tail or source.read(_PIECE)
            if not member.decompress(raw, _PIECE) and not raw:
                return False
    except _DAMAGED:
        return False
    return True
