"""People at work: through Identity Center, as IAM users in the console, as developers with long-term keys."""

import datetime as dt
import random
from dataclasses import replace

from cirtlib.training import changes
from cirtlib.training.calls import PAGES
from cirtlib.training.identifiers import access_key, source
from cirtlib.training.life import Life, reading, some, work, workplace
from cirtlib.training.sessions import (
    Session,
    assume_role,
    key_caller,
    portal_session,
    shell_session,
    sign_in,
    user_console,
)
from cirtlib.training.shapes import Caller, Json, Place, denied, write
from cirtlib.training.world import Person, User

DEVELOPER = (
    "ec2:DescribeInstances",
    "ec2:DescribeVolumes",
    "ec2:DescribeSecurityGroups",
    "s3:ListBuckets",
    "lambda:ListFunctions20150331",
    "lambda:GetFunctionConfiguration20150331v2",
    "logs:DescribeLogGroups",
    "logs:GetLogEvents",
    "monitoring:DescribeAlarms",
    "dynamodb:DescribeTable",
    "sts:GetCallerIdentity",
)
DEV_ROLE = (*DEVELOPER, "ssm:GetParameter", "sqs:ListQueues", "rds:DescribeDBInstances", "ecr:DescribeRepositories")
_AUDIT = ("iam:GetAccountSummary", "iam:ListUsers", "iam:GetCredentialReport", "cloudtrail:DescribeTrails")
_AUDIT += ("config:DescribeConfigurationRecorders", "ec2:DescribeSecurityGroups", "s3:GetBucketPolicy")
_PAGES = {
    "AdministratorAccess": ("iam", "iam-role", "iam-user", "ec2", "trail", "security", "s3", "stacks", "billing"),
    "PowerUserAccess": ("ec2", "ec2-network", "ec2-storage", "lambda", "lambda-function", "logs", "alarms", "secrets"),
    "ReadOnlyAccess": ("ec2", "ec2-network", "logs", "alarms", "s3-bucket", "iam-role", "security", "stacks"),
    "DataEngineer": ("glue", "dynamodb", "s3", "s3-bucket", "lambda", "logs"),
    "Billing": ("billing", "home"),
}
_ELSEWHERE = ("us-west-1", "ca-west-1", "ap-northeast-1", "ap-southeast-1", "eu-west-2", "eu-west-3")


def people_at_work(life: Life) -> None:
    """Write the days of everybody who signs in somewhere."""
    for index, person in enumerate(life.world.people):
        rng = source(life.world.seed, f"person-{index}")
        for _, opening, working in life.days():
            if rng.random() < (0.85 if working else 0.06):
                _person_day(life, rng, person, opening=opening)
    for index, user in enumerate(life.world.console_users):
        rng = source(life.world.seed, f"console-{index}")
        for _, opening, working in life.days():
            if rng.random() < (0.8 if working else 0.05):
                place = workplace(life, rng, user.agent, user.home)
                console_visit(life, rng, user, place, at=work(rng, opening, 1)[0])
    for index, user in enumerate(life.world.key_users):
        rng = source(life.world.seed, f"key-{index}")
        for number, opening, working in life.days():
            # The first two are the story's: their keys are at work in the office on every working day.
            if working if index < 2 else rng.random() < (0.9 if working else 0.05):
                _developer_day(life, rng, user, opening=opening, number=number)


def _person_day(life: Life, rng: random.Random, person: Person, *, opening: dt.datetime) -> None:
    place = workplace(life, rng, person.browser, person.home)
    for at in work(rng, opening, life.often(rng, 1, 2)):
        browse(life, rng, person, place, at=at)
    if person.shell and rng.random() < 0.5:
        at = work(rng, opening, 1)[0]
        there = replace(place, agent=person.shell)
        session = shell_session(life.book, person, there, at, management=life.world.management)
        caller = session.caller()
        reading(life, rng, lambda: caller, there, keys=some(rng, DEV_ROLE, 4, 14), at=at + dt.timedelta(seconds=2))
        if person.role.account == life.world.management:
            _audit(life, rng, caller, there, at=at + dt.timedelta(minutes=10))


def browse(life: Life, rng: random.Random, person: Person, place: Place, *, at: dt.datetime) -> Session:
    """Sign a person in and open pages of the console."""
    session = portal_session(life.book, person, place, at, management=life.world.management)
    known = _PAGES[person.role.name.split("_")[1]]
    region = life.world.home if rng.random() < 0.7 else rng.choice(life.world.regions)
    at += dt.timedelta(seconds=3)
    for page in ("home", *some(rng, known, 5, 11)):
        _page(life, rng, session, place, at=at, page=page, region=region)
        at += dt.timedelta(seconds=rng.randint(15, 300))
    if "PowerUser" in person.role.name and person.role.account == life.world.workload and rng.random() < 0.3:
        machine = rng.choice(life.world.machines)
        call = changes.create_tags(machine.id, machine.region, {"reviewed": f"{at:%Y-%m-%d}"})
        write(life.book, session.console(life.book), call, place, at)
    return session


def _page(
    life: Life, rng: random.Random, session: Session, place: Place, *, at: dt.datetime, page: str, region: str
) -> None:
    keys = PAGES[page]
    reading(life, rng, lambda: session.console(life.book), place, keys=keys, at=at, gap=(0, 1), region=region)
    if page == "ec2" and rng.random() < 0.12:
        # The console's global view asks every Region at once; it looks like enumeration and is a page load.
        for region_asked in (*life.world.regions, *rng.sample(_ELSEWHERE, 4)):
            keys = ("ec2:DescribeInstances", "ec2:DescribeVolumes", "ec2:DescribeVpcs")
            again = at + dt.timedelta(seconds=2)
            reading(
                life,
                rng,
                lambda: session.console(life.book),
                place,
                keys=keys,
                at=again,
                gap=(0, 1),
                region=region_asked,
            )


def _audit(life: Life, rng: random.Random, caller: Caller, place: Place, *, at: dt.datetime) -> None:
    """Look over the member accounts from the management account, through a role in each."""
    name = caller.identity["arn"].rsplit("/", 1)[1]
    for role in life.world.audit:
        session = assume_role(life.book, caller, role, place, at, name=name, region=life.world.home)
        then = session.caller()
        reading(life, rng, lambda then=then: then, place, keys=_AUDIT, at=at + dt.timedelta(seconds=4))  # type: ignore[misc]
        at += dt.timedelta(minutes=7)


def console_visit(life: Life, rng: random.Random, user: User, place: Place, *, at: dt.datetime) -> None:
    """Sign an IAM user in with MFA and open pages of the console; some of it is refused."""
    context = sign_in(life.book, user, place, at, region=life.world.home)
    at += dt.timedelta(seconds=15)
    for page in ("home", *some(rng, _PAGES["ReadOnlyAccess"], 4, 9)):
        reading(life, rng, lambda: user_console(life.book, user, context), place, keys=PAGES[page], at=at, gap=(0, 1))
        at += dt.timedelta(seconds=rng.randint(20, 300))
    if rng.random() < 0.4:
        who = user_console(life.book, user, context)
        machine = rng.choice(life.world.machines)
        call = changes.start_stop(machine.id, machine.region, stop=True)
        arn = f"arn:aws:ec2:{machine.region}:{user.account}:instance/{machine.id}"
        error = denied(who, "ec2", "ec2:StopInstances", resource=arn)
        write(life.book, who, replace(call, response=None, error=error), place, at)


def _developer_day(life: Life, rng: random.Random, user: User, *, opening: dt.datetime, number: int) -> None:
    story = user in life.world.key_users[:2]
    place = workplace(life, rng, user.agent, user.home, share=1.0 if story else 0.7)
    for at in work(rng, opening, life.often(rng, 2, 4)):
        developer_burst(life, rng, user, place, at=at)
    # The role comes to be on the second day; three developers may assume it.
    if number > 1 and user in life.world.key_users[:3] and (user is life.world.key_users[1] or rng.random() < 0.3):
        if user is life.world.key_users[0] and number >= life.world.scenario.attack.day:
            return
        role_visit(life, rng, user, place, at=work(rng, opening, 1)[0])


def developer_burst(life: Life, rng: random.Random, user: User, place: Place, *, at: dt.datetime) -> list[Json]:
    """Make some calls with a developer's long-term key."""
    caller = key_caller(user)
    records = reading(life, rng, lambda: caller, place, keys=some(rng, DEVELOPER, 4, 14), at=at)
    if rng.random() < 0.08:
        who, later = caller, at + dt.timedelta(minutes=12)
        call = changes.get_secret("prod/orders-db", life.world.home)
        error = denied(who, "secretsmanager", "secretsmanager:GetSecretValue", resource="prod/orders-db")
        records.append(write(life.book, who, replace(call, request=None, error=error), place, later))
    return records


def role_visit(life: Life, rng: random.Random, user: User, place: Place, *, at: dt.datetime) -> Session:
    """Assume the developers' role with the developer's own key, and work through it."""
    name = f"botocore-session-{int(at.timestamp())}"
    session = assume_role(
        life.book, key_caller(user), life.world.dev_role, place, at, name=name, region=life.world.home
    )
    caller, at = session.caller(), at + dt.timedelta(seconds=rng.randint(3, 30))
    reading(life, rng, lambda: caller, place, keys=some(rng, DEV_ROLE, 5, 14), at=at)
    functions = [item for item in life.world.functions if item.role.account == user.account]
    function = rng.choice(functions)
    arn = f"arn:aws:lambda:{function.region}:{user.account}:function:{function.name}"
    later = at + dt.timedelta(minutes=15)
    write(life.book, caller, changes.update_code(rng, arn, function.role.arn, later), place, later)
    return session
