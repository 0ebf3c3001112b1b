"""What the attacker used and left, as a table for block lists and searches: indicators.csv.

What innocents used as well is in it, marked, and never offered for blocking. User agents, host names and accounts are
for searching: the first can be forged, the others may be a partner's.
"""

import re
from collections import Counter
from typing import Any

import pandas as pd

from cirtlib.containment.incident import Incident, Node
from cirtlib.containment.tables import as_csv
from cirtlib.text import visible

COLUMNS = (
    "kind", "value", "first_seen", "last_seen", "confidence", "events", "events_of_others", "block", "note",
    "event_ids",
)  # fmt: skip
_COMMAND = re.compile(r" md/command#\S+")
_IDS = 20  # event ids of one indicator
_SEEN = {"address": "source_ip", "user_agent": "user_agent", "tls_host": "tls_host"}
_NOTES = {
    "address": "Nobody but the attacker called from it in the logs.",
    "access_key": "Deactivated or revoked by the plan; search for it in other accounts.",
    "user_agent": "For searching: whoever calls writes it.",
    "tls_host": "For searching: the endpoint that was called, not the attacker's own host.",
    "arn": "Made by the attacker: search for it in trust, resource and sharing policies.",
    "account": "Outside the accounts of the case: search for it in trust, resource and sharing policies.",
}
_PRIVATE = "A private address: it says nothing outside its own network."


def indicators(incident: Incident) -> str:
    """Text of indicators.csv (columns `COLUMNS`), by kind, earliest first."""
    rows = [*_seen(incident), *_named(incident)]
    rows.sort(key=lambda row: (list(_NOTES).index(row["kind"]), row["first_seen"], row["value"]))
    return as_csv(COLUMNS, ([str(row[name]) for name in COLUMNS] for row in rows))


def _seen(incident: Incident) -> list[dict[str, Any]]:
    """Addresses, user agents and host names of the attacker's calls, and how often others used the same."""
    events, rows = incident.log.attackers, []
    for kind, column in _SEEN.items():
        mine = events
        others: Counter[str] = Counter()
        for value, count in incident.log.counts_of_others(column).items():
            others[_general(value)] += count
        if kind == "address":
            mine = events[events["source_ip_kind"].isin(["public", "private"])]
        for value, found in mine.groupby(mine[column].map(_general), sort=True):
            shared = others[value]
            if kind == "tls_host" and shared:
                continue  # an endpoint of AWS that everybody calls
            row = _row(kind, str(value), found, shared, "certain")
            if kind == "address" and not shared:
                public = (found["source_ip_kind"] == "public").all()
                row |= {"block": "yes"} if public else {"note": _PRIVATE}
            rows.append(row)
    return rows


def _general(value: Any) -> Any:  # noqa: ANN401 - text, or what pandas has for none
    """User agent without the command that the AWS CLI names in it: the same program, whatever it was told to do."""
    return _COMMAND.sub("", value) if isinstance(value, str) else value


def _named(incident: Incident) -> list[dict[str, Any]]:
    """Keys that the attacker held, things that he made, and accounts that are not ours, as the scope names them."""
    rows = []
    events, others = incident.log.attackers, incident.log.counts_of_others("access_key_id")
    for node in incident.scope["nodes"]:
        kind = _kind(node, incident)
        if not kind:
            continue
        evidence = {one for edge in incident.scope["edges"] if node["id"] in (edge["from"], edge["to"])
                    for one in edge["evidence"]}  # fmt: skip
        about = events["event_id"].isin(evidence)
        shared = 0
        if kind == "access_key":
            about |= events["access_key_id"] == node["value"]
            shared = others.get(node["value"], 0)
        sure = str(node.get("confidence") or "")
        rows.append(_row(kind, str(node["value"]), events[about], shared, sure, seen=str(node.get("first_seen") or "")))
    return rows


def _kind(node: Node, incident: Incident) -> str:
    mine = node["status"] == "attacker_created"
    if node["id"].startswith("access_key:") and node["status"] in ("compromised", "attacker_created"):
        return "access_key"
    if node["kind"] in ("principal", "resource") and mine:
        return "arn"
    foreign = node["kind"] == "account" and node["value"] not in incident.accounts
    return "account" if foreign and node["status"] != "cleared" else ""


def _row(kind: str, value: str, found: pd.DataFrame, shared: int, sure: str, *, seen: str = "") -> dict[str, Any]:
    note = _NOTES[kind]
    if shared:
        shared_by = "Its owner" if kind == "access_key" else "Others"
        ends = "the plan ends it." if kind == "access_key" else "do not block it by itself."
        note = f"{shared_by} used it as well ({shared:,} events): {ends}"
    times = found["event_time"].dropna()
    first, last = (_time(times.min()), _time(times.max())) if len(times) else (seen, "")
    ids = list(dict.fromkeys(found.sort_values("event_time")["event_id"]))
    more = [f"and {len(ids) - _IDS:,} more"] if len(ids) > _IDS else []
    return {
        "kind": kind,
        "value": visible(value),
        "first_seen": first,
        "last_seen": last,
        "confidence": sure,
        "events": len(ids),
        "events_of_others": shared,
        "block": "no",
        "note": note,
        "event_ids": "; ".join([*ids[:_IDS], *more]),
    }


def _time(when: Any) -> str:  # noqa: ANN401 - Timestamp
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"
