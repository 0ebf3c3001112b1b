"""A credential and an instance in words, each statement with its evidence."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from cirtlib.display import Statement
from cirtlib.exposure.credentials import Credential
from cirtlib.exposure.path import Path
from cirtlib.exposure.rules import Rule
from cirtlib.exposure.table import Cause
from cirtlib.exposure.weakness import Judged, Sign
from cirtlib.text import many

_CAUSES = 6
_MARKS = {"yes": "yes", "no": "NO", "unknown": "unknown"}
# Credentials that a service hands out: there is no person to ask for a second factor.
_OF_SERVICES = ("instance", "Lambda", "pod", "workload outside AWS", "OIDC")


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


def credential(one: Credential) -> list[Statement]:
    """Statements on one credential: first abnormal use, how obtained, age, MFA, causes, where it came from."""
    first = one.first
    said = [
        Statement(
            f"First abnormal use: {first['call']} at {_when(first['time'])} UTC from {first['address']} with "
            f"{first['user_agent']}, as {one.principal}.",
            (str(first["event_id"]),),
        ),
        Statement(
            f"Obtained: {one.method}" + (f", issued to it by {one.minted_by}." if one.minted_by else "."),
            (one.mint_event or str(first["event_id"]),),
        ),
    ]
    if one.method == "long-term key":
        age = (
            f"{one.age_days} days ({one.age_from})" if one.age_days is not None else "not in these logs nor a snapshot"
        )
        said.append(Statement(f"Age of the key at that time: {age}."))
    mfa = {True: "with MFA", False: "without MFA", None: "whether it was used cannot be seen"}[one.mfa]
    if one.method not in _OF_SERVICES:
        said.append(Statement(f"Used {mfa}." if one.mfa is not None else f"MFA: {mfa}."))
    said += _causes(one.causes)
    if not one.origin_shown:
        said.append(Statement(f"Where it came from: {one.answer}"))
    return said


def instance(one: Instance, checks: int) -> list[Statement]:
    """Statements on one instance; `checks` is how many control findings the case has."""
    path = one.path
    parts = ", ".join(f"{kind} {name}" for name, kind in path.kinds.items() if kind not in ("instance", "account"))
    ids = tuple(dict.fromkeys(one for name in path.kinds for one in path.evidence.get(name, ())))
    said = [Statement(f"On its path: {parts or 'nothing is known of its groups, subnet and role'}.", ids[:4], len(ids))]
    if one.first is not None:
        said.append(Statement(f"First sign of the attack on it: {_when(one.first)} UTC.", _first(one)))
    said += _causes(one.judged.causes)
    for rule in one.doors:
        closed = f"; closed at {_when(rule.closed)} UTC" if rule.closed else "; no record closes it"
        opened = f"{rule.opened_by} opened {rule.ports} of {rule.group} to {rule.network}"
        text = f"{opened} at {_when(rule.opened)} UTC{closed}."
        said.append(Statement(text, rule.evidence))
    said += [
        Statement(f"GuardDuty: {sign.kind}, first at {_when(sign.first)} UTC.", (sign.finding,)) for sign in one.signs
    ]
    said += [Statement(_beside(row), (row["finding_id"],)) for row in one.judged.beside]
    if any(cause.role == "door" for cause in one.judged.causes):
        said.append(
            Statement(
                "Whether anybody logged in through an open port is not in CloudTrail: look in VPC flow logs and in the "
                "instance's own logs."
            )
        )
    said += _acts(one.acts)
    said.append(
        Statement(
            f"{one.judged.irrelevant} of {many(checks, 'control finding')} passed, or have to do with other things."
        )
    )
    return said


def _beside(row: dict[str, Any]) -> str:
    """A control that is no cause: as a fact where it failed, else as not known."""
    lead = "How far it reaches" if row["role"] == "reach" else "A gap in what can be seen"
    which, status = f"{row['control']} on {row['resource']}", row["status"]
    if row["state"] == "unknown":
        return f"{lead}, not known: the check {which} said {status or 'nothing'}, which would show: {row['text']}."
    since = "" if status == "FAILED" else f" when the attack began (now {status})"
    return f"{lead}: {row['control']} FAILED on {row['resource']}{since}: {row['text']}."


def _acts(acts: tuple[dict[str, Any], ...]) -> list[Statement]:
    """What the role did in the attacker's hands: its reading in one statement, then each other call."""
    mine = [act for act in acts if act["verdict"] == "attacker"]
    if not mine:
        return [Statement("No act of its role is judged the attacker's.")]
    said, reads = [], sorted((act for act in mine if act["reads"]), key=lambda act: -act["events"])
    if reads:
        calls = ", ".join(call_name(act) for act in reads[:8]) + (
            f" and {len(reads) - 8} more" if len(reads) > 8 else ""
        )
        number = sum(act["events"] for act in reads)
        text = f"Then its role read: {number} events of {calls}, from {_when(min(act['first'] for act in reads))} UTC."
        said.append(Statement(text, tuple(act["ids"][0] for act in reads[:4]), number))
    for act in (act for act in mine if not act["reads"]):
        times = "once" if act["events"] == 1 else f"{act['events']} times"
        denied = "denied" if act["denied"] == act["events"] else f"{act['denied']} denied"
        text = f"Then its role called {call_name(act)} {times} from {_when(act['first'])} UTC"
        text += f", {denied}." if act["denied"] else "."
        said.append(Statement(text, act["ids"], act["events"]))
    return said


def call_name(act: dict[str, Any]) -> str:
    """A call without the long name of its service: `s3 GetObject`."""
    service, _, call = str(act["call"]).partition(" ")
    return f"{service.removesuffix('.amazonaws.com')} {call}"


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


def _when(time: datetime | None) -> str:
    return "an unknown time" if time is None or pd.isna(time) else f"{time:%Y-%m-%d %H:%M}"
