"""The main job: from the evidence of a case to its scope, its containment plan and its report."""

import shlex
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from cirtlib.accounting import balance, gap_line, totals
from cirtlib.case import Case, read_json
from cirtlib.containment import Plan
from cirtlib.errors import EvidenceError
from cirtlib.report import report
from cirtlib.scope import Scope, load
from cirtlib.scope.extent import EXTENT
from cirtlib.scope.since import Since
from cirtlib.text import many

_SHOWN = 5
_STATUS_ORDER = [status.replace("_", "-") for status in EXTENT]


def extent_table(scope: Scope, news: Since | None = None, *, case: Case | None = None) -> pd.DataFrame:
    """The extent, one row per node: compromised first, then what the attacker made, then what was changed.

    With `news` a column `since` marks what an earlier scope did not have, or had with another status. With `case` what
    the analyst confirmed follows where it is not in the extent by its own acts, such as an instance whose credentials
    were held: its status reads `confirmed`, and the plan deals with it.
    """
    columns = ["status", "kind", "value", "account", "confidence", "first_seen", "last_seen", "attacker_events"]
    nodes = sorted(scope.extent(), key=lambda n: (EXTENT.index(n["status"]), n["kind"], n["value"]))
    decided = {decision.node for decision in case.confirmed} - {node["id"] for node in nodes} if case else set()
    nodes += [{**node, "status": "confirmed"} for node in scope.nodes if node["id"] in decided]
    table = pd.DataFrame([[node.get(name) for name in columns] for node in nodes], columns=columns)
    return table.assign(since=[news.mark(node["id"]) for node in nodes]) if news else table


def loose_ends(case: Case, scope: Scope) -> list[str]:
    """What a scope leaves to decide and what it could not see, in lines: leads with their command, decisions, gaps."""
    reasons: dict[str, list[str]] = {}
    for lead in scope.leads:
        reasons.setdefault(str(lead["node"]), []).append(str(lead["reason"]))
    lines = [f"confirmed by {one.by or 'the analyst'}: {one.node}: {one.reason}" for one in case.confirmed]
    lines += [f"lead: {node}: {'; '.join(why)}" for node, why in list(reasons.items())[:_SHOWN]]
    if len(reasons) > _SHOWN:
        lines.append(f"lead: {len(reasons) - _SHOWN:,} more")
    lines += [gap_line(gap) for gap in scope.gaps[:_SHOWN]]
    if len(scope.gaps) > _SHOWN:
        lines.append(f"gap: {len(scope.gaps) - _SHOWN:,} more")
    counted = f"{many(len(reasons), 'open lead')}, {many(len(scope.gaps), 'coverage gap')}"
    lines.append(f"{counted}; --format json gives the whole scope")
    if reasons:
        node = shlex.quote(next(iter(reasons)))
        folder = shlex.quote(str(case.path))
        lines.append(f"next: cirt confirm {folder} {node} --reason TEXT, or cirt clear {folder} {node} --reason TEXT")
    return lines


def plan_table(plan: Plan) -> pd.DataFrame:
    """The plan's steps in order: phase, what is called, on what."""
    rows = [
        {
            "id": step["id"],
            "phase": step["phase"],
            "account": step["account"],
            "operation": f"{step['api']['service']}:{step['api']['operation']}",
            "target": step["target"],
        }
        for step in plan.to_dict()["steps"]
    ]
    return pd.DataFrame(rows, columns=["id", "phase", "account", "operation", "target"])


def investigate(case: Case, *, redact: bool = False, say: Callable[[str], None] | None = None) -> list[str]:
    """Scope, plan and report; return what was found and where it lies, in ten lines or fewer.

    `say` is told what is being done.

    Raises
    ------
    EvidenceError
        when nothing has been collected.
    """
    if not case.manifest.is_file():
        raise EvidenceError(f"nothing has been collected for {case.name}; run: cirt collect {shown(case.path)}")
    tell = say or (lambda _: None)
    tell("scoping ...")
    found = load(case)
    tell("writing the plan and the report ...")
    page = report(case, redact=redact)
    steps = read_json(case.out / "plan" / "plan.json")["steps"]
    return [
        *_found(case, found),
        f"plan: {len(steps)} steps ({_counted(step['phase'] for step in steps)}): {shown(case.out / 'plan')}",
        f"report: {shown(page)}",
    ]


def _found(case: Case, scope: Scope) -> list[str]:
    content, extent = scope.to_dict(), scope.extent()
    attack, gaps = content["attack"], content["gaps"]
    lines = [f"{case.name}: {case.title}" if case.title else case.name]
    if extent:
        accounts = {node["account"] for node in extent if node.get("account")}
        lines.append(f"attack: {attack['first']} to {attack['last']}, accounts {', '.join(sorted(accounts))}")
        status = _counted(sorted((n["status"].replace("_", "-") for n in extent), key=_STATUS_ORDER.index))
        lines.append(f"extent: {status}: {_counted(sorted(n['kind'] + 's' for n in extent))}")
        lines.append(f"  {_names(extent)}")
    else:
        lines.append("extent: nothing; no seed leads to an event that is the attacker's")
    lines.append(f"open: {many(len(content['leads']), 'lead')} to confirm or clear, {many(len(gaps), 'coverage gap')}")
    numbers = totals(case)
    return [*lines, f"evidence: {balance(numbers)}"] if numbers else lines


def _names(extent: list[dict[str, Any]]) -> str:
    """The compromised, by their short names, as far as a line goes."""
    held = [node for node in extent if node["status"] == "compromised"]
    # Users and roles first: those are the names that people know.
    held.sort(key=lambda node: (node["kind"] != "principal", node["value"]))
    values = [str(node["value"]).rpartition(":")[2] for node in held]
    more = f" and {len(values) - 5} more" if len(values) > 5 else ""
    return f"compromised: {', '.join(values[:5])}{more}"


def _counted(values: Iterable[str]) -> str:
    return ", ".join(f"{count} {value}" for value, count in Counter(values).items())


def shown(path: Path) -> str:
    """A path as a person would type it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
