"""The findings of an incident: those it raised, those about innocents, and those that have nothing to do with it."""

import datetime as dt
import gzip
import json
import random
from pathlib import Path

from cirtlib.training.alarm_kinds import (
    anomalous,
    brute_force,
    exfiltration,
    listed_address,
    mining,
    penetration_tool,
    probe,
    sample,
    stealth,
)
from cirtlib.training.identifiers import guid, source
from cirtlib.training.scenario import FALSE_ALARM, LEAKED_KEY, OPEN_PORT, PHISHED
from cirtlib.training.security_hub import security_hub
from cirtlib.training.shapes import Json
from cirtlib.training.truth import Truth
from cirtlib.training.world import World


def raise_alarms(world: World, truth: Truth, folder: Path) -> str:
    """Write the findings below `folder`; return the ARN of the one the investigation starts from, '' if none does."""
    rng = source(world.seed, "alarms")
    about = _ABOUT[world.scenario.way_in](world, truth, rng)
    findings = [*about, *_beside(world, truth, rng)]
    for item in findings:
        updated = dt.datetime.fromisoformat(item["updatedAt"])
        account, region = item["accountId"], item["region"]
        path = folder / f"AWSLogs/{account}/GuardDuty/{region}/{updated:%Y/%m/%d}/{guid(rng)}.jsonl.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(item, separators=(",", ":"), ensure_ascii=False) + "\n"
        path.write_bytes(gzip.compress(line.encode(), mtime=0))
    hub = json.dumps({"Findings": security_hub(world, truth, findings, rng)}, indent=1, ensure_ascii=False)
    (folder / "security_hub.json").write_text(hub + "\n", encoding="utf-8")
    return str(about[0]["arn"]) if about else ""


def _about_leaked_key(world: World, truth: Truth, rng: random.Random) -> list[Json]:
    """Findings that the attack raised; the first is the Low one about the trail, else the one about the leaked key."""
    story, found = truth.story, []
    if stop := story.get("stop_logging"):
        found.append(stealth(world, rng, stop, truth.logging["trail"]))
    found.append(anomalous(world, rng, story["first"], "Discovery", severity=2, count=9))
    if "kali" in story["first"]["userAgent"]:
        found.append(penetration_tool(world, rng, story["first"]))
    for label, tactic, severity in (
        ("create_user", "Persistence", 5),
        ("attach_policy", "PrivilegeEscalation", 5),
        ("trust", "Persistence", 5),
        ("share", "Exfiltration", 8),
    ):
        if label in story:
            found.append(anomalous(world, rng, story[label], tactic, severity=severity))
    if "instances" in story:
        found += [listed_address(world, rng, story["instances"]), mining(world, truth, rng)]
    return found


def _about_open_port(world: World, truth: Truth, rng: random.Random) -> list[Json]:
    """Findings about the exposed instance and what was done with its credentials; the first is the theft's."""
    story = truth.story
    probed = story["brute_force"]["first"] - dt.timedelta(hours=rng.randint(3, 20))
    found = [exfiltration(world, truth, rng), brute_force(world, truth, rng), probe(world, rng, world.exposed, probed)]
    if "kali" in story["first"]["userAgent"]:
        found.append(penetration_tool(world, rng, story["first"]))
    if "create_key" in story and rng.random() < 0.5:
        found.append(anomalous(world, rng, story["create_key"], "Persistence"))
    if "instances" in story and rng.random() < 0.6:
        found.append(mining(world, truth, rng))
    return found


def _about_nothing(_world: World, _truth: Truth, _rng: random.Random) -> list[Json]:
    """No finding: the session looks like anybody's."""
    return []


def _about_duty(world: World, truth: Truth, rng: random.Random) -> list[Json]:
    """The finding about what was somebody's duty."""
    record, cause = truth.story["alarm"], truth.alarm["cause"]
    if cause == "trail_maintenance":
        return [stealth(world, rng, record, world.trail(world.workload))]
    if cause == "penetration_test":
        return [penetration_tool(world, rng, record), anomalous(world, rng, record, "Discovery", severity=2, count=9)]
    if cause == "backup_share":
        return [anomalous(world, rng, record, "Exfiltration", severity=8)]
    return [anomalous(world, rng, record, "Persistence")]


def _beside(world: World, truth: Truth, rng: random.Random) -> list[Json]:
    """Probes of a port (one archived), a sample, and an alarm about the pipeline that makes users."""
    machine = next(item for item in world.machines if item.region == world.home)
    if world.scenario.way_in == OPEN_PORT:
        machine = world.twin
    wanted = world.scenario.findings
    day = world.start + dt.timedelta(days=rng.randrange(1, world.scenario.attack.day), hours=rng.randrange(24))
    found = []
    if "probe" in wanted:
        earlier = day - dt.timedelta(hours=20)
        found += [probe(world, rng, machine, day), probe(world, rng, machine, earlier, archived=True)]
    if "sample" in wanted:
        found.append(sample(world, rng, day))
    if "automation" in wanted and "automation" in truth.story:
        found.append(anomalous(world, rng, truth.story["automation"], "Persistence"))
    return found


_ABOUT = {
    LEAKED_KEY: _about_leaked_key,
    OPEN_PORT: _about_open_port,
    PHISHED: _about_nothing,
    FALSE_ALARM: _about_duty,
}
