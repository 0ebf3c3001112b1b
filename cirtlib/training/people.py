"""People at work: through Identity Center, as IAM users in the console, as developers with long-term keys."""

import datetime as dt
from dataclasses import replace

from cirtlib.training import changes
from cirtlib.training.calls import PAGES
from cirtlib.training.life import Life, Seat, reading, seat, workplace
from cirtlib.training.sessions import (
    Session,
    Stay,
    assume_role,
    key_caller,
    portal_session,
    shell_session,
    sign_in,
    user_console,
)
from cirtlib.training.shapes import Caller, Place, denied, encoded, write
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
_AUDIT = (
    "iam:GetAccountSummary",
    "iam:ListUsers",
    "iam:GetCredentialReport",
    "cloudtrail:DescribeTrails",
    "config:DescribeConfigurationRecorders",
    "ec2:DescribeSecurityGroups",
    "s3:GetBucketPolicy",
)
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
        own = life.of(f"person-{index}")
        for _, opening, working in life.days():
            if own.rng.random() < (0.85 if working else 0.06):
                _person_day(own, person, opening=opening)
    for index, user in enumerate(life.world.console_users):
        own = life.of(f"console-{index}")
        for _, opening, working in life.days():
            if own.rng.random() < (0.8 if working else 0.05):
                place = workplace(own, user.agent, user.home, share=0.75 if user.mfa else 1.0)
                console_visit(own, user, place, at=own.work(opening, 1)[0])
    for index, user in enumerate(life.world.key_users):
        own = life.of(f"key-{index}")
        for number, opening, working in life.days():
            # The first two are the story's: their keys are at work in the office on every working day.
            if working if index < 2 else own.rng.random() < (0.9 if working else 0.05):
                _developer_day(own, user, opening=opening, number=number)


def _person_day(life: Life, person: Person, *, opening: dt.datetime) -> None:
    place = workplace(life, person.browser, person.home)
    for at in life.work(opening, life.often(1, 2)):
        browse(life, person, place, at=at)
    if person.shell and life.rng.random() < 0.5:
        at = life.work(opening, 1)[0]
        there = replace(place, agent=person.shell)
        caller = shell_session(life.book, person, there, at, management=life.world.management).caller()
        reading(life, seat(caller, there), life.some(DEV_ROLE, 4, 14), at=at + dt.timedelta(seconds=2))
        if person.role.account == life.world.management:
            _audit(life, caller, there, at=at + dt.timedelta(minutes=10))


def browse(life: Life, person: Person, place: Place, *, at: dt.datetime) -> Session:
    """Sign a person in and open pages of the console."""
    session = portal_session(life.book, person, place, at, management=life.world.management)
    known = _PAGES[person.role.name.split("_")[1]]
    region = life.world.home if life.rng.random() < 0.7 else life.rng.choice(life.world.regions)
    desk = Seat(lambda: session.console(life.book), place, (0, 1), region)
    at += dt.timedelta(seconds=3)
    for page in ("home", *life.some(known, 5, 11)):
        reading(life, desk, PAGES[page], at=at)
        if page == "ec2" and life.rng.random() < 0.12:
            _fan_out(life, desk, at=at + dt.timedelta(seconds=2))
        at += dt.timedelta(seconds=life.rng.randint(15, 300))
    if "PowerUser" in person.role.name and person.role.account == life.world.workload and life.rng.random() < 0.3:
        machine = life.rng.choice(life.world.machines)
        call = changes.create_tags(machine.id, machine.region, {"reviewed": f"{at:%Y-%m-%d}"})
        write(life.book, session.console(life.book), call, place, at)
    return session


def _fan_out(life: Life, desk: Seat, *, at: dt.datetime) -> None:
    """Open the console's global view, which asks every Region at once: it looks like enumeration and is a page."""
    for region in (*life.world.regions, *life.rng.sample(_ELSEWHERE, 4)):
        keys = ("ec2:DescribeInstances", "ec2:DescribeVolumes", "ec2:DescribeVpcs")
        reading(life, replace(desk, region=region), keys, at=at)


def _audit(life: Life, caller: Caller, place: Place, *, at: dt.datetime) -> None:
    """Look over the member accounts from the management account, through a role in each."""
    name = caller.identity["arn"].rsplit("/", 1)[1]
    for role in life.world.audit:
        session = assume_role(life.book, caller, role, Stay(place, life.world.home), at, name=name)
        reading(life, seat(session.caller(), place), _AUDIT, at=at + dt.timedelta(seconds=4))
        at += dt.timedelta(minutes=7)


def console_visit(life: Life, user: User, place: Place, *, at: dt.datetime) -> None:
    """Sign an IAM user in with MFA and open pages of the console; some of it is refused."""
    context = sign_in(life.book, user, place, at, region=life.world.home)
    desk = Seat(lambda: user_console(life.book, user, context), place, (0, 1))
    at += dt.timedelta(seconds=15)
    for page in ("home", *life.some(_PAGES["ReadOnlyAccess"], 4, 9)):
        reading(life, desk, PAGES[page], at=at)
        at += dt.timedelta(seconds=life.rng.randint(20, 300))
    if life.rng.random() < 0.4 and user.mfa:  # whoever has no MFA here may do it
        who, machine = desk.caller(), life.rng.choice(life.world.machines)
        call = changes.start_stop(machine.id, machine.region, stop=True)
        arn = f"arn:aws:ec2:{machine.region}:{user.account}:instance/{machine.id}"
        code, message = denied(who, "ec2", "ec2:StopInstances", resource=arn)
        error = (code, message + encoded(life.rng))
        write(life.book, who, replace(call, response=None, error=error), place, at)


def _developer_day(life: Life, user: User, *, opening: dt.datetime, number: int) -> None:
    owner, colleague, third = life.world.key_users[:3]
    place = workplace(life, user.agent, user.home, share=1.0 if user in (owner, colleague) else 0.7)
    for at in life.work(opening, life.often(2, 4)):
        developer_burst(life, user, place, at=at)
    # The role comes to be on the second day. On the day of the attack its owner needs it less.
    wants = 1.0 if user is colleague else 0.3 if user in (owner, third) and number > 1 else 0.0
    if number > 1 and life.rng.random() < wants and not (user is owner and number >= life.world.scenario.attack.day):
        role_visit(life, user, place, at=life.work(opening, 1)[0])


def developer_burst(life: Life, user: User, place: Place, *, at: dt.datetime) -> None:
    """Make some calls with a developer's long-term key; now and then one is refused."""
    caller = key_caller(user)
    reading(life, seat(caller, place), life.some(DEVELOPER, 4, 14), at=at)
    if life.rng.random() < 0.08:
        arn = f"arn:aws:secretsmanager:{life.world.home}:{user.account}:secret:prod/orders-db-AbCdEf"
        error = denied(caller, "secretsmanager", "secretsmanager:GetSecretValue", resource=arn)
        call = replace(changes.get_secret("prod/orders-db", life.world.home), request=None, error=error)
        write(life.book, caller, call, place, at + dt.timedelta(minutes=12))


def role_visit(life: Life, user: User, place: Place, *, at: dt.datetime) -> Session:
    """Assume the developers' role with the developer's own key, and work through it."""
    name, role = f"botocore-session-{int(at.timestamp())}", life.world.dev_role
    session = assume_role(life.book, key_caller(user), role, Stay(place, life.world.home), at, name=name)
    caller, at = session.caller(), at + dt.timedelta(seconds=life.rng.randint(3, 30))
    reading(life, seat(caller, place), life.some(DEV_ROLE, 5, 14), at=at)
    function = life.rng.choice([item for item in life.world.functions if item.role.account == user.account])
    later = at + dt.timedelta(minutes=15)
    write(life.book, caller, changes.update_code(life.rng, function.arn, function.role.arn, later), place, later)
    return session
