"""First tables of a case: what it is, where anything happened, which questions there are."""

import pandas as pd

from cirtlib import names, queries
from cirtlib.case import Case
from cirtlib.triage import distinct


def case_facts(case: Case) -> pd.DataFrame:
    """What case.yaml says, and what follows from the evidence where it says nothing."""
    start, end = queries.window(case)
    sources = [f"{source.kind}: {', '.join(map(str, source.options.values()))}" for source in case.sources]
    rows = {
        "case": case.name,
        "title": case.title,
        "window (UTC)": f"{start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S}",
        "as of (UTC)": f"{queries.as_of(case):%Y-%m-%d %H:%M:%S}",
        "baseline": f"{case.baseline_days} days before the attack, as far as they were collected",
        "accounts": ", ".join(case.accounts) or "those found",
        "Regions": ", ".join(case.regions) or "those found",
        "seeds": "; ".join(map(str, case.seeds)) or "none yet: choose one in 02_triage",
        "confirmed": "; ".join(decision.node for decision in case.confirmed) or "nothing yet",
        "cleared": "; ".join(decision.node for decision in case.cleared) or "nothing yet",
        "responders": ", ".join(case.responders) or "none named: name yours, so that no step hits them",
        "sources": "; ".join(sources) or "none",
    }
    return pd.DataFrame(rows.items(), columns=["what", "value"])


def activity(case: Case) -> pd.DataFrame:
    """One row per account and Region: events, principals, denied, first and last (UTC)."""
    events = queries.events(case)
    events = events.assign(denied=events["outcome"] == "denied")
    grouped = events.groupby(["account_id", "region"], dropna=False, sort=True)
    table = grouped.agg(
        events=("event_id", "size"),
        principals=("principal", "nunique"),
        denied=("denied", "sum"),
        first=("event_time", "min"),
        last=("event_time", "max"),
    )
    return names.beside(table.reset_index(), names.read(case))


def first_hour() -> pd.DataFrame:
    """One row per question that can be asked of a case, by topic."""
    rows = [[one.topic, one.name, one.question, one.why, ", ".join(one.parameters)] for one in queries.questions()]
    return pd.DataFrame(rows, columns=["topic", "name", "question", "why", "parameters"])


def findings_by_day(case: Case) -> pd.DataFrame:
    """One row per day of first sight and severity: findings, of which samples, their types."""
    findings = distinct(queries.findings(case))
    findings = findings.assign(day=findings["first_seen"].dt.strftime("%Y-%m-%d"))
    grouped = findings.groupby(["day", "severity_label"], dropna=False, sort=True)
    table = grouped.agg(
        findings=("finding_id", "nunique"), samples=("sample", "sum"), types=("type", lambda types: sorted(set(types)))
    )
    return table.reset_index()
