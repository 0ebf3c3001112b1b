"""Progress of a long collect: bytes, objects, events, rate, time left, and what was rejected so far.

A bar on a terminal and in a notebook; elsewhere plain lines, far enough apart for a log. All of it is for the eye: it
goes to stderr, in a notebook into the cell, and nothing depends on it.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock
from typing import Any

from tqdm import tqdm

from cirtlib.text import visible

_EVERY = 10.0  # seconds between two plain lines
_DELAY = 1.0  # seconds of work before a bar shows unasked: what is quicker needs none


@dataclass
class _Counts:
    objects: int = 0
    size: int = 0
    events: int = 0
    rejected: int = 0


class Progress:
    """How far a collect is; a context manager that closes itself.

    Parameters
    ----------
    wanted
        False shows nothing. None shows a bar where stderr is a terminal or the code runs in a notebook, and elsewhere
        plain lines that begin after ten seconds. True does the same at once, and writes a last line in any case.
    clock
        Seconds that only go up.
    """

    def __init__(self, wanted: bool | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to count."""
        self._done, self._expected = _Counts(), _Counts()
        self._wanted, self._clock, self._lock = wanted, clock, RLock()
        self._start = self._last = clock()
        self._said = ""
        self._cell = _cell() if wanted is not False else None
        self._bar: Any = None
        if self._cell is not None or (wanted is not False and sys.stderr.isatty()):
            # In a cell the last state stays to be read; on a terminal the account that follows says it better.
            self._bar = tqdm(
                file=self._cell or sys.stderr, leave=self._cell is not None, delay=0 if wanted else _DELAY,
                unit="B", unit_scale=True, unit_divisor=1024, dynamic_ncols=self._cell is None, smoothing=0.05,
            )  # fmt: skip

    def __enter__(self) -> "Progress":
        """Count from here."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close, however the work ended."""
        self.close()

    def expect(self, objects: int, size: int) -> None:
        """Add to what is to come: objects, and their bytes (0 when nothing tells)."""
        with self._lock:
            self._expected.objects += objects
            self._expected.size += size
            if self._bar is not None:
                self._bar.total = self._expected.size or None

    def step(self, objects: int = 0, size: int = 0, events: int = 0, rejected: int = 0) -> None:
        """Add to what is done: objects and their bytes, the events found in them, and what could not be read."""
        with self._lock:
            self._done.objects += objects
            self._done.size += size
            self._done.events += events
            self._done.rejected += rejected
            if self._bar is not None:
                self._bar.set_postfix_str(self._counts(), refresh=False)
                self._bar.update(size)
            elif self._wanted is not False and self._clock() - self._last >= _EVERY:
                self._line()

    def say(self, text: str) -> None:
        """Show one line of text beside the progress, made harmless; nothing where progress is not wanted."""
        with self._lock:
            if self._bar is not None:
                tqdm.write(visible(text), file=sys.stderr if self._cell is None else sys.stdout)
            elif self._wanted is not False:
                _print(visible(text))

    def close(self) -> None:
        """End the bar, or write a last plain line where there were any; nothing is shown from here on."""
        with self._lock:
            if self._bar is not None:
                self._bar.close()
            elif self._wanted or (self._wanted is None and self._said):
                self._line()
            self._bar, self._wanted = None, False

    def describe(self) -> str:
        """What is done so far, in one line."""
        seconds = max(self._clock() - self._start, 1e-6)
        done, expected = self._done, self._expected
        of = f" of {_bytes(expected.size)}" if expected.size > done.size else ""
        parts = [_bytes(done.size) + of, self._counts(), f"{_bytes(done.size / seconds)}/s", f"{_span(seconds)} so far"]
        share = done.size / expected.size if expected.size else done.objects / max(expected.objects, 1)
        if 0 < share < 1:
            parts.append(f"about {_span(seconds / share - seconds)} left")
        return ", ".join(parts)

    def _counts(self) -> str:
        done, expected = self._done, self._expected
        of = f" of {expected.objects:,}" if expected.objects > done.objects else ""
        return f"{done.objects:,}{of} objects, {done.events:,} events, {done.rejected:,} rejected"

    def _line(self) -> None:
        self._last = self._clock()
        if self._said != (now := self.describe()):
            _print(now)
        self._said = now


class _Cell:
    """What a bar writes, as one output of a notebook's cell that is replaced: no widgets, and nothing piles up."""

    def __init__(self, show: Callable[..., Any]) -> None:
        self._show, self._last = show, ""
        self._handle: Any = None

    def write(self, text: str) -> None:
        """Show a state of the bar."""
        state = text.strip("\r\n ")
        if not state or state == self._last:
            return
        self._last = state
        if self._handle is None:
            self._handle = self._show({"text/plain": state}, raw=True, display_id=True)
        else:
            self._handle.update({"text/plain": state}, raw=True)

    def flush(self) -> None:
        """Nothing is held back."""


def _cell() -> _Cell | None:
    """The cell that runs, when this is a notebook. IPython is asked only where it is loaded already."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    return _Cell(ipython.display.display)


def _print(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _bytes(number: float) -> str:
    """Bytes in the largest unit that leaves a number above one: 1.5 GB is 1.5 * 1024**3 bytes."""
    for unit in ("B", "KB", "MB", "GB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TB"


def _span(seconds: float) -> str:
    """Seconds as minutes and seconds, with hours where there are any: 3:07, 1:02:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
