"""What the learner reads and works in: the story, a README, notes, and the notebook of an exercise."""

import hashlib
import os
import string
from pathlib import Path
from typing import Any

import nbformat

from cirtlib.training.exercise.model import HINT_COSTS, HINT_LEVELS, Exercise, Question, Task
from cirtlib.training.exercise.record import Record

NOTES = """\
# Notes

What I saw, when, and in which event (id). What I did, and why.
"""
_SEVERITIES = ((9, "Critical"), (7, "High"), (4, "Medium"), (0, "Low"))


def story(exercise: Exercise, record: Record) -> str:
    """What the learner is told at first: the scenario's own story, else the exercise's with this incident's names."""
    if record.story:
        return record.story
    return string.Template(exercise.story).safe_substitute(_told(record)).strip() + "\n"


def _told(record: Record) -> dict[str, str]:
    """What the finding says from which the investigation starts."""
    kind, _, arn = record.seeds[0].partition("=")
    finding = _finding(record, arn) if kind == "finding" else {}
    severity = float(finding.get("severity", 0))
    return {
        "finding": arn,
        "type": str(finding.get("type", "")),
        "account": str(finding.get("accountId", "")),
        "region": str(finding.get("region", "")),
        "severity": next(word for least, word in _SEVERITIES if severity >= least),
        "time": str(finding.get("updatedAt", ""))[:16].replace("T", " "),
        "now": f"{record.as_of:%Y-%m-%d %H:%M} UTC",
    }


def _finding(record: Record, arn: str) -> dict[str, Any]:
    return next((one for one in record.guardduty if one["arn"] == arn), {})


def readme(one: Exercise, record: Record) -> str:
    """README of the learner's folder."""
    template = string.Template((Path(__file__).parents[2] / "data" / "exercise_readme.md").read_text(encoding="utf-8"))
    return template.substitute(
        one.points,
        title=one.title,
        minutes=one.minutes,
        goals=_goals(one),
        costs=", ".join(f"{level} {cost} %" for level, cost in zip(HINT_LEVELS, HINT_COSTS, strict=True)),
        now=f"{record.as_of:%Y-%m-%d %H:%M} UTC",
    )


def _goals(exercise: Exercise) -> str:
    return "\n".join(f"* {goal}" for goal in exercise.goals)


def begun(one: Exercise, folder: Path, *, before: bool) -> list[str]:
    """What is said when an exercise has been begun in a folder."""
    place = os.path.relpath(folder)
    first = f"goes on in {place}; what was missing is there again" if before else f"is in {place}"
    return [
        f"{one.title} (about {one.minutes} minutes) {first}",
        "",
        (folder / "story.md").read_text(encoding="utf-8").strip(),
        "",
        f"next: cirt lab {place}                 work in the browser, or",
        f"      cirt collect {place}/case        work on the command line; the questions",
        f"                                       stand in {place}/answers.yaml,",
        f"                                       how to work in {place}/README.md",
    ]


def notebook(one: Exercise, told: str) -> str:
    """The exercise's notebook, as JSON."""
    intro = f"About {one.minutes} minutes. Run the cells from the top, with Shift and Enter."
    cells = [
        _text(f"# {one.title}\n\n{intro}\n\n{_goals(one)}"),
        _text(_below(told)),
        _code(_FOLDER, "parameters"),
        _code(_OPEN),
        _text(_HOW),
    ]
    for number, task in enumerate(one.tasks, 1):
        cells += _task(number, task)
    cells += [
        _text("## Submit\n\nGrades everything, the account's state included, and writes the debrief."),
        _code("exercise.progress()"),
        _code("# exercise.submit()  # when you are done: take the first # away and run this cell"),
    ]
    for cell in cells:
        cell["id"] = hashlib.sha256(f"{len(cell.source)}{cell.source}".encode()).hexdigest()[:12]
    made = nbformat.v4.new_notebook(cells=cells)
    made.metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    seen: set[str] = set()
    for cell in made.cells:
        while cell.id in seen:
            cell.id += "x"
        seen.add(cell.id)
    return str(nbformat.writes(made)) + "\n"


_HOW = """\
Under each question stands a field: type or choose the answer and press **Check** (or Enter). **Hint** helps, and costs
what it says. Answers, hints and points are kept when you close the notebook. Without buttons,
`exercise.answer("question", "…")` and `exercise.hint("question")` do the same. Add cells of your own wherever you
like."""

_FOLDER = 'folder: str = "."  # the exercise\'s folder'

_OPEN = """\
from cirtlib.training.exercise.tutor import open_exercise

exercise = open_exercise(folder)
case = exercise.case()"""


def _task(number: int, task: Task) -> list[Any]:
    cells = [_text(f"## {number}. {task.title}\n\n{task.text.strip()}")]
    cells += [_code(source.rstrip()) for source in task.cells]
    for question in task.questions:
        cells += [_text(_asked(question)), _code(f'exercise.ask("{question.id}")')]
    return cells


def _asked(question: Question) -> str:
    choices = "".join(f"\n* **{key}**: {words.strip()}" for key, words in question.choices.items())
    several = " There may be several." if question.many else ""
    costs = " Each wrong choice costs points." if question.kind == "choice" else ""
    return f"**{question.id}** ({question.points:g} points). {question.ask.strip()}{several}{costs}{choices}"


def _below(markdown: str) -> str:
    """Markdown whose headings stand one level deeper."""
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in markdown.splitlines())


def _text(source: str) -> Any:  # noqa: ANN401 - nbformat has no types
    return nbformat.v4.new_markdown_cell(source)


def _code(source: str, *tags: str) -> Any:  # noqa: ANN401 - nbformat has no types
    return nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)} if tags else {})
