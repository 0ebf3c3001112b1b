"""The part of the runbook for someone who runs the steps by hand, command by command, without the scripts."""

import json
from collections.abc import Sequence
from typing import Any

from cirtlib.containment import scripts
from cirtlib.containment.document import Block, Code, Commands, Heading, Items, Paragraph, Strong, To, Word, Words
from cirtlib.containment.step import Plan, Step

_DATE = "date -u +%Y-%m-%dT%H:%M:%SZ"


_SHELL = (
    "Every step below holds the whole commands for a bash shell (AWS CloudShell is one). They hand values to each "
    "other through files in one folder, the same that the scripts use, so both can be mixed. In every new terminal "
    "make it, go there, stay there, and define how AWS is asked:"
)
_ASK = (
    'ask() { if aws "$@" 2>error; then :; elif grep -q -e NoSuchEntity -e NotFound error; then echo null; '
    "else cat error >&2; return 1; fi; }"
)
_FILLED = " in a command is a value that an earlier step saved; the shell fills it in. "
_TIME = " is the time of the step, set by its first line. Nothing is to be filled in by hand."
_CHANGED = (
    "Where a saved value must be something and is not: stop. The target has changed since the plan was made. If the "
    "check of the step holds already, the step is not needed."
)


def by_hand(plan: Plan) -> list[Block]:
    """How the commands of the steps are run by hand: in which folder, as whom, and what the files are for."""
    name = scripts.plan_id(plan)
    example = Code('"$(cat 05-close-door/trust.json)"')
    return [
        Heading(2, ["How to run it by hand"]),
        Paragraph([_SHELL]),
        Commands(f"umask 077; mkdir -p state-{name}; cd state-{name}; printf '{name}\\n' >plan\n{_ASK}"),
        Paragraph(["Whenever the account of the next step is another one, choose its profile and look who you are:"]),
        Commands("export AWS_PROFILE=PROFILE AWS_PAGER=\naws sts get-caller-identity"),
        Items([
            ["It must show the account of the step, and a caller that this plan does not contain."],
            ["Run the commands of a step in their order: save, run, check. A text like ", example, _FILLED,
             Code('"$NOW"'), _TIME],
            [Code("ask"), " says ", Code("null"), " where the thing that it asks for is not there."],
            [_CHANGED],
            ["A check may need some seconds until it says so, since IAM spreads changes: ask for a minute."],
            ["After an undo, rename the folder of the step: ", Code("mv STEP STEP.undone"), "."],
        ]),
    ]  # fmt: skip


def step_commands(step: Step) -> list[Block]:
    """Save, run, check and note of one step, each with its commands and a box."""
    found: list[Block] = []
    start = [f"mkdir -p {step.id}"]
    for name, one in step.captures.items():
        must: Words = [" It must say ", Code(json.dumps(one["expected"])), "."] if "expected" in one else []
        into = "| tee " if "expected" in one else ">"
        line = f"{_question(one, step)} {into}{step.id}/{name}.json"
        found += [
            Items([[Strong("Save"), " ", Code(name), " first.", *must]], boxes=True),
            Commands("\n".join([*start, line])),
        ]
        start = []
    time = f'NOW=$({_DATE}); printf \'"%s"\' "$NOW" >{step.id}/now.json; date -u +%s >{step.id}/epoch'
    found += [
        Items([[Strong("Run"), "."]], boxes=True),
        Commands("\n".join([*start, time, *_run(step)])),
    ]
    expected = Code(json.dumps(step.verify["expected"]))
    found += [
        Items([[Strong("Check"), " that it says ", expected, "."]], boxes=True),
        Commands(_question(step.verify, step)),
        Items([[Strong("Note"), " that it is done: ", Code(f"{_DATE} >{step.id}/done")]], boxes=True),
    ]
    return found


def _question(one: dict[str, Any], step: Step) -> str:
    """Command of a read, asked with the function that `by_hand` defines."""
    return "ask" + scripts.command(one["api"], step.region, one["jmespath"]).removeprefix("aws")


def _run(step: Step) -> list[str]:
    """The change, and its output in files where later commands need it: the change itself is made only once."""
    names = list(step.outputs)
    if not names:
        return [scripts.command(step.api, step.region)]
    if len(names) == 1:
        return [f"{scripts.command(step.api, step.region, step.outputs[names[0]])} >{step.id}/{names[0]}.json"]
    query = f"[{', '.join(step.outputs.values())}]"
    lines = [f"{scripts.command(step.api, step.region, query)} >{step.id}/answer.json"]
    for place, name in enumerate(names, 2):  # the AWS CLI writes one value of a list a line
        lines.append(f"sed -n {place}p {step.id}/answer.json | sed -e 's/^ *//' -e 's/,$//' >{step.id}/{name}.json")
    return lines


def undo_commands(step: Step) -> list[Block]:
    """How to undo a step, and when that is safe."""
    if isinstance(step.rollback, str):
        return [Paragraph([Strong("Not undone."), " ", step.rollback_note])]
    words: list[Word] = [Strong("Undo, only if this step has to be taken back:")]
    if step.reopens:
        words += [" ", Strong("It would let the attacker in again."), " The script refuses it without ",
                  Code("--reopen-attacker-access"), "."]  # fmt: skip
    if step.rollback["requires"]:
        words += [" Only while these stand: ", *_listed(step.rollback["requires"]), "."]
    if late := step.rollback["not_before"]:
        words += [f" Not before {_span(late['seconds'])} after ", To(late["step"]), " ran."]
    words += [f" {step.rollback_note}"] if step.rollback_note else []
    return [Paragraph(words), Commands(scripts.command(step.rollback["api"], step.region))]


def _listed(ids: Sequence[str]) -> list[Any]:
    return [word for one in ids for word in (To(one), ", ")][:-1]


def _span(seconds: int) -> str:
    hours, minutes = divmod(seconds // 60, 60)
    return " ".join([f"{hours} hours"] * bool(hours) + [f"{minutes} minutes"] * bool(minutes)) or f"{seconds} seconds"
