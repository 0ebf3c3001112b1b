"""How a learner's notebook shows what cells give: tables whole and escaped, scope and plan as tables, not as code."""

from html import escape
from typing import Any

import pandas as pd
from IPython.core.getipython import get_ipython

from cirtlib.containment import Plan
from cirtlib.display import show_table, show_text
from cirtlib.investigation import extent_table, plan_table
from cirtlib.scope import Scope
from cirtlib.text import visible

ROWS = 80


def show_well() -> None:
    """Let the running notebook show frames, scopes and plans so that ids and names can be read and copied whole.

    Does nothing outside of a notebook.
    """
    shell = get_ipython()
    if shell is None or shell.display_formatter is None:
        return
    formatter = shell.display_formatter.formatters["text/html"]
    for kind, show in ((pd.DataFrame, frame), (Scope, scope), (Plan, plan)):
        formatter.for_type(kind, show)


def frame(table: pd.DataFrame) -> str:
    """HTML of any frame: its first rows, every value whole."""
    if isinstance(table.columns, pd.MultiIndex) or not table.columns.is_unique:
        table = table.set_axis([str(name) for name in range(table.shape[1])], axis=1)
    elif not isinstance(table.index, pd.RangeIndex) and table.index.names != [None]:
        table = table.reset_index(names=_free(table))
    return show_table(table, "Result", rows=ROWS, whole_ids=True).text


def scope(found: Scope) -> str:
    """HTML of a scope: its extent, and folded what is open and what could not be seen."""
    return show_table(extent_table(found), "Extent of the compromise", rows=200, whole_ids=True).text + "".join(
        _folded(words, rows) for words, rows in (("Leads", found.leads), ("Gaps", found.gaps)) if rows
    )


def plan(made: Plan) -> str:
    """HTML of a plan: its warnings and its steps in order."""
    warnings = "".join(show_text(text).text for text in made.warnings)
    return warnings + show_table(plan_table(made), "Plan: its steps in order", rows=200, whole_ids=True).text


def _folded(words: str, rows: list[dict[str, Any]]) -> str:
    table = show_table(pd.DataFrame(rows), words, rows=ROWS, whole_ids=True).text
    return f"<details><summary>{escape(visible(words))} ({len(rows)})</summary>{table}</details>"


def _free(table: pd.DataFrame) -> list[str]:
    """Names for the index's levels that no column has."""
    named = [str(name) if name is not None else f"level {at}" for at, name in enumerate(table.index.names)]
    return [f"{name} (index)" if name in table.columns else name for name in named]
