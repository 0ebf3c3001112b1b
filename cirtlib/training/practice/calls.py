"""What a call needs to be authorised: actions, resources, and the condition keys that come with it."""

import datetime as dt
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from moto.backends import get_backend

from cirtlib.policy.conditions import Value
from cirtlib.training.account_state import backend
from cirtlib.training.front_model import Asked
from cirtlib.training.practice import tags
from cirtlib.training.practice.register import Credential

Json = dict[str, Any]
_TABLE = Path(__file__).parents[2] / "data" / "authorised_calls.yaml"


@cache
def _table() -> Json:
    content: Json = yaml.safe_load(_TABLE.read_text(encoding="utf-8"))
    return content


def action(service: str, operation: str) -> str:
    """Action that an operation needs, such as s3:ListBucket for ListObjectsV2."""
    name = re.sub(r"\d{8}(?:v\d+)?$", "", operation)  # of Lambda's and CloudFront's dated operations
    prefix = {"elbv2": "elasticloadbalancing", "cloudwatch": "cloudwatch", "sso-admin": "sso", "s3control": "s3"}
    return f"{prefix.get(service, service)}:{_table()['actions'].get(service, {}).get(name, name)}"


def needed(asked: Asked, caller: Credential) -> list[tuple[str, str]]:
    """All pairs of action and resource ARN that a call must be allowed; the resource is `*` where there is none."""
    given, does = asked.parameters, action(asked.service, asked.operation)
    pairs = [(does, resource) for resource in _resources(asked, caller, given, does)]
    role = _passed(asked, given)
    return pairs + ([("iam:PassRole", role)] if role else [])


def context(asked: Asked, caller: Credential, now: dt.datetime, address: str) -> dict[str, Value]:
    """Condition keys of a call."""
    given = asked.parameters
    found: dict[str, Value] = {
        **surroundings(now, asked.region, address),
        "aws:UserAgent": str(asked.request.headers.get("User-Agent", "")) if asked.request else "",
        **caller.context,
    }
    if brought := tags.in_call(given):
        found |= tags.keys("aws:RequestTag", brought) | {"aws:TagKeys": list(brought)}
    for parameter, key in _table()["keys"].get(asked.service, {}).items():
        if isinstance(given.get(parameter), str):
            found[key] = given[parameter]
    does = action(asked.service, asked.operation)
    if does in _table()["passes"]:
        found["iam:PassedToService"] = _table()["passes"][does][1]
    return found


def surroundings(now: dt.datetime, region: str, address: str) -> dict[str, Value]:
    """Condition keys of any call, whoever makes it; the wire to the emulator stands for TLS."""
    return {
        "aws:CurrentTime": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "aws:EpochTime": str(int(now.timestamp())),
        "aws:RequestedRegion": region,
        "aws:SecureTransport": "true",
        "aws:SourceIp": address,
        "aws:ViaAWSService": "false",
        "aws:PrincipalIsAWSService": "false",
    }


def owner(resource: str, caller: str) -> str:
    """Account of a resource; the caller's where its ARN names none."""
    parts = resource.split(":")
    if len(parts) < 6:
        return caller
    if parts[2] == "s3":
        return bucket_owner(parts[5].split("/")[0]) or caller
    return parts[4] or caller


def bucket_owner(name: str) -> str:
    """Account of a bucket in the emulated accounts; '' where there is none."""
    for account in list(get_backend("s3").keys()):
        if name in get_backend("s3")[account]["aws"].buckets:
            return str(account)
    return ""


def _resources(asked: Asked, caller: Credential, given: Json, does: str) -> list[str]:
    table = _table()
    if does in table["others"]:
        texts = {name: value for name, value in given.items() if isinstance(value, str)}
        return [table["others"][does].format_map({**texts, "region": asked.region, "account": caller.account})]
    for parameter, template in table["resources"].get(asked.service, {}).items():
        value = given.get(parameter)
        if value not in (None, "", []):
            values = value if isinstance(value, list) else [value]
            return list(dict.fromkeys(_arn(asked, caller, template, str(one), given) for one in values))
    if asked.service == "iam" and "UserName" in (asked.model.input_shape.members if asked.model.input_shape else {}):
        return [caller.owner]  # IAM takes the caller for the user when it is not said
    return ["*"]


def _arn(asked: Asked, caller: Credential, template: str, value: str, given: Json) -> str:
    account = caller.account
    if value.startswith("arn:"):
        return value
    if template == "bucket":
        return f"arn:aws:s3:::{value}{'/' + given['Key'] if 'Key' in given else ''}"
    if template in ("user", "role"):
        found = getattr(backend("iam", account), f"{template}s").values()
        known = next((one.arn for one in found if one.name == value), None)
        return str(known or f"arn:aws:iam::{account}:{template}/{value}")
    return template.format(region=asked.region, account=account, value=value.lstrip("/"))


def _passed(asked: Asked, given: Json) -> str:
    """ARN of the role that a call hands to a service, if it does."""
    does = action(asked.service, asked.operation)
    parameter = _table()["passes"].get(does, [""])[0]
    value = given.get(parameter)
    if not value:
        return ""
    if isinstance(value, dict):
        profile = str(value.get("Name") or value.get("Arn", "").rsplit("/", 1)[-1])
        return next(iter(_roles_of(asked.account, profile)), "")
    return str(value)


def _roles_of(account: str, profile: str) -> Iterator[str]:
    for one in backend("iam", account).instance_profiles.values():
        if one.name == profile:
            yield from (str(role.arn) for role in one.roles)
