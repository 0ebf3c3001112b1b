"""An exercise inside its notebook: answer fields that grade at once, hints one by one, points so far.

Everything can be had without widgets: `exercise.answer("question", "…")`, `exercise.hint("question")`, and the commands
of `cirt train`.
"""

from html import escape
from pathlib import Path

import pandas as pd

from cirtlib.case import Case
from cirtlib.collect import collect
from cirtlib.display import Html, show_table
from cirtlib.errors import CirtError, TrainingError
from cirtlib.text import visible
from cirtlib.training.exercise import course, field
from cirtlib.training.exercise.course import Graded
from cirtlib.training.exercise.shown import show_well
from cirtlib.training.exercise.workspace import MY_SCOPE, MY_TIMELINE, Workspace, find


def open_exercise(folder: str = ".") -> "Tutor":
    """Open the exercise of a learner's folder, and let the notebook show tables whole (`shown.show_well`).

    Raises
    ------
    TrainingError
        when the folder holds none.
    """
    show_well()
    return Tutor(find(Path(folder)))


class Tutor:
    """The exercise as its notebook uses it."""

    def __init__(self, space: Workspace) -> None:
        self.space = space

    def __repr__(self) -> str:
        return f"Exercise {self.space.exercise.name}, seed {self.space.seed}, in {self.space.path}"

    def case(self) -> Case:
        """The case of the exercise; what it has not yet read of its evidence is collected."""
        case = self.space.case()
        if not (case.path / "evidence" / "collected.json").is_file():
            collect(case)
        return case

    def ask(self, name: str) -> field.Field | Html:
        """The answer field of a question, with buttons to check and for the next hint.

        Raises
        ------
        TrainingError
            when there is no such question.
        """
        question = self.space.exercise.question(name)
        if question.id not in course.asked(self.space):
            return field.said(
                "This question does not arise in this incident; its points count for the others.", good=True
            )
        return field.Field(self.space, question)

    def answer(self, name: str, given: str | list[str]) -> Html:
        """Give an answer; what comes of it."""
        try:
            return field.graded(course.answer(self.space, name, given if isinstance(given, list) else str(given)))
        except CirtError as error:
            return field.said(str(error), good=False)

    def hint(self, name: str) -> Html:
        """Show the next hint to a question. It costs points."""
        try:
            return field.hint(course.hint(self.space, name))
        except CirtError as error:
            return field.said(str(error), good=False)

    def progress(self) -> Html:
        """Table of the questions with what was given and the points so far."""
        try:
            graded = course.check(self.space)
        except CirtError as error:
            return field.said(str(error), good=False)
        rows = [
            {
                "question": one.question.id,
                "given": one.given if one.given is not None else "",
                "right": _word(one),
                "hints": one.hints,
                "points": f"{one.points:g} of {one.out_of:g}",
            }
            for one in graded
        ]
        got, of = sum(one.points for one in graded), sum(one.out_of for one in graded)
        return show_table(pd.DataFrame(rows), f"Answers so far: {got:.4g} of {of:.4g} points", rows=60)

    def scope_is(self, nodes: pd.DataFrame) -> Html:
        """Hand in a scope of one's own, a frame with the columns kind and value, instead of that of `cirt scope`.

        Raises
        ------
        TrainingError
            when the frame lacks one of the columns.
        """
        _has(nodes, "kind", "value")[["kind", "value"]].to_csv(self.space.path / MY_SCOPE, index=False)
        return field.said(f"{len(nodes)} nodes written to {MY_SCOPE}", good=True)

    def timeline_is(self, events: pd.DataFrame) -> Html:
        """Hand in a timeline of one's own: a frame with the column event_id.

        Raises
        ------
        TrainingError
            when the frame lacks the column.
        """
        _has(events, "event_id")[["event_id"]].to_csv(self.space.path / MY_TIMELINE, index=False)
        return field.said(f"{len(events)} events written to {MY_TIMELINE}", good=True)

    def submit(self) -> Html:
        """Grade everything, the accounts' state included, and write the debrief."""
        from cirtlib.training.exercise.submit import DEBRIEF, describe, submit  # noqa: PLC0415 - it needs the emulator

        try:
            result = submit(self.space)
        except CirtError as error:
            return field.said(str(error), good=False)
        words = [line.strip() for line in describe(self.space, result)]
        items = "".join(f"<li>{escape(visible(' '.join(line.split())))}</li>" for line in words[1:])
        opened = f'<p><a href="{DEBRIEF}" target="_blank"><b>Open the debrief</b></a></p>'
        return Html(f"<p><b>{escape(visible(words[0]))}</b></p><ul>{items}</ul>{opened}")


def _word(one: Graded) -> str:
    """Whether an answer is right, in the table of all."""
    if one.given is None:
        return ""
    if not one.mark.understood:
        return "not counted"
    return "yes" if one.mark.right else "partly" if one.mark.share else "no"


def _has(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The frame, which must have these columns."""
    if missing := [name for name in columns if name not in frame]:
        raise TrainingError(
            f"the frame has no column {', '.join(missing)}; it has {', '.join(map(str, frame)) or 'none'}"
        )
    return frame
