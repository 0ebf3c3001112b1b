"""A credential in an attacker's hand, what is true of an attack as it goes on, and sessions that are come by."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field

from cirtlib.training.identifiers import alphanumeric
from cirtlib.training.incidents.world import REGION, Duty, Person, World
from cirtlib.training.shapes import (
    Book,
    Call,
    Caller,
    Json,
    Place,
    assumed,
    attributes,
    credentials,
    iso,
    role_resource,
    user_identity,
)

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/147.0.0.0 Safari/537.36"


@dataclass(frozen=True)
class Hand:
    """A credential in the attacker's hand: its node id, who it is, and what makes each call's caller."""

    node: str
    principal: str
    account: str
    make: Callable[[], Caller]
    place: Place
    user: Person | None = None
    role: Duty | None = None
    session: str = ""

    @property
    def console(self) -> bool:
        """Whether it is a session of the console."""
        return self.node.startswith("console:")


@dataclass
class Raid:
    """The attack as it goes on, and what is true of it."""

    world: World
    book: Book
    now: dt.datetime
    marks: dict[str, set[str]] = field(default_factory=dict)
    edges: set[tuple[str, str, str]] = field(default_factory=set)
    events: list[tuple[str, str, str]] = field(default_factory=list)  # event id, account, credential
    owner: list[tuple[str, str]] = field(default_factory=list)
    leads: set[str] = field(default_factory=set)
    stolen: set[str] = field(default_factory=set)  # long-term keys, which their owners go on using
    stolen_sessions: set[str] = field(default_factory=set)
    kinds: list[str] = field(default_factory=list)

    def wait(self, least: int = 20, most: int = 240) -> dt.datetime:
        """Let some seconds pass."""
        self.now += dt.timedelta(seconds=self.world.rng.randint(least, most))
        return self.now

    def mark(self, node: str, status: str) -> None:
        """Note that a node belongs to the extent."""
        self.marks.setdefault(node, set()).add(status)

    def note(self, hand: Hand, *records: Json) -> None:
        """Note records as the attacker's, and with which credential they were made."""
        self.mark(hand.node, "compromised")
        self.mark(f"principal:{hand.principal}", "compromised")
        self.events += [(record["eventID"], record["recipientAccountId"], hand.node) for record in records]

    def do(self, hand: Hand, call: Call) -> Json:
        """Make a call with what is in the hand."""
        record = self.world.say(hand.make(), call, hand.place, self.wait())
        self.note(hand, record)
        return record

    def effect(self, hand: Hand, status: str, node: str) -> None:
        """Note what the last call created or changed."""
        self.mark(node, "attacker_created" if status == "created" else "changed")
        self.edges.add((hand.node, node, status))

    def minted(self, hand: Hand, node: str) -> None:
        """Note what the last call issued."""
        self.mark(node, "attacker_created")
        self.edges.add((hand.node, node, "minted"))


def by_key(key: str, caller: Caller, place: Place, principal: str, **more: object) -> Hand:
    """A hand that holds an access key."""
    return Hand(f"access_key:{key}", principal, caller.account, lambda: caller, place, **more)  # type: ignore[arg-type]


def in_role(raid: Raid, role: Duty, key: str, name: str, *, at: dt.datetime, place: Place | None = None) -> Hand:
    """A hand that holds a role session's key."""
    caller = role.caller(key, name, at)
    return by_key(key, caller, place or raid.world.thief, role.arn, role=role, session=name)


def signed_in(raid: Raid, person: Person, place: Place) -> Hand:
    """Sign in to the console with a user's password, without MFA."""
    at = raid.wait()
    hand = console_session(raid, person, place, at)
    extra = {"LoginTo": "https://console.aws.amazon.com/console/home", "MobileVersion": "No", "MFAUsed": "No"}
    call = Call(
        "signin", "ConsoleLogin", REGION, None, {"ConsoleLogin": "Success"}, read_only=False,
        more={"additionalEventData": extra, "eventType": "AwsConsoleSignIn"},
    )  # fmt: skip
    caller = Caller(user_identity(person.arn, person.id, None), person.account)
    raid.note(hand, raid.world.say(caller, call, place, at))
    return hand


def console_session(raid: Raid, owner: Person | Duty, place: Place, at: dt.datetime, *, name: str = "") -> Hand:
    """A console session of a user, or of a role under a name; it uses a new key for each request."""
    user, role = (owner, None) if isinstance(owner, Person) else (None, owner)

    def make() -> Caller:
        key = raid.world.key()
        if user:
            return Caller(user_identity(user.arn, user.id, key, session=attributes(at)), user.account, console=True)
        assert role is not None
        return Caller(role.caller(key, name, at).identity, role.account, console=True)

    node = f"console:{owner.id if user else f'{owner.id}:{name}'}/{iso(at)}"
    return Hand(node, owner.arn, owner.account, make, place, user=user, role=role, session=name)


def federated(raid: Raid, provider: str, name: str, account: str) -> Hand:
    """Take on a role through an identity provider (AssumeRoleWithSAML or AssumeRoleWithWebIdentity)."""
    role = raid.world.duty(f"federated-{alphanumeric(raid.world.rng, 4)}", account, taken_by=provider)
    at, who = raid.wait(), "someone@example.com"
    answer: Json = {"credentials": credentials(raid.world.rng, at), "assumedRoleUser": assumed(role.arn, role.id, who)}
    request: Json = {"roleArn": role.arn, "roleSessionName": who}
    if name.endswith("SAML"):
        request["principalArn"] = provider
        identity = {"type": "SAMLUser", "principalId": f"Qk3v=:{who}", "userName": who, "identityProvider": provider}
    else:
        answer["provider"] = provider
        identity = {"type": "WebIdentityUser", "principalId": f"{provider}:sts.amazonaws.com:{who}", "userName": who}
        identity["identityProvider"] = provider
    call = Call("sts", name, REGION, request, answer, more={"resources": role_resource(role.arn)})
    record = raid.world.say(Caller(identity, account), call, raid.world.thief, at)
    key = answer["credentials"]["accessKeyId"]
    outside = f"principal:{identity['principalId']}"
    raid.events.append((record["eventID"], record["recipientAccountId"], outside))
    raid.mark(outside, "compromised")
    raid.mark(f"access_key:{key}", "attacker_created")
    raid.edges.add((outside, f"access_key:{key}", "minted"))
    return in_role(raid, role, key, who, at=at)
