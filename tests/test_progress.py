"""Progress tells people how far a collect is, and keeps out of the way of pipes and tests."""

import io
import sys

import pytest

from cirtlib import progress
from cirtlib.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def pipe(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    return sys.stderr


def test_a_pipe_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects, events, bytes, rate, time left and what was rejected so far; then a last line."""
    stderr = pipe(monkeypatch)
    clock = iter([0.0, 11.0, 11.0, 12.0, 30.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Progress(None) as shown:
        shown.expect(4, 4 << 20)
        shown.step(objects=1, size=1 << 20, events=1200, rejected=2)
        shown.step(objects=3, size=3 << 20)
    first, last = stderr.getvalue().splitlines()
    assert first == "collect: 1 of 4 objects, 1,200 events, 2 rejected, 1.0 MiB at 93.1 KiB/s, about 33 s left"
    assert last.startswith("collect: 4 of 4 objects")
    assert "left" not in last


def test_what_is_quickly_done_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it was asked to."""
    for wanted, lines in ((None, 0), (False, 0), (True, 1)):
        stderr = pipe(monkeypatch)
        with Progress(wanted) as shown:
            shown.expect(1, 10)
            shown.step(objects=1, size=10, events=1)
        assert len(stderr.getvalue().splitlines()) == lines


def test_a_terminal_gets_a_bar_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar counts bytes, and says objects, events and rejected beside it."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress(None) as shown:
        shown.expect(2, 2048)
        shown.step(objects=1, size=1024, events=7)
        shown.say("reading eu-west-1")
    text = sys.stderr.getvalue()
    assert "reading eu-west-1\n" in text
    assert "1 of 2 objects, 7 events, 0 rejected" in text
    assert text.endswith("\r")


def test_nothing_wanted_is_nothing_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also no messages."""
    stderr = pipe(monkeypatch)
    with Progress(False) as shown:
        shown.say("hello")
        shown.step(objects=1)
    assert stderr.getvalue() == ""
