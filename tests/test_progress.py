"""Progress tells how far a collect is: a bar for a person, plain lines for a log, nothing where none is wanted."""

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from cirtlib.progress import Progress


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_plain_lines_come_at_most_every_ten_seconds_and_at_the_end(capsys: Any) -> None:
    """What was done, what is to come, the rate and the time left stand in each."""
    clock = Clock()
    with Progress(True, clock=clock) as progress:
        progress.expect(4, 4 << 20)
        for _ in range(4):
            clock.now += 6
            progress.step(objects=1, size=1 << 20, events=1000, rejected=1)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "2.0 MB of 4.0 MB, 2 of 4 objects, 2,000 events, 2 rejected, 170.7 KB/s, 0:12 so far, about 0:12 left",
        "4.0 MB, 4 objects, 4,000 events, 4 rejected, 170.7 KB/s, 0:24 so far",
    ]


def test_what_is_quick_says_nothing_unless_it_was_asked(capsys: Any) -> None:
    """Without a terminal and without a wish there are lines only after ten seconds; with a wish there is a last one."""
    for wanted, expected in ((None, 0), (True, 1)):
        with Progress(wanted, clock=Clock()) as progress:
            progress.step(objects=1, size=10)
        assert len(capsys.readouterr().err.splitlines()) == expected


def test_nothing_is_shown_when_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither on a terminal nor after a long time."""
    terminal, clock = Terminal(), Clock()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress(False, clock=clock) as progress:
        progress.expect(2, 0)
        clock.now = 3600
        progress.step(objects=1)
        progress.say("something")
    assert terminal.getvalue() == ""


def test_the_time_left_is_told_by_objects_where_nobody_knows_their_size() -> None:
    """Pages of an API have no size beforehand."""
    clock = Clock()
    progress = Progress(False, clock=clock)
    progress.expect(10, 0)
    clock.now = 60
    progress.step(objects=1, events=50)
    assert progress.describe() == "0 B, 1 of 10 objects, 50 events, 0 rejected, 0 B/s, 1:00 so far, about 9:00 left"
    clock.now = 3720
    assert Progress(False).describe().startswith("0 B, 0 objects")
    assert "1:02:00 so far" in progress.describe()


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the counts; a line of text is written above it, with nothing in it that the terminal would obey."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress(True) as progress:
        progress.expect(2, 2048)
        progress.step(objects=2, size=2048, events=7, rejected=1)
        progress.say("reading \x1b[2Jeu-west-1")
    shown = terminal.getvalue()
    assert "\x1b[2J" not in shown
    assert "reading \\u001b[2Jeu-west-1" in shown
    assert "100%" in shown
    assert "2 objects, 7 events, 1 rejected" in shown


def test_a_notebook_gets_one_output_that_is_replaced(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """A cell holds the last state of the bar, and nothing on stderr, which a notebook would paint as an error."""
    shown: list[tuple[str, str]] = []

    def display(content: dict[str, str], **_: Any) -> Any:
        shown.append(("new", content["text/plain"]))
        return SimpleNamespace(update=lambda content, **_: shown.append(("replaced", content["text/plain"])))

    notebook = SimpleNamespace(
        get_ipython=lambda: SimpleNamespace(kernel=True), display=SimpleNamespace(display=display)
    )
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    with Progress(True) as progress:
        progress.expect(1, 4096)
        progress.step(objects=1, size=4096, events=3)
        progress.say("a line")
    assert [how for how, _ in shown].count("new") == 1
    assert "1 objects, 3 events" in shown[-1][1]
    out, err = capsys.readouterr()
    assert (out, err) == ("a line\n", "")


def test_closing_twice_is_closing_once(capsys: Any) -> None:
    """Nor does anything come after the end."""
    progress = Progress(True, clock=Clock())
    progress.close()
    progress.close()
    progress.step(objects=1)
    progress.say("too late")
    assert len(capsys.readouterr().err.splitlines()) == 1
