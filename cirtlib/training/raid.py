"""What every attack is made of: credentials in hand, a clock, and steps that write records and truth at once."""

import datetime as dt
import random
from dataclasses import dataclass, replace

from cirtlib.training import changes, names
from cirtlib.training.calls import pools, read
from cirtlib.training.estate import Estate, instance_state, new_user_state
from cirtlib.training.identifiers import access_key, alphanumeric, source, unique_id
from cirtlib.training.sessions import Session, Stay, assume_role
from cirtlib.training.shapes import Book, Call, Caller, Json, Place, denied, encoded, user_identity, write
from cirtlib.training.truth import Truth
from cirtlib.training.world import Role, World

# Instance types that miners like: many cores, or a graphics card.
MINERS = ("g5.8xlarge", "c6i.16xlarge", "p3.2xlarge")
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


def session_name(rng: random.Random, agent: str, at: dt.datetime) -> str:
    """Draw the name that a tool gives a session when nobody gives it one."""
    stamp = int(at.timestamp())
    if agent.startswith("aws-sdk-go"):
        return f"aws-go-sdk-{stamp}{rng.randrange(10**9):09d}"
    return rng.choice((f"botocore-session-{stamp}", "dev", "AWSCLI-Session", f"session-{alphanumeric(rng, 6)}"))


def read_calls(raid: Raid, hand: Hand, *keys: str, region: str | None = None) -> None:
    """Make reading calls of the catalogue."""
    pool = pools(raid.world, hand.caller.account)
    for key in keys:
        raid.do(hand, read(raid.rng, key, region or raid.world.home, pool, account=hand.caller.account))


def look(raid: Raid, hand: Hand, *keys: str, region: str | None = None) -> None:
    """Read most of the things, in any order: no two attackers look around alike."""
    read_calls(raid, hand, *raid.rng.sample(keys, raid.rng.randint(-(-2 * len(keys) // 3), len(keys))), region=region)


def refused(raid: Raid, hand: Hand, call: Call, action: str, *, resource: str = "", explicit: bool = False) -> None:
    """Try something in vain: most services then leave the parameters out, EC2 does not."""
    error = denied(hand.caller, call.service, action, resource=resource, explicit=explicit)
    if call.service == "ec2" and not call.read_only:
        error = (error[0], error[1] + encoded(raid.rng))
    request = call.request if call.service in ("ec2", "s3") else None
    raid.do(hand, replace(call, request=request, response=None, error=error))


def assume(raid: Raid, hand: Hand, role: Role, *, name: str) -> Session:
    """Assume a role for as long as the scenario says; the session's key is the attacker's from then on."""
    seconds = min(raid.world.scenario.attack.session_hours * 3600, role.longest)
    session = assume_role(raid.book, hand.caller, role, raid.stay(hand), raid.now, name=name, seconds=seconds)
    raid.note(hand, *session.records)
    raid.truth.mark("credential", session.key or "", "attacker_created")
    return session


def create_user(raid: Raid, hand: Hand, place: Place) -> Hand:
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


def start_instances(raid: Raid, hand: Hand, launch: changes.Launch) -> Json:
    """Start instances, after a larger type was refused; returns the record."""
    call = changes.run_instances(raid.rng, launch, raid.now)
    if raid.world.scenario.attack.denied_attempts:
        limit = (
            "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket."
        )
        vain = replace(call, response=None, error=("Client.VcpuLimitExceeded", limit))
        raid.do(hand, replace(vain, request=(call.request or {}) | {"instanceType": "p4d.24xlarge"}))
        call = changes.run_instances(raid.rng, launch, raid.now)
    record = raid.do(hand, call, label="instances")
    region, account = launch.region, launch.account
    for instance in launch.instances:
        raid.truth.mark("resource", f"arn:aws:ec2:{region}:{account}:instance/{instance}", "attacker_created")
        raid.estate.add(raid.now, account, "instances", instance_state(instance, region, launch.image, launch.kind))
    made = {"ids": list(launch.instances), "image": launch.image, "kind": launch.kind, "region": region}
    raid.truth.story["instance_ids"] = made
    read_calls(raid, hand, "ec2:DescribeInstances", region=region)
    return record
