"""The findings of an incident: those it raised, those about innocents, and those that have nothing to do with it."""

import datetime as dt
import gzip
import json
import random
from pathlib import Path

from cirtlib.training.guardduty import Alarm, call_parts, finding, instance_resource, remote_ip, stamp
from cirtlib.training.identifiers import ec2_id, guid, source
from cirtlib.training.security_hub import security_hub
from cirtlib.training.shapes import Json
from cirtlib.training.truth import Truth
from cirtlib.training.world import Machine, World


def raise_alarms(world: World, truth: Truth, folder: Path) -> str:
    """Write the findings below `folder`; return the ARN of the one the investigation starts from."""
    rng = source(world.seed, "alarms")
    findings = [*_about_attack(world, truth, rng), *_beside(world, truth, rng)]
    for item in findings:
        updated = dt.datetime.fromisoformat(item["updatedAt"])
        account, region = item["accountId"], item["region"]
        path = folder / f"AWSLogs/{account}/GuardDuty/{region}/{updated:%Y/%m/%d}/{guid(rng)}.jsonl.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(item, separators=(",", ":"), ensure_ascii=False) + "\n"
        path.write_bytes(gzip.compress(line.encode(), mtime=0))
    hub = json.dumps({"Findings": security_hub(world, findings, rng)}, indent=1, ensure_ascii=False)
    (folder / "security_hub.json").write_text(hub + "\n", encoding="utf-8")
    return str(findings[0]["arn"])


def _about_attack(world: World, truth: Truth, rng: random.Random) -> list[Json]:
    """Findings that the attack raised; the first is the Low one about the trail, else the one about the leaked key."""
    story, found = truth.story, []
    if stop := story.get("stop_logging"):
        found.append(_stealth(world, rng, stop, truth.logging["trail"]))
    found.append(_anomalous(world, rng, story["first"], "Discovery", severity=2, count=9))
    if "kali" in story["first"]["userAgent"]:
        found.append(_penetration_tool(world, rng, story["first"]))
    for label, tactic, severity in (
        ("create_user", "Persistence", 5),
        ("attach_policy", "PrivilegeEscalation", 5),
        ("trust", "Persistence", 5),
        ("share", "Exfiltration", 8),
    ):
        if label in story:
            found.append(_anomalous(world, rng, story[label], tactic, severity=severity))
    if "instances" in story:
        found += [_listed_address(world, rng, story["instances"]), _mining(world, truth, rng)]
    return found


def _stealth(world: World, rng: random.Random, record: Json, trail: str) -> Json:
    """The finding of the story; GuardDuty rates it Low by default."""
    who = f"{world.dev_role.name}:{record['userIdentity']['principalId'].split(':', 1)[1]}"
    text = (
        f"AWS CloudTrail trail {trail} was disabled by {who} calling StopLogging under unusual circumstances. This can "
        "be an attacker's attempt to cover their tracks by eliminating any trace of activity performed while they "
        "accessed your account."
    )
    title, kind = f"AWS CloudTrail trail {trail} was disabled.", "Stealth:IAMUser/CloudTrailLoggingDisabled"
    alarm = Alarm(kind, 2, title, text, _seen(record))
    parts = call_parts(rng, record, affected={"AWS::CloudTrail::Trail": trail})
    return finding(world, rng, alarm, record["awsRegion"], parts)


def _anomalous(
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
    alarm = Alarm(f"{tactic}:IAMUser/AnomalousBehavior", severity, title, text, _seen(record), count)
    return finding(world, rng, alarm, record["awsRegion"], call_parts(rng, record))


def _penetration_tool(world: World, rng: random.Random, record: Json) -> Json:
    name = record["eventName"]
    title = f"API {name} was invoked from a computer running Kali Linux."
    text = (
        f"API {name} was invoked from a remote host that is potentially running Kali Linux penetration testing tools."
    )
    alarm = Alarm("PenTest:IAMUser/KaliLinux", 5, title, text, _seen(record))
    return finding(world, rng, alarm, record["awsRegion"], call_parts(rng, record))


def _listed_address(world: World, rng: random.Random, record: Json) -> Json:
    name, address = record["eventName"], record["sourceIPAddress"]
    title = f"The API {name} was invoked from an IP address on a custom threat list."
    text = f"API {name} was invoked from an IP address {address} included on a custom threat list."
    alarm = Alarm("UnauthorizedAccess:IAMUser/MaliciousIPCaller.Custom", 5, title, text, _seen(record))
    return finding(world, rng, alarm, record["awsRegion"], call_parts(rng, record))


def _mining(world: World, truth: Truth, rng: random.Random) -> Json:
    """One of the attacker's instances asks for the name of a mining pool."""
    record, made = truth.story["instances"], truth.story["instance_ids"]
    item = record["responseElements"]["instancesSet"]["items"][0]
    machine = {
        "id": made["ids"][0],
        "kind": made["kind"],
        "image": made["image"],
        "region": made["region"],
        "launched": stamp(_seen(record)),
        "card": item["networkInterfaceSet"]["items"][0]["networkInterfaceId"],
        "address": item["privateIpAddress"],
        "subnet": item["subnetId"],
        "vpc": item["vpcId"],
        "group": item["groupSet"]["items"][0]["groupId"],
    }
    text = f"EC2 instance {machine['id']} is querying a domain name that is associated with Bitcoin-related activity."
    seen = _seen(record) + dt.timedelta(minutes=rng.randint(9, 25))
    alarm = Alarm("CryptoCurrency:EC2/BitcoinTool.B!DNS", 8, text, text, seen, 14)
    request = {"domain": "pool.example.net", "protocol": "UDP", "blocked": False}
    action = {"actionType": "DNS_REQUEST", "dnsRequestAction": request}
    parts = {"account": world.workload, "resource": instance_resource(machine), "action": action}
    return finding(world, rng, alarm, made["region"], parts)


def _beside(world: World, truth: Truth, rng: random.Random) -> list[Json]:
    """Probes of a port (one archived), a sample, and an alarm about the pipeline that makes users."""
    machine = next(item for item in world.machines if item.region == world.home)
    day = world.start + dt.timedelta(days=rng.randrange(1, world.scenario.attack.day), hours=rng.randrange(24))
    found = [_probe(world, rng, machine, day), _probe(world, rng, machine, day - dt.timedelta(hours=20), archived=True)]
    found.append(_sample(world, rng, day))
    if "automation" in truth.story:
        found.append(_anomalous(world, rng, truth.story["automation"], "Persistence"))
    return found


def _probe(world: World, rng: random.Random, machine: Machine, seen: dt.datetime, *, archived: bool = False) -> Json:
    port, name = rng.choice(((22, "SSH"), (443, "HTTPS"), (3389, "RDP")))
    probe = {
        "localPortDetails": {"port": port, "portName": name},
        "remoteIpDetails": remote_ip(rng, f"2001:db8:{rng.randrange(1, 256):x}::{rng.randrange(1, 4096):x}"),
        "localIpDetails": {"ipAddressV4": machine.address},
    }
    details = {
        "id": machine.id,
        "kind": machine.kind,
        "image": machine.image,
        "region": machine.region,
        "launched": stamp(world.start - dt.timedelta(days=40)),
        "profile": {
            "arn": f"arn:aws:iam::{world.workload}:instance-profile/{machine.role.name}",
            "id": "AIPA222222222EXAMPLE2",
        },
        "card": ec2_id(rng, "eni"),
        "address": machine.address,
        "subnet": ec2_id(rng, "subnet"),
        "vpc": ec2_id(rng, "vpc"),
        "group": machine.group,
    }
    text = f"EC2 instance {machine.id} has an unprotected port which is being probed by a known malicious host."
    alarm = Alarm("Recon:EC2/PortProbeUnprotectedPort", 2, text, text, seen, 3, archived)
    action = {"actionType": "PORT_PROBE", "portProbeAction": {"blocked": False, "portProbeDetails": [probe]}}
    parts = {"account": world.workload, "resource": instance_resource(details), "action": action}
    return finding(world, rng, alarm, machine.region, parts)


def _sample(world: World, rng: random.Random, seen: dt.datetime) -> Json:
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


def _seen(record: Json) -> dt.datetime:
    return dt.datetime.fromisoformat(record["eventTime"])
