"""Who lives in a random incident: accounts, people, roles and machines, and what they did in the days before."""

import datetime as dt
import random
from dataclasses import dataclass, field
from typing import Any

from cirtlib.training import names
from cirtlib.training.identifiers import access_key, ec2_id, guid, unique_id
from cirtlib.training.scenario import DOCUMENTATION_ACCOUNTS
from cirtlib.training.shapes import (
    Book,
    Call,
    Caller,
    Json,
    Place,
    assumed,
    attributes,
    credentials,
    role_identity,
    role_resource,
    service_caller,
    service_place,
    user_identity,
    write,
)

START = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
BASELINE_DAYS = 9
REGION = "us-east-1"
OFFICE, THIEF, SECOND, CAFE = "198.51.100.7", "203.0.113.66", "192.0.2.9", "198.51.100.200"


@dataclass(frozen=True)
class Person:
    """An IAM user with a long-term key."""

    name: str
    account: str
    id: str
    key: str

    @property
    def arn(self) -> str:
        """The user's ARN."""
        return f"arn:aws:iam::{self.account}:user/{self.name}"

    def caller(self, key: str | None = None) -> Caller:
        """The user with the long-term key, or with another."""
        return Caller(user_identity(self.arn, self.id, key or self.key), self.account)


@dataclass(frozen=True)
class Duty:
    """A role, and the id under which its sessions go."""

    name: str
    account: str
    id: str
    path: str = "/"
    taken_by: str = ""  # a service, an identity provider, or people of all accounts

    @property
    def trust(self) -> Json:
        """The role's trust policy."""
        how, who = "sts:AssumeRole", {"AWS": f"arn:aws:iam::{self.account}:root"}
        if self.taken_by.endswith(".amazonaws.com"):
            who = {"Service": self.taken_by}
        elif self.taken_by:
            how = "sts:AssumeRoleWithSAML" if ":saml-provider/" in self.taken_by else "sts:AssumeRoleWithWebIdentity"
            who = {"Federated": self.taken_by}
        return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": who, "Action": how}]}

    @property
    def arn(self) -> str:
        """The role's ARN, path included."""
        return f"arn:aws:iam::{self.account}:role{self.path}{self.name}"

    def caller(self, key: str | None, name: str, at: dt.datetime, **more: str) -> Caller:
        """A session of the role: its key, its name and when it was created."""
        context = attributes(at) | more
        return Caller(role_identity(self.arn, self.id, name, key=key, context=context), self.account)


@dataclass
class World:
    """The organization of one incident, with its book of records.

    `before` is what stood in the accounts when the attack began: account -> kind -> things, see emulate.py.
    """

    rng: random.Random
    book: Book
    accounts: tuple[str, ...]
    people: list[Person] = field(default_factory=list)
    roles: list[Duty] = field(default_factory=list)
    servers: list[tuple[str, Duty]] = field(default_factory=list)
    before: dict[str, dict[str, list[Json]]] = field(default_factory=dict)
    agent: str = "aws-cli/2.17.0 md/awscrt#1.0.0"
    thief: Place = field(default_factory=lambda: Place(THIEF, "python-requests/2.32.3"))

    @property
    def office(self) -> Place:
        """Where the people work: one address for all of them."""
        return Place(OFFICE, self.agent)

    def id(self, prefix: str) -> str:
        """A new unique id of IAM."""
        return unique_id(self.rng, prefix)

    def key(self, prefix: str = "ASIA") -> str:
        """A new access key id."""
        return access_key(self.rng, prefix)

    def duty(self, name: str, account: str, path: str = "/", *, taken_by: str = "", new: bool = False) -> Duty:
        """A role that was there before the attack, unless it is `new`."""
        role = Duty(name, account, self.id("AROA"), path, taken_by)
        if not new:
            self.had(account, "roles", RoleName=name, Path=path, RoleId=role.id, trust=role.trust)
        return role

    def had(self, account: str, kind: str, **thing: Any) -> None:  # noqa: ANN401 - any JSON value
        """Note what stood in an account when the attack began."""
        self.before.setdefault(account, {}).setdefault(kind, []).append(thing)

    def say(self, caller: Caller, call: Call, place: Place, at: dt.datetime) -> Json:
        """Write one record."""
        return write(self.book, caller, call, place, at)


def found(rng: random.Random) -> World:
    """Make a world of 1 to 4 accounts, and let it live for the days before the attack."""
    accounts = tuple(rng.sample(DOCUMENTATION_ACCOUNTS, rng.randint(1, 4)))
    world = World(rng, Book(rng), accounts)
    crew = [name.login for name in names.crew(rng, rng.randint(4, 7))]
    for index, name in enumerate(crew):
        account = accounts[index % len(accounts)] if index > 2 else accounts[0]
        person = Person(name, account, world.id("AIDA"), world.key("AKIA"))
        world.people.append(person)
        keys = [{"AccessKeyId": person.key, "Status": "Active"}]
        world.had(account, "users", UserName=name, UserId=person.id, keys=keys)
    for account in accounts:
        for name in rng.sample(["deploy", "audit", "data", "ops", "build", "reader"], 3):
            path = rng.choice(["/", "/team/"])
            world.roles.append(world.duty(f"{name}-{account[:3]}", account, path))
        role = world.duty(f"server-{account[:3]}", account, taken_by="ec2.amazonaws.com")
        world.servers.append((ec2_id(rng, "i"), role))
        world.had(account, "instances", InstanceId=world.servers[-1][0], Role=role.name)
    for index, role in enumerate(world.roles):  # each is seen at least once, so that its whole ARN is
        person = world.people[index % len(world.people)]
        at_work(world, person, role, START + dt.timedelta(hours=7, minutes=index))
    for day in range(BASELINE_DAYS):
        _day(world, START + dt.timedelta(days=day, hours=8))
    return world


def _day(world: World, morning: dt.datetime) -> None:
    """One day at work: people with their keys and in roles, servers with theirs."""
    rng = world.rng
    for index, person in enumerate(world.people):
        at = morning + dt.timedelta(minutes=7 * index + rng.randint(0, 5))
        for number in range(rng.randint(1, 3)):
            world.say(person.caller(), reading(rng), world.office, at + dt.timedelta(minutes=number))
        if index % 2 == 0:
            role = world.roles[index % len(world.roles)]
            caller = at_work(world, person, role, at + dt.timedelta(minutes=4))
            world.say(caller, reading(rng), world.office, at + dt.timedelta(minutes=5))
    for instance, role in world.servers:
        caller, place = server(world, instance, role, morning)
        for hour in range(2):
            world.say(caller, reading(rng), place, morning + dt.timedelta(hours=hour, minutes=1))


def at_work(world: World, person: Person, role: Duty, at: dt.datetime, *, place: Place | None = None) -> Caller:
    """Let a person take on a role from the office; who the session is."""
    return take_on(world, person.caller(), role, place or world.office, at, name=person.name)[0]


def take_on(
    world: World, caller: Caller, role: Duty, place: Place, at: dt.datetime, *, name: str
) -> tuple[Caller, list[Json]]:
    """Assume a role, in its account too; the session, and the records."""
    answer = {"credentials": credentials(world.rng, at), "assumedRoleUser": assumed(role.arn, role.id, name)}
    request = {"roleArn": role.arn, "roleSessionName": name, "durationSeconds": 3600}
    more: Json = {"resources": role_resource(role.arn)}
    if caller.account != role.account:
        more |= {"sharedEventID": guid(world.rng)}
    call = Call("sts", "AssumeRole", REGION, request, answer, more=more)
    records = [world.say(caller, call, place, at)]
    if caller.account != role.account:
        other = {"type": "AWSAccount", "principalId": caller.identity["principalId"], "accountId": caller.account}
        records.append(world.say(Caller(other, role.account), call, place, at))
    return role.caller(answer["credentials"]["accessKeyId"], name, at), records


def minted_by(world: World, service: str, role: Duty, at: dt.datetime, *, name: str) -> str:
    """Let a service assume a role for what it runs; the key."""
    answer = {"credentials": credentials(world.rng, at, seconds=21600)}
    request = {"roleArn": role.arn, "roleSessionName": name}
    more = {"resources": role_resource(role.arn), "sharedEventID": guid(world.rng)}
    call = Call("sts", "AssumeRole", REGION, request, answer, more=more)
    world.say(service_caller(service, role.account), call, service_place(service), at)
    return str(answer["credentials"]["accessKeyId"])


def server(world: World, instance: str, role: Duty, at: dt.datetime) -> tuple[Caller, Place]:
    """The role session of an instance, and from where it is used."""
    key = minted_by(world, "ec2", role, at, name=instance)
    caller = role.caller(key, instance, at, ec2RoleDelivery="1.0")
    return caller, Place("10.0.3.7", "Boto3/1.34.0 md/Botocore#1.34.0", "vpce-0123456789abcdef0")


def reading(rng: random.Random) -> Call:
    """Some harmless call."""
    service, name = rng.choice(
        [("s3", "ListBuckets"), ("ec2", "DescribeInstances"), ("iam", "ListUsers"), ("kms", "ListKeys")]
    )
    return Call(service, name, REGION)
