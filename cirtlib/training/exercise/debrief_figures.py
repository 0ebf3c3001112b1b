"""Figures of the debrief: what the learner found beside what is true, as a graph and over time.

Every mark says by its text, too, what its colour says.
"""

from typing import Any

import networkx as nx
import pandas as pd
import plotly.graph_objects as go

from cirtlib.plots import layers, style
from cirtlib.plots.graph import KINDS

Json = dict[str, Any]
FOUND, MISSED, WRONG, SEED, READ = "found", "missed", "wrongly accused", "given", "not asked for"
COLOURS = {FOUND: "#009E73", MISSED: "#D55E00", WRONG: "#56B4E9", SEED: "#FFFFFF", READ: "#C4C4C4"}
_SIGNS = {FOUND: "\u2713 found", MISSED: "\u2717 MISSED", WRONG: "! wrongly accused", SEED: "given: the alarm"}
_SYMBOLS = {FOUND: "circle", MISSED: "x", WRONG: "triangle-up", READ: "circle-open"}
_LABEL = 30


def graph(nodes: pd.DataFrame, edges: list[Json]) -> go.Figure:
    """Graph of `nodes` (id, kind, value, status, mark) with the links between them, in layers from what was given."""
    title = "Your scope on the true one"
    if not (nodes["mark"] != SEED).any():
        return style.empty(title, "Nothing belongs to the extent, and you accused nothing.")
    rows = nodes.to_dict("records")
    links: nx.Graph[str] = nx.Graph()
    links.add_nodes_from(sorted(nodes["id"]))
    known = set(nodes["id"])
    inside = [edge for edge in edges if edge["from"] in known and edge["to"] in known]
    pairs: dict[tuple[str, str], list[str]] = {}
    for edge in inside:
        pairs.setdefault((edge["from"], edge["to"]), []).append(edge["kind"])
    links.add_edges_from(pairs)
    seeds = list(nodes.loc[nodes["mark"] == SEED, "id"]) or [rows[0]["id"]]
    weight = {row["id"]: list(COLOURS).index(row["mark"]) for row in rows}
    places = layers.place(links, seeds, weight)
    tall = max(y for _, y in places.values()) - min(y for _, y in places.values()) + 1
    counts = ", ".join(f"{int((nodes['mark'] == one).sum())} {one}" for one in (FOUND, MISSED, WRONG))
    height = int(min(1500, max(420, 210 + 62 * tall)))
    figure = style.figure(title, counts, height=height, alt=_graph_words(nodes, pairs))
    _links(figure, pairs, places)
    figure.add_trace(
        go.Scatter(
            x=[places[row["id"]][0] for row in rows], y=[places[row["id"]][1] for row in rows], mode="markers+text",
            text=[_label(row) for row in rows], textposition="bottom center",
            textfont={"size": 10.5, "color": style.INK}, hovertext=[_hover(row) for row in rows], hoverinfo="text",
            marker={
                "symbol": [KINDS.get(row["kind"], "circle") for row in rows], "size": 20, "opacity": 1,
                "color": [COLOURS[row["mark"]] for row in rows], "line": {"width": 1, "color": style.INK},
            }, showlegend=False,
        )
    )  # fmt: skip
    _graph_keys(figure, nodes)
    right = max(x for x, _ in places.values())
    low, high = min(y for _, y in places.values()), max(y for _, y in places.values())
    figure.update_xaxes(visible=False, range=[-0.45, right + 0.6])
    figure.update_yaxes(visible=False, range=[low - 1, high + 0.5])
    figure.update_layout(legend=style.BELOW, margin={"b": 70, "t": 70, "l": 10, "r": 10}, dragmode="pan")
    return figure


def _links(figure: go.Figure, pairs: dict[tuple[str, str], list[str]], places: dict[str, tuple[float, float]]) -> None:
    curves = [layers.curve(places[a], places[b]) for a, b in pairs]
    xs: list[float | None] = []
    ys: list[float | None] = []
    for points in curves:
        xs += [*(x for x, _ in points), None]
        ys += [*(y for _, y in points), None]
    line = {"width": 1.2, "color": "#9A9A9A"}
    figure.add_trace(go.Scatter(x=xs, y=ys, mode="lines", line=line, hoverinfo="skip", showlegend=False))
    middles = [points[len(points) // 2] for points in curves]
    figure.add_trace(
        go.Scatter(
            x=[x for x, _ in middles], y=[y for _, y in middles], mode="markers", showlegend=False, hoverinfo="text",
            marker={"size": 12, "color": "rgba(0,0,0,0.01)"},
            hovertext=[
                f"{style.text(style.node_name(a))} <b>{style.text(', '.join(dict.fromkeys(kinds)))}</b> "
                f"{style.text(style.node_name(b))}" for (a, b), kinds in pairs.items()
            ],
        )
    )  # fmt: skip


def _label(row: Json) -> str:
    name = style.node_name(row["id"]) if row["mark"] == SEED else style.short(row["value"])
    return f"{style.text(style.cut(name, _LABEL))}<br><b>{_SIGNS[row['mark']]}</b>"


def _hover(row: Json) -> str:
    status = style.text(str(row["status"]).replace("_", " "))
    lines = [f"<b>{style.wrapped(row['value'])}</b>", f"{style.text(row['kind'])} \u00b7 {status}"]
    return "<br>".join([*lines, f"<b>{_SIGNS[row['mark']]}</b>"])


def _graph_keys(figure: go.Figure, nodes: pd.DataFrame) -> None:
    line = {"width": 1, "color": style.INK}
    for mark in (FOUND, MISSED, WRONG, SEED):
        if (nodes["mark"] == mark).any():
            figure.add_trace(style.key_mark(_SIGNS[mark], mark, symbol="circle", color=COLOURS[mark], line=line))
    for kind, symbol in KINDS.items():
        if (nodes["kind"] == kind).any():
            figure.add_trace(style.key_mark(kind, kind, symbol=symbol, color=style.PAPER, line=line))


def _graph_words(nodes: pd.DataFrame, pairs: dict[tuple[str, str], list[str]]) -> str:
    words = []
    for mark in (SEED, FOUND, MISSED, WRONG):
        values = [str(value) for value in nodes.loc[nodes["mark"] == mark, "value"]]
        if values:
            words.append(f"{mark.capitalize()}: {', '.join(values)}.")
    said = [f"{a} {', '.join(dict.fromkeys(kinds))} {b}" for (a, b), kinds in pairs.items()]
    return " ".join([*words, f"Links: {'; '.join(said)}." if said else "There are no links."])


def timeline(acts: pd.DataFrame) -> go.Figure:
    """The attacker's calls over time by principal (`acts`: time, principal, action, mark, id), those missed marked."""
    title = "The attacker's calls over time (UTC)"
    acts = acts[acts["time"].notna()]
    if acts.empty:
        return style.empty(title, "No call was an attacker's.")
    who = style.names(list(acts["principal"]))
    names = list(who.values())
    marks = acts["mark"].value_counts()
    counts = "; ".join(f"{marks[mark]} {_called(mark)}" for mark in _SYMBOLS if mark in marks)
    figure = style.figure(title, counts, height=230 + 48 * len(names), alt=_timeline_words(acts))
    for mark in (READ, FOUND, WRONG, MISSED):
        part = acts[acts["mark"] == mark]
        if part.empty:
            continue
        figure.add_trace(
            go.Scatter(
                x=style.times(part["time"]), y=[-float(names.index(who[one])) for one in part["principal"]],
                mode="markers", name=_called(mark), showlegend=True, hoverinfo="text",
                marker={
                    "symbol": _SYMBOLS[mark], "color": style.FAINT if mark == READ else COLOURS[mark],
                    "size": 8 if mark == READ else 12, "line": {"width": 1.2, "color": style.INK},
                },
                hovertext=[
                    f"<b>{style.text(row['action'])}</b> \u00b7 {_called(mark)}<br>{style.moment(row['time'])} UTC"
                    f"<br>{style.wrapped(row['principal'])}<br>{style.text(row['id'])}"
                    for row in part.to_dict("records")
                ],
            )
        )  # fmt: skip
    ticks = [-float(number) for number in range(len(names))]
    figure.update_yaxes(
        tickvals=ticks, ticktext=[style.text(name) for name in names], range=[0.6 - len(names), 0.6], ticks=""
    )
    figure.update_xaxes(type="date", title={"text": "time (UTC)"})
    figure.update_layout(legend=style.BELOW, margin={"b": 100, "t": 70})
    return figure


def _called(mark: str) -> str:
    return {
        FOUND: "\u2713 found", MISSED: "\u2717 MISSED", READ: "not asked for (reads, refused calls)",
        WRONG: "! yours, but not the attacker's",
    }[mark]  # fmt: skip


def _timeline_words(acts: pd.DataFrame) -> str:
    words = []
    for mark in (FOUND, MISSED, READ, WRONG):
        part = acts[acts["mark"] == mark]
        said = "; ".join(
            f"{style.moment(row['time'])} {row['action']} by {style.short(row['principal'])}"
            for row in part.to_dict("records")[:40]
        )
        if said:
            words.append(f"{len(part)} {_called(mark)}{' (the first 40)' if len(part) > 40 else ''}: {said}.")
    return " ".join(words)
