"""Each event as one row for a reader: its verdict, what it means, and who did what to whom in words."""

import re
from collections.abc import Iterator
from typing import Any

import pandas as pd

from cirtlib import techniques
from cirtlib.timeline.keys import targets

COLUMNS = (
    "event_time", "verdict", "words", "principal", "credential", "action", "target", "outcome", "error_code", "tactic",
    "technique", "ttc", "source_ip", "user_agent_family", "region", "account_id", "event_id", "reason",
)  # fmt: skip
# Rows are made and written in parts of this size, so that memory does not grow with their number.
_PART = 10_000
_ACCOUNT = re.compile(r" \(\d{12}\)$")


def told(acts: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows (`COLUMNS`) of judged events, one by one, in their order."""
    for start in range(0, len(acts), _PART):
        for act in acts.iloc[start : start + _PART].to_dict("records"):
            yield row(act)


def row(act: dict[Any, Any]) -> dict[str, Any]:
    """Row of one judged event."""
    target = targets(act["request"], act["response"])
    service = str(act["event_source"] or "").removesuffix(".amazonaws.com")
    return {name: act.get(name) for name in COLUMNS} | {
        "words": words(act, target),
        "action": f"{service}:{act['event_name']}",
        "target": target,
        "technique": techniques.shown(act["technique"], act["technique_old"]),
    }


def words(act: dict[Any, Any], target: str) -> str:
    """Sentence: who did what to whom, and whether it succeeded."""
    what = techniques.describe(act["event_source"], act["event_name"]).what
    named = f": {target}" if target else ""
    tried = {"ok": "", "denied": "was denied: ", "throttled": "was throttled: "}.get(str(act["outcome"]), "failed: ")
    return f"{who(act['principal'])} {tried}{what}{named}"


def brief(bursts: pd.DataFrame) -> pd.DataFrame:
    """Bursts as a person reads them: when, who, from where, what, whose verdict, how many; under the same names.

    An account stands beside a name only where there are several.
    """
    names = [who(principal) for principal in bursts["principal"]]
    if len({found[0] for name in names if (found := _ACCOUNT.search(name))}) == 1:
        names = [_ACCOUNT.sub("", name) for name in names]
    rows = [
        {
            "start": f"{burst.start:%Y-%m-%d %H:%M}",
            "principal": name,
            "source_ip": ", ".join(burst.source_ip),
            "actions": ", ".join(burst.actions) + (f" ({burst.denied} denied)" if burst.denied else ""),
            "verdict": burst.verdict,
            "events": burst.events,
        }
        for name, burst in zip(names, bursts.itertuples(), strict=True)
    ]
    return pd.DataFrame(rows, columns=["start", "principal", "source_ip", "actions", "verdict", "events"])


def who(principal: object) -> str:
    """Short name of a principal with its account: `user dev (111122223333)`."""
    if not isinstance(principal, str) or not principal:
        return "somebody unnamed"
    parts = principal.split(":", 5)
    if len(parts) < 6 or "/" not in parts[5]:
        return principal
    kind, _, name = parts[5].partition("/")
    return f"{kind} {name.rpartition('/')[2] if parts[2] == 'iam' else name} ({parts[4]})"
