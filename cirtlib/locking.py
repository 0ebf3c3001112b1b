"""One at a time: what two processes must not do at once in the same folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def take(file: IO[str] | int, *, wait: bool) -> bool:
    """Take a lock on an open file or folder, which ends when that is closed; False when another holds it.

    On Windows there is no such lock: two at a time are the user's to avoid.
    """
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other process is at work in an existing folder, and keep others waiting."""
    try:
        held = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folder
        yield
        return
    try:
        take(held, wait=True)
        yield
    finally:
        os.close(held)
