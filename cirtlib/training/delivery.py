"""Delivery of records to S3 as an organization trail does it: batches, delays, repeats, digests, insights.

Source: AWS CloudTrail user guide, "Finding your CloudTrail log files", "CloudTrail digest file structure" and
"Viewing CloudTrail Insights events".
"""

import datetime as dt
import gzip
import hashlib
import json
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from cirtlib.training import signing
from cirtlib.training.estate import org_bucket
from cirtlib.training.identifiers import alphanumeric, guid, source
from cirtlib.training.shapes import Book, Json, iso
from cirtlib.training.world import World

Slot = tuple[str, str, dt.datetime]
# Where the logs end while the attack goes on, nothing of them arrives later than this after their end.
LATEST = dt.timedelta(minutes=20)


@dataclass(frozen=True)
class LogFile:
    """A log file as written: when it was delivered, its key, the hash of its content and the times of its events."""

    at: dt.datetime
    key: str
    digest: str
    times: tuple[str, ...]


def deliver(world: World, book: Book, folder: Path) -> tuple[int, dict[str, Json]]:
    """Write the records as log files below `folder`, with digests and insights beside them.

    Returns how many events there are, and the metadata of S3 objects by key, which a copy on disk has lost.
    """
    rng = source(world.seed, "delivery")
    slots = _slots(world, book, rng)
    files: dict[tuple[str, str], list[LogFile]] = defaultdict(list)
    for (account, region, at), records in slots.items():
        rng.shuffle(records)
        name = f"{account}_CloudTrail_{region}_{at:%Y%m%dT%H%MZ}_{alphanumeric(rng, 16)}.json.gz"
        key = f"{_prefix(world, account)}/CloudTrail/{region}/{at:%Y/%m/%d}/{name}"
        body = _json({"Records": records})
        _put(folder, key, body)
        times = tuple(record["eventTime"] for record in records)
        files[account, region].append(LogFile(at, key, hashlib.sha256(body).hexdigest(), times))
    metadata: dict[str, Json] = {}
    if world.scenario.delivery.digests != "none":
        regions = world.regions if world.scenario.delivery.digests == "all" else (world.home,)
        for account in world.accounts:
            for region in regions:
                metadata |= _digests(world, account, region, files[account, region], folder=folder)
    _insights(world, rng, folder)
    _lose(world, files, folder)
    return sum(len(records) for records in slots.values()), metadata


def _lose(world: World, files: dict[tuple[str, str], list[LogFile]], folder: Path) -> None:
    """Lose some files of the management account's days before the attack; their digests go on naming them."""
    day = world.start + dt.timedelta(days=world.scenario.attack.day - 1)
    early = sorted(item.key for item in files[world.management, world.home] if item.at < day)
    rng = source(world.seed, "lost")
    for key in rng.sample(early, min(world.scenario.gaps.lost_files, len(early))):
        (folder / key).unlink()


def _slots(world: World, book: Book, rng: random.Random) -> dict[Slot, list[Json]]:
    """Sort records into batches by when they arrive; some arrive late, some twice."""
    settings = world.scenario.delivery
    slots: dict[Slot, list[Json]] = defaultdict(list)
    for at, account, region, record in sorted(book.records, key=lambda item: (item[0], item[3]["eventID"])):
        arrives, delivered = at + _delay(rng, record["eventSource"]), record
        if rng.random() < settings.late_share:
            arrives = at + dt.timedelta(minutes=rng.randint(45, 700))
            delivered = _delayed(record) if rng.random() < 0.5 else record
        if world.scenario.ends_after:
            arrives = min(arrives, world.end + LATEST)
        slots[account, region, _batch(world, arrives)].append(delivered)
        if rng.random() < settings.duplicate_share:
            again = arrives + dt.timedelta(minutes=0 if world.scenario.ends_after else rng.choice((0, 0, 25, 90)))
            slots[account, region, _batch(world, again)].append(delivered)
    return slots


def _prefix(world: World, account: str) -> str:
    return f"AWSLogs/{world.organization}/{account}"


def _delay(rng: random.Random, event_source: str) -> dt.timedelta:
    """With the wait for the end of a batch about five minutes on average; global services come a little later.

    CloudTrail's user guide gives that average and no bound ("Finding your CloudTrail log files").
    """
    mean = 240 if event_source.startswith(("iam.", "sts.", "signin.")) else 120
    return dt.timedelta(seconds=45 + rng.expovariate(1 / mean))


def _delayed(record: Json) -> Json:
    """Mark a record as CloudTrail marks some of those it delivers late."""
    marked: Json = {}
    for key, value in record.items():
        if key == "eventCategory":
            marked["addendum"] = {"reason": "DELIVERY_DELAY"}
        marked[key] = value
    return marked


def _batch(world: World, at: dt.datetime) -> dt.datetime:
    """End of the batch in which something that arrives at a time is delivered."""
    span = world.scenario.delivery.batch_minutes * 60
    return dt.datetime.fromtimestamp((int(at.timestamp()) // span + 1) * span, tz=dt.UTC)


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _put(folder: Path, key: str, body: bytes) -> None:
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(body, compresslevel=5, mtime=0))


def _digests(world: World, account: str, region: str, files: list[LogFile], *, folder: Path) -> dict[str, Json]:
    """Write an hourly digest for an account and Region, each naming hash and signature of the one before.

    Returns the metadata of their S3 objects, by key.
    """
    rng = source(world.seed, f"digests-{account}-{region}")
    begin = world.start + dt.timedelta(minutes=rng.randrange(60), seconds=rng.randrange(60))
    fingerprint, bucket = signing.fingerprint(), org_bucket(world)
    previous: tuple[str, str, str] | None = None
    metadata: dict[str, Json] = {}
    stem = f"{account}_CloudTrail-Digest_{region}_{world.trails['organization']}_{world.home}"
    last = max([world.end, *(item.at for item in files)])
    while begin < last:
        end = begin + dt.timedelta(hours=1)
        inside = [item for item in sorted(files, key=lambda item: item.key) if begin < item.at <= end]
        name = f"{stem}_{end:%Y%m%dT%H%M%SZ}.json.gz"
        key = f"{_prefix(world, account)}/CloudTrail-Digest/{region}/{end:%Y/%m/%d}/{name}"
        times = sorted(time for item in inside for time in item.times)
        digest = {
            "awsAccountId": account,
            "digestStartTime": iso(begin),
            "digestEndTime": iso(end),
            "digestS3Bucket": bucket,
            "digestS3Object": key,
            "digestPublicKeyFingerprint": fingerprint,
            "digestSignatureAlgorithm": "SHA256withRSA",
            "newestEventTime": times[-1] if times else None,
            "oldestEventTime": times[0] if times else None,
            "previousDigestS3Bucket": bucket if previous else None,
            "previousDigestS3Object": previous[0] if previous else None,
            "previousDigestHashValue": previous[1] if previous else None,
            "previousDigestHashAlgorithm": "SHA-256" if previous else None,
            "previousDigestSignature": previous[2] if previous else None,
            "logFiles": [_listed(item, bucket) for item in inside],
        }
        body = _json(digest)
        _put(folder, key, body)
        signature = signing.sign(digest, body)
        metadata[key] = {"signature": signature, "signature-algorithm": "SHA256withRSA"}
        previous, begin = (key, hashlib.sha256(body).hexdigest(), signature), end
    return metadata


def _listed(item: LogFile, bucket: str) -> Json:
    return {
        "s3Bucket": bucket,
        "s3Object": item.key,
        "hashValue": item.digest,
        "hashAlgorithm": "SHA-256",
        "newestEventTime": max(item.times),
        "oldestEventTime": min(item.times),
    }


def _insights(world: World, rng: random.Random, folder: Path) -> None:
    """Write pairs of insight records about benign bursts of calls, beside the logs as the trail does."""
    for day in sorted(rng.sample(range(1, world.scenario.days), 2)):
        at = world.start + dt.timedelta(days=day, hours=world.opening, minutes=rng.randrange(60, 400))
        shared, average, minutes = guid(rng), rng.random() / 100, rng.randint(3, 12)
        rate = 5.0 + rng.random() * 20
        records = []
        for state, moment in (("Start", at), ("End", at + dt.timedelta(minutes=minutes))):
            statistics = {
                "baseline": {"average": average},
                "insight": {"average": rate},
                "insightDuration": minutes,
                "baselineDuration": 1440 * day,
            }
            record = {
                "eventVersion": "1.07",
                "eventTime": iso(moment),
                "awsRegion": world.home,
                "eventID": guid(rng),
                "eventType": "AwsCloudTrailInsight",
                "recipientAccountId": world.workload,
                "sharedEventID": shared,
                "insightDetails": {
                    "state": state,
                    "eventSource": "ec2.amazonaws.com",
                    "eventName": "DescribeInstances",
                    "insightType": "ApiCallRateInsight",
                    "insightContext": {"statistics": statistics, "attributions": _attributions(world)},
                },
                "eventCategory": "Insight",
            }
            records.append(record)
        stamp = at + dt.timedelta(minutes=minutes + 20)
        name = f"{world.workload}_CloudTrail-Insight_{world.home}_{stamp:%Y%m%dT%H%MZ}_{alphanumeric(rng, 16)}.json.gz"
        key = f"{_prefix(world, world.workload)}/CloudTrail-Insight/{world.home}/{stamp:%Y/%m/%d}/{name}"
        _put(folder, key, _json({"Records": records}))


def _attributions(world: World) -> list[Json]:
    role = world.pipelines[-1].role
    arn = f"arn:aws:sts::{role.account}:assumed-role/{role.name}"
    return [
        {
            "attribute": "userIdentityArn",
            "insight": [{"value": arn, "average": 5.0}],
            "baseline": [{"value": arn, "average": 0.002}],
        }
    ]
