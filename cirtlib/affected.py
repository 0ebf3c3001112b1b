"""Tables of the report: what happened when, and which accounts, principals and resources are affected."""

import re
from typing import Any

import pandas as pd

from cirtlib import names, queries, timeline
from cirtlib.case import Case
from cirtlib.facts import Facts
from cirtlib.scope import new_in_attack

_EVENT = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b")
# What a table of grouped events says of each group.
_COUNTED = {
    "events": ("event_id", "size"),
    "first": ("event_time", "min"),
    "last": ("event_time", "max"),
    "evidence": ("event_id", list),
}


def chronology(facts: Facts) -> pd.DataFrame:
    """Key events, findings, notes and decisions in order of time.

    Columns: time, what (event, finding, note, decision), who, description, verdict, evidence.
    """
    rows = [
        *_event_rows(timeline.key_events(facts.case)),
        *_finding_rows(facts),
        *_note_rows(timeline.notes(facts.case)),
        *_decision_rows(facts.case),
    ]
    columns = ["time", "what", "who", "description", "verdict", "evidence"]
    table = pd.DataFrame(rows, columns=columns)
    table["time"] = pd.to_datetime(table["time"], utc=True, format="mixed")
    return table.sort_values(["time", "what", "description"], ignore_index=True)


def accounts(facts: Facts) -> pd.DataFrame:
    """Return one row per account with attacker events: how many, when, in which Regions, how much of the extent."""
    rows = []
    for account, acts in facts.attacker.groupby("account_id", sort=True):
        nodes = [node for node in facts.extent if node["account"] == account]
        rows.append({
            "account": account,
            "attacker_events": len(acts),
            "denied": int((acts["outcome"] == "denied").sum()),
            "first": acts["event_time"].min(),
            "last": acts["event_time"].max(),
            "regions": sorted(acts["region"].dropna().unique()),
            "extent": len(nodes),
            "evidence": list(acts["event_id"]),
        })  # fmt: skip
    columns = ["account", "attacker_events", "denied", "first", "last", "regions", "extent", "evidence"]
    return names.beside(pd.DataFrame(rows, columns=columns), facts.known)


def nodes(facts: Facts, *kinds: str) -> pd.DataFrame:
    """One row per node of the extent of these kinds (credential, principal, resource; none: all), with evidence."""
    columns = [
        "status",
        "kind",
        "value",
        "account",
        "confidence",
        "first_seen",
        "last_seen",
        "attacker_events",
        "expires",
    ]
    rows = [
        [*(node.get(name) for name in columns), list(facts.evidence(node["id"]))]
        for node in facts.extent
        if not kinds or node["kind"] in kinds
    ]
    table = pd.DataFrame(rows, columns=[*columns, "evidence"])
    for name in ("first_seen", "last_seen", "expires"):
        table[name] = pd.to_datetime(table[name], utc=True)
    return names.beside(table.assign(status=table["status"].str.replace("_", " ")), facts.known)


def chains(facts: Facts) -> pd.DataFrame:
    """How each node of the extent was reached from the seeds: node, status, confidence, the chain in words."""
    rows = [
        {"node": node["id"], "status": node["status"].replace("_", " "), "confidence": node["confidence"]}
        | {"how we know": " ".join(facts.scope.chain(node["id"]))}
        for node in facts.scope.extent()
    ]
    return pd.DataFrame(rows, columns=["node", "status", "confidence", "how we know"])


def owners(facts: Facts) -> pd.DataFrame:
    """Return what rightful owners did with compromised credentials meanwhile, by credential, source and reason."""
    both = pd.concat([facts.owner, facts.unclear])
    grouped = both.groupby(["verdict", "node", "source_ip", "user_agent_family", "reason"], sort=True, dropna=False)
    return names.beside(grouped.agg(**_COUNTED).reset_index(), facts.known)


def news(facts: Facts) -> pd.DataFrame:
    """What each principal of the attack did for the first time, against its own days before; a network with its name.

    Columns: principal, dimension (network, user agent, Region, API, hour), value, name, first_seen, event_id, events,
    compared (with how many days, or that there is no baseline).
    """
    table = new_in_attack(facts.case).drop(columns=["account_id", "own_days"])
    titles = [facts.known.address(row.value) if row.dimension == "network" else "" for row in table.itertuples()]
    if any(titles):
        table.insert(list(table.columns).index("value") + 1, "name", titles)
    return table


def leads(facts: Facts) -> pd.DataFrame:
    """One row per open lead: node, its name where it has one, reason, rarity (1: not seen before the attack), evidence.

    The evidence are the events that the reason names, and those of the node's edges.
    """
    rows = [
        [lead["node"], facts.known.node(lead["node"]), lead["reason"], lead["rarity"],
         list(dict.fromkeys([*_ids(lead["reason"]), *facts.evidence(str(lead["node"]))]))]
        for lead in facts.scope.leads
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["node", "name", "reason", "rarity", "evidence"])
    return table if table["name"].any() else table.drop(columns="name")


def _ids(reason: str) -> list[str]:
    """Ids of events that a reason names."""
    return _EVENT.findall(reason)


def _event_rows(events: pd.DataFrame) -> list[list[Any]]:
    return [
        [
            one.event_time,
            "event",
            one.principal,
            f"{one.action} ({one.outcome}): {one.why}",
            one.verdict,
            [one.event_id],
        ]
        for one in events.itertuples(index=False)
    ]


def _finding_rows(facts: Facts) -> list[list[Any]]:
    return [
        [
            row.first_seen,
            "finding",
            row.product,
            f"{row.type} ({row.severity_label}): {row.title}",
            "",
            [row.finding_id],
        ]
        for row in facts.linked.itertuples(index=False)
    ]


def _note_rows(notes: pd.DataFrame) -> list[list[Any]]:
    return [[note.time, "note", note.by, note.text, "", []] for note in notes.itertuples(index=False)]


def _decision_rows(case: Case) -> list[list[Any]]:
    return [
        [one.at or queries.as_of(case), "decision", one.by, f"{word} {one.node}: {one.reason}", "", []]
        for word, made in (("confirmed", case.confirmed), ("cleared", case.cleared))
        for one in made
    ]
