"""The command `cirt prevent`: argument parsing only."""

from typing import Annotated

import typer

from cirtlib.case import load_case
from cirtlib.cli_ask import CaseDir, FormatOption, OutOption
from cirtlib.terminal import Format, show, warn


def prevent(
    case: CaseDir,
    form: FormatOption = Format.TABLE,
    out: OutOption = None,
    pipeline_role: Annotated[
        str,
        typer.Option(help="ARN of the role by which your organization makes identities: the guard-rails exempt it."),
    ] = "",
) -> None:
    """Write what keeps it from happening again to out/plan/prevent: controls, SCPs, a template. Nothing is run."""
    from cirtlib.prevention import PIPELINE, write

    loaded = load_case(case)
    made = write(loaded, pipeline=pipeline_role or PIPELINE)
    shown = made[["gap", "kind", "control", "artefacts", "evidence"]] if form is Format.TABLE and out is None else made
    show(shown, form, out=out, title="prevention")
    warn(f"controls, policies and template: {loaded.out / 'plan' / 'prevent'}")
