"""What the trails of the practice accounts see: a trail that logs may yet record little, or write it nowhere."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from moto.backends import get_backend

from cirtlib.training.practice.calls import bucket_owner

Json = dict[str, Any]
Where = tuple[str, str, str]  # account, Region, name
# Services whose management events a trail may leave out for their number. Source: CloudTrail user guide.
_MAY_BE_LEFT_OUT = {"kms.amazonaws.com", "rdsdata.amazonaws.com"}


@dataclass(frozen=True)
class Sight:
    """What a trail records, and where to.

    Attributes
    ----------
    logs
        Whether it is on.
    changes
        Whether it takes every management event that changes something.
    regions, members
        Whether it records all Regions, all accounts of the organization.
    bucket
        Where its files go.
    """

    logs: bool
    changes: bool
    regions: bool
    members: bool
    bucket: str

    @classmethod
    def of(cls, trail: Any) -> "Sight":  # noqa: ANN401 - moto has no types
        """What a trail of moto's sees now."""
        return cls(
            bool(trail.status.is_logging),
            _changes(trail),
            _true(trail.is_multi_region),
            _true(trail.is_org_trail),
            str(trail.bucket_name),
        )


def all_trails(accounts: Iterable[str]) -> dict[Where, Sight]:
    """What each trail of these accounts sees now."""
    return {
        (account, region, str(name)): Sight.of(trail)
        for account in accounts
        for region, one in list(get_backend("cloudtrail")[account].items())
        for name, trail in list(one.trails.items())
    }


def at(name: str, account: str, region: str) -> Where:
    """Place of the trail that a call of this account and Region means by a name or an ARN."""
    parts = name.split(":")
    return (parts[4], parts[3], name.rsplit("/", 1)[-1]) if len(parts) > 5 else (account, region, name)


def blind(before: Sight, trail: Any) -> str:  # noqa: ANN401 - moto has no types
    """What a trail does not see any more, in words; '' where it sees all that it saw."""
    now = Sight.of(trail)
    if before.changes and not now.changes:
        return "its event selectors leave out management events: what is done now leaves no record"
    if now.bucket != before.bucket and not bucket_owner(now.bucket):
        return f"delivers into bucket {now.bucket}, which none of the accounts has"
    if before.regions and not now.regions:
        return "records one Region alone, where it recorded all"
    if before.members and not now.members:
        return "records one account alone, where it recorded the organization"
    return ""


def _changes(trail: Any) -> bool:  # noqa: ANN401 - moto has no types
    """Whether any of its event selectors takes all management events that write; without selectors it does."""
    if trail.event_selectors:
        return any(_basic(one) for one in trail.event_selectors)
    return not trail.advanced_event_selectors or any(_advanced(one) for one in trail.advanced_event_selectors)


def _basic(selector: Json) -> bool:
    left_out = set(selector.get("ExcludeManagementEventSources") or ())
    return (
        _true(selector.get("IncludeManagementEvents", True))
        and selector.get("ReadWriteType", "All") in ("All", "WriteOnly")
        and left_out <= _MAY_BE_LEFT_OUT
    )


def _advanced(selector: Json) -> bool:
    fields = {one.get("Field"): one for one in selector.get("FieldSelectors") or ()}
    if "Management" not in (fields.pop("eventCategory", {}).get("Equals") or ()):
        return False
    reads, sources = fields.pop("readOnly", {}), fields.pop("eventSource", {})
    narrowed = set(sources) - {"Field", "NotEquals"} or set(sources.get("NotEquals") or ()) - _MAY_BE_LEFT_OUT
    return not fields and not narrowed and "true" not in (reads.get("Equals") or ())


def _true(value: object) -> bool:
    return str(value).lower() == "true"
