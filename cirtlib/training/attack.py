"""The attack on the exposed credentials, step by step; each step writes records, state and truth at once."""

import copy
import datetime as dt
from dataclasses import replace

from cirtlib.training import changes, names
from cirtlib.training.calls import pools, read
from cirtlib.training.estate import Estate
from cirtlib.training.identifiers import ec2_id, source
from cirtlib.training.raid import (
    MINERS,
    Hand,
    Raid,
    assume,
    attack_begins,
    create_user,
    look,
    read_calls,
    refused,
    session_name,
    start_instances,
)
from cirtlib.training.sessions import key_caller, refuse_role
from cirtlib.training.shapes import Book, Call, Place, iso
from cirtlib.training.truth import Truth
from cirtlib.training.world import World


def attack(world: World, book: Book, estate: Estate, truth: Truth) -> None:
    """Make the whole attack."""
    rng, begin, steps = source(world.seed, "attack"), attack_begins(world), world.scenario.attack
    raid = Raid(world, book, estate, truth, rng, begin)
    agent, other = names.attacker_agent(rng), names.attacker_agent(rng)
    owner = world.key_users[0]
    place = Place(world.network.attacker, agent)
    leaked = Hand(key_caller(owner), owner.key or "", owner.arn, place)
    _explore_with_key(raid, leaked)
    raid.until(begin, 0.15)
    session = assume(raid, leaked, world.dev_role, name=session_name(rng, agent, raid.now))
    role = Hand(session.caller(), session.key or "", world.dev_role.arn, place)
    truth.story["session"] = session.records[0]
    _explore_with_role(raid, role)
    if steps.stop_logging:
        raid.until(begin, 0.28)
        _stop_logging(raid, role)
    created = _settle(raid, role, Place(world.network.second, other), begin=begin)
    if created:
        raid.until(begin, 0.64)
        _explore_with_user(raid, created)
        _spread(raid, created, begin=begin)


def _settle(raid: Raid, role: Hand, elsewhere: Place, *, begin: dt.datetime) -> Hand | None:
    """Through the role: a user, a back door and a snapshot, in an order that the seed draws."""
    steps = raid.world.scenario.attack
    wanted = {"user": steps.create_user, "trust": steps.backdoor_trust, "snapshot": steps.share_snapshot}
    created = None
    for share, step in zip((0.36, 0.46, 0.54), raid.rng.sample(sorted(wanted), 3), strict=True):
        raid.until(begin, share)
        if not wanted[step]:
            continue
        if step == "user":
            created = create_user(raid, role, elsewhere)
        elif step == "trust":
            _widen_trust(raid, role)
        else:
            _share_snapshot(raid, role)
    return created


def _spread(raid: Raid, created: Hand, *, begin: dt.datetime) -> None:
    """With the new user's key: instances and the second account, in an order that the seed draws."""
    steps = raid.world.scenario.attack
    wanted = {"instances": steps.run_instances, "account": steps.second_account}
    for share, step in zip((0.74, 0.84), raid.rng.sample(sorted(wanted), 2), strict=True):
        raid.until(begin, share)
        if wanted[step]:
            (_run_instances if step == "instances" else _second_account)(raid, created)


def _explore_with_key(raid: Raid, hand: Hand) -> None:
    """Look around with the leaked key, which may do little."""
    account, home, rng = raid.world.workload, raid.world.home, raid.rng
    raid.do(hand, read(rng, "sts:GetCallerIdentity", home, {}, account=account), label="first")
    if not raid.world.scenario.attack.recon:
        return
    name = hand.principal.rsplit("/", 1)[1]
    for call in ("ListAttachedUserPolicies", "ListUserPolicies"):
        raid.do(hand, Call("iam", call, changes.HOME, {"userName": name}))
    raid.do(hand, Call("iam", "GetUserPolicy", changes.HOME, {"userName": name, "policyName": "assume-dev"}))
    look(raid, hand, "s3:ListBuckets", "ec2:DescribeInstances", "iam:ListRoles", "ec2:DescribeRegions")
    for region in rng.sample(raid.world.regions, len(raid.world.regions)):
        look(raid, hand, "ec2:DescribeInstances", "ec2:DescribeSecurityGroups", region=region)
    look(raid, hand, "lambda:ListFunctions20150331", "dynamodb:ListTables", "cloudtrail:DescribeTrails")
    if not raid.world.scenario.attack.denied_attempts:
        return
    iam, user = f"arn:aws:iam::{account}", names.new_user(rng)
    refused(raid, hand, Call("iam", "ListUsers", changes.HOME), "iam:ListUsers", resource=f"{iam}:user/")
    details = Call("iam", "GetAccountAuthorizationDetails", changes.HOME)
    refused(raid, hand, details, "iam:GetAccountAuthorizationDetails", resource="*")
    refused(raid, hand, Call("secretsmanager", "ListSecrets", home), "secretsmanager:ListSecrets")
    refused(raid, hand, Call("ssm", "DescribeParameters", home), "ssm:DescribeParameters", resource=_any(home, account))
    create = changes.create_user(account, user, "", raid.now)
    refused(raid, hand, create, "iam:CreateUser", resource=f"{iam}:user/{user}")
    refused(raid, hand, changes.create_access_key(name, "", raid.now), "iam:CreateAccessKey", resource=f"user {name}")
    for target in ("OrganizationAccountAccessRole", "Admin", raid.world.pipelines[0].role.name):
        record = refuse_role(raid.book, hand.caller, f"{iam}:role/{target}", raid.stay(hand), raid.now)
        raid.note(hand, record)


def _any(region: str, account: str) -> str:
    return f"arn:aws:ssm:{region}:{account}:*"


def _explore_with_role(raid: Raid, hand: Hand) -> None:
    read_calls(raid, hand, "sts:GetCallerIdentity")
    if not raid.world.scenario.attack.recon:
        return
    look(raid, hand, "iam:ListUsers", "iam:ListRoles", "iam:ListPolicies", "iam:GetAccountAuthorizationDetails")
    look(raid, hand, "secretsmanager:ListSecrets", "ssm:DescribeParameters", "kms:ListKeys", "rds:DescribeDBInstances")
    for region in raid.rng.sample(raid.world.regions, len(raid.world.regions)):
        look(raid, hand, "ec2:DescribeInstances", "ec2:DescribeVolumes", "ec2:DescribeSnapshots", region=region)
    read_calls(raid, hand, "cloudtrail:DescribeTrails", "cloudtrail:GetTrailStatus", "guardduty:ListDetectors")


def _stop_logging(raid: Raid, hand: Hand) -> None:
    """Stop the account's own trail; deleting it is refused, and the organization's trail cannot be stopped here."""
    world = raid.world
    arn = world.trail(world.workload)
    name = raid.rng.choice((arn, world.trails[world.workload]))
    if world.scenario.attack.denied_attempts:
        delete = Call("cloudtrail", "DeleteTrail", world.home, {"name": name}, read_only=False)
        refused(raid, hand, delete, "cloudtrail:DeleteTrail", resource=arn, explicit=True)
        stop = replace(changes.stop_logging(world.org_trail, world.home), request={"name": world.org_trail})
        error = (
            "NotOrganizationMasterAccountException",
            "Only the management account can change an organization trail.",
        )
        raid.do(hand, replace(stop, error=error))
    record = raid.do(hand, changes.stop_logging(name, world.home), label="stop_logging")
    raid.truth.mark("resource", arn, "changed")
    raid.truth.logging = {"trail": arn, "stopped": record["eventTime"]}
    raid.estate.alter(raid.now, world.workload, "trails", world.trails[world.workload], IsLogging=False)
    read_calls(raid, hand, "cloudtrail:GetTrailStatus")


def _widen_trust(raid: Raid, hand: Hand) -> None:
    """Let a foreign account assume a role that nobody watches."""
    door, foreign = raid.world.door, raid.world.foreign[0]
    before = raid.truth.trust_before[door.arn]
    after = copy.deepcopy(before)
    principal = {"AWS": f"arn:aws:iam::{foreign}:root"}
    after["Statement"].append({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})
    raid.do(hand, Call("iam", "GetRole", changes.HOME, {"roleName": door.name}))
    raid.do(hand, changes.update_trust(door.name, after), label="trust")
    raid.truth.mark("principal", door.arn, "changed")
    raid.truth.external.append(foreign)
    raid.estate.alter(raid.now, door.account, "roles", door.name, trust=after)


def _share_snapshot(raid: Raid, hand: Hand) -> None:
    """Copy a disk and give it to a foreign account."""
    world, rng = raid.world, raid.rng
    machine = rng.choice([item for item in world.machines if item.role.account == world.workload])
    snapshot, foreign = ec2_id(rng, "snap"), world.foreign[1]
    description = rng.choice(("", "migration", "tmp"))
    new = changes.NewSnapshot(snapshot, machine.volume, world.workload, description)
    raid.do(hand, changes.create_snapshot(new, machine.region, raid.now), label="snapshot")
    raid.truth.mark("resource", f"arn:aws:ec2:{machine.region}::snapshot/{snapshot}", "attacker_created")
    state = {"SnapshotId": snapshot, "VolumeId": machine.volume, "Region": machine.region, "shared_with": []}
    raid.estate.add(raid.now, world.workload, "snapshots", state)
    read_calls(raid, hand, "ec2:DescribeSnapshots", region=machine.region)
    raid.do(hand, changes.share_snapshot(snapshot, machine.region, foreign), label="share")
    raid.estate.alter(raid.now, world.workload, "snapshots", snapshot, shared_with=[foreign])
    raid.truth.external.append(foreign)


def _explore_with_user(raid: Raid, hand: Hand) -> None:
    read_calls(raid, hand, "sts:GetCallerIdentity", "iam:ListUsers", "organizations:DescribeOrganization")
    read_calls(raid, hand, "ec2:DescribeRegions", "servicequotas:ListServiceQuotas")
    read_calls(raid, hand, "servicequotas:ListServiceQuotas", "ec2:DescribeInstances", region=raid.world.unused)


def _run_instances(raid: Raid, hand: Hand) -> None:
    """Start large instances where nobody looks."""
    world, rng, region = raid.world, raid.rng, raid.world.unused
    read_calls(raid, hand, "ec2:DescribeInstanceTypes", "ec2:DescribeVpcs", region=region)
    image, kind = ec2_id(rng, "ami"), rng.choice(MINERS)
    instances = tuple(ec2_id(rng, "i") for _ in range(rng.randint(2, 3)))
    start_instances(raid, hand, changes.Launch(region, world.workload, image, kind, instances))


def _second_account(raid: Raid, hand: Hand) -> None:
    """Go through a role of the data account and read what lies there."""
    world, rng = raid.world, raid.rng
    if world.scenario.attack.denied_attempts:
        target = f"arn:aws:iam::{world.management}:role/OrganizationAccountAccessRole"
        raid.note(hand, refuse_role(raid.book, hand.caller, target, raid.stay(hand), raid.now))
    session = assume(raid, hand, world.bridge, name=session_name(rng, hand.place.agent, raid.now))
    raid.truth.story["second"] = session.records[0]
    there = Hand(session.caller(), session.key or "", world.bridge.arn, hand.place)
    read_calls(
        raid, there, "sts:GetCallerIdentity", "s3:ListBuckets", "dynamodb:ListTables", "secretsmanager:ListSecrets"
    )
    pool = pools(world, world.data)
    for secret in rng.sample(pool["secret"], 2):
        raid.do(there, changes.get_secret(secret, world.home), label="secret")
    look(raid, there, "glue:GetDatabases", "glue:GetTables", "s3:GetBucketPolicy", "dynamodb:DescribeTable")
    if world.scenario.attack.denied_attempts:
        users = Call("iam", "ListUsers", changes.HOME)
        refused(raid, there, users, "iam:ListUsers", resource=f"arn:aws:iam::{world.data}:user/")
        user = names.new_user(rng)
        create = changes.create_user(world.data, user, "", raid.now)
        refused(raid, there, create, "iam:CreateUser", resource=f"arn:aws:iam::{world.data}:user/{user}")
    raid.truth.story["end"] = {"at": iso(raid.now)}
