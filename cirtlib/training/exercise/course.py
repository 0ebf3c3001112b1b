"""The learner's way through the questions: an answer graded at once, one hint after the other, and what both cost."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from cirtlib.training.exercise import answer_file
from cirtlib.training.exercise.marking import Mark, mark, truth
from cirtlib.training.exercise.model import HINT_COSTS, HINT_LEVELS, Question
from cirtlib.training.exercise.record import Record
from cirtlib.training.exercise.workspace import ANSWERS, Workspace


@dataclass(frozen=True)
class Graded:
    """An answer that was graded.

    Attributes
    ----------
    points, out_of
        Points that it has now, after hints and wrong choices, of those that it could have had.
    left
        Points that a right answer would have now.
    """

    question: Question
    given: Any
    mark: Mark
    points: float
    out_of: float
    hints: int
    left: float

    def to_dict(self) -> dict[str, Any]:
        """As result.json holds it."""
        return {
            "id": self.question.id,
            "ask": " ".join(self.question.ask.split()),
            "given": self.given,
            "right": self.mark.right,
            "points": self.points,
            "out_of": self.out_of,
            "hints": self.hints,
            "why": self.mark.says,
            "see": self.question.see,
        }


@dataclass(frozen=True)
class Hint:
    """One hint: which of how many, what kind it is, its text, and what it costs in points."""

    number: int
    of: int
    level: str
    text: str
    cost: float


def asked(space: Workspace) -> dict[str, float]:
    """Question -> its points, of those that arise in this incident; the points of others are shared out among them."""
    return {one.id: one.points for one in space.asked.questions}


def answer(space: Workspace, name: str, given: str | list[str]) -> Graded:
    """Note an answer in answers.yaml and the progress, and grade it; what cannot be read replaces none that could.

    Raises
    ------
    TrainingError
        when there is no such question, or answers.yaml cannot take the answer.
    """
    question = space.exercise.question(name)
    worth, found = asked(space).get(question.id, 0.0), mark(question, given, space.record)
    if given and not found.understood and standing(space, question.id) is not None:
        graded = _grade(space, question, given, worth)
        return replace(graded, mark=replace(found, says=f"{found.says}; your answer before this one stays"))
    given = answer_file.write(space.path / ANSWERS, space.exercise, question.id, given)
    return _grade(space, question, given, worth)


def check(space: Workspace) -> list[Graded]:
    """Grade all of answers.yaml, in the order of the questions; those without an answer have no points."""
    given = answer_file.read(space.path / ANSWERS, space.exercise)
    return [
        _grade(space, space.exercise.question(name), given.get(name), worth) for name, worth in asked(space).items()
    ]


def next_step(space: Workspace, graded: list[Graded]) -> str:
    """What to do after a check of all answers: the first that is not right, else to contain and hand in."""
    for one in graded:
        if not one.mark.right:
            name = one.question.id
            return f"next: {space.command('check', name, 'ANSWER')}, or {space.command('hint', name)}"
    if not space.record.truth["extent"]:
        return f"next: {space.command('submit')}"
    return f"next: contain ({space.command('account', 'start')}), then {space.command('submit')}"


def hint(space: Workspace, name: str) -> Hint:
    """Give the next hint to a question, and note that it was given; the last one again when all were.

    Raises
    ------
    TrainingError
        when there is no such question.
    """
    question = space.exercise.question(name)
    progress = space.progress()
    had = int(progress["hints"].get(question.id, 0))
    number = min(had + 1, len(question.hints) + 1)
    progress["hints"][question.id] = number
    space.keep(progress)
    return _hint(space, question, number, had)


def hints_given(space: Workspace, name: str) -> list[Hint]:
    """The hints that were given to a question, from the first, with what each cost."""
    question = space.exercise.question(name)
    had = min(int(space.progress()["hints"].get(question.id, 0)), len(question.hints) + 1)
    return [_hint(space, question, number, number - 1) for number in range(1, had + 1)]


def standing(space: Workspace, name: str) -> Graded | None:
    """What came of the answer to a question that was graded last; None if it was none, or was changed since."""
    question = space.exercise.question(name)
    given = answer_file.read(space.path / ANSWERS, space.exercise).get(question.id)
    last = space.progress()["marks"].get(question.id)
    if not given or not last or last.get("given") != given:
        return None
    return _grade(space, question, given, asked(space).get(question.id, 0.0))


def _hint(space: Workspace, question: Question, number: int, had: int) -> Hint:
    """Hint of this number; it cost what lies between it and the `had` hints before."""
    texts = [*question.hints, _answer(question, space.record)]
    levels = HINT_LEVELS[-len(texts) :] if len(texts) <= len(HINT_LEVELS) else HINT_LEVELS
    level = levels[number - 1]
    text = texts[number - 1].removeprefix(f"{level}: ")
    return Hint(number, len(texts), level, text, _cost(space, question, number, had))


def next_cost(space: Workspace, name: str) -> float | None:
    """Points that the next hint to a question costs; None where there is none left."""
    question = space.exercise.question(name)
    had = int(space.progress()["hints"].get(question.id, 0))
    if had > len(question.hints):
        return None
    return _cost(space, question, had + 1, had)


def _cost(space: Workspace, question: Question, number: int, had: int) -> float:
    """Points for the hints after the first `had`, up to a number; none for those after a right answer."""
    settled = space.progress()["settled"].get(question.id)
    if settled and had >= settled["hints"]:
        return 0.0
    share = _percent(question, number) - _percent(question, had)
    return round(asked(space).get(question.id, 0.0) * share / 100, 2)


def _percent(question: Question, number: int) -> int:
    """What the first `number` hints cost together, of 100; whoever was told the answer has nothing left."""
    return 100 if number > len(question.hints) else sum(HINT_COSTS[:number])


def _answer(question: Question, record: Record) -> str:
    found = truth(question, record)
    if found is None:
        return "This question does not arise in this incident."
    words = [f"{one}: {question.choices[one]}" if one in question.choices else one for one in found]
    several = "; all of them count" if question.many else "; any of them is right" if len(words) > 1 else ""
    return f"the answer: {', '.join(words).rstrip('.')}{several}. {question.because.strip()}"


def _grade(space: Workspace, question: Question, given: Any, out_of: float) -> Graded:  # noqa: ANN401 - text or list
    """Grade an answer to a question that is worth `out_of` points in this incident."""
    progress = space.progress()
    hints, tries = int(progress["hints"].get(question.id, 0)), int(progress["tries"].get(question.id, 0))
    settled = progress["settled"].get(question.id)
    if given in (None, "", []):
        return Graded(question, None, Mark(0, "Not answered.", understood=False), 0.0, out_of, hints, out_of)
    found = mark(question, given, space.record)
    if found.understood:
        tried = _tried(space, question, progress)
        if not found.right and found.meant not in tried:
            tries += 1
            progress["wrong"][question.id] = [*tried, found.meant]
        progress["tries"][question.id] = tries
        if found.right and settled is None:  # what is asked or tried from now on costs nothing
            settled = progress["settled"][question.id] = {"hints": hints, "tries": tries}
        progress["marks"][question.id] = {
            "given": given,
            "share": found.share,
            "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        space.keep(progress)
    if found.right and settled:
        hints, tries = settled["hints"], settled["tries"]
    left = max(0, 100 - _percent(question, hints)) / 100 if hints else 1.0
    if question.kind == "choice" and tries:  # whoever tries them all has found out nothing
        left *= max(0.0, 1 - tries / max(1, len(question.choices) - 1))
    points, most = round(out_of * found.share * left, 2), round(out_of * left, 2)
    return Graded(question, given, found, points, out_of, hints, most)


def _tried(space: Workspace, question: Question, progress: dict[str, Any]) -> list[str]:
    """What the wrong answers so far meant: the same in other words, or in another order, is no new try."""
    kept: list[str] | None = progress["wrong"].get(question.id)
    if kept is not None:
        return kept
    last = progress["marks"].get(question.id, {}).get("given")  # all that earlier versions of cirtlib kept
    before = mark(question, last, space.record) if last else None
    return [before.meant] if before and before.understood and not before.right else []
