"""AWS's own containment runbooks as an alternative to steps of the plan: inputs of ssm StartAutomationExecution.

No script starts them. Each stands twice: as a dry run, which comes first, and as the change.
"""

import json
import re
from importlib.resources import files
from typing import Any

from cirtlib.containment import scripts
from cirtlib.containment.step import Plan, Step
from cirtlib.containment.validate import api_faults
from cirtlib.errors import PlanError

_Json = dict[str, Any]
_NOTE = (
    "Alternatives to the steps under `instead_of`, for people to choose; no script starts them. Run `dry_run` first, "
    "and read what it says it would do; then set what `set_too` names and run `change`. They do less than the plan: "
    "see `leaves`, and do the other steps all the same."
)


def aws_runbooks(plan: Plan) -> str:
    """Text of aws_runbooks.json.

    Raises
    ------
    PlanError
        when botocore's model of Systems Manager refuses an input.
    """
    return json.dumps({"note": _NOTE, "runbooks": executions(plan)}, indent=2) + "\n"


def executions(plan: Plan) -> list[_Json]:
    """One alternative for each user, role, instance and bucket that the plan contains, in the plan's order."""
    documents = json.loads((files("cirtlib") / "data" / "aws_runbooks.json").read_text(encoding="utf-8"))["documents"]
    steps: dict[str, list[Step]] = {}
    for step in plan.steps:
        if step.phase not in scripts.BY_PEOPLE and step.target not in plan.responders:
            steps.setdefault(step.target, []).append(step)
    found = []
    for target, about in steps.items():
        contained = any(step.phase == "contain" for step in about) or ":instance/" in target
        for document in documents if contained else []:
            match = re.match(document["arn"], target)
            if match:
                found.append(_execution(document, match[1], about, plan))
    faults = [fault for one in found for part in ("dry_run", "change") for fault in api_faults(_api(one[part]))]
    if faults:
        raise PlanError("AWS's runbooks are not exported:\n" + "\n".join(f"  - {fault}" for fault in faults))
    return found


def _execution(document: _Json, name: str, steps: list[Step], plan: Plan) -> _Json:
    parameters = {key: [value.format(name=name)] for key, value in document["parameters"].items()}
    if plan.responders and "access" in document:
        parameters[document["access"]] = list(plan.responders)

    def given(dry: str) -> _Json:
        return {"DocumentName": document["document"],
                "Parameters": {"Action": ["Contain"], "DryRun": [dry], **parameters}}  # fmt: skip

    return {
        "target": steps[0].target,
        "instead_of": [step.id for step in steps if step.phase in ("contain", "eradicate")],
        "account": steps[0].account,
        "region": steps[0].region,
        "operation": "ssm:StartAutomationExecution",
        "dry_run": given("true"),
        "change": given("false"),
        "set_too": document["set_too"],
        "leaves": document["leaves"],
    }


def _api(parameters: _Json) -> _Json:
    return {"service": "ssm", "operation": "StartAutomationExecution", "parameters": parameters}
