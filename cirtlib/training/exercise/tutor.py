"""An exercise inside its notebook: answer fields that grade at once, hints one by one, points so far.

Everything can be had without widgets: `exercise.answer("question", "…")`, `exercise.hint("question")`, and the commands
of `cirt train`.
"""

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pandas as pd
from IPython.display import display

from cirtlib.case import Case
from cirtlib.collect import collect
from cirtlib.display import Html, show_table
from cirtlib.errors import CirtError
from cirtlib.text import visible
from cirtlib.training.exercise import answer_file, course
from cirtlib.training.exercise.course import Graded
from cirtlib.training.exercise.model import Question
from cirtlib.training.exercise.workspace import ANSWERS, MY_SCOPE, MY_TIMELINE, Workspace, find

_COLORS = {True: "#1a7f37", False: "#b35900"}


def open_exercise(folder: str = ".") -> "Tutor":
    """Open the exercise of a learner's folder.

    Raises
    ------
    TrainingError
        when the folder holds none.
    """
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

    def ask(self, name: str) -> Html:
        """Show the answer field of a question, with buttons to check and for the next hint."""
        question = self.space.exercise.question(name)
        if question.id not in course.asked(self.space):
            return _said("This question does not arise in this incident; its points count for the others.", good=True)
        display(self._field(question))  # type: ignore[no-untyped-call]
        return Html(
            f"<p><small>Or: <code>exercise.answer({question.id!r}, …)</code>, "
            f"<code>exercise.hint({question.id!r})</code></small></p>"
        )

    def answer(self, name: str, given: str | list[str]) -> Html:
        """Give an answer; what comes of it."""
        graded = course.answer(self.space, name, given if isinstance(given, list) else str(given))
        return _said(verdict(graded), good=graded.mark.right)

    def hint(self, name: str) -> Html:
        """Show the next hint to a question. It costs points."""
        return Html(_hint(self.space, name))

    def progress(self) -> Html:
        """Table of the questions with what was given and the points so far."""
        rows = [
            {
                "question": one.question.id,
                "given": one.given if one.given is not None else "",
                "right": {True: "yes", False: "no"}[one.mark.right] if one.given is not None else "",
                "hints": one.hints,
                "points": f"{one.points:g} of {one.out_of:g}",
            }
            for one in course.check(self.space)
        ]
        return show_table(pd.DataFrame(rows), "Answers so far", rows=60)

    def scope_is(self, nodes: pd.DataFrame) -> Html:
        """Hand in a scope of one's own, a frame with the columns kind and value, instead of that of `cirt scope`."""
        nodes[["kind", "value"]].to_csv(self.space.path / MY_SCOPE, index=False)
        return _said(f"{len(nodes)} nodes written to {MY_SCOPE}", good=True)

    def timeline_is(self, events: pd.DataFrame) -> Html:
        """Hand in a timeline of one's own: a frame with the column event_id."""
        events[["event_id"]].to_csv(self.space.path / MY_TIMELINE, index=False)
        return _said(f"{len(events)} events written to {MY_TIMELINE}", good=True)

    def submit(self) -> Html:
        """Grade everything, the accounts' state included, and write the debrief."""
        from cirtlib.training.exercise.submit import describe, submit  # noqa: PLC0415 - it needs the emulator, an extra

        result = submit(self.space)
        return Html("".join(f"<p>{escape(visible(line))}</p>" for line in describe(self.space, result)))

    def _field(self, question: Question) -> widgets.VBox:
        """A field for the answer, two buttons, and what came of them."""
        given = answer_file.read(self.space.path / ANSWERS, self.space.exercise).get(question.id, "")
        text = ", ".join(given) if isinstance(given, list) else str(given)
        field: Any
        if question.kind == "choice" and not question.many:
            options = [("choose …", ""), *((f"{key}: {words}"[:110], key) for key, words in question.choices.items())]
            chosen = text if text in question.choices else ""
            field = widgets.Dropdown(options=options, value=chosen, layout={"width": "46em"})
        else:
            field = widgets.Text(value=text, placeholder="your answer", layout={"width": "46em"})
        said, hints = widgets.HTML(), widgets.HTML()
        check, help_ = widgets.Button(description="Check"), widgets.Button(description="Hint")
        self._price(help_, question.id)

        def checked() -> str:
            graded = course.answer(self.space, question.id, str(field.value))
            return _said(verdict(graded), good=graded.mark.right).text

        def hinted() -> str:
            told = f"{hints.value}{_hint(self.space, question.id)}"
            self._price(help_, question.id)
            return told

        check.on_click(_press(checked, said))
        help_.on_click(_press(hinted, hints))

        return widgets.VBox([widgets.HBox([field, check, help_]), said, hints])

    def _price(self, button: widgets.Button, name: str) -> None:
        """Let the button say what the next hint costs."""
        cost = course.next_cost(self.space, name)
        button.description = "No more hints" if cost is None else f"Hint ({cost:g} points)"
        button.disabled = cost is None


def verdict(graded: Graded) -> str:
    """What is said of an answer."""
    word = "Right." if graded.mark.right else "Partly." if graded.mark.share else "Not right."
    if not graded.mark.understood:
        word = ""
    says = graded.mark.says.removeprefix("Right.").strip()
    return f"{word} {says} ({graded.points:g} of {graded.out_of:g} points)".strip()


def _hint(space: Workspace, name: str) -> str:
    given = course.hint(space, name)
    head = f"Hint {given.number} of {given.of} ({given.level}; {given.cost:g} points)"
    return f"<p><b>{escape(head)}</b>: {escape(visible(given.text))}</p>"


def _said(text: str, *, good: bool) -> Html:
    mark = "✔" if good else "✘"
    return Html(f'<p style="color:{_COLORS[good]}"><b>{mark}</b> {escape(visible(text))}</p>')


def _press(act: Callable[[], str], place: widgets.HTML) -> Callable[[Any], None]:
    """What a button does: act, and show what came of it; a mistake is told, not thrown."""

    def pressed(_: Any) -> None:  # noqa: ANN401 - the button itself
        try:
            place.value = act()
        except CirtError as error:
            place.value = _said(str(error), good=False).text

    return pressed
