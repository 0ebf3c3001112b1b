"""What the attacker tries besides what they did: the next steps that suggest themselves, with names from the record."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cirtlib.training.exercise.record import Record

Json = dict[str, Any]
_HOME = "us-east-1"
_SOMEBODY = "210987654321"  # whom a snapshot is shared with where the attacker has shown no account of their own
_MORE: tuple[tuple[str, str, Json], ...] = (
    ("iam", "ListUsers", {}),
    ("iam", "CreateUser", {"UserName": "backup-2"}),
    ("s3", "ListBuckets", {}),
    ("secretsmanager", "ListSecrets", {}),
    ("ec2", "DescribeInstances", {}),
    ("ec2", "RunInstances", {"ImageId": "ami-0123456789abcdef0", "MinCount": 1, "MaxCount": 1}),
)


@dataclass(frozen=True)
class Step:
    """A call that was not made yet.

    Attributes
    ----------
    named
        Whether it is about a thing of the record. Such a step counts only for whoever could take it at first.
    """

    service: str
    operation: str
    given: Json
    region: str
    named: bool = False


def steps(record: Record, account: str) -> list[Step]:
    """Next steps of somebody who acts in an account."""
    plain = [Step(service, operation, given, _HOME) for service, operation, given in _MORE]
    return [
        *plain,
        *_trail(record, account),
        *_secret(record, account),
        *_snapshot(record, account),
        *_key(record, account),
    ]


def _trail(record: Record, account: str) -> Iterator[Step]:
    """Stop the trail that the attack was about, else the first that logs."""
    trails = record.after["accounts"].get(account, {}).get("trails", [])
    stopped = record.truth["logging"].get("trail", "")
    for one in sorted(trails, key=lambda one: (one["TrailARN"] != stopped, not one["IsLogging"]))[:1]:
        yield Step("cloudtrail", "StopLogging", {"Name": one["TrailARN"]}, one["HomeRegion"], named=True)


def _secret(record: Record, account: str) -> Iterator[Step]:
    """Read a secret that somebody has read, or listed, in this account."""
    found = {
        (str(given["secretId"]), event["awsRegion"])
        for event in record.events.values()
        if event["eventName"] == "GetSecretValue" and event["recipientAccountId"] == account
        if (given := event.get("requestParameters") or {}).get("secretId") and not event.get("errorCode")
    }
    for name, region in sorted(found)[:1]:
        yield Step("secretsmanager", "GetSecretValue", {"SecretId": name}, region, named=True)


def _snapshot(record: Record, account: str) -> Iterator[Step]:
    """Share a snapshot with an account of the attacker's own."""
    foreign = next(iter(record.truth["external_accounts"]), _SOMEBODY)
    for one in record.after["accounts"].get(account, {}).get("snapshots", [])[:1]:
        given = {"SnapshotId": one["SnapshotId"], "Attribute": "createVolumePermission", "OperationType": "add"}
        yield Step("ec2", "ModifySnapshotAttribute", given | {"UserIds": [foreign]}, one["Region"], named=True)


def _key(record: Record, account: str) -> Iterator[Step]:
    """Make an access key for a user who was there before."""
    for one in record.before["accounts"].get(account, {}).get("users", [])[:1]:
        yield Step("iam", "CreateAccessKey", {"UserName": one["UserName"]}, _HOME, named=True)
