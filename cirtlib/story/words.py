"""A story in statements: each one a sentence, and the events or findings it rests on."""

from collections.abc import Iterable

import pandas as pd

from cirtlib.display import Statement
from cirtlib.narrative import spoken
from cirtlib.story.seen import IDS_SHOWN, Made, Use
from cirtlib.story.told import Story
from cirtlib.text import many

_USED = {
    "principals": "By",
    "sessions": "Sessions",
    "access_keys": "With the access keys",
    "addresses": "From",
    "networks": "From the networks",
    "user_agents": "With",
    "accounts": "In the accounts",
    "regions": "In the Regions",
    "services": "Services",
    "calls": "Calls",
}
_MOST = 6  # values named in one sentence
_MADE = 12  # things made that are named one by one
_VERDICTS = {"attacker": "the attacker's", "owner": "the owner's", "unclear": "unclear"}


def sections(story: Story) -> tuple[tuple[str, tuple[Statement, ...]], ...]:
    """Headings and their statements; a heading without statements is left out."""
    parts = {
        "What it is": _subject(story),
        "Who used it, from where": _used(story),
        "What was done to it": _done_to(story),
        "What it issued, made and changed": _made(story),
        "What the scope says": _scope(story),
        "Findings that name it": _findings(story),
        "What cannot be seen": [Statement(gap) for gap in story.gaps],
        "What to ask next": [Statement(f"{one.why}: {one.command}") for one in story.next],
    }
    told = ((title, tuple(said)) for title, said in parts.items())
    return tuple((title, said) for title, said in told if said)


def _subject(story: Story) -> Iterable[Statement]:
    if len(story.subjects) > 1:
        named = "; ".join(f"the {one.kind} {one.value}" for one in story.subjects)
        yield Statement(f"{story.value} stands for {len(story.subjects)} things, told together here: {named}.")
    else:
        yield from (Statement(f"It is the {one.kind} {one.value}.") for one in story.subjects)
    if story.key_account:
        owner = f"Its account is likely {story.key_account}, as the id itself tells (AWS does not document that)"
        seen = {use.value for use in story.used.get("accounts", ())}
        strange = bool(seen) and story.key_account not in seen
        yield Statement(f"{owner}{': another than the account of its events' if strange else ''}.")
    for row in story.minted_by:
        by = f" with {row['access_key_id']}" if isinstance(row["access_key_id"], str) else ""
        text = f"{row['event_time']:%Y-%m-%d %H:%M:%S} UTC: issued by {row['event_name']} of {row['principal']}{by}"
        yield Statement(f"{text}, from {row['source_ip']}.", (str(row["event_id"]),))
    if story.total is None:
        yield Statement("No event of its own is in the evidence.")
        return
    one = story.total
    share = f"{one.denied:,} of them denied ({one.denied / one.events:.0%})" if one.denied else "none of them denied"
    yield Statement(
        f"{many(one.events, 'event')}, {share}, from {_when(one.first_seen)} to {_when(one.last_seen)} UTC.",
        one.event_ids,
        one.events,
    )


def _used(story: Story) -> Iterable[Statement]:
    own = {one.value for one in story.subjects}
    for dimension, words in _USED.items():
        uses = story.used.get(dimension, ())
        if dimension == "networks" and len(uses) == len(story.used.get("addresses", ())):
            continue  # each address has a network of its own, which says no more
        if uses and not (len(uses) == 1 and uses[0].value in own):
            yield _listed(words, uses)


def _listed(words: str, uses: tuple[Use, ...]) -> Statement:
    """The most frequent values with their counts, and how many more there are."""
    parts = [f"{use.value}{f' ({use.name})' if use.name else ''}: {use.events:,}{_denied(use)}" for use in uses[:_MOST]]
    if len(uses) == 1:  # the number of all events has been said
        parts = [parts[0].rpartition(": ")[0]]
    more = f"; and {len(uses) - _MOST:,} more" if len(uses) > _MOST else ""
    ids = tuple(use.event_ids[0] for use in uses[:IDS_SHOWN] if use.event_ids)
    return Statement(f"{words} {'; '.join(parts)}{more}.", ids, sum(use.events for use in uses))


def _denied(use: Use) -> str:
    return f", {use.denied:,} denied" if use.denied else ""


def _done_to(story: Story) -> Iterable[Statement]:
    for use in story.done_to[:_MADE]:
        times = f"{use.events:,} times since " if use.events > 1 else ""
        yield Statement(f"{times}{_when(use.first_seen)} UTC: {use.value}.", use.event_ids, use.events)
    if len(story.done_to) > _MADE:
        yield Statement(f"And {len(story.done_to) - _MADE:,} more callers and calls.")


def _made(story: Story) -> Iterable[Statement]:
    for one in story.made[:_MADE]:
        yield Statement(f"{_when(one.time)} UTC: {one.what} {spoken(one.node)} ({one.call}).", (one.event_id,))
    if len(story.made) > _MADE:
        kinds = pd.Series([f"{one.what} {one.node.partition(':')[0].replace('_', ' ')}" for one in story.made[_MADE:]])
        counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.value_counts().items()))
        left = f"; of {story.acts_that_made:,} such acts the first {_acts(story.made):,} were read"
        less = story.acts_that_made > _acts(story.made)
        yield Statement(f"And {len(story.made) - _MADE:,} more ({counts}){left if less else ''}.")


def _acts(made: tuple[Made, ...]) -> int:
    return len({one.event_id for one in made})


def _scope(story: Story) -> Iterable[Statement]:
    for node in story.nodes:
        status, sure = str(node["status"]).replace("_", " "), node["confidence"]
        numbers = f"{node['attacker_events']:,} of its {many(node['events'], 'event')} the attacker's"
        yield Statement(
            f"{spoken(str(node['id']))}: {status} ({sure}), {numbers}.", tuple(node["evidence"]), node["total"]
        )
    for verdict, use in (story.verdicts or {}).items():
        yield Statement(f"{many(use.events, 'event')}: {_VERDICTS.get(verdict, verdict)}.", use.event_ids, use.events)
    if story.verdicts is not None and story.total:
        rest = story.total.events - sum(use.events for use in story.verdicts.values())
        if rest:
            yield Statement(f"{many(rest, 'event')} without a verdict: outside the compromise, as far as is known.")


def _findings(story: Story) -> Iterable[Statement]:
    for row in story.findings[:_MADE]:
        sample = ", a sample" if row["sample"] is True else ""
        when = "" if pd.isna(row["first_seen"]) else f", first seen {_when(row['first_seen'])} UTC"
        text = f"{row['product']}: {row['type']} ({row['severity_label']}{sample}){when}: {row['title']}"
        yield Statement(text, (str(row["finding_id"]),))
    if len(story.findings) > _MADE:
        rest = story.findings[_MADE:]
        yield Statement(
            f"And {len(rest):,} more.", tuple(str(row["finding_id"]) for row in rest[:IDS_SHOWN]), len(rest)
        )


def _when(time: object) -> str:
    return "an unknown time" if time is None or pd.isna(time) else f"{time:%Y-%m-%d %H:%M:%S}"
