"""The command `cirt way-in`: argument parsing only."""

from typing import Annotated

import typer

from cirtlib.case import load_case
from cirtlib.cli_ask import CaseDir
from cirtlib.cli_story import Form
from cirtlib.terminal import say, show_json


def way_in(
    case: CaseDir,
    form: Annotated[Form, typer.Option("--format", "-f", help="text, or json for all there is.")] = Form.TEXT,
) -> None:
    """Tell how the attacker came in: causes of each credential and instance, ranked, with their evidence."""
    from cirtlib.exposure import way_in as run

    told = run(load_case(case))
    if form is Form.JSON:
        show_json(told.to_dict())
    else:
        say(str(told))
