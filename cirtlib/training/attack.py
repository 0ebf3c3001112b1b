"""The attack on the exposed credentials, step by step; each step writes records, state and truth at once."""

import copy
import datetime as dt
import random
from dataclasses import dataclass, replace

from cirtlib.training import changes, names
from cirtlib.training.calls import pools, read
from cirtlib.training.estate import Estate, instance_state, new_user_state
from cirtlib.training.identifiers import access_key, alphanumeric, ec2_id, source, unique_id
from cirtlib.training.sessions import Session, Stay, assume_role, key_caller, refuse_role
from cirtlib.training.shapes import Book, Call, Caller, Json, Place, denied, encoded, iso, user_identity, write
from cirtlib.training.truth import Truth
from cirtlib.training.world import Role, World

ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


@dataclass(frozen=True)
class Hand:
    """A credential in the attacker's hand: who it is, what it is called in the truth, and from where it is used."""

    caller: Caller
    key: str
    principal: str
    place: Place


@dataclass
class Raid:
    """The attack in progress: what it acts on, and its clock."""

    world: World
    book: Book
    estate: Estate
    truth: Truth
    rng: random.Random
    now: dt.datetime

    def do(self, hand: Hand, call: Call, *, label: str | None = None) -> Json:
        """Make one call now, note it, and let some seconds pass; label names the record for the findings about it."""
        record = write(self.book, hand.caller, call, hand.place, self.now)
        self.note(hand, record, label=label)
        return record

    def note(self, hand: Hand, *records: Json, label: str | None = None) -> None:
        """Note what was written just now as the attacker's."""
        self.truth.act(self.now, *records, credential=hand.key, principal=hand.principal)
        if label:
            self.truth.story[label] = records[0]
        self.wait(3, 40)

    def stay(self, hand: Hand) -> Stay:
        """From where a role is asked for."""
        return Stay(hand.place, self.world.home)

    def wait(self, least: float, most: float) -> None:
        """Let some seconds pass."""
        self.now += dt.timedelta(seconds=self.rng.randint(int(least), int(most)))

    def until(self, begin: dt.datetime, share: float) -> None:
        """Go on no earlier than at a share of the attack's length."""
        hours = self.world.scenario.attack.hours * share
        self.now = max(self.now, begin + dt.timedelta(hours=hours))


def attack_begins(world: World) -> dt.datetime:
    """Time of the attacker's first call: on the day of the attack, within the hours of the office."""
    rng = source(world.seed, "attack-begins")
    hour = world.opening + 1 + rng.random() * 2.5
    return (world.start + dt.timedelta(days=world.scenario.attack.day, hours=hour)).replace(microsecond=0)


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
    session = _assume(raid, leaked, world.dev_role, name=_session_name(rng, agent, raid.now))
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
            created = _create_user(raid, role, elsewhere)
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


def _session_name(rng: random.Random, agent: str, at: dt.datetime) -> str:
    stamp = int(at.timestamp())
    if agent.startswith("aws-sdk-go"):
        return f"aws-go-sdk-{stamp}{rng.randrange(10**9):09d}"
    return rng.choice((f"botocore-session-{stamp}", "dev", "AWSCLI-Session", f"session-{alphanumeric(rng, 6)}"))


def _read(raid: Raid, hand: Hand, *keys: str, region: str | None = None) -> None:
    pool = pools(raid.world, hand.caller.account)
    for key in keys:
        raid.do(hand, read(raid.rng, key, region or raid.world.home, pool, account=hand.caller.account))


def _look(raid: Raid, hand: Hand, *keys: str, region: str | None = None) -> None:
    """Read most of the things, in any order: no two attackers look around alike."""
    _read(raid, hand, *raid.rng.sample(keys, raid.rng.randint(-(-2 * len(keys) // 3), len(keys))), region=region)


def _refused(raid: Raid, hand: Hand, call: Call, action: str, *, resource: str = "", explicit: bool = False) -> None:
    """Try something in vain: most services then leave the parameters out, EC2 does not."""
    error = denied(hand.caller, call.service, action, resource=resource, explicit=explicit)
    if call.service == "ec2" and not call.read_only:
        error = (error[0], error[1] + encoded(raid.rng))
    request = call.request if call.service in ("ec2", "s3") else None
    raid.do(hand, replace(call, request=request, response=None, error=error))


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
    _look(raid, hand, "s3:ListBuckets", "ec2:DescribeInstances", "iam:ListRoles", "ec2:DescribeRegions")
    for region in rng.sample(raid.world.regions, len(raid.world.regions)):
        _look(raid, hand, "ec2:DescribeInstances", "ec2:DescribeSecurityGroups", region=region)
    _look(raid, hand, "lambda:ListFunctions20150331", "dynamodb:ListTables", "cloudtrail:DescribeTrails")
    if not raid.world.scenario.attack.denied_attempts:
        return
    iam, user = f"arn:aws:iam::{account}", names.new_user(rng)
    _refused(raid, hand, Call("iam", "ListUsers", changes.HOME), "iam:ListUsers", resource=f"{iam}:user/")
    details = Call("iam", "GetAccountAuthorizationDetails", changes.HOME)
    _refused(raid, hand, details, "iam:GetAccountAuthorizationDetails", resource="*")
    _refused(raid, hand, Call("secretsmanager", "ListSecrets", home), "secretsmanager:ListSecrets")
    _refused(
        raid, hand, Call("ssm", "DescribeParameters", home), "ssm:DescribeParameters", resource=_any(home, account)
    )
    create = changes.create_user(account, user, "", raid.now)
    _refused(raid, hand, create, "iam:CreateUser", resource=f"{iam}:user/{user}")
    _refused(raid, hand, changes.create_access_key(name, "", raid.now), "iam:CreateAccessKey", resource=f"user {name}")
    for target in ("OrganizationAccountAccessRole", "Admin", raid.world.pipelines[0].role.name):
        record = refuse_role(raid.book, hand.caller, f"{iam}:role/{target}", raid.stay(hand), raid.now)
        raid.note(hand, record)


def _any(region: str, account: str) -> str:
    return f"arn:aws:ssm:{region}:{account}:*"


def _assume(raid: Raid, hand: Hand, role: Role, *, name: str) -> Session:
    """Assume a role; the session's key is the attacker's from then on."""
    session = assume_role(raid.book, hand.caller, role, raid.stay(hand), raid.now, name=name)
    raid.note(hand, *session.records)
    raid.truth.mark("credential", session.key or "", "attacker_created")
    return session


def _explore_with_role(raid: Raid, hand: Hand) -> None:
    _read(raid, hand, "sts:GetCallerIdentity")
    if not raid.world.scenario.attack.recon:
        return
    _look(raid, hand, "iam:ListUsers", "iam:ListRoles", "iam:ListPolicies", "iam:GetAccountAuthorizationDetails")
    _look(raid, hand, "secretsmanager:ListSecrets", "ssm:DescribeParameters", "kms:ListKeys", "rds:DescribeDBInstances")
    for region in raid.rng.sample(raid.world.regions, len(raid.world.regions)):
        _look(raid, hand, "ec2:DescribeInstances", "ec2:DescribeVolumes", "ec2:DescribeSnapshots", region=region)
    _read(raid, hand, "cloudtrail:DescribeTrails", "cloudtrail:GetTrailStatus", "guardduty:ListDetectors")


def _stop_logging(raid: Raid, hand: Hand) -> None:
    """Stop the account's own trail; deleting it is refused, and the organization's trail cannot be stopped here."""
    world = raid.world
    arn = world.trail(world.workload)
    name = raid.rng.choice((arn, world.trails[world.workload]))
    if world.scenario.attack.denied_attempts:
        delete = Call("cloudtrail", "DeleteTrail", world.home, {"name": name}, read_only=False)
        _refused(raid, hand, delete, "cloudtrail:DeleteTrail", resource=arn, explicit=True)
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
    _read(raid, hand, "cloudtrail:GetTrailStatus")


def _create_user(raid: Raid, hand: Hand, place: Place) -> Hand:
    """Make a user with a key and everything allowed; the key is used from elsewhere."""
    account, rng, home = raid.world.workload, raid.rng, changes.HOME
    taken = {user.name for user in raid.world.key_users + raid.world.console_users}
    name = next(word for word in (names.new_user(rng) for _ in range(99)) if word not in taken)
    user_id, key, arn = unique_id(rng, "AIDA"), access_key(rng, "AKIA"), f"arn:aws:iam::{account}:user/{name}"
    raid.do(hand, changes.create_user(account, name, user_id, raid.now), label="create_user")
    raid.truth.mark("principal", arn, "attacker_created")
    raid.estate.add(raid.now, account, "users", new_user_state(arn))
    raid.do(hand, changes.attach_user_policy(name, ADMINISTRATOR), label="attach_policy")
    raid.estate.alter(raid.now, account, "users", name, attached=[ADMINISTRATOR])
    raid.do(hand, changes.create_access_key(name, key, raid.now), label="create_key")
    raid.truth.mark("credential", key, "attacker_created")
    raid.estate.alter(raid.now, account, "users", name, keys=[{"AccessKeyId": key, "Status": "Active"}])
    raid.do(hand, Call("iam", "ListAccessKeys", home, {"userName": name}))
    return Hand(Caller(user_identity(arn, user_id, key), account), key, arn, place)


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
    _read(raid, hand, "ec2:DescribeSnapshots", region=machine.region)
    raid.do(hand, changes.share_snapshot(snapshot, machine.region, foreign), label="share")
    raid.estate.alter(raid.now, world.workload, "snapshots", snapshot, shared_with=[foreign])
    raid.truth.external.append(foreign)


def _explore_with_user(raid: Raid, hand: Hand) -> None:
    _read(raid, hand, "sts:GetCallerIdentity", "iam:ListUsers", "organizations:DescribeOrganization")
    _read(raid, hand, "ec2:DescribeRegions", "servicequotas:ListServiceQuotas")
    _read(raid, hand, "servicequotas:ListServiceQuotas", "ec2:DescribeInstances", region=raid.world.unused)


def _run_instances(raid: Raid, hand: Hand) -> None:
    """Start large instances where nobody looks."""
    world, rng, region = raid.world, raid.rng, raid.world.unused
    _read(raid, hand, "ec2:DescribeInstanceTypes", "ec2:DescribeVpcs", region=region)
    image, kind = ec2_id(rng, "ami"), rng.choice(("g5.8xlarge", "c6i.16xlarge", "p3.2xlarge"))
    instances = tuple(ec2_id(rng, "i") for _ in range(rng.randint(2, 3)))
    launch = changes.Launch(region, world.workload, image, kind, instances)
    call = changes.run_instances(rng, launch, raid.now)
    if world.scenario.attack.denied_attempts:
        limit = (
            "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket."
        )
        refused = replace(call, response=None, error=("Client.VcpuLimitExceeded", limit))
        raid.do(hand, replace(refused, request=(call.request or {}) | {"instanceType": "p4d.24xlarge"}))
        call = changes.run_instances(rng, launch, raid.now)
    raid.do(hand, call, label="instances")
    for instance in instances:
        raid.truth.mark("resource", f"arn:aws:ec2:{region}:{world.workload}:instance/{instance}", "attacker_created")
        raid.estate.add(raid.now, world.workload, "instances", instance_state(instance, region, image, kind))
    raid.truth.story["instance_ids"] = {"ids": list(instances), "image": image, "kind": kind, "region": region}
    _read(raid, hand, "ec2:DescribeInstances", region=region)


def _second_account(raid: Raid, hand: Hand) -> None:
    """Go through a role of the data account and read what lies there."""
    world, rng = raid.world, raid.rng
    if world.scenario.attack.denied_attempts:
        target = f"arn:aws:iam::{world.management}:role/OrganizationAccountAccessRole"
        raid.note(hand, refuse_role(raid.book, hand.caller, target, raid.stay(hand), raid.now))
    session = _assume(raid, hand, world.bridge, name=_session_name(rng, hand.place.agent, raid.now))
    raid.truth.story["second"] = session.records[0]
    there = Hand(session.caller(), session.key or "", world.bridge.arn, hand.place)
    _read(raid, there, "sts:GetCallerIdentity", "s3:ListBuckets", "dynamodb:ListTables", "secretsmanager:ListSecrets")
    pool = pools(world, world.data)
    for secret in rng.sample(pool["secret"], 2):
        raid.do(there, changes.get_secret(secret, world.home), label="secret")
    _look(raid, there, "glue:GetDatabases", "glue:GetTables", "s3:GetBucketPolicy", "dynamodb:DescribeTable")
    if world.scenario.attack.denied_attempts:
        users = Call("iam", "ListUsers", changes.HOME)
        _refused(raid, there, users, "iam:ListUsers", resource=f"arn:aws:iam::{world.data}:user/")
        user = names.new_user(rng)
        create = changes.create_user(world.data, user, "", raid.now)
        _refused(raid, there, create, "iam:CreateUser", resource=f"arn:aws:iam::{world.data}:user/{user}")
    raid.truth.story["end"] = {"at": iso(raid.now)}
