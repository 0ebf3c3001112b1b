"""Our verdicts beside those of `aws cloudtrail validate-logs`, whose algorithm is the documented one."""

import gzip
import random
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cirtlib import digest
from tests.digest_chain import HOUR, START, Bucket, Trail, case_of, inside, key_list, keys, packed

validation = pytest.importorskip("awscli.customizations.cloudtrail.validation")


class _Body:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, size: int | None = None) -> bytes:
        taken, self.data = (self.data, b"") if size is None else (self.data[:size], self.data[size:])
        return taken


class _S3:
    """The two calls of S3 that the AWS CLI makes, answered from a bucket in memory."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def get_client(self, _: str) -> "_S3":
        return self

    def get_object(self, *, Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - as AWS names it
        if Key not in self.bucket.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": _Body(self.bucket.objects[Key]), "Metadata": self.bucket.metadata.get(Key, {})}

    def get_paginator(self, _: str) -> "_S3":
        return self

    def paginate(self, *, Marker: str, Prefix: str, **_: Any) -> "_S3":  # noqa: N803 - as AWS names it
        self.found = [name for name in sorted(self.bucket.objects) if name.startswith(Prefix) and name > Marker]
        return self

    def search(self, _: str) -> list[str]:
        return self.found


class _CloudTrail:
    def list_public_keys(self, **_: Any) -> dict[str, Any]:
        return key_list()


def reference(trail: Trail) -> dict[str, int]:
    """Count of valid and invalid files by `aws cloudtrail validate-logs`."""
    command = validation.CloudTrailValidateLogs.__new__(validation.CloudTrailValidateLogs)
    counts = [f"_{how}_{what}" for how in ("valid", "invalid") for what in ("digests", "backfill_digests", "logs")]
    vars(command).update(dict.fromkeys(counts, 0))
    command.trail_arn = f"arn:aws:cloudtrail:us-east-1:{trail.account}:trail/{trail.trail}"
    command.s3_bucket, command.s3_prefix, command.account_id = trail.bucket.name, None, trail.account
    command.start_time, command.end_time = START - 24 * HOUR, trail.at + HOUR
    command.cloudtrail_client, command.organization_client = _CloudTrail(), None
    command.s3_client_provider, command._source_region = _S3(trail.bucket), trail.region
    command.is_verbose, command._is_last_status_double_space = False, True
    command._found_start_time = command._found_end_time = None
    command._call()
    return {name: getattr(command, name) for name in counts}


def ours(tmp_path: Path, trail: Trail) -> dict[str, int]:
    """The same counts from our verdicts; log files that an unsigned copy names are not checked by the reference."""
    found = digest.validate(case_of(tmp_path / "case", trail.bucket), keys=keys())
    digests, logs = found[found["kind"].eq("digest")], found[found["kind"].eq("log")]
    backfill = digests["name"].str.contains("_backfill")
    valid = digests["verdict"].eq("valid")
    return {
        "_valid_digests": int((valid & ~backfill).sum()),
        "_valid_backfill_digests": int((valid & backfill).sum()),
        "_valid_logs": int((logs["verdict"].eq("valid") & ~logs["reason"].str.contains("not proven")).sum()),
        "_invalid_digests": int((~valid & ~backfill).sum()),
        "_invalid_backfill_digests": int((~valid & backfill).sum()),
        "_invalid_logs": int(logs["verdict"].isin(["log missing", "log changed"]).sum()),
    }


def _flip(trail: Trail, name: str) -> None:
    data = bytearray(inside(trail.bucket.objects[name]))
    data[len(data) // 2] ^= 1
    trail.bucket.objects[name] = gzip.compress(bytes(data), mtime=0)


def _backfill(trail: Trail) -> None:
    trail.digest(START, START + HOUR, [trail.log(START + HOUR / 2)], None, backfill=True)


def _wrong_signature(trail: Trail) -> None:
    trail.bucket.metadata[trail.digests[-1]]["signature"] = trail.bucket.metadata[trail.digests[0]]["signature"]


DAMAGES = {
    "none": lambda trail: None,
    "log changed": lambda trail: _flip(trail, trail.logs[3]),
    "log missing": lambda trail: trail.bucket.delete(trail.logs[3]),
    "log truncated": lambda trail: trail.bucket.objects.update(
        {trail.logs[3]: trail.bucket.objects[trail.logs[3]][:-9]}
    ),
    "log appended": lambda trail: trail.bucket.objects.update(
        {trail.logs[3]: trail.bucket.objects[trail.logs[3]] + b"x"}
    ),
    "log no gzip": lambda trail: trail.bucket.objects.update({trail.logs[3]: b"\x1f\x8b junk"}),
    "digest missing": lambda trail: trail.bucket.delete(trail.digests[2]),
    "digest changed": lambda trail: _flip(trail, trail.digests[2]),
    "digest junk": lambda trail: trail.bucket.objects.update({trail.digests[2]: packed([])}),
    "wrong signature": _wrong_signature,
    "no signature": lambda trail: trail.bucket.metadata.pop(trail.digests[-1]),
    "foreign key": lambda trail: trail.digest(trail.at, trail.at + HOUR, [], trail.previous, signer="forger"),
    "restart": lambda trail: trail.pause(3).hours(2),
    "backfill": _backfill,
}


@pytest.mark.parametrize("name", DAMAGES)
def test_the_reference_agrees(tmp_path: Path, name: str) -> None:
    """For each kind of damage we and the AWS CLI count the same valid and invalid files."""
    trail = Trail(Bucket()).hours(6)
    DAMAGES[name](trail)
    assert ours(tmp_path, trail) == reference(trail)


@pytest.mark.parametrize("seed", range(20))
def test_the_reference_agrees_on_mixtures(tmp_path: Path, seed: int) -> None:
    """Chains damaged in several places at random are judged as the AWS CLI judges them."""
    rng = random.Random(seed)
    trail = Trail(Bucket()).hours(rng.randint(2, 8))
    if rng.random() < 0.5:
        trail.pause(rng.randint(1, 5)).hours(rng.randint(1, 5))
    logs, digests = rng.sample(trail.logs, 3), rng.sample(trail.digests, 2)
    _flip(trail, logs[0])
    trail.bucket.delete(logs[1])
    _flip(trail, digests[0])
    if rng.random() < 0.5:
        trail.bucket.delete(digests[1])
    mine, theirs = ours(tmp_path, trail), reference(trail)
    assert {**mine, "_invalid_digests": 0} == {**theirs, "_invalid_digests": 0}
