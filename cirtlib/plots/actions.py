"""Who did what when: principals as rows over time, tactic as colour, verdict and outcome as form."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cirtlib.plots import around, style
from cirtlib.plots.around import Context
from cirtlib.plots.rows import Row, assign, order
from cirtlib.techniques import TACTICS
from cirtlib.timeline.bursts import counted, unique

TITLE = "Actions by principal over time (UTC)"
COLUMNS = (
    "time", "principal", "credential", "tactic", "verdict", "outcome", "events", "actions", "source_ip", "event_ids",
)  # fmt: skip

_MOST_ROWS = 60
_ROW_PX = 36
# Bin widths in seconds: the first that makes at most so many bins of the time of the attack.
_WIDTHS = (10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800)
_MOST_BINS = 120
# The view opens on the attack where all of the time is so many times as long.
_FAR = 1.8
_MINTS_TOLD, _ADDRESSES = 12, 4
_NO_TACTIC = "no tactic by itself"
_SYMBOLS = {"ok": "circle", "denied": "x", "failed": "triangle-up"}
_FILL = {"attacker": "", "owner": "-open", "unclear": "-open-dot"}
_NOT_JUDGED = {"ok": "line-ns-open", "denied": "x-thin-open", "failed": "y-up-open"}


def table(acts: pd.DataFrame, named: frozenset[str]) -> pd.DataFrame:
    """Marks of the figure as a table: one row per time bin, principal, credential, tactic, verdict and outcome.

    Credentials that the scope does not name stand together as ''. `outcome` is ok, denied or failed.
    """
    if acts.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    acts = assign(acts, set(named))
    acts = acts.assign(
        time=acts["event_time"].dt.floor(f"{_width(attack(acts))}s"),
        result=acts["outcome"].map({"ok": "ok", "denied": "denied"}).fillna("failed"),
    )
    keys = ["time", "who", "held", "tactic", "verdict", "result"]
    names, sources, ids = (acts[column].to_numpy() for column in ("event_name", "source_ip", "event_id"))
    rows = [
        (*key, len(at), counted(names[at]), unique(sources[at]), list(ids[at]))
        for key, at in sorted(acts.groupby(keys).indices.items())
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def draw(acts: pd.DataFrame, context: Context) -> go.Figure:
    """Figure of judged events (see `timeline.judged_events`) with what stands around them."""
    if acts.empty:
        return style.empty(TITLE, "There are no events to show: nothing in the window belongs to the scope.")
    marks = table(acts, context.named)
    rows, left_out = order(assign(acts, set(context.named)), _MOST_ROWS)
    place = {(row.principal, row.credential): -number for number, row in enumerate(rows)}
    marks["y"] = [place.get(pair, np.nan) for pair in zip(marks["principal"], marks["credential"], strict=True)]
    marks = marks[marks["y"].notna()]
    width, lane = _width(attack(acts)), around.lane(context)
    subtitle = f"{len(acts):,} events in bins of {_spoken(width)}; size: number of events"
    if left_out:
        subtitle += f"; {left_out} principals do not fit and stand in the table only"
    figure = style.figure(TITLE, subtitle, height=int(250 + _ROW_PX * (len(rows) + lane)), alt=alt(acts, context))
    _marks(figure, _spread(marks))
    arrows = around.mints(figure, context.mints, rows)
    lines = around.findings(figure, context.findings)
    _keys(figure, marks, context)
    borders = _axes(figure, rows, lane)
    figure.update_layout(
        shapes=[*around.shade(context, len(rows), lane), *lines, *borders],
        annotations=[*around.gap_names(context, lane), *arrows],
    )
    _times(figure, acts, context, width)
    return figure


def alt(acts: pd.DataFrame, context: Context) -> str:
    """Text alternative: who acted when, how much of it is whose, what was tried, and when nothing was logged."""
    start, end = (style.moment(at) for at in (acts["event_time"].min(), acts["event_time"].max()))
    counts = acts["verdict"].value_counts()
    parts = [f"{counts[name]:,} {said}" for name, said in style.VERDICT_NAMES.items() if name in counts]
    many = f"{len(acts):,} events of {acts['principal'].nunique()} principals from {start} to {end} UTC"
    words = [f"{many}: {', '.join(parts)}; {int((acts['outcome'] == 'denied').sum()):,} denied."]
    mine = acts[acts["verdict"] == "attacker"].sort_values("event_time", kind="stable")
    if len(mine):
        tactics = [name for name in dict.fromkeys(mine["tactic"]) if name]
        begin = style.moment(mine["event_time"].iloc[0])
        words.append(f"The attacker's acts begin at {begin} with {mine['principal'].iloc[0]}.")
        words.append(f"Tactics in order of their first act: {', '.join(tactics)}.")
    words += [f"{mint['what']} at {style.moment(mint['time'])}." for mint in context.mints[:_MINTS_TOLD]]
    if len(context.findings):
        words.append(f"{len(context.findings)} findings, the first at {style.moment(context.findings['start'].min())}.")
    words += [f"{gap['reason']}: {style.moment(gap['start'])} to {style.moment(gap['end'])}." for gap in context.gaps]
    return " ".join(words)


def attack(acts: pd.DataFrame) -> tuple[pd.Timestamp, pd.Timestamp]:
    """First and last act of the attacker; of anyone where no act is the attacker's."""
    mine = acts.loc[acts["verdict"] == "attacker", "event_time"]
    when = mine if len(mine) else acts["event_time"]
    return when.min(), when.max()


def _width(when: tuple[pd.Timestamp, pd.Timestamp]) -> int:
    """Width of a bin in seconds, fine enough for the time that matters."""
    span = (when[1] - when[0]).total_seconds()
    return next((width for width in _WIDTHS if span / width <= _MOST_BINS), _WIDTHS[-1])


def _spoken(seconds: int) -> str:
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % size == 0:
            return f"{seconds // size} {name}{'s' if seconds > size else ''}"
    return f"{seconds} seconds"


def _spread(marks: pd.DataFrame) -> pd.DataFrame:
    """Marks of one bin and row beside each other: those of different tactic or verdict must not hide one another."""
    group = marks.groupby(["time", "y"])["events"]
    rank, size = group.cumcount(), group.transform("size")
    step = np.minimum(0.26, 0.64 / size.clip(lower=1))
    return marks.assign(y=marks["y"] + (rank - (size - 1) / 2) * step)


def _symbol(verdict: str, outcome: str) -> str:
    return f"{_SYMBOLS[outcome]}{_FILL[verdict]}" if verdict in _FILL else _NOT_JUDGED[outcome]


def _marks(figure: go.Figure, marks: pd.DataFrame) -> None:
    """One trace per tactic, so that the legend can switch each off."""
    for tactic in [name for name in (*TACTICS, "") if name in set(marks["tactic"])]:
        part = marks[marks["tactic"] == tactic]
        colour = style.TACTIC_COLOURS[tactic]
        figure.add_trace(
            go.Scatter(
                x=style.times(part["time"]),
                y=part["y"].tolist(),
                mode="markers",
                name=tactic or _NO_TACTIC,
                legendgroup=f"tactic {tactic}",
                showlegend=False,
                marker={
                    "color": colour,
                    "symbol": [_symbol(v, o) for v, o in zip(part["verdict"], part["outcome"], strict=True)],
                    "size": [9 + 2.2 * float(np.log2(count)) for count in part["events"].clip(upper=4096)],
                    "opacity": [0.92 if verdict else 0.6 for verdict in part["verdict"]],
                    "line": {"width": 1.6, "color": colour},
                },
                hovertext=[_hover(mark) for mark in part.to_dict("records")],
                hoverinfo="text",
            )
        )


def _hover(mark: dict[Any, Any]) -> str:
    verdict = style.VERDICT_NAMES.get(mark["verdict"], mark["verdict"])
    said = (f"{mark['events']} events", mark["outcome"], f"<b>{verdict}</b>", mark["tactic"] or _NO_TACTIC)
    lines = [
        f"<b>{style.wrapped(mark['principal'])}</b>",
        style.wrapped(mark["credential"] or "a credential that the scope does not name"),
        f"{style.moment(mark['time'])} UTC · {' · '.join(said)}",
        style.wrapped(", ".join(mark["actions"])),
        style.wrapped("from " + (", ".join(mark["source_ip"][:_ADDRESSES]) or "nowhere recorded")),
        style.ids(mark["event_ids"]),
    ]
    return "<br>".join(lines)


def _keys(figure: go.Figure, marks: pd.DataFrame, context: Context) -> None:
    """Legend: tactics as colours, verdicts and outcomes as forms, then what stands around them."""
    for tactic in [name for name in (*TACTICS, "") if name in set(marks["tactic"])]:
        colour = style.TACTIC_COLOURS[tactic]
        figure.add_trace(style.key_mark(tactic or _NO_TACTIC, f"tactic {tactic}", symbol="square", color=colour))
    line = {"width": 1.6, "color": style.INK}
    for verdict, called in style.VERDICT_NAMES.items():
        for outcome in _SYMBOLS:
            if ((marks["verdict"] == verdict) & (marks["outcome"] == outcome)).any():
                name = called if outcome == "ok" else f"{called}, {outcome}"
                symbol = _symbol(verdict, outcome)
                figure.add_trace(style.key_mark(name, f"form {name}", symbol=symbol, color=style.INK, line=line))
    around.keys(figure, context)


def _axes(figure: go.Figure, rows: list[Row], lane: float) -> list[dict[str, Any]]:
    """Set the rows from top to bottom, the lane of findings above them; return the lines between principals."""
    ticks, labels = [float(-number) for number in range(len(rows))], [row.label for row in rows]
    if lane:
        ticks, labels = [around.FINDINGS, *ticks], ["<i>findings</i>", *labels]
    bounds = [0.4 - len(rows), 0.55 + lane]
    figure.update_yaxes(tickvals=ticks, ticktext=labels, range=bounds, showgrid=False, fixedrange=True, ticks="")
    starts = [n for n, row in enumerate(rows) if n == 0 or row.principal != rows[n - 1].principal]
    look = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "layer": "below"}
    return [{**look, "y0": 0.5 - n, "y1": 0.5 - n, "line": {"color": style.GRID, "width": 1}} for n in starts]


def _times(figure: go.Figure, acts: pd.DataFrame, context: Context, width: int) -> None:
    """Time axis: the attack where it is a small part of the time, with buttons for it and for all."""
    first, last = acts["event_time"].min(), acts["event_time"].max()
    if len(context.findings):
        first, last = min(first, context.findings["start"].min()), max(last, context.findings["end"].max())
    near, far = _padded(attack(acts), width, 0.08), _padded((first, last), width, 0.02)
    close = far[1] - far[0] > _FAR * (near[1] - near[0])
    views = {"the attack": near, "all of the window": far}
    shown = [style.moment(at) for at in (near if close else far)]
    figure.update_xaxes(type="date", title={"text": "time (UTC)"}, range=shown)
    figure.update_layout(margin={"b": 140, "t": 84}, legend=style.BELOW)
    if close:
        buttons = [
            {"label": name, "method": "relayout", "args": [{"xaxis.range": [style.moment(at) for at in view]}]}
            for name, view in views.items()
        ]
        figure.update_layout(updatemenus=[{**style.BUTTONS, "buttons": buttons}])


def _padded(span: tuple[pd.Timestamp, pd.Timestamp], width: int, share: float) -> tuple[pd.Timestamp, pd.Timestamp]:
    margin = max(pd.Timedelta(seconds=4 * width), (span[1] - span[0]) * share)
    return span[0] - margin, span[1] + margin
