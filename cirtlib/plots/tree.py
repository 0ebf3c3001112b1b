"""The scope as a tree: each thing under what first led to it, a line each, for scopes too large for layers."""

from collections import defaultdict
from typing import Any

from cirtlib.plots import layers, style
from cirtlib.plots.marks import Mark, of_many, of_node

# More children of one kind and status than this become one line, unless they are credentials or principals inside.
_ALIKE = 2
_ORDER = ("credential", "principal", "resource", "address", "account", "finding")
_LED = {
    "minted": ("issued", "issued by"), "assumed": ("acts as", "held by"), "created": ("created", "created by"),
    "changed": ("changed", "changed by"), "used_from": ("used from", "used by"), "touched": ("touched", "touched by"),
    "reported_by": ("reported by", "reports"),
}  # fmt: skip
Placed = tuple[dict[str, Mark], list[dict[str, Any]], dict[str, tuple[float, float]]]


def grow(scope: dict[str, Any]) -> Placed:
    """Marks, links and places (x is the distance from a seed, y the line, downwards) of a scope."""
    nodes = {node["id"]: node for node in scope["nodes"]}
    edges = {edge["id"]: edge for edge in scope["edges"]}
    children: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
    for node in scope["nodes"]:
        children[_parent(node, edges, nodes)].append(node)
    marks: dict[str, Mark] = {}
    links: list[dict[str, Any]] = []
    places: dict[str, tuple[float, float]] = {}
    line = 0
    waiting: list[tuple[Mark, list[dict[str, Any]], str | None, int]]
    waiting = [(mark, members, None, 0) for mark, members in reversed(_groups(children[None], scope))]
    while waiting:
        mark, members, parent, depth = waiting.pop()
        marks[mark.id], places[mark.id] = mark, (float(depth), -float(line))
        line += 1
        if parent is not None:
            links.append(_link(parent, mark, members, edges))
        below = [child for node in members for child in children[node["id"]]]
        waiting += [(one, own, mark.id, depth + 1) for one, own in reversed(_groups(below, scope))]
    return marks, links, places


def _parent(node: dict[str, Any], edges: dict[str, Any], nodes: dict[str, Any]) -> str | None:
    edge = edges.get(str(node.get("via")))
    if edge is None or node["id"] not in (edge["from"], edge["to"]):
        return None
    other = edge["from"] if edge["to"] == node["id"] else edge["to"]
    return str(other) if other in nodes and other != node["id"] else None


def _groups(nodes: list[dict[str, Any]], scope: dict[str, Any]) -> list[tuple[Mark, list[dict[str, Any]]]]:
    """Children of one mark in order, those alike folded."""
    alike: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for node in sorted(nodes, key=_rank):
        inside = node["status"] in layers.EXTENT and node["kind"] in {"credential", "principal"}
        alone = inside or node["id"] in scope["seeds"]
        alike[node["kind"], node["status"], node["id"] if alone else ""].append(node)
    found = []
    for (kind, status, _), group in alike.items():
        if len(group) > _ALIKE:
            found.append((of_many(kind, status, group), group))
        else:
            found += [(of_node(node, scope), [node]) for node in group]
    return found


def _rank(node: dict[str, Any]) -> tuple[Any, ...]:
    kind = _ORDER.index(node["kind"]) if node["kind"] in _ORDER else len(_ORDER)
    return node["status"] not in layers.EXTENT, kind, node.get("first_seen") or "~", node["id"]


def _link(parent: str, mark: Mark, members: list[dict[str, Any]], edges: dict[str, Any]) -> dict[str, Any]:
    """The link to a mark; what it says stands before the mark's name."""
    own = [edges[node["via"]] for node in members]
    edge = own[0]
    mark.label = f"{_LED[edge['kind']][edge['from'] == members[0]['id']]} {mark.label}"
    shown = f"<b>{edge['kind']}</b> ({edge['confidence']})<br>{style.ids(edge['evidence'])}"
    return {
        "a": parent, "b": mark.id, "confidence": edge["confidence"], "hover": shown, "kinds": {edge["kind"]},
        "count": len(own),
    }  # fmt: skip


def elbow(start: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
    """Points of a link: down from the parent, then to the right."""
    (ax, ay), (bx, by) = start, end
    return [(ax, ay), (ax, by), ((ax + bx) / 2, by), (bx, by)]
