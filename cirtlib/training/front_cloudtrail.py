"""CloudTrail's event history and public keys, which moto lacks: LookupEvents and ListPublicKeys.

Event history is the management events of each account and Region of the last 90 days, whatever any trail does. Source:
CloudTrail API reference, LookupEvents and ListPublicKeys; user guide, "Working with CloudTrail event history".
"""

import base64
import datetime as dt
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from cirtlib.training.front import Clock, Served, answered, page
from cirtlib.training.front_model import Asked, Json

Keys = Sequence[Json] | Mapping[str, Sequence[Json]]

_KEPT = dt.timedelta(days=90)
_PAGE = 50
# Parameters that name a resource, and its type: enough of what CloudTrail itself draws from requests and responses.
_NAMED = {
    "userName": "AWS::IAM::User",
    "roleName": "AWS::IAM::Role",
    "roleArn": "AWS::IAM::Role",
    "policyArn": "AWS::IAM::Policy",
    "accessKeyId": "AWS::IAM::AccessKey",
    "bucketName": "AWS::S3::Bucket",
    "functionName": "AWS::Lambda::Function",
    "groupId": "AWS::EC2::SecurityGroup",
    "instanceId": "AWS::EC2::Instance",
    "snapshotId": "AWS::EC2::Snapshot",
    "volumeId": "AWS::EC2::Volume",
    "keyId": "AWS::KMS::Key",
}
_NEEDED = {"eventID", "eventTime", "awsRegion", "recipientAccountId"}
_CODES = {
    "MaxResults": "InvalidMaxResultsException",
    "LookupAttributes": "InvalidLookupAttributesException",
    "EventCategory": "InvalidEventCategoryException",
}


@dataclass
class History:
    """Events of CloudTrail log files below some folders (S3 layout), as LookupEvents shows them; read when first asked.

    Its 90 days count back from the clock, and nothing has happened after it.
    """

    folders: Sequence[Path]
    clock: Clock
    _rows: dict[tuple[str, str, bool], list[Json]] | None = None
    _lock: Any = field(default_factory=Lock)

    def rows(self, account: str, region: str, *, insight: bool) -> list[Json]:
        """Rows of an account and Region, newest first."""
        with self._lock:
            if self._rows is None:
                self._rows = _read(self.folders)
        return self._rows.get((account, region, insight), [])


def cloudtrail(history: History, keys: Keys | Path) -> dict[tuple[str, str], Served]:
    """What the front answers of CloudTrail."""
    known = _read_keys(keys) if isinstance(keys, Path) else keys
    return {
        ("cloudtrail", "LookupEvents"): Served(lambda asked: _lookup(history, asked), _CODES),
        ("cloudtrail", "ListPublicKeys"): Served(lambda asked: _public_keys(known, history.clock.now, asked)),
    }


def _lookup(history: History, asked: Asked) -> Json:
    given, now = asked.parameters, history.clock.now
    if len(given.get("LookupAttributes", [])) > 1:
        raise asked.wrong("You can use only one lookup attribute at a time.", "InvalidLookupAttributesException")
    begin, end = given.get("StartTime", now - _KEPT), given.get("EndTime", now)
    if begin > end or end < now - _KEPT:
        raise asked.wrong("The time range is not valid.", "InvalidTimeRangeException")
    begin, end = max(begin, now - _KEPT), min(end, now)
    wanted = [(one["AttributeKey"], one["AttributeValue"]) for one in given.get("LookupAttributes", [])]
    rows = [
        row
        for row in history.rows(asked.account, asked.region, insight="EventCategory" in given)
        if begin <= row["EventTime"] <= end and all(_has(row, key, value) for key, value in wanted)
    ]
    events, token = page(rows, asked, most=_PAGE, code="InvalidNextTokenException")
    return answered(Events=events, NextToken=token)


def _has(row: Json, key: str, value: str) -> bool:
    if key in ("ResourceType", "ResourceName"):
        return any(one.get(key) == value for one in row["Resources"])
    return row.get(key) == value


def _read(folders: Sequence[Path]) -> dict[tuple[str, str, bool], list[Json]]:
    """Rows by account, Region and whether they are insights; each event once, however often it was delivered."""
    found: dict[tuple[str, str, bool], dict[str, Json]] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.json.gz")):
            kind = path.name.split("_")[1] if path.name.count("_") > 1 else ""
            if kind not in ("CloudTrail", "CloudTrail-Insight"):
                continue
            for record in _records(path):
                category = record.get("eventCategory", "Management")
                if category == "Insight" or (category == "Management" and record.get("managementEvent") is not False):
                    where = (record["recipientAccountId"], record["awsRegion"], category == "Insight")
                    found.setdefault(where, {})[record["eventID"]] = _row(record)
    return {
        where: sorted(rows.values(), key=lambda row: (row["EventTime"], row["EventId"]), reverse=True)
        for where, rows in found.items()
    }


def _records(path: Path) -> list[Json]:
    """Records of a log file; none of a broken one, for event history does not come from files."""
    try:
        records = json.loads(gzip.decompress(path.read_bytes()))["Records"]
    except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error):
        return []
    return [one for one in records if isinstance(one, dict) and one.keys() >= _NEEDED]


def _row(record: Json) -> Json:
    identity, about = record.get("userIdentity") or {}, record.get("insightDetails") or record
    return answered(
        EventId=record["eventID"],
        EventName=about["eventName"],
        EventSource=about["eventSource"],
        EventTime=dt.datetime.fromisoformat(record["eventTime"]),
        ReadOnly=str(record["readOnly"]).lower() if "readOnly" in record else None,
        AccessKeyId=identity.get("accessKeyId"),
        Username=_user_name(identity),
        Resources=list(_resources(record)),
        CloudTrailEvent=json.dumps(record, separators=(",", ":"), ensure_ascii=False),
    )


def _user_name(identity: Json) -> str | None:
    """A session's name, a user's, or root."""
    kind = identity.get("type")
    if kind in ("AssumedRole", "FederatedUser"):
        return str(identity.get("principalId", "")).partition(":")[2] or None
    return "root" if kind == "Root" else identity.get("userName")


def _resources(record: Json) -> Iterator[Json]:
    for one in record.get("resources") or []:
        yield answered(ResourceType=one.get("type"), ResourceName=one.get("ARN"))
    seen = set()
    for part in ("requestParameters", "responseElements"):
        for kind, value in _names(record.get(part)):
            if (kind, value) not in seen:
                seen.add((kind, value))
                yield {"ResourceType": kind, "ResourceName": value}
    trail = (record.get("requestParameters") or {}).get("name")
    if trail and record["eventSource"] == "cloudtrail.amazonaws.com":
        yield {"ResourceType": "AWS::CloudTrail::Trail", "ResourceName": trail}


def _names(value: object) -> Iterator[tuple[str, str]]:
    """(type, name) of each resource that is named anywhere below `value`."""
    if isinstance(value, list):
        for item in value:
            yield from _names(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in _NAMED and isinstance(item, str):
                yield _NAMED[key], item
            else:
                yield from _names(item)


def _read_keys(path: Path) -> list[Json]:
    """Keys as the AWS CLI prints them."""
    return [
        {
            **row,
            "Value": base64.b64decode(row["Value"]),
            "ValidityStartTime": dt.datetime.fromisoformat(row["ValidityStartTime"]),
            "ValidityEndTime": dt.datetime.fromisoformat(row["ValidityEndTime"]),
        }
        for row in json.loads(path.read_text(encoding="utf-8"))["PublicKeyList"]
    ]


def _public_keys(keys: Keys, now: dt.datetime, asked: Asked) -> Json:
    """Keys of the Region whose validity meets the time that is asked for; of now, where none is."""
    begin, end = asked.parameters.get("StartTime", now), asked.parameters.get("EndTime", now)
    if begin > end:
        raise asked.wrong("Start time must not be later than end time.", "InvalidTimeRangeException")
    of_region = keys.get(asked.region, ()) if isinstance(keys, Mapping) else keys
    met = [key for key in of_region if key["ValidityStartTime"] <= end and key["ValidityEndTime"] >= begin]
    return {"PublicKeyList": met}
