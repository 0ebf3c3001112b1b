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
from pathlib import Path
from typing import Any

from cirtlib.training.estate import org_bucket
from cirtlib.training.identifiers import alphanumeric, guid, hexadecimal, source
from cirtlib.training.shapes import Book, Json, iso
from cirtlib.training.world import World

Slot = tuple[str, str, dt.datetime]


def deliver(world: World, book: Book, folder: Path) -> int:
    """Write the records as log files below `folder`, with digests and insights beside them; return how many events."""
    rng = source(world.seed, "delivery")
    slots: dict[Slot, list[Json]] = defaultdict(list)
    for at, account, region, record in sorted(book.records, key=lambda item: (item[0], item[3]["eventID"])):
        arrives = at + _delay(rng, record["eventSource"])
        if rng.random() < world.scenario.delivery.late_share:
            arrives = at + dt.timedelta(minutes=rng.randint(45, 700))
            if rng.random() < 0.5:
                record = _delayed(record)
        slots[account, region, _batch(world, arrives)].append(record)
        if rng.random() < world.scenario.delivery.duplicate_share:
            again = arrives + dt.timedelta(minutes=rng.choice((0, 0, 25, 90)))
            slots[account, region, _batch(world, again)].append(record)
    written: dict[tuple[str, str], list[tuple[dt.datetime, str, bytes, list[str]]]] = defaultdict(list)
    for (account, region, at), records in slots.items():
        rng.shuffle(records)
        name = f"{account}_CloudTrail_{region}_{at:%Y%m%dT%H%MZ}_{alphanumeric(rng, 16)}.json.gz"
        key = f"{_prefix(world, account)}/CloudTrail/{region}/{at:%Y/%m/%d}/{name}"
        body = _json({"Records": records})
        _put(folder, key, body)
        times = [record["eventTime"] for record in records]
        written[account, region].append((at, key, body, times))
    _digests(world, rng, written, folder)
    _insights(world, rng, folder)
    return sum(len(records) for records in slots.values())


def _prefix(world: World, account: str) -> str:
    return f"AWSLogs/{world.organization}/{account}"


def _delay(rng: random.Random, event_source: str) -> dt.timedelta:
    """About five minutes on average; global services come a little later."""
    mean = 420 if event_source.startswith(("iam.", "sts.", "signin.")) else 240
    return dt.timedelta(seconds=60 + rng.expovariate(1 / mean))


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


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _put(folder: Path, key: str, body: bytes) -> None:
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(body, compresslevel=5, mtime=0))


def _digests(
    world: World,
    rng: random.Random,
    written: dict[tuple[str, str], list[tuple[dt.datetime, str, bytes, list[str]]]],
    folder: Path,
) -> None:
    """Write an hourly digest for each account and Region, each naming the hash of the one before."""
    if world.scenario.delivery.digests == "none":
        return
    regions = world.regions if world.scenario.delivery.digests == "all" else (world.home,)
    for account in world.accounts:
        for region in regions:
            files = sorted(written.get((account, region), []))
            minute = dt.timedelta(minutes=rng.randrange(60), seconds=rng.randrange(60))
            fingerprint, previous = hexadecimal(rng, 32), None
            for hour in range(world.scenario.days * 24):
                begin = world.start + dt.timedelta(hours=hour) + minute
                end = begin + dt.timedelta(hours=1)
                inside = [item for item in files if begin < item[0] <= end]
                names = (f"{account}_CloudTrail-Digest_{region}_{world.trails['organization']}_{world.home}", end)
                key = f"{_prefix(world, account)}/CloudTrail-Digest/{region}/{end:%Y/%m/%d}/{names[0]}_{end:%Y%m%dT%H%M%SZ}.json.gz"
                body = _json(
                    _digest(world, account, key, inside, previous=previous, span=(begin, end), mark=fingerprint)
                )
                _put(folder, key, body)
                previous = (key, hashlib.sha256(body).hexdigest())


def _digest(  # noqa: PLR0913 (a digest names all of these)
    world: World,
    account: str,
    key: str,
    files: list[tuple[dt.datetime, str, bytes, list[str]]],
    *,
    previous: tuple[str, str] | None,
    span: tuple[dt.datetime, dt.datetime],
    mark: str,
) -> Json:
    """Content of a digest. Its signature would be metadata of the S3 object, which a copy on disk has lost."""
    bucket, times = org_bucket(world), sorted(time for item in files for time in item[3])
    return {
        "awsAccountId": account,
        "digestStartTime": iso(span[0]),
        "digestEndTime": iso(span[1]),
        "digestS3Bucket": bucket,
        "digestS3Object": key,
        "digestPublicKeyFingerprint": mark,
        "digestSignatureAlgorithm": "SHA256withRSA",
        "newestEventTime": times[-1] if times else None,
        "oldestEventTime": times[0] if times else None,
        "previousDigestS3Bucket": bucket if previous else None,
        "previousDigestS3Object": previous[0] if previous else None,
        "previousDigestHashValue": previous[1] if previous else None,
        "previousDigestHashAlgorithm": "SHA-256" if previous else None,
        "previousDigestSignature": None,
        "logFiles": [
            {
                "s3Bucket": bucket,
                "s3Object": name,
                "hashValue": hashlib.sha256(body).hexdigest(),
                "hashAlgorithm": "SHA-256",
                "newestEventTime": max(times_of),
                "oldestEventTime": min(times_of),
            }
            for _, name, body, times_of in files
        ],
    }


def _insights(world: World, rng: random.Random, folder: Path) -> None:
    """Write pairs of insight records about benign bursts of calls, beside the logs as the trail does."""
    for day in sorted(rng.sample(range(1, world.scenario.days), 2)):
        at = world.start + dt.timedelta(days=day, hours=world.opening, minutes=rng.randrange(60, 400))
        shared, average, minutes = guid(rng), rng.random() / 100, rng.randint(3, 12)
        records = []
        for state, moment in (("Start", at), ("End", at + dt.timedelta(minutes=minutes))):
            statistics = {"baseline": {"average": average}, "insight": {"average": 5.0 + rng.random() * 20}}
            statistics["insightDuration"] = minutes
            statistics["baselineDuration"] = 1440 * day
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
