"""The attack with a phished console session: ways to stay, through another user, and what is worth reading on the way.

Nothing raises an alarm: an employee tells of an address. Each building block of the scenario's `steps` is a function.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from cirtlib.training import changes, names
from cirtlib.training.calls import PAGES, get_object, list_objects, pools, read
from cirtlib.training.estate import Estate, data_bucket
from cirtlib.training.identifiers import access_key, guid, hexadecimal, source
from cirtlib.training.raid import ADMINISTRATOR, Hand, Raid, attack_begins, look, read_calls, refused
from cirtlib.training.sessions import portal_session, sign_in, user_console
from cirtlib.training.shapes import Book, Call, Caller, Json, Place, iso, user_identity
from cirtlib.training.truth import Truth
from cirtlib.training.world import Person, User, World


@dataclass(frozen=True)
class Console:
    """A console session in the attacker's hands: `caller` gives the caller of one request, with a key of its own."""

    caller: Callable[[], Caller]
    credential: str
    principal: str
    place: Place

    def hand(self) -> Hand:
        """The session as it makes one request."""
        return Hand(self.caller(), self.credential, self.principal, self.place)


@dataclass
class Phish:
    """What the steps share: the attack, the phished session, and the user through whom the attacker stays."""

    raid: Raid
    console: Console
    target: User
    elsewhere: Place
    keys: list[str] = field(default_factory=list)


def phish(world: World, book: Book, estate: Estate, truth: Truth) -> None:
    """Make the whole attack, step by step as the scenario says."""
    rng, begin = source(world.seed, "attack"), attack_begins(world)
    raid = Raid(world, book, estate, truth, rng, begin)
    place = Place(world.network.attacker, names.browser(rng))
    chosen = [rng.choice(group) for group in world.scenario.steps]
    console = _victims_session(raid, place)
    target = rng.choice(world.key_users[2:])
    own = Phish(raid, console, target, Place(world.network.second, names.attacker_agent(rng)), [target.key or ""])
    truth.story["phished"] = {"at": begin, "victim": world.victim, "address": place.address, "steps": chosen}
    for number, step in enumerate(chosen[1:], start=1):
        raid.until(begin, number / len(chosen))
        _STEPS[step](own)


def _victims_session(raid: Raid, place: Place) -> Console:
    """Sign in as the victim, from the attacker's address; where there is MFA, the victim has just been asked for it."""
    world, book, victim, at = raid.world, raid.book, raid.world.victim, raid.now
    known = len(book.records)
    if isinstance(victim, Person):
        session = portal_session(book, victim, place, at, management=world.management)
        console = Console(
            lambda: session.console(book),
            f"{session.role.id}:{session.name}/{iso(session.created)}",
            victim.role.arn,
            place,
        )
    else:
        context = sign_in(book, victim, place, at, region=world.home, slips=False)
        created = context["attributes"]["creationDate"]
        console = Console(lambda: user_console(book, victim, context), f"{victim.id}/{created}", victim.arn, place)
    for when, _, _, record in book.records[known:]:
        own = _portal_name(record) or console.principal
        raid.truth.act(when, record, credential=console.credential, principal=own)
        if minted := (record["responseElements"] or {}).get("credentials"):
            raid.truth.mark("credential", minted["accessKeyId"], "attacker_created")
        raid.now = max(raid.now, when)
    raid.wait(5, 40)
    return console


def _portal_name(record: Json) -> str:
    """Who acts in the two records before the role's own: the user of Identity Center, and the same one to SAML."""
    identity = record["userIdentity"]
    if identity["type"] == "SAMLUser":
        return str(identity["principalId"])
    return str(identity.get("onBehalfOf", {}).get("userId", ""))


def _pages(raid: Raid, console: Console, *pages: str) -> None:
    """Open pages of the console; each asks for several things at once."""
    for page in pages:
        for key in PAGES[page]:
            hand = console.hand()
            account = hand.caller.account
            raid.do(hand, read(raid.rng, key, raid.world.home, pools(raid.world, account), account=account))
        raid.wait(10, 120)


def _look_around(own: Phish) -> None:
    """See who else there is and what lies there."""
    pages = ("iam", "iam-user", "s3", "secrets", "ec2", "billing", "iam-role")
    _pages(own.raid, own.console, "home", *own.raid.rng.sample(pages, own.raid.rng.randint(3, 5)))


def _give_password(own: Phish) -> None:
    """Give another user, who never needed one, a password for the console."""
    raid, user = own.raid, own.target
    _pages(raid, own.console, "iam-user")
    raid.do(own.console.hand(), changes.create_login_profile(user.name, raid.now), label="password")
    raid.truth.mark("credential", user.arn, "attacker_created")
    raid.truth.mark("principal", user.arn, "changed")
    raid.estate.alter(raid.now, user.account, "users", user.name, login_profile=True)


def _give_key(own: Phish) -> None:
    """Give the user a second key."""
    raid, user, key = own.raid, own.target, access_key(own.raid.rng, "AKIA")
    raid.do(own.console.hand(), Call("iam", "ListAccessKeys", changes.HOME, {"userName": user.name}))
    raid.do(own.console.hand(), changes.create_access_key(user.name, key, raid.now), label="create_key")
    raid.truth.mark("credential", key, "attacker_created")
    raid.truth.mark("principal", user.arn, "changed")
    own.keys.append(key)
    keys = [{"AccessKeyId": name, "Status": "Active"} for name in own.keys]
    raid.estate.alter(raid.now, user.account, "users", user.name, keys=keys)


def _raise_rights(own: Phish) -> None:
    """Let the user do everything."""
    raid, user = own.raid, own.target
    raid.do(own.console.hand(), changes.attach_user_policy(user.name, ADMINISTRATOR), label="attach_policy")
    raid.truth.mark("principal", user.arn, "changed")
    raid.estate.alter(raid.now, user.account, "users", user.name, attached=[*user.attached, ADMINISTRATOR])


def _read_mail(own: Phish) -> None:
    """Have a mailbox of WorkMail exported to a bucket, and fetch the archive from there."""
    raid, rng, world = own.raid, own.raid.rng, own.raid.world
    organization, job, bucket = f"m-{hexadecimal(rng, 32)}", guid(rng), data_bucket(world)
    mailbox = _workmail_id(world.people[-1])
    for call in (
        Call("workmail", "ListOrganizations", world.home, {"maxResults": 100}),
        Call("workmail", "ListUsers", world.home, {"organizationId": organization, "maxResults": 100}),
        Call("workmail", "ListMailboxExportJobs", world.home, {"organizationId": organization}),
    ):
        raid.do(own.console.hand(), call)
    request = {
        "organizationId": organization,
        "entityId": mailbox,
        "clientToken": guid(rng),
        "roleArn": f"arn:aws:iam::{world.workload}:role/service-role/WorkMailMailboxExport",
        "kmsKeyArn": f"arn:aws:kms:{world.home}:{world.workload}:key/{world.keys[world.workload][0]}",
        "s3BucketName": bucket,
        "s3Prefix": "exports/mail",
    }
    start = Call("workmail", "StartMailboxExportJob", world.home, request, {"jobId": job}, read_only=False)
    raid.do(own.console.hand(), start, label="mail")
    raid.wait(240, 900)
    ask = {"organizationId": organization, "jobId": job}
    raid.do(own.console.hand(), Call("workmail", "DescribeMailboxExportJob", world.home, ask))
    _fetch(own, bucket, [f"exports/mail/{job}/{mailbox}.zip"])


def _workmail_id(person: Person) -> str:
    """Identifier of somebody's mailbox."""
    return person.user_id[-36:]


def _read_objects(own: Phish) -> None:
    """Download objects of the bucket of exports through the console."""
    rng = own.raid.rng
    _pages(own.raid, own.console, "s3", "s3-bucket")
    _fetch(own, data_bucket(own.raid.world), names.objects(rng, rng.randint(6, 20)))


def _fetch(own: Phish, bucket: str, keys: list[str]) -> None:
    raid, world = own.raid, own.raid.world
    raid.do(own.console.hand(), list_objects(raid.rng, bucket, world.home, account=world.workload))
    for key in keys:
        call = get_object(raid.rng, bucket, key, world.home, account=world.workload)
        raid.do(own.console.hand(), call, label="read")


def _read_secrets(own: Phish) -> None:
    """Look at secrets in the console, which shows them on demand."""
    raid, world = own.raid, own.raid.world
    _pages(raid, own.console, "secrets")
    for secret in raid.rng.sample(pools(world, world.workload)["secret"], 2):
        raid.do(own.console.hand(), changes.get_secret(secret, world.home), label="read")


def _use_password(own: Phish) -> None:
    """Sign in as the other user from a second network, and find out that this user may do little."""
    raid, user = own.raid, own.target
    place, known = replace(own.elsewhere, agent=names.browser(raid.rng)), len(raid.book.records)
    context = sign_in(raid.book, replace(user, mfa=False), place, raid.now, region=raid.world.home, slips=False)
    credential = f"{user.id}/{context['attributes']['creationDate']}"
    for when, _, _, record in raid.book.records[known:]:
        raid.truth.act(when, record, credential=credential, principal=user.arn)
        raid.now = max(raid.now, when)
    raid.truth.mark("credential", credential, "attacker_created")
    raid.wait(5, 20)
    console = Console(lambda: user_console(raid.book, user, context), credential, user.arn, place)
    _pages(raid, console, "ec2", "logs")
    users = Call("iam", "GetAccountSummary", changes.HOME)
    refused(raid, console.hand(), users, "iam:GetAccountSummary", resource="*")


def _use_key(own: Phish) -> None:
    """Use the new key from the second network, on a command line or in a program."""
    raid, user, key = own.raid, own.target, own.keys[-1]
    caller = Caller(user_identity(user.arn, user.id, key), user.account)
    hand = Hand(caller, key, user.arn, own.elsewhere)
    read_calls(raid, hand, "sts:GetCallerIdentity")
    look(raid, hand, "s3:ListBuckets", "ec2:DescribeInstances", "dynamodb:ListTables", "lambda:ListFunctions20150331")
    refused(raid, hand, Call("secretsmanager", "ListSecrets", raid.world.home), "secretsmanager:ListSecrets")


_STEPS: dict[str, Callable[[Phish], None]] = {
    "look_around": _look_around,
    "give_password": _give_password,
    "give_key": _give_key,
    "raise_rights": _raise_rights,
    "read_mail": _read_mail,
    "read_objects": _read_objects,
    "read_secrets": _read_secrets,
    "use_password": _use_password,
    "use_key": _use_key,
}
