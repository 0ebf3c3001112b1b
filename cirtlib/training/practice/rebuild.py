"""A call to an API made again from its CloudTrail record: operation and parameters as botocore's model names them.

CloudTrail writes parameters in lower camel case, and lists of EC2 as sets of items.
"""

import re
from functools import cache
from typing import Any

import botocore.session
from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

Json = dict[str, Any]
# Where the first part of eventSource is not botocore's name of the service.
_SERVICES = {
    "monitoring": "cloudwatch",
    "elasticloadbalancing": "elbv2",
    "sso": "sso-admin",
    "tagging": "resourcegroupstaggingapi",
    "states": "stepfunctions",
    "servicequotas": "service-quotas",
}
# Operations of S3 that CloudTrail names otherwise, and a newer form of one. Source: S3 user guide, "CloudTrail events".
_OPERATIONS = {
    "listobjects": "listobjectsv2",
    "getbucketpublicaccessblock": "getpublicaccessblock",
    "putbucketpublicaccessblock": "putpublicaccessblock",
    "deletebucketpublicaccessblock": "deletepublicaccessblock",
}
_ALIASES = {"bucketname": "bucket", "policyname": "policyname", "trailname": "name", "functionname": "functionname"}


def call_of(record: Json) -> tuple[str, str] | None:
    """Service and operation of a record as botocore names them; None where no API has it (a sign-in, a page)."""
    source = record["eventSource"].removesuffix(".amazonaws.com")
    service = _SERVICES.get(source, source)
    name = re.sub(r"\d{8}(?:v\d+)?$", "", record["eventName"]).lower()
    found = _names(service).get(_OPERATIONS.get(name, name))
    return (service, found) if found else None


def parameters_of(record: Json, service: str, operation: str) -> Json | None:
    """Input of the operation; None where the record does not tell all that it needs."""
    model = _model(service)
    if model is None:
        return None
    shape = model.operation_model(operation).input_shape
    if shape is None:
        return {}
    told = record.get("requestParameters") or {}
    if operation == "RunInstances":  # whose image and numbers stand in its set
        told = {**told, **next(iter(told.get("instancesSet", {}).get("items", [])), {})}
    given = _members(shape, told)
    return given if complete(service, operation, given) else None


def complete(service: str, operation: str, given: Json) -> bool:
    """Whether a request has all that its model demands, in the right types."""
    model = _model(service)
    shape = model.operation_model(operation).input_shape if model else None
    return shape is None or not ParamValidator().validate(given, shape).has_errors()


@cache
def _names(service: str) -> dict[str, str]:
    """Operations of a service by their names in lower case."""
    model = _model(service)
    return {one.lower(): one for one in model.operation_names} if model else {}


@cache
def _model(service: str) -> ServiceModel | None:
    session = botocore.session.get_session()
    try:
        return ServiceModel(session.get_component("data_loader").load_service_model(service, "service-2"), service)
    except (UnknownServiceError, DataNotFoundError):
        return None


def _members(shape: Any, given: Any) -> Any:  # noqa: ANN401 - botocore has no types
    """Value of a record in a shape of the model; what the shape has not is left out."""
    if shape.type_name == "structure":
        return _structure(shape, given) if isinstance(given, dict) else {}
    if shape.type_name == "list":
        items = given.get("items", []) if isinstance(given, dict) else given if isinstance(given, list) else [given]
        return [_members(shape.member, _only(shape.member, item)) for item in items]
    if shape.type_name == "map":
        return (
            {str(key): _members(shape.value, value) for key, value in given.items()} if isinstance(given, dict) else {}
        )
    if shape.type_name in ("integer", "long"):
        return int(given) if str(given).lstrip("-").isdigit() else given
    if shape.type_name == "boolean":
        return given if isinstance(given, bool) else str(given).lower() == "true"
    return str(given) if shape.type_name == "string" else given


def _structure(shape: Any, given: Json) -> Json:  # noqa: ANN401 - botocore has no types
    spelled = {}
    for name, member in shape.members.items():
        spelled[name.lower()] = name
        if wire := member.serialization.get("name"):
            spelled.setdefault(wire.lower(), name)
    made: Json = {}
    for key, value in given.items():
        plain = _ALIASES.get(key.lower(), key.lower())
        for form in (
            plain,
            plain.removesuffix("set"),
            f"{plain.removesuffix('set')}s",
            f"{plain.removesuffix('sset')}ids",
        ):
            if form in spelled and value is not None:
                made.setdefault(spelled[form], _members(shape.members[spelled[form]], value))
                break
    return made


def _only(shape: Any, item: Any) -> Any:  # noqa: ANN401 - botocore has no types
    """The one value of an item such as {"instanceId": "i-…"} where a text is wanted."""
    if shape.type_name == "string" and isinstance(item, dict) and len(item) == 1:
        return next(iter(item.values()))
    return item
