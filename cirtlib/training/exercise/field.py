"""The answer field of one question in a notebook: where it is typed or chosen, checked, and helped with."""

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets

from cirtlib.display import Html
from cirtlib.errors import CirtError
from cirtlib.text import visible
from cirtlib.training.exercise import answer_file, course
from cirtlib.training.exercise.course import Graded, Hint
from cirtlib.training.exercise.marking import chosen
from cirtlib.training.exercise.model import Question
from cirtlib.training.exercise.workspace import ANSWERS, Workspace

_COLORS = {True: "#1a7f37", False: "#b35900"}
_WIDE = {"width": "40em", "max_width": "100%"}
# What an answer of a kind may look like; of the others the question says enough.
_LIKE = {
    "principal": "name or ARN of a user or role",
    "access_key": "AKIA… or ASIA…",
    "account": "account id, 12 digits",
    "time": "as 2026-01-31 14:05:09, in UTC",
    "control": "id of a control, as Config.1",
    "event": "event id",
    "call": "name of the API call",
    "number": "a number",
    "region": "name of a Region",
    "address": "an IP address",
}


class Field:
    """What a notebook shows of a question; where it can show no widgets, how to answer without."""

    def __init__(self, space: Workspace, question: Question) -> None:
        self._space, self._question = space, question
        given = answer_file.read(space.path / ANSWERS, space.exercise).get(question.id, "")
        self.entry, self._value = _entry(question, given)
        self.check = widgets.Button(description="Check", layout={"width": "6em"})
        self.help = widgets.Button(layout={"width": "15em"})
        self.said, self.hints = widgets.HTML(), widgets.HTML()
        self.check.on_click(lambda _: self._press(self._checked))
        self.help.on_click(lambda _: self._press(self._hinted))
        if isinstance(self.entry, widgets.Text):  # Enter checks; ipywidgets has no other word for it
            self.entry._submission_callbacks.register_callback(lambda _: self._press(self._checked))
        before = course.standing(space, question.id)
        self.said.value = graded(before).text if before else ""
        self._helped()
        row = widgets.HBox([self.entry, self.check, self.help], layout={"flex_flow": "row wrap"})
        self.box = widgets.VBox([row, self.said, self.hints])

    def __repr__(self) -> str:
        name = self._question.id
        return f'answer with exercise.answer("{name}", "…"); a hint: exercise.hint("{name}")'

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - as IPython calls it
        bundle: dict[str, Any] = dict(self.box._repr_mimebundle_(**options))
        return bundle | {"text/plain": repr(self)}

    def _checked(self) -> None:
        self.said.value = graded(course.answer(self._space, self._question.id, self._value())).text
        self._helped()

    def _hinted(self) -> None:
        course.hint(self._space, self._question.id)
        self._helped()

    def _helped(self) -> None:
        """Show the hints that were given, and what the next one costs."""
        self.hints.value = "".join(hint(one).text for one in course.hints_given(self._space, self._question.id))
        cost = course.next_cost(self._space, self._question.id)
        price = f"costs {cost:g} points" if cost else "costs nothing now"
        self.help.description = "No more hints" if cost is None else f"Hint ({price})"
        self.help.disabled = cost is None

    def _press(self, act: Callable[[], None]) -> None:
        """What a button does; a mistake is told, not thrown."""
        try:
            act()
        except (CirtError, OSError) as error:
            self.said.value = said(str(error), good=False).text


def _entry(question: Question, given: Any) -> tuple[Any, Callable[[], str | list[str]]]:  # noqa: ANN401 - text or list
    """Widget in which a question is answered, filled with the answer so far, and what gives its content."""
    if question.kind == "choice" and question.many:
        ticked = chosen(question, given)
        boxes = {
            key: widgets.Checkbox(
                value=key in ticked, description=f"{key}: {words}", indent=False, layout={"width": "auto"}
            )
            for key, words in question.choices.items()
        }
        column = widgets.VBox(list(boxes.values()), layout=_WIDE)
        return column, lambda: [key for key, box in boxes.items() if box.value]
    text = ", ".join(given) if isinstance(given, list) else str(given)
    if question.kind == "choice":
        options = [("choose …", ""), *((f"{key}: {words}", key) for key, words in question.choices.items())]
        choice = widgets.Dropdown(options=options, value=next(iter(chosen(question, text)), ""), layout=_WIDE)
        return choice, lambda: str(choice.value)
    like = _LIKE.get(question.kind, "your answer")
    several = "; several: with commas between" if question.many else ""
    field = widgets.Text(value=text, placeholder=f"{like}{several}", layout=_WIDE)
    return field, lambda: str(field.value).strip()


def verdict(one: Graded) -> str:
    """What is said of an answer."""
    word = "Right." if one.mark.right else "Partly." if one.mark.share else "Not right."
    if not one.mark.understood:
        word = ""
    says = one.mark.says.removeprefix("Right.").strip()
    less = ""
    if one.points < one.out_of and one.mark.share == 1:
        less = "; hints and wrong tries cost the rest"
    elif one.left < one.out_of and one.mark.understood:
        less = f"; the right answer has {one.left:g} now"
    return f"{word} {says} ({one.points:g} of {one.out_of:g} points{less})".strip()


def graded(one: Graded) -> Html:
    """HTML of what came of an answer."""
    return said(verdict(one), good=one.mark.right)


def hint(one: Hint) -> Html:
    """HTML of a hint."""
    head = f"Hint {one.number} of {one.of} ({one.level}; {one.cost:g} points)"
    return Html(f'<p style="line-height:1.4"><b>{escape(head)}</b>: {escape(visible(one.text))}</p>')


def said(text: str, *, good: bool) -> Html:
    """HTML of one sentence that praises or does not."""
    mark = "✔" if good else "✘"
    return Html(f'<p style="color:{_COLORS[good]};line-height:1.4"><b>{mark}</b> {escape(visible(text))}</p>')
