"""Calls as CloudTrail records them, turned into calls that can be made: to take back what was given."""

import json
from typing import Any

from cirtlib.containment.validate import service_model
from cirtlib.policy.conditions import listed


def parameters(service: str, operation: str, recorded: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a call in botocore's names, from `requestParameters` of a record of the same or a kindred call.

    Names are compared without regard to case, since records write them in the style of each service; EC2's
    `{"items": [...]}` becomes a list. What the operation does not take is left out.
    """
    shape = service_model(service).operation_model(operation).input_shape
    return _structure(shape, recorded) if shape is not None else {}


def _structure(shape: Any, recorded: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - botocore has no types
    given = {name.lower(): value for name, value in recorded.items() if value is not None}
    found = {}
    for member, inner in shape.members.items():
        for name in (member, inner.serialization.get("name", member)):
            if name.lower() in given:
                value = _value(inner, given[name.lower()])
                if value not in ({}, []):
                    found[member] = value
                break
    return found


def _value(shape: Any, value: Any) -> Any:  # noqa: ANN401, PLR0911 - botocore has no types; one return for each type
    kind = shape.type_name
    if kind == "structure":
        return _structure(shape, value) if isinstance(value, dict) else {}
    if kind == "list":
        return [_value(shape.member, one) for one in _listed(value)]
    if kind == "map":
        return {str(key): _value(shape.value, one) for key, one in value.items()} if isinstance(value, dict) else {}
    if kind == "boolean":
        return value if isinstance(value, bool) else str(value).lower() == "true"
    if kind in ("integer", "long"):
        return int(value)
    if kind in ("float", "double"):
        return float(value)
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        for name in ("items", "item"):
            if name in value:
                return _listed(value[name])
    return listed(value)
