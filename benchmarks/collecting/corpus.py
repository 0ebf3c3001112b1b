"""A made-up trail in the layout of S3, the same on every machine: accounts, Regions and days, sizes as skewed as real.

A large trail is a few huge objects and many small ones; a quiet one is tens of thousands of tiny objects.
"""

import json
import multiprocessing
import random
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from isal import igzip

VERSION = 2  # of what is made here: a corpus of another version is made anew
_ACCOUNTS = ["111122223333", "444455556666", "777788889999", "123456789012"]
_REGIONS = ["us-east-1", "eu-west-1", "us-west-2", "ap-southeast-2"]
_DAYS = 10
_ISSUED = "2026-06-{day:02d}T{hour:02d}:00:00Z"
_AGENTS = [
    "aws-cli/2.17.0 md/awscrt#1.0.0 ua/2.0 os/linux#6.1 md/arch#x86_64 lang/python#3.12.4 md/pyimpl#CPython cfg/retry",
    "Boto3/1.34.0 md/Botocore#1.34.0 ua/2.0 os/linux#5.10 md/arch#x86_64 lang/python#3.11.6 Botocore/1.34.0",
    "[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.750 Linux/5.10 OpenJDK_64-Bit_Server_VM/25.412 java/1.8.0_412]",
    "APN/1.0 HashiCorp/1.0 Terraform/1.8.5 terraform-provider-aws/5.52.0 aws-sdk-go-v2/1.27.2 os/linux lang/go#1.22",
    "autoscaling.amazonaws.com",
]


@dataclass(frozen=True)
class Plan:
    """Which objects there are: number of events of each, in the order of their names."""

    name: str
    sizes: tuple[int, ...]

    @property
    def events(self) -> int:
        """Events in all objects."""
        return sum(self.sizes)


def skewed(objects: int, mean: int, *, name: str) -> Plan:
    """Objects of which half are small, and a few hold most of the events: log-normal, at most 18,263 each."""
    draw = random.Random(name)
    weights = [draw.lognormvariate(0.0, 2.5) for _ in range(objects)]
    unit, sizes = objects * mean / sum(weights), (0,)
    while sum(sizes) < objects * mean:  # what the bound cuts off, the others get
        sizes = tuple(max(1, min(18_263, round(weight * unit))) for weight in weights)
        unit *= 1.02
    return Plan(name, sizes)


def tiny(objects: int, *, name: str) -> Plan:
    """Objects of 10 events each."""
    return Plan(name, (10,) * objects)


def make(plan: Plan, folder: Path) -> Path:
    """Write the corpus below `folder` unless it is there; the folder of its objects."""
    target, done = folder / plan.name, folder / f"{plan.name}.done"
    told = json.dumps([VERSION, plan.sizes])
    if done.is_file() and done.read_text() == told:
        return target
    jobs = [(str(target), plan.name, number, len(plan.sizes), size) for number, size in enumerate(plan.sizes)]
    with multiprocessing.get_context("spawn").Pool() as pool:
        for _ in pool.imap_unordered(_write, jobs, chunksize=20):
            pass
    done.write_text(told)
    return target


def _write(job: tuple[str, str, int, int, int]) -> None:
    target, name, number, count, size = job
    draw = random.Random(f"{name}/{number}")
    # Neighbours in name are neighbours in account, Region and day, as in a bucket.
    slot = number * len(_ACCOUNTS) * len(_REGIONS) * _DAYS // count
    account = _ACCOUNTS[slot // (len(_REGIONS) * _DAYS)]
    region, day = _REGIONS[slot // _DAYS % len(_REGIONS)], slot % _DAYS + 1
    minute = draw.randrange(288) * 5
    when = f"202606{day:02d}T{minute // 60:02d}{minute % 60:02d}Z"
    place = Path(target) / "AWSLogs" / "o-abc123" / account / "CloudTrail" / region / "2026" / "06" / f"{day:02d}"
    place.mkdir(parents=True, exist_ok=True)
    file = place / f"{account}_CloudTrail_{region}_{when}_{number:016d}.json.gz"
    people = [_identity(draw, account, day) for _ in range(12)]
    records = ",".join(_record(draw, people, account, region, (day, minute)) for _ in range(size))
    file.write_bytes(igzip.compress(b'{"Records":[' + records.encode() + b"]}", compresslevel=3, mtime=0))


def _identity(draw: random.Random, account: str, day: int) -> str:
    kind = draw.random()
    unique = f"{draw.getrandbits(80):020X}"[:16]
    if kind < 0.15:
        return f'{{"type":"AWSService","invokedBy":"{draw.choice(["ec2", "autoscaling", "config"])}.amazonaws.com"}}'
    if kind < 0.3:
        name = f"user-{draw.randrange(400)}"
        return (
            f'{{"type":"IAMUser","principalId":"AIDA{unique}","arn":"arn:aws:iam::{account}:user/{name}",'
            f'"accountId":"{account}","accessKeyId":"AKIA{unique}","userName":"{name}"}}'
        )
    role, session = f"role-{draw.randrange(200)}", f"session-{draw.getrandbits(24)}"
    issued = _ISSUED.format(day=day, hour=draw.randrange(24))
    return (
        f'{{"type":"AssumedRole","principalId":"AROA{unique}:{session}",'
        f'"arn":"arn:aws:sts::{account}:assumed-role/{role}/{session}","accountId":"{account}",'
        f'"accessKeyId":"ASIA{unique}","sessionContext":{{"sessionIssuer":{{"type":"Role",'
        f'"principalId":"AROA{unique}","arn":"arn:aws:iam::{account}:role/{role}","accountId":"{account}",'
        f'"userName":"{role}"}},"webIdFederationData":{{}},"attributes":{{"creationDate":"{issued}",'
        f'"mfaAuthenticated":"false"}}}}}}'
    )


def _noise(draw: random.Random, count: int) -> str:
    """Base64 of random bytes, which does not compress: tokens and request ids are like that."""
    return b64encode(draw.randbytes(count)).decode()


def _record(draw: random.Random, people: list[str], account: str, region: str, when: tuple[int, int]) -> str:
    day, minute = when
    kind, bits = draw.random(), f"{draw.getrandbits(128):032x}"
    uuid = f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-8{bits[17:20]}-{bits[20:]}"
    source, name, category, detail = _call(draw, kind, account, region, bits)
    moment = f"2026-06-{day:02d}T{minute // 60:02d}:{minute % 60 + draw.randrange(5):02d}:{draw.randrange(60):02d}Z"
    failed = '"errorCode":"AccessDenied","errorMessage":"Access Denied",' if draw.random() < 0.03 else ""
    version = '"apiVersion":"2015-03-31",' if draw.random() < 0.1 else ""
    return (
        f'{{"eventVersion":"1.10","userIdentity":{draw.choice(people)},"eventTime":"{moment}",'
        f'"eventSource":"{source}.amazonaws.com","eventName":"{name}","awsRegion":"{region}",'
        f'"sourceIPAddress":"198.51.100.{draw.randrange(256)}","userAgent":"{draw.choice(_AGENTS)}",{failed}{detail}'
        f'"requestID":"{bits[16:]}{bits[:16]}","eventID":"{uuid}",'
        f'"readOnly":{"true" if kind < 0.85 else "false"},"eventType":"AwsApiCall",{version}'
        f'"managementEvent":{"false" if category == "Data" else "true"},"recipientAccountId":"{account}",'
        f'"eventCategory":"{category}","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256",'
        f'"clientProvidedHostHeader":"{source}.{region}.amazonaws.com"}}}}'
    )


def _call(draw: random.Random, kind: float, account: str, region: str, bits: str) -> tuple[str, str, str, str]:
    """Service, call, category and what the call said, with the shapes that CloudTrail has for each."""
    if kind < 0.35:
        bucket, key = f"data-{draw.randrange(50)}-{account}", f"part={draw.randrange(1000)}/{bits[:20]}.parquet"
        return (
            "s3",
            draw.choice(["GetObject", "GetObject", "HeadObject"]),
            "Data",
            (
                f'"requestParameters":{{"bucketName":"{bucket}","Host":"{bucket}.s3.{region}.amazonaws.com","key":"{key}"}},'
                f'"responseElements":null,"additionalEventData":{{"SignatureVersion":"SigV4","CipherSuite":'
                f'"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":'
                f'"{_noise(draw, 57)}","bytesTransferredOut":{draw.randrange(10_000_000)}}},"resources":[{{"type":'
                f'"AWS::S3::Object","ARN":"arn:aws:s3:::{bucket}/{key}"}},{{"accountId":"{account}","type":'
                f'"AWS::S3::Bucket","ARN":"arn:aws:s3:::{bucket}"}}],'
            ),
        )
    if kind < 0.5:
        key = f"arn:aws:kms:{region}:{account}:key/{draw.randrange(40):08d}-0000-4000-8000-000000000000"
        return (
            "kms",
            "Decrypt",
            "Management",
            (
                f'"requestParameters":{{"encryptionContext":{{"aws:s3:arn":"arn:aws:s3:::data-{draw.randrange(50)}-{account}"'
                f'}},"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}},"responseElements":null,"resources":[{{"accountId":'
                f'"{account}","type":"AWS::KMS::Key","ARN":"{key}"}}],'
            ),
        )
    if kind < 0.6:
        return (
            "sts",
            "AssumeRole",
            "Management",
            (
                f'"requestParameters":{{"roleArn":"arn:aws:iam::{account}:role/role-{draw.randrange(200)}","roleSessionName":'
                f'"session-{draw.getrandbits(24)}","durationSeconds":3600}},"responseElements":{{"credentials":{{'
                f'"accessKeyId":"ASIA{bits[:16].upper()}","sessionToken":"FAKE{_noise(draw, 500)}","expiration":'
                f'"Jun 11, 2026, 1:00:00 AM"}},"assumedRoleUser":{{"assumedRoleId":"AROA{bits[:16].upper()}:s",'
                f'"arn":"arn:aws:sts::{account}:assumed-role/role-1/s"}}}},'
            ),
        )
    if kind < 0.85:
        what = draw.choice(["Instances", "SecurityGroups", "Volumes", "NetworkInterfaces", "Tags"])
        items = ",".join(
            f'{{"name":"tag:Name","valueSet":{{"items":[{{"value":"{bits[i : i + 12]}"}}]}}}}' for i in range(4)
        )
        return (
            "ec2",
            f"Describe{what}",
            "Management",
            (
                f'"requestParameters":{{"maxResults":{draw.randrange(1000)},"filterSet":{{"items":[{items}]}},'
                f'"{what[0].lower()}{what[1:]}Set":{{}}}},"responseElements":null,'
            ),
        )
    items = ",".join(
        f'{{"instanceId":"i-{bits[i : i + 17]}","imageId":"ami-{bits[:17]}","instanceType":"m6i.large","subnetId":'
        f'"subnet-{bits[3:20]}","vpcId":"vpc-{bits[4:21]}","privateIpAddress":"10.0.{i}.{draw.randrange(256)}",'
        f'"monitoring":{{"state":"pending"}},"rootDeviceType":"ebs","architecture":"x86_64"}}'
        for i in range(draw.randrange(1, 8))
    )
    return (
        "ec2",
        "RunInstances",
        "Management",
        (
            f'"requestParameters":{{"instancesSet":{{"items":[{{"imageId":"ami-{bits[:17]}","minCount":1,"maxCount":1}}]}},'
            f'"instanceType":"m6i.large","clientToken":"{bits}","disableApiTermination":false}},'
            f'"responseElements":{{"requestId":"{bits}","reservationId":"r-{bits[:17]}","ownerId":"{account}","groupSet":{{}},'
            f'"instancesSet":{{"items":[{items}]}}}},'
        ),
    )
