"""Places for the nodes of a graph: a layer for each distance from the seeds, ordered so that few links cross."""

import networkx as nx

EXTENT = ("compromised", "attacker_created", "changed")

_TALL = 12
_SWEEPS = 4
# Nodes nearer than this in x stand in one layer.
_NEAR = 0.4
_POINTS = 12


def place(links: "nx.Graph[str]", seeds: list[str], weight: dict[str, int]) -> dict[str, tuple[float, float]]:
    """Place (x, y) of every node: x is the layer, y runs around 0.

    Nodes without a way to a seed stand in a last layer. A layer of more than `_TALL` nodes takes several columns.
    The result depends on the graph alone, not on the order in which it was built.
    """
    distance = nx.multi_source_dijkstra_path_length(links, set(seeds)) if seeds else {}
    far = max(distance.values(), default=-1) + 1
    ranks: dict[int, list[str]] = {}
    for name in sorted(links):
        ranks.setdefault(int(distance.get(name, far)), []).append(name)
    order = [sorted(ranks[rank], key=lambda name: (weight[name], name)) for rank in sorted(ranks)]
    for sweep in range(_SWEEPS):
        _sweep(links, order, forward=sweep % 2 == 0, weight=weight)
    return _columns(order)


def _sweep(links: "nx.Graph[str]", order: list[list[str]], *, forward: bool, weight: dict[str, int]) -> None:
    """Order each layer by the mean place of its nodes' neighbours in the layer before."""
    numbers = range(1, len(order)) if forward else range(len(order) - 2, -1, -1)
    for number in numbers:
        fixed = order[number - 1] if forward else order[number + 1]
        at = {name: (place + 0.5) / len(fixed) for place, name in enumerate(fixed)}

        def middle(name: str, at: dict[str, float] = at) -> float:
            near = [at[other] for other in links[name] if other in at]
            return sum(near) / len(near) if near else 0.5

        order[number] = sorted(order[number], key=lambda name: (round(middle(name), 6), weight[name], name))


def curve(start: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
    """Points of a link: straight between layers, bent aside inside one, where it would run through other nodes."""
    (ax, ay), (bx, by) = start, end
    bend = 0.34 if abs(bx - ax) < _NEAR and abs(by - ay) > 1 else 0.0
    mx, my = max(ax, bx) + bend if bend else (ax + bx) / 2, (ay + by) / 2
    steps = [number / _POINTS for number in range(_POINTS + 1)]
    return [
        ((1 - t) ** 2 * ax + 2 * t * (1 - t) * mx + t * t * bx, (1 - t) ** 2 * ay + 2 * t * (1 - t) * my + t * t * by)
        for t in steps
    ]


def _columns(order: list[list[str]]) -> dict[str, tuple[float, float]]:
    """Coordinates; every other node of a layer is moved aside a little, so that labels have room."""
    result: dict[str, tuple[float, float]] = {}
    x = 0.0
    for names in order:
        columns = max(1, -(-len(names) // _TALL))
        for place, name in enumerate(names):
            # Neighbours in the order share a row, so that the order of the layer is kept from top to bottom.
            row, column = divmod(place, columns)
            rows = -(-len(names) // columns)
            aside = 0.14 * (row % 2) if columns == 1 and len(names) > 1 else 0.0
            result[name] = (x + 0.62 * column + aside, (rows - 1) / 2 - row - 0.42 * (column % 2))
        x += 1.0 + 0.62 * (columns - 1)
    return result
