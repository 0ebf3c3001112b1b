"""Buckets of the emulated accounts: a scenario's log files and exported findings, put into moto as AWS would."""

import datetime as dt
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from cirtlib.training.account_state import State, backend

METADATA = ".metadata.json"  # beside a file: user metadata of its S3 object, such as a digest's signature

_DELIVERED = re.compile(r"_(\d{8}T\d{4}(?:\d\d)?)Z[_.]")


def deliver_logs(state: State, folder: Path) -> tuple[str, str]:
    """Put log files (S3 layout: AWSLogs/…) into the trail's bucket; return its account and name.

    It is the bucket of the organization's trail where there is one, else of the first trail.
    """
    trails = [(account, trail) for account, content in state["accounts"].items() for trail in content.get("trails", [])]
    organization = [pair for pair in trails if pair[1].get("IsOrganizationTrail")]
    owner = next(iter(state["accounts"]))
    name = f"amzn-s3-demo-trail-{owner}"
    if trails:
        owner, trail = (organization or trails)[0]
        name = trail["S3BucketName"]
    holders = [account for account, content in state["accounts"].items() if name in _buckets(content)]
    owner = holders[0] if holders else owner
    _put(owner, name, folder)
    return owner, name


def deliver_findings(owner: str, folder: Path) -> str:
    """Put GuardDuty's export (AWSLogs/…/GuardDuty/…) into a bucket of its own in an account; return its name."""
    name = f"amzn-s3-demo-findings-{owner}"
    _put(owner, name, folder, below="AWSLogs")
    return name


def enabled_regions(folders: Sequence[Path]) -> set[str]:
    """Regions that log files come from: whoever logs there has enabled them."""
    return {path.name for folder in folders for path in folder.glob("AWSLogs/**/CloudTrail/*") if path.is_dir()}


def _buckets(content: State) -> set[str]:
    return {bucket["Name"] for bucket in content.get("buckets", [])}


def _put(account: str, bucket: str, folder: Path, *, below: str = "") -> None:
    s3 = backend("s3", account)
    if bucket not in s3.buckets:
        s3.create_bucket(bucket, "us-east-1")
    for path in _files(folder / below):
        key = path.relative_to(folder).as_posix()
        made = s3.put_object(bucket, key, path.read_bytes(), disable_notification=True)
        beside = path.with_name(path.name + METADATA)
        if beside.is_file():
            said = json.loads(beside.read_text(encoding="utf-8"))
            made.set_metadata({f"x-amz-meta-{name}": value for name, value in said.items()})
        if stamp := _DELIVERED.search(path.name):
            made.last_modified = _time(stamp[1])


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith(METADATA))


def _time(text: str) -> dt.datetime:
    """When an object was delivered, by its name; moto holds times in UTC without saying so."""
    seconds = "%S" if len(text) == 15 else ""
    return dt.datetime.strptime(text, f"%Y%m%dT%H%M{seconds}").replace(tzinfo=None)  # noqa: DTZ007
