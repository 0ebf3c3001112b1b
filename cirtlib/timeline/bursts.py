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
_KEYS = ("who", "held", "verdict")
_NEEDED = (
    *_KEYS, "event_time", "event_id", "event_name", "outcome", "tactic", "source_ip", "user_agent_family", "region",
    "account_id",
)  # fmt: skip


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
    return bursts(judged_events(case, everything=everything))


def bursts(acts: pd.DataFrame) -> pd.DataFrame:
    """Bursts of judged events. Acts with different verdicts are never one burst, for they are different people's."""
    if acts.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    acts = acts.assign(
        who=acts["principal"].astype(object).where(acts["principal"].notna(), ""),
        held=acts["credential"].astype(object).where(acts["credential"].notna(), ""),
    ).sort_values(["who", "held", "verdict", "event_time", "event_id"], kind="stable")
    rows: list[dict[str, Any]] = []
    run: list[dict[Any, Any]] = []
    for act in acts[list(_NEEDED)].to_dict("records"):
        if run and (act["event_time"] - run[-1]["event_time"] > GAP or any(act[key] != run[-1][key] for key in _KEYS)):
            rows.append(_burst(run))
            run = []
        run.append(act)
    rows.append(_burst(run))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values(["start", "principal", "credential", "verdict"], ignore_index=True, kind="stable")


def _burst(run: list[dict[Any, Any]]) -> dict[str, Any]:
    outcomes = [act["outcome"] for act in run]
    done = [act for act in run if act["outcome"] == "ok"]
    tactics = sorted({act["tactic"] for act in done or run} - {""}, key=GRAVEST.index)
    return {
        "start": run[0]["event_time"],
        "end": run[-1]["event_time"],
        "principal": run[0]["who"],
        "credential": run[0]["held"],
        "verdict": run[0]["verdict"],
        "events": len(run),
        "ok": len(done),
        "denied": outcomes.count("denied"),
        "tactic": tactics[0] if tactics else "",
        "tactics": tactics,
        "actions": counted(act["event_name"] for act in run),
        "event_ids": [act["event_id"] for act in run],
    } | {name: unique(act[name] for act in run) for name in ("source_ip", "user_agent_family", "region", "account_id")}


def counted(values: Iterable[object]) -> list[str]:
    """Commonest values with how often they occur, ties by name: `ListBuckets x3`; the last says what is left out."""
    counts = Counter(str(value) for value in values if isinstance(value, str))
    order = sorted(counts, key=lambda name: (-counts[name], name))
    shown = [f"{name} x{counts[name]}" if counts[name] > 1 else name for name in order[:_TOP]]
    return [*shown, f"and {len(order) - _TOP} more"] if len(order) > _TOP else shown


def unique(values: Iterable[object]) -> list[str]:
    """Texts among the values, each once, in order of first occurrence."""
    return list(dict.fromkeys(value for value in values if isinstance(value, str)))
