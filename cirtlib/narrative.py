"""What the evidence says, in sentences that each name the events and findings they rest on."""

import re
from collections import defaultdict
from typing import Any

import pandas as pd

from cirtlib.display import Statement
from cirtlib.facts import Facts
from cirtlib.text import many

_SHOWN = 20
_STATUS = {
    "compromised": "compromised",
    "attacker_created": "made by the attacker",
    "changed": "changed by the attacker",
    "suspected": "suspected",
}
_VERBS = {"minted": "obtained", "created": "made", "changed": "changed"}
_ARN = re.compile(r"^arn:aws[\w-]*:(?P<service>[^:]*):(?P<region>[^:]*):(?P<account>\d*):(?P<rest>.+)$", re.DOTALL)
_WORDS = {"access_key": "access key", "console": "console session", "login_profile": "console password of"}


def known(facts: Facts) -> list[Statement]:
    """What we know: course, start, credentials, what was obtained, made and changed, denied attempts, owners' acts."""
    if facts.attacker.empty:
        return [Statement("No event in the evidence is the attacker's, as far as the seeds and the baseline tell.")]
    return [
        _course(facts),
        *_entry(facts),
        *_credentials(facts),
        *_chain(facts),
        *_outside(facts),
        *_denied(facts),
        *_owners(facts),
    ]


def unknown(facts: Facts) -> list[Statement]:
    """What we do not know: missing baseline, unclear events, rejected evidence, gaps of the logs."""
    said = []
    base = facts.scope.to_dict().get("baseline", {})
    if not base.get("used", True):
        days = f"{base.get('days') or 0:.1f}"
        text = f"There is no baseline: {days} days before the attack are too few to tell what was usual."
        said.append(Statement(text))
    if len(facts.unclear):
        text = f"{many(len(facts.unclear), 'event')} by compromised credentials may be the attacker's or the owner's."
        said.append(Statement(text, *_cited(facts.unclear)))
    rejected = facts.totals.get("rejected", 0)
    if rejected:
        said.append(Statement(f"{many(rejected, 'record')} could not be read; the appendix names each and why."))
    return [*said, *_gaps(facts)]


def decisions(facts: Facts) -> list[Statement]:
    """Decisions that people have still to take: leads, warnings, steps that cannot be undone, nodes without a step."""
    leads = [
        Statement(f"Confirm or clear {spoken(str(lead['node']))}: {lead['reason']}.", *_edges_at(facts, lead["node"]))
        for lead in facts.scope.leads
    ]
    without = [
        Statement(f"No step deals with {spoken(one['node'])}: {one['reason']}", *_edges_at(facts, one["node"]))
        for one in facts.plan["unplanned"]
    ]
    return [*leads, *(Statement(text) for text in facts.plan["warnings"]), *_final(facts), *without]


def spoken(node: str) -> str:
    """A node's id as words: `user dev (111122223333)` for the user's ARN."""
    kind, _, value = node.partition(":")
    found = _ARN.match(value)
    if found:
        prefix = f"{_WORDS[kind]} " if kind in _WORDS else ""
        kind_of, _, name = found["rest"].partition("/")
        name = name.rpartition("/")[2] if found["service"] == "iam" else name
        what = f"{kind_of} {name}" if name else f"{found['service']} {kind_of}"
        return f"{prefix}{what} ({found['account'] or found['region'] or found['service']})"
    return f"{_WORDS.get(kind, kind.replace('_', ' '))} {value}"


def _course(facts: Facts) -> Statement:
    acts = facts.attacker
    return Statement(
        f"The attacker's acts run from {_when(acts['event_time'].min())} to {_when(acts['event_time'].max())} UTC: "
        f"{many(len(acts), 'event')} by {many(acts['node'].nunique(), 'credential')} in "
        f"{many(acts['account_id'].nunique(), 'account')} and {many(acts['region'].nunique(), 'Region')}.",
        (str(acts["event_id"].iloc[0]), str(acts["event_id"].iloc[-1])),
        len(acts),
    )


def _entry(facts: Facts) -> list[Statement]:
    """Where the investigation started: each seed finding, as the product words it."""
    said = []
    for seed in facts.case.seeds:
        rows = facts.linked[(facts.linked["finding_id"] == seed.value) & (seed.kind == "finding")]
        if len(rows):
            row = rows.iloc[0]
            text = f"The investigation starts from {row['product']}'s finding {row['type']} ({row['severity_label']})."
            said.append(Statement(text, (seed.value,)))
        else:
            text = f"The investigation starts from {seed.kind} {seed.value}, as the case states."
            said.append(Statement(text, *_edges_at(facts, f"{seed.kind}:{seed.value}")))
    return said


def _credentials(facts: Facts) -> list[Statement]:
    """One sentence for each credential that the attacker used, in order of first use."""
    said = []
    status = {node["id"]: _STATUS.get(node["status"], node["status"]) for node in facts.scope.nodes}
    for name, acts in facts.attacker.groupby("node", sort=False):
        # A call that another account logged too names its caller by number there: the own account's form says who.
        own = acts[acts["caller_account"].isna() | (acts["caller_account"] == acts["account_id"])]
        holders = [
            spoken(f"principal:{who}") for who in dict.fromkeys((own if len(own) else acts)["principal"].dropna())
        ]
        holder = " and ".join(one.removeprefix("principal ") for one in holders[:3])
        held = f"{_upper(spoken(str(name)))} of {holder or 'an unknown principal'}"
        text = (
            f"{held} ({status.get(str(name), 'suspected')}): "
            f"{many(len(acts), 'event')} of the attacker from {_when(acts['event_time'].min())} to "
            f"{_when(acts['event_time'].max())} UTC, from {_listed(acts['source_ip'])} with "
            f"{_listed(acts['user_agent_family'])}."
        )
        said.append(Statement(text, *_cited(acts)))
    return said


def _chain(facts: Facts) -> list[Statement]:
    """What was obtained, made and changed, in order of time; what one call did is one sentence."""
    acts = facts.attacker.drop_duplicates("event_id").set_index("event_id")
    inside = {node["id"] for node in facts.extent}
    made = {edge["to"] for edge in facts.scope.edges if edge["kind"] == "created"}
    assumed = [edge for edge in facts.scope.edges if edge["kind"] == "assumed" and edge["to"].startswith("principal:")]
    holders = {edge["from"]: f" of {spoken(edge['to'])}" for edge in reversed(assumed)}
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for edge in facts.scope.edges:
        told = edge["kind"] in _VERBS and {edge["from"], edge["to"]} <= inside
        if told and edge["evidence"] and not (edge["kind"] == "minted" and edge["to"] in made):
            groups[edge["from"], edge["kind"], edge["evidence"][0]].append(edge)
    said = []
    for (holder, kind, first), edges in groups.items():
        ids = tuple(dict.fromkeys(one for edge in edges for one in edge["evidence"]))
        calls = list(dict.fromkeys(acts.loc[one, "event_name"] for one in ids if one in acts.index))
        when = acts.loc[first, "event_time"] if first in acts.index else pd.NaT
        whats = " and ".join(spoken(edge["to"]) + holders.get(edge["to"], "") for edge in edges)
        doubt = "" if all(edge["confidence"] == "certain" for edge in edges) else ", probably"
        text = (
            f"{_when(when)} UTC: with {spoken(holder)} the attacker {_VERBS[kind]} {whats}{doubt} ({', '.join(calls)})."
        )
        said.append((str(when), Statement(text, ids[:_SHOWN], len(ids))))
    return [statement for _, statement in sorted(said, key=lambda pair: pair[0])]


def _outside(facts: Facts) -> list[Statement]:
    """Accounts that the attacker's calls name and whose logs are not here."""
    seen = set(facts.attacker["account_id"]) | set(facts.case.accounts)
    edges = [edge for edge in facts.scope.edges if edge["to"].startswith("account:")]
    return [
        Statement(
            f"The attacker's calls name account {edge['to'].removeprefix('account:')}, whose logs are not among these.",
            tuple(edge["evidence"]),
            edge["evidence_count"],
        )
        for edge in edges
        if edge["to"].removeprefix("account:") not in seen
    ]


def _denied(facts: Facts) -> list[Statement]:
    denied = facts.attacker[facts.attacker["outcome"] == "denied"]
    if denied.empty:
        return []
    verb = "was" if len(denied) == 1 else "were"
    names = _listed(denied["event_name"], 8)
    text = f"{many(len(denied), 'attempt')} of the attacker {verb} denied, which shows intent: {names}."
    return [Statement(text, *_cited(denied))]


def _owners(facts: Facts) -> list[Statement]:
    if facts.owner.empty:
        return []
    text = (
        f"{many(len(facts.owner), 'event')} by compromised credentials are explained as their owners' by what was "
        "usual before the attack."
    )
    return [Statement(text, *_cited(facts.owner))]


def _gaps(facts: Facts) -> list[Statement]:
    """Gaps with the same reason and account as one sentence; ids that a reason names are its evidence."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for gap in facts.gaps:
        groups[str(gap["reason"]), str(gap.get("account") or "")].append(gap)
    ids = set(facts.attacker["event_id"])
    said = []
    for (reason, account), gaps in groups.items():
        spans = "; ".join(span for gap in gaps if (span := _span(gap)))
        where = ", ".join(part for part in (f"account {account}" if account else "", spans) if part)
        evidence = tuple(word for word in re.findall(r"[\w-]{8,}", reason) if word in ids)
        said.append(Statement(f"{_upper(reason)}{f': {where}' if where else ''}.", evidence))
    return said


def _span(gap: dict[str, Any]) -> str:
    start, end = (
        str(gap.get(name) or "").removesuffix("T00:00:00Z").replace("T", " ").removesuffix("Z")
        for name in ("from", "to")
    )
    when = f"{start} to {end}" if start and end else f"since {start}" if start else f"until {end}" if end else ""
    return " ".join(part for part in (gap.get("region") or "", when) if part)


def _final(facts: Facts) -> list[Statement]:
    """Steps that cannot be undone, as one sentence: each stands in the plan."""
    steps = [step for step in facts.plan["steps"] if step["rollback"] == "irreversible"]
    if not steps:
        return []
    names = "; ".join(f"{step['id']}: {step['title']}" for step in steps)
    ids = tuple(dict.fromkeys(one for step in steps for one in step["why"]))
    text = f"{many(len(steps), 'step')} cannot be undone; agree to each before the plan is run ({names})."
    return [Statement(text, ids[:_SHOWN], len(ids))]


def _edges_at(facts: Facts, node: object) -> tuple[tuple[str, ...], int]:
    ids = facts.evidence(str(node))
    return ids[:_SHOWN], len(ids)


def _cited(events: pd.DataFrame) -> tuple[tuple[str, ...], int]:
    return tuple(str(one) for one in events["event_id"].iloc[:_SHOWN]), len(events)


def _listed(values: pd.Series, most: int = 4) -> str:
    """Most frequent values, with a word on how many more there are."""
    counts = values.dropna().astype(str).value_counts(sort=False).sort_values(ascending=False, kind="stable")
    more = f" and {len(counts) - most:,} more" if len(counts) > most else ""
    return ", ".join(counts.index[:most]) + more if len(counts) else "somewhere unknown"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _when(time: Any) -> str:  # noqa: ANN401 - Timestamp or NaT
    return "at an unknown time" if pd.isna(time) else f"{time:%Y-%m-%d %H:%M:%S}"
