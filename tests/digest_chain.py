"""A bucket with log files and a signed chain of digests, as CloudTrail makes it, for tests to damage."""

import base64
import gzip
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from cirtlib import evidence
from cirtlib.case import Case, new_case
from cirtlib.digest.keys import PublicKey, read

ACCOUNT, REGION, TRAIL, BUCKET = "111122223333", "us-east-1", "main", "amzn-s3-demo-bucket"
START = datetime(2026, 6, 10, 8, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@cache
def key(_name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def _der(name: str = "") -> bytes:
    return key(name).public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)


def fingerprint(name: str = "") -> str:
    return hashlib.sha256(_der(name)).hexdigest()[:32]


def key_list() -> dict[str, Any]:
    """What `aws cloudtrail list-public-keys` prints."""
    listed = {
        "Value": base64.b64encode(_der()).decode(),
        "ValidityStartTime": "2026-01-01T00:00:00+00:00",
        "ValidityEndTime": "2027-01-01T00:00:00+00:00",
        "Fingerprint": fingerprint(),
    }
    return {"PublicKeyList": [listed]}


def keys() -> tuple[PublicKey, ...]:
    return read(json.dumps(key_list()).encode())


def iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def packed(content: object) -> bytes:
    return gzip.compress(json.dumps(content).encode(), mtime=0)


def inside(data: bytes) -> bytes:
    return gzip.decompress(data)


@dataclass
class Bucket:
    """Objects of one S3 bucket, and their metadata."""

    name: str = BUCKET
    objects: dict[str, bytes] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)

    def delete(self, name: str) -> None:
        del self.objects[name]
        self.metadata.pop(name, None)


@dataclass
class Trail:
    """One trail in one Region, which delivers into a bucket hour by hour."""

    bucket: Bucket
    account: str = ACCOUNT
    region: str = REGION
    trail: str = TRAIL
    at: datetime = START
    previous: tuple[str, str, bytes, str] | None = None
    digests: list[str] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)

    def log(self, at: datetime) -> str:
        """Deliver a log file."""
        name = f"{self.account}_CloudTrail_{self.region}_{at:%Y%m%dT%H%MZ}_{self.trail}{len(self.logs):012d}.json.gz"
        made = f"AWSLogs/{self.account}/CloudTrail/{self.region}/{at:%Y/%m/%d}/{name}"
        record = {
            "eventVersion": "1.11",
            "eventTime": iso(at),
            "eventID": f"{self.region}-{self.trail}-{len(self.logs)}",
        }
        self.bucket.objects[made] = packed({"Records": [{**record, "recipientAccountId": self.account}]})
        self.logs.append(made)
        return made

    def hours(self, count: int, *, empty: bool = False) -> "Trail":
        """Deliver log files and the digest of each of `count` hours."""
        for _ in range(count):
            end = self.at + HOUR
            named = [] if empty else [self.log(self.at + HOUR * part / 3) for part in (1, 2)]
            made = self.digest(self.at, end, named, self.previous)
            self.previous, self.at = (self.bucket.name, made, *self.signed(made)), end
        return self

    def signed(self, made: str) -> tuple[bytes, str]:
        return inside(self.bucket.objects[made]), self.bucket.metadata[made]["signature"]

    def pause(self, hours: int) -> "Trail":
        """Stop logging for some hours: the chain starts anew."""
        self.at, self.previous = self.at + hours * HOUR, None
        return self

    def digest(
        self,
        start: datetime,
        end: datetime,
        named: list[str],
        previous: tuple[str, str, bytes, str] | None,
        *,
        backfill: bool = False,
        signer: str = "",
        **changed: Any,
    ) -> str:
        """Deliver a signed digest."""
        stamp = f"{end:%Y%m%dT%H%M%SZ}{'_backfill' if backfill else ''}"
        name = f"{self.account}_CloudTrail-Digest_{self.region}_{self.trail}_{REGION}_{stamp}.json.gz"
        made = f"AWSLogs/{self.account}/CloudTrail-Digest/{self.region}/{end:%Y/%m/%d}/{name}"
        before = previous or (None, None, None, None)
        content = {
            "awsAccountId": self.account,
            "digestStartTime": iso(start),
            "digestEndTime": iso(end),
            "digestS3Bucket": self.bucket.name,
            "digestS3Object": made,
            "digestPublicKeyFingerprint": fingerprint(signer),
            "digestSignatureAlgorithm": "SHA256withRSA",
            "previousDigestS3Bucket": before[0],
            "previousDigestS3Object": before[1],
            "previousDigestHashValue": hashlib.sha256(before[2]).hexdigest() if before[2] else None,
            "previousDigestHashAlgorithm": "SHA-256" if previous else None,
            "previousDigestSignature": before[3],
            "logFiles": [self._named(one) for one in named],
            **changed,
        }
        self.bucket.objects[made] = packed(content)
        lines = (
            content["digestEndTime"], f"{self.bucket.name}/{content['digestS3Object']}",
            hashlib.sha256(inside(self.bucket.objects[made])).hexdigest(), before[3] or "null",
        )  # fmt: skip
        signature = key(signer).sign("\n".join(lines).encode(), padding.PKCS1v15(), hashes.SHA256())
        self.bucket.metadata[made] = {"signature": signature.hex(), "signature-algorithm": "SHA256withRSA"}
        if backfill:
            self.bucket.metadata[made]["backfill-generation-timestamp"] = iso(end + HOUR)
        self.digests.append(made)
        return made

    def _named(self, one: str) -> dict[str, str]:
        return {
            "s3Bucket": self.bucket.name,
            "s3Object": one,
            "hashValue": hashlib.sha256(inside(self.bucket.objects[one])).hexdigest(),
            "hashAlgorithm": "SHA-256",
        }


def case_of(folder: Path, *buckets: Bucket, local: bool = False) -> Case:
    """A case whose manifest holds these buckets, as collected from S3 or (without metadata) from a copy on disk."""
    case = new_case(folder, {"sources": []})
    evidence.prepare(case)
    lines = []
    for bucket in buckets:
        for name, data in bucket.objects.items():
            metadata = bucket.metadata.get(name)
            line = {
                "name": name, "place": "/copy" if local else f"s3://{bucket.name}", "source": "cloudtrail",
                "object": evidence.keep(case, data), "size": len(data), "seen": 0, "rejected": 0, "rejections": [],
                "other": "digest" if "-Digest/" in name else None, "batch": "",
                "facts": {"metadata": metadata} if metadata and not local else {},
            }  # fmt: skip
            lines.append(line)
    manifest = evidence.Manifest(case)
    manifest.append(lines)
    manifest.close()
    return case
