"""What was left standing: steps not done or undone, checks that failed, nodes without a step, what is still open."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cirtlib.aftermath.holds import Hold
from cirtlib.aftermath.runs import DONE, PENDING, SKIPPED, UNDONE, Carried
from cirtlib.case import Case, read_json
from cirtlib.facts import Facts

COLUMNS = ("verdict", "what", "account", "region", "step", "node", "reason", "event_ids")
NOT_CONTAINED, UNKNOWN = "not contained", "unknown"
_ENDED = ("closed", "expired")


@dataclass(frozen=True)
class _Node:
    """A node of the extent: its account, and whether access hangs on it."""

    account: str | None
    is_access: bool


def left_standing(facts: Facts, steps: Sequence[Carried], holds: Sequence[Hold], open_: pd.DataFrame) -> pd.DataFrame:
    """What was left standing (`COLUMNS`), what decides the verdict first.

    `verdict` is what follows for the account: not contained, unknown, or nothing where it is only to be known. `region`
    is None where the whole account is meant.
    """
    nodes = {node["id"]: _Node(node["account"], node["kind"] in ("credential", "principal")) for node in facts.extent}
    held = {node for one in steps if _holds(one, holds) for node in one.step["nodes"]}
    rows = [
        *_steps(steps, nodes, held),
        *_unchecked(steps),
        *_nodes(facts, steps, nodes, open_),
        *_open(open_, steps, held),
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    order = table["verdict"].map({NOT_CONTAINED: 0, UNKNOWN: 1}).fillna(2)
    return table.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def _holds(one: Carried, holds: Sequence[Hold]) -> bool:
    """Whether a step takes access away and stands."""
    return one.state == DONE and any(hold.step == one.step["id"] and hold.stands() for hold in holds)


def _steps(steps: Sequence[Carried], nodes: dict[str, _Node], held: set[str]) -> Iterator[list[Any]]:
    """Rows of steps that do not stand."""
    for one in steps:
        loose = [
            name for name in one.step["nodes"] if (node := nodes.get(name)) and node.is_access and name not in held
        ]
        if one.state == PENDING:
            verdict, reason = (NOT_CONTAINED if one.contains else ""), "the step was not done"
        elif one.state == SKIPPED:
            verdict, reason = (NOT_CONTAINED if one.contains and loose else ""), "the step was passed over (--skip)"
        elif one.state == UNDONE:
            verdict = NOT_CONTAINED if one.contains and loose else ""
            reason = f"the step was rolled back at {one.until:%Y-%m-%dT%H:%M:%SZ}"
        elif one.checked.startswith("verification failed"):
            verdict, reason = (NOT_CONTAINED if one.contains else ""), f"the last verify.sh: {one.checked}"
        else:
            continue
        step = one.step
        region = None if step["api"]["service"] in ("iam", "sts", "organizations") else step["region"]
        yield [
            verdict,
            "step",
            step["account"],
            region,
            step["id"],
            ", ".join(step["nodes"]),
            reason,
            step.get("why", []),
        ]


def _unchecked(steps: Sequence[Carried]) -> Iterator[list[Any]]:
    """One row for each account of steps that were done and that nothing has checked since."""
    for reason, said in (
        ("verify.sh has not checked them since they were done", False),
        ("only --since tells that they were done: nothing has checked them", True),
    ):
        own = [one.step for one in steps if one.state == DONE and not one.checked and one.said is said]
        for account in dict.fromkeys(step["account"] for step in own):
            ids = ", ".join(dict.fromkeys(step["id"] for step in own if step["account"] == account))
            yield ["", "not verified", account, None, ids, "", reason, []]


def _nodes(facts: Facts, steps: Sequence[Carried], nodes: dict[str, _Node], open_: pd.DataFrame) -> Iterator[list[Any]]:
    """Rows of nodes that no step deals with: those that the plan gives a reason for, and those it did not know."""
    planned = {node for one in steps for node in one.step["nodes"]}
    reasons = _unplanned(facts.case)
    ended = set(open_.loc[open_["state"].isin(_ENDED), "node"])
    for name, node in nodes.items():
        if name in planned:
            continue
        known = name in reasons
        verdict = ""
        if node.is_access and name not in ended:
            verdict = UNKNOWN if known else NOT_CONTAINED
        reason = f"without a step: {reasons[name]}" if known else "the plan did not know of it: plan again"
        yield [verdict, "node", node.account, None, "", name, reason, list(facts.evidence(name))[:20]]


def _unplanned(case: Case) -> dict[str, str]:
    plan = read_json(case.out / "plan" / "plan.json", {})
    return {one["node"]: one["reason"] for one in plan.get("unplanned", [])}


def _open(open_: pd.DataFrame, steps: Sequence[Carried], held: set[str]) -> Iterator[list[Any]]:
    """Rows of what the logs show as open, other than what a step holds."""
    done = {node for one in steps if one.state == DONE for node in one.step["nodes"]} | held
    for row in open_.to_dict("records"):
        if row["state"] in _ENDED or row["node"] in done:
            continue
        what = f"{row['state']}: {row['what']}"
        yield ["", what, row["account_id"], None, "", row["node"], row["why"], list(row["event_ids"])]
