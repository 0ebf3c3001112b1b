"""The kinds of GuardDuty finding that incidents raise, each in its own words.

Source: GuardDuty user guide, "GuardDuty finding types"; titles and descriptions follow its sample findings.
"""

import datetime as dt
import random

from cirtlib.training.guardduty import Alarm, call_parts, finding, instance_resource, remote_ip, stamp
from cirtlib.training.identifiers import ec2_id
from cirtlib.training.scenario import OPEN_PORT
from cirtlib.training.shapes import Json
from cirtlib.training.site import site
from cirtlib.training.truth import Truth
from cirtlib.training.world import Machine, World


def stealth(world: World, rng: random.Random, record: Json, trail: str) -> Json:
    """The finding of the story; GuardDuty rates it Low by default."""
    identity = record["userIdentity"]
    issuer = identity["sessionContext"]["sessionIssuer"]
    who = f"{issuer['userName']}:{identity['principalId'].split(':', 1)[1]}"
    text = (
        f"AWS CloudTrail trail {trail} was disabled by {who} calling StopLogging under unusual circumstances. This can "
        "be an attacker's attempt to cover their tracks by eliminating any trace of activity performed while they "
        "accessed your account."
    )
    title, kind = f"AWS CloudTrail trail {trail} was disabled.", "Stealth:IAMUser/CloudTrailLoggingDisabled"
    alarm = Alarm(kind, 2, title, text, seen_at(record))
    parts = call_parts(rng, record, affected={"AWS::CloudTrail::Trail": trail})
    return finding(world, rng, alarm, record["awsRegion"], parts)


def anomalous(
    world: World, rng: random.Random, record: Json, tactic: str, *, severity: int = 5, count: int = 1
) -> Json:
    """A finding of the kind …:IAMUser/AnomalousBehavior."""
    identity = record["userIdentity"]
    issuer = identity.get("sessionContext", {}).get("sessionIssuer", {})
    who = f"{identity['type']} : {issuer.get('userName', identity.get('userName'))}"
    title = f"User {who} is anomalously invoking APIs commonly used in {tactic} tactics."
    text = (
        f"APIs commonly used in {tactic} tactics were invoked by user {who} under unusual circumstances. Such activity "
        "is not typically seen from this user."
    )
    alarm = Alarm(f"{tactic}:IAMUser/AnomalousBehavior", severity, title, text, seen_at(record), count)
    return finding(world, rng, alarm, record["awsRegion"], call_parts(rng, record))


def penetration_tool(world: World, rng: random.Random, record: Json) -> Json:
    """A call came from a system for penetration tests."""
    name = record["eventName"]
    title = f"API {name} was invoked from a computer running Kali Linux."
    text = (
        f"API {name} was invoked from a remote host that is potentially running Kali Linux penetration testing tools."
    )
    alarm = Alarm("PenTest:IAMUser/KaliLinux", 5, title, text, seen_at(record))
    return finding(world, rng, alarm, record["awsRegion"], call_parts(rng, record))


def listed_address(world: World, rng: random.Random, record: Json) -> Json:
    """A call came from an address on the organization's own threat list."""
    name, address = record["eventName"], record["sourceIPAddress"]
    title = f"The API {name} was invoked from an IP address on a custom threat list."
    text = f"API {name} was invoked from an IP address {address} included on a custom threat list."
    alarm = Alarm("UnauthorizedAccess:IAMUser/MaliciousIPCaller.Custom", 5, title, text, seen_at(record))
    return finding(world, rng, alarm, record["awsRegion"], call_parts(rng, record))


def mining(world: World, truth: Truth, rng: random.Random) -> Json:
    """One of the attacker's instances asks for the name of a mining pool."""
    record, made = truth.story["instances"], truth.story["instance_ids"]
    item = record["responseElements"]["instancesSet"]["items"][0]
    machine = {
        "id": made["ids"][0],
        "kind": made["kind"],
        "image": made["image"],
        "region": made["region"],
        "launched": stamp(seen_at(record)),
        "card": item["networkInterfaceSet"]["items"][0]["networkInterfaceId"],
        "address": item["privateIpAddress"],
        "subnet": item["subnetId"],
        "vpc": item["vpcId"],
        "group": item["groupSet"]["items"][0]["groupId"],
    }
    text = f"EC2 instance {machine['id']} is querying a domain name that is associated with Bitcoin-related activity."
    seen = seen_at(record) + dt.timedelta(minutes=rng.randint(9, 25))
    alarm = Alarm("CryptoCurrency:EC2/BitcoinTool.B!DNS", 8, text, text, seen, 14)
    request = {"domain": "pool.example.net", "protocol": "UDP", "blocked": False}
    action = {"actionType": "DNS_REQUEST", "dnsRequestAction": request}
    parts = {"account": world.workload, "resource": instance_resource(machine), "action": action}
    return finding(world, rng, alarm, made["region"], parts)


def probe(world: World, rng: random.Random, machine: Machine, seen: dt.datetime, *, archived: bool = False) -> Json:
    """Somebody knocked at a port of an instance."""
    if world.scenario.way_in == OPEN_PORT:
        port = site(world, machine).port
        known, address = (port, "SSH" if port == 22 else "RDP"), _stranger(world, rng)
    else:
        known = rng.choice(((22, "SSH"), (443, "HTTPS"), (3389, "RDP")))
        address = f"2001:db8:{rng.randrange(1, 256):x}::{rng.randrange(1, 4096):x}"
    knock = {
        "localPortDetails": {"port": known[0], "portName": known[1]},
        "remoteIpDetails": remote_ip(rng, address),
        "localIpDetails": {"ipAddressV4": machine.address},
    }
    resource = instance_resource(_details(world, rng, machine))
    text = f"EC2 instance {machine.id} has an unprotected port which is being probed by a known malicious host."
    alarm = Alarm("Recon:EC2/PortProbeUnprotectedPort", 2, text, text, seen, 3, archived)
    action = {"actionType": "PORT_PROBE", "portProbeAction": {"blocked": False, "portProbeDetails": [knock]}}
    parts = {"account": world.workload, "resource": resource, "action": action}
    return finding(world, rng, alarm, machine.region, parts)


def brute_force(world: World, truth: Truth, rng: random.Random) -> Json:
    """Passwords were tried on an instance; by default GuardDuty rates it Low where the instance is the target."""
    machine, tried = world.exposed, truth.story["brute_force"]
    title = f"{tried['address']} is performing SSH brute force attacks against {machine.id}."
    text = (
        f"{title} Brute force attacks are used to gain unauthorized access to your instance by guessing the SSH "
        "password."
    )
    kind = "UnauthorizedAccess:EC2/SSHBruteForce"
    alarm = Alarm(kind, 2, title, text, tried["first"], tried["count"], last=tried["last"])
    connection = {
        "connectionDirection": "INBOUND",
        "remoteIpDetails": remote_ip(rng, tried["address"]),
        "remotePortDetails": {"port": rng.randrange(32768, 60999), "portName": "Unknown"},
        "localPortDetails": {"port": 22, "portName": "SSH"},
        "localIpDetails": {"ipAddressV4": machine.address},
        "localNetworkInterface": site(world, machine).card,
        "protocol": "TCP",
        "blocked": False,
    }
    action = {"actionType": "NETWORK_CONNECTION", "networkConnectionAction": connection}
    parts = {"account": world.workload, "resource": instance_resource(_details(world, rng, machine)), "action": action}
    return finding(world, rng, alarm, machine.region, parts)


def exfiltration(world: World, truth: Truth, rng: random.Random) -> Json:
    """The instance's credentials were used from outside: one finding for all the time, about the newest call."""
    theft, machine = truth.story["theft"], world.exposed
    record = theft["newest"]
    name, address = machine.role.name, record["sourceIPAddress"]
    title = f"Credentials for the EC2 instance role {name} were used from an external IP address."
    text = (
        f"Credentials created exclusively for an EC2 instance using instance role {name} have been used from an "
        f"external IP address {address}."
    )
    kind = "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS"
    alarm = Alarm(kind, 8, title, text, theft["first"], theft["count"], last=seen_at(record))
    parts = call_parts(rng, record)
    instance = instance_resource(_details(world, rng, machine))["instanceDetails"]
    parts["resource"] = parts["resource"] | {"instanceDetails": instance}
    return finding(world, rng, alarm, record["awsRegion"], parts)


def _details(world: World, rng: random.Random, machine: Machine) -> Json:
    """What `instance_resource` needs of an instance of the organization."""
    details: Json = {
        "id": machine.id,
        "kind": machine.kind,
        "image": machine.image,
        "region": machine.region,
        "launched": stamp(world.start - dt.timedelta(days=40)),
        "profile": {
            "arn": f"arn:aws:iam::{world.workload}:instance-profile/{machine.role.name}",
            "id": "AIPA222222222EXAMPLE2",
        },
        "address": machine.address,
        "group": machine.group,
    }
    if world.scenario.way_in == OPEN_PORT:
        place = site(world, machine)
        details["profile"]["id"] = place.profile
        network = {"card": place.card, "subnet": place.subnet, "vpc": place.vpc, "public": machine.public}
        return details | network | {"group_name": f"{place.group_name}-{machine.group[-4:]}"}
    return details | {"card": ec2_id(rng, "eni"), "subnet": ec2_id(rng, "subnet"), "vpc": ec2_id(rng, "vpc")}


def _stranger(world: World, rng: random.Random) -> str:
    """Draw an address that scans the internet and is nobody's in the story."""
    return f"{world.network.second.rsplit('.', 1)[0]}.{rng.randrange(5, 19)}"


def sample(world: World, rng: random.Random, seen: dt.datetime) -> Json:
    """Someone tried CreateSampleFindings; such a finding names nothing that exists."""
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
    title = "[SAMPLE] API GeneratedFindingAPIName was invoked from a Tor exit node."
    text = "API GeneratedFindingAPIName was invoked from a Tor exit node IP address 198.51.100.0."
    alarm = Alarm("UnauthorizedAccess:IAMUser/TorIPCaller", 5, title, text, seen)
    parts = {
        "account": world.workload,
        "resource": {"resourceType": "AccessKey", "accessKeyDetails": key},
        "action": {"actionType": "AWS_API_CALL", "awsApiCallAction": action},
        "info": {"value": '{"sample":true}', "type": "default", "sample": True},
    }
    return finding(world, rng, alarm, world.home, parts)


def seen_at(record: Json) -> dt.datetime:
    """When a record's call was made."""
    return dt.datetime.fromisoformat(record["eventTime"])
