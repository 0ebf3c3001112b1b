"""The commands `cirt ask`, `cirt sql` and `cirt athena-ddl`: argument parsing only."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cirtlib.case import load_case
from cirtlib.terminal import Format, say, show_answer, warn

if TYPE_CHECKING:
    import pandas as pd

# Columns of questions that a person misses least on a narrow terminal, in the order in which they give way.
_SPARE = (
    "resources", "event_ids", "request", "response", "error_message", "user_agent", "event_source", "same_address",
    "sample", "aggregated", "event_version", "principal_id", "event_id", "region", "account_id", "seen_to",
    "invoked_by", "seen_from", "user_agent_family", "severity", "access_key_id", "matched_by",
)  # fmt: skip
CaseDir = Annotated[Path, typer.Argument(metavar="CASE", help="Folder of the case.", show_default=False)]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How the table is written.")]
OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="Write into this file instead of stdout.")]
Parameters = Annotated[list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Repeatable.")]
EngineOption = Annotated[
    str | None, typer.Option("--engine", help="local, athena or trino; default: what case.yaml says.")
]


def ask(
    case: CaseDir,
    question: Annotated[str, typer.Argument(help="Name of the question; `cirt questions list` shows them.")],
    *,
    parameter: Parameters = None,
    engine: EngineOption = None,
    form: FormatOption = Format.TABLE,
    out: OutOption = None,
) -> None:
    """Run one question on the case."""
    from cirtlib.queries import ask as run

    given = _given(parameter)
    _show(run(load_case(case), question, engine=engine, **given), form, out, spare=_SPARE)


def sql(
    case: CaseDir,
    text: Annotated[str, typer.Argument(metavar="SQL", help="A SELECT in Athena's SQL; - reads it from stdin.")],
    *,
    parameter: Parameters = None,
    engine: EngineOption = None,
    form: FormatOption = Format.TABLE,
    out: OutOption = None,
) -> None:
    """Run any Athena SQL on the case: tables cloudtrail_logs, events, findings, finding_history, sightings."""
    from cirtlib.queries import sql as run

    given = _given(parameter)
    text = sys.stdin.read() if text == "-" else text
    _show(run(load_case(case), text, engine=engine, **given), form, out)


def athena_ddl(
    case: CaseDir,
    *,
    table: Annotated[str, typer.Option(help="database.table; default: that of the source athena.")] = "",
    create: Annotated[bool, typer.Option("--create", help="Make it: run the statement in Athena.")] = False,
) -> None:
    """Print CREATE TABLE for the case's bucket and layout, in AWS's documented form with partition projection."""
    from cirtlib import ddl

    wanted = load_case(case)
    text = ddl.statement(wanted, table=table)
    say(text + ";")
    if create:
        warn(f"made by query {ddl.create(wanted, text)['query_id']}")


def _show(found: "pd.DataFrame", form: Format, out: Path | None, *, spare: tuple[str, ...] = ()) -> None:
    """The rows, and on stderr what they cost."""
    show_answer(found, form, out=out, spare=spare)
    told: dict[str, Any] = found.attrs
    if "query_id" in told:
        price = f", {told['price_usd']:.6f} USD" if "price_usd" in told else ""
        again = ", a result that was there already" if told.get("reused") else ""
        warn(f"{told['engine']} query {told['query_id']}: {told['bytes_scanned']:,} bytes scanned{price}{again}")


def _given(texts: list[str] | None) -> dict[str, str]:
    """Question parameters of `-p name=value`."""
    pairs = [text.partition("=") for text in texts or ()]
    for name, equals, _ in pairs:
        if not equals or not name.isidentifier():
            raise typer.BadParameter(f"write it as NAME=VALUE, not {name!r}", param_hint="--parameter")
    return {name: value for name, _, value in pairs}
