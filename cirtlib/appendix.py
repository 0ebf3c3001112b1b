"""Tables at the end of the report: the plan's steps, what was and was not seen, and every event it rests on."""

from collections.abc import Iterable

import pandas as pd

from cirtlib import coverage, names
from cirtlib.accounting import only_in_event_history
from cirtlib.case import Case, read_json
from cirtlib.containment import review
from cirtlib.coverage import Coverage
from cirtlib.facts import Facts

_CITED = 20  # how many events of one kind a statement cites


def plan_steps(facts: Facts) -> pd.DataFrame:
    """One row per step of the plan, in order, with the events and findings it rests on."""
    rows = [
        {
            "step": step["id"],
            "phase": step["phase"],
            "title": step["title"],
            "call": f"{step['api']['service']}:{step['api']['operation']}",
            "target": step["target"],
            "undo": "irreversible" if step["rollback"] == "irreversible" else "yes",
            "side_effects": " ".join([step["impact"], *step["side_effects"]]).strip(),
            "evidence": step["why"],
        }
        for step in facts.plan["steps"]
    ]
    columns = ["step", "phase", "title", "call", "target", "undo", "side_effects", "evidence"]
    return pd.DataFrame(rows, columns=columns)


def plan_breaks(facts: Facts) -> pd.DataFrame:
    """One row per step of the plan: what stops working, who used it, what it does not stop, and narrower ways."""
    columns = ["step", "title", "impact", "calls_a_day", "callers", "services", "sessions", "hours", "does_not_stop",
               "narrower"]  # fmt: skip
    rows = []
    for step in facts.plan["steps"]:
        used = step["used_by"] or {}
        narrower = [f"{one['title']}, only when {one['only_when']}" for one in step["alternatives"]]
        use = [used.get(name) for name in columns[3:8]]
        rows.append([step["id"], step["title"], step["impact"], *use, step["does_not_stop"], narrower])
    return pd.DataFrame(rows, columns=columns)


def plan_changes(case: Case, facts: Facts) -> pd.DataFrame:
    """What the plan does that the one which lies in the case did not; see `containment.review.changes`."""
    lies = read_json(case.out / "plan" / "plan.json")
    found = review.changes(lies, facts.plan)
    return found if len(found) else review.changes(review.previous(case), facts.plan)


def plan_unplanned(facts: Facts) -> pd.DataFrame:
    """One row per node of the extent without a step: node, reason, evidence."""
    rows = [[one["node"], one["reason"], list(facts.evidence(one["node"]))] for one in facts.plan["unplanned"]]
    return pd.DataFrame(rows, columns=["node", "reason", "evidence"])


def plan_recovery(facts: Facts) -> pd.DataFrame:
    """One row per thing to take back or to watch afterwards: title, when, how, target, the step it ends."""
    return pd.DataFrame(facts.plan["recovery"], columns=["title", "when", "how", "target", "step"])


def accounting(case: Case) -> pd.DataFrame:
    """One row per sum of the evidence's account: seen = kept + duplicate + rejected."""
    totals = (read_json(case.evidence / "collected.json") or {}).get("totals", {})
    meanings = {
        "objects": "files read",
        "seen": "records in them",
        "kept": "kept in the store",
        "duplicate": "seen again, equal in content",
        "rejected": "could not be read, each named below",
    }
    rows = [[name, totals.get(name, 0), meaning] for name, meaning in meanings.items()]
    return pd.DataFrame(rows, columns=["what", "number", "meaning"])


def rejections(case: Case) -> pd.DataFrame:
    """One row per rejected record: object, position in it, reason."""
    totals = (read_json(case.evidence / "collected.json") or {}).get("totals", {})
    return pd.DataFrame(totals.get("rejections", []), columns=["object", "position", "reason"])


def coverage_summary(case: Case | Coverage) -> pd.DataFrame:
    """One row per source, account, Region, extent and status: days, from when to when, objects, events, and why."""
    table = coverage.coverage(case)
    grouped = table.groupby(["source", "account", "region", "extent", "status"], dropna=False, sort=True)
    summary = grouped.agg(
        days=("day", "nunique"), first=("day", "min"), last=("day", "max"), objects=("objects", "sum"),
        events=("events", "sum"), reason=("reason", _reasons),
    )  # fmt: skip
    return _with_names(case, summary.reset_index())


def _with_names(case: Case | Coverage, table: pd.DataFrame) -> pd.DataFrame:
    return names.beside(table, names.read(case.held.case if isinstance(case, Coverage) else case))


def _reasons(values: pd.Series) -> str:
    """The first reason, and how many others there are."""
    found = list(dict.fromkeys(value for value in values if value))
    return (found[0] if found else "") + (f" (and {len(found) - 1:,} other reasons)" if len(found) > 1 else "")


def gaps(case: Case | Coverage) -> pd.DataFrame:
    """One row per gap of the logs: account, Region, from, to, reason."""
    return _with_names(case, pd.DataFrame(coverage.gaps(case), columns=["account", "region", "from", "to", "reason"]))


def evidence_index(facts: Facts) -> pd.DataFrame:
    """Every attacker event, every finding of the scope, and the first events of the owners: where the original lies.

    `object` begins the SHA-256 of the original in evidence/raw, `position` is the record's index in it.
    """
    acts = pd.concat([facts.attacker, facts.owner.iloc[:_CITED], facts.unclear.iloc[:_CITED]])
    events = pd.DataFrame({
        "id": acts["event_id"],
        "time": acts["event_time"],
        "account": acts["account_id"],
        "region": acts["region"],
        "who": acts["principal"],
        "what": acts["event_source"].str.removesuffix(".amazonaws.com") + ":" + acts["event_name"],
        "outcome": acts["outcome"],
        "source_ip": acts["source_ip"],
        "verdict": acts["verdict"],
        "object": acts["source_object"].str[:12],
        "position": acts["source_position"],
    })  # fmt: skip
    found = facts.linked
    findings = pd.DataFrame({
        "id": found["finding_id"],
        "time": found["first_seen"],
        "account": found["account_id"],
        "region": found["region"],
        "who": found["product"],
        "what": found["type"],
        "outcome": found["severity_label"],
        "object": found["source_object"].str[:12],
        "position": found["source_position"],
    })  # fmt: skip
    parts = [part for part in (events, findings) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else events


def event_history_alone(case: Case) -> pd.DataFrame:
    """Events that no log file holds: what event history kept while a trail was off, late, or somewhere else."""
    return only_in_event_history(case)


def faults(found: Iterable[object]) -> pd.DataFrame:
    """Faults of the evidence as a table of one column."""
    return pd.DataFrame([[str(fault)] for fault in found], columns=["fault"])
