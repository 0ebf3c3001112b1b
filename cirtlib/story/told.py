"""A story: what is known of a value, as data and in words."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from html import escape
from typing import Any

import pandas as pd

from cirtlib.display import Statement, show_statements
from cirtlib.story.seen import Made, Use
from cirtlib.story.subject import Subject
from cirtlib.text import visible


@dataclass(frozen=True)
class Next:
    """What to ask next, and the command that asks it, quoted for a shell."""

    why: str
    command: str


@dataclass(frozen=True)
class Story:
    """What is known of a value.

    Attributes
    ----------
    value
        As it was asked for.
    subjects
        What it names: several where a name is ambiguous; the story is then of all of them together.
    total
        All its events: how many, how many denied, first and last seen; None where there is none.
    used
        By principals, access_keys, addresses, networks, user_agents, accounts, regions, services, calls, sessions:
        the values in these events, the most frequent first.
    minted_by
        Events that issued the access key: event_time, event_id, event_name, principal, access_key_id, source_ip.
    done_to
        Calls of others about it, the earliest first.
    made, acts_that_made
        What its events issued, created and changed, and how many such acts there are in all.
    verdicts
        Scope's verdicts on its events, where there is a scope.
    nodes
        What the scope says of it: nodes of scope.json.
    findings
        Findings that name it: finding_id, type, title, severity_label, account_id, product, first_seen, sample.
    key_account
        Account that owns the access key, as the id itself tells: *likely*; None where it tells nothing.
    gaps
        What cannot be seen.
    next
        What to ask next.
    sections
        The whole in statements, each with its evidence, under headings.
    """

    value: str
    subjects: tuple[Subject, ...]
    total: Use | None
    used: Mapping[str, tuple[Use, ...]]
    minted_by: tuple[dict[str, Any], ...] = ()
    done_to: tuple[Use, ...] = ()
    made: tuple[Made, ...] = ()
    acts_that_made: int = 0
    verdicts: Mapping[str, Use] | None = None
    nodes: tuple[dict[str, Any], ...] = ()
    findings: tuple[dict[str, Any], ...] = ()
    key_account: str | None = None
    gaps: tuple[str, ...] = ()
    next: tuple[Next, ...] = ()
    sections: tuple[tuple[str, tuple[Statement, ...]], ...] = ()

    @property
    def denied_share(self) -> float | None:
        """Part of its events that was denied, 0 to 1; None without events."""
        return self.total.denied / self.total.events if self.total else None

    def to_dict(self) -> dict[str, Any]:
        """The story as `cirt story --format json` prints it: plain values, times as ISO 8601 in UTC."""
        content = {part.name: _plain(getattr(self, part.name)) for part in fields(self) if part.name != "sections"}
        content["denied_share"] = self.denied_share
        content["statements"] = [
            {"section": title, "text": one.text, "evidence": list(one.evidence), "count": _count(one)}
            for title, said in self.sections
            for one in said
        ]
        return content

    def __str__(self) -> str:
        """The story for a terminal: what the log says is made visible, never obeyed."""
        lines = []
        for title, said in self.sections:
            lines += [title, *(f"  {one.text}{_cited(one)}" for one in said), ""]
        return visible("\n".join(lines).rstrip(), keep="\n")

    def _repr_html_(self) -> str:
        parts = [f"<h3>{escape(visible(title))}</h3>{show_statements(said).text}" for title, said in self.sections]
        return f'<div class="story">{"".join(parts)}</div>'


def _count(statement: Statement) -> int:
    return max(statement.total, len(statement.evidence))


def _cited(statement: Statement) -> str:
    """Evidence of a statement: whole ids, as a person would hand them to `cirt record`."""
    if not statement.evidence:
        return ""
    more = _count(statement) - len(statement.evidence)
    return f" [{', '.join(statement.evidence)}{f', {more:,} more' if more else ''}]"


def _plain(value: Any) -> Any:  # noqa: ANN401, PLR0911 - one return for each kind of value
    """Value as JSON can hold it."""
    if isinstance(value, Subject):
        return {"kind": value.kind, "value": value.value, "node": value.node}
    if isinstance(value, Use | Made | Next):
        return {part.name: _plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    if pd.api.types.is_bool(value):
        return bool(value)
    return value
