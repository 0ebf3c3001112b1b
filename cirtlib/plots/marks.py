"""What one mark in the scope graph stands for: a node, or several that are folded into one."""

from dataclasses import dataclass, field
from typing import Any

from cirtlib.plots import style


@dataclass
class Mark:
    """One mark: a node, or several of the same neighbours, kind and status that are folded into one."""

    id: str
    kind: str
    status: str
    label: str
    hover: str
    members: list[str] = field(default_factory=list)
    seed: bool = False


def of_node(node: dict[str, Any], scope: dict[str, Any]) -> Mark:
    """Mark of one node, with what is known of it for the pointer."""
    seen = f"{node.get('first_seen') or '?'} to {node.get('last_seen') or '?'}"
    lines = [
        f"<b>{style.wrapped(node['value'])}</b>",
        f"{node['kind']} · <b>{node['status'].replace('_', ' ')}</b> · {node['confidence']}",
        f"{style.text(node.get('account') or '')} {style.text(node.get('region') or '')}".strip(),
        f"{node.get('events') or 0} events, {node.get('attacker_events') or 0} the attacker's",
        style.text(seen) if node.get("first_seen") else "",
    ]
    hover = "<br>".join(line for line in lines if line)
    label = style.node_name(node["id"])
    return Mark(node["id"], node["kind"], node["status"], label, hover, [node["id"]], node["id"] in scope["seeds"])


def of_many(kind: str, status: str, nodes: list[dict[str, Any]]) -> Mark:
    """One mark of several nodes of a kind and status; it names the first fifteen."""
    members = sorted(node["id"] for node in nodes)
    shown = [style.wrapped(node["value"]) for node in sorted(nodes, key=lambda node: str(node["id"]))[:15]]
    more = [f"and {len(nodes) - 15} more"] if len(nodes) > 15 else []
    plural = f"{kind}es" if kind == "address" else f"{kind}s"
    title = f"<b>{len(nodes)} {plural}, {status.replace('_', ' ')}</b>"
    label = f"{len(nodes)} {plural}"
    return Mark(f"folded:{members[0]}", kind, status, label, "<br>".join([title, *shown, *more]), members)
