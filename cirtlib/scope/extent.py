"""The graph of a compromise: nodes and edges that a judgement implies, each edge with its evidence."""

import heapq
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from cirtlib import trust
from cirtlib.scope import doors
from cirtlib.scope.attribution import ATTACKER, Judgement

STATUSES = ("compromised", "attacker_created", "changed", "suspected", "touched")
EXTENT = STATUSES[:3]
CONFIDENCES = ("certain", "likely", "guess")
EVIDENCE_SHOWN = 20
_EXPIRATION = ("%b %d, %Y, %I:%M:%S %p", "%b %d, %Y %I:%M:%S %p", "%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Node:
    """One thing in the graph; `flags` are all statuses that hold."""

    id: str
    kind: str
    value: str
    flags: set[str] = field(default_factory=set)
    expires: str | None = None


@dataclass
class Edge:
    """One link and all event or finding ids that it rests on, in order of time."""

    source: str
    target: str
    kind: str
    confidence: str = "certain"
    evidence: dict[str, None] = field(default_factory=dict)


class Graph:
    """Nodes by id, and edges by (source, target, kind)."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.edges: dict[tuple[str, str, str], Edge] = {}

    def node(self, name: str, status: str) -> Node:
        """Add the status to the node of this id, made when it is new."""
        if name not in self.nodes:
            self.nodes[name] = Node(name, _kind(name), _value(name))
        self.nodes[name].flags.add(status)
        return self.nodes[name]

    def edge(self, source: str, target: str, kind: str, evidence: str, confidence: str = "certain") -> None:
        """Add one piece of evidence to an edge, made when it is new. An edge is as sure as its best evidence."""
        edge = self.edges.setdefault((source, target, kind), Edge(source, target, kind, confidence))
        edge.evidence[evidence] = None
        edge.confidence = min(edge.confidence, confidence, key=CONFIDENCES.index)


def build(found: Judgement) -> Graph:
    """Nodes and edges that follow from the attacker's acts."""
    graph = Graph()
    for name in found.held:
        graph.node(name, "compromised")
    for name in found.made:
        graph.node(name, "attacker_created")
    wanted = np.flatnonzero(found.verdict == ATTACKER)
    for index, act in zip(wanted, found.acts.iloc[wanted].itertuples(index=False), strict=True):
        holder = act.credential or act.who
        if holder:
            _add_act(graph, found, int(index), (act, holder))
            _add_touched(graph, (act, holder), found.details.get((act.event_id, act.account_id)))
    _add_hosts(graph, found)
    _add_providers(graph, found)
    return graph


def _add_hosts(graph: Graph, found: Judgement) -> None:
    """Link instances and functions that the attacker made or changed to the credentials that were issued to them."""
    hosts = {
        (node.value.split(":")[4], doors.session_of(node.value)): name
        for name, node in graph.nodes.items()
        if node.kind == "resource" and doors.session_of(node.value)
    }
    issue = dict(zip(found.acts["issued"], found.acts["event_id"], strict=True))
    rows = found.acts[(found.verdict == ATTACKER) & found.acts["role_arn"].notna()].drop_duplicates("credential")
    for act in rows.itertuples():
        host = hosts.get((act.account_id, act.session_name))
        if host and str(act.credential).startswith("access_key:"):
            sure = "certain" if act.credentials_issued_to == graph.nodes[host].value else "likely"
            graph.edge(host, act.credential, "minted", issue.get(act.credential, act.event_id), sure)


def _add_providers(graph: Graph, found: Judgement) -> None:
    """Link identity providers that the attacker made to the credentials that were issued through them."""
    rows = found.acts[(found.verdict == ATTACKER) & found.acts["event_name"].isin(doors.FEDERATED)]
    for act in rows[rows["issued"].notna()].to_dict("records"):
        provider = doors.provider_of(act, found.details.get((act["event_id"], act["account_id"]), {}))
        if f"resource:{provider}" in found.made:
            graph.edge(f"resource:{provider}", act["issued"], "minted", act["event_id"])


def _add_act(graph: Graph, found: Judgement, index: int, who: tuple[Any, str]) -> None:
    """What one attacker act says: who acted from where, what it issued, made and changed."""
    act, holder = who
    foreign = act.principal_type in {"AWSService", "AWSAccount"}
    if act.who and (not foreign or (act.principal_type == "AWSAccount" and not act.credential)):
        graph.node(act.who, "compromised")
        if act.who != holder:
            graph.edge(holder, act.who, "assumed", act.event_id)
    if act.pair:
        graph.node(f"address:{act.source_ip}", "touched")
        graph.edge(holder, f"address:{act.source_ip}", "used_from", act.event_id)
    graph.node(f"account:{act.account_id}", "touched")
    graph.edge(holder, f"account:{act.account_id}", "touched", act.event_id)
    if act.outcome != "ok":
        return
    key = f"access_key:{act.minted_key}" if act.minted_key else holder
    if key not in (holder, act.issued):
        graph.edge(holder, key, "minted", act.event_id)
    if act.issued and act.issued != holder:
        graph.edge(holder, act.issued, "minted", act.event_id, act.issued_how)
        _add_session(graph, found, (act, holder))
    elif act.issued and act.principal in found.passwords and act.event_time >= found.passwords[act.principal]:
        graph.edge(f"login_profile:{act.principal}", act.issued, "minted", act.event_id, "likely")
    for effect in found.effects.get(index, []):
        graph.node(effect.node, "attacker_created" if effect.effect == "created" else "changed")
        graph.edge(holder, effect.node, effect.effect, act.event_id)


def _add_session(graph: Graph, found: Judgement, who: tuple[Any, str]) -> None:
    """Add the role that a successful AssumeRole opened, and when the session it issued ends."""
    act, holder = who
    if act.event_name.startswith("AssumeRole") and act.minted_principal:
        role = trust.role_of(act.minted_principal, found.names)
        graph.node(f"principal:{role}", "compromised")
        graph.edge(holder, f"principal:{role}", "assumed", act.event_id)
    answer = found.details.get((act.event_id, act.account_id), {}).get("response", {})
    issued = answer.get("credentials")
    if isinstance(issued, dict):
        graph.nodes[act.issued].expires = expiration(issued.get("expiration"))


def _add_touched(graph: Graph, who: tuple[Any, str], detail: dict[str, Any] | None) -> None:
    """Add the resources that a successful act names, and the foreign accounts that it shares something with."""
    act, holder = who
    if detail is None or act.outcome != "ok":
        return
    for arn in detail["resources"]:
        name = resource_node(arn)
        if name and name != holder and not name.endswith(":root"):
            graph.node(name, "touched")
            if (holder, name, "created") not in graph.edges and (holder, name, "changed") not in graph.edges:
                graph.edge(holder, name, "touched", act.event_id)
    for account in sorted(shared_with(detail["request"]) - {act.account_id}):
        graph.node(f"account:{account}", "touched")
        graph.edge(holder, f"account:{account}", "touched", act.event_id)


def resource_node(arn: str) -> str | None:
    """Node id of an ARN named in a record; objects stand under their bucket, AWS's own policies are no resource."""
    parts = arn.split(":", 5)
    if len(parts) < 6 or parts[0] != "arn" or parts[4] == "aws":
        return None
    if parts[2] == "iam" and parts[5].split("/")[0] in {"user", "role"}:
        return f"principal:{arn}"
    if parts[2] == "sts":
        return None
    if parts[2] == "s3" and parts[3] == "":
        return "resource:" + ":".join(parts[:5]) + ":" + parts[5].split("/")[0]
    return f"resource:{arn}"


def shared_with(request: dict[str, Any]) -> set[str]:
    """Accounts that a request shares a snapshot or image with; `all` when it makes it public."""
    found: set[str] = set()
    for name in ("createVolumePermission", "launchPermission"):
        for item in ((request.get(name) or {}).get("add") or {}).get("items") or []:
            found |= {str(value) for value in item.values()}
    added = request.get("valuesToAdd")
    return found | ({str(value) for value in added} if isinstance(added, list) else set())


def expiration(text: object) -> str | None:
    """Expiry of issued credentials as ISO 8601; CloudTrail writes it for people (`Aug 1, 2024, 11:45:22 AM`)."""
    if not isinstance(text, str):
        return None
    for form in _EXPIRATION:
        try:
            when = datetime.strptime(text.replace("\u202f", " "), form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return f"{when:%Y-%m-%dT%H:%M:%SZ}"
    return None


def _kind(name: str) -> str:
    kind = name.split(":", 1)[0]
    return "credential" if kind in {"access_key", "console", "sign_in", "login_profile"} else kind


def _value(name: str) -> str:
    """Identifier as AWS writes it: without the id's own prefix."""
    return name.split(":", 1)[1]


def as_dicts(graph: Graph, found: Judgement, seeds: list[str], cleared: frozenset[str]) -> tuple[list[Any], list[Any]]:
    """Nodes and edges as scope.json has them, in an order that depends on nothing but their content."""
    when = dict(zip(found.acts["event_id"], found.acts["event_time"], strict=True))
    first = {key: min((when[e] for e in edge.evidence if e in when), default=None) for key, edge in graph.edges.items()}
    late = pd.Timestamp.max.tz_localize("UTC")
    order = sorted(graph.edges, key=lambda key: (first[key] or late, key))
    ids = {key: f"e{number}" for number, key in enumerate(order, 1)}
    reached = _reach(graph, ids, order, seeds)
    counts = _counts(graph, found)
    nodes = []
    for name in sorted(graph.nodes):
        node = graph.nodes[name]
        status = "cleared" if name in cleared else next(s for s in STATUSES if s in node.flags)
        confidence, via = reached.get(name, ("guess", None))
        nodes.append(
            {"id": name, "kind": node.kind, "value": node.value, "aliases": found.aliases.get(name, [])}
            | {"status": status, "confidence": confidence}
            | _place(node.value, counts[name])
            | {key: counts[name][key] for key in ("first_seen", "last_seen", "events", "attacker_events")}
            | {"via": via, "expires": node.expires}
        )
    edges = [
        {"id": ids[key], "from": edge.source, "to": edge.target, "kind": edge.kind, "confidence": edge.confidence}
        | {"evidence": list(edge.evidence)[:EVIDENCE_SHOWN], "evidence_count": len(edge.evidence)}
        for key, edge in ((key, graph.edges[key]) for key in order)
    ]
    return nodes, edges


def _reach(
    graph: Graph, ids: dict[tuple[str, str, str], str], order: list[tuple[str, str, str]], seeds: list[str]
) -> dict[str, tuple[str, str | None]]:
    """Confidence of each node (the weakest edge of its strongest chain from a seed) and the edge it was reached by."""
    links = defaultdict(list)
    for rank, key in enumerate(order):
        links[key[0]].append((rank, key, key[1]))
        links[key[1]].append((rank, key, key[0]))
    reached: dict[str, tuple[str, str | None]] = {}
    queue: list[tuple[int, int, int, str, str | None]] = [(0, 0, -1, name, None) for name in seeds]
    heapq.heapify(queue)
    while queue:
        weakest, depth, _, name, via = heapq.heappop(queue)
        if name in reached:
            continue
        reached[name] = (CONFIDENCES[weakest], via)
        # What is merely touched, such as an address or an account, leads nowhere.
        if depth and not graph.nodes[name].flags & set(EXTENT):
            continue
        for rank, key, other in links[name]:
            if other not in reached:
                grade = max(weakest, CONFIDENCES.index(graph.edges[key].confidence))
                heapq.heappush(queue, (grade, depth + 1, rank, other, ids[key]))
    return reached


def _counts(graph: Graph, found: Judgement) -> dict[str, dict[str, Any]]:
    """Events, attacker events, first and last seen of each node; of a resource those that cite it."""
    acts = found.acts[["event_time", "event_id", "account_id", "region"]].assign(mine=found.verdict == ATTACKER)
    cited: dict[str, set[str]] = defaultdict(set)
    for (source, target, _), edge in graph.edges.items():
        cited[target] |= set(edge.evidence)
        cited[source] |= set(edge.evidence) if graph.nodes[source].kind == "finding" else set()
    own = acts.assign(**{column: found.acts[column] for column in ("credential", *_COUNTED.values())})
    groups = own.groupby(own["credential"].where(own["credential"].isin(list(graph.nodes)))).indices
    counted = {kind: _all_of(graph, found, kind, column) for kind, column in _COUNTED.items()}
    mine = {kind: own[own["mine"]].groupby(column).size() for kind, column in _COUNTED.items()}
    result = {}
    for name, node in graph.nodes.items():
        if node.kind in counted and node.value in counted[node.kind]:
            result[name] = {
                **counted[node.kind][node.value],
                "attacker_events": int(mine[node.kind].get(node.value, 0)),
            }
            continue
        rows = acts.iloc[groups.get(name, np.array([], dtype=int))]
        if rows.empty and cited[name]:
            rows = acts[acts["event_id"].isin(cited[name])]
        result[name] = {
            "account": None if rows.empty else rows["account_id"].iloc[0],
            "region": rows["region"].iloc[0] if rows["region"].nunique() == 1 else None,
            "first_seen": _iso(rows["event_time"].min()),
            "last_seen": _iso(rows["event_time"].max()),
            "events": len(rows),
            "attacker_events": int(rows["mine"].sum()),
        }
    return result


# Nodes of which all events count, in sight or not: kind, and the column of events that names them.
_COUNTED = {"principal": "principal", "address": "source_ip", "account": "account_id"}


def _all_of(graph: Graph, found: Judgement, kind: str, column: str) -> dict[str, dict[str, Any]]:
    """Account, Region, first and last seen and number of all events of the nodes of one kind, by value."""
    values = sorted({node.value for node in graph.nodes.values() if node.kind == kind})
    connection = found.sight.connection
    connection.register("asked", pd.DataFrame({"value": pd.Series(values, dtype=object)}))
    rows = connection.execute(
        f"SELECT {column}, arg_min(account_id, (event_time, event_id, account_id)), "  # noqa: S608 - our own names
        "CASE WHEN count(DISTINCT region) = 1 THEN min(region) END, min(event_time), max(event_time), count(*) "
        f"FROM {found.sight.relation} WHERE {column} IN (SELECT value FROM asked) GROUP BY 1"
    ).fetchall()
    connection.unregister("asked")
    names = ("account", "region", "first_seen", "last_seen", "events")
    return {row[0]: dict(zip(names, (row[1], row[2], _iso(row[3]), _iso(row[4]), row[5]), strict=True)) for row in rows}


def _place(value: str, counts: dict[str, Any]) -> dict[str, Any]:
    """Account and Region: those of the ARN where the value is one, else those of its events."""
    parts = value.split(":")
    if value.startswith("arn:") and len(parts) >= 6:
        return {"account": parts[4] or counts["account"], "region": parts[3] or None}
    return {"account": counts["account"], "region": counts["region"]}


def _iso(when: Any) -> str | None:  # noqa: ANN401 - a Timestamp or NaT
    return None if pd.isna(when) else f"{when:%Y-%m-%dT%H:%M:%SZ}"
