"""answers.yaml in the learner's folder: one line for each question, written by hand or by the commands.

A command replaces the text of one answer and nothing else: the learner's comments and the order of lines stay.
"""

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent, Event, ScalarEvent
from yaml.reader import Reader

from cirtlib.errors import TrainingError
from cirtlib.text import visible
from cirtlib.training.exercise.model import Exercise, Question

_HEAD = """\
# Your answers. Write each behind its colon and grade all with `cirt train check`; a set is a list: [one, another].
# `cirt train hint QUESTION` helps, and costs points. Text behind a # is yours: notes survive.
"""
_NOTE = re.compile(r"#[^\r\n]*")


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
    costs = "; each wrong choice costs some" if question.kind == "choice" else ""
    lines = textwrap.wrap(f"({question.points:g} points{costs}) {text}", 112)
    lines += [f"  {key}: {' '.join(words.split())}" for key, words in question.choices.items()]
    return ["\n", *(f"# {line}\n" for line in lines)]


def read(path: Path, exercise: Exercise) -> dict[str, Any]:
    """Question -> answer as it was typed (text, or list of texts), of those that are answered.

    Raises
    ------
    TrainingError
        when the file is no YAML of this form, or names a question that there is not.
    """
    found = _load(path, _text(path)) if path.is_file() else {}
    known = {question.id for question in exercise.questions}
    if unknown := [str(name) for name in found if name not in known]:
        there = f"the questions are {', '.join(sorted(known))}"
        raise TrainingError(f"{path} answers {', '.join(unknown)}, which is no question; {there}")
    wrong = [name for name, value in found.items() if isinstance(value, dict)]
    if wrong:
        raise TrainingError(f"{path}: the answer to {wrong[0]} must be a text or a list; put it in quotes")
    return {name: _storable(value) for name, value in found.items() if value not in (None, "", [], [""])}


def write(path: Path, exercise: Exercise, name: str, given: str | list[str]) -> str | list[str]:
    """Put one answer into the file, where all else stays as it is; returns the answer as it now stands there.

    Raises
    ------
    TrainingError
        when the file cannot be read, or not be changed without changing more than this answer; it is left alone then.
    """
    text = _text(path) if path.is_file() else blank(exercise)
    before = _load(path, text)
    answer: str | list[str] = _storable(given)
    # JSON is YAML; what YAML does not take as it is (a delete character, say) is escaped
    value = Reader.NON_PRINTABLE.sub(
        lambda one: f"\\u{ord(one[0]):04x}", visible(json.dumps(answer, ensure_ascii=False))
    )
    made = _replaced(text, name, value)
    try:
        sound = _load(path, made) == {**before, name: answer}
    except TrainingError:
        sound = False
    if not sound:
        raise TrainingError(
            f"{path} is written in a way in which the answer to {name} cannot be put in without changing more; "
            f"write it there yourself, on a line of its own: {name}: {value}"
        )
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(made.encode("utf-8"))
    beside.replace(path)
    return answer


def _text(path: Path) -> str:
    """The file's text, line ends as they are."""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise TrainingError(f"{path} is not readable near line {line}: save it as UTF-8") from error


def _load(path: Path, text: str) -> dict[str, Any]:
    """Answers as they stand in the text, each a text or a list of texts."""
    try:
        # the base loader leaves every value a text: 012345678901 stays an account, a time stays as it was typed
        found = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - it makes only texts
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" near line {where.line + 1}" if where else ""
        raise TrainingError(
            f"{path} is not readable{line}: write `question: answer`; put an answer with a colon and a space, or one "
            f"that begins with a special character, in quotes"
        ) from error
    if found in (None, ""):
        return {}
    if not isinstance(found, dict):
        raise TrainingError(f"{path} must hold lines of the form `question: answer`")
    return found


def _storable(given: Any) -> Any:  # noqa: ANN401 - text, or list of texts
    """An answer that a file can hold; bytes that are no text, as a terminal may pass them on, are seen to be lost."""
    if isinstance(given, list):
        return [_storable(one) for one in given]
    return str(given).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _replaced(text: str, name: str, value: str) -> str:
    """The text with another answer in it; notes inside the old answer stand behind or below the new one."""
    place = _place(text, name)
    if place is None:
        between = "" if not text or text.endswith(("\n", "\r")) else "\n"
        return f"{text}{between}{name}: {value}\n"
    colon, end, notes = place
    lines, rest = [f" {value}"], text[end:]
    for note in notes:
        before = text[colon : note.start()]
        if re.search(r"[\r\n]", before):
            lead = _lead(before)
            lines.append(f"{'  ' if lead.strip() else lead}{note[0]}")
        else:
            lines[0] += f"  {note[0]}"
    if notes and (behind := re.match(r"[ \t]*(?=#)", rest)):  # no two notes on a line
        lines.append(f"  {rest[behind.end() :]}")
        rest = ""
    return text[:colon] + "\n".join(lines) + rest


def _lead(before: str) -> str:
    """What stands on a line before its note."""
    return re.split(r"[\r\n]", before)[-1]


def _place(text: str, name: str) -> tuple[int, int, list[re.Match[str]]] | None:
    """Where the answer to a question stands: from behind its colon to its last character, and the notes in between.

    None where the question is not in the text.
    """
    nodes = _nodes(text)
    # of two answers to a question the last counts
    found = [both for both in zip(nodes[::2], nodes[1::2], strict=True) if getattr(both[0][0], "value", None) == name]
    if not found:
        return None
    key, answer = found[-1]
    at = colon = text.index(":", _span(key[-1])[1]) + 1
    notes: list[re.Match[str]] = []
    for part in answer:
        start, end = _span(part)
        if isinstance(part, CollectionEndEvent) and start == end:  # of a list without brackets: where the next begins
            continue
        notes += _NOTE.finditer(text, at, max(at, start))
        if isinstance(part, ScalarEvent) and part.style in ("|", ">"):
            # behind the mark; and lines that YAML takes for the answer's own, but whoever wrote them for notes
            head = start + len(re.split(r"[\r\n]", text[start:end])[0])
            notes += _NOTE.finditer(text, start, head)
            notes += (one for one in _NOTE.finditer(text, head, end) if not _lead(text[: one.start()]).strip())
        at = max(at, start + len(text[start:end].rstrip()))
    return colon, at, notes


def _span(event: Event) -> tuple[int, int]:
    """Where an event of YAML begins and ends in the text."""
    return (event.start_mark.index, event.end_mark.index) if event.start_mark and event.end_mark else (0, 0)


def _nodes(text: str) -> list[list[Event]]:
    """Keys and values of the text by turns, each as the events of which YAML makes it."""
    nodes: list[list[Event]] = []
    depth, parts = 0, list[Event]()
    for event in yaml.parse(text, Loader=yaml.BaseLoader):
        opens = isinstance(event, CollectionStartEvent)
        depth += opens - isinstance(event, CollectionEndEvent)
        if depth < 1 or (opens and depth == 1):  # the file and its outermost mapping
            continue
        parts.append(event)
        if depth == 1:
            nodes.append(parts)
            parts = []
    return nodes
