"""What people decide about the steps of a plan, and what changed since the plan before.

A decision holds for what a step does, not for its number: when a later plan does something else to the same target, the
decision is shown as out of date, and when the same step only moves, it goes with it.
"""

import getpass
import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from cirtlib.case import Case, read_json
from cirtlib.errors import NotFoundError, PlanError

DECISIONS = ("approved", "held")
FILE = "plan_review.json"
PREVIOUS = "previous.json"
COLUMNS = ("id", "phase", "account", "title", "impact", "depends_on", "decision", "by", "at", "comment")
_WHAT = ("target", "account", "region", "api", "verify")
_NUMBER = re.compile(r"(?<!\$)\$\{\d+-")  # a reference to a step names it with its number


def digest(step: dict[str, Any]) -> str:
    """Digest of what a step of plan.json does, whatever its number."""
    back = step["rollback"] if isinstance(step["rollback"], str) else step["rollback"]["api"]
    what = {name: step[name] for name in _WHAT} | {"rollback": back}
    text = _NUMBER.sub("${", json.dumps(what, sort_keys=True))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def decide(case: Case, plan: dict[str, Any], step: str, decision: str, *, comment: str = "", by: str = "") -> None:
    """Record who approved or held a step, and why, in the case's plan_review.json.

    Parameters
    ----------
    plan
        plan.json.
    decision
        approved, held, or '' to take an earlier decision back.

    Raises
    ------
    NotFoundError
        when the plan has no such step.
    PlanError
        when the decision is none of these, or a step is held without a comment.
    """
    found = next((one for one in plan["steps"] if one["id"] == step), None)
    if found is None:
        raise NotFoundError(f"the plan has no step {step!r}; its steps are: {', '.join(_ids(plan))}")
    if decision not in (*DECISIONS, ""):
        raise PlanError(f"a step is approved or held, not {decision!r}")
    if decision == "held" and not comment.strip():
        raise PlanError(f"say why {step} is held: whoever runs the plan has to know")
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    row = {"step": _name(found), "digest": digest(found), "decision": decision, "comment": comment}
    kept = [one for one in _rows(case) if one["step"] != row["step"]]
    rows = [*kept, row | {"by": by or getpass.getuser(), "at": now}] if decision else kept
    (case.path / FILE).write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def reviewed(case: Case, plan: dict[str, Any]) -> pd.DataFrame:
    """Steps of plan.json with what was decided on each: `COLUMNS`.

    `decision` is approved, held, empty, or `out of date (approved)` where the step does something else by now.
    """
    decided = {one["step"]: one for one in _rows(case)}
    rows = []
    for step in plan["steps"]:
        one = decided.get(_name(step), {})
        decision = one.get("decision", "")
        if decision and one["digest"] != digest(step):
            decision = f"out of date ({decision})"
        said = [decision, one.get("by", ""), one.get("at", ""), one.get("comment", "")]
        rows.append([*(step[name] for name in COLUMNS[:6]), *said])
    return pd.DataFrame(rows, columns=list(COLUMNS))


def command(case: Case, plan: dict[str, Any]) -> str:
    """Line that runs the approved steps, and a sentence on what keeps which of them from running."""
    table = reviewed(case, plan)
    approved = list(table.loc[table["decision"] == "approved", "id"])
    if not approved:
        return "No step is approved yet: nothing is to be run."
    waiting = [
        f"{row.id} depends on {', '.join(missing)}, not approved"
        for row in table[table["id"].isin(approved)].itertuples()
        if (missing := [one for one in row.depends_on if one not in approved])
    ]
    whole = len(approved) == len(table)
    line = "./contain.sh --execute" + ("" if whole else "".join(f" --step {one}" for one in approved))
    return "\n".join([line, *(f"# {one}: it will refuse to run" for one in waiting)])


def changes(before: dict[str, Any] | None, plan: dict[str, Any]) -> pd.DataFrame:
    """What a plan does that the one before did not: change (new, gone, other), step, title, account.

    Parameters
    ----------
    before
        plan.json of before; None gives no rows.
    """
    old = {_name(step): step for step in (before or plan)["steps"]}
    new = {_name(step): step for step in plan["steps"]}
    rows = [["new", step["id"], step["title"], step["account"]] for name, step in new.items() if name not in old]
    rows += [["gone", step["id"], step["title"], step["account"]] for name, step in old.items() if name not in new]
    rows += [
        ["other", step["id"], step["title"], step["account"]]
        for name, step in new.items()
        if name in old and digest(old[name]) != digest(step)
    ]
    return pd.DataFrame(rows, columns=["change", "step", "title", "account"])


def keep_previous(folder: Path, text: str) -> None:
    """Keep the plan.json that lies in `folder` as previous.json, when `text`, the new one, does something else."""
    old = folder / "plan.json"
    if old.is_file():
        was = old.read_text(encoding="utf-8")
        if len(changes(json.loads(was), json.loads(text))):
            (folder / PREVIOUS).write_text(was, encoding="utf-8")


def previous(case: Case) -> dict[str, Any] | None:
    """The plan before the one that lies in the case, None when there was none."""
    return read_json(case.out / "plan" / PREVIOUS)  # type: ignore[no-any-return]


def _name(step: dict[str, Any]) -> str:
    """What tells a step apart from plan to plan: its kind, its target and its title."""
    return f"{step['id'].partition('-')[2]} {step['target']} {step['title']}"


def _ids(plan: dict[str, Any]) -> list[str]:
    return [str(one["id"]) for one in plan["steps"]]


def _rows(case: Case) -> list[dict[str, Any]]:
    return list(read_json(case.path / FILE) or [])
