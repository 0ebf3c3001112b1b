"""Buckets of the emulated accounts: a scenario's log files and exported findings, put into moto as AWS would."""

import datetime as dt
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cirtlib.training.account_state import State, backend

_DELIVERED = re.compile(r"_(\d{8}T\d{4}(?:\d\d)?)Z[_.]")


@dataclass(frozen=True)
class Logs:
    """Log files in S3 layout (AWSLogs/…), the account and bucket to which a trail delivers them, and their metadata.

    `metadata` is the user metadata of objects by key, such as a digest's signature.
    """

    folder: Path
    account: str
    bucket: str
    metadata: dict[str, dict[str, str]]

    def deliver(self, *, after: dt.datetime | None = None, until: dt.datetime | None = None) -> None:
        """Put the files into the bucket; of a span of time those that were delivered in it, by their names."""
        for path in _files(self.folder):
            at = _delivered(path)
            if (after is None or (at is not None and at > after)) and (until is None or at is None or at <= until):
                key = path.relative_to(self.folder).as_posix()
                _put(self.account, self.bucket, key, path, self.metadata.get(key, {}))


def trail_bucket(state: State, folder: Path, metadata: Path | None) -> Logs:
    """Logs in the bucket of the organization's trail where there is one, else of the first trail.

    `metadata` is a JSON file: key -> user metadata of its object.
    """
    accounts = state["accounts"]
    trails = [(account, trail) for account, content in accounts.items() for trail in content.get("trails", [])]
    trails.sort(key=lambda pair: not pair[1].get("IsOrganizationTrail"))
    owner = trails[0][0] if trails else next(iter(accounts))
    name = trails[0][1]["S3BucketName"] if trails else f"amzn-s3-demo-trail-{owner}"
    holders = [account for account, content in accounts.items() if name in _buckets(content)]
    owner = holders[0] if holders else owner
    _bucket(owner, name)
    return Logs(folder, owner, name, json.loads(metadata.read_text(encoding="utf-8")) if metadata else {})


def deliver_findings(account: str, folder: Path) -> str:
    """Put GuardDuty's export (AWSLogs/…/GuardDuty/…) into a bucket of its own in an account; return its name."""
    name = f"amzn-s3-demo-findings-{account}"
    _bucket(account, name)
    for path in _files(folder / "AWSLogs"):
        _put(account, name, path.relative_to(folder).as_posix(), path, {})
    return name


def organization_id(folder: Path) -> str:
    """Organization whose trail delivered the log files; '' where it was an account's own."""
    return next((path.name for path in sorted(folder.glob("AWSLogs/o-*"))), "")


def enabled_regions(folders: Sequence[Path]) -> set[str]:
    """Regions that log files come from: whoever logs there has enabled them."""
    return {path.name for folder in folders for path in folder.glob("AWSLogs/**/CloudTrail/*") if path.is_dir()}


def _buckets(content: State) -> set[str]:
    return {bucket["Name"] for bucket in content.get("buckets", [])}


def _bucket(account: str, name: str) -> None:
    s3 = backend("s3", account)
    if name not in s3.buckets:
        s3.create_bucket(name, "us-east-1")


def _put(account: str, bucket: str, key: str, path: Path, metadata: dict[str, str]) -> None:
    made = backend("s3", account).put_object(bucket, key, path.read_bytes(), disable_notification=True)
    made.set_metadata({f"x-amz-meta-{name}": value for name, value in metadata.items()})
    if at := _delivered(path):
        made.last_modified = at.replace(tzinfo=None)  # moto holds times in UTC without saying so


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _delivered(path: Path) -> dt.datetime | None:
    """When a file was delivered, if its name says so."""
    found = _DELIVERED.search(path.name)
    return dt.datetime.strptime(found[1].ljust(15, "0"), "%Y%m%dT%H%M%S").replace(tzinfo=dt.UTC) if found else None
