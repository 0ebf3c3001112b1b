"""The attack on the exposed instance: its credentials, taken through the metadata service, used from outside."""

import datetime as dt

from cirtlib.training import changes, names
from cirtlib.training.calls import get_object, list_objects, read
from cirtlib.training.estate import Estate, data_bucket
from cirtlib.training.identifiers import access_key, ec2_id, source
from cirtlib.training.raid import (
    MINERS,
    Hand,
    Raid,
    attack_begins,
    create_user,
    look,
    read_calls,
    refused,
    start_instances,
)
from cirtlib.training.sessions import machine_session, refuse_role
from cirtlib.training.shapes import Book, Call, Caller, Json, Place, user_identity, write
from cirtlib.training.truth import Truth
from cirtlib.training.world import Machine, World

# How long an instance's credentials last, and how close to their end nobody begins anything with them.
_LIFETIME, _MARGIN = dt.timedelta(hours=6), dt.timedelta(minutes=25)


def intrude(world: World, book: Book, estate: Estate, truth: Truth) -> None:
    """Make the whole attack: passwords tried on the open port, then everything the role may do."""
    rng, begin = source(world.seed, "attack"), attack_begins(world)
    raid, steps = Raid(world, book, estate, truth, rng, begin), world.scenario.attack
    place = Place(world.network.attacker, names.attacker_agent(rng))
    _brute_force(raid)
    truth.leads.append(world.exposed.arn)  # that somebody was inside it, no record of CloudTrail shows
    hand = _stolen(raid, place)
    home, account = world.home, world.workload
    raid.do(hand, read(rng, "sts:GetCallerIdentity", home, {}, account=account), label="first")
    if steps.recon:
        _explore(raid, hand)
    wanted = {"bucket": steps.read_data, "instances": steps.run_instances, "persist": steps.persist}
    kept: Hand | None = None
    for share, step in zip((0.25, 0.45, 0.65), rng.sample(sorted(wanted), 3), strict=True):
        raid.until(begin, share)
        if not wanted[step]:
            continue
        hand = _stolen(raid, place)
        if step == "bucket":
            _read_data(raid, hand)
        elif step == "instances":
            _mine(raid, hand)
        else:
            kept = _persist(raid, hand, Place(world.network.second, names.attacker_agent(rng)))
    _note_theft(raid)
    if kept:
        raid.until(begin, 0.9)
        read_calls(raid, kept, "sts:GetCallerIdentity")
        look(raid, kept, "s3:ListBuckets", "ec2:DescribeInstances", "lambda:ListFunctions20150331")


def _note_theft(raid: Raid) -> None:
    """Note what GuardDuty sees of the theft: the calls with the instance's credentials from elsewhere."""
    ends, attacked = f":{raid.world.exposed.id}", {event for event, _ in raid.truth.events}
    used = [
        (at, record["eventID"], record)
        for at, _, _, record in raid.book.records
        if record["eventID"] in attacked and record["userIdentity"]["principalId"].endswith(ends)
    ]
    newest = max(item for item in used if "errorCode" not in item[2])[2]
    raid.truth.story["theft"] = {"first": min(used)[0], "newest": newest, "count": len(used)}


def _brute_force(raid: Raid) -> None:
    """Note when and from where passwords were tried; no record of CloudTrail tells of it."""
    rng, network = raid.rng, raid.world.network
    last = raid.now - dt.timedelta(minutes=rng.randint(6, 50))
    first = last - dt.timedelta(minutes=rng.randint(15, 180))
    address = rng.choice((network.attacker, network.second))
    raid.truth.story["brute_force"] = {"first": first, "last": last, "address": address, "count": rng.randint(9, 60)}


def _stolen(raid: Raid, place: Place) -> Hand:
    """Give what the metadata service hands out now: the credentials with which the instance itself works.

    Whoever is in the instance reads the renewed ones when the old end; until then they wait.
    """
    machine = raid.world.exposed
    identity = _in_force(raid, machine)
    created = dt.datetime.fromisoformat(identity["sessionContext"]["attributes"]["creationDate"])
    if raid.now > created + _LIFETIME - _MARGIN:
        raid.now = created + _LIFETIME + dt.timedelta(minutes=1)
        identity = _in_force(raid, machine)
    return Hand(Caller(identity, machine.role.account), identity["accessKeyId"], machine.role.arn, place)


def _in_force(raid: Raid, machine: Machine) -> Json:
    """Identity with which the instance made its last call before now."""
    ends = f":{machine.id}"
    own = [
        (at, record["eventID"], record["userIdentity"])
        for at, _, _, record in raid.book.records
        if at <= raid.now and str(record["userIdentity"].get("principalId", "")).endswith(ends)
    ]
    identity = max(own, key=lambda item: item[:2])[2]
    return {name: value for name, value in identity.items() if name != "invokedBy"}


def _explore(raid: Raid, hand: Hand) -> None:
    """Look around: what the role may do, what there is."""
    world, role = raid.world, raid.world.exposed.role
    for call in ("ListAttachedRolePolicies", "ListRolePolicies"):
        raid.do(hand, Call("iam", call, changes.HOME, {"roleName": role.name}))
    look(raid, hand, "iam:ListUsers", "iam:ListRoles", "ec2:DescribeRegions", "ec2:DescribeVpcs", "ec2:DescribeImages")
    for region in raid.rng.sample(world.regions, 2):
        look(raid, hand, "ec2:DescribeInstances", "ec2:DescribeSecurityGroups", "ec2:DescribeKeyPairs", region=region)
    if not world.scenario.attack.denied_attempts:
        return
    iam = f"arn:aws:iam::{world.workload}"
    refused(raid, hand, Call("secretsmanager", "ListSecrets", world.home), "secretsmanager:ListSecrets")
    profile = Call("iam", "CreateLoginProfile", changes.HOME, {"userName": world.key_users[0].name}, read_only=False)
    refused(raid, hand, profile, "iam:CreateLoginProfile", resource=f"{iam}:user/{world.key_users[0].name}")
    attach = changes.attach_role_policy(role.name, "arn:aws:iam::aws:policy/AdministratorAccess")
    refused(raid, hand, attach, "iam:AttachRolePolicy", resource=f"role {role.name}")
    record = refuse_role(raid.book, hand.caller, f"{iam}:role/OrganizationAccountAccessRole", raid.stay(hand), raid.now)
    raid.note(hand, record)


def _read_data(raid: Raid, hand: Hand) -> None:
    """List the buckets and copy objects out of the one with the exports."""
    world, rng = raid.world, raid.rng
    bucket, account = data_bucket(world), world.workload
    read_calls(raid, hand, "s3:ListBuckets")
    for _ in range(rng.randint(1, 3)):
        raid.do(hand, list_objects(rng, bucket, world.home, account=account), label="list_objects")
    for key in names.objects(rng, rng.randint(12, 40)):
        call = get_object(rng, bucket, key, world.home, account=account)
        record = write(raid.book, hand.caller, call, hand.place, raid.now)
        raid.truth.act(raid.now, record, credential=hand.key, principal=hand.principal)
        raid.wait(0, 4)


def _mine(raid: Raid, hand: Hand) -> None:
    """Start large instances with a key pair, by seed with a security group and the role of the exposed instance."""
    world, rng = raid.world, raid.rng
    region, account = rng.choice((world.unused, world.unused, world.home)), world.workload
    look(raid, hand, "ec2:DescribeInstanceTypes", "ec2:DescribeVpcs", "ec2:DescribeSubnets", region=region)
    name, pair = rng.choice(("default-key", "ops", "srv-key", "k1")), ec2_id(rng, "key")
    imported, grouped, profiled = rng.random() < 0.5, rng.random() < 0.5, rng.random() < 0.4
    raid.do(hand, changes.add_key_pair(rng, region, name, pair, imported=imported))
    raid.truth.mark("resource", f"arn:aws:ec2:{region}:{account}:key-pair/{pair}", "attacker_created")
    group = _group(raid, hand, region) if grouped else None
    role = world.exposed.role
    profile = f"arn:aws:iam::{account}:instance-profile/{role.name}" if profiled else None
    image, kind = ec2_id(rng, "ami"), rng.choice(MINERS)
    instances = tuple(ec2_id(rng, "i") for _ in range(rng.randint(2, 4)))
    start_instances(raid, hand, changes.Launch(region, account, image, kind, instances, name, group, profile))
    if profile:
        miner = Machine(instances[0], role, region, "172.31.7.9", None, image, kind, "", group or "", "2.0")
        _miner_reports(raid, miner)


def _group(raid: Raid, hand: Hand, region: str) -> str:
    """Make a security group and open it."""
    group = ec2_id(raid.rng, "sg")
    arn = f"arn:aws:ec2:{region}:{raid.world.workload}:security-group/{group}"
    raid.do(hand, changes.create_group(raid.rng, region, raid.rng.choice(("default-2", "launch-wizard-9")), group))
    raid.truth.mark("resource", arn, "attacker_created")
    raid.do(hand, changes.authorize_ingress(raid.rng, arn, 22, why=""))
    return group


def _miner_reports(raid: Raid, miner: Machine) -> None:
    """Let the agent on one of the attacker's instances report, with the credentials of the role it was given."""
    at = raid.now + dt.timedelta(minutes=raid.rng.randint(2, 5))
    session, place = machine_session(raid.book, miner, at, agent="aws-sdk-go/1.55.5 (go1.23.10; linux; amd64)")
    place = Place(f"{raid.world.network.second.rsplit('.', 1)[0]}.{raid.rng.randrange(241, 254)}", place.agent)
    own = Hand(session.caller(), session.key or "", miner.role.arn, place)
    request = {"instanceId": miner.id, "agentStatus": "Active", "platformType": "Linux", "iPAddress": miner.address}
    call = Call("ssm", "UpdateInstanceInformation", miner.region, request, read_only=False)
    then = at + dt.timedelta(seconds=20)
    raid.truth.act(then, write(raid.book, own.caller, call, place, then), credential=own.key, principal=own.principal)


def _persist(raid: Raid, hand: Hand, elsewhere: Place) -> Hand | None:
    """Stay: a key for a user that exists, or a user of the attacker's own; what was made is used from elsewhere."""
    if raid.rng.random() < 0.4:
        return create_user(raid, hand, elsewhere)
    user, key = raid.world.key_users[3], access_key(raid.rng, "AKIA")
    raid.do(hand, Call("iam", "ListAccessKeys", changes.HOME, {"userName": user.name}))
    raid.do(hand, changes.create_access_key(user.name, key, raid.now), label="create_key")
    raid.truth.mark("credential", key, "attacker_created")
    raid.truth.mark("principal", user.arn, "changed")
    keys = [{"AccessKeyId": name, "Status": "Active"} for name in (user.key, key)]
    raid.estate.alter(raid.now, user.account, "users", user.name, keys=keys)
    return Hand(Caller(user_identity(user.arn, user.id, key), user.account), key, user.arn, elsewhere)
