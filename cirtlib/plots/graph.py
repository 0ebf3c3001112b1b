"""The scope as a graph: what led from the seeds to what, in layers by distance from them.

A large scope is drawn as a tree instead, a line for each thing under what first led to it: layers of so many marks can
be looked at and not read.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import networkx as nx
import pandas as pd
import plotly.graph_objects as go

from cirtlib.plots import layers, style, tree
from cirtlib.plots.marks import Mark, of_many, of_node

TITLE = "Scope: how the compromise spread from the seeds"
COLUMNS = (
    "id", "kind", "value", "status", "confidence", "seed", "account", "region", "first_seen", "last_seen", "events",
    "attacker_events", "reached_by", "links", "evidence",
)  # fmt: skip

STATUS_COLOURS = {
    "compromised": "#D55E00", "attacker_created": "#7A3E9D", "changed": "#E69F00", "suspected": "#56B4E9",
    "touched": "#C4C4C4", "cleared": "#FFFFFF",
}  # fmt: skip
KINDS = {
    "credential": "diamond", "principal": "circle", "resource": "square", "address": "triangle-up",
    "account": "hexagon", "finding": "star",
}  # fmt: skip
_DASH = {"certain": "solid", "likely": "dash", "guess": "dot"}
# So many nodes of one kind and status with the same neighbours are drawn apart (of the extent: so many resources);
# more become one mark that names them on hover.
_ALIKE, _MADE = 3, 6
_ALL_LABELS = 70
_CROWD, _LINE = 45, 20
_ARROWS = 120
_LABEL, _LABEL_CROWDED, _LABEL_BESIDE = 30, 20, 90


def table(scope: dict[str, Any]) -> pd.DataFrame:
    """Nodes of the scope, one a row, with the links of each in words and their evidence."""
    links: dict[str, list[str]] = defaultdict(list)
    evidence: dict[str, dict[str, None]] = defaultdict(dict)
    for edge in scope["edges"]:
        links[edge["from"]].append(f"{edge['kind']} → {edge['to']}")
        links[edge["to"]].append(f"{edge['kind']} ← {edge['from']}")
        for end in ("from", "to"):
            evidence[edge[end]].update(dict.fromkeys(edge["evidence"]))
    rows = []
    for node in scope["nodes"]:
        mine = {"seed": node["id"] in scope["seeds"], "reached_by": node.get("via"), "links": links[node["id"]]}
        rows.append({name: node.get(name) for name in COLUMNS} | mine | {"evidence": list(evidence[node["id"]])})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def draw(scope: dict[str, Any]) -> go.Figure:
    """Figure of a scope as `Scope.to_dict()` gives it."""
    if not scope["nodes"]:
        return style.empty(TITLE, "The scope holds nothing.")
    marks, edges = _folded(scope)
    if len(marks) > _CROWD:
        return _tree(scope)
    links: nx.Graph[str] = nx.Graph()
    links.add_nodes_from(sorted(marks))
    links.add_edges_from((edge["a"], edge["b"]) for edge in edges)
    seeds = [name for name, mark in marks.items() if mark.seed]
    places = layers.place(links, seeds or sorted(marks)[:1], {name: _weight(mark) for name, mark in marks.items()})
    tall = max(y for _, y in places.values()) - min(y for _, y in places.values()) + 1
    subtitle = f"{len(scope['nodes'])} nodes, {len(scope['edges'])} links; from left to right: distance from the seeds"
    figure = style.figure(TITLE, subtitle, height=int(min(1500, max(420, 200 + 46 * tall))), alt=alt(scope))
    _edges(figure, edges, places)
    _nodes(figure, marks, places)
    _keys(figure, marks, edges)
    right = max(x for x, _ in places.values())
    figure.update_xaxes(visible=False, range=[-0.35, right + 0.75])
    figure.update_yaxes(visible=False)
    figure.update_layout(legend=style.BELOW, margin={"b": 110, "t": 70, "l": 10, "r": 10}, dragmode="pan")
    return figure


def _tree(scope: dict[str, Any]) -> go.Figure:
    """Figure of a large scope: one line for each mark, to the right of and under what first led to it."""
    marks, edges, places = tree.grow(scope)
    lines, deep = len(places), max(x for x, _ in places.values())
    further = len(scope["edges"]) - sum(edge["count"] for edge in edges)
    subtitle = f"{len(scope['nodes'])} nodes, each under what first led to it; {further} further links are in the table"
    figure = style.figure(TITLE, subtitle, height=_LINE * lines + 220, alt=alt(scope))
    _edges(figure, edges, places, tree.elbow)
    _nodes(figure, marks, places, beside=True)
    _keys(figure, marks, edges)
    figure.update_xaxes(visible=False, range=[-0.3, deep + 4.5], fixedrange=True)
    figure.update_yaxes(visible=False, range=[-lines, 1])
    figure.update_layout(legend=style.BELOW, margin={"b": 110, "t": 70, "l": 10, "r": 10}, dragmode="pan")
    return figure


def alt(scope: dict[str, Any]) -> str:
    """Text alternative: the seeds, what was found of each status, and every link inside the extent."""
    by_status: dict[str, list[str]] = defaultdict(list)
    for node in scope["nodes"]:
        by_status[node["status"]].append(str(node["value"]))
    words = [f"Seeds: {', '.join(scope['seeds']) or 'none'}."]
    for status in ("compromised", "attacker_created", "changed", "suspected"):
        if by_status[status]:
            words.append(f"{status.replace('_', ' ').capitalize()}: {', '.join(by_status[status])}.")
    if by_status["touched"]:
        words.append(f"{len(by_status['touched'])} more nodes were touched.")
    inside = {node["id"] for node in scope["nodes"] if node["status"] in layers.EXTENT}
    said = [f"{e['from']} {e['kind']} {e['to']}" for e in scope["edges"] if e["from"] in inside and e["to"] in inside]
    return " ".join([*words, f"Links: {'; '.join(said)}." if said else "No links inside the extent."])


def _folded(scope: dict[str, Any]) -> tuple[dict[str, Mark], list[dict[str, Any]]]:
    """Marks by id, and edges between marks."""
    degree: dict[str, list[str]] = defaultdict(list)
    for edge in scope["edges"]:
        degree[edge["from"]].append(edge["to"])
        degree[edge["to"]].append(edge["from"])
    alike: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for node in scope["nodes"]:
        around = " ".join(sorted(set(degree[node["id"]])))
        alone = node["id"] in scope["seeds"] or (node["status"] in layers.EXTENT and node["kind"] != "resource")
        alike[("", "", node["id"]) if alone else (around, node["kind"], node["status"])].append(node)
    marks: dict[str, Mark] = {}
    home: dict[str, str] = {}
    for (_, kind, status), nodes in alike.items():
        folded = len(nodes) > (_MADE if status in layers.EXTENT else _ALIKE)
        for mark in [of_many(kind, status, nodes)] if folded else [of_node(node, scope) for node in nodes]:
            marks[mark.id] = mark
            home |= dict.fromkeys(mark.members, mark.id)
    return marks, _between(scope["edges"], home)


def _between(edges: list[dict[str, Any]], home: dict[str, str]) -> list[dict[str, Any]]:
    """Edges between marks: several between the same two become one, as sure as the surest of them."""
    pairs: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for edge in edges:
        if edge["from"] in home and edge["to"] in home:
            pairs[home[edge["from"]], home[edge["to"]]].append(edge)
    made = []
    for (a, b), group in pairs.items():
        lines = [
            f"<b>{edge['kind']}</b> ({edge['confidence']}): {style.text(style.node_name(edge['from']))} → "
            f"{style.text(style.node_name(edge['to']))}, {edge['evidence_count']} pieces of evidence"
            for edge in group[:6]
        ]
        lines += [f"and {len(group) - 6} more links"] if len(group) > 6 else []
        sure = min((edge["confidence"] for edge in group), key=list(_DASH).index)
        shown = "<br>".join([*lines, style.ids(group[0]["evidence"])])
        made.append({"a": a, "b": b, "confidence": sure, "hover": shown, "kinds": {edge["kind"] for edge in group}})
    return made


def _weight(mark: Mark) -> int:
    """Graver things stand nearer to the middle of a layer."""
    return list(STATUS_COLOURS).index(mark.status) if mark.status in STATUS_COLOURS else len(STATUS_COLOURS)


Point = tuple[float, float]


def _edges(
    figure: go.Figure,
    edges: list[dict[str, Any]],
    places: dict[str, Point],
    way: Callable[[Point, Point], list[Point]] = layers.curve,
) -> None:
    for confidence, dash in _DASH.items():
        part = [edge for edge in edges if edge["confidence"] == confidence]
        if not part:
            continue
        xs: list[float | None] = []
        ys: list[float | None] = []
        for edge in part:
            points = way(places[edge["a"]], places[edge["b"]])
            xs += [*(x for x, _ in points), None]
            ys += [*(y for _, y in points), None]
        figure.add_trace(
            go.Scatter(
                x=xs, y=ys, mode="lines", line={"width": 1.2, "color": "#9A9A9A", "dash": dash}, hoverinfo="skip",
                name=f"{confidence} link", showlegend=True,
            )
        )  # fmt: skip
    curves = [way(places[edge["a"]], places[edge["b"]]) for edge in edges]
    if way is layers.curve and len(curves) <= _ARROWS:
        figure.update_layout(annotations=[_arrow(points) for points in curves])
    middles = [points[len(points) // 2] for points in curves]
    figure.add_trace(
        go.Scatter(
            x=[x for x, _ in middles], y=[y for _, y in middles], mode="markers",
            marker={"size": 12, "color": "rgba(0,0,0,0.01)"}, hovertext=[edge["hover"] for edge in edges],
            hoverinfo="text", showlegend=False,
        )
    )  # fmt: skip


def _arrow(points: list[tuple[float, float]]) -> dict[str, Any]:
    """Arrow head in the middle of a link."""
    (ax, ay), (bx, by) = points[len(points) // 2 : len(points) // 2 + 2]
    return {
        "x": bx, "y": by, "ax": ax, "ay": ay, "xref": "x", "yref": "y", "axref": "x", "ayref": "y", "showarrow": True,
        "arrowhead": 3, "arrowsize": 1.4, "arrowwidth": 1, "arrowcolor": "#7A7A7A", "text": "",
    }  # fmt: skip


def _nodes(figure: go.Figure, marks: dict[str, Mark], places: dict[str, Point], *, beside: bool = False) -> None:
    """One trace of all nodes. All are labelled in a small graph and `beside` them in a tree, else the graver ones."""
    order = sorted(marks.values(), key=lambda mark: (-_weight(mark), mark.id))
    everything = beside or len(order) <= _ALL_LABELS
    room = _LABEL_BESIDE if beside else _LABEL if everything else _LABEL_CROWDED
    large, small, gap = (12, 9, "\u00a0\u00a0") if beside else (22, 15, "")
    labelled = [everything or mark.seed or mark.status in layers.EXTENT or len(mark.members) > 1 for mark in order]
    figure.add_trace(
        go.Scatter(
            x=[places[mark.id][0] for mark in order], y=[places[mark.id][1] for mark in order], mode="markers+text",
            text=[gap + _label(mark, room) if show else "" for mark, show in zip(order, labelled, strict=True)],
            textposition="middle right" if beside else "bottom center", textfont={"size": 10.5, "color": style.INK},
            marker={
                "symbol": [KINDS.get(mark.kind, "circle") for mark in order],
                "color": [STATUS_COLOURS.get(mark.status, style.FAINT) for mark in order],
                "size": [large if mark.status in layers.EXTENT else small for mark in order],
                "line": {"width": [3 if mark.seed else 1 for mark in order], "color": style.INK}, "opacity": 1,
            },
            hovertext=[mark.hover for mark in order], hoverinfo="text", showlegend=False,
        )
    )  # fmt: skip


def _label(mark: Mark, room: int) -> str:
    name = style.text(style.cut(mark.label, room))
    return f"<b>{name}</b>" if mark.status in layers.EXTENT or mark.seed else name


def _keys(figure: go.Figure, marks: dict[str, Mark], edges: list[dict[str, Any]]) -> None:
    statuses = {mark.status for mark in marks.values()}
    for status, colour in STATUS_COLOURS.items():
        if status in statuses:
            line = {"width": 1, "color": style.INK}
            figure.add_trace(style.key_mark(status.replace("_", " "), status, symbol="circle", color=colour, line=line))
    kinds = {mark.kind for mark in marks.values()}
    for kind, symbol in KINDS.items():
        if kind in kinds:
            line = {"width": 1.4, "color": style.INK}
            figure.add_trace(style.key_mark(kind, kind, symbol=symbol, color=style.PAPER, line=line))
    if any(mark.seed for mark in marks.values()):
        line = {"width": 3, "color": style.INK}
        figure.add_trace(style.key_mark("seed (thick rim)", "seed", symbol="circle", color=style.PAPER, line=line))
