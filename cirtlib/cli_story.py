"""The command `cirt story`: argument parsing only."""

from enum import StrEnum
from typing import Annotated

import typer

from cirtlib.case import load_case
from cirtlib.cli_ask import CaseDir
from cirtlib.terminal import say, show_json


class Form(StrEnum):
    """How a story is told."""

    TEXT = "text"
    JSON = "json"


def story(
    case: CaseDir,
    value: Annotated[
        str, typer.Argument(help="A key, principal, address, user agent, instance, bucket, account, event or node id.")
    ],
    form: Annotated[Form, typer.Option("--format", "-f", help="text, or json for all there is.")] = Form.TEXT,
) -> None:
    """Tell what is known of one value: who used it, from where, what it made, what names it, what to ask next."""
    from cirtlib.story import story as run

    told = run(load_case(case), value)
    if form is Form.JSON:
        show_json(told.to_dict())
    else:
        say(str(told))
