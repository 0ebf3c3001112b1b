"""The catalogue's tables: what can be done about what an attacker made, opened, changed or turned off.

data/catalogue.yaml holds rows of one call each, data/resource_policies.yaml resources with a policy of their own.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import jmespath
import yaml

from cirtlib.containment.history import Act


@dataclass(frozen=True)
class Row:
    """One row of the catalogue; what its fields mean stands at the head of the file."""

    id: str
    section: str
    what: str
    events: tuple[str, ...]
    name: str
    phase: str
    title: str
    api: dict[str, Any]
    look: dict[str, Any]
    emulator: str
    sample: dict[str, Any]
    until: dict[str, str]
    when: str = ""
    each: str = "thing"
    then: str = ""
    unknown: str = ""
    before: dict[str, Any] | None = None
    values: dict[str, str] | None = None
    captures: dict[str, Any] | None = None
    rollback: dict[str, Any] | None = None
    rollback_note: str = "The attacker made it so."
    side_effects: tuple[str, ...] = ()
    prerequisites: tuple[str, ...] = ()
    does_not_stop: tuple[str, ...] = ()

    def answers(self, act: Act) -> bool:
        """Whether an event is one that this row deals with."""
        return event(act) in self.events and (not self.when or bool(jmespath.search(self.when, told(act))))


@dataclass(frozen=True)
class Policy:
    """One row of data/resource_policies.yaml; what its fields mean stands at the head of the file."""

    id: str
    section: str
    what: str
    events: tuple[str, ...]
    name: str
    document: str
    until: dict[str, str]
    get: dict[str, Any]
    text: str
    put: dict[str, Any]
    empty: dict[str, Any]
    emulator: str
    sample: dict[str, Any]


@cache
def rows() -> dict[str, Row]:
    """Rows of data/catalogue.yaml by id."""
    return {one["id"]: Row(**one) for one in _read("catalogue.yaml")}


@cache
def policies() -> dict[str, Policy]:
    """Rows of data/resource_policies.yaml by id."""
    return {one["id"]: Policy(**one) for one in _read("resource_policies.yaml")}


def asked() -> set[str]:
    """Names of the events that the tables ask for: what they answer, what settles it, and what was before."""
    found: set[str] = set()
    entries: list[Row | Policy] = [*rows().values(), *policies().values()]
    for entry in entries:
        before = (entry.before or {}).get("events", {}) if isinstance(entry, Row) else {}
        found |= {one.partition(":")[2] for one in (*entry.events, *entry.until, *before)}
    return found


def _read(name: str) -> list[dict[str, Any]]:
    text = files("cirtlib").joinpath("data", name).read_text(encoding="utf-8")
    found: list[dict[str, Any]] = yaml.safe_load(text)
    return found


def event(act: Act) -> str:
    """Event as rows name it: `iam:CreateUser`."""
    return f"{act.source.removesuffix('.amazonaws.com')}:{act.name}"


def told(act: Act) -> dict[str, Any]:
    """What JMESPaths of rows see of an event."""
    return {
        "request": act.request,
        "response": act.response,
        "account": act.account,
        "region": act.region,
        "user_name": act.user_name,
        "event_name": act.name,
    }
