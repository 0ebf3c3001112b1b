"""All that the report speaks of, read once from a case."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from cirtlib import containment, coverage, names, queries
from cirtlib.case import Case, read_json
from cirtlib.scope import Scope
from cirtlib.scope import load as load_scope
from cirtlib.scope.extent import STATUSES
from cirtlib.techniques import annotate
from cirtlib.triage import distinct


@dataclass(frozen=True)
class Facts:
    """All that the report speaks of, read once.

    `attacker`, `owner` and `unclear` are rows of `events` with the columns node, verdict, reason, access, tactic and
    technique added, in order of time.
    """

    case: Case
    scope: Scope
    attacker: pd.DataFrame
    owner: pd.DataFrame
    unclear: pd.DataFrame
    findings: pd.DataFrame
    gaps: list[dict[str, Any]]
    totals: dict[str, Any]

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The containment plan of this scope, as plan.json holds it."""
        return dict(containment.plan(self.case, scope=self.scope).to_dict())

    @cached_property
    def extent(self) -> list[dict[str, Any]]:
        """Nodes of the extent, compromised first, then what the attacker made, then what was changed."""
        order = {status: number for number, status in enumerate(STATUSES)}
        nodes = self.scope.extent()
        return sorted(nodes, key=lambda node: (order[node["status"]], node["first_seen"] or "", node["id"]))

    @cached_property
    def linked(self) -> pd.DataFrame:
        """Findings that the scope knows (seeds, and those that name a node of the extent), each once."""
        names = {node["value"] for node in self.scope.nodes if node["kind"] == "finding"}
        found = distinct(self.findings[self.findings["finding_id"].isin(names)])
        return found.sort_values(["first_seen", "finding_id"])

    @cached_property
    def known(self) -> names.Known:
        """Names of accounts and addresses."""
        return names.read(self.case)

    def evidence(self, node: str) -> tuple[str, ...]:
        """Ids of what the edges at a node rest on, in order, each once."""
        edges = (edge for edge in self.scope.edges if node in (edge["from"], edge["to"]))
        return tuple(dict.fromkeys(one for edge in edges for one in edge["evidence"]))


def gather(case: Case) -> Facts:
    """Read scope, judged events, findings, gaps and accounting of a case; the plan is made when first asked for."""
    scope = load_scope(case)
    verdicts = scope.verdicts[["event_id", "account_id", "node", "verdict", "reason"]]
    judged = queries.events(case).merge(verdicts, on=["event_id", "account_id"], how="inner")
    judged = annotate(judged).sort_values(["event_time", "event_id", "account_id"], ignore_index=True)
    collected = read_json(case.evidence / "collected.json", {})
    return Facts(
        case=case,
        scope=scope,
        attacker=judged[judged["verdict"] == "attacker"],
        owner=judged[judged["verdict"] == "owner"],
        unclear=judged[judged["verdict"] == "unclear"],
        findings=queries.findings(case),
        gaps=scope.gaps or coverage.gaps(case),
        totals=collected.get("totals", {}),
    )
