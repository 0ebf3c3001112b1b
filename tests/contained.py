"""A small incident whose plan was carried out: evidence before and after it, and the state that contain.sh leaves."""

import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cirtlib import containment, scope
from cirtlib.case import Case
from cirtlib.collect import collect
from tests.trail import SDK, START, THIEF, Trail, role, user

DEV = user("dev", "AKIADEV0000000000001")
SESSION = role("devRole", "thief", "ASIADEV0000000000001")
WHEN = START + timedelta(days=10.5)
"""When every step was done."""

FROM_THIEF = {"ip": THIEF, "agent": SDK}


def day(minutes: float) -> float:
    """Time of a trail, so many minutes after containment."""
    return 10.5 + minutes / 1440


def attacked(folder: Path) -> Case:
    """A stolen key that took a role, in us-east-1 and eu-west-1, scoped and planned before anybody contained it."""
    trail = Trail()
    trail.habit(DEV)
    first = trail.add(9.5, DEV, "sts:GetCallerIdentity", **FROM_THIEF)
    trail.assume(9.51, DEV, "devRole", "ASIADEV0000000000001", **FROM_THIEF)
    trail.add(9.52, SESSION, "s3:ListBuckets", **FROM_THIEF)
    trail.add(9.53, SESSION, "ec2:DescribeInstances", region="eu-west-1", **FROM_THIEF)
    case = trail.case(folder, {"event": first})
    scope.write(case)
    containment.write(case)
    return case


def later(
    case: Case, trail: Trail, *, reaches: float = 16, regions: tuple[str, ...] = ("us-east-1", "eu-west-1")
) -> None:
    """Collect these records too, with calls of somebody else so many minutes after containment in these Regions."""
    for region in regions:
        trail.add(day(reaches), user("ops", "AKIAOPS0000000000001"), "ec2:DescribeVpcs", region=region)
    logs = Path(case.sources[0].options["folder"])
    for number, record in enumerate(trail.records):
        record["eventID"] = f"after-{len(list(logs.iterdir()))}-{number}"
    (logs / f"later-{len(list(logs.iterdir()))}.json").write_text(json.dumps({"Records": trail.records}))
    collect(case)


def state(case: Case, when: datetime = WHEN, *, only: set[str] | None = None, folder: Path | None = None) -> Path:
    """State folder as contain.sh leaves it; `only`: services or words of steps that were done, such as `deny`."""
    text = (case.out / "plan" / "plan.json").read_bytes()
    bound = hashlib.sha256(text).hexdigest()[:16]
    home = folder or case.out / "plan" / f"state-{bound}"
    home.mkdir(parents=True, exist_ok=True)
    (home / "plan").write_text(f"{bound}\n")
    (home / "plan.json").write_bytes(text)
    for step in steps(case):
        if only is None or step["id"].partition("-")[2] in only:
            (home / step["id"]).mkdir(exist_ok=True)
            (home / step["id"] / "done").write_text(f"{when:%Y-%m-%dT%H:%M:%SZ}\n")
            (home / step["id"] / "now.json").write_text(f'"{when:%Y-%m-%dT%H:%M:%SZ}"')
    return home


def steps(case: Case) -> list[dict[str, Any]]:
    """Steps of the written plan."""
    return list(json.loads((case.out / "plan" / "plan.json").read_text())["steps"])
