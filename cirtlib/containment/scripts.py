"""contain.sh, verify.sh and rollback.sh: the steps of a plan as calls of the functions of runner.sh.

Whatever comes from a log reaches bash as ASCII JSON or as escaped text, in single quotes: no name can end its quotes,
start an option, or be evaluated.
"""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore import xform_name

from cirtlib.containment.step import Plan, Step
from cirtlib.text import visible

RUNNER = Path(__file__).parent / "runner.sh"
BY_PEOPLE = ("recover", "prevent")  # phases that no script runs
_CLI_SERVICES = {"s3": "s3api", "config": "configservice"}
_STEP = r"(?P<{0}step>\d{{2,}}-[a-z0-9-]+)\.(?P<{0}name>[a-z_]+)"
_REFERENCE = re.compile(
    r'"\$\{' + _STEP.format("whole_") + r'\}"|(?<!\$)\$\{(?:(?P<now>now)|' + _STEP.format("part_") + r")\}"
)


def plan_json(plan: Plan) -> str:
    """Text of plan.json: ASCII, so that no invisible character hides in it."""
    return json.dumps(plan.to_dict(), indent=2) + "\n"


def plan_id(plan: Plan) -> str:
    """16 hex digits that name this plan, whatever folder it lies in: state of one plan is never taken for another's."""
    return hashlib.sha256(plan_json(plan).encode()).hexdigest()[:16]


def contain(
    plan: Plan,
    *,
    name: str = "contain.sh",
    what: str = "Carries out the plan, step by step; stops at the first failure.",
) -> str:
    """Text of contain.sh, or of a script of another name that carries out a plan."""
    lines = _head(plan, name, what)
    for step in plan.steps:
        if step.phase in BY_PEOPLE:
            continue
        variables = _Variables()
        lines += [f"if step {_about(step)}; then"]
        lines += [f"  needs {' '.join(step.depends_on)}"] if step.depends_on else []
        lines += [f"  wait_after {step.wait['after']} {step.wait['seconds']}"] if step.wait else []
        for saved, one in step.captures.items():
            expected = quote(_json(one["expected"])) if "expected" in one else "''"
            lines.append(f"  capture {saved} {expected} {_read(one, variables)}")
        lines += ["  moment"]
        if step.outputs:
            lines.append("  puts_out " + " ".join(f"{put} {quote(query)}" for put, query in step.outputs.items()))
        late = _Variables(start=100)  # what this step puts out is known only when it has run
        check = f"  expect {quote(_json(step.verify['expected']))} {_read(step.verify, late)}"
        if any(known == step.id and put in step.outputs for known, put in late.names):
            run = f"  perform {_call(step.api, variables)}"
            lines += [*variables.lines(), run, *late.lines(), check, "  settle", "fi", ""]
        else:
            run = f"  change {_call(step.api, variables)}"
            lines += [*variables.lines(), *late.lines(), check, run, "fi", ""]
    return "\n".join([*lines, "end_contain", ""])


def verify(plan: Plan) -> str:
    """Text of verify.sh."""
    lines = _head(plan, "verify.sh", "Checks that every step of the plan holds; changes nothing.")
    for step in plan.steps:
        if step.phase in BY_PEOPLE:
            continue
        variables = _Variables()
        check = f"  expect {quote(_json(step.verify['expected']))} {_read(step.verify, variables)}"
        lines += [f"if look {_about(step)}; then", *variables.lines(), check, "  judge", "fi", ""]
    return "\n".join([*lines, "end_verify", ""])


def rollback(plan: Plan) -> str:
    """Text of rollback.sh: from the last step to the first."""
    intro = "Undoes what contain.sh did, last step first, but for what would let the attacker in again."
    lines = _head(plan, "rollback.sh", intro)
    for step in reversed(plan.steps):
        if step.phase in BY_PEOPLE:
            continue
        lines += [f"if undo {_about(step)}; then"]
        if isinstance(step.rollback, str):
            lines += [f"  irreversible {quote(visible(step.rollback_note))}", "fi", ""]
            continue
        variables = _Variables()
        run = f"  change_back {_call(step.rollback['api'], variables)}"
        late = step.rollback["not_before"]
        lines += ["  reopens"] if step.reopens else []
        lines += [f"  stands {' '.join(step.rollback['requires'])}"] if step.rollback["requires"] else []
        lines += [f"  not_before {late['step']} {late['seconds']}"] if late else []
        lines += [*variables.lines(), run, "fi", ""]
    return "\n".join([*lines, "end_rollback", ""])


def command(api: dict[str, Any], region: str, query: str = "") -> str:
    """One AWS CLI command of an api block (with the JMESPath `query`), to be typed in the state folder.

    `$NOW` is the time of the step; what a step saved is read from its file in that folder.
    """
    words = ["aws", "--region", region, "--output", "json", cli_service(api), cli_operation(api)]
    words += ["--cli-input-json", _bash(_ascii(api["parameters"]), _saved)]
    return " ".join(words + (["--query", _bash(query, _saved)] if query else []))


def _saved(step: str, name: str) -> str:
    """What a person types for a value that a step saved: times stand without their quotes."""
    return f'"$(tr -d \'"\' <{step}/now.json)"' if name == "now" else f'"$(cat {step}/{name}.json)"'


def cli_service(api: dict[str, Any]) -> str:
    """Name of the service in the AWS CLI."""
    return _CLI_SERVICES.get(api["service"], str(api["service"]))


def cli_operation(api: dict[str, Any]) -> str:
    """Name of the operation in the AWS CLI."""
    return str(xform_name(api["operation"], "-"))


def quote(text: str) -> str:
    """Text as one bash word: everything in single quotes is literal."""
    return "'" + text.replace("'", "'\\''") + "'"


class _Variables:
    """Bash variables for the values that a step takes from the state of this run."""

    def __init__(self, start: int = 1) -> None:
        self.start = start
        self.names: dict[tuple[str, str], str] = {}

    def word(self, step: str, value: str) -> str:
        """Word that stands for a value, in double quotes."""
        return f'"${self.names.setdefault((step, value), f"V{self.start + len(self.names)}")}"'

    def lines(self) -> list[str]:
        found = []
        for (step, value), name in self.names.items():
            found.append(f"  load {name} {step} {value}")
            found += [f"  unquote {name}"] if value == "now" else []
        return found


def _head(plan: Plan, script: str, what: str) -> list[str]:
    callers = " ".join(quote(visible(one["arn"])) for one in plan.contained_callers)
    return [
        "#!/usr/bin/env bash",
        f"# {what} Prints what it would do unless given --execute.",
        "# Made by cirtlib from plan.json beside it; change the plan, not this file.",
        f"PLAN={plan_id(plan)} SCRIPT={script}",
        f"STEPS={quote(' '.join(step.id for step in plan.steps))}",
        f"ACCOUNTS={quote(' '.join(plan.accounts))}",
        f"CONTAINED=({callers})",
        "",
        RUNNER.read_text(encoding="utf-8"),
        'parse "$@"',
        "",
    ]


def _about(step: Step) -> str:
    return f"{step.id} {step.account} {step.region} {quote(visible(step.title))}"


def _call(api: dict[str, Any], variables: _Variables) -> str:
    return f"{cli_service(api)} {cli_operation(api)} {_bash(_ascii(api['parameters']), variables.word)}"


def _read(one: dict[str, Any], variables: _Variables) -> str:
    return f"{_call(one['api'], variables)} {_bash(one['jmespath'], variables.word)}"


def _json(value: Any) -> str:  # noqa: ANN401 - any JSON scalar
    return json.dumps(value, ensure_ascii=False)


def _ascii(parameters: dict[str, Any]) -> str:
    """Parameters as JSON without a character that a terminal, a Markdown fence or a person could misread."""
    return json.dumps(parameters, separators=(",", ":")).replace("`", "\\u0060")


def _bash(text: str, value: Callable[[str, str], str]) -> str:
    """Bash word of a text with references: literals in single quotes, values as `value(step, name)` writes them."""
    parts, position = [], 0
    for match in _REFERENCE.finditer(text):
        parts.append(quote(text[position : match.start()].replace("$${", "${")))
        if match["now"]:
            parts.append('"$NOW"')
        else:
            parts.append(value(match["whole_step"] or match["part_step"], match["whole_name"] or match["part_name"]))
        position = match.end()
    parts.append(quote(text[position:].replace("$${", "${")))
    return "".join(part for part in parts if part != "''") or "''"
