"""The commands `cirt reconcile` and `cirt impact`: argument parsing only."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cirtlib.case import load_case
from cirtlib.cli_ask import CaseDir, FormatOption, OutOption
from cirtlib.terminal import Format, say, show, warn

if TYPE_CHECKING:
    import pandas as pd

# On a terminal these make every row unreadable.
_LONG = (
    "event_ids", "evidence", "account_id", "product", "region", "explained_by", "first_seen", "confidence", "source_ip",
    "nodes", "technique_old",
)  # fmt: skip

TableOption = Annotated[str, typer.Option("--table", help="Show only this table, whole.")]


def reconcile(
    case: CaseDir, *, table: TableOption = "", form: FormatOption = Format.TABLE, out: OutOption = None
) -> None:
    """Compare findings and logs both ways: findings without record or explanation, and extent without finding."""
    from cirtlib.reconcile import reconcile as run

    result = run(load_case(case))
    tables = {"findings": result.findings, "unnamed": result.unnamed, "sequences": result.sequences}
    show_tables(tables, result.words(), result.to_dict(), (table, form, out))


def impact(case: CaseDir, *, table: TableOption = "", form: FormatOption = Format.TABLE, out: OutOption = None) -> None:
    """Show what was read, taken, destroyed, what it costs, what is still open, and what cannot be seen."""
    from cirtlib.impact import impact as run

    result = run(load_case(case))
    show_tables(result.tables(), result.words(), result.to_dict(), (table, form, out))


def show_tables(
    tables: dict[str, "pd.DataFrame"],
    says: list[str],
    whole: dict[str, Any],
    how: tuple[str, Format, Path | None],
    *,
    hidden: tuple[str, ...] = _LONG,
) -> None:
    """Sentences and tables without hidden columns; one table whole where it is named; everything as JSON."""
    table, form, out = how
    if table and table not in tables:
        raise typer.BadParameter(f"there is no table {table!r}; there are {', '.join(tables)}", param_hint="--table")
    if table:
        show(tables[table], form, out=out)
    elif form is Format.JSON:
        text = json.dumps(whole, indent=1)
        if out is None:
            say(text)
        else:
            out.write_text(text + "\n", encoding="utf-8")
    elif form is not Format.TABLE or out is not None:
        raise typer.BadParameter("name one table for a file of rows", param_hint="--table")
    else:
        for sentence in says:
            say(sentence)
        for name, frame in tables.items():
            if len(frame):
                show(frame.drop(columns=[one for one in hidden if one in frame]), title=name.replace("_", " "))
        warn("--table NAME shows one table whole, with the events it rests on; --format json gives everything")
