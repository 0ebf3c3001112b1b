"""What a plan is made from, and the draft that it grows in."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import duckdb
import pandas as pd

from cirtlib import identity
from cirtlib.containment import entries
from cirtlib.containment.history import Act, acts
from cirtlib.containment.log import Log
from cirtlib.containment.step import Step
from cirtlib.containment.usage import Habits
from cirtlib.exposure import Instance
from cirtlib.snapshot import Snapshot

EXTENT = ("compromised", "attacker_created", "changed")
_WHY_LIMIT = 20
Node = dict[str, Any]


@dataclass(frozen=True)
class Incident:
    """One incident as the scope and the logs tell it.

    Attributes
    ----------
    scope
        The scope's JSON.
    events
        A connection that has the case's relation `events`, or that table itself; it is read through `log`.
    verdicts
        Columns event_id, account_id, verdict.
    accounts
        The accounts that are ours.
    habits
        The baseline, to be asked who used what; None where nobody counts it.
    management
        The organization's management account, and where that is known from; two empty texts where nothing says it.
    trusts, groups
        Trust policies of roles, and groups of users, by ARN, as account snapshots have them.
    confirmed
        Ids of nodes that the analyst named or confirmed: seeds, and `confirmed` of case.yaml.
    ways_in
        Instances that somebody came into, with what lay open.
    states
        The latest snapshot of each account that has one.
    findings
        Every version of every finding; None where nobody looked.
    """

    name: str
    title: str
    as_of: datetime
    scope: dict[str, Any]
    events: duckdb.DuckDBPyConnection | pd.DataFrame
    verdicts: pd.DataFrame
    accounts: frozenset[str] = frozenset()
    responders: tuple[str, ...] = ()
    habits: Habits | None = None
    management: tuple[str, str] = ("", "")
    trusts: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    confirmed: frozenset[str] = frozenset()
    ways_in: tuple[Instance, ...] = ()
    states: tuple[Snapshot, ...] = ()
    findings: pd.DataFrame | None = None

    @cached_property
    def extent(self) -> list[Node]:
        """Nodes that were compromised, made or changed by the attacker, in order of their first event."""
        nodes = [node for node in self.scope["nodes"] if node["status"] in EXTENT]
        return sorted(nodes, key=lambda node: (node.get("first_seen") or "", node["id"]))

    @cached_property
    def _by_id(self) -> dict[str, Node]:
        return {node["id"]: node for node in self.extent}

    @cached_property
    def history(self) -> list[Act]:
        """Events that set state, in order of time: what steps ask for, and whatever an attacker can make or change."""
        named = [node["value"] for node in self.scope["nodes"]] + sorted(self.confirmed)
        instances = {value.rsplit("/", 1)[-1] for value in named if ":instance/" in value}
        wanted = entries.asked() | identity.acting_names()
        return acts(self.log, self.verdicts, wanted, instances | {one.path.instance for one in self.ways_in})

    @cached_property
    def log(self) -> Log:
        """The events, to be asked."""
        return Log(self.events, self.verdicts)

    @cached_property
    def names(self) -> identity.Names:
        """Resolver of the bare names in requests to ARNs."""
        return identity.Names(self.log.values("principal", "role_arn", "minted_principal"))

    def effects(self, act: Act) -> list[Node]:
        """Nodes of the extent that an event made or changed."""
        row = SimpleNamespace(
            event_source=act.source, event_name=act.name, account_id=act.account, region=act.region,
            user_name=act.user_name or None,
        )  # fmt: skip
        found = identity.effects(row, {"request": act.request, "response": act.response}, self.names)
        return [self._by_id[one.node] for one in found if one.node in self._by_id]

    def node(self, kind: str, value: str) -> Node | None:
        """Node of the extent with this kind and value."""
        return next((node for node in self.extent if (node["kind"], node["value"]) == (kind, value)), None)

    def is_responder(self, arn: str) -> bool:
        """Whether case.yaml names this principal as one of those who respond."""
        return any(arn == one or arn.startswith(f"{one}/") for one in self.responders)


@dataclass
class Draft:
    """Steps by key, in the order in which they will run, and what is said about the rest."""

    incident: Incident
    steps: dict[str, Step] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def add(self, step: Step, *, nodes: list[Node], because: list[Act] | tuple[Act, ...] = ()) -> None:
        """Add a step that deals with these nodes; a step that is there already takes them on as well."""
        old = self.steps.get(step.key, step)
        why = [act.event_id for act in because] + [one for node in nodes for one in self._evidence(node)]
        order = ("certain", "likely", "guess")
        sure = [old.confidence, *(node.get("confidence") or "certain" for node in nodes)]
        self.steps[step.key] = replace(
            old,
            nodes=tuple(dict.fromkeys((*old.nodes, *(node["id"] for node in nodes)))),
            why=tuple(dict.fromkeys((*old.why, *why)))[:_WHY_LIMIT],
            confidence=max(sure, key=order.index),
        )

    def serve(self, key: str, node: Node) -> bool:
        """Note that the step `key` deals with this node too; False when there is no such step."""
        if key in self.steps:
            self.add(self.steps[key], nodes=[node])
        return key in self.steps

    def served(self) -> set[str]:
        """Ids of the nodes that some step deals with."""
        return {node for step in self.steps.values() for node in step.nodes}

    def linked(self, node: Node) -> list[str]:
        """Ids of the nodes that an edge of the scope joins to this one."""
        edges = self.incident.scope["edges"]
        return [e["to"] for e in edges if e["from"] == node["id"]] + [e["from"] for e in edges if e["to"] == node["id"]]

    def _evidence(self, node: Node) -> list[str]:
        edges = [edge for edge in self.incident.scope["edges"] if edge["to"] == node["id"]]
        reported = [
            edge
            for edge in self.incident.scope["edges"]
            if edge["kind"] == "reported_by" and edge["from"] == node["id"]
        ]
        findings = [edge["to"].removeprefix("finding:") for edge in reported if edge["to"].startswith("finding:")]
        return [one for edge in edges for one in edge["evidence"][:3]][:9] + findings[:3]
