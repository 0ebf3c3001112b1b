"""Grade one answer: how much of the true one it is, and why it is not, without giving the right one away."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from cirtlib.text import visible
from cirtlib.training.exercise.model import Exercise, Question
from cirtlib.training.exercise.record import Record
from cirtlib.training.exercise.resolvers import resolve
from cirtlib.training.exercise.spelling import MARKS, Unclear, canonical, instant, parts

_DAY = timedelta(hours=15)
_NAMED = 5
_SHOWN = 80  # characters of an answer that cannot be read


@dataclass(frozen=True)
class Mark:
    """What came of an answer.

    Attributes
    ----------
    share
        0 to 1, of the question's points.
    says
        Why, for the learner.
    understood
        Whether the answer could be read; if not it does not count.
    meant
        The answer in its one spelling, the same for all that mean it; of a set, whatever its order.
    """

    share: float
    says: str
    understood: bool = True
    meant: str = ""

    @property
    def right(self) -> bool:
        """Whether nothing is missing and nothing is wrong."""
        return self.share == 1


def truth(question: Question, record: Record) -> list[str] | None:
    """All answers to a question in their one spelling; None where it does not apply to this incident.

    For a question with one answer, any of them is right.
    """
    found = resolve(question.answer, record)
    if found is None:
        return None
    several = found if isinstance(found, list | tuple | set) else [found]
    return sorted({_canonical(question.kind, one, record) for one in several})


def arising(exercise: Exercise, record: Record) -> Exercise:
    """The exercise with the questions that arise in an incident, and the points of the others shared out among them."""
    points = {one.id: one.points for one in exercise.questions if truth(one, record) is not None}
    cents, total = exercise.points["questions"] * 100, sum(points.values())
    given, so_far = {}, 0.0
    for name, own in points.items():  # rounded so that all of them together are the whole
        given[name] = (round((so_far + own) * cents / total) - round(so_far * cents / total)) / 100
        so_far += own
    tasks = tuple(
        replace(task, questions=tuple(replace(q, points=given[q.id]) for q in task.questions if q.id in given))
        for task in exercise.tasks
    )
    return replace(exercise, tasks=tasks)


def mark(question: Question, given: Any, record: Record) -> Mark:  # noqa: ANN401 - text or list
    """Grade what a learner gave."""
    right = truth(question, record)
    if right is None:
        return Mark(0, "This question does not arise in this incident; its points count for others.", understood=False)
    try:
        if question.many:
            return _set(question, {_meant(question, one, record) for one in _parts(question, given)}, right, record)
        answer = _meant(question, str(given), record)
    except Unclear as unclear:
        return Mark(0, f"Not counted: {unclear}", understood=False)
    if _near(question, answer, right):
        return Mark(1, question.because.strip() or "Right.", meant=answer)
    return Mark(0, _why(question, answer, right, record), meant=answer)


def chosen(question: Question, given: Any) -> list[str]:  # noqa: ANN401 - text or list
    """Keys of the choices that an answer names by key or words, as far as it does."""
    parted = _parts(question, given) if question.many else [str(given)]
    return [key for one in parted if (key := _key(question, one)) is not None]


def agreement(found: int, given: int, true: int) -> tuple[float, float, float]:
    """Precision, recall and their harmonic mean of `given` answers of which `found` are among the `true` ones.

    Nothing given where nothing is true agrees.
    """
    if not given and not true:
        return 1.0, 1.0, 1.0
    precision, recall = found / given if given else 0.0, found / true if true else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if found else 0.0


def _canonical(kind: str, value: object, record: Record) -> str:
    return value.isoformat() if isinstance(value, datetime) else canonical(kind, str(value), record)


def _parts(question: Question, given: Any) -> list[str]:  # noqa: ANN401 - text or list
    """Answers of a set; the words of one choice may have commas in them."""
    if question.kind == "choice" and isinstance(given, str) and _key(question, given) is not None:
        return [given]
    return parts(given)


def _meant(question: Question, text: str, record: Record) -> str:
    """The one spelling of one answer.

    Raises
    ------
    Unclear
        when it cannot be read.
    """
    if question.kind != "choice":
        return canonical(question.kind, text, record)
    key = _key(question, text)
    if key is None:
        several = "; several with commas between" if question.many else ""
        raise Unclear(
            f"{visible(text[:_SHOWN])!r} is none of the choices; give the key or the words of one of them: "
            f"{', '.join(question.choices)}{several}"
        )
    return key.casefold()


def _set(question: Question, mine: set[str], right: list[str], record: Record) -> Mark:
    if not mine:
        return Mark(0, "Not counted: the answer is empty", understood=False)
    hits = {one for one in mine if _near(question, one, right)}
    _, _, share = agreement(len(hits), len(mine), len(right))
    meant = ", ".join(sorted(mine))
    if share == 1:
        return Mark(1, question.because.strip() or "Right, and complete.", meant=meant)
    wrong = sorted(mine - hits)
    missing = len(right) - len(hits)
    says = [f"{len(hits)} right"]
    if wrong:
        named = ", ".join(visible(one) for one in wrong[:_NAMED])
        says.append(f"{len(wrong)} not: {named}{' …' if len(wrong) > _NAMED else ''}")
    if missing > 0:
        says.append("something is missing")
    reasons = {said for one in wrong if (said := _mistake(question, one, record))}
    told = "; ".join(says) + "." + "".join(f" {said}" for said in sorted(reasons))
    return Mark(round(share, 3), told, meant=meant)


def _key(question: Question, given: str) -> str | None:
    """Key of the choice that was given by its key or by its words."""
    plain = _plain(given)
    return next((key for key, words in question.choices.items() if plain in (_plain(key), _plain(words))), None)


def _plain(text: str) -> str:
    """Words without case, quotes and stops around them, and with one space between."""
    return " ".join(text.casefold().strip(f"{MARKS}.,;()").replace("\u2019", "'").split())


def _near(question: Question, answer: str, right: list[str]) -> bool:
    if question.kind == "time":
        limit = timedelta(seconds=question.tolerance)
        return any(abs(instant(answer) - instant(one)) <= limit for one in right)
    if question.kind == "number":
        return any(abs(float(answer) - float(one)) <= question.tolerance for one in right)
    return answer in right


def _why(question: Question, answer: str, right: list[str], record: Record) -> str:
    if said := _mistake(question, answer, record):
        return said
    if question.kind == "time":
        return _why_time(question, answer, right)
    return f"{visible(answer)} is not it."


def _why_time(question: Question, answer: str, right: list[str]) -> str:
    gaps = [instant(answer) - instant(one) for one in right]
    gap = min(gaps, key=abs)
    hours = round(gap.total_seconds() / 3600)
    if hours and abs(gap) < _DAY and abs(gap - timedelta(hours=hours)) <= timedelta(seconds=question.tolerance):
        return (
            f"{answer} is whole hours away: is that the time of your own zone? Times of CloudTrail are UTC; "
            "give UTC, or an offset such as +02:00."
        )
    return f"{answer} (UTC) is not it: too {'late' if gap > timedelta() else 'early'}."


def _mistake(question: Question, answer: str, record: Record) -> str:
    """What is said of a typical wrong answer."""
    for one in question.mistakes:
        found = resolve(one.resolver, record)
        several = found if isinstance(found, list | tuple | set) else [] if found is None else [found]
        try:
            if any(_near(question, answer, [_canonical(question.kind, value, record)]) for value in several):
                return one.say
        except Unclear:
            continue
    return ""
