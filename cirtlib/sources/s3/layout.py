"""How CloudTrail and GuardDuty lay out their objects in a bucket, told from names alone.

    [prefix/]AWSLogs/[o-…/]<account>/CloudTrail[-…]/<Region>/YYYY/MM/DD/<file>     trail of an account, organization
    <o-…>/AWSLogs/[<o-…>/]<account>/CloudTrail[-…]/<Region>/YYYY/MM/DD/<file>      Control Tower
    [prefix/]AWSLogs/<account>/GuardDuty/<Region>/YYYY/MM/DD/<file>                 export of GuardDuty findings

Sources: "Finding your CloudTrail log files" (aws-cloudtrail-user-guide), "Exporting findings" (Amazon GuardDuty User
Guide), "Logging AWS Control Tower actions" (AWS Control Tower User Guide). The folder of a day is the day of delivery.
"""

import re
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from cirtlib.case import Case
from cirtlib.errors import CaseError

TRAILS = (
    "CloudTrail",
    "CloudTrail-Digest",
    "CloudTrail-Insight",
    "CloudTrail-NetworkActivity",
    "CloudTrail-Aggregated",
)
_KINDS = {"cloudtrail": TRAILS, "guardduty": ("GuardDuty",), "findings": ("GuardDuty",), "security_hub": ()}
_ALL = (*TRAILS, "GuardDuty")
_LATE = timedelta(days=1)  # an event may be delivered on the day after
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,254}")  # the oldest buckets have capitals and underscores
_ACCOUNT = re.compile(r"[0-9]{12}")
_ABOVE = re.compile(r"AWSLogs|o-[a-z0-9]{10,32}")
_REGION = re.compile(r"[a-z]+(?:-[a-z0-9]+)+")
_DAY = re.compile(r"[0-9]{4}/[0-9]{2}/[0-9]{2}")


@dataclass(frozen=True)
class Spot:
    """Where in the layout a prefix stands: what it names already, from the left; '' is what it leaves open."""

    account: str = ""
    kind: str = ""
    region: str = ""
    base: str = ""  # the prefix as far as the Region; the day of delivery follows


@dataclass(frozen=True)
class Wanted:
    """What of a bucket is to be read.

    Attributes
    ----------
    kinds
        Folders below an account; none: there is no layout to look for, as for Security Hub, which has none.
    accounts, regions
        Those alone, where there are any.
    first, last
        Days of delivery, both included; None where open.
    """

    kinds: tuple[str, ...]
    accounts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None

    def days(self, kind: str) -> tuple[date | None, date | None]:
        """First and last day of delivery; the digest that vouches for a day's last hour comes on the day after."""
        return self.first, self.last + _LATE if self.last and kind == "CloudTrail-Digest" else self.last


def parse(uri: str) -> tuple[str, str]:
    """Bucket and prefix of an `s3://` address.

    Raises
    ------
    CaseError
        when it is none.
    """
    scheme, _, rest = uri.strip().partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme.lower() not in {"s3", "s3a", "s3n"} or not _BUCKET.fullmatch(bucket):
        raise CaseError(f"{uri!r} is no address in S3; write it as s3://BUCKET/PREFIX/")
    return bucket, prefix


def wanted(case: Case, kind: str) -> Wanted:
    """What the case asks for: its accounts and Regions, and the days from its baseline to one after its window."""
    window = case.window
    first = _day(window.start, -case.baseline_days)
    last = _day(window.end, 0)
    return Wanted(_KINDS[kind], case.accounts, case.regions, first, last + _LATE if last else None)


def _day(moment: datetime | None, days: int) -> date | None:
    if moment is None:
        return None
    try:
        return moment.date() + timedelta(days=days)
    except OverflowError:
        return None


def spot(prefix: str) -> Spot:
    """Where a prefix that ends in a slash (or is a key) stands; an empty spot when no account can be told from it."""
    parts = prefix.split("/")[:-1]
    for place, part in enumerate(parts):
        if not _ACCOUNT.fullmatch(part):
            continue
        known = parts[place + 1 : place + 2]
        if not (known and known[0] in _ALL) and not (place and _ABOVE.fullmatch(parts[place - 1])):
            continue
        found = Spot(account=part, kind=known[0] if known else "")
        where = parts[place + 2] if len(parts) > place + 2 else ""
        if found.kind in _ALL and _REGION.fullmatch(where):
            return replace(found, region=where, base="/".join(parts[: place + 3]) + "/")
        return found
    return Spot()


def is_log(kind: str) -> bool:
    """Whether a folder below an account is one that this version knows how to read."""
    return kind in _ALL


def is_account(name: str) -> bool:
    """Whether a folder is named like an account."""
    return _ACCOUNT.fullmatch(name) is not None


def leads_on(name: str) -> bool:
    """Whether a folder of this name stands above accounts in the layout: AWSLogs, or an organization's id."""
    return _ABOVE.fullmatch(name) is not None


def delivered(base: str, key: str) -> str:
    """Day of delivery of a key below the prefix `base` of a Region, as YYYY/MM/DD; '' when its name tells none."""
    day = key[len(base) : len(base) + 10]
    return day if _DAY.fullmatch(day) else ""


def is_folder_mark(key: str, size: int) -> bool:
    """Whether an object is what the S3 console makes for a folder: no bytes, and a name that ends in a slash."""
    return size == 0 and key.endswith("/")
