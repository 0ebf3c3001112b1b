"""What really happened in an exercise: the generator's own record, made again from the seed where it is needed.

It never lies in the learner's folder. It is kept in the user's cache, so that a check does not wait for the generator.
"""

import gzip
import hashlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from cirtlib.training.exercise.model import Exercise
from cirtlib.training.generator import Generated, generate
from cirtlib.training.scenario import scenario_file

_ABOUT = "about.json"
_KEPT_DAYS = 14


@dataclass(frozen=True)
class Record:
    """The incident of an exercise and a seed.

    Attributes
    ----------
    folder
        Where it lies: logs/, findings/, truth/, s3-metadata.json, public-keys.json.
    seeds, window, story
        What the analyst is told: seeds and window as `cirt new` takes them, and a text.
    as_of
        When the analyst looks.
    """

    folder: Path
    seeds: tuple[str, ...]
    window: str
    story: str
    as_of: datetime

    @property
    def logs(self) -> Path:
        """Folder of log files in S3 layout."""
        return self.folder / "logs"

    @property
    def findings(self) -> Path:
        """Folder of findings."""
        return self.folder / "findings"

    @cached_property
    def truth(self) -> dict[str, Any]:
        """Content of truth.json."""
        return self._truth("truth")

    @cached_property
    def before(self) -> dict[str, Any]:
        """State of the accounts when the attack began."""
        return self._truth("state_before")

    @cached_property
    def after(self) -> dict[str, Any]:
        """State of the accounts at the end of the logs."""
        return self._truth("state_after")

    @cached_property
    def guardduty(self) -> list[dict[str, Any]]:
        """All findings of GuardDuty, in the order of the files."""
        files = sorted(self.findings.rglob("*.jsonl.gz"))
        return [json.loads(line) for path in files for line in gzip.decompress(path.read_bytes()).splitlines()]

    @cached_property
    def events(self) -> dict[tuple[str, str], dict[str, Any]]:
        """(eventID, account) -> record, of all records."""
        return {
            (record["eventID"], record["recipientAccountId"]): record
            for path in sorted(self.logs.rglob("*/CloudTrail/*/*/*/*/*.json.gz"))
            for record in json.loads(gzip.decompress(path.read_bytes()))["Records"]
        }

    @property
    def fingerprint(self) -> str:
        """What tells this incident from that of another version; it tells nothing else."""
        return hashlib.sha256((self.folder / "truth" / "truth.json").read_bytes()).hexdigest()[:16]

    def load(self) -> None:
        """Read all of it now: a later version may throw the kept files away."""
        for part in (self.truth, self.before, self.after, self.events):
            len(part)

    def _truth(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "truth" / f"{name}.json").read_text(encoding="utf-8"))
        return content


def record_of(exercise: Exercise, seed: int) -> Record:
    """The incident of an exercise and a seed; the same as ever, generated (in seconds) where it is not kept."""
    folder = _kept() / f"{exercise.name}-{seed}-{_recipe(exercise)}"
    if not (folder / _ABOUT).is_file():
        _make(exercise, seed, folder)
    about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    return Record(
        folder, tuple(about["seeds"]), about["window"], about["story"], datetime.fromisoformat(about["as_of"])
    )


def _make(exercise: Exercise, seed: int, folder: Path) -> None:
    """Generate beside the place and move it there whole: another process may do the same."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for old in folder.parent.glob("*-*-*"):  # of an earlier version; another one may still be at work with its own
        if time.time() - old.stat().st_mtime > _KEPT_DAYS * 86400:
            shutil.rmtree(old, ignore_errors=True)
    place = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        made = generate(exercise.name, seed=seed, out=place, settings=exercise.settings)
        (place / _ABOUT).write_text(json.dumps(_about(made)), encoding="utf-8")
        place.rename(folder)
    except OSError:
        if not (folder / _ABOUT).is_file():
            raise
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _about(made: Generated) -> dict[str, Any]:
    story = made.story.read_text(encoding="utf-8") if made.story else ""
    return {"seeds": made.seeds, "window": made.window_told, "story": story, "as_of": made.as_of.isoformat()}


def _kept() -> Path:
    """Folder of the user's cache; a temporary one where that cannot be written."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cirtlib" / "training"
    try:
        base.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return Path(tempfile.gettempdir()) / f"cirtlib-training-{os.getuid()}"
    return base if os.access(base, os.W_OK) else Path(tempfile.gettempdir()) / f"cirtlib-training-{os.getuid()}"


def _recipe(exercise: Exercise) -> str:
    """Hash of all that an incident is made from: scenario, settings and the generator."""
    made_of = hashlib.sha256(json.dumps(exercise.settings, sort_keys=True).encode())
    made_of.update(scenario_file(exercise.name).read_bytes())
    for path in sorted(Path(__file__).parent.parent.glob("*.py")):
        made_of.update(path.read_bytes())
    return made_of.hexdigest()[:12]
