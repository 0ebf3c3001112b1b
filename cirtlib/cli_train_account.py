"""The commands of `cirt train account`: argument parsing only."""

import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cirtlib.terminal import Format, say, show_json
from cirtlib.text import visible

if TYPE_CHECKING:
    from cirtlib.training.exercise.workspace import Workspace

account = typer.Typer(
    help="The accounts of an exercise, emulated on this machine, to contain in.", no_args_is_help=True
)

ExerciseArgument = Annotated[
    Path | None, typer.Argument(metavar="[EX]", help="Folder of the exercise, or its name; default: as for --dir.")
]


@account.command("start")
def account_start(exercise: ExerciseArgument = None) -> None:
    """Start the accounts; what you did in them before is there again."""
    from cirtlib.training.practice import control

    space = _space(exercise)
    status, said = control.start(space.path)
    if said:
        say(said)
    _tell(space, status)


@account.command("status")
def account_status(exercise: ExerciseArgument = None) -> None:
    """Say whether the accounts run, where, and what was done."""
    from cirtlib.training.practice import control

    space = _space(exercise)
    status = control.status(space.path)
    if status is None:
        say(f"the accounts do not run; `{space.command('account', 'start')}`")
        raise typer.Exit(1)
    _tell(space, status)


@account.command("stop")
def account_stop(exercise: ExerciseArgument = None) -> None:
    """Stop the accounts. What you did is kept."""
    from cirtlib.training.practice import control

    ran = control.stop(_space(exercise).path)
    say("stopped; what you did is there again after the next start" if ran else "they did not run")


@account.command("reset")
def account_reset(exercise: ExerciseArgument = None) -> None:
    """Stop the accounts and forget what was done in them."""
    from cirtlib.training.practice import control

    control.reset(_space(exercise).path)
    say("the accounts are as the attacker left them; start them again when you like")


@account.command("attack")
def account_attack(
    exercise: ExerciseArgument = None,
    form: Annotated[Format, typer.Option("--format", "-f", help="table, or json for each call.")] = Format.TABLE,
) -> None:
    """Let the attacker try again everything that they did, and some things more."""
    from cirtlib.training.practice import control

    space = _space(exercise)
    tries = control.ask(space.path, "/cirt/attack")["tries"]
    told = ("kind", "service", "operation", "account", "writes", "result", "by")
    if form is Format.JSON:
        show_json([{key: one[key] for key in told} for one in tries])
        return
    ways: dict[str, list[dict[str, Any]]] = {}
    for one in tries:
        ways.setdefault(one["way"], []).append(one)
    for number, mine in enumerate(ways.values(), 1):
        say(visible(f"way {number}, {mine[0]['kind']}: {_outcome(mine)}"))
    if not ways:
        say("there is nobody who could try: no credential is an attacker's")
        return
    still = sum(any(one["result"] == "open" for one in mine) for mine in ways.values())
    say(f"{still} of {len(ways)} ways are open; whose they are, the records tell (and the debrief, at the end)")
    say("next: cirt train submit" if not still else "next: close them, and let the attacker try again")


def _outcome(tries: list[dict[str, Any]]) -> str:
    """What came of one way in. Which key or session it is, the learner has to find out."""
    works = sorted((one for one in tries if one["result"] == "open"), key=lambda one: not one["writes"])
    calls = [f"{one['service']}:{one['operation']}" for one in works]
    still = list(dict.fromkeys(calls))  # those that change or take something first
    doubt = sum(one["result"] == "unknown" for one in tries)
    unsure = f"; {doubt} could not be judged" if doubt else ""
    if not still:
        by = Counter(one["by"] for one in tries if one["by"]).most_common(1)
        return f"closed{': ' + by[0][0] if by else ''}{unsure}"
    shown = f"{', '.join(still[:6])}{' …' if len(still) > 6 else ''}"
    return f"{len(calls)} of {len(tries)} calls still work: {shown}{unsure}"


def _space(exercise: Path | None) -> "Workspace":
    from cirtlib.training.exercise.workspace import find

    return find(exercise)


def _tell(space: "Workspace", status: dict[str, Any]) -> None:
    """How to work with running accounts."""
    from cirtlib.training.practice.server import CONFIG, FOLDER

    home = status["home"]
    say(f"the accounts run at {status['endpoint']}; {status['changes']} changes were made in them so far")
    if status["differ"]:
        say(f"{len(status['differ'])} of them ended otherwise when they were made again; see {space.path / FOLDER}")
    say("")
    say(f"    export AWS_CONFIG_FILE={shlex.quote(str(space.path / FOLDER / CONFIG))}")
    say(f"    aws --profile {status['profiles'][home]} sts get-caller-identity")
    for account, profile in status["profiles"].items():
        say(f"    profile {profile}: account {account}")
    if "logs" in status["buckets"]:
        keeper = status["profiles"].get(status["keeper"], "")
        say(f"    logs of the incident: s3://{status['buckets']['logs']}/AWSLogs/ (profile {keeper})")
    say("")
    say("Each profile is an administrator of its account, and of no other: the role IncidentResponder.")
    say("What you do here is judged, but writes no new log records: whether it holds, `attack` and `submit` tell.")
    say("next: contain, let the attacker try (cirt train account attack), then cirt train submit;")
    say("      cirt train account stop ends the accounts, and keeps what you did")
