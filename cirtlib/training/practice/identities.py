"""Unique ids and ages of users, roles, keys and instances, as logs and findings tell them.

By its age one tells a new key from another.
"""

import base64
import datetime as dt
import hashlib
from collections.abc import Iterator
from typing import Any

from cirtlib.training.exercise.record import Record

Json = dict[str, Any]
_OLDEST, _YOUNGEST = 700, 30  # days before the logs at which what they do not tell the making of was made


def identified(state: Json, record: Record) -> Json:
    """Give each user and role of a state Id and CreateDate, each key CreateDate, each instance LaunchTime; returns it.

    What was made before the logs began has a date before them, the same each time.
    """
    ids, dates = dict(_ids(record)), dict(_launched(record)) | dict(_dates(record))
    begin = _time(min(one["eventTime"] for one in record.events.values()))
    for content in state["accounts"].values():
        for kind, prefix in (("users", "AIDA"), ("roles", "AROA")):
            for one in content.get(kind, []):
                one["Id"] = ids.get(one["Arn"]) or prefix + _drawn(one["Arn"])
                one["CreateDate"] = dates.get(one["Arn"]) or _long_ago(one["Arn"], begin)
                for key in one.get("keys", []):
                    age = _long_ago(key["AccessKeyId"], begin)
                    key["CreateDate"] = dates.get(key["AccessKeyId"]) or max(one["CreateDate"], age)
        for machine in content.get("instances", []):
            name = machine["InstanceId"]
            machine["LaunchTime"] = dates.get(name) or _long_ago(name, begin)
    return state


def _ids(record: Record) -> Iterator[tuple[str, str]]:
    """(ARN, unique id) of the users and roles that called, or were made."""
    for event in record.events.values():
        identity = event["userIdentity"]
        for one in (identity, identity.get("sessionContext", {}).get("sessionIssuer", {})):
            if one.get("type") in ("IAMUser", "Role") and one.get("arn") and one.get("principalId"):
                yield one["arn"], one["principalId"]
        for made in _made(event):
            if unique := made.get("userId") or made.get("roleId"):
                yield made["arn"], unique


def _dates(record: Record) -> Iterator[tuple[str, dt.datetime]]:
    """(ARN or access key id, when it was made)."""
    for event in record.events.values():
        for made in _made(event):
            if name := made.get("arn") or made.get("accessKeyId") or made.get("instanceId"):
                yield name, _time(event["eventTime"])


def _launched(record: Record) -> Iterator[tuple[str, dt.datetime]]:
    """(id of an instance, when it was launched), as findings of GuardDuty tell it."""
    for finding in record.guardduty:
        machine = finding.get("resource", {}).get("instanceDetails") or {}
        if machine.get("instanceId") and machine.get("launchTime"):
            yield machine["instanceId"], _time(machine["launchTime"])


def _made(event: Json) -> Iterator[Json]:
    """What a call made, as its answer tells it."""
    if event["eventName"] in ("CreateUser", "CreateRole", "CreateAccessKey") and not event.get("errorCode"):
        answer = event.get("responseElements") or {}
        yield from (answer[kind] for kind in ("user", "role", "accessKey") if kind in answer)
    elif event["eventName"] == "RunInstances" and not event.get("errorCode"):
        yield from (event.get("responseElements") or {}).get("instancesSet", {}).get("items", [])


def _time(text: str) -> dt.datetime:
    """UTC without a zone, as moto has its times."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=None)


def _drawn(name: str) -> str:
    return base64.b32encode(hashlib.sha256(name.encode()).digest()).decode()[:10] + "EXAMPLE"


def _long_ago(name: str, begin: dt.datetime) -> dt.datetime:
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    days = _YOUNGEST + number % (_OLDEST - _YOUNGEST)
    return begin - dt.timedelta(days=days, seconds=number % 86400)
