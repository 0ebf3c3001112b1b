"""What the story needs of ordinary people: the roles' making, and the innocents close to the attack."""

import copy
import datetime as dt
import random

from cirtlib.training import changes, names
from cirtlib.training.attack import attack_begins
from cirtlib.training.estate import role_state
from cirtlib.training.identifiers import access_key, source, unique_id
from cirtlib.training.life import Life, reading, work
from cirtlib.training.people import DEVELOPER, browse, console_visit, developer_burst, role_visit
from cirtlib.training.sessions import build_session, key_caller, shell_session
from cirtlib.training.shapes import Caller, Place, write
from cirtlib.training.truth import Truth
from cirtlib.training.world import Person, Role, World, allow


def make_roles(life: Life, truth: Truth) -> None:
    """Let an administrator make the developers' role and the door, and later change the door's trust."""
    world, rng = life.world, source(life.world.seed, "make-roles")
    person = next(
        item for item in world.people if "Administrator" in item.role.name and item.role.account == world.workload
    )
    place = Place(world.network.office[0], person.shell or names.shell(rng))
    opening = world.start + dt.timedelta(hours=world.opening)
    for role, day in ((world.dev_role, 1), (world.door, 0)):
        at = opening + dt.timedelta(days=day, seconds=rng.randrange(2 * 3600))
        caller = shell_session(life.book, person, place, at, management=world.management).caller()
        _make_role(life, caller, place, role, at=at + dt.timedelta(seconds=20))
    wider = copy.deepcopy(world.door.trust)
    principal = {"AWS": f"arn:aws:iam::{world.management}:root"}
    wider["Statement"].append({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})
    at = opening + dt.timedelta(days=2, seconds=rng.randrange(2 * 3600))
    caller = shell_session(life.book, person, place, at, management=world.management).caller()
    at += dt.timedelta(seconds=30)
    write(life.book, caller, changes.update_trust(world.door.name, wider), place, at)
    life.estate.alter(at, world.door.account, "roles", world.door.name, trust=wider)
    truth.trust_before[world.door.arn] = wider


def _make_role(life: Life, caller: Caller, place: Place, role: Role, *, at: dt.datetime) -> None:
    description = "Day-to-day work of the developers" if role is life.world.dev_role else "Scheduled reports"
    write(life.book, caller, changes.create_role(role, at, description=description), place, at)
    life.estate.add(at, role.account, "roles", role_state(role))
    for policy in role.attached:
        at += dt.timedelta(seconds=4)
        write(life.book, caller, changes.attach_role_policy(role.name, policy), place, at)
    for name, policy in role.inline.items():
        at += dt.timedelta(seconds=5)
        write(life.book, caller, changes.put_role_policy(role.name, name, policy), place, at)


def innocents(life: Life, truth: Truth) -> None:
    """Write the innocents' acts during the attack, and note who they are."""
    rng, decoys = source(life.world.seed, "innocents"), life.world.scenario.decoys
    begin = attack_begins(life.world)
    length = dt.timedelta(hours=life.world.scenario.attack.hours)

    def during(share: float) -> dt.datetime:
        return begin + length * share + dt.timedelta(seconds=rng.randrange(120))

    if decoys.legitimate_role_session:
        _colleague(life, rng, truth, at=during(0.3))
    if decoys.owner_at_work:
        _owner(life, rng, truth, moments=[during(share) for share in (0.12, 0.4, 0.75)])
    if decoys.automation:
        _automation(life, rng, truth, moments=[_earlier(life, rng), during(0.5)])
    if decoys.shared_address:
        _neighbours(life, rng, truth, moments=[during(share) for share in (0.2, 0.35, 0.55)])


def _earlier(life: Life, rng: random.Random) -> dt.datetime:
    """Draw a working hour of an earlier working day."""
    days = [
        opening for number, opening, working in life.days() if working and 1 < number < life.world.scenario.attack.day
    ]
    return work(rng, rng.choice(days), 1)[0]


def _colleague(life: Life, rng: random.Random, truth: Truth, *, at: dt.datetime) -> None:
    """Another developer works through the same role, with a session of their own."""
    user = life.world.key_users[1]
    place = Place(rng.choice(life.world.network.office), user.agent)
    session = role_visit(life, rng, user, place, at=at)
    truth.innocents["legit_role_session"] = {
        "principal": life.world.dev_role.arn,
        "key": session.key,
        "session": session.caller().identity["arn"],
        "user": user.arn,
        "user_key": user.key,
        "address": place.address,
    }


def _owner(life: Life, rng: random.Random, truth: Truth, *, moments: list[dt.datetime]) -> None:
    """The owner of the leaked key uses it from the office, as on every day before."""
    user = life.world.key_users[0]
    place = Place(rng.choice(life.world.network.office), user.agent)
    for at in moments:
        developer_burst(life, rng, user, place, at=at)
    truth.innocents["owner"] = {"user": user.arn, "key": user.key, "address": place.address}


def note_owner(life: Life, truth: Truth) -> None:
    """Collect what the owner did with the leaked key between the attacker's first and last call."""
    key, office = life.world.key_users[0].key, life.world.network.office
    first, last = min(truth.times), max(truth.times)
    for at, account, _, record in life.book.records:
        used = record["userIdentity"].get("accessKeyId") == key
        if used and record["sourceIPAddress"] in office and first <= at <= last:
            truth.owner.append((record["eventID"], account))


def _automation(life: Life, rng: random.Random, truth: Truth, *, moments: list[dt.datetime]) -> None:
    """Infrastructure as code makes a user with a key: once in ordinary times, once during the attack."""
    pipeline, account = life.world.pipelines[0], life.world.workload
    for number, at in enumerate(moments):
        session, place = build_session(life.book, pipeline, at, run=2000 + number, region=life.world.home)
        caller = session.caller()
        name = names.automated_user(rng) + ("-eu" if number else "-us")
        arn, key = f"arn:aws:iam::{account}:user/{name}", access_key(rng, "AKIA")
        policy = allow("ses:SendRawEmail", "s3:PutObject")
        reading(life, rng, lambda c=caller: c, place, keys=["sts:GetCallerIdentity", "iam:ListPolicies"], at=at)  # type: ignore[misc]
        at += dt.timedelta(seconds=70)
        call = changes.create_user(account, name, unique_id(rng, "AIDA"), at, tags={"managed-by": "terraform"})
        truth.story["automation"] = write(life.book, caller, call, place, at)
        state = {
            "UserName": name,
            "Arn": arn,
            "Path": "/",
            "keys": [],
            "attached": [],
            "inline": {},
            "login_profile": False,
        }
        life.estate.add(at, account, "users", state)
        at += dt.timedelta(seconds=2)
        write(life.book, caller, changes.put_user_policy(name, "task", policy), place, at)
        life.estate.alter(at, account, "users", name, inline={"task": policy})
        at += dt.timedelta(seconds=1)
        write(life.book, caller, changes.create_access_key(name, key, at), place, at)
        life.estate.alter(at, account, "users", name, keys=[{"AccessKeyId": key, "Status": "Active"}])
        truth.innocents["automation"] = {
            "role": pipeline.role.arn,
            "session_key": session.key,
            "user": arn,
            "key": key,
            "address": place.address,
        }


def _neighbours(life: Life, rng: random.Random, truth: Truth, *, moments: list[dt.datetime]) -> None:
    """Ordinary principals go out through the same address as the attacker, in the days before and during the attack."""
    world, address = life.world, life.world.network.attacker
    count = world.scenario.decoys.shared_address
    days = [opening for number, opening, working in life.days() if working and number < world.scenario.attack.day]
    person, visitor, developer = _person(world), world.console_users[-1], world.key_users[-1]
    principals = [person.role.arn, visitor.arn, developer.arn][:count]
    for index in range(count):
        earlier = [work(rng, opening, 1)[0] for opening in rng.sample(days, min(4, len(days)))]
        for at in (*earlier, moments[index]):
            if index == 0:
                browse(life, rng, person, Place(address, person.browser), at=at)
            elif index == 1:
                console_visit(life, rng, visitor, Place(address, visitor.agent), at=at)
            else:
                place, caller = Place(address, developer.agent), key_caller(developer)
                keys = rng.sample(DEVELOPER, 5)
                reading(life, rng, lambda c=caller: c, place, keys=keys, at=at)  # type: ignore[misc]
    truth.innocents["shared_address"] = address
    truth.innocents["shared_address_principals"] = principals


def _person(world: World) -> Person:
    """Choose who of the Identity Center people shares the address: somebody with nothing to do with the attack."""
    return next(
        item for item in reversed(world.people) if "ReadOnly" in item.role.name or "PowerUser" in item.role.name
    )
