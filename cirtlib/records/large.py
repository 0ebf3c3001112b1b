"""Records in a JSON text that is too large for memory: the same leaves that `unwrap` gives, read through a window.

Lists and objects larger than `windows.LARGE` are walked from the outside in, and everything smaller is handed to
`unwrap`. A value is read twice, once to find its end: what a broken value means depends on what follows it. Of what is
broken or unknown and large, a leaf has only the beginning.
"""

import re
from collections.abc import Generator, Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]

from cirtlib.records import layout, scan, unwrap, windows
from cirtlib.records.layout import Record
from cirtlib.records.unwrap import BROKEN, UNKNOWN, Leaf
from cirtlib.records.windows import Text

_SHOWN = 2 << 20  # bytes of what is broken that a leaf has
_HEAD = 1 << 16  # bytes of a value that tell what it is
_SPACE = b" \t\r\n"
_KEY = re.compile(rb'\{[ \t\r\n]*"[^"\\]{1,64}"')
_TRIES = 4
# A stretch of a text: from, to.
Span = tuple[int, int]
Found = Iterator[Leaf | list[Record]]


class _Fault(Exception):  # noqa: N818 - it never leaves this module
    """Where JSON cannot be read further: place, key of the value ('' in a list), reason."""

    def __init__(self, place: int, key: str, reason: str) -> None:
        super().__init__(reason)
        self.place, self.key, self.reason = place, key, reason


def leaves(text: Text, *, runs: bool) -> Found:
    """Every record in a text of one JSON value or of several that stand one after another."""
    place = 0
    while True:
        place = text.blank(place)
        window = text.read(place, windows.WINDOW)
        if not window:
            return
        used = 0
        for line in window.splitlines(keepends=True):
            whole = line.endswith((b"\n", b"\r")) or len(window) < windows.WINDOW
            if line.strip() and not (whole and scan.is_whole(line)):
                break
            if line.strip():
                yield from unwrap.leaves(line.strip())
            used += len(line)
        if not used:
            try:
                end = _skip(text, place, None)
            except _Fault:
                end = _next_line(text, place)
            yield from _value(text, (place, end), "object", 0, runs)
            used = end - place
        place += used


def _value(text: Text, span: Span, origin: str, depth: int, runs: bool) -> Found:
    """What `unwrap.leaves` gives for the bytes of the span."""
    start, end = span
    if end - start <= windows.LARGE:
        data = text.read(start, end - start).strip(windows.BLANK if depth == 0 else _SPACE)
        yield from unwrap.leaves(data, origin=origin, depth=depth)
        return
    mark = text.read(start, 1)
    if depth > unwrap.MAX_WRAPS:
        reason = f"records are wrapped more than {unwrap.MAX_WRAPS} times"
        yield Leaf(UNKNOWN, _beginning(text, span), origin, reason)
    elif mark == b"[":
        yield from _list(text, span, origin, depth, runs)
    elif mark == b"{":
        yield from _object(text, span, origin, depth, runs)
    else:
        reason = f"one value of more than {windows.LARGE:,} bytes that is neither a list nor an object"
        yield from _salvaged(text, span, origin, reason, depth)


def _beginning(text: Text, span: Span) -> bytes:
    return text.read(span[0], min(span[1] - span[0], _SHOWN))


def _list(text: Text, span: Span, origin: str, depth: int, runs: bool) -> Found:
    walk = _elements(text, span[0], span[1], runs and origin == "object")
    try:
        for found in walk:
            if isinstance(found, tuple):
                yield from _value(text, found, origin, depth + 1, runs)
            elif isinstance(found, bytes):
                yield from unwrap.leaves(found, origin=origin, depth=depth)
            else:
                yield found
    except _Fault as fault:
        yield from _remains(text, fault, span[1], origin, depth)


def _remains(text: Text, fault: _Fault, end: int, origin: str, depth: int) -> Found:
    """What `unwrap` makes of the rest of a value from where it is broken."""
    rest = fault.place, end
    if text.read(fault.place, 1) in {b"{", b"["} and depth <= unwrap.MAX_WRAPS:
        yield from _value(text, rest, origin, depth + 1, runs=False)
    else:
        yield from _salvaged(text, rest, origin, fault.reason, depth)


def _object(text: Text, span: Span, origin: str, depth: int, runs: bool) -> Found:
    heads: dict[str, bytes] = {}
    spans: dict[str, Span] = {}
    try:
        for key, place in _members(text, span[0], span[1]):
            heads[key], spans[key] = text.read(place[0], min(place[1] - place[0], _HEAD)), place
    except _Fault as fault:
        if unwrap.goes_on(heads, fault.key, text.read(fault.place, 1)):
            yield from _remains(text, fault, span[1], origin, depth)
        else:
            yield from _salvaged(text, span, origin, fault.reason, depth)
        return

    def descend(name: str, own: str) -> Found:
        return _value(text, spans[name], own, depth + 1, runs)

    # A record that is itself so large is given whole, and anything else only with its beginning.
    is_record = unwrap.kind(heads) != UNKNOWN
    raw = (lambda: text.read(span[0], span[1] - span[0])) if is_record else (lambda: _beginning(text, span))
    yield from unwrap.inside(heads, raw, origin, descend)


def _skip(text: Text, place: int, end: int | None) -> int:
    """Where the JSON value at `place` ends.

    Raises
    ------
    _Fault
        when it is broken, or reaches `end`.
    """
    size = windows.WINDOW // 128
    while True:
        room = size if end is None else min(size, end - place)
        window = text.read(place, room)
        latin = window.decode("latin-1")
        whole = len(window) < size  # nothing more is to come
        try:
            stop: int = scan.decode(latin, 0)[1]
        except (ValueError, RecursionError) as error:
            at = getattr(error, "pos", 0)
            cut = not isinstance(error, RecursionError) and (at > len(latin) - 16 or "Unterminated" in str(error))
            if whole or not cut:
                raise _Fault(place, "", scan.reason(error, latin, 0)) from None
        else:
            if whole or stop < len(latin):
                return place + stop
        if size >= windows.WINDOW and window[:1] in {b"{", b"["}:
            break
        size *= 8
    walk = _members(text, place, end) if window[:1] == b"{" else _elements(text, place, end, runs=False)
    while True:
        try:
            next(walk)
        except StopIteration as done:
            return int(done.value)
        except _Fault as fault:
            raise _Fault(place, "", fault.reason) from None


def _inside(text: Text, place: int) -> int:
    """Next place that is no white space of JSON's."""
    while window := text.read(place, 4096):
        rest = window.lstrip(_SPACE)
        place += len(window) - len(rest)
        if rest:
            break
    return place


def _at(text: Text, place: int, end: int | None) -> bytes:
    return text.read(place, 1) if end is None or place < end else b""


def _elements(text: Text, start: int, end: int | None, runs: bool) -> Generator[Span | bytes | list[Record], None, int]:
    """Elements of the list at `start`: a span each, or many together as a list of JSON or of records.

    Returns where the list ends.

    Raises
    ------
    _Fault
        where it is broken.
    """
    place = _inside(text, start + 1)
    if _at(text, place, end) == b"]":
        return place + 1
    single = 0  # up to there one by one: no way was found to take many at once
    while True:
        if place >= single:
            window = text.read(place, windows.WINDOW if end is None else min(windows.WINDOW, end - place))
            found = _many(window, runs)
            if found is not None:
                yield found[1]
                place = _inside(text, place + found[0])
                continue
            single = place + len(window) - windows.WINDOW // 16
        stop = _skip(text, place, end)
        yield place, stop
        place = _inside(text, stop)
        mark = _at(text, place, end)
        if mark == b"]":
            return place + 1
        if mark != b",":
            raise _Fault(place, "", scan.unclosed("list", not mark))
        place = _inside(text, place + 1)


def _many(window: bytes, runs: bool) -> tuple[int, bytes | list[Record]] | None:
    """As many elements as a window has, and where the next one begins.

    What is well-formed as a list when it is cut off before a comma is exactly some elements of the list.
    """
    key = _KEY.match(window)
    place = len(window)
    for _ in range(_TRIES if key else 0):
        assert key is not None
        place = window.rfind(key[0], 1, place)
        if place < 0:
            break
        cut = place - 1
        while window[cut : cut + 1].isspace():
            cut -= 1
        if window[cut : cut + 1] == b",":
            data = b"".join((b"[", memoryview(window)[:cut], b"]"))
            if runs and (found := layout.run(data)) is not None:
                return place, found
            if scan.is_whole(data):
                return place, data
    return None


def _members(text: Text, start: int, end: int | None) -> Generator[tuple[str, Span], None, int]:
    """Keys of the object at `start` with the place of each value; returns where the object ends.

    Raises
    ------
    _Fault
        where it is broken.
    """
    place = _inside(text, start + 1)
    while _at(text, place, end) != b"}":
        latin = text.read(place, windows.WINDOW // 8 if end is None else min(windows.WINDOW // 8, end - place))
        if latin[:1] != b'"':
            raise _Fault(place, "", "a key is missing")
        try:
            key, length = scanstring(latin.decode("latin-1"), 1, False)
        except ValueError as error:
            raise _Fault(place, "", scan.reason(error, latin.decode("latin-1"), 0)) from None
        key = scan.storable(key.encode("latin-1", "replace").decode("utf-8", "replace"))
        colon = _inside(text, place + length)
        if _at(text, colon, end) != b":":
            raise _Fault(place, key, "a colon is missing")
        first = _inside(text, colon + 1)
        try:
            stop = _skip(text, first, end)
        except _Fault as fault:
            raise _Fault(first, key, fault.reason) from None
        yield key, (first, stop)
        place = _inside(text, stop)
        mark = _at(text, place, end)
        if mark == b",":
            place = _inside(text, place + 1)
        elif mark != b"}":
            raise _Fault(place, "", scan.unclosed("object", not mark))
    return place + 1


def _next_line(text: Text, place: int) -> int:
    """Start of the next line that is a whole JSON object or list; the end of the text if there is none."""
    while window := text.read(place, windows.WINDOW):
        found = window.find(b"\n")
        if found < 0:
            place += len(window)
            continue
        place += found + 1
        if text.read(place, 1) in {b"{", b"["} and _is_line(text, place):
            return place
    return place


def _is_line(text: Text, place: int) -> bool:
    line, found, _ = text.read(place, windows.WINDOW).partition(b"\n")
    if found or len(line) < windows.WINDOW:
        return scan.is_whole(line)
    try:
        end = _skip(text, place, None)
    except _Fault:
        return False
    return not text.read(end, windows.WINDOW).partition(b"\n")[0].strip()


def salvaged(text: Text, reason: str) -> Found:
    """Records that stand whole in a text that is no JSON."""
    end = 0
    while window := text.read(end, windows.WINDOW):
        end += len(window)
    yield from _salvaged(text, (0, end), "object", reason, 0)


def _salvaged(text: Text, span: Span, origin: str, reason: str, depth: int) -> Found:
    """What `unwrap.salvaged` gives, window by window: an object that is longer than half a window is not found."""
    start, end = span
    if end - start <= windows.LARGE:
        yield from unwrap.salvaged(text.read(start, end - start), origin, reason, depth)
        return
    gap, gaps, place, done = b"", 0, start, start
    while place < end:
        window = text.read(place, min(2 * windows.WINDOW, end - place))
        last = place + len(window) >= end
        border = place + (len(window) if last else len(window) // 2)
        for first, after in scan.objects(window.decode("latin-1"), max(done - place, int(place == start))):
            if place + first >= border:
                break
            if place + first < done or not (found := unwrap.records_in(window[first:after], origin, depth)):
                continue
            gap = (gap + window[max(done - place, 0) : first])[:_SHOWN]
            if gap.strip(unwrap.FRAME):
                yield Leaf(BROKEN, gap, origin, reason)
                gaps += 1
            yield from found
            gap, done = b"", place + after
        border = max(border, done)
        gap = (gap + window[max(done - place, 0) : border - place])[:_SHOWN]
        place = done = border
    if not gaps or gap.strip(unwrap.FRAME):
        yield Leaf(BROKEN, gap, origin, reason)
