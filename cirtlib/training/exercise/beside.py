"""The learner's findings beside the true ones: nodes, calls, and what each missed node meant."""

from collections.abc import Iterator
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

import networkx as nx
import pandas as pd

from cirtlib.training.exercise.debrief_figures import FOUND, MISSED, READ, SEED, WRONG
from cirtlib.training.exercise.record import Record
from cirtlib.training.exercise.reference import Reference

Json = dict[str, Any]
# So many wrongly accused nodes are drawn; the table has all.
_DRAWN = 20
_OWN = "not-in-scope"


def nodes(result: Json, reference: Reference) -> pd.DataFrame:
    """Nodes of the true extent, those wrongly accused, and the seeds: id, kind, value, status, mark."""
    names, scope = reference.names(), result["scope"]
    rows = []
    for mark, part in ((FOUND, scope["found"]), (MISSED, scope["missed"]), (WRONG, scope["wrong"])):
        for node in part:
            kind, value = str(node["kind"]), str(node["value"])
            status = node.get("status", "innocent")
            name = names.get((kind, value), f"{_OWN}:{kind}:{value}")
            rows.append({"id": name, "kind": kind, "value": value, "status": status, "mark": mark})
    there = {row["id"] for row in rows}
    rows += [
        {"id": node["id"], "kind": node["kind"], "value": node["value"], "status": "given", "mark": SEED}
        for node in reference.scope["nodes"]
        if node["id"] in reference.scope["seeds"] and node["id"] not in there
    ]
    return pd.DataFrame(rows, columns=["id", "kind", "value", "status", "mark"]).drop_duplicates("id")


def drawn(frame: pd.DataFrame) -> pd.DataFrame:
    """Of `nodes` those that the graph has room for."""
    wrong = frame["mark"] == WRONG
    return pd.concat([frame[~wrong], frame[wrong].head(_DRAWN)])


def calls(result: Json, record: Record) -> pd.DataFrame:
    """The attacker's calls and those that the learner took for theirs: time, principal, action, mark, id."""
    by_id = {name: one for (name, _), one in record.events.items()}
    # The record of a call across accounts names the caller by its unique id only.
    identities = [one.get("userIdentity", {}) for one in record.events.values()]
    arns = {who["principalId"]: who["arn"] for who in identities if who.get("arn") and who.get("principalId")}
    missed = set(result["timeline"]["missed"])
    rows = []
    for name in dict.fromkeys(pair[0] for pair in record.truth["attacker_events"]):
        event = by_id[name]
        changed = not event.get("readOnly", True) and "errorCode" not in event
        rows.append(_call(name, event, MISSED if name in missed else FOUND if changed else READ))
    rows += [_call(str(name), by_id.get(name, {}), WRONG) for name in result["timeline"]["wrong"]]
    frame = pd.DataFrame(rows, columns=["time", "principal", "action", "mark", "error", "id"])
    frame["principal"] = [arns.get(who, who) for who in frame["principal"]]
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    return frame.sort_values("time", kind="stable", ignore_index=True)


def _call(name: str, event: Json, mark: str) -> Json:
    when = datetime.fromisoformat(event["eventTime"]) if event else None
    return {
        "time": when,
        "principal": _principal(event),
        "action": event.get("eventName", "no such event in the logs"),
        "mark": mark,
        "error": event.get("errorCode", ""),
        "id": name,
    }


def _principal(event: Json) -> str:
    who = event.get("userIdentity", {})
    issuer = who.get("sessionContext", {}).get("sessionIssuer", {}).get("arn")
    return str(issuer or who.get("arn") or who.get("principalId") or who.get("invokedBy") or who.get("type") or "")


def made_with(node: Json, record: Record) -> list[Json]:
    """The attacker's calls that were made with a node, in order of time."""
    return [event for event in _attackers(record) if _used(node, event)]


def made_on(node: Json, record: Record) -> list[Json]:
    """The attacker's calls whose request or answer names a node, and that were not made with it."""
    return [event for event in _attackers(record) if not _used(node, event) and _named(node, event)]


def innocent_use(node: Json, record: Record) -> int:
    """Number of calls in the logs that were made with a node and are not the attacker's."""
    theirs = {tuple(pair) for pair in record.truth["attacker_events"]}
    return sum(_used(node, event) for pair, event in record.events.items() if pair not in theirs)


def _attackers(record: Record) -> list[Json]:
    events = [record.events[tuple(pair)] for pair in record.truth["attacker_events"]]
    return sorted({event["eventID"]: event for event in events}.values(), key=lambda event: event["eventTime"])


def _used(node: Json, event: Json) -> bool:
    who = event.get("userIdentity", {})
    return node["value"] in (who.get("accessKeyId"), who.get("arn"), _principal(event))


def _named(node: Json, event: Json) -> bool:
    """Whether a value of the request, the answer or the resources is the node: its ARN, or the id or name in it."""
    value = str(node["value"])
    short = value.rpartition("/")[2] if value.startswith("arn:") else value
    leaves = set(_leaves([event.get(part) for part in ("requestParameters", "responseElements", "resources")]))
    return bool(leaves & {value, short})


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, str):
        yield value


def led_to(name: str, reference: Reference, true: set[str]) -> list[str]:
    """Node ids of the true extent that were reached from a node, as the scope's links go; nearest first."""
    ways: nx.DiGraph[str] = nx.DiGraph()
    ways.add_node(name)
    ways.add_edges_from((edge["from"], edge["to"]) for edge in reference.scope["edges"])
    return [one for one in nx.bfs_tree(ways, name) if one != name and one in true]


@cache
def about(kind: str, status: str) -> dict[str, str]:
    """What a missed node of this kind costs, and where it can be seen: cost, notebook, question (data/debrief.tsv)."""
    text = files("cirtlib").joinpath("data/debrief.tsv").read_text(encoding="utf-8")
    header, *lines = (line.split("\t") for line in text.splitlines())
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    return next((row for row in rows if (row["kind"], row["status"]) == (kind, status)), {})
