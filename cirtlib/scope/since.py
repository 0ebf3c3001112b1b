"""What is new since an earlier scope: nodes and their status, edges, leads, and verdicts on events."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cirtlib.case import Case
from cirtlib.errors import NotFoundError
from cirtlib.scope import PREVIOUS, Scope, is_current, verdicts_beside

LAST = "last"
COLUMNS = ("what", "which", "before", "after", "evidence", "count")
_SHOWN = 3


@dataclass(frozen=True)
class Since:
    """Changes from an earlier scope to a later one; `before` or `after` is None for what is new or gone.

    Attributes
    ----------
    as_of
        The earlier scope's "now".
    nodes
        id, before, after: the statuses.
    edges
        from, to, kind, before, after (their confidence), evidence, evidence_count.
    leads
        node, reason, before, after (True where it is a lead).
    verdicts
        event_id, account_id, before, after; None where the earlier verdicts are not kept beside that scope.
    """

    as_of: str
    nodes: tuple[dict[str, Any], ...]
    edges: tuple[dict[str, Any], ...]
    leads: tuple[dict[str, Any], ...]
    verdicts: tuple[dict[str, Any], ...] | None

    def to_dict(self) -> dict[str, Any]:
        """The changes as `cirt scope --since --format json` prints them under `since`."""
        parts = {"nodes": self.nodes, "edges": self.edges, "leads": self.leads, "verdicts": self.verdicts}
        return {"as_of": self.as_of} | {key: None if part is None else list(part) for key, part in parts.items()}

    def mark(self, node: str) -> str:
        """Word beside a node of the later scope: `new`, `was suspected`, or nothing."""
        for one in self.nodes:
            if one["id"] == node:
                return "new" if one["before"] is None else f"was {str(one['before']).replace('_', ' ')}"
        return ""

    def table(self) -> pd.DataFrame:
        """One row per change (`COLUMNS`); changed verdicts are one row for each pair of verdicts."""
        rows = [["node", one["id"], one["before"], one["after"], [], 0] for one in self.nodes]
        rows += [
            ["edge", f"{one['from']} {one['kind']} {one['to']}", one["before"], one["after"], one["evidence"][:_SHOWN],
             one["evidence_count"]]
            for one in self.edges
        ]  # fmt: skip
        words = {True: "lead", False: None}
        rows += [
            ["lead", f"{one['node']}: {one['reason']}", words[one["before"]], words[one["after"]], [], 0]
            for one in self.leads
        ]
        pairs: dict[tuple[str, str], list[str]] = {}
        for one in self.verdicts or ():
            pairs.setdefault((str(one["before"] or "none"), str(one["after"] or "none")), []).append(one["event_id"])
        rows += [["verdict", "events", *pair, ids[:_SHOWN], len(ids)] for pair, ids in sorted(pairs.items())]
        return pd.DataFrame(rows, columns=list(COLUMNS))


def earlier(case: Case, last: str) -> tuple[dict[str, Any], pd.DataFrame | None]:
    """Content of an earlier scope and, where they are kept beside it, its verdicts.

    Parameters
    ----------
    last
        path of an earlier scope.json, or `last`: the scope before the present one, which is the written one as long as
        case or evidence have changed since, else the one kept as out/scope.previous.json.

    Raises
    ------
    NotFoundError
        when there is none, or the file is no scope.
    """
    file = _last(case) if last == LAST else Path(last)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = "there is no earlier scope of this case; it is kept from the second on" if last == LAST else "no file"
        raise NotFoundError(f"--since {last}: {hint}; give the path of an earlier scope.json") from None
    except (OSError, ValueError) as error:
        raise NotFoundError(f"--since {last}: cannot be read as a scope.json: {error}") from None
    if not isinstance(content, dict) or not {"nodes", "edges", "leads"} <= set(content):
        raise NotFoundError(f"--since {last}: this is no scope.json; `cirt scope CASE` writes one to out/scope.json")
    events = verdicts_beside(file)
    return content, pd.read_parquet(events) if events.is_file() else None


def _last(case: Case) -> Path:
    present = case.out / "scope.json"
    if present.is_file() and not is_current(case, json.loads(present.read_text(encoding="utf-8"))):
        return present
    return case.out / PREVIOUS


def since(before: tuple[dict[str, Any], pd.DataFrame | None], later: Scope) -> Since:
    """What differs between an earlier scope, as `earlier` gives it, and a later one."""
    content, judged = before
    old, new = content, later.to_dict()
    nodes = _differences(
        {node["id"]: node["status"] for node in old["nodes"]}, {node["id"]: node["status"] for node in new["nodes"]}
    )
    edges = {_edge(edge): edge for edge in (*old["edges"], *new["edges"])}
    sure = _differences(*({_edge(edge): edge["confidence"] for edge in one["edges"]} for one in (old, new)))
    leads = {_lead(lead): lead for lead in (*old["leads"], *new["leads"])}
    open_ = _differences(*({_lead(lead): True for lead in one["leads"]} for one in (old, new)))
    return Since(
        as_of=str(old.get("as_of")),
        nodes=tuple({"id": name, "before": was, "after": now} for name, (was, now) in nodes.items()),
        edges=tuple(
            {key: edges[name][key] for key in ("from", "to", "kind", "evidence", "evidence_count")}
            | {"before": was, "after": now}
            for name, (was, now) in sure.items()
        ),
        leads=tuple(
            {"node": leads[name]["node"], "reason": leads[name]["reason"], "before": bool(was), "after": bool(now)}
            for name, (was, now) in open_.items()
        ),
        verdicts=None if judged is None else tuple(_verdicts(judged, later.verdicts)),
    )


def _differences(old: dict[Any, Any], new: dict[Any, Any]) -> dict[Any, tuple[Any, Any]]:
    """Keys whose value is another, with both values; None for what is not there."""
    return {key: (old.get(key), new.get(key)) for key in sorted({*old, *new}) if old.get(key) != new.get(key)}


def _edge(edge: dict[str, Any]) -> tuple[str, str, str]:
    return edge["from"], edge["to"], edge["kind"]


def _lead(lead: dict[str, Any]) -> tuple[str, str]:
    """A lead without its counts, which grow with the evidence."""
    return lead["node"], str(lead["reason"]).partition(" (")[0]


def _verdicts(old: pd.DataFrame, new: pd.DataFrame) -> list[dict[str, Any]]:
    key = ["event_id", "account_id"]
    both = old[[*key, "verdict"]].merge(new[[*key, "verdict"]], on=key, how="outer", suffixes=("_old", "_new"))
    both = both.astype(object).where(both.notna(), None)
    changed = both[both["verdict_old"].astype(str) != both["verdict_new"].astype(str)].sort_values(key)
    return [
        {"event_id": row.event_id, "account_id": row.account_id, "before": row.verdict_old, "after": row.verdict_new}
        for row in changed.itertuples()
    ]
