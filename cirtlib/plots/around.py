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


def shade(context: Context, count: int, room: float) -> list[dict[str, Any]]:
    """Shapes that shade the times without logging and, more faintly, those of findings, through all `count` rows."""
    gap_line = {"width": 1, "color": "rgba(60,60,60,0.55)", "dash": "dash"}
    band_line = {"width": 1, "color": "rgba(106,81,163,0.45)", "dash": "dot"}
    gaps = [
        _box((gap["start"], gap["end"]), (0.5 - count, 0.5 + room), fillcolor=_GAP, line=gap_line)
        for gap in context.gaps
    ]
    bands = [_box(span, (0.5 - count, FINDINGS), fillcolor=_BAND, line=band_line) for span in merged(context.findings)]
    return [*gaps, *bands]


def _box(span: tuple[Any, Any], heights: tuple[float, float], **look: object) -> dict[str, Any]:
    x0, x1 = style.moment(span[0]), style.moment(span[1])
    return {"type": "rect", "x0": x0, "x1": x1, "y0": heights[0], "y1": heights[1], "layer": "below", **look}


def gap_names(context: Context, room: float) -> list[dict[str, Any]]:
    """Annotations that name the times without logging."""
    return [
        {
            "x": style.moment(gap["start"]), "y": 0.5 + room, "xanchor": "left", "yanchor": "top", "showarrow": False,
            "font": {"size": 11, "color": _ARROW}, "text": style.text(style.cut(str(gap["label"]), 60)),
            "hovertext": style.wrapped(gap["reason"]),
        }
        for gap in context.gaps
    ]  # fmt: skip


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


def findings(figure: go.Figure, table: pd.DataFrame) -> list[dict[str, Any]]:
    """Add the findings in their lane, darker the graver; return the lines from their first to their last sighting."""
    if table.empty:
        return []
    colours = [_SEVERITY.get(str(label), style.PAPER) for label in table["severity_label"]]
    figure.add_trace(
        go.Scatter(
            x=style.times(table["start"]), y=[FINDINGS] * len(table), mode="markers", showlegend=False,
            marker={"symbol": "diamond", "size": 12, "line": {"width": 1.2, "color": style.INK}, "color": colours},
            hovertext=[_finding(row) for row in table.to_dict("records")], hoverinfo="text",
        )
    )  # fmt: skip
    return [
        {
            "type": "line", "x0": style.moment(row.start), "x1": style.moment(row.end), "y0": FINDINGS, "y1": FINDINGS,
            "line": {"width": 3, "color": colour},
        }
        for row, colour in zip(table.itertuples(index=False), colours, strict=True)
        if row.end > row.start
    ]  # fmt: skip


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


def mints(figure: go.Figure, minted: list[dict[str, Any]], rows: list[Row]) -> list[dict[str, Any]]:
    """Add hover points for issued credentials; return the arrows from the issuing row to the row that used it."""
    where = _places(rows)
    known = [mint for mint in minted if mint["from"] in where and mint["to"] in where]
    drawn = [mint for mint in known if where[mint["from"]] != where[mint["to"]]]
    if drawn:
        figure.add_trace(
            go.Scatter(
                x=[style.moment(mint["time"]) for mint in drawn],
                y=[(where[mint["from"]] + where[mint["to"]]) / 2 for mint in drawn],
                mode="markers", showlegend=False, hoverinfo="text", hovertext=[_mint(mint) for mint in drawn],
                marker={"symbol": "circle", "size": 7, "color": _ARROW},
            )
        )  # fmt: skip
    return [_arrow(style.moment(mint["time"]), where[mint["from"]], where[mint["to"]]) for mint in drawn]


def _arrow(when: str, start: int, end: int) -> dict[str, Any]:
    return {
        "x": when, "y": end + 0.12 * float(np.sign(start - end)), "ax": when, "ay": start, "xref": "x", "yref": "y",
        "axref": "x", "ayref": "y", "showarrow": True, "arrowhead": 2, "arrowsize": 1.1, "arrowwidth": 1.5,
        "arrowcolor": _ARROW, "text": "",
    }  # fmt: skip


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
