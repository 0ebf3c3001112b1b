"""What stands around the marks of a figure over time: findings, times without logging, credentials changing hands."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cirtlib.plots import style
from cirtlib.plots.rows import Row

FINDINGS = 1.15
"""Height of the lane of findings above the rows, which run from 0 downwards."""

_SEVERITY = {
    "CRITICAL": "#3F007D",
    "HIGH": "#6A51A3",
    "MEDIUM": "#9E9AC8",
    "LOW": "#DADAEB",
    "INFORMATIONAL": "#FFFFFF",
}
_GAP, _BAND, _ARROW = "rgba(90,90,90,0.16)", "rgba(106,81,163,0.10)", "#444444"


@dataclass(frozen=True)
class Context:
    """Findings as intervals (`timeline.finding_intervals`), times without logging, and minted credentials.

    `gaps` are dicts with start, end, reason and a short label; `mints` dicts with time, from, to (node ids), event and
    what; `named` are the node ids of the credentials that get a row of their own.
    """

    findings: pd.DataFrame
    gaps: list[dict[str, Any]] = field(default_factory=list)
    mints: list[dict[str, Any]] = field(default_factory=list)
    named: frozenset[str] = frozenset()


def lane(context: Context) -> float:
    """Room above the rows, in rows."""
    return 1.9 if len(context.findings) or context.gaps else 0.0


def shade(figure: go.Figure, context: Context, count: int, room: float) -> None:
    """Shade the times without logging and, more faintly, those that findings cover, through all `count` rows."""
    for gap in context.gaps:
        x0, x1 = style.moment(gap["start"]), style.moment(gap["end"])
        figure.add_shape(
            type="rect", x0=x0, x1=x1, y0=0.5 - count, y1=0.5 + room, layer="below", fillcolor=_GAP,
            line={"width": 1, "color": "rgba(60,60,60,0.55)", "dash": "dash"},
        )  # fmt: skip
        figure.add_annotation(
            x=x0, y=0.5 + room, xanchor="left", yanchor="top", showarrow=False, font={"size": 11, "color": _ARROW},
            text=style.text(style.cut(str(gap["label"]), 60)), hovertext=style.wrapped(gap["reason"]),
        )  # fmt: skip
    for start, end in merged(context.findings):
        figure.add_shape(
            type="rect", x0=style.moment(start), x1=style.moment(end), y0=0.5 - count, y1=FINDINGS, layer="below",
            fillcolor=_BAND, line={"width": 1, "color": "rgba(106,81,163,0.45)", "dash": "dot"},
        )  # fmt: skip


def merged(intervals: pd.DataFrame) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """Times covered by at least one interval, as disjoint intervals in order."""
    result: list[tuple[pd.Timestamp, pd.Timestamp]] = []
    if intervals.empty:
        return result
    for row in intervals.sort_values("start").itertuples(index=False):
        if result and row.start <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], row.end))
        else:
            result.append((row.start, row.end))
    return result


def findings(figure: go.Figure, table: pd.DataFrame) -> None:
    """Findings in their lane: a diamond where first seen, a line to where last seen, darker the graver."""
    if table.empty:
        return
    colours = [_SEVERITY.get(str(label), style.PAPER) for label in table["severity_label"]]
    for row, colour in zip(table.itertuples(index=False), colours, strict=True):
        if row.end > row.start:
            x0, x1 = style.moment(row.start), style.moment(row.end)
            figure.add_shape(type="line", x0=x0, x1=x1, y0=FINDINGS, y1=FINDINGS, line={"width": 3, "color": colour})
    figure.add_trace(
        go.Scatter(
            x=style.times(table["start"]), y=[FINDINGS] * len(table), mode="markers", showlegend=False,
            marker={"symbol": "diamond", "size": 12, "line": {"width": 1.2, "color": style.INK}, "color": colours},
            hovertext=[_finding(row) for row in table.to_dict("records")], hoverinfo="text",
        )
    )  # fmt: skip


def _finding(row: dict[Any, Any]) -> str:
    said = [row[name] for name in ("severity_label", "product", "principal_name") if isinstance(row[name], str)]
    lines = [
        f"<b>{style.wrapped(row['type'])}</b>",
        style.wrapped(" · ".join(said)),
        f"{style.moment(row['start'])} to {style.moment(row['end'])} UTC",
        style.wrapped(row["title"]),
        style.wrapped(row["finding_id"]),
    ]
    return "<br>".join(lines)


def mints(figure: go.Figure, minted: list[dict[str, Any]], rows: list[Row]) -> None:
    """Arrows from the row that issued a credential to the row that used it, at the time of issue."""
    where = _places(rows)
    known = [mint for mint in minted if mint["from"] in where and mint["to"] in where]
    drawn = [mint for mint in known if where[mint["from"]] != where[mint["to"]]]
    for mint in drawn:
        x, start, end = style.moment(mint["time"]), where[mint["from"]], where[mint["to"]]
        figure.add_annotation(
            x=x, y=end + 0.12 * float(np.sign(start - end)), ax=x, ay=start, xref="x", yref="y", axref="x", ayref="y",
            showarrow=True, arrowhead=2, arrowsize=1.1, arrowwidth=1.5, arrowcolor=_ARROW, text="",
        )  # fmt: skip
    if drawn:
        figure.add_trace(
            go.Scatter(
                x=[style.moment(mint["time"]) for mint in drawn],
                y=[(where[mint["from"]] + where[mint["to"]]) / 2 for mint in drawn],
                mode="markers", showlegend=False, hoverinfo="text", hovertext=[_mint(mint) for mint in drawn],
                marker={"symbol": "circle", "size": 7, "color": _ARROW},
            )
        )  # fmt: skip


def _mint(mint: dict[str, Any]) -> str:
    return f"<b>{style.wrapped(mint['what'])}</b><br>{style.moment(mint['time'])} UTC<br>{style.ids([mint['event']])}"


def _places(rows: list[Row]) -> dict[str, int]:
    """Row of each node: a credential's own row; the principal's first row for the principal itself."""
    where: dict[str, int] = {}
    for number, row in enumerate(rows):
        where.setdefault(f"principal:{row.principal}", -number)
        if row.credential:
            where.setdefault(row.credential, -number)
    return where


def keys(figure: go.Figure, context: Context) -> None:
    """Legend entries for what stands around the marks, as far as it is there."""
    line = {"width": 1, "color": style.INK}
    entries: list[tuple[str, dict[str, Any]]] = []
    if len(context.findings):
        mark = {"symbol": "diamond", "color": _SEVERITY["MEDIUM"], "line": line}
        entries += [("finding (darker: graver)", mark), ("time of findings", {"symbol": "square", "color": "#E4DFF0"})]
    if context.gaps:
        entries.append(("logging off", {"symbol": "square", "color": "#CFCFCF", "line": line}))
    if context.mints:
        entries.append(("credential issued", {"symbol": "arrow-down", "color": _ARROW}))
    for name, mark in entries:
        figure.add_trace(style.key_mark(name, name, **mark))
