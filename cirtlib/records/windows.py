"""A text too large for memory, of which a window is read at a time; going back reads it from its start again."""

import codecs
from collections.abc import Callable, Generator
from typing import Any

# Texts up to this many bytes are read whole.
LARGE = 32 << 20
WINDOW = 2 << 20
BLANK = b" \t\r\n\0\x1e"

# Pieces of a text in order; what is wrong with it is returned at the end, '' when nothing is.
Pieces = Generator[bytes, None, str]


class Text:
    """Bytes of a text by their place in it. `fault` is what is wrong with its end, once that was read."""

    def __init__(self, pieces: Callable[[], Pieces]) -> None:
        self.pieces = pieces
        self.fault = ""
        self._begin()

    def _begin(self) -> None:
        self._from = self.pieces()
        self._buffer, self._place, self._ended = bytearray(), 0, False

    def read(self, place: int, size: int) -> bytes:
        """Up to `size` bytes from `place` on; fewer only where the text ends."""
        if place < self._place:
            self._begin()
        while self._place + len(self._buffer) < place + size and not self._ended:
            gone = min(place - self._place, len(self._buffer))
            del self._buffer[:gone]
            self._place += gone
            try:
                self._buffer += next(self._from)
            except StopIteration as end:
                self.fault, self._ended = end.value or "", True
        start = place - self._place
        with memoryview(self._buffer) as view:
            return bytes(view[start : start + size])

    @property
    def end(self) -> int:
        """Bytes that were read so far: the text's size once its end was read."""
        return self._place + len(self._buffer)

    def blank(self, place: int) -> int:
        """Where the first byte at or after `place` is that is no white space; the end of the text if there is none."""
        while window := self.read(place, 4096):
            rest = window.lstrip(BLANK)
            place += len(window) - len(rest)
            if rest:
                break
        return place


def transcoded(text: Text, encoding: str) -> Text:
    """The text in UTF-8; what cannot be decoded becomes U+FFFD."""

    def pieces() -> Pieces:
        decoder: Any = codecs.getincrementaldecoder(encoding)("replace")
        source = text.pieces()
        while True:
            try:
                piece = next(source)
            except StopIteration as end:
                yield decoder.decode(b"", final=True).encode("utf-8", "replace")
                return end.value or ""
            yield decoder.decode(piece).encode("utf-8", "replace")

    return Text(pieces)
