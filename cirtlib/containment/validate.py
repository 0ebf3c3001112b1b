"""Checks that stand between a plan and its export: every call against botocore, every target against the responders."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import jmespath
from botocore.exceptions import UnknownServiceError
from botocore.model import OperationNotFoundError
from botocore.validate import ParamValidator

from cirtlib.containment.step import Api, Plan, Step
from cirtlib.errors import PlanError

_REFERENCE = re.compile(r"\$\{(self|after|\d{2,}-[a-z0-9-]+)\.[a-z_]+\}")
SCHEMA = Path(__file__).parent.parent / "data" / "plan.schema.json"


def check(plan: Plan) -> None:
    """Refuse a plan that must not be exported.

    Raises
    ------
    PlanError
        naming every call that AWS does not have, expression that does not parse, and target that is a responder.
    """
    faults = [fault for step in plan.steps for fault in step_faults(step)]
    for step in plan.steps:
        if any(step.target == one or step.target.startswith(f"{one}/") for one in plan.responders):
            faults.append(f"{step.id}: its target {step.target} is a responder of case.yaml")
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    import jsonschema  # noqa: PLC0415 - seconds to load, and only a plan that is written needs it

    for error in jsonschema.Draft202012Validator(schema).iter_errors(plan.to_dict()):
        faults.append(f"{'/'.join(map(str, error.absolute_path))}: {error.message}")
    if faults:
        raise PlanError("the plan is not exported:\n" + "\n".join(f"  - {fault}" for fault in faults))


def step_faults(step: Step) -> list[str]:
    """What is wrong with the calls and expressions of one step."""
    reads = [step.verify, *step.captures.values()]
    apis = [step.api, *(one["api"] for one in (*reads, *step.alternatives))]
    if isinstance(step.rollback, dict):
        apis.append(step.rollback["api"])
    faults = [fault for api in apis for fault in api_faults(api)]
    for expression in [*(one["jmespath"] for one in reads), *step.outputs.values()]:
        try:
            jmespath.compile(expression)
        except jmespath.exceptions.JMESPathError as error:
            faults.append(f"{expression!r}: {error}")
    return [f"{step.id or step.key}: {fault}" for fault in faults]


def api_faults(api: Api) -> list[str]:
    """What botocore's model of the service says against a call: its names, its types, its values."""
    try:
        operation = service_model(api["service"]).operation_model(api["operation"])
    except UnknownServiceError:
        return [f"botocore knows no service {api['service']!r}"]
    except OperationNotFoundError:
        return [f"{api['service']} has no operation {api['operation']!r}"]
    shape = operation.input_shape
    if shape is None:
        return [f"{api['operation']} takes no parameters"] if api["parameters"] else []
    report = _Validator().validate(api["parameters"], shape)
    faults = [f"{api['service']} {api['operation']}: {report.generate_report()}"] if report.has_errors() else []
    return faults + [f"{api['service']} {api['operation']}: {fault}" for fault in _odd_values(api["parameters"], shape)]


class _Validator(ParamValidator):  # type: ignore[misc]
    """Validator that lets a reference stand for any value: what it will be is known when the step runs."""

    def _validate(self, params: Any, shape: Any, errors: Any, name: str) -> None:  # noqa: ANN401 - botocore's types
        if not (isinstance(params, str) and _REFERENCE.fullmatch(params)):
            super()._validate(params, shape, errors, name)


@cache
def service_model(name: str) -> Any:  # noqa: ANN401 - botocore has no types
    """Model that botocore has of a service.

    Raises
    ------
    UnknownServiceError
        when it has none.
    """
    return _session().get_service_model(name)


@cache
def _session() -> Any:  # noqa: ANN401 - botocore has no types
    return botocore.session.Session()


def _odd_values(value: Any, shape: Any) -> list[str]:  # noqa: ANN401 - botocore has no types
    """Texts outside an enumeration, which botocore's validator passes over in silence."""
    if shape.type_name == "structure" and isinstance(value, dict):
        return [one for name in value if name in shape.members for one in _odd_values(value[name], shape.members[name])]
    if shape.type_name == "list" and isinstance(value, list):
        return [one for item in value for one in _odd_values(item, shape.member)]
    choices = None if isinstance(value, str) and _REFERENCE.fullmatch(value) else getattr(shape, "enum", None)
    return [f"{value!r} is none of {', '.join(choices)}"] if choices and value not in choices else []
