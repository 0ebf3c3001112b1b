"""Make a whole incident from a scenario and a seed: logs, findings, and the truth about them."""

import datetime as dt
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cirtlib.errors import TrainingError
from cirtlib.training import signing
from cirtlib.training.alarms import raise_alarms
from cirtlib.training.attack import attack
from cirtlib.training.automation import programs_at_work
from cirtlib.training.delivery import LATEST, deliver
from cirtlib.training.estate import Estate, begin
from cirtlib.training.false_alarm import raise_falsely
from cirtlib.training.founding import build_world
from cirtlib.training.identifiers import source
from cirtlib.training.innocents import innocents, make_roles, note_owner
from cirtlib.training.intrusion import intrude
from cirtlib.training.life import begin_life
from cirtlib.training.people import people_at_work
from cirtlib.training.phishing import phish
from cirtlib.training.raid import attack_begins
from cirtlib.training.scenario import FALSE_ALARM, LEAKED_KEY, OPEN_PORT, PHISHED, load_scenario
from cirtlib.training.shapes import Book
from cirtlib.training.stories import seeds, story, window
from cirtlib.training.truth import Truth
from cirtlib.training.world import World

_ATTACKS = {LEAKED_KEY: attack, OPEN_PORT: intrude, PHISHED: phish, FALSE_ALARM: raise_falsely}


@dataclass(frozen=True)
class Generated:
    """Where a generated incident lies, and what an analyst is told of it.

    `logs` and `findings` are the evidence; `truth` (truth.json, beside the states of the accounts before and after) is
    for grading and is never part of a case. `metadata` holds what S3 knows of the log bucket's objects beside their
    content: {key: {signature, signature-algorithm}}; `public_keys` what `aws cloudtrail list-public-keys` prints.
    `seeds` and `window_told` are what the investigation starts from, as `cirt new` takes them; without a finding
    `seed_finding` is '', with one `window_told` is. `story` is what else the analyst is told, if the scenario has it.
    """

    logs: Path
    findings: Path
    truth: Path
    metadata: Path
    public_keys: Path
    seed_finding: str
    seeds: tuple[str, ...]
    window_told: str
    story: Path | None
    accounts: tuple[str, ...]
    regions: tuple[str, ...]
    window: tuple[dt.datetime, dt.datetime]
    as_of: dt.datetime
    events: int


def generate(scenario: str | Path, *, seed: int, out: Path, settings: dict[str, Any] | None = None) -> Generated:
    """Generate an incident below `out`; the same scenario and seed give the same bytes.

    Parameters
    ----------
    scenario
        Name of a folder of scenarios/, or the path of a scenario's folder or YAML file.
    seed
        Chooses names, keys, addresses, times and decoys.
    out
        Gets logs/ (S3 layout of an organization trail), findings/ (GuardDuty export and Security Hub) and truth/;
        beside them s3-metadata.json and public-keys.json, which a copy of the bucket does not hold.

    settings
        What stands before the scenario's own settings, key by key, such as `{"attack": {"hours": 2}}`.

    Raises
    ------
    TrainingError
        If the scenario is unknown or wrong, or `out` holds an incident already.
    """
    plan = load_scenario(scenario, settings)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TrainingError(f"seed must be a whole number, not {seed!r}")
    for name in ("logs", "findings", "truth"):
        if (out / name).exists():
            raise TrainingError(f"{out / name} exists already; delete it or choose another folder")
    world, truth = build_world(plan, seed), Truth()
    book, estate = _happen(world, truth)
    world = _cut(world, book, truth)
    events, metadata = deliver(world, book, out / "logs")
    _write(out / "s3-metadata.json", metadata)
    _write(out / "public-keys.json", signing.public_keys(world.start, world.end + dt.timedelta(days=365)))
    seed_finding = raise_alarms(world, truth, out / "findings")
    told, given = story(world, truth), seeds(world, truth, seed_finding)
    if told:
        (out / "story.md").write_text(told, encoding="utf-8")
    path = out / "truth" / "truth.json"
    path.parent.mkdir(parents=True)
    _write(path, truth.to_dict(scenario=plan.name, seed=seed, seed_finding=seed_finding, seeds=given))
    _write(path.with_name("state_before.json"), estate.state(attack_begins(world)))
    _write(path.with_name("state_after.json"), estate.state(world.end))
    return Generated(
        logs=out / "logs",
        findings=out / "findings",
        truth=path,
        metadata=out / "s3-metadata.json",
        public_keys=out / "public-keys.json",
        seed_finding=seed_finding,
        seeds=given,
        window_told=window(world, truth),
        story=out / "story.md" if told else None,
        accounts=world.accounts,
        regions=(*world.regions, world.unused),
        window=(world.start, world.end),
        as_of=_as_of(world),
        events=events,
    )


def _happen(world: World, truth: Truth) -> tuple[Book, Estate]:
    """Let the days pass and the attack happen; gives the records and the accounts' state over time."""
    book, estate = Book(source(world.seed, "records")), begin(world)
    life = begin_life(world, book, estate)
    make_roles(life, truth)
    people_at_work(life)
    programs_at_work(life)
    innocents(life, truth)
    book.records = [item for item in book.records if world.start <= item[0] < world.end]
    _ATTACKS[world.scenario.way_in](world, book, estate, truth)
    note_owner(life, truth)
    return book, estate


def _cut(world: World, book: Book, truth: Truth) -> World:
    """Let logs and world end a while after the attack's last act, if the scenario says so."""
    if not world.scenario.ends_after:
        return world
    last = max(truth.times) if truth.times else dt.datetime.fromisoformat(truth.alarm["at"])
    end = last + dt.timedelta(minutes=world.scenario.ends_after)
    book.records = [item for item in book.records if item[0] < end]
    kept = {(record["eventID"], record["recipientAccountId"]) for *_, record in book.records}
    truth.owner = [pair for pair in truth.owner if pair in kept]
    return replace(world, cut=end)


def _as_of(world: World) -> dt.datetime:
    """When the analyst looks: when all has arrived, or, after a finished attack, on the next morning."""
    if not world.scenario.ends_after:
        return world.end + dt.timedelta(hours=9)
    return world.end + LATEST + dt.timedelta(minutes=world.scenario.delivery.batch_minutes + 5)


def _write(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
