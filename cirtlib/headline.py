"""Severity and status of an incident, each with the reasons it rests on."""

from dataclasses import dataclass
from datetime import datetime
from html import escape

import pandas as pd

from cirtlib import queries
from cirtlib.case import Seed, parse_time
from cirtlib.display import Html, Statement, cite, show_statements
from cirtlib.facts import Facts
from cirtlib.narrative import spoken

_LEVELS = ("critical", "high", "medium", "low", "none")
_SHOWN = 20


@dataclass(frozen=True)
class Headline:
    """What a reader must know first: `severity` is one of critical, high, medium, low and none."""

    severity: str
    status: str
    reasons: tuple[Statement, ...]


def headline(facts: Facts) -> Headline:
    """Judge severity by what the attacker got done, and status by which credentials may still work."""
    found = sorted(_reasons(facts), key=lambda pair: _LEVELS.index(pair[0]))
    severity = found[0][0] if found else "none"
    return Headline(severity, _status(facts), tuple(statement for _, statement in found))


def show_headline(facts: Facts) -> Html:
    """Box with severity, status, and the case's key facts."""
    said = headline(facts)
    window = facts.scope.to_dict()["window"]
    attack = facts.scope.to_dict()["attack"]
    rows = {
        "Status": escape(said.status),
        "Why this severity": show_statements(said.reasons, none="No attacker event is known.").text,
        "Attack": escape(f"{_span(attack['first'], attack['last'])}" if attack["first"] else "none seen"),
        "Under investigation": escape(_span(window["start"], window["end"])),
        "As of": escape(f"{queries.as_of(facts.case):%Y-%m-%d %H:%M} UTC"),
        "Started from": "; ".join(_seed(facts, seed) for seed in facts.case.seeds) or "no seed",
    }
    lines = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows.items())
    title = f"{facts.case.name}{': ' + facts.case.title if facts.case.title else ''}"
    return Html(
        f'<section class="status {said.severity}" aria-label="Severity and status">'
        f'<strong><span class="chip {said.severity}">Severity: {said.severity}</span> {escape(title)}</strong>'
        f"<dl>{lines}</dl></section>"
    )


def _reasons(facts: Facts) -> list[tuple[str, Statement]]:
    """Every reason that holds, with the severity that it alone would give."""
    done = facts.attacker[facts.attacker["outcome"] == "ok"]
    accounts = sorted({str(node["account"]) for node in facts.extent if node["account"]})
    created = {edge["to"] for edge in facts.scope.edges if edge["kind"] == "created"}
    made = [node for node in facts.extent if node["id"] in created and node["kind"] != "resource"]
    lasting = [node for node in made if not node["expires"]]
    kinds = (
        ("critical", "Exfiltration", "Data was shared or sent outside"),
        ("high", "Defense Impairment", "Logging or detection was impaired"),
        ("high", "Privilege Escalation", "Privileges were taken or widened"),
        ("high", "Impact", "Resources were misused, changed or destroyed"),
    )
    found = [
        (level, Statement(f"{text}: {_names(acts)}.", *_cited(acts)))
        for level, tactic, text in kinds
        if len(acts := done[done["tactic"] == tactic])
    ]
    if len(accounts) > 1:
        evidence = tuple(str(acts["event_id"].iloc[0]) for _, acts in done.groupby("account_id"))
        text = f"The compromise reaches {len(accounts)} accounts: {', '.join(accounts)}."
        found.append(("critical", Statement(text, evidence)))
    if lasting:
        text = (
            "The attacker made access that does not expire: " + ", ".join(spoken(node["id"]) for node in lasting) + "."
        )
        ids = tuple(dict.fromkeys(one for node in lasting for one in facts.evidence(node["id"])))
        found.append(("high", Statement(text, ids[:_SHOWN], len(ids))))
    if not found and len(done):
        found.append(
            ("medium", Statement("The attacker's calls succeeded, but changed nothing that is known.", *_cited(done)))
        )
    if not found and len(facts.attacker):
        found.append(("low", Statement("All that the attacker tried was denied.", *_cited(facts.attacker))))
    return found


def _status(facts: Facts) -> str:
    """Which credentials of the extent may still work; the logs cannot show that a plan was run."""
    now = queries.as_of(facts.case)
    credentials = [node for node in facts.extent if node["kind"] == "credential"]
    if not facts.extent:
        return "No compromise is shown by the evidence and the seeds."
    usable = [node for node in credentials if not _expired(node["expires"], now)]
    steps = len([step for step in facts.plan["steps"] if step["phase"] != "prevent"])
    return (
        f"Open. {len(usable)} of {len(credentials)} credentials of the extent may still work, as far as their expiry "
        f"tells; the plan has {steps} steps. Whether they were run is not in this evidence."
    )


def _seed(facts: Facts, seed: Seed) -> str:
    """HTML of a seed: a finding by its type."""
    found = facts.linked[facts.linked["finding_id"] == seed.value]
    if seed.kind == "finding" and len(found):
        return f"{escape(str(found['type'].iloc[0]))} {cite([seed.value])}"
    return escape(f"{seed.kind} {seed.value}")


def _expired(when: str | None, now: datetime) -> bool:
    return when is not None and parse_time(when) <= now


def _names(acts: pd.DataFrame) -> str:
    names = list(dict.fromkeys(acts["event_name"]))
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _cited(acts: pd.DataFrame) -> tuple[tuple[str, ...], int]:
    return tuple(str(one) for one in acts["event_id"].iloc[:_SHOWN]), len(acts)


def _span(start: str | None, end: str | None) -> str:
    return f"{_time(start)} to {_time(end)} UTC"


def _time(text: str | None) -> str:
    return "?" if text is None else f"{parse_time(text):%Y-%m-%d %H:%M:%S}"
