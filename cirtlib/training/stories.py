"""What the analyst is told at first: the scenario's story.md, with the names, times and addresses of this incident."""

import datetime as dt
import random
import string
from pathlib import Path

from cirtlib.errors import TrainingError
from cirtlib.shipped import shipped
from cirtlib.training.identifiers import source
from cirtlib.training.raid import attack_begins
from cirtlib.training.scenario import FALSE_ALARM, IAM_USER, PHISHED
from cirtlib.training.shapes import iso
from cirtlib.training.truth import Truth
from cirtlib.training.world import Person, World

# Changes that have nothing to do with the alarm, for the calendar.
_OTHER = (
    "Certificate of the shop's load balancer renewed",
    "New permission set for the data engineers",
    "Patch window of the batch instances",
    "Retention of the application logs shortened to 90 days",
    "Freeze of the billing exports for the month's end",
)


def story(world: World, truth: Truth) -> str:
    """Fill in the story of a scenario; an empty text where the scenario has none.

    Raises
    ------
    TrainingError
        If the story names something that nobody knows.
    """
    path = _file(world)
    if path is None:
        return ""
    words = {FALSE_ALARM: _alarm, PHISHED: _report}[world.scenario.way_in](world, truth)
    try:
        return string.Template(path.read_text(encoding="utf-8")).substitute(words)
    except (KeyError, ValueError) as error:
        raise TrainingError(f"{path}: unknown $name {error} (known: {', '.join(sorted(words))})") from error


def seeds(world: World, truth: Truth, finding: str) -> tuple[str, ...]:
    """What the investigation starts from, as `cirt new --seed` takes it: a finding, else an address, perhaps a user."""
    if finding:
        return (f"finding={finding}",)
    phished = truth.story["phished"]
    named = () if isinstance(phished["victim"], Person) else (f"principal={phished['victim'].arn}",)
    return (f"ip={phished['address']}", *named)


def window(world: World, truth: Truth) -> str:
    """The days that the story speaks of, as `cirt new --window` takes them; '' where a finding tells the time."""
    if "phished" not in truth.story:
        return ""
    day = truth.story["phished"]["at"].replace(hour=0, minute=0, second=0)
    return f"{iso(day)}/{iso(world.end)}"


def _file(world: World) -> Path | None:
    """Story of the way in: the scenarios of the first two ways have none of their own."""
    if world.scenario.way_in not in (FALSE_ALARM, PHISHED):
        return None
    return shipped("scenarios") / world.scenario.way_in / "story.md"


def _report(world: World, truth: Truth) -> dict[str, str]:
    """What the employee tells, and what the help desk knows."""
    phished, rng = truth.story["phished"], source(world.seed, "story")
    victim, at = phished["victim"], phished["at"]
    who = victim.name if isinstance(victim, Person) else victim.name.replace(".", " ").title()
    login = victim.email if isinstance(victim, Person) else f"{victim.name} (an IAM user)"
    asked = (
        "the usual page asked for password and code"
        if isinstance(victim, Person)
        else f"the page asked for account {world.workload}, user name and password, and for nothing else"
    )
    return {
        "employee": who,
        "login": login,
        "asked": asked,
        "mail": rng.choice(("your mailbox is full", "an invoice waits for approval", "your password ends today")),
        "clicked": f"on {at - dt.timedelta(minutes=rng.randint(1, 6)):%Y-%m-%d at about %H:%M} UTC",
        "address": phished["address"],
        "office": world.network.office[0].rsplit(".", 1)[0] + ".0/24",
        "account": world.workload,
        "kind": "Identity Center" if isinstance(victim, Person) else IAM_USER.replace("_", " ").replace("iam", "IAM"),
    }


def _alarm(world: World, truth: Truth) -> dict[str, str]:
    """What the finding says in short, and the calendar of changes around it."""
    rng, entry, record = source(world.seed, "story"), truth.story["announced"], truth.story["alarm"]
    when = dt.datetime.fromisoformat(record["eventTime"])
    begin = when.replace(minute=0, second=0)
    rows = [_row(begin, begin + dt.timedelta(hours=4), entry["ticket"], entry["text"], entry["owner"])]
    for text in rng.sample(_OTHER, 3):
        start = attack_begins(world).replace(minute=0, second=0) + dt.timedelta(hours=rng.randrange(-60, 8))
        ticket = f"CHG{rng.randrange(30000, 60000):07d}"
        rows.append(_row(start, start + dt.timedelta(hours=rng.randint(1, 6)), ticket, text, _someone(world, rng)))
    return {
        "call": record["eventName"],
        "account": record["recipientAccountId"],
        "time": f"{when:%Y-%m-%d %H:%M} UTC",
        "calendar": "\n".join(sorted(rows)),
        "office": world.network.office[0].rsplit(".", 1)[0] + ".0/24",
        "accounts": f"{world.workload} (workload), {world.data} (data), {world.management} (management)",
    }


def _someone(world: World, rng: random.Random) -> Person:
    return rng.choice(world.people)


def _row(start: dt.datetime, end: dt.datetime, ticket: str, text: str, owner: Person) -> str:
    return f"| {start:%Y-%m-%d %H:%M} | {end:%Y-%m-%d %H:%M} | {ticket} | {text} | {owner.name} ({owner.email}) |"
