"""From one seed to the whole extent of the compromise, with evidence and confidence for every link."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cirtlib import baseline, coverage, queries
from cirtlib.case import Case, read_json
from cirtlib.engine import duckdb as engine
from cirtlib.scope import attribution, chains, claims, extent, leads
from cirtlib.scope.sight import Sight

SCHEMA_VERSION = 1
PREVIOUS = "scope.previous.json"


@dataclass(frozen=True)
class Scope:
    """The extent of a compromise: a graph of nodes and edges, leads, gaps, and a verdict for each judged event."""

    content: dict[str, Any]
    verdicts: pd.DataFrame

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """Every node, sorted by id."""
        return list(self.content["nodes"])

    @property
    def edges(self) -> list[dict[str, Any]]:
        """Every edge, in order of its first evidence."""
        return list(self.content["edges"])

    @property
    def leads(self) -> list[dict[str, Any]]:
        """What to look at next: node, reason, rarity."""
        return list(self.content["leads"])

    @property
    def gaps(self) -> list[dict[str, Any]]:
        """What could not be seen: account, region, from, to, reason."""
        return list(self.content["gaps"])

    def extent(self) -> list[dict[str, Any]]:
        """Nodes that are compromised, made or changed by the attacker."""
        return [node for node in self.nodes if node["status"] in extent.EXTENT]

    def chain(self, node: str) -> list[str]:
        """How we know of a node: sentences from a seed to it, each with its events (`chains.words`)."""
        return chains.words(self.content, node)

    def to_dict(self) -> dict[str, Any]:
        """The scope as `cirt scope --format json` prints it (data/scope.schema.json)."""
        return self.content


def scope(case: Case) -> Scope:
    """Close the case's seeds over credentials and give every event of a compromised credential its verdict.

    Raises
    ------
    NotFoundError
        when there is no seed, or a seed matches nothing in the evidence.
    """
    findings = queries.findings(case)
    start, end = queries.window(case)
    with engine.connect(case) as connection:
        found = attribution.judge(case, Sight(connection, (start, end)), findings, (start, end))
        graph = extent.build(found)
        seeds = _seed_nodes(graph, found, found.claims)
        _report(graph, findings, {seed.value for seed in case.seeds if seed.kind == "finding"})
        cleared = frozenset(decision.node for decision in case.cleared)
        confirmed = frozenset(decision.node for decision in case.confirmed)
        lead = leads.find(graph, found, cleared | confirmed)
        # What was decided on stays in the graph, whatever led to it.
        for node in cleared | {one for one in confirmed - graph.nodes.keys() if not one.startswith("event:")}:
            graph.node(node, "suspected")
        nodes, edges = extent.as_dicts(graph, found, seeds, cleared)
    mine = found.acts.loc[found.verdict == attribution.ATTACKER, "event_time"]
    content = {
        "schema_version": SCHEMA_VERSION,
        "case": case.name,
        "as_of": _iso(queries.as_of(case)),
        "window": {"start": _iso(start), "end": _iso(end)},
        "attack": {"first": _iso(mine.min()), "last": _iso(mine.max())},
        "baseline": {
            "start": _iso(found.base.start),
            "end": _iso(found.base.end),
            "days": found.base.days,
            "used": found.base.exists,
        },
        "seeds": seeds,
        "nodes": nodes,
        "edges": edges,
        "leads": lead,
        "gaps": [*coverage.gaps(case), *leads.origin_gaps(found), *leads.window_gaps(found, pd.Timestamp(start))],
        "basis": _basis(case),
    }
    return Scope(content, leads.verdicts(found))


def write(case: Case) -> Scope:
    """Work the scope out and write out/scope.json and out/scope_events.parquet; another scope is kept as PREVIOUS."""
    result = scope(case)
    case.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result.content, indent=1, ensure_ascii=False) + "\n"
    file, kept = case.out / "scope.json", case.out / PREVIOUS
    events = verdicts_beside(file)
    if file.is_file() and events.is_file() and file.read_text(encoding="utf-8") != text:
        file.replace(kept)
        events.replace(verdicts_beside(kept))
    file.write_text(text, encoding="utf-8")
    result.verdicts.to_parquet(events, index=False)
    return result


def verdicts_beside(file: Path) -> Path:
    """Where the verdicts of a written scope lie: scope_events.parquet for scope.json."""
    return file.with_name(file.name.replace("scope", "scope_events", 1)).with_suffix(".parquet")


def load(case: Case) -> Scope:
    """Read the written scope of this case, or write it when there is none or case or evidence have changed since."""
    content = read_json(case.out / "scope.json")
    events = case.out / "scope_events.parquet"
    if content is None or not events.is_file() or not is_current(case, content):
        return write(case)
    return Scope(content, pd.read_parquet(events))


def is_current(case: Case, content: dict[str, Any]) -> bool:
    """Whether this content of scope.json rests on the case and the evidence as they are now."""
    return content.get("basis") == _basis(case)


def baseline_table(case: Case) -> pd.DataFrame:
    """Count what was normal before the attack (columns: `baseline.TABLE_KEYS`, first_seen, last_seen, count)."""
    judged = load(case)
    end = pd.Timestamp(judged.content["baseline"]["end"])
    odd = _with(judged.verdicts, attribution.ATTACKER, attribution.UNCLEAR)
    with engine.connect(case) as connection:
        return baseline.table(connection, start=end - pd.Timedelta(days=case.baseline_days), end=end, odd=odd)


def new_in_attack(case: Case) -> pd.DataFrame:
    """What each principal of the attack did for the first time, against its own days before (`baseline.NEW_COLUMNS`).

    `attrs["baseline"]` is what scope.json says of the whole baseline: start, end, days, used.
    """
    judged = load(case)
    end = pd.Timestamp(judged.content["baseline"]["end"])
    mine = _with(judged.verdicts, attribution.ATTACKER)
    odd = _with(judged.verdicts, attribution.ATTACKER, attribution.UNCLEAR)
    with engine.connect(case) as connection:
        acts = baseline.acts_of(connection, mine, since=end - pd.Timedelta(days=case.baseline_days))
    keys = pd.MultiIndex.from_frame(acts[["event_id", "account_id"]])
    masks = {
        name: np.asarray(keys.isin(pd.MultiIndex.from_frame(rows))) for name, rows in (("mine", mine), ("odd", odd))
    }
    found = baseline.new_in_attack(acts, end=end, days=case.baseline_days, **masks)
    found.attrs["baseline"] = judged.content["baseline"]
    return found


def _with(verdicts: pd.DataFrame, *wanted: str) -> pd.DataFrame:
    """Events (event_id, account_id) with one of these verdicts."""
    return verdicts.loc[verdicts["verdict"].isin(wanted), ["event_id", "account_id"]]


def _seed_nodes(graph: extent.Graph, found: attribution.Judgement, said: list[claims.Claim]) -> list[str]:
    """Nodes that stand for the seeds: the seed's own, or the credentials of the records that it claims."""
    result: dict[str, None] = {}
    for claim in said:
        mask = (claim.sure | claim.said) & (found.verdict == attribution.ATTACKER)
        rows = found.acts[mask]
        holders = rows["credential"].where(rows["credential"].notna(), rows["who"]).dropna()
        if claim.node.startswith("finding:"):
            graph.node(claim.node, "touched")
            for holder, event in zip(holders, rows.loc[holders.index, "event_id"], strict=True):
                graph.edge(str(holder), claim.node, "reported_by", event)
            result[claim.node] = None
        elif claim.node in graph.nodes:
            result[claim.node] = None
        else:
            if claim.node.startswith(("address:", "principal:", "access_key:", "resource:")):
                graph.node(claim.node, "suspected")
                result[claim.node] = None
            for holder in sorted(set(holders)):
                graph.node(holder, "suspected")  # a claim on what a service did for somebody convicts nobody
                result[holder] = None
    return list(result)


def _report(graph: extent.Graph, findings: pd.DataFrame, seeds: set[str]) -> None:
    """Link the findings that name a credential of the extent. Samples speak of nobody."""
    inside = {name for name, node in graph.nodes.items() if node.flags & set(extent.EXTENT)}
    for row in findings.sort_values("finding_id").itertuples() if len(findings) else ():
        name = f"access_key:{row.access_key_id}"
        if name in inside and not row.sample and row.finding_id not in seeds:
            graph.node(f"finding:{row.finding_id}", "touched")
            graph.edge(name, f"finding:{row.finding_id}", "reported_by", row.finding_id)


def _basis(case: Case) -> dict[str, str]:
    """What the scope rests on: when either hash changes, it must be worked out again."""
    manifest = case.manifest.read_bytes() if case.manifest.is_file() else b""
    asked = repr((case.seeds, case.confirmed, case.cleared, case.window, case.as_of, case.baseline_days))
    return {"manifest": hashlib.sha256(manifest).hexdigest(), "case": hashlib.sha256(asked.encode()).hexdigest()}


def _iso(when: Any) -> str | None:  # noqa: ANN401 - datetime, Timestamp, NaT or None
    return None if pd.isna(when) else f"{when:%Y-%m-%dT%H:%M:%SZ}"
