"""Answers by name, computed from what the generator wrote down of an incident: what all of them are made of.

`answers_attack` and `answers_respond` hold the answers, `resolvers` finds one by its name.
"""

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from cirtlib.training.exercise.record import Record

Answer = str | list[str] | datetime | None
Resolver = Callable[[Record], Answer]
Json = dict[str, Any]

RESOLVERS: dict[str, Resolver] = {}


def answer(function: Resolver) -> Resolver:
    """Let exercises name this function."""
    RESOLVERS[function.__name__] = function
    return function


def acts(record: Record, *calls: str, key: str = "", failed: bool = False) -> list[Json]:
    """The attacker's records in their order: of these calls, with this access key, that succeeded (or failed)."""
    found = [record.events[(event, account)] for event, account in record.truth["attacker_events"]]
    chosen = [
        one
        for one in found
        if (not calls or one["eventName"] in calls)
        and (not key or one["userIdentity"].get("accessKeyId") == key)
        and ("errorCode" in one) is failed
    ]
    return sorted(chosen, key=lambda one: one["eventTime"])


def first(record: Record, *calls: str, key: str = "") -> Json | None:
    """The attacker's first record of these calls that succeeded."""
    return next(iter(acts(record, *calls, key=key)), None)


def at(path: str, tree: object) -> Any:  # noqa: ANN401 - whatever a record holds
    """Value under a dotted path of a record; None where any part of the path is missing."""
    for part in path.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def text_at(path: str, tree: object) -> str | None:
    """Text under a dotted path; None where there is none."""
    found = at(path, tree)
    return None if found is None else str(found)


def principal(one: Json) -> str:
    """ARN of the user or role behind a record."""
    identity = one["userIdentity"]
    return str(at("sessionContext.sessionIssuer.arn", identity) or identity.get("arn") or "")


def name_of(arn: str | None) -> str | None:
    """Last part of an ARN."""
    return arn.rsplit("/", 1)[-1].rsplit(":", 1)[-1] if arn else None


def moment(one: Json | None) -> datetime | None:
    """Time of a record, in UTC."""
    return datetime.fromisoformat(one["eventTime"]) if one else None


def attack_began(record: Record) -> datetime:
    """Time of the attacker's first record, or of the false alarm."""
    return datetime.fromisoformat(record.truth["attack"]["first"] or record.truth["alarm"]["at"])


def extent(record: Record, kind: str, *, part: str = "") -> list[str]:
    """Values of the extent's nodes of a kind that hold a part."""
    return [one["value"] for one in record.truth["extent"] if one["kind"] == kind and part in one["value"]]


def failed_controls(record: Record, resources: Iterable[str], *, before: datetime | None = None) -> list[Json]:
    """Failed controls of Security Hub about these resources, that were first seen before a time."""
    wanted = set(resources)
    path = record.findings / "security_hub.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    every = content if isinstance(content, list) else content["Findings"]
    return [
        one
        for one in every
        if at("Compliance.Status", one) == "FAILED"
        and wanted & {resource["Id"] for resource in one["Resources"]}
        and (before is None or datetime.fromisoformat(one["FirstObservedAt"]) < before)
    ]


def control_ids(found: Iterable[Json]) -> list[str]:
    """Ids of failed controls."""
    return sorted({str(at("Compliance.SecurityControlId", one)) for one in found})


def others_who(record: Record, wanted: Callable[[Json], bool]) -> list[str]:
    """ARNs of the users and roles whose records fit, apart from the attacker's records and from services."""
    theirs = {tuple(pair) for pair in record.truth["attacker_events"]}
    found = {principal(one) for pair, one in record.events.items() if pair not in theirs and wanted(one)}
    return sorted(arn for arn in found if ":iam::" in arn)
