"""Findings about the incident and beside it: GuardDuty's export to S3, and Security Hub's ASFF.

Source: GuardDuty user guide, "Exporting findings" and "GuardDuty finding format"; Security Hub user guide, "ASFF".
"""

import datetime as dt
import gzip
import json
import random
from pathlib import Path

from cirtlib.training.identifiers import ec2_id, guid, hexadecimal, source
from cirtlib.training.security_hub import security_hub
from cirtlib.training.shapes import Json
from cirtlib.training.truth import Truth
from cirtlib.training.world import Machine, World

_ASNS = ((64500, "Example Hosting"), (64505, "Example Transit"), (64510, "Example Broadband"))
_CITIES = (("Netherlands", "Amsterdam", 52.374, 4.8897), ("Romania", "Bucharest", 44.4323, 26.1063))
_CITIES += (("Singapore", "Singapore", 1.2868, 103.8503), ("Brazil", "São Paulo", -23.5475, -46.6361))


def raise_alarms(world: World, truth: Truth, folder: Path) -> str:
    """Write the findings below `folder`; return the ARN of the one the investigation starts from."""
    rng = source(world.seed, "alarms")
    findings = [*_about_attack(world, truth, rng), *_beside(world, truth, rng)]
    for finding in findings:
        updated = dt.datetime.fromisoformat(finding["updatedAt"])
        account, region = finding["accountId"], finding["region"]
        path = folder / f"AWSLogs/{account}/GuardDuty/{region}/{updated:%Y/%m/%d}/{guid(rng)}.jsonl.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(finding, separators=(",", ":"), ensure_ascii=False) + "\n"
        path.write_bytes(gzip.compress(line.encode(), mtime=0))
    hub = json.dumps({"Findings": security_hub(world, findings, rng)}, indent=1, ensure_ascii=False)
    (folder / "security_hub.json").write_text(hub + "\n", encoding="utf-8")
    return str(findings[0]["arn"])


def _about_attack(world: World, truth: Truth, rng: random.Random) -> list[Json]:
    """Findings that the attack raised; the first is the Low one about the trail, else the one about the leaked key."""
    story, found = truth.story, []
    anomalous = "APIs commonly used in {} tactics were invoked by {} under unusual circumstances."
    if stop := story.get("stop_logging"):
        trail = truth.logging["trail"]
        what = {"affectedResources": {"AWS::CloudTrail::Trail": trail}}
        role, session = world.dev_role.name, stop["userIdentity"]["principalId"].split(":", 1)[1]
        text = f"AWS CloudTrail trail {trail} was disabled by {role}:{session} calling StopLogging under unusual circumstances. "
        text += "This can be attackers attempt to cover their tracks by eliminating any trace of activity performed while they accessed your account."
        kind = "Stealth:IAMUser/CloudTrailLoggingDisabled"
        found.append(
            _api(world, rng, stop, kind, 2, title=f"AWS CloudTrail trail {trail} was disabled.", text=text, more=what)
        )
    first = story["first"]
    user = first["userIdentity"]["userName"]
    found.append(
        _api(
            world,
            rng,
            first,
            "Discovery:IAMUser/AnomalousBehavior",
            2,
            title=f"User IAMUser : {user} is anomalously invoking APIs commonly used in Discovery tactics.",
            text=anomalous.format("Discovery", f"user IAMUser : {user}"),
            more={"count": 9},
        )
    )
    for label, kind, severity, tactic in (
        ("create_user", "Persistence:IAMUser/AnomalousBehavior", 5, "Persistence"),
        ("attach_policy", "PrivilegeEscalation:IAMUser/AnomalousBehavior", 5, "PrivilegeEscalation"),
        ("trust", "Persistence:IAMUser/AnomalousBehavior", 5, "Persistence"),
        ("share", "Exfiltration:IAMUser/AnomalousBehavior", 8, "Exfiltration"),
        ("instances", "UnauthorizedAccess:IAMUser/MaliciousIPCaller.Custom", 5, ""),
    ):
        record = story.get(label)
        if record is None:
            continue
        who = _who(record)
        title = f"{who} is anomalously invoking APIs commonly used in {tactic} tactics."
        text = anomalous.format(tactic, who)
        if not tactic:
            title = f"The API {record['eventName']} was invoked from an IP address on a custom threat list."
            text = f"API {record['eventName']} was invoked from an IP address {record['sourceIPAddress']} included on a custom threat list."
        found.append(_api(world, rng, record, kind, severity, title=title, text=text))
    if "instance_ids" in story:
        found.append(_mining(world, truth, rng))
    return found


def _who(record: Json) -> str:
    identity = record["userIdentity"]
    issuer = identity.get("sessionContext", {}).get("sessionIssuer", {})
    return f"user {identity['type']} : {issuer.get('userName', identity.get('userName'))}"


def _frame(world: World, rng: random.Random, account: str, region: str, kind: str) -> Json:
    """Begin a finding: what stands before resource and service."""
    detector, finding = world.keys[account][1].replace("-", ""), hexadecimal(rng, 32)
    return {
        "schemaVersion": "2.0",
        "accountId": account,
        "region": region,
        "partition": "aws",
        "id": finding,
        "arn": f"arn:aws:guardduty:{region}:{account}:detector/{detector}/finding/{finding}",
        "type": kind,
    }


def _end(rng: random.Random, severity: int, seen: dt.datetime, *, title: str, text: str) -> Json:
    created = seen + dt.timedelta(minutes=rng.randint(7, 15), milliseconds=rng.randrange(1000))
    stamp = f"{created:%Y-%m-%dT%H:%M:%S}.{created.microsecond // 1000:03d}Z"
    return {"severity": severity, "createdAt": stamp, "updatedAt": stamp, "title": title, "description": text}


def _api(  # noqa: PLR0913 (a finding says all of these)
    world: World,
    rng: random.Random,
    record: Json,
    kind: str,
    severity: int,
    *,
    title: str,
    text: str,
    more: Json | None = None,
) -> Json:
    """Make a finding about an API call, from the call's record."""
    identity, extra = record["userIdentity"], more or {}
    issuer = identity.get("sessionContext", {}).get("sessionIssuer", {})
    key = {
        "accessKeyId": identity.get("accessKeyId", ""),
        "principalId": identity["principalId"],
        "userType": identity["type"],
        "userName": issuer.get("userName", identity.get("userName", "")),
    }
    action = {
        "api": record["eventName"],
        "serviceName": record["eventSource"],
        "callerType": "Remote IP",
        "remoteIpDetails": remote_ip(rng, record["sourceIPAddress"]),
        "userAgent": record["userAgent"],
    }
    if "affectedResources" in extra:
        action["affectedResources"] = extra["affectedResources"]
    service = {
        "serviceName": "guardduty",
        "detectorId": world.keys[record["recipientAccountId"]][1].replace("-", ""),
        "action": {"actionType": "AWS_API_CALL", "awsApiCallAction": action},
        "resourceRole": "TARGET",
        "additionalInfo": {"value": "{}", "type": "default"},
        "eventFirstSeen": _milliseconds(record["eventTime"]),
        "eventLastSeen": _milliseconds(record["eventTime"]),
        "archived": False,
        "count": extra.get("count", 1),
    }
    seen = dt.datetime.fromisoformat(record["eventTime"])
    frame = _frame(world, rng, record["recipientAccountId"], record["awsRegion"], kind)
    resource = {"resource": {"resourceType": "AccessKey", "accessKeyDetails": key}}
    return frame | resource | {"service": service} | _end(rng, severity, seen, title=title, text=text)


def _milliseconds(text: str) -> str:
    return text.replace("Z", ".000Z")


def remote_ip(rng: random.Random, address: str) -> Json:
    """What GuardDuty adds to an address; the AS numbers are those of RFC 5398."""
    (asn, organization), (country, city, latitude, longitude) = rng.choice(_ASNS), rng.choice(_CITIES)
    version = "ipAddressV6" if ":" in address else "ipAddressV4"
    return {
        version: address,
        "organization": {"asn": str(asn), "asnOrg": organization, "isp": organization, "org": organization},
        "country": {"countryName": country},
        "city": {"cityName": city},
        "geoLocation": {"lat": latitude, "lon": longitude},
    }


def instance_resource(machine: Json) -> Json:
    """The resource element about an instance."""
    return {
        "resourceType": "Instance",
        "instanceDetails": {
            "instanceId": machine["id"],
            "instanceType": machine["kind"],
            "launchTime": machine["launched"],
            "platform": None,
            "productCodes": [],
            "iamInstanceProfile": machine.get("profile"),
            "networkInterfaces": [
                {
                    "ipv6Addresses": [],
                    "networkInterfaceId": machine["card"],
                    "privateDnsName": f"ip-{machine['address'].replace('.', '-')}.ec2.internal",
                    "privateIpAddress": machine["address"],
                    "privateIpAddresses": [{"privateIpAddress": machine["address"]}],
                    "subnetId": machine["subnet"],
                    "vpcId": machine["vpc"],
                    "securityGroups": [{"groupName": "default", "groupId": machine["group"]}],
                    "publicDnsName": "",
                    "publicIp": machine["public"],
                }
            ],
            "outpostArn": None,
            "tags": [],
            "instanceState": "running",
            "availabilityZone": f"{machine['region']}a",
            "imageId": machine["image"],
            "imageDescription": "Amazon Linux 2023",
        },
    }


def _mining(world: World, truth: Truth, rng: random.Random) -> Json:
    """One of the attacker's instances asks for the name of a mining pool."""
    record, made = truth.story["instances"], truth.story["instance_ids"]
    item = record["responseElements"]["instancesSet"]["items"][0]
    machine = {
        "id": made["ids"][0],
        "kind": made["kind"],
        "image": made["image"],
        "region": made["region"],
        "launched": _milliseconds(record["eventTime"]),
        "card": item["networkInterfaceSet"]["items"][0]["networkInterfaceId"],
        "address": item["privateIpAddress"],
        "subnet": item["subnetId"],
        "vpc": item["vpcId"],
        "group": item["groupSet"]["items"][0]["groupId"],
        "public": "",
    }
    seen = dt.datetime.fromisoformat(record["eventTime"]) + dt.timedelta(minutes=rng.randint(9, 25))
    action = {
        "actionType": "DNS_REQUEST",
        "dnsRequestAction": {"domain": "pool.example.net", "protocol": "UDP", "blocked": False},
    }
    text = f"EC2 instance {machine['id']} is querying a domain name that is associated with Bitcoin-related activity."
    kind = "CryptoCurrency:EC2/BitcoinTool.B!DNS"
    return _instance(world, rng, machine, kind, 8, seen=seen, action=action, text=text, count=14)


def _instance(  # noqa: PLR0913 (a finding says all of these)
    world: World,
    rng: random.Random,
    machine: Json,
    kind: str,
    severity: int,
    *,
    seen: dt.datetime,
    action: Json,
    text: str,
    count: int = 1,
    archived: bool = False,
) -> Json:
    service = {
        "serviceName": "guardduty",
        "detectorId": world.keys[world.workload][1].replace("-", ""),
        "action": action,
        "resourceRole": "TARGET",
        "additionalInfo": {"value": "{}", "type": "default"},
        "eventFirstSeen": f"{seen:%Y-%m-%dT%H:%M:%S}.000Z",
        "eventLastSeen": f"{seen + dt.timedelta(minutes=5):%Y-%m-%dT%H:%M:%S}.000Z",
        "archived": archived,
        "count": count,
    }
    frame = _frame(world, rng, world.workload, machine["region"], kind)
    resource = {"resource": instance_resource(machine)}
    return frame | resource | {"service": service} | _end(rng, severity, seen, title=text, text=text)


def _beside(world: World, truth: Truth, rng: random.Random) -> list[Json]:
    """Findings that have nothing to do with it: probes of a port, one archived, one sample, one about an automation."""
    machine = next(item for item in world.machines if item.region == world.home)
    day = world.start + dt.timedelta(days=rng.randrange(1, world.scenario.attack.day), hours=rng.randrange(24))
    found = []
    for archived, seen in ((False, day), (True, day - dt.timedelta(hours=20))):
        port = rng.choice(((22, "SSH"), (443, "HTTPS"), (3389, "RDP")))
        probe = {
            "localPortDetails": {"port": port[0], "portName": port[1]},
            "remoteIpDetails": remote_ip(rng, f"2001:db8:{rng.randrange(256):x}::{rng.randrange(4096):x}"),
            "localIpDetails": {"ipAddressV4": machine.address},
        }
        action = {"actionType": "PORT_PROBE", "portProbeAction": {"blocked": False, "portProbeDetails": [probe]}}
        text = f"EC2 instance {machine.id} has an unprotected port which is being probed by a known malicious host."
        kind = "Recon:EC2/PortProbeUnprotectedPort"
        card = _card(world, rng, machine)
        found.append(_instance(world, rng, card, kind, 2, seen=seen, action=action, text=text, archived=archived))
    found.append(_sample(world, rng, day))
    if "automation" in truth.innocents:
        found.append(_automation(world, truth, rng))
    return found


def _card(world: World, rng: random.Random, machine: Machine) -> Json:
    profile = f"arn:aws:iam::{world.workload}:instance-profile/{machine.role.name}"
    return {
        "id": machine.id,
        "kind": machine.kind,
        "image": machine.image,
        "region": machine.region,
        "launched": f"{world.start - dt.timedelta(days=40):%Y-%m-%dT%H:%M:%S}.000Z",
        "profile": {"arn": profile, "id": "AIPAEXAMPLEPROFILE123"},
        "card": ec2_id(rng, "eni"),
        "address": machine.address,
        "subnet": ec2_id(rng, "subnet"),
        "vpc": ec2_id(rng, "vpc"),
        "group": machine.group,
        "public": "",
    }


def _sample(world: World, rng: random.Random, seen: dt.datetime) -> Json:
    """Someone tried CreateSampleFindings; such a finding names nothing that exists."""
    frame = _frame(world, rng, world.workload, world.home, "UnauthorizedAccess:IAMUser/TorIPCaller")
    key = {
        "accessKeyId": "GeneratedFindingAccessKeyId",
        "principalId": "GeneratedFindingPrincipalId",
        "userType": "IAMUser",
        "userName": "GeneratedFindingUserName",
    }
    action = {
        "api": "GeneratedFindingAPIName",
        "serviceName": "GeneratedFindingAPIServiceName",
        "callerType": "Remote IP",
        "remoteIpDetails": remote_ip(rng, "198.51.100.0"),
        "affectedResources": {},
    }
    service = {
        "serviceName": "guardduty",
        "detectorId": frame["arn"].split("/")[1],
        "action": {"actionType": "AWS_API_CALL", "awsApiCallAction": action},
        "resourceRole": "TARGET",
        "additionalInfo": {"value": '{"sample":true}', "type": "default", "sample": True},
        "eventFirstSeen": f"{seen:%Y-%m-%dT%H:%M:%S}.000Z",
        "eventLastSeen": f"{seen:%Y-%m-%dT%H:%M:%S}.000Z",
        "archived": False,
        "count": 1,
    }
    resource = {"resource": {"resourceType": "AccessKey", "accessKeyDetails": key}}
    title = "[SAMPLE] API GeneratedFindingAPIName was invoked from a Tor exit node."
    text = "API GeneratedFindingAPIName was invoked from a Tor exit node IP address 198.51.100.0."
    return frame | resource | {"service": service} | _end(rng, 5, seen, title=title, text=text)


def _automation(world: World, truth: Truth, rng: random.Random) -> Json:
    """An alarm about the pipeline that makes users: it looks like the attacker's, and is not."""
    return _api(
        world,
        rng,
        truth.story["automation"],
        "Persistence:IAMUser/AnomalousBehavior",
        5,
        title="User AssumedRole is anomalously invoking APIs commonly used in Persistence tactics.",
        text="APIs commonly used in Persistence tactics were invoked by "
        + _who(truth.story["automation"])
        + " under unusual circumstances.",
    )
