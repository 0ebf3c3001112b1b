"""Trails as the account itself describes them, where a snapshot of it was collected.

DescribeTrails, GetTrailStatus, GetEventSelectors, GetInsightSelectors: AWS CloudTrail API Reference.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cirtlib import evidence
from cirtlib.coverage import selectors
from cirtlib.coverage.rows import Held
from cirtlib.coverage.selectors import Part
from cirtlib.errors import EvidenceError

_ARN = re.compile(
    r"arn:aws[a-z-]*:cloudtrail:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):trail/(?P<name>[\w.-]{3,128})"
)


@dataclass
class Trail:
    """One trail, as it was when its account was asked.

    Attributes
    ----------
    key
        Account, home Region and name.
    asked
        When that was, ISO 8601.
    described
        The trail in the answer to DescribeTrails; empty without one.
    status
        The answer to GetTrailStatus; empty without one.
    parts, insights
        What its selectors let it record; None when that was not asked, or denied.
    """

    key: tuple[str, str, str]
    asked: str
    described: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    parts: list[Part] | None = None
    insights: list[str] | None = None

    @property
    def is_wide(self) -> bool:
        """Whether it records all Regions."""
        return self.described.get("IsMultiRegionTrail") is True

    @property
    def is_shared(self) -> bool:
        """Whether it records all accounts of the organization."""
        return self.described.get("IsOrganizationTrail") is True

    def time(self, name: str) -> str | None:
        """A time of its status, ISO 8601 in UTC; None without one."""
        return moment(self.status.get(name))


def trails(held: Held) -> dict[tuple[str, str, str], Trail]:
    """Trails that the account's snapshot describes, by account, home Region and name; none without a snapshot."""
    found: dict[tuple[str, str, str], Trail] = {}
    for item, facts, answer in _answers(held):
        operation, asked = _operation(facts), str(item["collected_at"])
        if operation == "describetrails":
            for one in selectors.items(answer, "trailList"):
                if key := _key(str(one.get("TrailARN"))):
                    found.setdefault(key, Trail(key, asked)).described = one
            continue
        key = _key(str(answer.get("TrailARN"))) or _key(json.dumps([facts, item["name"]], default=str))
        if key is None:
            continue
        trail = found.setdefault(key, Trail(key, asked))
        if operation == "gettrailstatus":
            trail.status, trail.asked = answer, asked
        elif operation == "geteventselectors":
            trail.parts = selectors.parts(answer)
        elif operation == "getinsightselectors":
            trail.insights = selectors.insights(answer)
    return found


def without(held: Held) -> list[tuple[str, str]]:
    """Accounts that were asked for their trails and have none, each with when it was asked."""
    counts: dict[str, tuple[int, str]] = {}
    for item, facts, answer in _answers(held):
        if _operation(facts) == "describetrails" and isinstance(answer.get("trailList"), list):
            account = str(facts.get("account"))
            number, _ = counts.get(account, (0, ""))
            counts[account] = number + len(answer["trailList"]), str(item["collected_at"])
    return sorted((account, asked) for account, (number, asked) in counts.items() if not number)


def _answers(held: Held) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Manifest line, facts and content of every answer of CloudTrail about trails, in the order of collection."""
    for item in held.objects:
        facts = item.get("facts") or {}
        if item["source"] != "account" or facts.get("service") != "cloudtrail" or not item["object"]:
            continue
        try:
            answer = json.loads(evidence.load(held.case, item["object"]))
        except (ValueError, RecursionError, EvidenceError):
            continue
        if isinstance(answer, dict):
            yield item, facts, answer


def _operation(facts: dict[str, Any]) -> str:
    return str(facts.get("operation") or "").replace("_", "").lower()


def _key(text: str) -> tuple[str, str, str] | None:
    found = _ARN.search(text)
    return (found["account"], found["region"], found["name"]) if found else None


def moment(value: object) -> str | None:
    """A time of an answer, which JSON holds as seconds or as text, in ISO 8601 and UTC."""
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            found = datetime.fromtimestamp(value, UTC)
        elif isinstance(value, str) and value:
            found = datetime.fromisoformat(value)
            found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        else:
            return None
    except (ValueError, OverflowError, OSError):
        return None
    return f"{found:%Y-%m-%dT%H:%M:%SZ}"
