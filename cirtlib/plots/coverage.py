"""What was and was not seen of each account and Region on each day, with the times in which logging was off."""

from collections import defaultdict
from datetime import timedelta
from itertools import groupby
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go

from cirtlib.coverage import Coverage
from cirtlib.coverage.rows import ALL, HISTORY, LOGS, Row
from cirtlib.plots import style

TITLE = "Coverage by account, Region and day (UTC)"
COLUMNS = ("account", "region", "day", "what", "objects", "events", "reason")

_MOST_ROWS = 60
_MOST_COLUMNS = 130
_WEEK = 7
Pair = tuple[str, str]


class Mark(NamedTuple):
    """How one state of a day is shown: letter in the cell, colour, and words."""

    letter: str
    colour: str
    words: str


# From what counts most in a cell that stands for several days. A letter says the same as the colour.
MARKS = {
    "failed": Mark("F", "#E8743B", "failed: not readable, or not what a digest says"),
    "missing": Mark("M", "#F2A3C0", "missing: a digest names files that are not there"),
    "denied": Mark("D", "#C2B280", "denied"),
    "busy": Mark("B", "#E8A33D", "no objects, though usually busy"),
    "none": Mark("A", "#F0E442", "no objects of the whole account"),
    "off": Mark("L", "#CBA6D6", "no objects: logging was off"),
    "read": Mark("", "#2B6CA3", "read"),
    "history": Mark("H", "#7FC7A4", "event history alone: management events"),
    "filter": Mark("f", "#D3EBDD", "only what was looked up"),
    "empty": Mark("0", "#A9CDEB", "empty: digests say that there was nothing"),
    "quiet": Mark("·", "#E4E4E4", "no objects: perhaps nothing was done there"),
}
_ORDER = list(MARKS)
_BAD = frozenset(("failed", "missing", "denied", "busy", "none", "off"))
_FAULTS = ("failed", "missing", "denied")
_ABSENT = {"busy": "busy", "none": "none", "off": "off", "quiet": "quiet", "logged": "quiet"}


class _Cell(NamedTuple):
    """One account, Region and day: key of MARKS, objects, events, reasons."""

    mark: str
    objects: int
    events: int
    reason: str


def table(covered: Coverage) -> pd.DataFrame:
    """Table behind the figure: one row for each account, Region and day, what was seen of it, and why not more."""
    rows = [
        (account, region, day, MARKS[cell.mark].words, cell.objects, cell.events, cell.reason)
        for (account, region, day), cell in sorted(_cells(covered.rows).items())
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"objects": "int64", "events": "int64"})


def draw(covered: Coverage) -> go.Figure:
    """Grid of days (columns) by account and Region (rows)."""
    cells = _cells(covered.rows)
    if not cells:
        return style.empty(TITLE, "Nothing was collected of any account, Region and day.")
    every = {(account, region) for account, region, _ in cells}
    shown = _chosen(cells, _off(covered))
    first, last = min(day for *_, day in cells), max(day for *_, day in cells)
    step = 1 if len(pd.date_range(first, last)) <= _MOST_COLUMNS else _WEEK
    columns = list(pd.date_range(first, last, freq=f"{step}D", tz="UTC"))
    subtitle = f"one column is {'a day' if step == 1 else 'a week, and shows its worst day'}"
    if len(every) > len(shown):
        subtitle += f"; {len(every) - len(shown):,} of {len(every):,} rows do not fit and stand in the table only"
    figure = style.figure(TITLE, subtitle, height=230 + 20 * len(shown), alt=alt(covered, cells))
    grid = _binned(cells, shown, columns, step)
    figure.add_trace(_heat(grid, shown, columns, step))
    used = {cell.mark for line in grid for cell in line if cell}
    for name in sorted(used, key=_ORDER.index):
        mark = MARKS[name]
        label = f"{mark.letter}  {mark.words}" if mark.letter else mark.words
        figure.add_trace(style.key_mark(label, name, color=mark.colour, symbol="square"))
    _overlay(figure, covered, shown, (columns[0], columns[-1] + timedelta(days=step)))
    figure.update_yaxes(
        tickvals=list(range(len(shown))), ticktext=_labels(shown), range=[len(shown) - 0.5, -0.5], showgrid=False,
        ticks="",
    )  # fmt: skip
    figure.update_xaxes(type="date", title={"text": "day (UTC)"}, showgrid=False)
    figure.update_layout(legend=style.BELOW, margin={"l": 20, "r": 20, "t": 86, "b": 120})
    return figure


def alt(covered: Coverage, cells: dict[tuple[str, str, str], _Cell]) -> str:
    """Text alternative: how many days of how many Regions are in which state, and when logging was off."""
    counts: dict[str, int] = defaultdict(int)
    for cell in cells.values():
        counts[cell.mark] += 1
    pairs, accounts = {key[:2] for key in cells}, {key[0] for key in cells}
    said = "; ".join(f"{counts[name]:,} {MARKS[name].words}" for name in _ORDER if counts[name])
    text = f"{len(cells):,} days of {len(pairs):,} Regions of {len(accounts):,} accounts: {said}."
    off = [gap["reason"].partition(";")[0] for gap in _off(covered)]
    return f"{text} {' '.join(f'{one[0].upper()}{one[1:]}.' for one in off)}".strip()


def _cells(rows: list[Row]) -> dict[tuple[str, str, str], _Cell]:
    """State of every account, Region and day of which the ledger has a row."""
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row.source in {LOGS, HISTORY} and row.account and row.region and row.day:
            groups[row.account, row.region, row.day].append(row)
    return {
        key: _Cell(
            _mark(own), sum(row.objects for row in own if row.status == "read"), sum(row.events for row in own),
            "; ".join(dict.fromkeys(row.reason for row in own if row.reason)),
        )
        for key, own in groups.items()
    }  # fmt: skip


def _mark(rows: list[Row]) -> str:
    """State of a day: a fault of its log files, else the best that is known of it."""
    logs = [row for row in rows if row.source == LOGS]
    states = {row.status for row in logs}
    for name in (*_FAULTS, "read", "empty"):
        if name in states and (name in _FAULTS or any(row.status == name and row.extent == ALL for row in logs)):
            return name
    history = [row for row in rows if row.source == HISTORY]
    good = [row.extent for row in history if row.status in {"read", "empty"}]
    if good or "read" in states:
        return "history" if ALL in good else "filter"
    for row in logs:
        if row.kind in _ABSENT:
            return _ABSENT[row.kind]
    return next((name for name in _FAULTS if any(row.status == name for row in history)), "none")


def _chosen(cells: dict[tuple[str, str, str], _Cell], off: list[dict[str, Any]]) -> list[Pair]:
    """Rows that are shown: where logging was off or something lacks, then the busiest; by account and Region."""
    bad: dict[Pair, int] = defaultdict(int)
    events: dict[Pair, int] = defaultdict(int)
    for (account, region, _), cell in cells.items():
        bad[account, region] += cell.mark in _BAD
        events[account, region] += cell.events
    blind = {pair: sum(_concerns(gap, pair) for gap in off) for pair in events}
    best = sorted(events, key=lambda pair: (-blind[pair], -bad[pair], -events[pair], pair))
    return sorted(best[:_MOST_ROWS])


def _binned(
    cells: dict[tuple[str, str, str], _Cell], pairs: list[Pair], columns: list[pd.Timestamp], step: int
) -> list[list[_Cell | None]]:
    """Cells by row and column; one that stands for a week shows what counts most in it."""
    grid = []
    for pair in pairs:
        line: list[_Cell | None] = []
        for start in columns:
            days = [f"{start + timedelta(days=number):%Y-%m-%d}" for number in range(step)]
            own = [cell for day in days if (cell := cells.get((*pair, day)))]
            if not own:
                line.append(None)
                continue
            worst = min(own, key=lambda cell: _ORDER.index(cell.mark))
            objects, events = (sum(getattr(cell, name) for cell in own) for name in ("objects", "events"))
            line.append(_Cell(worst.mark, objects, events, worst.reason))
        grid.append(line)
    return grid


def _heat(grid: list[list[_Cell | None]], pairs: list[Pair], columns: list[pd.Timestamp], step: int) -> go.Heatmap:
    top = len(_ORDER)
    scale = [[place / top, MARKS[name].colour] for number, name in enumerate(_ORDER) for place in (number, number + 1)]
    hover = [
        [_hover(pair, day, cell) if cell else "" for day, cell in zip(columns, line, strict=True)]
        for pair, line in zip(pairs, grid, strict=True)
    ]
    return go.Heatmap(
        x=[style.moment(day + timedelta(days=step / 2)) for day in columns], y=list(range(len(pairs))),
        z=[[_ORDER.index(cell.mark) if cell else None for cell in line] for line in grid],
        zmin=-0.5, zmax=top - 0.5, colorscale=scale, showscale=False, xgap=1, ygap=2,
        text=[[MARKS[cell.mark].letter if cell else "" for cell in line] for line in grid],
        texttemplate="%{text}", textfont={"size": 10 if len(columns) <= _MOST_COLUMNS / 2 else 8, "color": style.INK},
        hovertext=hover, hoverinfo="text",
    )  # fmt: skip


def _hover(pair: Pair, day: pd.Timestamp, cell: _Cell) -> str:
    head = f"<b>{style.text(pair[0])} {style.text(pair[1])}</b><br>{day:%Y-%m-%d}: {MARKS[cell.mark].words}"
    counts = f"<br>{cell.objects:,} objects, {cell.events:,} records" if cell.objects or cell.events else ""
    return f"{head}{counts}{f'<br>{style.wrapped(cell.reason[:300])}' if cell.reason else ''}"


def _labels(pairs: list[Pair]) -> list[str]:
    """Region beside each row, and the account beside its first one."""
    labels = []
    for account, own in groupby(pairs, key=lambda pair: pair[0]):
        for number, (_, region) in enumerate(own):
            name = style.text(style.cut(region))
            labels.append(f"<b>{style.text(style.cut(account))}</b>  {name}" if not number else name)
    return labels


def _off(covered: Coverage) -> list[dict[str, Any]]:
    return [gap for gap in covered.windows if gap["reason"].startswith("logging off")]


def _overlay(figure: go.Figure, covered: Coverage, pairs: list[Pair], span: tuple[pd.Timestamp, pd.Timestamp]) -> None:
    """Frames around the times without logging, and the begin and end of the window."""
    first, last = span
    shapes: list[dict[str, Any]] = []
    for gap in _off(covered):
        start = max(pd.Timestamp(gap["from"]), first) if gap["from"] else first
        end = min(pd.Timestamp(gap["to"]), last) if gap["to"] else last
        places = [number for number, pair in enumerate(pairs) if _concerns(gap, pair)]
        if start < end:
            shapes += [one for low, high in _stretches(places) for one in _frame(start, end, low, high)]
    if shapes:
        line = {"color": style.INK, "width": 2, "dash": "dot"}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="lines", name="logging off", line=line, hoverinfo="skip"))
    for moment, words, side in _edges(covered, (last - first) / 6):
        if first <= moment <= last:
            at = style.moment(moment)
            line = {"color": style.FAINT, "width": 1.5}
            shapes.append({"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper", "line": line})
            figure.add_annotation(
                x=at, y=1, yref="paper", yanchor="bottom", xanchor=side, text=words, showarrow=False, font={"size": 11}
            )
    figure.update_layout(shapes=shapes)


def _edges(covered: Coverage, room: pd.Timedelta) -> list[tuple[pd.Timestamp, str, str]]:
    """Begin and end of the window, with words where there is room for them."""
    if covered.held.window is None:
        return []
    start, end = map(pd.Timestamp, covered.held.window)
    return [(start, "window →", "left"), (end, "← window" if end - start > room else "", "right")]


def _concerns(gap: dict[str, Any], pair: Pair) -> bool:
    return gap["account"] in {None, pair[0]} and gap["region"] in {None, pair[1]}


def _stretches(places: list[int]) -> list[tuple[int, int]]:
    """Rows that stand one below the other, as first and last."""
    found: list[tuple[int, int]] = []
    for place in places:
        if found and place == found[-1][1] + 1:
            found[-1] = (found[-1][0], place)
        else:
            found.append((place, place))
    return found


def _frame(start: pd.Timestamp, end: pd.Timestamp, low: int, high: int) -> list[dict[str, Any]]:
    """A dotted frame on a white one, which shows on dark cells and on light ones."""
    place = {
        "type": "rect", "x0": style.moment(start), "x1": style.moment(end), "y0": low - 0.48, "y1": high + 0.48,
    }  # fmt: skip
    return [
        {**place, "line": {"color": style.PAPER, "width": 4}},
        {**place, "line": {"color": style.INK, "width": 2, "dash": "dot"}},
    ]
