"""JSON read as forgivingly as it can be without guessing: NaN, lone surrogates, invalid UTF-8, a broken tail.

The bytes are read as Latin-1, one character a byte: all of JSON's structure is ASCII, so that every value that is found
can be cut out of the original bytes, whatever its encoding.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]

import msgspec
from msgspec import Raw

# Numbers stay text: Python refuses to read very long ones, and their values do not matter here.
decode = json.JSONDecoder(strict=False, parse_int=str, parse_float=str).raw_decode
_LIST = msgspec.json.Decoder(list[Raw])
_DICT = msgspec.json.Decoder(dict[str, Raw])
_ANY = msgspec.json.Decoder(Raw)
_SPACE = " \t\r\n"
_BROKEN = (ValueError, RecursionError)


@dataclass(frozen=True)
class Broken:
    """Where reading had to stop: `key` of the value that cannot be read ('' in a list), its bytes, and the reason."""

    key: str
    raw: bytes
    reason: str


def elements(data: bytes) -> tuple[list[bytes] | list[Raw], Broken | None]:
    """Values in a JSON list, as bytes; and where it is broken."""
    try:
        return _LIST.decode(data), None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _elements(data)


def members(data: bytes) -> tuple[dict[str, bytes], Broken | None]:
    """Keys of a JSON object with their values as bytes; and where it is broken."""
    try:
        return {key: bytes(raw) for key, raw in _DICT.decode(data).items()}, None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _members(data)


def is_whole(data: bytes) -> bool:
    """Whether `data` is exactly one well-formed JSON value."""
    try:
        _ANY.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def text(raw: bytes) -> str | None:
    """Value of a JSON string; lone surrogates become `?`, invalid UTF-8 U+FFFD. None when it is no string."""
    if not raw.startswith(b'"'):
        return None
    encoded = raw.decode("utf-8", "replace")
    try:
        decoded, end = scanstring(encoded, 1, False)
    except ValueError:
        return None
    return None if end < len(encoded) else storable(decoded)


def value(raw: bytes) -> object:
    """Decoded JSON value, of which every text can be stored; NaN and Infinity are floats.

    Raises
    ------
    ValueError
        when it is no JSON, or nested too deeply.
    """
    try:
        decoded = json.loads(raw.decode("utf-8", "replace"), strict=False)
        return _tame(decoded) if b"\\u" in raw else decoded
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _tame(decoded: object) -> object:
    if isinstance(decoded, dict):
        return {storable(str(key)): _tame(item) for key, item in decoded.items()}
    if isinstance(decoded, list):
        return [_tame(item) for item in decoded]
    return storable(decoded) if isinstance(decoded, str) else decoded


def documents(data: bytes) -> Iterator[tuple[bytes, bool]]:
    """JSON values that stand one after another (JSON lines, or merely concatenated), each with whether it is whole.

    A broken one reaches to the next line that is a whole value by itself, else to the end.
    """
    place = 0
    for line in data.splitlines(keepends=True):
        if line.strip():
            if not is_whole(line):
                break
            yield line.strip(), True
        place += len(line)
    latin = data.decode("latin-1")
    place = _skip(latin, place)
    while place < len(latin):
        try:
            end = decode(latin, place)[1]
        except _BROKEN:
            end = _next_line(data, latin, place)
            yield data[place:end], False
        else:
            yield data[place:end], True
        place = _skip(latin, end)


def _next_line(data: bytes, latin: str, place: int) -> int:
    """Start of the next line that is a whole JSON object or list, so that one bad line costs only itself."""
    while (place := latin.find("\n", place) + 1) > 0:
        if latin[place : place + 1] in {"{", "["}:
            end = latin.find("\n", place)
            if is_whole(data[place : end if end >= 0 else None]):
                return place
    return len(latin)


def _skip(latin: str, place: int) -> int:
    while latin[place : place + 1] in {" ", "\t", "\r", "\n", "\0", "\x1e"}:
        place += 1
    return place


def _inside(latin: str, place: int) -> int:
    """Next place that is no white space of JSON's."""
    while latin[place : place + 1] in _SPACES:
        place += 1
    return place


_SPACES = {" ", "\t", "\r", "\n"}


def _elements(data: bytes) -> tuple[list[bytes], Broken | None]:
    latin, found = data.decode("latin-1"), list[bytes]()
    place = _inside(latin, _inside(latin, 0) + 1)
    if latin[place : place + 1] == "]":
        return found, None
    while True:
        start = place
        try:
            end = decode(latin, place)[1]
        except _BROKEN as error:
            return found, Broken("", data[start:], reason(error, latin, start))
        found.append(data[start:end])
        place = _inside(latin, end)
        mark = latin[place : place + 1]
        if mark != ",":
            fault = None if mark == "]" else Broken("", data[place:], unclosed("list", place >= len(latin)))
            return found, fault
        place = _inside(latin, place + 1)


def _members(data: bytes) -> tuple[dict[str, bytes], Broken | None]:
    latin, found = data.decode("latin-1"), dict[str, bytes]()
    place = _inside(latin, _inside(latin, 0) + 1)
    key = ""
    while latin[place : place + 1] != "}":
        start = place
        try:
            if latin[place : place + 1] != '"':
                raise ValueError("a key is missing")
            key, place = scanstring(latin, place + 1, False)
            key = storable(key.encode("latin-1", "replace").decode("utf-8", "replace"))
            place = _inside(latin, place)
            if latin[place : place + 1] != ":":
                raise ValueError("a colon is missing")
            start = _inside(latin, place + 1)
            end = decode(latin, start)[1]
        except _BROKEN as error:
            return found, Broken(key, data[start:], reason(error, latin, start))
        found[key] = data[start:end]
        place = _inside(latin, end)
        mark = latin[place : place + 1]
        if mark == ",":
            place = _inside(latin, place + 1)
        elif mark != "}":
            return found, Broken("", data[place:], unclosed("object", place >= len(latin)))
        key = ""
    return found, None


def unclosed(what: str, ended: bool) -> str:
    """Why a list or an object is not whole, although all of its values are."""
    return f"the JSON {'ends' if ended else 'is broken'} before its {what} is closed"


def reason(error: Exception, latin: str, start: int) -> str:
    """Why JSON could not be read, in words."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    at = getattr(error, "pos", start)
    if at >= len(latin) or "Unterminated" in str(error):
        return "the JSON ends in the middle of a value"
    return f"not JSON from byte {at - start} of this item on"


# An object that has a key and is not the value of another object's key.
_OBJECT = re.compile(r'\{[ \t\r\n]*"')
_VALUE = re.compile(r'"[ \t\r\n]*:[ \t\r\n]*\Z')


def objects(latin: str, place: int) -> Iterator[tuple[int, int]]:
    """Whole JSON objects in a text that is broken (as Latin-1), from `place` on, in order of their beginnings.

    They overlap where one lies in the other. How much is read in vain is bounded.
    """
    patience = 4 * len(latin) + (1 << 20)
    for found in _OBJECT.finditer(latin, place):
        start = found.start()
        if _VALUE.search(latin, max(start - 64, 0), start):
            continue
        try:
            end = decode(latin, start)[1]
        except _BROKEN as error:
            end = getattr(error, "pos", start + 1000)
        else:
            yield start, end
        patience -= end - start
        if patience < 0:
            return


def storable(value: str) -> str:
    """Text without lone surrogates, which no UTF-8 column can hold."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
