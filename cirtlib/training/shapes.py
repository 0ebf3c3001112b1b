"""The shape of a CloudTrail record: who, what, from where, in the field order in which trails deliver it.

Source: AWS CloudTrail user guide, "CloudTrail record contents" and "CloudTrail userIdentity element"; versions, order
and spellings follow published records.
"""

import datetime as dt
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cirtlib.training.identifiers import access_key, alphanumeric, guid, letters, session_token

Json = dict[str, Any]

# Services write different versions of the record at the same time.
_VERSIONS = {
    "sts": "1.08",
    "signin": "1.08",
    "sso": "1.08",
    "config": "1.09",
    "organizations": "1.09",
    "guardduty": "1.09",
    "cloudshell": "1.09",
    "cloudtrail": "1.11",
    "ec2": "1.11",
    "iam": "1.11",
}
_GLOBAL_HOSTS = {
    "iam": "iam.amazonaws.com",
    "signin": "signin.aws.amazon.com",
    "organizations": "organizations.us-east-1.amazonaws.com",
}
# What a command line calls a service, where that is not the first part of its endpoint.
_COMMANDS = {"s3": "s3api", "monitoring": "cloudwatch", "config": "configservice"}
_HOST_PARTS = {"ecr": "api.ecr"}
CONSOLE_EVENTS = ("ConsoleLogin", "CheckMfa", "SwitchRole")


@dataclass(frozen=True)
class Place:
    """Where calls come from: an address, a user agent ({command} is filled in), perhaps a VPC endpoint."""

    address: str
    agent: str
    endpoint: str | None = None


@dataclass(frozen=True)
class Caller:
    """Who calls: the userIdentity element and the account it belongs to."""

    identity: Json
    account: str
    console: bool = False


@dataclass(frozen=True)
class Call:
    """What is called and what comes of it. `more` holds fields of the record that only some services write."""

    service: str
    name: str
    region: str
    request: Json | None = None
    response: Json | None = None
    read_only: bool = True
    error: tuple[str, str] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The eventSource."""
        return f"{self.service}.amazonaws.com"


@dataclass
class Book:
    """The records of one incident as they are made: (time, recipient account, Region, record)."""

    rng: random.Random
    records: list[tuple[dt.datetime, str, str, Json]] = field(default_factory=list)


def user_identity(arn: str, principal: str, key: str | None, *, session: Json | None = None) -> Json:
    """Identify an IAM user; with a session (console, GetSessionToken) the sessionContext follows the name."""
    identity = {"type": "IAMUser", "principalId": principal, "arn": arn, "accountId": arn.split(":")[4]}
    if key is not None:
        identity["accessKeyId"] = key
    identity["userName"] = arn.rsplit("/", 1)[1]
    return identity | ({"sessionContext": session} if session else {})


def role_identity(role_arn: str, role_id: str, session: str, *, key: str | None, context: Json) -> Json:
    """Identify a role session; the ARN of a session leaves out the path of its role."""
    account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[1]
    identity: Json = {
        "type": "AssumedRole",
        "principalId": f"{role_id}:{session}",
        "arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
        "accountId": account,
    }
    if key is not None:
        identity["accessKeyId"] = key
    issuer = {"type": "Role", "principalId": role_id, "arn": role_arn, "accountId": account, "userName": name}
    return identity | {"sessionContext": {"sessionIssuer": issuer, **context}}


def attributes(created: dt.datetime, *, mfa: bool = False) -> Json:
    """Attributes of a session; creation date and MFA are text."""
    return {"attributes": {"creationDate": iso(created), "mfaAuthenticated": "true" if mfa else "false"}}


def service_caller(service: str, account: str) -> Caller:
    """A service that acts on its own, such as ec2.amazonaws.com minting an instance's credentials."""
    return Caller({"type": "AWSService", "invokedBy": f"{service}.amazonaws.com"}, account)


def service_place(service: str) -> Place:
    """Address and agent of a service are its own name."""
    name = f"{service}.amazonaws.com"
    return Place(name, name)


def write(book: Book, caller: Caller, call: Call, place: Place, at: dt.datetime) -> Json:
    """Write the record of a call into the book and return it.

    `call.more` may hold top-level fields (resources, sharedEventID, additionalEventData, eventCategory, …); a value of
    None leaves a usual field out. The recipient is the caller's account unless `more` names a recipientAccountId.
    """
    rng, more = book.rng, dict(call.more)
    agent = _agent(place.agent, call.service, call.name)
    if call.service == "s3" and not place.agent.endswith(".amazonaws.com"):
        agent = f"[{agent}]"
    record: Json = {
        "eventVersion": _VERSIONS.get(call.service, "1.11"),
        "userIdentity": caller.identity,
        "eventTime": iso(at),
        "eventSource": call.source,
        "eventName": call.name,
        "awsRegion": call.region,
        "sourceIPAddress": place.address,
        "userAgent": agent,
    }
    if call.error:
        record |= {name: text for name, text in zip(("errorCode", "errorMessage"), call.error, strict=True) if text}
    request_id = more.pop("requestID", None) or (
        alphanumeric(rng, 16, upper=True) if call.service == "s3" else guid(rng)
    )
    record |= {"requestParameters": call.request, "responseElements": call.response}
    _put(record, more, "additionalEventData")
    if call.name not in CONSOLE_EVENTS and "serviceEventDetails" not in more:
        record["requestID"] = request_id
    record |= {"eventID": guid(rng), "readOnly": call.read_only}
    _put(record, more, "resources")
    record["eventType"] = more.pop("eventType", "AwsApiCall")
    category = more.pop("eventCategory", "Management")
    record["managementEvent"] = category == "Management"
    record["recipientAccountId"] = more.pop("recipientAccountId", caller.account)
    for name in ("sharedEventID", "serviceEventDetails"):
        _put(record, more, name)
    if place.endpoint:
        record |= {"vpcEndpointId": place.endpoint, "vpcEndpointAccountId": caller.account}
    _put(record, more, "addendum")
    record["eventCategory"] = category
    if record["eventType"] == "AwsApiCall" and not place.address.endswith(".amazonaws.com"):
        record["tlsDetails"] = _tls(call.service, call.region, more)
    elif call.name in CONSOLE_EVENTS:
        record["tlsDetails"] = _tls("signin", call.region, {"host": f"{call.region}.signin.aws.amazon.com"})
    if caller.console and call.name not in CONSOLE_EVENTS:
        record["sessionCredentialFromConsole"] = "true"
    book.records.append((at, record["recipientAccountId"], call.region, record))
    return record


def _put(record: Json, more: dict[str, Any], name: str) -> None:
    if name in more:
        record[name] = more.pop(name)


def _tls(service: str, region: str, more: Mapping[str, Any]) -> Json:
    host = more.get("host") or _GLOBAL_HOSTS.get(service)
    if host is None:
        host = f"{_HOST_PARTS.get(service, service)}.{region}.amazonaws.com"
    return {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256", "clientProvidedHostHeader": host}


@cache
def _agent(template: str, service: str, name: str) -> str:
    """Fill in the command that newer command lines add to their user agent."""
    if "{command}" not in template and "{api}" not in template:
        return template
    plain = re.sub(r"20\d{6}(v\d+)?$", "", name)
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", plain).lower()
    command = f"{_COMMANDS.get(service, service)}.{words}"
    package = service if service == "s3" else _COMMANDS.get(service, service)  # s3api is the command line's own word
    return template.replace("{command}", command).replace("{api}", package)


def iso(at: dt.datetime) -> str:
    """Write a time as CloudTrail does: UTC, whole seconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def human(at: dt.datetime, *, gap: str = " ") -> str:
    """Write a time as STS does in responses, `Jun 9, 2026, 2:05:01 PM`; newer IAM puts a narrow space before PM."""
    hour = at.hour % 12 or 12
    return f"{at:%b} {at.day}, {at.year}, {hour}:{at:%M:%S}{gap}{'AM' if at.hour < 12 else 'PM'}"


def iam_date(at: dt.datetime) -> str:
    """Write a createDate as IAM's records of version 1.11 do."""
    return human(at, gap="\u202f")


def credentials(rng: random.Random, at: dt.datetime, *, seconds: int = 3600) -> Json:
    """Make what STS answers: a new key, a token that is plainly made up, and the expiry in words."""
    return {
        "accessKeyId": access_key(rng, "ASIA"),
        "sessionToken": session_token(rng),
        "expiration": human(at + dt.timedelta(seconds=seconds)),
    }


def assumed(role_arn: str, role_id: str, session: str) -> Json:
    """The assumedRoleUser of an STS answer."""
    account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[1]
    arn = f"arn:aws:sts::{account}:assumed-role/{name}/{session}"
    return {"assumedRoleId": f"{role_id}:{session}", "arn": arn}


def role_resource(role_arn: str) -> list[Json]:
    """The resources element of an STS record."""
    return [{"accountId": role_arn.split(":")[4], "type": "AWS::IAM::Role", "ARN": role_arn}]


def denied(caller: Caller, service: str, action: str, *, resource: str = "", explicit: bool = False) -> tuple[str, str]:
    """Error code and message of a denial, in the words of the service."""
    who = caller.identity.get("arn", caller.identity.get("principalId", "unknown"))
    on = f" on resource: {resource}" if resource else ""
    reason = (
        "with an explicit deny in an identity-based policy"
        if explicit
        else f"because no identity-based policy allows the {action} action"
    )
    message = f"User: {who} is not authorized to perform: {action}{on} {reason}"
    if service != "ec2":
        return "AccessDenied", message
    return "Client.UnauthorizedOperation", f"You are not authorized to perform this operation. {message}"


def encoded(rng: random.Random) -> str:
    """The tail that EC2 adds to the denial of a change; here it encodes nothing."""
    return ". Encoded authorization failure message: " + letters(rng, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123-_", 400)
