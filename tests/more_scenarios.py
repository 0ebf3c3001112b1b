"""What the tests of the scenarios made of building blocks share: small ones, their evidence, an incident's scope."""

import gzip
import json

import yaml

from cirtlib.collect import collect
from cirtlib.intake import start
from cirtlib.scope import scope
from cirtlib.shipped import shipped


def small(folder, name, **changes):
    """The shipped scenario, made small; a mapping among the changes is merged into the one that is there."""
    data = yaml.safe_load((shipped("scenarios") / name / "scenario.yaml").read_text(encoding="utf-8"))
    data["population"] |= {"people": 6, "instances": 3, "functions": 3, "intensity": 0.1}
    data["delivery"] |= {"batch_minutes": 120, "digests": "none"}
    data["days"] = 9
    for key, value in changes.items():
        data[key] = data[key] | value if isinstance(value, dict) else value
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scenario.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    return folder


class Evidence:
    """A generated incident, read back from its files."""

    def __init__(self, made):
        self.made, self.story = made, made.story.read_text(encoding="utf-8")
        self.truth = _json(made.truth)
        self.before, self.after = (_json(made.truth.with_name(f"state_{when}.json")) for when in ("before", "after"))
        records = [r for path in made.logs.rglob("*/CloudTrail/*/*/*/*/*.json.gz") for r in _unpacked(path)["Records"]]
        self.events = {(r["eventID"], r["recipientAccountId"]): r for r in records}
        self.attacker = [self.events[tuple(pair)] for pair in self.truth["attacker_events"]]
        lines = [gzip.decompress(path.read_bytes()) for path in sorted(made.findings.rglob("*.jsonl.gz"))]
        self.findings = [json.loads(line) for line in lines]
        self.hub = _json(made.findings / "security_hub.json")["Findings"]

    def named(self):
        """Keys of the log files that the digests name."""
        digests = [_unpacked(path) for path in self.made.logs.rglob("*/CloudTrail-Digest/*/*/*/*/*.json.gz")]
        return {item["s3Object"] for digest in digests for item in digest["logFiles"]}

    @staticmethod
    def user(state, name):
        return next(u for account in state["accounts"].values() for u in account["users"] if u["UserName"] == name)


def _json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def _unpacked(path):
    return json.loads(gzip.decompress(path.read_bytes()))


def scoped(made, folder):
    """The scope of a case that was started as the story tells, and the truth."""
    case = start(
        folder,
        logs=[made.logs],
        findings=[made.findings],
        seeds=made.seeds,
        window=made.window_told,
        content={"as_of": made.as_of.isoformat()},
    )
    collect(case)
    return scope(case), _json(made.truth)
