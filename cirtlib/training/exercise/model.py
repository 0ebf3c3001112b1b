"""An exercise as its exercise.yaml describes it: what the learner is told, asked, and helped with."""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from cirtlib.errors import TrainingError
from cirtlib.shipped import shipped

FILE = "exercise.yaml"
SCHEMA = "exercise.schema.json"
# What the hints of a question are, in their order; the last is computed, the others stand in the file.
HINT_LEVELS = ("general", "the tool", "the query", "the answer")
# What each hint takes of the question's points, as percent.
HINT_COSTS = (10, 15, 25, 50)


@dataclass(frozen=True)
class Mistake:
    """A typical wrong answer: the resolver that gives it, and why it is wrong."""

    resolver: str
    say: str


@dataclass(frozen=True)
class Question:
    """One question: how its answer is given (`kind`), the resolver of the true one, points and help.

    Attributes
    ----------
    many
        Whether the answer is a set.
    tolerance
        Seconds by which an answer of kind time, or the amount by which a number, may be off.
    choices
        Key -> text, for kind choice.
    see
        Where the answer can be seen: `notebook` and `question` (of `cirt questions list`).
    """

    id: str
    ask: str
    kind: str
    answer: str
    points: float
    many: bool = False
    tolerance: float = 0
    choices: dict[str, str] = field(default_factory=dict)
    mistakes: tuple[Mistake, ...] = ()
    because: str = ""
    hints: tuple[str, ...] = ()
    see: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """One step of an exercise: what to do (Markdown), cells that work, and the questions that it answers."""

    id: str
    title: str
    text: str
    cells: tuple[str, ...]
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes
    ----------
    minutes
        How long it takes.
    settings
        What stands before the scenario's own settings.
    points
        Points of questions, scope, timeline and containment, 100 in all.
    containment
        Points of the parts of the containment: ways, uses, evidence, cleanup.
    commands
        Commands of the AWS CLI that the hints suggest, with `$names` of resolvers.
    """

    name: str
    title: str
    minutes: int
    teaches: tuple[str, ...]
    goals: tuple[str, ...]
    story: str
    settings: dict[str, Any]
    points: dict[str, int]
    containment: dict[str, int]
    tasks: tuple[Task, ...]
    commands: tuple[str, ...]
    debrief: str

    @property
    def questions(self) -> tuple[Question, ...]:
        """All questions, in their order."""
        return tuple(question for task in self.tasks for question in task.questions)

    def question(self, name: str) -> Question:
        """Question of this id.

        Raises
        ------
        TrainingError
            when there is none.
        """
        for one in self.questions:
            if one.id == name.strip():
                return one
        known = ", ".join(one.id for one in self.questions)
        raise TrainingError(f"{self.name} has no question {name!r}; its questions are: {known}")


def exercises() -> list[Exercise]:
    """All exercises that ship, from the first to take to the last."""
    found = [load_exercise(path.parent.name) for path in sorted(shipped("scenarios").glob(f"*/{FILE}"))]
    return sorted(found, key=lambda one: (one.minutes, one.name))


@cache
def load_exercise(name: str) -> Exercise:
    """Read an exercise by the name of its folder in scenarios/ (dashes are as good as underscores).

    Raises
    ------
    TrainingError
        when there is none, or its exercise.yaml does not fit the schema; all faults are in one message.
    """
    folder = shipped("scenarios")
    known = sorted(path.parent.name for path in folder.glob(f"*/{FILE}"))
    asked = name.strip().replace("-", "_")
    if asked not in known:
        raise TrainingError(f"there is no exercise {name!r}; `cirt train list` shows them: {', '.join(known)}")
    return read_exercise(folder / asked / FILE)


def read_exercise(path: Path) -> Exercise:
    """Read and check one exercise.yaml; see `load_exercise`."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path} cannot be read as YAML: {error}") from error
    faults = _faults(data)
    if faults:
        raise TrainingError(f"{path}: " + "; ".join(faults))
    return Exercise(
        name=path.parent.name,
        title=data["title"],
        minutes=data["minutes"],
        teaches=tuple(data["teaches"]),
        goals=tuple(data["goals"]),
        story=data.get("story", ""),
        settings=data.get("settings", {}),
        points=data["points"],
        containment=data["containment"],
        tasks=tuple(_task(one) for one in data["tasks"]),
        commands=tuple(data.get("commands", ())),
        debrief=data.get("debrief", ""),
    )


def _faults(data: object) -> list[str]:
    schema = json.loads((shipped("scenarios") / SCHEMA).read_text(encoding="utf-8"))
    found = sorted(jsonschema.Draft202012Validator(schema).iter_errors(data), key=lambda one: list(map(str, one.path)))
    faults = [f"{'.'.join(map(str, one.path)) or 'the file'}: {one.message}" for one in found]
    if faults or not isinstance(data, dict):
        return faults
    names = [question["id"] for task in data["tasks"] for question in task.get("questions", ())]
    twice = sorted({name for name in names if names.count(name) > 1})
    faults += [f"question {name} is there twice" for name in twice]
    asked = sum(question["points"] for task in data["tasks"] for question in task.get("questions", ()))
    for what, total, wanted in (
        ("points", sum(data["points"].values()), 100),
        ("containment", sum(data["containment"].values()), data["points"]["containment"]),
        ("the questions' points", asked, data["points"]["questions"]),
    ):
        if total != wanted:
            faults.append(f"{what} add up to {total}, not {wanted}")
    return faults


def _task(data: dict[str, Any]) -> Task:
    questions = tuple(_question(one) for one in data.get("questions", ()))
    return Task(data["id"], data["title"], data["text"], tuple(data.get("cells", ())), questions)


def _question(data: dict[str, Any]) -> Question:
    plain = {key: value for key, value in data.items() if key not in ("mistakes", "hints")}
    mistakes = tuple(Mistake(one["is"], one["say"]) for one in data.get("mistakes", ()))
    return Question(**plain, mistakes=mistakes, hints=tuple(data.get("hints", ())))
