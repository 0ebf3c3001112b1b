"""Buckets that a case reads: can they be listed and their objects read, and how much lies in them.

Never everything is listed: a few days of a few accounts are, and the rest is reckoned from them.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice

from botocore.exceptions import BotoCoreError, ClientError

from cirtlib.aws import Aws
from cirtlib.case import Case
from cirtlib.check.calls import Row
from cirtlib.engine.remote import PRICE
from cirtlib.errors import CaseError
from cirtlib.sources.s3 import layout
from cirtlib.sources.s3.bucket import Bucket, answer
from cirtlib.sources.s3.listing import Inventory
from cirtlib.sources.s3.reading import Ref
from cirtlib.text import many

_DAYS = 3  # days that are listed
_FOLDERS = 8  # folders of accounts that are listed
_MOST = 20_000  # objects of one day and account that are listed
_FIRST = "bytes=0-15"  # enough for S3 to decrypt the object
_UNBOUNDED = 30  # days that are reckoned with where the case names no window
_THREADS = 8
# What one process collects in a second, measured on two cores with objects near by: objects, and bytes of them.
_OBJECTS, _BYTES = 1_000, 15_000_000


@dataclass(frozen=True)
class Place:
    """One address in S3 that a case reads; `account` is whose role opens it, None for the case's own credentials."""

    kind: str
    bucket: str
    prefix: str
    account: str | None

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True)
class Sample:
    """What was listed: days and folders of accounts, out of how many, and objects; `cut` when there are more."""

    days: tuple[date, ...]
    of_days: int
    folders: tuple[str, ...]
    of_folders: int
    refs: tuple[Ref, ...]
    cut: bool


def places(case: Case) -> list[Place]:
    """Addresses in S3 among the sources of a case.

    Raises
    ------
    CaseError
        when one is none.
    """
    found = []
    for source in case.sources:
        if "s3" in source.options:
            try:
                bucket, prefix = layout.parse(str(source.options["s3"]))
            except CaseError as error:
                raise CaseError(f"source {source.kind}: {error}") from None
            found.append(Place(source.kind, bucket, prefix, source.options.get("account")))
    return found


def rows(case: Case, aws: Aws, place: Place, accounts: Sequence[str]) -> Iterator[Row]:
    """What holds of one address: listing, reading and decrypting, accounts without logs, the amount.

    Raises
    ------
    AccessError
        when the credentials have run out.
    """
    bucket = Bucket(place.bucket, aws, place.account)
    by = place.account or ""
    inventory = Inventory(bucket, place.prefix, replace(layout.wanted(case, place.kind), accounts=()))
    folders = inventory.places()
    refused = [one for one in inventory.slices() if one.status in {"denied", "failed"}]
    if refused:
        yield Row(by, "", f"list {place}", refused[0].status, _in_words(refused[0].reason, place))
        return
    named = {account for folder in folders if (account := layout.spot(folder).account)}
    wanted = [one for one in folders if not case.accounts or layout.spot(one).account in {"", *case.accounts}]
    sample = _sample(case, bucket, place, wanted)
    yield Row(by, "", f"list {place}", "ok", f"logs of {many(len(named), 'account')}" if named else "no layout of AWS")
    if named:
        for account in sorted(set(accounts) - named):
            yield Row(account, "", f"logs in {place}", "off", "holds no logs of this account")
    yield from _readable(bucket, place, sample.refs or tuple(_any(bucket, place, wanted)))
    yield (
        _estimate(by, place, sample)
        if named
        else Row(by, "", f"amount in {place}", "unknown", "its objects are not in folders of days, so that all is read")
    )


def _sample(case: Case, bucket: Bucket, place: Place, folders: Sequence[str]) -> Sample:
    """List a few days of a few accounts."""
    wanted = layout.wanted(case, place.kind)
    today = datetime.now(UTC).date()
    last = min(wanted.last or today, today)
    first = min(wanted.first or last - timedelta(days=_UNBOUNDED), last)
    length = (last - first).days + 1
    days = tuple(first + timedelta(days=at) for at in _spread(length, _DAYS))
    some = tuple(folders[at] for at in _spread(len(folders), _FOLDERS))
    tasks = [(folder, day) for folder in some for day in days if layout.spot(folder).account]

    def one(task: tuple[str, date]) -> list[Ref]:
        limits = replace(wanted, accounts=(), first=task[1], last=task[1])
        return list(islice(Inventory(bucket, task[0], limits).refs(), _MOST))

    with ThreadPoolExecutor(_THREADS) as threads:
        parts = list(threads.map(one, tasks))
    cut = any(len(part) == _MOST for part in parts)
    return Sample(days, length, some, len(folders), tuple(ref for part in parts for ref in part), cut)


def _spread(length: int, most: int) -> list[int]:
    """At most so many places out of 0 … length - 1, evenly, in their middle."""
    number = min(length, most)
    return [(2 * at + 1) * length // (2 * number) for at in range(number)]


def _any(bucket: Bucket, place: Place, folders: Sequence[str]) -> Iterator[Ref]:
    """One object, of whatever day."""
    listed = bucket.access().client.list_objects_v2(
        Bucket=bucket.name, Prefix=next(iter(folders), place.prefix), MaxKeys=10
    )
    found = [one for one in listed.get("Contents") or () if not layout.is_folder_mark(one["Key"], one["Size"])]
    yield from (Ref(one["Key"], one["Size"]) for one in found[:1])


def _readable(bucket: Bucket, place: Place, refs: Sequence[Ref]) -> Iterator[Row]:
    """Whether the first bytes of the newest object of each account can be had: another key may encrypt each."""
    newest = {layout.spot(ref.key).account: ref for ref in sorted(refs, key=lambda ref: ref.key)}
    if not newest:
        yield Row(place.account or "", "", f"read {place}", "unknown", "there is no object to try it on")
    for account, ref in newest.items():
        access = bucket.access()
        try:
            got = access.client.get_object(Bucket=bucket.name, Key=ref.key, Range=_FIRST)
            got["Body"].close()
            how = got.get("ServerSideEncryption") or "not encrypted"
            status, detail = "ok", f"{how}: {ref.key}"
        except (ClientError, BotoCoreError) as error:
            said = answer(error, access)
            empty = said.code == "InvalidRange"  # an object without bytes
            status, detail = ("ok", ref.key) if empty else (said.status, _in_words(f"{said.reason}: {ref.key}", place))
        yield Row(account, "", f"read {place}", status, detail)


def _in_words(reason: str, place: Place) -> str:
    """Why S3 refused, and what to do about it."""
    whose = f"the role of account {place.account}" if place.account else "these credentials"
    if "kms" in reason.lower():
        return f"the objects are encrypted: let {whose} use kms:Decrypt with their key, in its policy too; {reason}"
    if "InvalidObjectState" in reason:
        return f"the objects are archived: restore them first; {reason}"
    if "AccessDenied" in reason or "403" in reason:
        return f"allow s3:ListBucket and s3:GetObject for {whose}, in the bucket's policy too; {reason}"
    return reason


def _estimate(account: str, place: Place, sample: Sample) -> Row:
    """Objects, gigabytes, minutes and Athena's price, and from what they were reckoned."""
    what = f"amount in {place}"
    days = ", ".join(f"{day}" for day in sample.days)
    basis = f"{many(len(sample.days), 'day')} ({days}) of {many(len(sample.folders), 'account')}"
    if not sample.refs:
        return Row(account, "", what, "unknown", f"nothing was delivered on {basis}")
    factor = sample.of_days / len(sample.days) * sample.of_folders / len(sample.folders)
    objects = factor * len(sample.refs)
    size = factor * sum(ref.size for ref in sample.refs)
    minutes = max(objects / _OBJECTS, size / _BYTES) / 60
    least = "more than " if sample.cut else "about "
    said = (
        f"{least}{objects:,.0f} objects, {_gigabytes(size)}, {_minutes(minutes)} to collect with one process, "
        f"{_dollars(size / 1e12 * PRICE)} for each question that Athena asks of all of it; "
        f"an estimate for {many(sample.of_days, 'day')} of {many(sample.of_folders, 'account')}, from {basis}"
    )
    return Row(account, "", what, "ok", said)


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:,.2f} GB" if size >= 1e7 else "less than 0.01 GB"


def _minutes(minutes: float) -> str:
    return f"{minutes:,.0f} minutes" if minutes >= 1.5 else "a minute or less"


def _dollars(price: float) -> str:
    return f"{price:,.2f} USD" if price >= 0.01 else "less than 0.01 USD"
