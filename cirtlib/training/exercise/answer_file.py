"""answers.yaml in the learner's folder: one line for each question, written by hand or by the commands."""

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import yaml

from cirtlib.errors import TrainingError
from cirtlib.training.exercise.model import Exercise, Question

_HEAD = """\
# Your answers. Write each behind its colon and grade all with `cirt train check`; a set is a list: [one, another].
# `cirt train hint QUESTION` helps, and costs points. Text behind a # is yours: notes survive.
"""


def blank(exercise: Exercise) -> str:
    """File with every question and no answer."""
    lines = [_HEAD]
    for task in exercise.tasks:
        if task.questions:
            lines.append(f"\n# {task.title}\n")
        for question in task.questions:
            lines += [*_asked(question), f"{question.id}: {'[]' if question.many else ''}".rstrip() + "\n"]
    return "".join(lines)


def _asked(question: Question) -> list[str]:
    text = " ".join(question.ask.split())
    lines = textwrap.wrap(f"({question.points} points) {text}", 112)
    lines += [f"  {key}: {' '.join(words.split())}" for key, words in question.choices.items()]
    return ["\n", *(f"# {line}\n" for line in lines)]


def read(path: Path, exercise: Exercise) -> dict[str, Any]:
    """Question -> answer as it was typed (text, or list of texts), of those that are answered.

    Raises
    ------
    TrainingError
        when the file is no YAML of this form, or names a question that there is not.
    """
    if not path.is_file():
        return {}
    try:
        # the base loader leaves every value a text: 012345678901 stays an account, a time stays as it was typed
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - it makes only texts
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" near line {where.line + 1}" if where else ""
        raise TrainingError(
            f"{path} is not readable{line}: write `question: answer`; put an answer with a colon and a space, or one "
            f"that begins with a special character, in quotes"
        ) from error
    if found in (None, ""):
        return {}
    known = {question.id for question in exercise.questions}
    if not isinstance(found, dict):
        raise TrainingError(f"{path} must hold lines of the form `question: answer`")
    if unknown := [str(name) for name in found if name not in known]:
        there = f"the questions are {', '.join(sorted(known))}"
        raise TrainingError(f"{path} answers {', '.join(unknown)}, which is no question; {there}")
    wrong = [name for name, value in found.items() if isinstance(value, dict)]
    if wrong:
        raise TrainingError(f"{path}: the answer to {wrong[0]} must be a text or a list; put it in quotes")
    return {name: value for name, value in found.items() if value not in (None, "", [], [""])}


def write(path: Path, exercise: Exercise, name: str, given: str | list[str]) -> None:
    """Put one answer into the file; all else in it stays as it is."""
    text = path.read_text(encoding="utf-8") if path.is_file() else blank(exercise)
    value = json.dumps(given, ensure_ascii=False)
    line = f"{name}: {value}\n"
    found = re.search(rf"^{re.escape(name)}:[^\n]*\n?(?:[ \t-]+[^\n]*\n?)*", text, re.MULTILINE)
    if found:
        comment = re.search(r"\s#[^\n]*", found[0].split("\n", 1)[0])
        kept = f"{name}: {value}{comment[0]}\n" if comment and '"' not in comment[0] else line
        text = text[: found.start()] + kept + text[found.end() :]
    else:
        text = text.rstrip("\n") + f"\n{line}"
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
