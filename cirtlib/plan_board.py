"""The plan in a notebook, to tick, filter and comment; and as a table where there are no widgets."""

from html import escape
from typing import Any

import ipywidgets as widgets
import pandas as pd
from IPython.display import display

from cirtlib.case import Case
from cirtlib.containment import review
from cirtlib.display import Html, show_table
from cirtlib.errors import CirtError
from cirtlib.text import visible

_ALL = "all"


def review_plan(case: Case, plan: dict[str, Any]) -> Html:
    """Show a plan to decide on: a row for each step with approve, hold and comment, filters, and the table.

    Parameters
    ----------
    plan
        plan.json.
    """
    steps = plan["steps"]
    if steps:
        said = widgets.HTML()
        decided = review.reviewed(case, plan).set_index("id")
        rows = {step["id"]: _row(case, plan, step, decided.loc[step["id"]], said) for step in steps}
        display(widgets.VBox([_filters(steps, rows), *rows.values(), said]))  # type: ignore[no-untyped-call]
    table = review.reviewed(case, plan)
    return show_table(table, "Steps, and what was decided on each", case=case, name="plan_review", rows=200)


def _filters(steps: list[dict[str, Any]], rows: dict[str, widgets.HBox]) -> widgets.HBox:
    """Fields that leave on the screen the rows of one phase, one account, or with a word in the title."""
    phase = widgets.Dropdown(options=[_ALL, *dict.fromkeys(step["phase"] for step in steps)], description="phase")
    account = widgets.Dropdown(options=[_ALL, *dict.fromkeys(step["account"] for step in steps)], description="account")
    word = widgets.Text(placeholder="word in the title", description="title")

    def filtered(_: Any) -> None:  # noqa: ANN401 - the change
        for step in steps:
            fits = phase.value in (_ALL, step["phase"]) and account.value in (_ALL, step["account"])
            fits = fits and str(word.value).lower() in step["title"].lower()
            rows[step["id"]].layout.display = "flex" if fits else "none"

    for field in (phase, account, word):
        field.observe(filtered, names="value")
    return widgets.HBox([phase, account, word])


def _row(case: Case, plan: dict[str, Any], step: dict[str, Any], now: pd.Series, said: widgets.HTML) -> widgets.HBox:
    """One step: what it does and breaks, two boxes and a comment; `now`: its row of what was decided."""
    approve = widgets.ToggleButtons(options=["", *review.DECISIONS], layout=widgets.Layout(width="auto"))
    approve.value = now["decision"] if now["decision"] in review.DECISIONS else ""
    comment = widgets.Text(placeholder="comment", value=str(now["comment"]))

    def decided(_: Any) -> None:  # noqa: ANN401 - the change
        try:
            review.decide(case, plan, step["id"], str(approve.value), comment=str(comment.value))
            said.value = f"<pre>{escape(visible(review.command(case, plan)))}</pre>"
        except CirtError as error:
            said.value = escape(visible(str(error)))

    approve.observe(decided, names="value")
    comment.observe(lambda change: decided(change) if approve.value else None, names="value")
    title, impact = escape(visible(step["title"])), escape(visible(step["impact"]))
    words = f"<b>{escape(step['id'])}</b> {title}<br><small>{impact}</small>"
    return widgets.HBox([widgets.HTML(words, layout=widgets.Layout(width="55%")), approve, comment])
