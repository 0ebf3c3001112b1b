"""Alarming acts that are somebody's duty: maintenance of a trail, an announced test, a backup, an exercise.

Each cause leaves what an analyst can tell it by: the same principal, network and program on earlier days, a ticket in
the session's name or a tag, an entry in the change calendar, and somebody who confirms it.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cirtlib.training import changes, names
from cirtlib.training.calls import PAGES
from cirtlib.training.estate import Estate, new_user_state, user_state
from cirtlib.training.identifiers import access_key, source, unique_id
from cirtlib.training.life import Life, Seat, begin_life, reading, seat
from cirtlib.training.raid import attack_begins
from cirtlib.training.sessions import build_session, key_caller, shell_session, sign_in, user_console
from cirtlib.training.shapes import Book, Call, Caller, Json, Place, denied, write
from cirtlib.training.truth import Truth
from cirtlib.training.world import Person, User, World

ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
AUDITOR = "arn:aws:iam::aws:policy/SecurityAudit"


@dataclass(frozen=True)
class Cause:
    """What was behind the alarm: the record it is about, all records of the act, and how it is announced."""

    record: Json
    acts: tuple[Json, ...]
    ticket: str
    text: str
    owner: Person


def raise_falsely(world: World, book: Book, estate: Estate, truth: Truth) -> None:
    """Write the acts behind the alarm, and those of the days before that explain it; note both in the truth."""
    life = begin_life(world, book, estate).of("false-alarm")
    name = source(world.seed, "cause").choice(world.scenario.steps[0])
    cause = _CAUSES[name](life)
    record, identity = cause.record, cause.record["userIdentity"]
    issuer = identity.get("sessionContext", {}).get("sessionIssuer", {})
    truth.story["alarm"] = record
    truth.story["announced"] = {"ticket": cause.ticket, "text": cause.text, "owner": cause.owner}
    truth.owner += sorted({(one["eventID"], one["recipientAccountId"]) for one in cause.acts})
    truth.alarm = {
        "cause": name,
        "event": record["eventID"],
        "at": record["eventTime"],
        "principal": issuer.get("arn", identity["arn"]),
        "credential": _credential(identity, record),
        "address": record["sourceIPAddress"],
        "user_agent": record["userAgent"],
        "ticket": cause.ticket,
        "explained_by": _earlier(book, record),
        "confirmed_by": {"name": cause.owner.name, "email": cause.owner.email, "says": cause.text},
    }


def _credential(identity: Json, record: Json) -> str:
    """The access key, or for a console session whose it is and when it began."""
    if record.get("sessionCredentialFromConsole") == "true":
        return f"{identity['principalId']}/{identity['sessionContext']['attributes']['creationDate']}"
    return str(identity["accessKeyId"])


def _earlier(book: Book, alarm: Json) -> list[list[str]]:
    """Find what explains the alarm: the principal's records of earlier days, from the same address and program."""
    family, who = alarm["userAgent"].split("/", 1)[0], _principal(alarm)
    found = [
        [record["eventID"], record["recipientAccountId"]]
        for _, _, _, record in sorted(book.records, key=lambda item: (item[0], item[3]["eventID"]))
        if record["eventTime"][:10] < alarm["eventTime"][:10]
        and record["sourceIPAddress"] == alarm["sourceIPAddress"]
        and _principal(record) == who
        and record["userAgent"].split("/", 1)[0] == family
    ]
    return found[:50]


def _principal(record: Json) -> str:
    identity = record["userIdentity"]
    issuer = identity.get("sessionContext", {}).get("sessionIssuer", {})
    return str(issuer.get("arn") or identity.get("arn") or "")


def _ticket(life: Life) -> str:
    return f"CHG{life.rng.randrange(30000, 60000):07d}"


def _administrator(life: Life) -> Person:
    """Choose who answers for the account."""
    return next(
        one for one in life.world.people if "Administrator" in one.role.name and one.role.account == life.world.workload
    )


def _trail_maintenance(life: Life) -> Cause:
    """A deployment stops the account's trail, changes it and starts it again: a planned change."""
    world, pipeline, ticket = life.world, life.world.pipelines[0], _ticket(life)
    at, known = attack_begins(world), len(life.book.records)
    session, place = build_session(life.book, pipeline, at, run=0, region=world.home, name=ticket)
    caller, arn, account = session.caller(), world.trail(world.workload), world.workload
    desk = seat(caller, place, pace=(1, 4))
    reading(life, desk, ["sts:GetCallerIdentity", "cloudtrail:DescribeTrails", "s3:GetBucketPolicy"], at=at + _s(3))
    reading(life, desk, life.some(("iam:GetRole", "kms:ListAliases", "ec2:DescribeVpcs"), 3, 9), at=at + _s(16))
    at += _s(life.rng.randint(70, 120))
    name = life.rng.choice((arn, world.trails[account]))
    stopped = write(life.book, caller, changes.stop_logging(name, world.home), place, at)
    life.estate.alter(at, account, "trails", world.trails[account], IsLogging=False)
    update = changes.validate_files(arn, world.buckets[account][0], world.home)
    write(life.book, caller, update, place, at + _s(life.rng.randint(4, 20)))
    at += _s(life.rng.randint(60, 400))
    write(life.book, caller, changes.start_logging(name, world.home), place, at)
    life.estate.alter(at, account, "trails", world.trails[account], IsLogging=True)
    reading(life, desk, ["cloudtrail:GetTrailStatus"], at=at + _s(5))
    text = f"{pipeline.project}: digest files for the trail of account {account}; logging pauses for some minutes."
    return Cause(stopped, _since(life, known), ticket, text, _administrator(life))


def _penetration_test(life: Life) -> Cause:
    """Testers whom the organization invited look around with a user made for them, from an announced address."""
    world, ticket, person = life.world, _ticket(life), _administrator(life)
    name = life.rng.choice(("ext-assessment", "pentest-readonly", "security-review"))
    user = _testers(life, person, name, ticket)
    place, caller = Place(world.network.attacker, user.agent), key_caller(user)
    for number, opening, working in life.days():
        if working and 2 < number < world.scenario.attack.day:
            _test_day(life, user, place, life.work(opening, 1)[0])
    at, today = attack_begins(world), len(life.book.records)
    first = reading(life, seat(caller, place), ["sts:GetCallerIdentity"], at=at)[0]
    _test_day(life, user, place, at + _s(30))
    text = f"Announced security test by an outside company, user {name}, from {place.address} only; reading calls."
    return Cause(first, _since(life, today), ticket, text, person)


def _testers(life: Life, person: Person, name: str, ticket: str) -> User:
    """Let an administrator make the testers' user, on the third day."""
    world, account = life.world, life.world.workload
    key = access_key(life.rng, "AKIA")
    agent = names.shell(life.rng, system="os/linux#6.12.38+kali-cloud-amd64 md/arch#x86_64")
    user = User(account, name, unique_id(life.rng, "AIDA"), key, agent, "", attached=(AUDITOR,))
    place = Place(world.network.office[0], person.shell or "")
    at = world.start + dt.timedelta(days=2, hours=world.opening, minutes=life.rng.randrange(60))
    caller = shell_session(life.book, person, place, at, management=world.management).caller()
    create = changes.create_user(account, name, user.id, at + _s(9), tags={"ticket": ticket, "owner": person.email})
    write(life.book, caller, create, place, at + _s(9))
    life.estate.add(at + _s(9), account, "users", new_user_state(user.arn))
    write(life.book, caller, changes.attach_user_policy(name, AUDITOR), place, at + _s(20))
    life.estate.alter(at + _s(20), account, "users", name, attached=[AUDITOR])
    write(life.book, caller, changes.create_access_key(name, key, at + _s(31)), place, at + _s(31))
    keys = [{"AccessKeyId": key, "Status": "Active"}]
    life.estate.alter(at + _s(31), account, "users", name, keys=keys)
    return user


def _test_day(life: Life, user: User, place: Place, at: dt.datetime) -> None:
    """Enumerate, and try what a tester tries; all of that is refused."""
    world, caller = life.world, key_caller(user)
    keys = ["iam:GetAccountSummary", "iam:ListUsers", "iam:ListRoles", "iam:GetAccountAuthorizationDetails"]
    keys += ["s3:ListBuckets", "s3:GetBucketPolicy", "ec2:DescribeSecurityGroups", "lambda:ListFunctions20150331"]
    for region in life.rng.sample(world.regions, 2):
        reading(life, seat(caller, place, pace=(1, 6), region=region), life.some(keys, 8, 20), at=at)
        at += _s(400)
    for service, name, action in (
        ("iam", "CreateUser", "iam:CreateUser"),
        ("secretsmanager", "GetSecretValue", "secretsmanager:GetSecretValue"),
        ("cloudtrail", "StopLogging", "cloudtrail:StopLogging"),
    ):
        region = changes.HOME if service == "iam" else world.home
        error = denied(caller, service, action, resource="*")
        write(life.book, caller, Call(service, name, region, read_only=name.startswith("Get"), error=error), place, at)
        at += _s(life.rng.randint(5, 40))


def _backup_share(life: Life) -> Cause:
    """The nightly backup shares its snapshots with the organization's own account for backups."""
    world, function, ticket = life.world, life.world.functions[0], _ticket(life)
    vault, made = world.data, []
    name = f":{function.name}"
    for at, account, region, record in list(life.book.records):
        if record["eventName"] == "CreateSnapshot" and record["userIdentity"].get("principalId", "").endswith(name):
            snapshot = record["responseElements"]["snapshotId"]
            place = Place(record["sourceIPAddress"], record["userAgent"], record.get("vpcEndpointId"))
            caller, then = Caller(record["userIdentity"], account), at + _s(life.rng.randint(40, 60))
            made.append((then, write(life.book, caller, changes.share_snapshot(snapshot, region, vault), place, then)))
            life.estate.alter(then, account, "snapshots", snapshot, shared_with=[vault])
    day = world.start + dt.timedelta(days=world.scenario.attack.day)
    tonight = [record for at, record in made if day <= at < day + dt.timedelta(days=1)]
    text = f"Nightly: {function.name} shares its snapshots with account {vault}, the organization's copy elsewhere."
    key = tonight[0]["userIdentity"]["accessKeyId"]
    whole = [record for _, _, _, record in life.book.records if record["userIdentity"].get("accessKeyId") == key]
    return Cause(tonight[0], tuple(whole), ticket, text, _administrator(life))


def _break_glass(life: Life) -> Cause:
    """The user for emergencies is tried, as a week before: sign in, make a user and delete it again."""
    world, ticket, account = life.world, _ticket(life), life.world.workload
    agent = names.browser(life.rng)
    user = User(account, "break-glass", unique_id(life.rng, "AIDA"), None, agent, "", attached=(ADMINISTRATOR,))
    life.estate.accounts[account]["users"].append(user_state(user))
    place, begin, records = Place(world.network.office[0], agent), attack_begins(world), []
    for at in (begin - dt.timedelta(days=7, minutes=life.rng.randrange(50)), begin):
        known = len(life.book.records)
        context = sign_in(life.book, user, place, at, region=world.home)
        desk = Seat(partial(user_console, life.book, user, context), place, (0, 1))
        reading(life, desk, [*PAGES["home"], *PAGES["iam"], *PAGES["iam-user"]], at=at + _s(20))
        drill = f"drill-{at:%Y%m%d}"
        then = at + _s(life.rng.randint(120, 300))
        create = changes.create_user(account, drill, unique_id(life.rng, "AIDA"), then, tags={"ticket": ticket})
        made = write(life.book, desk.caller(), create, place, then)
        life.estate.add(then, account, "users", new_user_state(f"arn:aws:iam::{account}:user/{drill}"))
        then += _s(life.rng.randint(30, 200))
        write(life.book, desk.caller(), changes.delete_user(drill), place, then)
        life.estate.drop(then, account, "users", drill)
        records = list(_since(life, known))
    text = f"Exercise: sign in as {user.name} from the office, make a user and delete it. Last time a week ago."
    return Cause(made, tuple(records), ticket, text, _administrator(life))


def _since(life: Life, known: int) -> tuple[Json, ...]:
    """The records written since there were so many."""
    return tuple(record for _, _, _, record in life.book.records[known:])


def _s(seconds: int) -> dt.timedelta:
    return dt.timedelta(seconds=seconds)


_CAUSES: dict[str, Callable[[Life], Cause]] = {
    "trail_maintenance": _trail_maintenance,
    "penetration_test": _penetration_test,
    "backup_share": _backup_share,
    "break_glass": _break_glass,
}
