"""The way in, as data and in words."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from html import escape
from typing import Any

import pandas as pd

from cirtlib.display import Statement, show_statements
from cirtlib.exposure.credentials import Credential
from cirtlib.exposure.path import Path
from cirtlib.exposure.rules import Rule
from cirtlib.exposure.table import Cause
from cirtlib.exposure.weakness import Judged, Sign
from cirtlib.text import visible

_CAUSES = 6
_MARKS = {"yes": "yes", "no": "NO", "unknown": "unknown"}


@dataclass(frozen=True)
class Instance:
    """An instance whose credentials the attacker held, or that a seed names.

    Attributes
    ----------
    path
        what lies between it and the internet, with the evidence.
    first
        moment of the first sign of the attack on it: a finding, or the attacker's first use of its credentials.
    signs
        findings on it, the earliest first.
    doors
        rules that open its groups to the world: who, when, event.
    judged
        causes ranked, what shows reach or gaps, and how many control findings have nothing to do with it.
    acts
        what its role then did, by verdict and call: events, first, last, ids.
    """

    path: Path
    first: datetime | None
    signs: tuple[Sign, ...]
    doors: tuple[Rule, ...]
    judged: Judged
    acts: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class WayIn:
    """How the attacker came in: by which credentials, through which instances."""

    case: str
    credentials: tuple[Credential, ...]
    instances: tuple[Instance, ...]
    checks: int

    def to_dict(self) -> dict[str, Any]:
        """The way in as `cirt way-in --format json` prints it: plain values, times as ISO 8601 in UTC."""
        content: dict[str, Any] = _plain(self)
        return {"schema_version": 1, **content, "statements": self._said()}

    def _said(self) -> list[dict[str, Any]]:
        return [
            {"section": title, "text": one.text, "evidence": list(one.evidence), "count": max(one.total, len(one.evidence))}
            for title, said in self.sections()
            for one in said
        ]

    def sections(self) -> list[tuple[str, list[Statement]]]:
        """The whole in statements, each with its evidence, under headings."""
        told = [(f"Credential {one.node.partition(':')[2]}", _credential(one)) for one in self.credentials]
        return told + [(f"Instance {one.path.instance}", _instance(one, self.checks)) for one in self.instances]

    def summary(self) -> list[Statement]:
        """One statement for each credential and instance: the first cause, or what is not known."""
        said = []
        for one in self.credentials:
            text = f"{one.node.partition(':')[2]} ({one.method}): {_top(one.causes)}. Where it came from: {one.answer}"
            said.append(Statement(text, (str(one.first["event_id"]),)))
        for place in self.instances:
            causes = place.judged.causes
            said.append(
                Statement(f"{place.path.instance}: {_top(causes)}.", causes[0].evidence[:4] if causes else ())
            )
        return said

    def table(self) -> pd.DataFrame:
        """One row per factor of each cause: of, rank, cause, confidence, score, factor, holds, why, evidence."""
        rows = [
            {
                "of": name, "rank": rank, "cause": one.what, "confidence": one.confidence, "score": one.score,
                "factor": factor.name, "holds": factor.holds, "why": factor.text, "evidence": list(factor.evidence),
            }
            for name, causes in self._causes()
            for rank, one in enumerate(causes, 1)
            for factor in one.factors
        ]  # fmt: skip
        columns = ["of", "rank", "cause", "confidence", "score", "factor", "holds", "why", "evidence"]
        return pd.DataFrame(rows, columns=columns)

    def _causes(self) -> list[tuple[str, tuple[Cause, ...]]]:
        found = [(one.node.partition(":")[2], one.causes) for one in self.credentials]
        return found + [(one.path.instance, one.judged.causes) for one in self.instances]

    def __str__(self) -> str:
        """The way in for a terminal: what logs say is made visible, never obeyed."""
        lines = []
        for title, said in self.sections():
            lines += [title, *(f"  {one.text}{_cited(one)}" for one in said), ""]
        text = "\n".join(lines).rstrip() or "No compromised credential that the attacker did not make, and no instance."
        return visible(text, keep="\n")

    def _repr_html_(self) -> str:
        parts = [f"<h3>{escape(visible(title))}</h3>{show_statements(said).text}" for title, said in self.sections()]
        return "".join(parts) or show_statements([], none="Nothing to say of the way in.").text


def _credential(one: Credential) -> list[Statement]:
    first = one.first
    said = [
        Statement(
            f"First abnormal use: {first['call']} at {_when(first['time'])} UTC from {first['address']} with "
            f"{first['user_agent']}, as {one.principal}.",
            (str(first["event_id"]),),
        ),
        Statement(
            f"Obtained: {one.method}" + (f", issued to it by {one.minted_by}." if one.minted_by else "."),
            (one.mint_event,) if one.mint_event else (),
        ),
    ]
    if one.method == "long-term key":
        age = f"{one.age_days} days ({one.age_from})" if one.age_days is not None else "not in these logs nor a snapshot"
        said.append(Statement(f"Age of the key at that time: {age}."))
    mfa = {True: "with MFA", False: "without MFA", None: "whether with MFA cannot be seen"}[one.mfa]
    said.append(Statement(f"The session was made {mfa}." if one.mfa is not None else f"Of the session, {mfa}."))
    said += _causes(one.causes)
    said.append(Statement(f"Where it came from: {one.answer}"))
    return said


def _instance(one: Instance, checks: int) -> list[Statement]:
    path = one.path
    parts = ", ".join(f"{kind} {name}" for name, kind in path.kinds.items() if kind not in ("instance", "account"))
    ids = tuple(dict.fromkeys(one for name in path.kinds for one in path.evidence.get(name, ())))
    said = [Statement(f"On its path: {parts or 'nothing is known of its groups, subnet and role'}.", ids[:4], len(ids))]
    if one.first is not None:
        said.append(Statement(f"First sign of the attack on it: {_when(one.first)} UTC.", _first(one)))
    said += _causes(one.judged.causes)
    for rule in one.doors:
        closed = f"; closed at {_when(rule.closed)} UTC" if rule.closed else "; no record closes it"
        text = f"{rule.opened_by} opened {rule.ports} of {rule.group} to {rule.network} at {_when(rule.opened)} UTC{closed}."
        said.append(Statement(text, rule.evidence))
    said += [Statement(f"GuardDuty: {sign.kind}, first at {_when(sign.first)} UTC.", (sign.finding,)) for sign in one.signs]
    for row in one.judged.beside:
        lead = "How far it reaches" if row["role"] == "reach" else "A gap in what can be seen"
        said.append(Statement(f"{lead}: {row['control']} {row['status']} on {row['resource']}: {row['text']}.", (row["finding_id"],)))
    mine = [act for act in one.acts if act["verdict"] == "attacker"]
    for act in mine:
        said.append(Statement(f"Then its role: {act['call']}, {act['events']} times from {_when(act['first'])} UTC.", act["ids"], act["events"]))
    if not mine:
        said.append(Statement("No act of its role is judged the attacker's."))
    said.append(Statement(f"{one.judged.irrelevant} of {checks} control findings have nothing to do with this instance."))
    return said


def _first(one: Instance) -> tuple[str, ...]:
    return tuple(sign.finding for sign in one.signs if sign.first == one.first)[:2] or tuple(
        act["ids"][0] for act in one.acts if act["verdict"] == "attacker" and act["first"] == one.first
    )


def _causes(causes: tuple[Cause, ...]) -> list[Statement]:
    said = []
    for rank, one in enumerate(causes[:_CAUSES], 1):
        told = "; ".join(f"{factor.name}: {_MARKS[factor.holds]}, {factor.text}" for factor in one.factors)
        named = f" [{', '.join(one.controls)}]" if one.controls else ""
        text = f"{rank}. {one.what}{named}, {one.confidence} ({one.score:.2f}): {told}."
        said.append(Statement(text, one.evidence[:4], len(one.evidence)))
    if len(causes) > _CAUSES:
        said.append(Statement(f"{len(causes) - _CAUSES} weaker ones are in the table."))
    return said


def _top(causes: tuple[Cause, ...]) -> str:
    return f"{causes[0].what} ({causes[0].confidence})" if causes else "no cause is in the evidence"


def _cited(one: Statement) -> str:
    more = max(one.total, len(one.evidence)) - len(one.evidence)
    return f" [{', '.join(one.evidence)}{f', {more:,} more' if more else ''}]" if one.evidence else ""


def _plain(value: Any) -> Any:  # noqa: ANN401 - any part of a way in
    """Value as JSON can hold it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: _plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | frozenset | set):
        return [_plain(part) for part in (sorted(value) if isinstance(value, frozenset | set) else value)]
    if isinstance(value, datetime):
        return None if pd.isna(value) else f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return value.item() if hasattr(value, "item") else value


def _when(time: datetime | None) -> str:
    return "an unknown time" if time is None or pd.isna(time) else f"{time:%Y-%m-%d %H:%M}"
