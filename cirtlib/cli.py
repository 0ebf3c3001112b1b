"""The command line: argument parsing only. Each command loads what it needs when it runs.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 done but, under --strict, with rejected evidence, coverage
gaps or files that nothing proves.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cirtlib import __version__
from cirtlib.case import Case, load_case
from cirtlib.cli_aftermath import verify_containment
from cirtlib.cli_ask import CaseDir, FormatOption, OutOption, ask, athena_ddl, sql
from cirtlib.cli_assess import impact, reconcile
from cirtlib.cli_check import check
from cirtlib.cli_prevent import prevent
from cirtlib.cli_story import story
from cirtlib.cli_train import train
from cirtlib.cli_way_in import way_in
from cirtlib.errors import CirtError
from cirtlib.terminal import Format, say, show, show_json, warn
from cirtlib.text import visible

DONE, FAILED, USAGE, INCOMPLETE = 0, 1, 2, 3

app = typer.Typer(
    name="cirt",
    help="From one seed to the whole extent of a compromise in AWS, and a containment plan.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its tracebacks print local variables, which hold evidence
    rich_markup_mode=None,
)
questions = typer.Typer(help="The questions that `cirt ask` knows.", no_args_is_help=True)
app.add_typer(train, name="train")
app.command()(check)
app.command()(ask)
app.command()(story)
app.command("way-in")(way_in)
app.command()(prevent)
app.command()(reconcile)
app.command()(impact)
app.command("verify-containment")(verify_containment)
app.command()(sql)
app.command("athena-ddl")(athena_ddl)
app.add_typer(questions, name="questions")

StrictOption = Annotated[
    bool, typer.Option("--strict", help="End with status 3 when the evidence is not whole, or not all proven.")
]
SeedOption = Annotated[
    list[str] | None,
    typer.Option("--seed", "-s", metavar="KIND=VALUE", help="What to start from, as finding=ARN. Repeatable."),
]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stands in the report.")]
Node = Annotated[str, typer.Argument(help="Id of a node or lead; its value or name serves where it names one.")]
By = Annotated[str, typer.Option("--by", help="Who decides; default: the user at this machine.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; a user's mistake is one message, never a traceback."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="cirt")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except CirtError as error:
        warn(f"cirt: {error}")
        return FAILED
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        warn(f"cirt: {error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        return FAILED
    return DONE


def _version(wanted: bool) -> None:
    if wanted:
        say(f"cirt {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """From one seed to the whole extent of a compromise in AWS, and a containment plan."""


@app.command()
def new(  # noqa: PLR0913 - each is an option of its own
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make.", show_default=False)],
    *,
    logs: Annotated[list[str] | None, typer.Option(help="Folder, file or s3:// of CloudTrail. Repeatable.")] = None,
    findings: Annotated[
        list[str] | None, typer.Option(help="Folder, file or s3:// of GuardDuty or Security Hub findings. Repeatable.")
    ] = None,
    seed: SeedOption = None,
    window: Annotated[str, typer.Option(metavar="START/END", help="Time under investigation; END may be now.")] = "",
    account: Annotated[list[str] | None, typer.Option(help="Account id, 12 digits. Repeatable.")] = None,
    region: Annotated[list[str] | None, typer.Option(help="Region. Repeatable.")] = None,
    responder: Annotated[list[str] | None, typer.Option(help="ARN of a principal of ours. Repeatable.")] = None,
    title: Annotated[str, typer.Option(help="What it is about.")] = "",
    live: Annotated[
        bool, typer.Option("--live", help="Ask the accounts: event history, findings, settings; up to now.")
    ] = False,
    profile: Annotated[str, typer.Option(help="AWS profile to ask with.")] = "",
    role: Annotated[str, typer.Option(help="Role to assume in each account; {account} stands for its id.")] = "",
    endpoint_url: Annotated[str, typer.Option(help="Where AWS answers, if not at AWS.")] = "",
) -> None:
    """Start a case."""
    from cirtlib.intake import start

    access = {"profile": profile, "role": role, "endpoint_url": endpoint_url}
    content = {"title": title, "accounts": account, "regions": region, "responders": responder}
    made = start(
        folder,
        logs=logs or [],
        findings=findings or [],
        seeds=seed or [],
        window=window,
        live=live,
        content={**content, "access": {key: value for key, value in access.items() if value}},
    )
    say(f"case {made.name} is in {made.path}")
    say(f"next: cirt collect {folder}" if made.sources else f"next: name its sources in {made.path / 'case.yaml'}")


@app.command()
def collect(
    case: CaseDir,
    form: Annotated[Format, typer.Option("--format", "-f", help="table, or json for the whole account.")] = (
        Format.TABLE
    ),
    processes: Annotated[
        int | None, typer.Option(min=1, help="How many read side by side; default: one for each core, at most 8.")
    ] = None,
    expand: Annotated[
        int, typer.Option(min=1, metavar="MIB", help="To how much one compressed object may expand.")
    ] = 1024,
    strict: StrictOption = False,
) -> None:
    """Pull the evidence into the case, and account for it."""
    from cirtlib.collect import collect as run

    loaded = load_case(case)
    account = run(loaded, processes=processes, limit=expand << 20)
    if form is Format.JSON:
        show_json(account)
    else:
        from cirtlib.accounting import describe, history_line

        say("\n".join(line for line in (describe(account), history_line(loaded)) if line))
        say(f"next: cirt scope {shlex.quote(str(case))}{'' if loaded.seeds else ' --seed KIND=VALUE'}")
    _end(loaded, strict)


@app.command()
def coverage(
    case: CaseDir,
    days: Annotated[bool, typer.Option("--days", help="A row for each day; csv and json always have them.")] = False,
    form: FormatOption = Format.TABLE,
    out: OutOption = None,
    strict: StrictOption = False,
) -> None:
    """Show what was and was not seen: the gaps, then each source, account and Region."""
    from cirtlib.accounting import gap_line
    from cirtlib.coverage import look, places

    loaded = load_case(case)
    found = look(loaded)
    for gap in found.gaps():
        warn(gap_line(gap))
    if days or out or form is not Format.TABLE:
        show(found.table(), form, out=out)
    else:
        show(places(found), spare=("objects", "other"))
        warn("each day: --days, or --format csv")
    _end(loaded, strict)


@app.command()
def scope(
    case: CaseDir,
    seed: SeedOption = None,
    since: Annotated[
        str, typer.Option(metavar="LAST", help="Mark what is new: path of an earlier scope.json, or last.")
    ] = "",
    why: Annotated[str, typer.Option(metavar="NODE", help="Say how one node was reached, link by link.")] = "",
    form: FormatOption = Format.TABLE,
    out: OutOption = None,
    strict: StrictOption = False,
) -> None:
    """Find the extent of the compromise, and write it to out/scope.json.

    With --seed the extent from further seeds is shown and case and files stay as they are.
    """
    from cirtlib.case import parse_seed
    from cirtlib.scope import scope as run
    from cirtlib.scope import write
    from cirtlib.scope.since import earlier
    from cirtlib.scope.since import since as compare

    loaded = load_case(case)
    further = [parse_seed(text) for text in seed or []]
    before = earlier(loaded, since) if since else None
    found = run(loaded.with_seeds(further)) if further else write(loaded)
    news = compare(before, found) if before else None
    if why:
        say("\n".join(found.chain(why)))
    elif form is Format.JSON and out is None:
        show_json(found.to_dict() | ({"since": news.to_dict()} if news else {}))
    else:
        from cirtlib.investigation import extent_table, loose_ends

        spare = ("account", "last_seen", "attacker_events", "first_seen")
        show(extent_table(found, news, case=loaded), form, out=out, title="extent of the compromise", spare=spare)
        if news and form is Format.TABLE:
            show(news.table(), title=f"new since the scope as of {news.as_of}")
        for line in loose_ends(loaded, found):
            warn(line)
        warn(f"next: cirt timeline {shlex.quote(str(case))}, cirt plan {shlex.quote(str(case))}")
    _end(loaded, strict)


@app.command()
def confirm(case: CaseDir, node: Node, reason: Reason, by: By = "") -> None:
    """Record that a node is the attacker's."""
    _decide("confirmed", case, node, reason, by)


@app.command()
def clear(case: CaseDir, node: Node, reason: Reason, by: By = "") -> None:
    """Record that a node is not the attacker's; the closure stops there."""
    _decide("cleared", case, node, reason, by)


@app.command()
def timeline(
    case: CaseDir,
    form: FormatOption = Format.TABLE,
    out: OutOption = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="All principals, not only those of the extent and the leads.")
    ] = False,
) -> None:
    """Show the bursts of activity in order; write bursts, key events and each event, as HTML, CSV and JSON lines.

    What lies in out/timeline as timesketch.csv and timesketch.jsonl is what Timesketch imports.
    """
    from cirtlib.timeline import brief, export
    from cirtlib.timeline import timeline as run

    loaded = load_case(case)
    found = run(loaded, everything=everything)
    show(found, form, out=out, brief=brief(found), spare=("events", "source_ip"))
    names = ", ".join(file.name for file in export(loaded, everything=everything))
    warn(f"written: {names} in {loaded.out / 'timeline'}")


@app.command()
def note(case: CaseDir, text: Annotated[str, typer.Argument(help="What was seen, done or decided.")]) -> None:
    """Append to the case's log, which stands in the report."""
    from cirtlib.timeline import add_note

    add_note(load_case(case), text)


@app.command()
def plan(case: CaseDir, form: FormatOption = Format.TABLE, out: OutOption = None) -> None:
    """Write the containment plan to out/plan: runbook, scripts, playbook, tickets, prevent/. Nothing is run."""
    from cirtlib.containment import write
    from cirtlib.investigation import plan_table
    from cirtlib.prevention import write as write_prevention

    loaded = load_case(case)
    warn("scoping, and writing the plan ...")
    made = write(loaded)
    warn("writing what prevents a repetition ...")
    write_prevention(loaded)
    if form is Format.JSON and out is None:
        show_json(made.to_dict())
        return
    show(plan_table(made), form, out=out, title="containment plan")
    warn(f"plan, runbook and scripts: {loaded.out / 'plan'}")


@app.command()
def report(
    case: CaseDir,
    redact: Annotated[bool, typer.Option("--redact", help="For sharing outside: identifiers are replaced.")] = False,
    strict: StrictOption = False,
) -> None:
    """Scope, plan, and write the incident report."""
    from cirtlib.investigation import investigate

    loaded = load_case(case)
    say("\n".join(investigate(loaded, redact=redact, say=warn)))
    _end(loaded, strict)


@app.command()
def verify(
    case: CaseDir,
    keys: Annotated[Path | None, typer.Option(help="Public keys: output of `list-public-keys`, or PEM.")] = None,
    form: FormatOption = Format.TABLE,
    strict: StrictOption = False,
) -> None:
    """Check the evidence against the manifest's hashes, and log files against CloudTrail's signed digests."""
    from cirtlib.verification import verify as run

    found = run(load_case(case), keys=keys)
    if form is Format.JSON:
        show_json(found.to_dict())
    else:
        say("\n".join(found.lines()))
    for text in found.warnings():
        warn(text)
    if found.faults or (strict and found.lacks):
        raise typer.Exit(FAILED if found.faults else INCOMPLETE)


@app.command()
def record(
    case: CaseDir,
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", show_default=False)],
    account: Annotated[str | None, typer.Option(help="Account that recorded it; default: all that did.")] = None,
) -> None:
    """Print the original record, byte-true apart from session tokens.

    On a terminal, characters that it would obey are written as JSON escapes.
    """
    from cirtlib.store import record as run

    for data in run(load_case(case), event_id, account_id=account):
        if sys.stdout.isatty():
            sys.stdout.write(visible(data.decode("utf-8", "backslashreplace"), keep="\n\r\t") + "\n")
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(data + b"\n")


@app.command()
def lab(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="Folder of the case, or of an exercise.")] = Path(),
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[-- OPTIONS]", help="For JupyterLab, such as -- --port=9999.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
) -> None:
    """Open JupyterLab on the case's own copies of the notebooks, or on the notebook of an exercise."""
    from cirtlib.lab import open_folder, open_lab

    given = tuple(options or ())
    if (case / ".cirt-exercise").is_file():
        raise typer.Exit(open_folder(case.resolve(), first="exercise.ipynb", browser=browser, options=given))
    raise typer.Exit(open_lab(load_case(case), browser=browser, options=given))


@questions.command("list")
def questions_list(form: FormatOption = Format.TABLE, out: OutOption = None) -> None:
    """List the questions, with their parameters."""
    import pandas as pd

    from cirtlib.queries import questions as known

    rows = [
        {"name": q.name, "topic": q.topic, "question": q.question, "parameters": ", ".join(q.parameters)}
        for q in known()
    ]
    show(pd.DataFrame(rows, columns=["name", "topic", "question", "parameters"]), form, out=out)


def _decide(key: str, case: Path, node: str, reason: str, by: str) -> None:
    from cirtlib.decisions import decide

    say(f"{key}: {decide(load_case(case), key, node, reason=reason, by=by)}")


def _end(case: Case, strict: bool) -> None:
    """End with status 3 when asked to and the evidence is not whole."""
    if strict:
        from cirtlib.accounting import shortcomings

        lacking = shortcomings(case)
        for text in lacking:
            warn(text)
        if lacking:
            raise typer.Exit(INCOMPLETE)
