"""The learner's folder of an exercise: what lies in it, how it is made, mended and begun anew.

Nothing in it tells the truth of the incident. `reset` makes all of it anew but what the learner wrote: answers, notes,
own files and the progress survive, and a case that was worked in is put aside.
"""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from cirtlib.case import Case, load_case
from cirtlib.errors import CaseError, TrainingError
from cirtlib.intake import start as start_case
from cirtlib.locking import alone
from cirtlib.text import visible
from cirtlib.training.exercise import answer_file, sheets
from cirtlib.training.exercise.marking import arising
from cirtlib.training.exercise.model import Exercise, load_exercise
from cirtlib.training.exercise.record import Record, record_of

MARKER = ".cirt-exercise"
PROGRESS, ANSWERS, NOTES, NOTEBOOK, RESULT = (
    "progress.json",
    "answers.yaml",
    "notes.md",
    "exercise.ipynb",
    "result.json",
)
# What a learner hands in who does not use `cirt scope`.
MY_SCOPE, MY_TIMELINE = "my_scope.csv", "my_timeline.csv"
HOME = Path("exercises")
# What `reset` throws away: everything that can be made again.
_MADE = ("evidence", "account", "README.md", "story.md", RESULT, "debrief.html")
CASE = "case"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Workspace:
    """One learner's exercise: its folder, which exercise it is, and the seed of its incident."""

    path: Path
    exercise: Exercise
    seed: int

    @cached_property
    def record(self) -> Record:
        """What really happened.

        Raises
        ------
        TrainingError
            when the folder's evidence is that of another version of cirtlib, which made another incident.
        """
        found = record_of(self.exercise, self.seed)
        if _incident(self.path) not in ("", found.fingerprint):
            raise TrainingError(
                f"{self.path} was begun with another version of cirtlib, whose incident is another; "
                f"`{self.command('reset')}` makes it anew and keeps your answers"
            )
        return found

    @cached_property
    def asked(self) -> Exercise:
        """The exercise as its incident asks it: the questions that arise, with their points."""
        return arising(self.exercise, self.record)

    def case(self) -> Case:
        """The case of the exercise.

        Raises
        ------
        TrainingError
            when its folder is gone or damaged.
        """
        try:
            return load_case(self.path / CASE)
        except CaseError as error:
            raise TrainingError(f"{error}; `{self.command('reset')}` makes it anew and keeps your answers") from error

    def command(self, *words: str) -> str:
        """A `cirt train` command about this exercise, as one types it."""
        place = os.path.relpath(self.path)
        return shlex.join(["cirt", "train", *words, *([place] if words[0] == "account" else ["--dir", place])])

    def progress(self) -> dict[str, Any]:
        """What is kept of the learner's way.

        Returns
        -------
        dict
            `started`, a time; question -> `tries` that were wrong, what these meant (`wrong`), `hints` taken, `marks`
            (share of the last answer), `settled` (tries and hints when it was first answered right).
        """
        empty: dict[str, Any] = {"started": "", "tries": {}, "wrong": {}, "hints": {}, "marks": {}, "settled": {}}
        try:
            found = json.loads((self.path / PROGRESS).read_text(encoding="utf-8"))
            if _sound(found):
                return {**empty, **found}
        except FileNotFoundError:
            return empty
        except (OSError, ValueError, RecursionError):
            pass
        broken = _free(self.path / f"{PROGRESS}.broken")
        (self.path / PROGRESS).replace(broken)
        sys.stderr.write(
            f"{visible(str(self.path / PROGRESS))} was damaged and is put aside as {broken.name}: hints and tries "
            f"count from now on; your answers stay in {ANSWERS}\n"
        )
        return empty

    def keep(self, progress: dict[str, Any]) -> None:
        """Write the progress."""
        _write(self.path / PROGRESS, json.dumps(progress, indent=1) + "\n")


def _sound(found: object) -> bool:
    """Whether a progress holds what `Workspace.keep` writes, also of earlier versions, down to the last number."""

    def count(one: object) -> bool:
        return isinstance(one, int) and 0 <= one < 1_000_000

    inner: dict[str, Callable[[Any], bool]] = {
        "tries": count,
        "hints": count,
        "wrong": lambda one: isinstance(one, list) and all(isinstance(text, str) for text in one),
        "marks": lambda one: isinstance(one, dict),
        "settled": lambda one: isinstance(one, dict) and count(one.get("hints")) and count(one.get("tries")),
    }
    if not isinstance(found, dict) or not isinstance(found.get("started", ""), str):
        return False
    return all(
        isinstance(of_each := found.get(key, {}), dict) and all(fits(one) for one in of_each.values())
        for key, fits in inner.items()
    )


def start(name: str, *, seed: int = 1, folder: Path | None = None, say: Say = lambda _: None) -> tuple[Workspace, bool]:
    """Make the folder of an exercise, or mend one that is there; also whether it was begun before.

    Parameters
    ----------
    folder
        Default: exercises/NAME-SEED.

    Raises
    ------
    TrainingError
        when there is no such exercise, or the folder holds something else.
    """
    exercise = load_exercise(name)
    place = (folder or _here(exercise, seed) or HOME / f"{exercise.name.replace('_', '-')}-{seed}").absolute()
    if place.exists() and not place.is_dir():
        raise TrainingError(f"{place} is a file; choose another folder with --dir")
    place.mkdir(parents=True, exist_ok=True)
    with alone(place):
        return _begin(place, exercise, seed, say)


def _inside() -> Path | None:
    """Folder of the exercise in or below which we are."""
    return next((one for one in (Path.cwd(), *Path.cwd().parents) if (one / MARKER).is_file()), None)


def _here(exercise: Exercise, seed: int) -> Path | None:
    """Folder of the exercise that we are in; None outside of exercises.

    Raises
    ------
    TrainingError
        when it is another one: nobody wants an exercise inside an exercise.
    """
    inside = _inside()
    found = _marked(inside) if inside else None
    if inside is None or found is None:
        return None
    if found != (exercise.name, seed):
        raise TrainingError(
            f"you are in the exercise {found[0]} with seed {found[1]} ({inside}); "
            "go somewhere else, or choose a folder with --dir"
        )
    return inside


def _begin(place: Path, exercise: Exercise, seed: int, say: Say) -> tuple[Workspace, bool]:
    before = any(place.iterdir())
    if before:
        found = _marked(place)
        if found is None:
            raise TrainingError(f"{place} holds files that are no exercise; choose another folder with --dir")
        if found != (exercise.name, seed):
            there = f"the exercise {found[0]} with seed {found[1]}"
            raise TrainingError(f"{place} holds {there}; choose another folder with --dir")
    space = Workspace(place, exercise, seed)
    if before:
        len(space.record.seeds)  # of this version?
    _make(space, say)
    return space, before


def find(folder: Path | None = None) -> Workspace:
    """The exercise in a folder; by default the one we are in, else the only one (or the last begun) under exercises/.

    Raises
    ------
    TrainingError
        when there is none.
    """
    if folder is not None:
        named = HOME.glob(f"{str(folder).replace('_', '-')}-*/{MARKER}") if folder.name == str(folder) else []
        begun = sorted(named, key=lambda path: path.stat().st_mtime)
        place = begun[-1].parent.absolute() if begun and not folder.is_dir() else folder.absolute()
    else:
        inside = _inside()
        begun = sorted(HOME.glob(f"*/{MARKER}"), key=lambda path: path.stat().st_mtime) if HOME.is_dir() else []
        if not inside and not begun:
            raise TrainingError(
                "no exercise is begun here; `cirt train list` shows them, `cirt train start NAME` begins one"
            )
        place = inside or begun[-1].parent.absolute()
    found = _marked(place)
    if found is None:
        raise TrainingError(
            f"{place} holds no exercise (its file {MARKER} is gone or damaged); "
            f"`cirt train start NAME --seed N --dir {shlex.quote(str(folder or place))}` begins or mends one"
        )
    return Workspace(place, load_exercise(found[0]), found[1])


def reset(space: Workspace, *, say: Say = lambda _: None) -> list[str]:
    """Make everything anew but what the learner wrote; returns what was kept.

    A case that holds anything but what was made with it (notes, decisions, results, notebooks) is put aside, which is
    said. The practice account must have been stopped.
    """
    with alone(space.path):
        record_of(space.exercise, space.seed)  # nothing is taken away before what comes instead can be made
        for name in _MADE:
            path = space.path / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        _make(space, say, anew=True)
    made = {*_MADE, CASE, MARKER, ".jupyter"}
    return sorted(path.name for path in space.path.iterdir() if path.name not in made)


def _marked(place: Path) -> tuple[str, int] | None:
    """Exercise and seed of a folder: by its marker, else by its progress, else by its name."""
    for file in (place / MARKER, place / PROGRESS):
        try:
            about = json.loads(file.read_text(encoding="utf-8"))
            if isinstance(about["seed"], int):
                return load_exercise(str(about["exercise"])).name, about["seed"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError, TrainingError):
            continue
    name, _, seed = place.name.rpartition("-")
    if not (place / ANSWERS).is_file() or not seed.isdecimal():
        return None
    try:
        return load_exercise(name).name, int(seed)
    except TrainingError:
        return None


def _incident(place: Path) -> str:
    """Fingerprint of the incident whose evidence lies in a folder, '' where none tells."""
    try:
        return str(json.loads((place / MARKER).read_text(encoding="utf-8"))["incident"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def _make(space: Workspace, say: Say, *, anew: bool = False) -> None:
    """Put in place whatever is not there; the case even if it is there, when it is wanted `anew`."""
    say("making the incident ...")
    record = record_of(space.exercise, space.seed)
    about = {"exercise": space.exercise.name, "seed": space.seed}
    _write(space.path / MARKER, json.dumps({**about, "incident": record.fingerprint}) + "\n")
    if not (space.path / PROGRESS).is_file():
        space.keep({**about, **space.progress(), "started": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"})
    _evidence(space, record)
    if anew or not (space.path / CASE / "case.yaml").is_file():
        _new_case(space, record, say)
    told, asked = sheets.story(space.exercise, record), space.asked
    _write(space.path / "story.md", told)
    _write(space.path / "README.md", sheets.readme(asked, record))
    for name, content in (
        (ANSWERS, answer_file.blank(asked)),
        (NOTES, sheets.NOTES),
        (NOTEBOOK, sheets.notebook(asked, told)),
    ):
        if not (space.path / name).exists():
            _write(space.path / name, content)


def _evidence(space: Workspace, record: Record) -> None:
    """Copy what the analyst is given, if any of it is missing."""
    for source in (record.logs, record.findings):
        target = space.path / "evidence" / source.name
        wanted = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
        if all(
            (target / path).is_file() and (target / path).stat().st_size == (source / path).stat().st_size
            for path in wanted
        ):
            continue
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)


def _new_case(space: Workspace, record: Record, say: Say) -> None:
    """Make the case; what lies in its place is put aside, and goes only if it is no more than what was made."""
    place = space.path / CASE
    aside = _free(space.path / f"{CASE}.before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    before = os.path.lexists(place)
    if before:
        place.rename(aside)
    _case(space, record)
    if before and _untouched(aside, place):
        shutil.rmtree(aside, ignore_errors=True)
    elif before:
        say(f"your case as it was, with its notes, decisions and results, is kept in {os.path.relpath(aside)}")


def _untouched(old: Path, new: Path) -> bool:
    """Whether a case holds nothing but what was made with it, and evidence that can be collected again."""
    if old.is_symlink() or not old.is_dir() or not {path.name for path in old.iterdir()} <= {"case.yaml", "evidence"}:
        return False
    file = old / "case.yaml"
    return not os.path.lexists(file) or (file.is_file() and file.read_bytes() == (new / "case.yaml").read_bytes())


def _free(path: Path) -> Path:
    """The path itself where nothing lies there, else with a number behind it."""
    names = (path, *(path.with_name(f"{path.name}-{number}") for number in range(2, 1000)))
    return next(one for one in names if not os.path.lexists(one))


def _case(space: Workspace, record: Record) -> None:
    start_case(
        space.path / CASE,
        logs=[space.path / "evidence" / "logs"],
        findings=[space.path / "evidence" / "findings"],
        seeds=record.seeds,
        window=record.window,
        content={
            "case": space.path.name,
            "title": visible(space.exercise.title),
            "as_of": record.as_of.isoformat(),
        },
    )


def _write(path: Path, text: str) -> None:
    """Write whole or not at all."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
