"""Questions asked of a scope: what was read, taken and destroyed, what it costs, what is still open, what is unseen."""

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cirtlib import coverage, queries
from cirtlib.case import Case
from cirtlib.facts import Facts, gather
from cirtlib.impact.acts import consequences
from cirtlib.impact.standing import closings, instances, still_open
from cirtlib.text import many

ACTIONS = (
    "event_source", "event_name", "outcome", "access", "tactic", "technique", "technique_old", "ttc", "events", "first",
    "last", "nodes", "event_ids",
)  # fmt: skip
# Kinds in the table of consequences that are things one can count; others are said as they are.
_NOUN = re.compile(r"(container image|object|secret|database|disk|machine|parameter|query|snapshot|table|console)\b")
CAPTIONS = {
    "open": "Still open to the attacker",
    "taken": "What left",
    "read": "What was read",
    "destroyed": "What was destroyed or disabled",
    "instances": "Machines started, and their hours",
    "costs": "What else is paid for",
    "unseen": "What cannot be seen",
    "actions": "Actions of the attacker",
}
"""The tables by name, in the order in which they matter, each with its caption."""
_GROUPS = list(ACTIONS[:8])
# Calls whose content CloudTrail hides ("HIDDEN_DUE_TO_SECURITY_REASONS").
_HIDDEN = {
    "SendCommand": "the text of commands that Systems Manager ran",
    "StartSession": "what was typed in a session of Systems Manager",
}


@dataclass(frozen=True)
class Impact:
    """What the attacker's acts came to: one table for each question, each row with the events it rests on.

    Attributes
    ----------
    read, taken, destroyed, costs
        Things by call (`impact.acts.COLUMNS`). `detail` says to whom, until when, or of which size; `bytes_out` are
        bytes that S3 sent, None where the record does not say.
    instances
        Machines started, with their hours (`impact.standing.INSTANCES`).
    open
        What is still open at the case's `as_of` (`impact.standing.OPEN`).
    unseen
        What cannot be seen: account, region, from, to, reason, event_ids.
    actions
        Every action of the attacker with access, tactic, technique (ATT&CK v19, and the id before), id of the Threat
        Technique Catalog for AWS, counts, first, last, credentials and event ids (`ACTIONS`).
    """

    read: pd.DataFrame
    taken: pd.DataFrame
    destroyed: pd.DataFrame
    instances: pd.DataFrame
    costs: pd.DataFrame
    open: pd.DataFrame
    unseen: pd.DataFrame
    actions: pd.DataFrame

    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by name, in the order of `CAPTIONS`."""
        return {name: getattr(self, name) for name in CAPTIONS}

    def to_dict(self) -> dict[str, Any]:
        """The tables as JSON values, and the sentences."""
        return {"says": self.words(), **queries.as_json(self.tables())}

    def words(self) -> list[str]:
        """What it comes to, one sentence for each question."""
        sent = self.taken["bytes_out"].dropna().sum() if len(self.taken) else 0
        hours, large = float(self.instances["hours"].sum()), int(self.instances["large"].sum())
        states = self.open["state"].value_counts()
        blind = [str(reason) for reason in self.unseen["reason"] if "data events are not seen" in str(reason)]
        ended = int(states.get("closed", 0) + states.get("expired", 0))
        machines = f"{many(len(self.instances), 'machine')}, {hours:,.1f} machine-hours in all, {large:,} of them large"
        machines += " or accelerated"
        standing = f"{int(states.get('open', 0)):,}; not known: {int(states.get('unknown', 0)):,}"
        return [
            f"Read: {'; '.join([_things(self.read), *blind])}.",
            f"Left: {_things(self.taken)}{f'; S3 sent {sent:,.0f} bytes' if sent else ''}.",
            f"Destroyed or disabled: {_things(self.destroyed)}.",
            f"Costs: {machines}, price unknown; other: {_things(self.costs)}.",
            f"Still open: {standing}; closed or expired: {ended:,}.",
            f"Not seen: {many(len(self.unseen), 'gap')}.",
        ]


def impact(case: Case, *, facts: Facts | None = None) -> Impact:
    """Answer what an analyst asks of the scope of a case.

    Parameters
    ----------
    facts
        of the case, where they were gathered already.

    Raises
    ------
    NotFoundError
        when the case has no seed, so that there is no scope.
    """
    facts = facts or gather(case)
    closed = closings(facts)
    found = consequences(pd.concat([facts.attacker, _by_others(facts)]), set(facts.case.accounts))
    return Impact(
        **found,
        instances=instances(facts, closed),
        open=still_open(facts, closed),
        unseen=_unseen(facts),
        actions=actions(facts.attacker),
    )


def actions(acts: pd.DataFrame) -> pd.DataFrame:
    """One row per call and outcome of these acts, with what it means (`ACTIONS`), in order of first use."""
    if acts.empty:
        return pd.DataFrame(columns=list(ACTIONS))
    grouped = acts.groupby(_GROUPS, sort=False, dropna=False)
    table = grouped.agg(
        events=("event_id", "size"),
        first=("event_time", "min"),
        last=("event_time", "max"),
        nodes=("node", lambda nodes: list(dict.fromkeys(map(str, nodes)))),
        event_ids=("event_id", list),
    )
    return table.reset_index().sort_values(["first", "event_name"], kind="stable", ignore_index=True)[list(ACTIONS)]


def _by_others(facts: Facts) -> pd.DataFrame:
    """What other accounts did with snapshots of the extent: AWS records it in the owner's account, under no key."""
    names = {str(node["value"]).rpartition("/")[2] for node in facts.extent if ":snapshot/" in str(node["value"])}
    names |= {
        str(one) for one in facts.attacker["request"].astype(str).str.extract(r"\b(snap-[0-9a-f]+)\b")[0].dropna()
    }
    if not names:
        return facts.attacker.iloc[:0]
    told = queries.sql(
        facts.case, "SELECT * FROM events WHERE event_name LIKE 'SharedSnapshot%' AND service_details IS NOT NULL",
        engine="local",
    )  # fmt: skip
    named = told["service_details"].astype(str).str.extract(r"\b(snap-[0-9a-f]+)\b")[0]
    return told[named.isin(names)].assign(node="", access="write")


def _unseen(facts: Facts) -> pd.DataFrame:
    """Gaps of the logs, and what CloudTrail hides of the attacker's calls."""
    columns = ["account", "region", "from", "to", "reason", "event_ids"]
    rows: list[list[Any]] = [
        [*(gap.get(name) for name in columns[:-1]), []] for gap in facts.gaps or coverage.gaps(facts.case)
    ]
    for name, what in _HIDDEN.items():
        acts = facts.attacker[
            facts.attacker["event_name"].eq(name) & facts.attacker["event_source"].eq("ssm.amazonaws.com")
        ]
        for account, own in acts.groupby("account_id"):
            rows.append([account, None, None, None, f"CloudTrail hides {what}", list(own["event_id"])])
    return pd.DataFrame(rows, columns=columns)


def _things(table: pd.DataFrame) -> str:
    """Kinds of things with how many there are: `3 objects, 1 secret, objects fetched (5 calls)`."""
    if table.empty:
        return "nothing that the logs show"
    counts = table.groupby("what", sort=False).agg(targets=("target", "nunique"), events=("events", "sum"))
    return ", ".join(_counted(str(row.Index), int(row.targets), int(row.events)) for row in counts.itertuples())


def _counted(what: str, targets: int, events: int) -> str:
    """One kind with its count: that of the targets, or, where a target such as a bucket holds many, of the calls."""
    if what.split(maxsplit=1)[0].endswith("s"):
        return f"{what} ({many(events, 'call')})"
    if targets == 1 or not (noun := _NOUN.match(what)):
        return f"{targets:,} {what}"
    rest = (
        what[noun.end() :].replace("a snapshot of it", "snapshots of them").replace("an image of it", "images of them")
    )
    return f"{many(targets, noun[0]).replace('querys', 'queries')}{rest}"
