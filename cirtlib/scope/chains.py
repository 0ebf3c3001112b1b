"""How we know: from the seed to one node, link by link, in words with their events."""

from typing import Any

from cirtlib.errors import NotFoundError
from cirtlib.text import visible

_VERBS = {
    "minted": "issued", "assumed": "acts as", "created": "created", "changed": "changed", "used_from": "was used from",
    "touched": "touched", "reported_by": "is reported by",
}  # fmt: skip
_EVENTS_SHOWN = 3


def links(content: dict[str, Any], node: str) -> list[dict[str, Any]]:
    """Edges that led from a seed to the node, the one at the seed first; empty for a seed, or what nothing led to.

    Raises
    ------
    NotFoundError
        when the scope has no such node.
    """
    nodes = {one["id"]: one for one in content["nodes"]}
    edges = {one["id"]: one for one in content["edges"]}
    if node not in nodes:
        alike = sorted(name for name in nodes if node and node in name)[:3]
        hint = f"; did you mean {' or '.join(alike)}?" if alike else "; `cirt scope CASE` lists them"
        raise NotFoundError(f"the scope has no node {node!r}{hint}")
    found: list[dict[str, Any]] = []
    while (via := nodes[node]["via"]) is not None:
        edge = edges[via]
        found.append(edge)
        node = edge["from"] if edge["to"] == node else edge["to"]
    return found[::-1]


def words(content: dict[str, Any], node: str) -> list[str]:
    """The chain to a node as sentences, each with the events or findings that it rests on.

    What an attacker may have written is made visible; a page must still escape it.
    """
    chain = links(content, node)
    if not chain:
        if node in content["seeds"]:
            return [f"{visible(node)} is a seed: the analyst started from it."]
        return [f"Nothing that is certain or likely leads from the seeds to {visible(node)}: it is for you to decide."]
    said = []
    for edge in chain:
        shown = ", ".join(edge["evidence"][:_EVENTS_SHOWN])
        more = edge["evidence_count"] - min(len(edge["evidence"]), _EVENTS_SHOWN)
        rest = f" and {more} more" if more > 0 else ""
        verb = _VERBS[edge["kind"]]
        said.append(f"{visible(edge['from'])} {verb} {visible(edge['to'])} ({edge['confidence']}; {shown}{rest}).")
    return said
