"""Deciding on leads in a notebook: with buttons, and the commands that do the same."""

import shlex
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets
import pandas as pd
from IPython.display import display

from cirtlib.case import Case, load_case
from cirtlib.decisions import decide
from cirtlib.display import Html, show_table
from cirtlib.errors import CirtError
from cirtlib.text import visible

_KEYS = {"confirmed": "Confirm", "cleared": "Clear"}


def decide_leads(case: Case, leads: pd.DataFrame) -> Html:
    """Show how each lead is confirmed or cleared: with buttons, and as commands for where there are none.

    Parameters
    ----------
    leads
        as `affected.leads` gives them: their column `node` is read.
    """
    nodes = [str(node) for node in dict.fromkeys(leads["node"])]
    if nodes:
        display(widgets.VBox([_row(case, node) for node in nodes]))  # type: ignore[no-untyped-call]
    folder = shlex.quote(str(case.path))
    rows = [
        {
            "node": node,
            "to look at it": f"cirt story {folder} {shlex.quote(node)}",
            "the attacker's": f"cirt confirm {folder} {shlex.quote(node)} --reason …",
            "not the attacker's": f"cirt clear {folder} {shlex.quote(node)} --reason …",
        }
        for node in nodes
    ]
    return show_table(pd.DataFrame(rows), "How to decide on the leads", rows=60)


def _row(case: Case, node: str) -> widgets.HBox:
    """One node with a field for the reason, two buttons, and what came of them."""
    reason = widgets.Text(placeholder="reason; it stands in the report")
    said = widgets.HTML()
    buttons = []
    for key, word in _KEYS.items():
        button = widgets.Button(description=word)
        button.on_click(_press(case, (key, node), lambda: str(reason.value), lambda text: setattr(said, "value", text)))
        buttons.append(button)
    return widgets.HBox([widgets.HTML(escape(visible(node))), reason, *buttons, said])


def _press(
    case: Case, what: tuple[str, str], reason: Callable[[], str], say: Callable[[str], None]
) -> Callable[[Any], None]:
    """What a button does: record the decision in case.yaml as it is by then, and say so."""
    key, node = what

    def pressed(_: Any) -> None:  # noqa: ANN401 - the button itself
        try:
            found = decide(load_case(case.path), key, node, reason=reason())
            say(escape(visible(f"{key}: {found}; run the notebook again to see what follows")))
        except CirtError as error:
            say(escape(visible(str(error))))

    return pressed
