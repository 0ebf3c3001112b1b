"""The way in as a whole: as data, as tables, in words."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from html import escape
from typing import Any

import pandas as pd

from cirtlib.display import Statement, show_statements
from cirtlib.exposure import chains, told
from cirtlib.exposure.credentials import Credential
from cirtlib.exposure.table import Cause
from cirtlib.exposure.told import Instance
from cirtlib.text import visible


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
        return {"schema_version": 1, **content, "chains": self.chains(), "statements": self._said()}

    def chains(self) -> list[dict[str, Any]]:
        """Steps of each way in, instances first: of, steps (heading, text, sure, evidence)."""
        found = [(one.path.instance, chains.of_instance(one)) for one in self.instances]
        found += [(one.node.partition(":")[2], chains.of_credential(one)) for one in self.credentials]
        return [{"of": name, "steps": _plain(steps)} for name, steps in found]

    def _said(self) -> list[dict[str, Any]]:
        return [
            {
                "section": title,
                "text": one.text,
                "evidence": list(one.evidence),
                "count": max(one.total, len(one.evidence)),
            }
            for title, said in self.sections()
            for one in said
        ]

    def sections(self) -> list[tuple[str, list[Statement]]]:
        """The whole in statements, each with its evidence, under headings."""
        said = [(f"Credential {one.node.partition(':')[2]}", told.credential(one)) for one in self.credentials]
        return said + [(f"Instance {one.path.instance}", told.instance(one, self.checks)) for one in self.instances]

    def summary(self) -> list[Statement]:
        """One statement for each credential and instance: the first cause, or what is not known."""
        said = []
        for one in self.credentials:
            text = f"{one.node.partition(':')[2]} ({one.method}): {_top(one.causes)}."
            text += "" if one.origin_shown else f" Where it came from: {one.answer}"
            said.append(Statement(text, (str(one.first["event_id"]),)))
        for place in self.instances:
            causes = place.judged.causes
            said.append(Statement(f"{place.path.instance}: {_top(causes)}.", causes[0].evidence[:4] if causes else ()))
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
