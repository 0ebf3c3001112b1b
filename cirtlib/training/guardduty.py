"""The form of GuardDuty's findings in its export to S3: JSON with camelCase keys, one finding a line.

Source: GuardDuty user guide, "Exporting findings" and "Finding details".
"""

import datetime as dt
import random
from dataclasses import dataclass

from cirtlib.training.identifiers import hexadecimal
from cirtlib.training.shapes import Json
from cirtlib.training.world import World

# AS numbers for documentation: RFC 5398.
_NETWORKS = ((64500, "Example Hosting"), (64505, "Example Transit"), (64510, "Example Broadband"))
_CITIES = [("Netherlands", "Amsterdam", 52.374, 4.8897), ("Romania", "Bucharest", 44.4323, 26.1063)]
_CITIES += [("Singapore", "Singapore", 1.2868, 103.8503), ("Brazil", "São Paulo", -23.5475, -46.6361)]


@dataclass(frozen=True)
class Alarm:
    """What a finding says: its type, how bad, in which words, seen from when until when, how often.

    Several signals without a `last` came within five minutes. `role` is what the resource was: TARGET or ACTOR.
    """

    kind: str
    severity: int
    title: str
    text: str
    seen: dt.datetime
    count: int = 1
    archived: bool = False
    last: dt.datetime | None = None
    role: str = "TARGET"


def finding(world: World, rng: random.Random, alarm: Alarm, region: str, parts: Json) -> Json:
    """Make a finding of the workload or data account; `parts` holds account, resource, action and perhaps more."""
    account = parts["account"]
    detector, identity = world.keys[account][1].replace("-", ""), hexadecimal(rng, 32)
    last = alarm.last or (alarm.seen if alarm.count == 1 else alarm.seen + dt.timedelta(minutes=5))
    created = last + dt.timedelta(minutes=rng.randint(7, 15), milliseconds=rng.randrange(1000))
    return {
        "schemaVersion": "2.0",
        "accountId": account,
        "region": region,
        "partition": "aws",
        "id": identity,
        "arn": f"arn:aws:guardduty:{region}:{account}:detector/{detector}/finding/{identity}",
        "type": alarm.kind,
        "resource": parts["resource"],
        "service": {
            "serviceName": "guardduty",
            "detectorId": detector,
            "action": parts["action"],
            "resourceRole": alarm.role,
            "additionalInfo": parts.get("info", {"value": "{}", "type": "default"}),
            "eventFirstSeen": stamp(alarm.seen),
            "eventLastSeen": stamp(last),
            "archived": alarm.archived,
            "count": alarm.count,
        },
        "severity": alarm.severity,
        "createdAt": stamp(created),
        "updatedAt": stamp(created),
        "title": alarm.title,
        "description": alarm.text,
    }


def stamp(at: dt.datetime) -> str:
    """Write a time as GuardDuty does, with milliseconds."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def call_parts(rng: random.Random, record: Json, *, affected: Json | None = None) -> Json:
    """Resource and action of a finding about an API call, from the call's record."""
    identity = record["userIdentity"]
    issuer = identity.get("sessionContext", {}).get("sessionIssuer", {})
    key = {
        "accessKeyId": identity.get("accessKeyId", ""),
        "principalId": identity["principalId"],
        "userType": identity["type"],
        "userName": issuer.get("userName", identity.get("userName", "")),
    }
    action: Json = {
        "api": record["eventName"],
        "serviceName": record["eventSource"],
        "callerType": "Remote IP",
        "remoteIpDetails": remote_ip(rng, record["sourceIPAddress"]),
        "userAgent": record["userAgent"],
    }
    if "errorCode" in record:
        action["errorCode"] = record["errorCode"]
    if affected:
        action["affectedResources"] = affected
    return {
        "account": record["recipientAccountId"],
        "resource": {"resourceType": "AccessKey", "accessKeyDetails": key},
        "action": {"actionType": "AWS_API_CALL", "awsApiCallAction": action},
    }


def remote_ip(rng: random.Random, address: str) -> Json:
    """What GuardDuty adds to an address."""
    (number, network), (country, city, latitude, longitude) = rng.choice(_NETWORKS), rng.choice(_CITIES)
    return {
        "ipAddressV6" if ":" in address else "ipAddressV4": address,
        "organization": {"asn": str(number), "asnOrg": network, "isp": network, "org": network},
        "country": {"countryName": country},
        "city": {"cityName": city},
        "geoLocation": {"lat": latitude, "lon": longitude},
    }


def instance_resource(machine: Json) -> Json:
    """The resource element about an instance."""
    public = machine.get("public", "")
    card = {
        "ipv6Addresses": [],
        "networkInterfaceId": machine["card"],
        "privateDnsName": f"ip-{machine['address'].replace('.', '-')}.ec2.internal",
        "privateIpAddress": machine["address"],
        "privateIpAddresses": [{"privateIpAddress": machine["address"]}],
        "subnetId": machine["subnet"],
        "vpcId": machine["vpc"],
        "securityGroups": [{"groupName": machine.get("group_name", "default"), "groupId": machine["group"]}],
        "publicDnsName": public and f"ec2-{public.replace('.', '-')}.compute-1.amazonaws.com",
        "publicIp": public,
    }
    return {
        "resourceType": "Instance",
        "instanceDetails": {
            "instanceId": machine["id"],
            "instanceType": machine["kind"],
            "launchTime": machine["launched"],
            "platform": None,
            "productCodes": [],
            "iamInstanceProfile": machine.get("profile"),
            "networkInterfaces": [card],
            "outpostArn": None,
            "tags": [],
            "instanceState": "running",
            "availabilityZone": f"{machine['region']}a",
            "imageId": machine["image"],
            "imageDescription": "Amazon Linux 2023",
        },
    }
