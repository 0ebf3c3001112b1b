"""What the story needs of ordinary people: the roles' making, and the innocents close to the attack."""

import copy
import datetime as dt

from cirtlib.training import changes, names
from cirtlib.training.estate import new_user_state, role_state
from cirtlib.training.identifiers import access_key, unique_id
from cirtlib.training.life import Life, reading, seat
from cirtlib.training.people import DEVELOPER, browse, console_visit, developer_burst, role_visit
from cirtlib.training.raid import attack_begins
from cirtlib.training.scenario import LEAKED_KEY, OPEN_PORT, PHISHED
from cirtlib.training.sessions import build_session, key_caller, shell_session
from cirtlib.training.shapes import Caller, Json, Place, write
from cirtlib.training.site import site
from cirtlib.training.truth import Truth
from cirtlib.training.world import Person, Role, World, allow


def make_roles(life: Life, truth: Truth) -> None:
    """Let an administrator make the developers' role and the door, and later change the door's trust."""
    world, own = life.world, life.of("make-roles")
    admins = [item for item in world.people if "Administrator" in item.role.name]
    person = next(item for item in admins if item.role.account == world.workload)
    place = Place(world.network.office[0], person.shell or names.shell(own.rng))
    opening = world.start + dt.timedelta(hours=world.opening)
    for role, day in ((world.door, 0), (world.dev_role, 1)):
        at = opening + dt.timedelta(days=day, seconds=own.rng.randrange(2 * 3600))
        caller = shell_session(life.book, person, place, at, management=world.management).caller()
        _make_role(life, caller, place, role, at=at + dt.timedelta(seconds=20))
    wider = copy.deepcopy(world.door.trust)
    principal = {"AWS": f"arn:aws:iam::{world.management}:root"}
    wider["Statement"].append({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})
    at = opening + dt.timedelta(days=2, seconds=own.rng.randrange(2 * 3600))
    caller = shell_session(life.book, person, place, at, management=world.management).caller()
    at += dt.timedelta(seconds=30)
    write(life.book, caller, changes.update_trust(world.door.name, wider), place, at)
    life.estate.alter(at, world.door.account, "roles", world.door.name, trust=wider)
    truth.trust_before[world.door.arn] = wider


def open_ports(life: Life, truth: Truth) -> None:
    """Let somebody open a port of two instances to the world, days before the attack."""
    world, own = life.world, life.of("open-ports")
    people = [item for item in world.people if item.role.account == world.workload and item.shell]
    working = [opening for number, opening, busy in life.days() if busy and number < world.scenario.attack.day - 1]
    twins = (world.exposed, world.twin) if world.scenario.decoys.exposed_twin else (world.exposed,)
    for machine in twins:
        person = own.rng.choice(people)
        place = Place(world.network.office[0], person.shell or "")
        at = own.work(own.rng.choice(working), 1)[0]
        session = shell_session(life.book, person, place, at, management=world.management)
        call = changes.authorize_ingress(
            own.rng, machine.group_arn, site(world, machine).port, why=names.opening(own.rng)
        )
        at += dt.timedelta(seconds=own.rng.randint(20, 90))
        record = write(life.book, session.caller(), call, place, at)
        life.estate.alter(
            at, world.workload, "groups", machine.group, ingress=record["requestParameters"]["ipPermissions"]["items"]
        )
        truth.story[f"opened {machine.group}"] = {"at": at}
        name = "opener" if machine is world.exposed else "exposed_twin"
        truth.innocents[name] = {
            "principal": person.role.arn,
            "session": session.caller().identity["arn"],
            "event": record["eventID"],
            "group": machine.group_arn,
        } | ({"instance": machine.arn} if machine is world.twin else {})


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
    own, decoys = life.of("innocents"), life.world.scenario.decoys
    begin = attack_begins(life.world)
    length = dt.timedelta(hours=life.world.scenario.attack.hours)

    def during(share: float) -> dt.datetime:
        return begin + length * share + dt.timedelta(seconds=own.rng.randrange(120))

    if life.world.scenario.way_in == OPEN_PORT:
        open_ports(life, truth)
    if decoys.legitimate_role_session:
        _colleague(own, truth, at=during(0.3))
    if decoys.owner_at_work and life.world.scenario.way_in == PHISHED:
        _victim(own, truth, moments=[during(share) for share in (0.1, 0.6)])
    elif decoys.owner_at_work:
        _owner(own, truth, moments=[during(share) for share in (0.12, 0.4, 0.75)])
    if decoys.automation:
        _automation(own, truth, moments=[_earlier(own), during(0.5)])
    if decoys.shared_address:
        _neighbours(own, truth, moments=[during(share) for share in (0.2, 0.35, 0.55)])


def _earlier(life: Life) -> dt.datetime:
    """Draw a working hour of an earlier working day."""
    last = life.world.scenario.attack.day
    return life.work(life.rng.choice([day for number, day, working in life.days() if working and number < last]), 1)[0]


def _colleague(life: Life, truth: Truth, *, at: dt.datetime) -> None:
    """Another developer works through the same role, with a session of their own."""
    user = life.world.key_users[1]
    place = Place(life.rng.choice(life.world.network.office), user.agent)
    session = role_visit(life, user, place, at=at)
    truth.innocents["legit_role_session"] = {
        "principal": life.world.dev_role.arn,
        "key": session.key,
        "session": session.caller().identity["arn"],
        "user": user.arn,
        "user_key": user.key,
        "address": place.address,
    }


def _owner(life: Life, truth: Truth, *, moments: list[dt.datetime]) -> None:
    """The owner of the leaked key uses it from the office, as on every day before."""
    user = life.world.key_users[0]
    place = Place(life.rng.choice(life.world.network.office), user.agent)
    for at in moments:
        developer_burst(life, user, place, at=at)
    truth.innocents["owner"] = {"user": user.arn, "key": user.key, "address": place.address}


def _victim(life: Life, truth: Truth, *, moments: list[dt.datetime]) -> None:
    """Whose session was phished works in the console on the same day: from the office, in the browser of every day."""
    victim, office = life.world.victim, life.rng.choice(life.world.network.office)
    known = len(life.book.records)
    for at in moments:
        if isinstance(victim, Person):
            browse(life, victim, Place(office, victim.browser), at=at)
        else:
            console_visit(life, victim, Place(office, victim.agent), at=at)
    own = [[record["eventID"], account] for _, account, _, record in life.book.records[known:]]
    truth.innocents["owner"] = {"address": office, "events": own}


def note_owner(life: Life, truth: Truth) -> None:
    """Collect what its owner did with a credential that the attacker holds, between the attacker's first and last call.

    The owner of a long-term key works in the office, an instance from its own address. A phished console session has
    no other holder; the acts behind a false alarm were noted when they were made.
    """
    if life.world.scenario.way_in not in (LEAKED_KEY, OPEN_PORT):
        return
    world, attacked = life.world, set(truth.events)
    theirs = (world.network.attacker, world.network.second)
    if world.scenario.way_in == LEAKED_KEY:
        keys: set[str | None] = {world.key_users[0].key}
    else:
        keys = {value for kind, value in truth.marks if kind == "credential" and value.startswith("ASIA")}
    first, last = min(truth.times), max(truth.times)
    for at, account, _, record in life.book.records:
        used = record["userIdentity"].get("accessKeyId") in keys and (record["eventID"], account) not in attacked
        if used and record["sourceIPAddress"] not in theirs and first <= at <= last:
            truth.owner.append((record["eventID"], account))


def _automation(life: Life, truth: Truth, *, moments: list[dt.datetime]) -> None:
    """Infrastructure as code makes a user with a key: once in ordinary times, once during the attack."""
    pipeline = life.world.pipelines[0]
    for number, at in enumerate(moments):
        session, place = build_session(life.book, pipeline, at, run=2000 + number, region=life.world.home)
        caller = session.caller()
        reading(life, seat(caller, place), ["sts:GetCallerIdentity", "iam:ListPolicies"], at=at)
        name = names.automated_user(life.rng) + ("-eu" if number else "-us")
        made, record = _make_user(life, caller, place, name, at=at + dt.timedelta(seconds=70))
        truth.story["automation"] = record
        truth.innocents["automation"] = {
            "role": pipeline.role.arn,
            "session_key": session.key,
            **made,
            "address": place.address,
        }


def _make_user(life: Life, caller: Caller, place: Place, name: str, *, at: dt.datetime) -> tuple[dict[str, str], Json]:
    account, second = caller.account, dt.timedelta(seconds=1)
    arn, key = f"arn:aws:iam::{account}:user/{name}", access_key(life.rng, "AKIA")
    policy = allow("ses:SendRawEmail", "s3:PutObject")
    create = changes.create_user(account, name, unique_id(life.rng, "AIDA"), at, tags={"managed-by": "terraform"})
    record = write(life.book, caller, create, place, at)
    life.estate.add(at, account, "users", new_user_state(arn))
    write(life.book, caller, changes.put_user_policy(name, "task", policy), place, at + second)
    life.estate.alter(at + second, account, "users", name, inline={"task": policy})
    write(life.book, caller, changes.create_access_key(name, key, at + 2 * second), place, at + 2 * second)
    keys = [{"AccessKeyId": key, "Status": "Active"}]
    life.estate.alter(at + 2 * second, account, "users", name, keys=keys)
    return {"user": arn, "key": key}, record


def _neighbours(life: Life, truth: Truth, *, moments: list[dt.datetime]) -> None:
    """Ordinary principals go out through the same address as the attacker, in the days before and during the attack."""
    world, address = life.world, life.world.network.attacker
    days = [opening for number, opening, working in life.days() if working and number < world.scenario.attack.day]
    person, visitor, developer = _outsider(world), world.console_users[-1], world.key_users[-1]
    arns = [person.role.arn, visitor.arn, developer.arn]
    # Identity Center records one sign-in under three names, so that one person looks like a shared address: come last.
    order = (1, 2, 0) if world.scenario.way_in == PHISHED else (0, 1, 2)
    chosen = order[: world.scenario.decoys.shared_address]
    principals = [arns[index] for index in chosen]
    for index in chosen:
        earlier = [life.work(opening, 1)[0] for opening in life.rng.sample(days, min(4, len(days)))]
        for at in (*earlier, moments[index]):
            if index == 0:
                browse(life, person, Place(address, person.browser), at=at)
            elif index == 1:
                console_visit(life, visitor, Place(address, visitor.agent), at=at)
            else:
                desk = seat(key_caller(developer), Place(address, developer.agent))
                reading(life, desk, life.rng.sample(DEVELOPER, 5), at=at)
    truth.innocents["shared_address"] = address
    truth.innocents["shared_address_principals"] = principals


def _outsider(world: World) -> Person:
    """Choose who of the Identity Center people shares the address: somebody with nothing to do with the attack."""
    plain = ("ReadOnly", "PowerUser")
    return next(item for item in reversed(world.people) if any(word in item.role.name for word in plain))
