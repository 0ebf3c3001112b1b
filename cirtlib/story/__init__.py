"""What is known of one key, principal, address, program, instance, bucket, account or event.

Everything is counted inside the store; each statement names the events or findings it rests on.
"""

import re
from collections import defaultdict
from dataclasses import replace
from typing import Any

import duckdb
import pandas as pd

from cirtlib import coverage, names, scope
from cirtlib.case import Case, read_json
from cirtlib.engine import duckdb as engine
from cirtlib.errors import NotFoundError
from cirtlib.story import next_steps, seen, subject, words
from cirtlib.story.seen import Made, Use
from cirtlib.story.subject import Subject
from cirtlib.story.told import Next, Story

__all__ = ["Made", "Next", "Story", "Subject", "Use", "story"]

_EVIDENCE_SHOWN = 4


def story(case: Case, value: str) -> Story:
    """What is known of a value in this case.

    Parameters
    ----------
    value
        an access key id, a principal (ARN or bare name), an address or network, a user agent, an instance (id or ARN),
        a bucket (name or ARN), an account id, an event id, or a node id of scope.json.

    Raises
    ------
    NotFoundError
        when nothing in the case names it; the message says what to do.
    """
    value = value.strip()
    content = read_json(case.out / "scope.json") or {}
    with engine.connect(case) as connection:
        subjects = tuple(subject.find(connection, value, content)) if value else ()
        nodes = _nodes(subjects, content)
        told = _seen(case, connection, value, (subjects, nodes)) if subjects else None
    if told is None:
        raise NotFoundError(_nothing(case, value, subjects))
    told = _with_names(told, names.read(case))
    told = replace(told, gaps=tuple(_gaps(case, told, content)))
    told = replace(told, next=next_steps.steps(case, told))
    return replace(told, sections=words.sections(told))


def _seen(
    case: Case,
    connection: duckdb.DuckDBPyConnection,
    value: str,
    named: tuple[tuple[Subject, ...], tuple[dict[str, Any], ...]],
) -> Story | None:
    """What the store says of the subjects; None when neither store nor scope know them."""
    subjects, nodes = named
    events = seen.Events(connection, subjects)
    used = events.uses()
    total = next((use for use in used.pop("", ()) if use.events), None)
    pairs = used.pop("pairs", ())
    done_to = events.done_to()
    values = {one.value for one in subjects} | {str(one.given.get("id", one.value)) for one in subjects}
    found = seen.findings(connection, values, {_person(one) for one in subjects if one.kind == "principal"})
    if not (total or done_to or nodes or len(found)):
        return None
    acts = total and any(one.kind not in subject.PASSIVE for one in subjects)
    made, number = events.made(pairs) if acts else ((), 0)
    judged = case.out / "scope_events.parquet"
    scoped = total and judged.is_file()
    return Story(
        value=value,
        subjects=subjects,
        total=total,
        used=used,
        minted_by=tuple(events.minted_by().to_dict("records")),
        done_to=done_to,
        made=made,
        acts_that_made=number,
        verdicts=events.verdicts(pd.read_parquet(judged)) if scoped else None,
        nodes=nodes,
        findings=tuple(found.to_dict("records")),
        key_account=next((names.account_of_key(one.value) for one in subjects if one.kind == "access key"), None),
    )


def _nodes(subjects: tuple[Subject, ...], content: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Nodes of the scope that stand for the subjects, each with the first ids that its edges rest on."""
    wanted = {one.node for one in subjects} | {one.value for one in subjects}
    rests: dict[str, dict[str, None]] = defaultdict(dict)
    for edge in content.get("edges", ()):
        for end in (edge["from"], edge["to"]):
            rests[end].update(dict.fromkeys(edge["evidence"]))
    return tuple(
        {**node, "evidence": list(rests[node["id"]])[:_EVIDENCE_SHOWN], "total": len(rests[node["id"]])}
        for node in content.get("nodes", ())
        if node["id"] in wanted or node["value"] in wanted or wanted & set(node["aliases"])
    )


def _person(one: Subject) -> str:
    """Account and bare name of a principal, as findings give them."""
    parts = one.value.split(":")
    return f"{parts[4] if len(parts) > 5 else ''} {re.split('[/:]', one.value)[-1]}"


def _with_names(told: Story, known: names.Known) -> Story:
    """The story with names beside its accounts and addresses."""
    named = {"accounts": known.account, "addresses": known.address, "networks": known.address}
    used = {
        key: tuple(replace(use, name=named[key](use.value)) for use in uses) if key in named else uses
        for key, uses in told.used.items()
    }
    return replace(told, used=used)


def _gaps(case: Case, told: Story, content: dict[str, Any]) -> list[str]:
    """What cannot be seen of it: its origin, and gaps of the logs in its accounts and Regions."""
    said = []
    if content and not scope.is_current(case, content):
        said.append(f"The scope is older than the evidence or the case: run `cirt scope {case.path}`.")
    keys = [one.value for one in told.subjects if one.kind == "access key" and one.value.startswith("ASIA")]
    if keys and not told.minted_by:
        said.append(
            "No record shows who issued it: the console, another account or Region, or a time before these logs."
        )
    accounts = {use.value for use in told.used.get("accounts", ())}
    regions = {use.value for use in told.used.get("regions", ())}
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for gap in content.get("gaps") or coverage.gaps(case):
        here = gap["account"] in {None, *accounts} and gap["region"] in {None, *regions}
        other = gap["reason"].startswith("origin not seen") and not any(
            one.value in gap["reason"] for one in told.subjects
        )
        if here and not other:
            groups[gap["reason"]].append(gap)
    return [*said, *(_gap(reason, gaps) for reason, gaps in groups.items())]


def _gap(reason: str, gaps: list[dict[str, Any]]) -> str:
    """One gap in words, or several of one reason: where, from when until when."""
    places = sorted({f"{gap['account'] or ''} {gap['region'] or ''}".strip() for gap in gaps} - {""})
    starts, ends = [gap["from"] for gap in gaps], [gap["to"] for gap in gaps]
    span = [
        "" if None in starts else f"from {min(starts)}",
        "" if None in ends else f"to {max(ends)}",
        f"in {', '.join(places[:3])}{f' and {len(places) - 3} more' if len(places) > 3 else ''}" if places else "",
    ]
    where = " ".join(part for part in span if part)
    return f"{reason[:1].upper()}{reason[1:]}{f' ({where})' if where else ''}."


def _nothing(case: Case, value: str, subjects: tuple[Subject, ...]) -> str:
    """What to say of a value that nothing names: what it looks like, and what may be amiss."""
    if not value:
        return "a story needs a value: a key, a principal, an address, an instance, a bucket, an account or an event id"
    kind = f"the {subjects[0].kind} " if subjects else ""
    owner = names.account_of_key(value.removeprefix("access_key:"))
    whose = f" (its account is likely {owner}: were its logs collected?)" if owner else ""
    return (
        f"nothing in this case names {kind}{value!r}{whose}; check the spelling (a user agent must be whole, a "
        "principal may be a bare name), and whether its account, Region and days were collected: "
        f"`cirt coverage {case.path}`"
    )
