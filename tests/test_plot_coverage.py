"""The figure of what was seen: few rows or many, every state told by a letter as well as by its colour."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import plotly.io as pio
import pytest

from cirtlib.coverage import Coverage
from cirtlib.coverage.rows import HISTORY, LOGS, Row, days, gap
from cirtlib.plots import coverage as figures

ACCOUNT = "111122223333"
WINDOW = datetime(2026, 6, 3, tzinfo=UTC), datetime(2026, 6, 5, tzinfo=UTC)


def covered(rows: list[Row], windows: tuple[dict[str, Any], ...] = (), window: Any = WINDOW) -> Coverage:
    held: Any = SimpleNamespace(window=window)
    return Coverage(held, rows, list(windows))


def seen(day: str, region: str = "us-east-1", source: str = LOGS, extent: str = "all", account: str = ACCOUNT) -> Row:
    return Row(source, account, region, day, extent, "read", 1, 5)


def test_a_day_shows_the_fault_or_else_the_best_that_is_known() -> None:
    """What a trail lost is not hidden by what was read; event history and lookups are told apart from log files."""
    place = (ACCOUNT, "us-east-1", "2026-06-03")
    missing = gap(LOGS, place, "missing", ("log missing", 2, "x"))
    quiet = gap(LOGS, place, "absent", ("quiet", 0, ""))
    denied = gap(HISTORY, place, "denied", ("refused", 1, "AccessDenied"))
    history, lookup = seen(place[2], source=HISTORY), seen(place[2], source=HISTORY, extent="AccessKeyId=X")
    for rows, words in (
        ([seen(place[2])], "read"),
        ([seen(place[2]), missing], "missing"),
        ([seen(place[2]), denied], "read"),
        ([quiet, history], "event history alone"),
        ([quiet, lookup], "only what was looked up"),
        ([lookup, history], "event history alone"),
        ([quiet, denied], "no objects: perhaps"),
        ([denied], "denied"),
        ([Row(LOGS, *place, "all", "empty")], "empty"),
    ):
        (row,) = figures.table(covered(rows)).itertuples()
        assert row.what.startswith(words), (rows, row.what)


def test_the_table_has_every_day_and_the_figure_says_what_does_not_fit() -> None:
    """Three hundred rows are cut to what lacks most, and the subtitle says how many are left out."""
    accounts = [f"{number:012d}" for number in range(30)]
    regions = [f"eu-west-{number}" for number in range(10)]
    rows = [seen("2026-06-03", region, account=account) for account in accounts for region in regions]
    rows.append(gap(LOGS, (accounts[29], "eu-west-9", "2026-06-04"), "failed", ("failed", 1, "x")))
    figure = figures.draw(covered(rows))
    assert len(figures.table(covered(rows))) == 301
    assert "240 of 300 rows do not fit" in figure.layout.title.text
    assert len(figure.data[0].y) == 60
    assert "F" in figure.data[0].text[-1]
    assert "30 accounts" in figure.layout.meta["alt"]
    assert "1 failed" in figure.layout.meta["alt"]


def test_a_long_time_is_drawn_by_weeks() -> None:
    """A column then shows the worst of its days."""
    rows = [seen(day) for day in days("2026-01-01", "2026-06-30")]
    rows.append(gap(LOGS, (ACCOUNT, "us-east-1", "2026-03-10"), "missing", ("log missing", 1, "x")))
    figure = figures.draw(covered(rows))
    assert "a week" in figure.layout.title.text
    assert len(figure.data[0].x) == 26
    assert [letter for letter in figure.data[0].text[0] if letter] == ["M"]


def test_times_without_logging_are_framed_and_the_window_is_marked() -> None:
    """Only on the rows that the trail records; what the frame means is in the legend and in the words."""
    rows = [seen("2026-06-03", region) for region in ("eu-west-1", "us-east-1", "us-west-2")] + [seen("2026-06-06")]
    off = {
        "account": ACCOUNT,
        "region": "us-east-1",
        "from": "2026-06-04T00:00:00Z",
        "to": None,
        "reason": "logging off: x; y",
    }
    figure = figures.draw(covered(rows, (off,)))
    (frame,) = [shape for shape in figure.layout.shapes if shape.type == "rect" and shape.line.dash]
    assert (frame.x0, frame.x1, frame.y0, frame.y1) == ("2026-06-04 00:00:00", "2026-06-07 00:00:00", 0.52, 1.48)
    assert "logging off" in {trace.name for trace in figure.data}
    assert [shape.x0 for shape in figure.layout.shapes if shape.type == "line"] == [
        "2026-06-03 00:00:00",
        "2026-06-05 00:00:00",
    ]
    assert figure.layout.meta["alt"].endswith("Logging off: x.")


def test_hostile_text_is_text() -> None:
    """Names in reasons and Regions are escaped, and a figure of the same rows is the same bytes."""
    evil = "<b>x</b><script>$a$"
    rows = [gap(LOGS, (ACCOUNT, evil, "2026-06-03"), "missing", ("log missing", 1, evil))]
    first, second = (pio.to_json(figures.draw(covered(rows))) for _ in range(2))
    assert first == second
    figure = figures.draw(covered(rows))
    shown = [*figure.layout.yaxis.ticktext, *(text for line in figure.data[0].hovertext for text in line)]
    assert not any("<script>" in text or "<b>x" in text or "$a$" in text for text in shown)
    assert any("&lt;script&gt;" in text for text in shown)


@pytest.mark.parametrize("window", [None, WINDOW])
def test_nothing_is_said_to_be_nothing(window: Any) -> None:
    """A case without evidence has a figure that says so."""
    figure = figures.draw(covered([], window=window))
    assert "Nothing was collected" in figure.layout.annotations[0].text
    assert figures.table(covered([])).empty


def test_every_state_has_its_own_letter_and_colour() -> None:
    """Colour is never the only sign."""
    letters = [mark.letter for mark in figures.MARKS.values()]
    colours = [mark.colour for mark in figures.MARKS.values()]
    assert len(set(letters)) == len(set(colours)) == len(figures.MARKS)
