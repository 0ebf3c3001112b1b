"""When each principal was active: a row per principal, a column per hour, with the attacker's hours outlined."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cirtlib.plots import style
from cirtlib.plots.rows import assign, order

TITLE = "Activity by principal and hour (UTC)"
COLUMNS = ("hour", "principal", "events", "attacker_events", "denied")

_MOST_ROWS = 45
_MOST_COLUMNS = 240
_HOURS = (1, 2, 3, 6, 12, 24, 168)
_SCALE = [[0.0, "#EAF2FA"], [0.35, "#9CC3E6"], [0.7, "#3D7FB8"], [1.0, "#0B2E55"]]


def table(acts: pd.DataFrame) -> pd.DataFrame:
    """Events by principal and hour; in a long window a column is several hours, and `hour` is its start."""
    if acts.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    acts = assign(acts, set())
    flags = pd.DataFrame(
        {
            "hour": acts["event_time"].dt.floor(f"{_hours(acts)}h"),
            "principal": acts["who"],
            "events": 1,
            "attacker_events": acts["verdict"].eq("attacker").astype(int),
            "denied": acts["outcome"].eq("denied").astype(int),
        }
    )
    return flags.groupby(["hour", "principal"], as_index=False, sort=True).sum()[list(COLUMNS)]


def draw(acts: pd.DataFrame) -> go.Figure:
    """Heat map of judged events (see `timeline.judged_events`)."""
    if acts.empty:
        return style.empty(TITLE, "There are no events in the window.")
    cells, step = table(acts), _hours(acts)
    rows, left_out = order(assign(acts, set()), _MOST_ROWS)
    names = [row.principal for row in rows]
    hours = pd.date_range(cells["hour"].min(), cells["hour"].max(), freq=f"{step}h")
    grid = cells[cells["principal"].isin(names)].pivot_table(index="principal", columns="hour", values="events")
    counts = grid.reindex(index=names, columns=hours).to_numpy(dtype=float)
    subtitle = f"{len(acts):,} events; one column is {step} hour{'s' if step > 1 else ''}; outlined: the attacker's"
    if left_out:
        subtitle += f"; {left_out} principals do not fit and stand in the table only"
    figure = style.figure(TITLE, subtitle, height=150 + 20 * len(rows), alt=alt(acts, cells))
    centres = [style.moment(hour + pd.Timedelta(hours=step / 2)) for hour in hours]
    figure.add_trace(_heat(counts, centres, hours, names))
    _outline(figure, cells[(cells["attacker_events"] > 0) & cells["principal"].isin(names)], names, step)
    labels = [row.label for row in rows]
    figure.update_yaxes(
        tickvals=list(range(len(rows))), ticktext=labels, range=[len(rows) - 0.5, -0.5], showgrid=False, ticks=""
    )
    figure.update_xaxes(type="date", title={"text": "time (UTC)"}, showgrid=False)
    return figure


def alt(acts: pd.DataFrame, cells: pd.DataFrame) -> str:
    """Text alternative: how much by whom, and the hours of the attacker."""
    busiest = cells.groupby("principal")["events"].sum().sort_values(ascending=False, kind="stable").head(3)
    said = ", ".join(f"{name} ({count:,})" for name, count in busiest.items())
    text = f"{len(acts):,} events of {cells['principal'].nunique()} principals; busiest: {said}."
    mine = cells[cells["attacker_events"] > 0]
    if mine.empty:
        return f"{text} No hour has an act of the attacker."
    first, last = style.moment(mine["hour"].min()), style.moment(mine["hour"].max())
    who = mine["principal"].nunique()
    return f"{text} The attacker acted as {who} of them in hours from {first} to {last} UTC."


def _hours(acts: pd.DataFrame) -> int:
    """Width of a column in hours."""
    span = (acts["event_time"].max() - acts["event_time"].min()).total_seconds() / 3600
    return next((hours for hours in _HOURS if span / hours <= _MOST_COLUMNS), _HOURS[-1])


def _heat(counts: np.ndarray, centres: list[str], hours: pd.DatetimeIndex, names: list[str]) -> go.Heatmap:
    top = float(np.nanmax(counts))
    ticks = [value for value in (1, 10, 100, 1000, 10_000, 100_000) if value <= max(top, 1)]
    hover = [
        [_hover(name, hour, count) for hour, count in zip(hours, line, strict=True)]
        for name, line in zip(names, counts, strict=True)
    ]
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = [[None if np.isnan(value) else round(float(value), 4) for value in line] for line in np.log10(counts)]
    return go.Heatmap(
        x=centres, y=list(range(len(names))), z=scaled,
        zmin=0, zmax=max(float(np.log10(max(top, 1))), 0.5), colorscale=_SCALE,
        xgap=1, ygap=2, text=hover, hoverinfo="text",
        colorbar={
            "title": {"text": "events"}, "tickvals": [float(np.log10(value)) for value in ticks],
            "ticktext": [f"{value:,}" for value in ticks], "thickness": 12, "len": 1.0, "outlinewidth": 0,
        },
    )  # fmt: skip


def _hover(name: str, hour: pd.Timestamp, count: float) -> str:
    if np.isnan(count):
        return ""
    return f"<b>{style.wrapped(name)}</b><br>from {hour:%Y-%m-%d %H:%M} UTC<br>{count:,.0f} events"


def _outline(figure: go.Figure, cells: pd.DataFrame, names: list[str], step: int) -> None:
    """Frame around each cell with an act of the attacker, which the eye and a printer keep."""
    place = {name: number for number, name in enumerate(names)}
    line = {"color": style.VERDICT_COLOURS["attacker"], "width": 2}
    frames = [
        {
            "type": "rect", "x0": style.moment(cell.hour), "x1": style.moment(cell.hour + pd.Timedelta(hours=step)),
            "y0": place[cell.principal] - 0.46, "y1": place[cell.principal] + 0.46, "line": line,
        }
        for cell in cells.itertuples(index=False)
    ]  # fmt: skip
    figure.update_layout(shapes=frames)
