"""How well a scope found a random incident: what it should have found, what it did, and of that what was right."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cirtlib.case import Case, new_case
from cirtlib.collect import collect
from cirtlib.scope import Scope
from cirtlib.training.incidents import WINDOW, Incident, deliver
from cirtlib.training.shapes import Json

LINKS = ("minted", "created", "changed")


@dataclass
class Found:
    """Members of the truth, of the answer, and of both; and what is wrong, in words.

    `counts` has three numbers for each measure: kinds of nodes, `edge` with its confidence, verdicts.
    """

    counts: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def case_of(made: Incident, folder: Path, records: list[Json] | None = None, *, files: int = 1) -> Case:
    """A collected case of the incident, from its seed; with other records where they are given."""
    deliver(made.records if records is None else records, folder / "logs", files=files)
    content = {
        "window": {"start": WINDOW[0].isoformat(), "end": WINDOW[1].isoformat()},
        "as_of": WINDOW[1].isoformat(),
        "seeds": [{made.seed[0]: made.seed[1]}],
        "sources": [{"cloudtrail": {"folder": str(folder / "logs")}}],
    }
    case = new_case(folder / "case", content)
    collect(case, progress=False, processes=1)
    return case


def compare(made: Incident, scope: Scope) -> Found:
    """What the scope says beside the truth."""
    found = Found()
    extent = {(node["kind"], node["value"]): node["status"] for node in scope.extent()}
    for kind in ("credential", "principal", "resource"):
        nodes = [{key for key in one if key[0] == kind} for one in (made.extent, extent)]
        _count(found, kind, nodes[0], nodes[1])
    edges = {(e["from"], e["to"], e["kind"]): e["confidence"] for e in scope.edges if e["kind"] in LINKS}
    _count(found, "edge", made.edges, set(edges))
    for confidence in sorted(set(edges.values())):
        got = {edge for edge, how in edges.items() if how == confidence}
        _count(found, f"edge, {confidence}", made.edges & got, got)
    for verdict in ("attacker", "owner", "unclear"):
        mine = {event for event, said in made.verdicts.items() if said == verdict}
        rows = scope.verdicts[scope.verdicts["verdict"] == verdict]
        _count(found, f"event, {verdict}", mine, set(zip(rows["event_id"], rows["account_id"], strict=True)))
    status = {key: (said, extent[key]) for key, said in made.extent.items() if extent.get(key, said) != said}
    found.wrong += [
        f"status of {key}: {said} in truth, {answer} in the answer" for key, (said, answer) in status.items()
    ]
    due = made.leads - {node["id"] for node in scope.extent()}  # what is inside needs no lead
    _count(found, "lead", due, due & {lead["node"] for lead in scope.leads})
    return found


def _count(found: Found, name: str, due: set[Any], got: set[Any]) -> None:
    found.counts[name] = (len(due), len(got), len(due & got))
    found.wrong += [f"{name} missing: {one}" for one in sorted(due - got)]
    found.wrong += [f"{name} too much: {one}" for one in sorted(got - due)]


def without_origin(scope: Scope, records: list[Json]) -> list[str]:
    """Credentials of the extent that no record issues and of which no gap says so.

    What an edge says was issued has its origin; else a session of the console or of a command line may have a record of
    signing in that names its principal.
    """
    answers = json.dumps([record.get("responseElements") for record in records])
    signing = json.dumps([one for one in records if one.get("eventSource") == "signin.amazonaws.com"])
    reasons = " ".join(gap["reason"] for gap in scope.gaps)
    told = {edge["to"] for edge in scope.edges if edge["kind"] == "minted"}
    silent = []
    for node in (one for one in scope.extent() if one["id"] not in told):
        kind = node["id"].partition(":")[0]
        who = node["value"].partition("/")[0].partition(":")[0] if kind == "console" else node["value"]
        seen = node["value"] in answers if kind == "access_key" else kind == "login_profile" or who in signing
        if node["kind"] == "credential" and not seen and f"who issued {node['id']}" not in reasons:
            silent.append(node["id"])
    return silent
