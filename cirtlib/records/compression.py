"""Bytes as delivered -> the text inside: gzip of any number of members, zip archives, both nested; bounded in size.

What is damaged gives everything that stands before the damage, and a fault. gzip: RFC 1952.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from isal import isal_zlib

# CloudTrail's own objects expand to some 50 MB. What grows past this is a bomb or a dump to be split first.
MAX_EXPANDED = 1 << 30
_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"
_MAX_DEPTH = 3
_PIECE = 4096
# The stubs call this class an instance.
_DAMAGED: Any = isal_zlib.error


@dataclass(frozen=True)
class Part:
    """One text inside an object: its name inside an archive ('' otherwise), its bytes, and what is wrong with it."""

    name: str
    data: bytes
    fault: str = ""


def parts(data: bytes, *, limit: int = MAX_EXPANDED, name: str = "", depth: int = 0) -> Iterator[Part]:
    """Every text inside `data`, expanded to at most `limit` bytes each."""
    if depth > _MAX_DEPTH:
        yield Part(name, b"", f"archives are nested more than {_MAX_DEPTH} deep")
    elif data.startswith(_GZIP):
        text, fault = gunzip(data, limit)
        if fault:
            yield Part(name, text, fault)
        else:
            yield from parts(text, limit=limit, name=name, depth=depth + 1)
    elif data.startswith(_ZIP):
        yield from _members(data, limit, name, depth)
    else:
        yield Part(name, data)


def _members(data: bytes, limit: int, name: str, depth: int) -> Iterator[Part]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        yield Part(name, b"", f"damaged zip archive: {error}")
        return
    for entry in archive.infolist():
        if entry.is_dir():
            continue
        inner, content, fault = f"{name}/{entry.filename}" if name else entry.filename, b"", ""
        try:
            with archive.open(entry) as stream:
                content, fault = _read(stream, limit)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError, zlib.error) as error:
            fault = f"damaged zip member: {error}"
        limit -= len(content)
        if fault:
            yield Part(inner, content, fault)
        else:
            yield from parts(content, limit=max(limit, 0), name=inner, depth=depth + 1)


def _read(stream: object, limit: int) -> tuple[bytes, str]:
    """Content of a zip member as far as it can be read."""
    taken: list[bytes] = []
    size = 0
    while True:
        try:
            piece = stream.read(1 << 16)  # type: ignore[attr-defined]
        except (zipfile.BadZipFile, EOFError, OSError, zlib.error) as error:
            return b"".join(taken), f"damaged zip member: {error or 'it ends early'}"
        if not piece:
            return b"".join(taken), ""
        size += len(piece)
        if size > limit:
            return b"".join(taken), _too_large(limit)
        taken.append(piece)


def _too_large(limit: int) -> str:
    return f"it expands to more than {limit:,} bytes; expand it yourself, or allow more"


def gunzip(data: bytes, limit: int = MAX_EXPANDED) -> tuple[bytes, str]:
    """Content of all gzip members in `data`, and what is wrong with it ('' when nothing is).

    Bytes after the last member are padding and are no fault.
    """
    taken: list[bytes] = []
    size, rest = 0, data
    while rest.startswith(_GZIP):
        member = isal_zlib.decompressobj(31)
        try:
            text = member.decompress(rest, limit - size + 1)
            whole = member.eof
        except _DAMAGED:
            whole, text = False, b""
        if size + len(text) > limit:
            return b"".join([*taken, text[: limit - size]]), _too_large(limit)
        if not whole:
            text, fault = _rescue(rest, limit - size)
            if not text and taken and len(rest) < 18:
                break  # too short for a member (header and trailer have 18 bytes): padding that looks like one
            return b"".join([*taken, text]), fault
        taken.append(text)
        size += len(text)
        rest = member.unused_data
    return b"".join(taken) if len(taken) != 1 else taken[0], ""


def _rescue(data: bytes, limit: int) -> tuple[bytes, str]:
    """What a damaged gzip member gives before the damage, down to the last byte."""
    member, taken = zlib.decompressobj(31), list[bytes]()
    size, place, step = 0, 0, _PIECE
    while place < len(data) and not member.eof and size <= limit:
        before = member.copy()
        try:
            piece = member.decompress(data[place : place + step])
        except zlib.error as error:
            if step == 1:
                return b"".join(taken), "damaged gzip: " + str(error).rpartition(": ")[2]
            member, step = before, 1  # once more, byte by byte, to lose nothing that stands before the damage
            continue
        taken.append(piece)
        size += len(piece)
        place += step
    if size > limit:
        return b"".join(taken)[:limit], _too_large(limit)
    return b"".join(taken), "truncated gzip" if not member.eof else ""
