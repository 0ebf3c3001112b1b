"""Random incidents with their truth: every kind of credential, many kinds of acts, and innocents close by.

What the attacker did is written down while it is done, by the rules of attribution and not by the code that applies
them. A node is *provable* when those rules lead to it from the seed over records that exist; else it is for the analyst
to decide, and the scope should name it as a lead only.
"""

import datetime as dt
import gzip
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cirtlib.training.identifiers import source
from cirtlib.training.incidents.acts import ACTS
from cirtlib.training.incidents.entries import ENTRIES
from cirtlib.training.incidents.hand import Hand, Raid
from cirtlib.training.incidents.hops import HOPS
from cirtlib.training.incidents.world import BASELINE_DAYS, CAFE, START, World, found, reading, take_on
from cirtlib.training.shapes import Book, Json, Place, iso
from cirtlib.training.truth import ORDER

ATTACK = START + dt.timedelta(days=BASELINE_DAYS, hours=10)
WINDOW = (START + dt.timedelta(days=BASELINE_DAYS), START + dt.timedelta(days=BASELINE_DAYS + 1))


@dataclass
class Incident:
    """Records in no order, and the truth about them.

    Attributes
    ----------
    records
        CloudTrail records.
    seed
        Where the analyst starts: kind and value, as a case has it.
    extent
        Status of each node by (kind, value).
    leads
        Node ids that are for the analyst to decide.
    edges
        (from, to, kind) of what was minted, created and changed.
    verdicts
        attacker or owner, by (event_id, account_id).
    kinds
        The entry and the hops, in their order.
    before
        What stood in the accounts when the attack began: account -> kind -> things, see emulate.py.
    """

    records: list[Json]
    seed: tuple[str, str]
    extent: dict[tuple[str, str], str] = field(default_factory=dict)
    leads: set[str] = field(default_factory=set)
    edges: set[tuple[str, str, str]] = field(default_factory=set)
    verdicts: dict[tuple[str, str], str] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)
    before: dict[str, dict[str, list[Json]]] = field(default_factory=dict)


def incident(seed: int) -> Incident:
    """Make the incident of a seed: 2 to 6 hops over 1 to 4 accounts."""
    rng = source(seed, "incident")
    world = found(rng)
    world.thief = Place(world.thief.address, rng.choice(["python-requests/2.32.3", "Boto3/1.34.0 md/Botocore#1.34.0"]))
    raid = Raid(world, Book(rng), ATTACK)
    entry = rng.choice(sorted(ENTRIES))
    hand = ENTRIES[entry](raid)
    raid.kinds.append(entry)
    first = hand
    _acts(raid, hand)
    for _ in range(rng.randint(2, 6)):
        ways = [name for name, (fits, _) in HOPS.items() if fits(hand)]
        way = rng.choice(sorted(ways))
        following = HOPS[way][1](raid, hand)
        raid.kinds.append(way)
        if following is not None:
            hand = following
            _acts(raid, hand)
    kind, value = _seed(raid, first)
    _life(world, raid, alone=kind == "ip")
    return _told(raid, (kind, value))


def _acts(raid: Raid, hand: Hand) -> None:
    """One to four of the attacker's acts with what is in the hand."""
    for name in raid.world.rng.sample(sorted(ACTS), raid.world.rng.randint(1, 4)):
        ACTS[name](raid, hand)


def _seed(raid: Raid, first: Hand) -> tuple[str, str]:
    """Where the analyst starts: something of the first credential that is the attacker's alone."""
    rng = raid.world.rng
    events = [one for one in raid.events if one[2] == first.node]
    choices = [("event", events[0][0]), ("event", rng.choice(events)[0]), ("ip", raid.world.thief.address)]
    key = first.node.partition(":")[2]
    if key not in raid.stolen_sessions:
        if first.node.startswith("access_key:"):
            choices.append(("access_key", key))
        if first.session and first.role:
            choices += [("session", f"{first.role.id}:{first.session}")]
        if first.role and first.role not in raid.world.roles:
            choices.append(("principal", first.role.arn))
    return rng.choice(choices)


def _life(world: World, raid: Raid, *, alone: bool) -> None:
    """The day of the attack for everybody else: the same address, program, roles and hours, and no part in it.

    `alone` has nobody else at the attacker's address: as a seed it claims all who come from there.
    """
    rng = world.rng
    for index, person in enumerate(world.people):
        at = WINDOW[0] + dt.timedelta(hours=8, minutes=11 * index)
        for _ in range(rng.randint(1, 3)):
            record = world.say(person.caller(), reading(rng), world.office, at)
            if person.key in raid.stolen:
                raid.owner.append((record["eventID"], record["recipientAccountId"]))
            at += dt.timedelta(minutes=rng.randint(1, 90))
        role = rng.choice(world.roles)
        caller, records = take_on(world, person.caller(), role, world.office, at, name=person.name)
        if person.key in raid.stolen:
            raid.owner += [(record["eventID"], record["recipientAccountId"]) for record in records]
        world.say(caller, reading(rng), world.office, at + dt.timedelta(minutes=1))
    # somebody else behind the attacker's address, and somebody from a place where nobody ever was
    other = rng.choice([one for one in world.people if one.key not in raid.stolen])
    when = ATTACK + dt.timedelta(minutes=rng.randint(10, 200))
    if not alone:
        world.say(other.caller(), reading(rng), Place(world.thief.address, world.agent), when)
        raid.leads.add(f"principal:{other.arn}")
    world.say(other.caller(), reading(rng), Place(CAFE, world.agent), when)


def _told(raid: Raid, seed: tuple[str, str]) -> Incident:
    """The truth from what was noted."""
    extent = {
        tuple(name.split(":", 1)): next(status for status in ORDER if status in held)
        for name, held in raid.marks.items()
    }
    records = [record for _, _, _, record in raid.world.book.records]
    raid.world.rng.shuffle(records)
    return Incident(
        records,
        seed,
        {(_KINDS.get(kind, kind), value): status for (kind, value), status in extent.items()},
        raid.leads,
        raid.edges,
        {(event, account): "attacker" for event, account, _ in raid.events} | dict.fromkeys(raid.owner, "owner"),
        raid.kinds,
        raid.world.before,
    )


_KINDS = dict.fromkeys(("access_key", "console", "sign_in", "login_profile"), "credential")


def _shows(record: Json, seed: str) -> bool:
    """Whether a record is the seed, or of the seed's key, session, principal or address."""
    return seed in json.dumps([record["eventID"], record["userIdentity"], record["sourceIPAddress"]])


def spoil(
    made: Incident, rng: random.Random, *, lost: float = 0.0, twice: float = 0.0, hole: dt.timedelta = dt.timedelta()
) -> list[Json]:
    """Records in another order, of which a share was not delivered and another share twice; the seed always is.

    `hole` is how long nothing at all was logged, somewhere in the attack.
    """
    begin = ATTACK + dt.timedelta(minutes=rng.randint(0, 60))
    silent = (iso(begin), iso(begin + hole))
    kept = [
        one
        for one in made.records
        if one["eventID"] == made.seed[1] or (rng.random() >= lost and not silent[0] <= one["eventTime"] < silent[1])
    ]
    if not any(_shows(one, made.seed[1]) for one in kept):
        kept.append(next(one for one in made.records if _shows(one, made.seed[1])))
    kept += [json.loads(json.dumps(one)) for one in kept if rng.random() < twice]
    rng.shuffle(kept)
    return kept


def deliver(records: list[Json], folder: Path, *, files: int = 1) -> None:
    """Write records as so many log files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        content = json.dumps({"Records": records[number::files]}).encode()
        (folder / f"{number:03}.json.gz").write_bytes(gzip.compress(content, 1, mtime=0))


Step = Callable[[Raid, Hand], Hand | None]
