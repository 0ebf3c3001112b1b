"""The command `cirt verify-containment`: argument parsing only."""

from pathlib import Path
from typing import Annotated

import typer

from cirtlib.case import load_case
from cirtlib.cli_ask import CaseDir, FormatOption, OutOption
from cirtlib.cli_assess import TableOption, show_tables
from cirtlib.terminal import Format

# On a terminal these make every row unreadable.
_LONG = ("event_ids", "event_id", "by", "event_name", "contained_at", "whose", "addresses", "source_ip", "node")
STATUS = {"contained": 0, "not contained": 1, "unknown": 3}


def verify_containment(
    case: CaseDir,
    *,
    since: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[WHAT=]TIME",
            help="When the plan was carried out without contain.sh; WHAT is an account or a step. Repeatable.",
        ),
    ] = None,
    state: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="State folder of contain.sh, if not beside the plan. Repeatable."),
    ] = None,
    table: TableOption = "",
    form: FormatOption = Format.TABLE,
    out: OutOption = None,
) -> None:
    """Say whether containment held: collect again, then ask.

    It shows what the contained credentials still did, new credentials, and what was left standing, with a verdict for
    each account and Region. Exit status: 0 contained, 3 unknown (the evidence does not reach 15 minutes beyond
    containment everywhere), 1 not contained.
    """
    from cirtlib.aftermath import verify_containment as run

    result = run(load_case(case), since=_times(since or []), states=state or [])
    tables = result.tables()
    if not table:  # steps of interest are in `standing`
        del tables["steps"]
    show_tables(tables, result.words(), result.to_dict(), (table, form, out), hidden=_LONG)
    raise typer.Exit(STATUS[result.verdict])


def _times(texts: list[str]) -> str | dict[str, str] | None:
    """One time for everything, or times by account or step."""
    pairs = [text.partition("=") for text in texts]
    if len(pairs) == 1 and not pairs[0][1]:
        return texts[0]
    if not all(what and equals and time for what, equals, time in pairs):
        raise typer.BadParameter("give one TIME, or WHAT=TIME for each account or step", param_hint="--since")
    return {what: time for what, _, time in pairs} or None
