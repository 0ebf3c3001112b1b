"""How far a collect is, for people: a bar where somebody looks, a line now and then where not."""

import sys
import time
from types import TracebackType

from tqdm import tqdm

_EVERY = 10.0  # seconds between two plain lines, and before the first


class Progress:
    """Counts objects, bytes, events and rejections, and shows them on stderr.

    `wanted`: True shows at once, False nothing; None shows a bar on a terminal, and plain lines elsewhere once it
    has taken ten seconds.
    """

    def __init__(self, wanted: bool | None) -> None:
        self._wanted = wanted
        self._looked_at = sys.stderr.isatty()
        self._begun = self._shown = time.monotonic()
        self._lines = 0
        self._done = {"objects": 0, "size": 0, "events": 0, "rejected": 0}
        self._expected = {"objects": 0, "size": 0}
        hidden = wanted is False or not self._looked_at
        self._bar = tqdm(
            disable=hidden,
            leave=False,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            dynamic_ncols=True,
            file=sys.stderr,
        )

    def __enter__(self) -> "Progress":
        """Progress itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Show the end."""
        self.close()

    def expect(self, objects: int, size: int) -> None:
        """So many objects and bytes are to come, on top of what was said before."""
        self._expected["objects"] += objects
        self._expected["size"] += size
        self._bar.total = self._expected["size"] or None
        self._bar.refresh()

    def step(self, objects: int = 0, size: int = 0, events: int = 0, rejected: int = 0) -> None:
        """So much was done."""
        for name, count in (("objects", objects), ("size", size), ("events", events), ("rejected", rejected)):
            self._done[name] += count
        self._bar.set_postfix_str(self._counts(), refresh=False)
        self._bar.update(size)
        if self._bar.disable and time.monotonic() - self._shown > _EVERY:
            self._line()

    def say(self, text: str) -> None:
        """Show one line, above the bar where there is one."""
        if self._wanted is not False:
            tqdm.write(text, file=sys.stderr)

    def close(self) -> None:
        """Take the bar away; where there were plain lines, one more says what it came to."""
        self._bar.close()
        if self._bar.disable and (self._lines or self._wanted):
            self._line()

    def _line(self) -> None:
        self._shown = time.monotonic()
        if self._wanted is False:
            return
        self._lines += 1
        passed = max(self._shown - self._begun, 0.001)
        rate = self._done["size"] / passed
        text = f"{self._counts()}, {_bytes(self._done['size'])} at {_bytes(rate)}/s"
        left = self._expected["size"] - self._done["size"]
        if left > 0 and rate:
            text += f", about {_duration(left / rate)} left"
        sys.stderr.write(f"collect: {text}\n")

    def _counts(self) -> str:
        expected = max(self._expected["objects"], self._done["objects"])
        done = self._done
        return f"{done['objects']:,} of {expected:,} objects, {done['events']:,} events, {done['rejected']:,} rejected"


def _bytes(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
