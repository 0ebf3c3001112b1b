"""Figures of a case or a scope. Each has a table behind it and a text alternative at `figure.layout.meta["alt"]`.

Log text in a figure is escaped: whatever an attacker wrote shows as the text it is.
"""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from cirtlib import names
from cirtlib.case import Case
from cirtlib.coverage import Coverage, look
from cirtlib.plots import actions, addresses, coverage, graph, heatmap, style, ways
from cirtlib.plots.around import Context
from cirtlib.scope import Scope
from cirtlib.scope import load as load_scope
from cirtlib.timeline import finding_intervals, judged_events

__all__ = [
    "actions_table", "addresses_table", "coverage_table", "heatmap_table", "plot_actions", "plot_addresses",
    "plot_coverage", "plot_heatmap", "plot_scope", "plot_way_in", "scope_table",
]  # fmt: skip


def plot_actions(case: Case, *, everything: bool = False) -> go.Figure:
    """Actions by principal over time: tactic as colour, whose act and its outcome as form, number as size.

    Around them stand findings, times without logging, and arrows where one credential issued another.

    Parameters
    ----------
    everything
        All principals; without it those of the extent and the leads, and whatever has a verdict.
    """
    acts = judged_events(case, everything=everything)
    return actions.draw(acts, _context(case, acts))


def actions_table(case: Case, *, everything: bool = False) -> pd.DataFrame:
    """Table behind `plot_actions`: events per time bin, principal, credential, tactic, verdict and outcome."""
    acts = judged_events(case, everything=everything)
    return actions.table(acts, _named(load_scope(case)))


def plot_heatmap(case: Case, *, everything: bool = True) -> go.Figure:
    """Activity by principal and hour, the attacker's hours outlined."""
    return heatmap.draw(judged_events(case, everything=everything))


def heatmap_table(case: Case, *, everything: bool = True) -> pd.DataFrame:
    """Table behind `plot_heatmap`: events, the attacker's among them, and denied ones, by hour and principal."""
    return heatmap.table(judged_events(case, everything=everything))


def plot_scope(scope: Scope) -> go.Figure:
    """Graph of the scope in layers from the seeds: status as colour, kind as form, links and evidence on hover."""
    return graph.draw(scope.to_dict())


def scope_table(scope: Scope) -> pd.DataFrame:
    """Table behind `plot_scope`: one row per node, with its links in words."""
    return graph.table(scope.to_dict())


def plot_addresses(case: Case, *, everything: bool = False) -> go.Figure:
    """Addresses and user agents by principal; without `everything` of the judged and of who shares their addresses."""
    return addresses.draw(_uses(case, everything=everything))


def addresses_table(case: Case, *, everything: bool = False) -> pd.DataFrame:
    """Table behind `plot_addresses`: one row per principal, address, user-agent family and verdict."""
    return names.beside(addresses.table(_uses(case, everything=everything)), names.read(case))


def plot_coverage(case: Case | Coverage) -> go.Figure:
    """What was and was not seen: accounts and Regions by day, with the times in which logging was off framed."""
    return coverage.draw(look(case))


def coverage_table(case: Case | Coverage) -> pd.DataFrame:
    """Table behind `plot_coverage`: one row per account, Region and day; the ledger itself is `coverage(case)`."""
    return coverage.table(look(case))


def plot_way_in(way: Mapping[str, Any]) -> go.Figure:
    """How the attacker came in, step by step, from what `way_in(case).to_dict()` gives; the table is its `table()`."""
    return ways.draw(list(way["chains"]))


def _uses(case: Case, *, everything: bool) -> pd.DataFrame:
    acts = judged_events(case, everything=True)
    return acts if everything else addresses.concerned(acts)


def _named(scope: Scope) -> frozenset[str]:
    """Credentials of the extent: those that get a row of their own."""
    return frozenset(node["id"] for node in scope.extent() if node["kind"] == "credential")


def _context(case: Case, acts: pd.DataFrame) -> Context:
    scope = load_scope(case)
    return Context(finding_intervals(case), _gaps(scope), _mints(acts, scope), _named(scope))


def _gaps(scope: Scope) -> list[dict[str, Any]]:
    """Times in which a trail was off or recorded less, as far as they overlap the window."""
    start, end = (pd.Timestamp(scope.to_dict()["window"][name]) for name in ("start", "end"))
    found = []
    for gap in scope.gaps:
        if gap["from"] is None or not str(gap["reason"]).startswith(("logging off", "trail ")):
            continue
        since, until = pd.Timestamp(gap["from"]), pd.Timestamp(gap["to"]) if gap["to"] else end
        if since < end and until > start:
            label = re.split(r" (?:stopped |removed )?by ", str(gap["reason"]))[0]
            found.append({"start": max(since, start), "end": min(until, end), "reason": gap["reason"], "label": label})
    return found


def _mints(acts: pd.DataFrame, scope: Scope) -> list[dict[str, Any]]:
    """Where one credential of the scope issued another, or made the user behind a row, with the time of the first."""
    edges = [edge for edge in scope.edges if edge["kind"] in ("minted", "created") and edge["evidence"]]
    wanted = [edge["evidence"][0] for edge in edges]
    times = acts.drop_duplicates("event_id").set_index("event_id")["event_time"]
    words = {"minted": "issued", "created": "made"}
    return [
        {
            "time": times[event], "from": edge["from"], "to": edge["to"], "event": event,
            "what": f"{style.node_name(edge['from'])} {words[edge['kind']]} {style.node_name(edge['to'])}",
        }
        for edge, event in zip(edges, wanted, strict=True)
        if event in times.index
    ]  # fmt: skip
