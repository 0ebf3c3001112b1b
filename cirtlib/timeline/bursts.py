"""Bursts: what one principal did with one credential without a pause, as one line."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pandas as pd

from cirtlib.case import Case
from cirtlib.timeline.acts import judged_events

GAP = pd.Timedelta(minutes=5)
"""A pause longer than this ends a burst."""

COLUMNS = (
    "start", "end", "principal", "credential", "verdict", "events", "ok", "denied", "tactic", "tactics", "actions",
    "source_ip", "user_agent_family", "region", "account_id", "event_ids",
)  # fmt: skip

# Of several tactics in one burst, the first of these is the one to know.
GRAVEST = (
    "Impact", "Exfiltration", "Defense Impairment", "Persistence", "Privilege Escalation", "Credential Access",
    "Collection", "Lateral Movement", "Execution", "Stealth", "Resource Development", "Command and Control",
    "Initial Access", "Discovery",
)  # fmt: skip
_TOP = 6


def timeline(case: Case, *, everything: bool = False) -> pd.DataFrame:
    """Bursts of activity in the window, in order of time.

    Parameters
    ----------
    everything
        All principals; without it those of the extent and the leads, and whatever has a verdict.

    Returns
    -------
    DataFrame
        One row per burst: start, end, principal, credential (node id), verdict (attacker, owner, unclear or ''),
        events, ok, denied (counts), tactic (the gravest of what succeeded), tactics, actions (with counts), source_ip,
        user_agent_family, region, account_id, event_ids (lists).
    """
    return bursts(judged_events(case, everything=everything, details=False))


def bursts(acts: pd.DataFrame) -> pd.DataFrame:
    """Bursts of judged events. Acts with different verdicts are never one burst, for they are different people's."""
    if acts.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    acts = acts.assign(
        who=acts["principal"].astype(object).where(acts["principal"].notna(), ""),
        held=acts["credential"].astype(object).where(acts["credential"].notna(), ""),
    ).sort_values(["who", "held", "verdict", "event_time", "event_id"], kind="stable")
    keys = ["who", "held", "verdict"]
    pause = acts.groupby(keys, sort=False)["event_time"].diff() > GAP
    fresh = acts[keys].ne(acts[keys].shift()).any(axis=1)
    rows = [_burst(group) for _, group in acts.groupby((pause | fresh).cumsum(), sort=False)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values(["start", "principal", "credential", "verdict"], ignore_index=True, kind="stable")


def _burst(group: pd.DataFrame) -> dict[str, Any]:
    first = group.iloc[0]
    done = group[group["outcome"] == "ok"]
    tactics = sorted(set((done if len(done) else group)["tactic"]) - {""}, key=GRAVEST.index)
    return {
        "start": first["event_time"],
        "end": group["event_time"].iloc[-1],
        "principal": first["who"],
        "credential": first["held"],
        "verdict": first["verdict"],
        "events": len(group),
        "ok": int((group["outcome"] == "ok").sum()),
        "denied": int((group["outcome"] == "denied").sum()),
        "tactic": tactics[0] if tactics else "",
        "tactics": tactics,
        "actions": counted(group["event_name"]),
        "event_ids": list(group["event_id"]),
    } | {name: _unique(group[name]) for name in ("source_ip", "user_agent_family", "region", "account_id")}


def counted(values: Iterable[object]) -> list[str]:
    """Commonest values with how often they occur, ties by name: `ListBuckets x3`; the last says what is left out."""
    counts = Counter(str(value) for value in values if isinstance(value, str))
    order = sorted(counts, key=lambda name: (-counts[name], name))
    shown = [f"{name} x{counts[name]}" if counts[name] > 1 else str(name) for name in order[:_TOP]]
    return [*shown, f"and {len(order) - _TOP} more"] if len(order) > _TOP else shown


def _unique(values: pd.Series) -> list[str]:
    return list(dict.fromkeys(values.dropna().astype(str)))
