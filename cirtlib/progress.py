"""How far a collect is, for people."""

import sys
from types import TracebackType

from tqdm import tqdm


class Progress:
    """A bar on stderr, when wanted."""

    def __init__(self, wanted: bool | None) -> None:
        self._bar = tqdm(unit=" objects", disable=not wanted, leave=False)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def expect(self, objects: int, size: int) -> None:
        """So much is to come, on top of what was said before."""
        self._bar.total = (self._bar.total or 0) + objects

    def step(self, objects: int = 0, size: int = 0, events: int = 0, rejected: int = 0) -> None:
        """So much was done."""
        self._bar.update(objects)

    def say(self, text: str) -> None:
        """Show a line."""
        tqdm.write(text, file=sys.stderr)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()
