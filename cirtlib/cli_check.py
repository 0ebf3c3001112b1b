"""The command `cirt check`: argument parsing only."""

from pathlib import Path
from typing import Annotated

import typer

from cirtlib.case import load_case
from cirtlib.errors import CaseError
from cirtlib.terminal import Format, show, show_json, warn

Repeated = list[str] | None


def check(  # noqa: PLR0913 - each is an option of its own
    case: Annotated[Path | None, typer.Argument(metavar="[CASE]", help="Folder of a case.", show_default=False)] = None,
    *,
    account: Annotated[Repeated, typer.Option(help="Account id; default: whose credentials these are.")] = None,
    region: Annotated[Repeated, typer.Option(help="Region; default: all that are enabled.")] = None,
    logs: Annotated[Repeated, typer.Option(help="s3:// of CloudTrail. Repeatable, as --account and --region.")] = None,
    profile: Annotated[str, typer.Option(help="Profile of the AWS CLI.")] = "",
    role: Annotated[str, typer.Option(help="ARN of a role to assume, with {account} where the id stands.")] = "",
    endpoint_url: Annotated[str, typer.Option(help="Where AWS is, if not at AWS.")] = "",
    form: Annotated[Format, typer.Option("--format", "-f", help="How the table is written; json and csv give all.")] = (
        Format.TABLE
    ),
    policy: Annotated[
        bool, typer.Option("--policy", help="Print the read-only IAM policy that a collect needs.")
    ] = False,
) -> None:
    """Could a collect read all it needs, and is it there? Needs no incident, reads no logs; status 1 when not."""
    if policy:
        from cirtlib.permissions import policy as needed

        show_json(needed())
        return
    from cirtlib import check as checking

    access = {"profile": profile, "role": role, "endpoint_url": endpoint_url}
    if case and (account or region or logs or any(access.values())):
        raise CaseError("name a case, or options in place of one: what they say stands in its case.yaml")
    wanted = load_case(case) if case else checking.case_of(account or (), region or (), logs or (), access)
    rows = checking.check(wanted)
    shown = checking.folded(rows) if form is Format.TABLE else rows
    show(checking.table(shown), form)
    counts = {result: sum(row.result == result for row in rows) for result in checking.RESULTS}
    warn(", ".join(f"{number} {result}" for result, number in counts.items() if number))
    if not checking.is_ready(rows):
        raise typer.Exit(1)
