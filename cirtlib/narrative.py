"""What the evidence says, in sentences that each name the events and findings they rest on."""

import pandas as pd

from cirtlib.display import Statement
from cirtlib.facts import Facts

_SHOWN = 20
_STATUS = {
    "compromised": "compromised",
    "attacker_created": "made by the attacker",
    "changed": "changed by the attacker",
    "suspected": "suspected",
}


def known(facts: Facts) -> list[Statement]:
    """What we know: course, credentials, what was made and changed, logging, data, denied attempts."""
    if facts.attacker.empty:
        return [Statement("No event in the evidence is the attacker's, as far as the seeds and the baseline tell.")]
    return [
        _course(facts),
        *_entry(facts),
        *_credentials(facts),
        *_edges(facts, "assumed", "assumed the role"),
        *_edges(facts, "created", "made"),
        *_edges(facts, "changed", "changed"),
        *_denied(facts),
        *_owners(facts),
    ]


def unknown(facts: Facts) -> list[Statement]:
    """What we do not know: gaps in what was seen, unclear events, no baseline, rejected evidence."""
    said = []
    base = facts.scope.to_dict().get("baseline", {})
    if not base.get("used", True):
        said.append(Statement(
            f"There is no baseline: only {base.get('days') or 0:.1f} days before the first attacker event are in the "
            "evidence, so nothing could be explained as usual."
        ))  # fmt: skip
    if len(facts.unclear):
        said.append(Statement(
            f"{_count(len(facts.unclear), 'event')} by compromised credentials could be the attacker's or the owner's.",
            *_cited(facts.unclear),
        ))  # fmt: skip
    rejected = facts.totals.get("rejected", 0)
    if rejected:
        said.append(Statement(f"{_count(rejected, 'record')} could not be read; the appendix names each and why."))
    return [*said, *(Statement(_gap(gap)) for gap in facts.gaps)]


def decisions(facts: Facts) -> list[Statement]:
    """Decisions that people have still to take: leads, steps that cannot be undone, nodes without a step."""
    leads = [
        Statement(f"Confirm or clear {lead['node']}: {lead['reason']}", *_first(facts.evidence(str(lead["node"]))))
        for lead in facts.scope.leads
    ]
    final = [
        Statement(f"Step {step['id']} cannot be undone: {step['title']}.", *_first(tuple(step["why"])))
        for step in facts.plan["steps"]
        if step["rollback"] == "irreversible"
    ]
    without = [
        Statement(f"{one['node']} has no step: {one['reason']}", *_first(facts.evidence(one["node"])))
        for one in facts.plan["unplanned"]
    ]
    return [*leads, *(Statement(text) for text in facts.plan["warnings"]), *final, *without]


def _course(facts: Facts) -> Statement:
    acts = facts.attacker
    credentials = acts["node"].nunique()
    return Statement(
        f"The attacker's acts run from {_when(acts['event_time'].min())} to {_when(acts['event_time'].max())} UTC: "
        f"{_count(len(acts), 'event')} by {_count(credentials, 'credential')} in "
        f"{_count(acts['account_id'].nunique(), 'account')} and {_count(acts['region'].nunique(), 'Region')}.",
        (str(acts["event_id"].iloc[0]), str(acts["event_id"].iloc[-1])),
        len(acts),
    )


def _entry(facts: Facts) -> list[Statement]:
    """Where the investigation started: each seed finding, as the product words it."""
    said = []
    for seed in facts.case.seeds:
        rows = facts.findings[(facts.findings["finding_id"] == seed.value) & (seed.kind == "finding")]
        if len(rows):
            row = rows.iloc[0]
            text = f"The investigation starts from {row['product']}'s finding {row['type']} ({row['severity_label']})."
            said.append(Statement(text, (seed.value,)))
        else:
            said.append(Statement(f"The investigation starts from {seed.kind} {seed.value}, as the case states."))
    return said


def _credentials(facts: Facts) -> list[Statement]:
    """One sentence for each credential that the attacker used."""
    said = []
    nodes = {node["id"]: node for node in facts.extent}
    for name, acts in facts.attacker.groupby("node", sort=False):
        status = _STATUS[nodes.get(str(name), {}).get("status", "suspected")]
        holder = " and ".join(sorted({str(who) for who in acts["principal"].dropna()})[:3])
        sources = _listed(acts["source_ip"])
        said.append(Statement(
            f"{_spoken(str(name))} of {holder} ({status}) was used by the attacker for "
            f"{_count(len(acts), 'event')} between {_when(acts['event_time'].min())} and "
            f"{_when(acts['event_time'].max())} UTC, from {sources}.",
            *_cited(acts),
        ))  # fmt: skip
    return said


def _edges(facts: Facts, kind: str, verb: str) -> list[Statement]:
    """One sentence for each thing that an edge of this kind leads to, if it is in the extent."""
    inside = {node["id"] for node in facts.scope.extent()}
    said = []
    for edge in facts.scope.edges:
        if edge["kind"] == kind and edge["to"] in inside and edge["from"] in inside:
            text = f"{_spoken(edge['from'])} {verb} {_spoken(edge['to'], inline=True)}{_doubt(edge['confidence'])}."
            said.append(Statement(text, tuple(edge["evidence"]), edge["evidence_count"]))
    return said


def _denied(facts: Facts) -> list[Statement]:
    denied = facts.attacker[facts.attacker["outcome"] == "denied"]
    if denied.empty:
        return []
    names = _listed(denied["event_name"], 6)
    return [Statement(
        f"{_count(len(denied), 'attempt')} of the attacker {'was' if len(denied) == 1 else 'were'} denied, which shows "
        f"intent: {names}.", *_cited(denied),
    )]  # fmt: skip


def _owners(facts: Facts) -> list[Statement]:
    if facts.owner.empty:
        return []
    return [Statement(
        f"{_count(len(facts.owner), 'event')} by compromised credentials are explained as their owners' by what was "
        "usual before the attack.", *_cited(facts.owner),
    )]  # fmt: skip


def _first(ids: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    return ids[:_SHOWN], len(ids)


def _cited(events: pd.DataFrame) -> tuple[tuple[str, ...], int]:
    return tuple(str(one) for one in events["event_id"].iloc[:_SHOWN]), len(events)


def _spoken(node: str, *, inline: bool = False) -> str:
    """A node's id as words."""
    kind, _, value = node.partition(":")
    words = {"access_key": "access key", "console": "console session", "login_profile": "console password of"}
    text = f"{words.get(kind, kind.replace('_', ' '))} {value}"
    return text if inline else text[0].upper() + text[1:]


def _doubt(confidence: str) -> str:
    return "" if confidence == "certain" else f" ({confidence})"


def _gap(gap: dict[str, str | None]) -> str:
    where = " ".join(str(part) for part in (gap.get("account"), gap.get("region")) if part)
    when = " to ".join(str(part) for part in (gap.get("from"), gap.get("to")) if part)
    place = ", ".join(part for part in (where, when) if part)
    return f"{gap['reason']}{f' ({place})' if place else ''}"


def _listed(values: pd.Series, most: int = 4) -> str:
    """Most frequent values, with a word on how many more there are."""
    counts = values.dropna().astype(str).value_counts(sort=False).sort_values(ascending=False, kind="stable")
    more = f" and {len(counts) - most:,} more" if len(counts) > most else ""
    return ", ".join(counts.index[:most]) + more if len(counts) else "an unknown place"


def _when(time: pd.Timestamp) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
