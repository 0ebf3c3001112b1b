"""Requests and answers of AWS services in their own protocols, as the services' botocore models say.

A request is parsed and checked, and an answer checked and written, by the model alone (JSON, REST-JSON, query, EC2), so
what stands before moto cannot take or send a member that the service does not have.
"""

import re
import threading
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from typing import Any
from uuid import uuid4

from botocore.exceptions import UnknownServiceError
from botocore.utils import parse_timestamp
from botocore.validate import ParamValidator

from cirtlib.errors import TrainingError

try:
    from moto.core.errors import COMMON_ERROR_CODES
    from moto.core.parse import PROTOCOL_PARSERS
    from moto.core.request import Request, determine_request_protocol
    from moto.core.routing import get_service_router
    from moto.core.serialize import get_serializer_class
    from moto.iam.models import get_account_id_from
    from werkzeug.exceptions import HTTPException
except ImportError as error:  # the emulator is an extra: the library itself works without it
    raise TrainingError("the emulated account needs moto: pip install 'cirtlib[train]'") from error

Json = dict[str, Any]
Wsgi = tuple[int, dict[str, str], bytes]

_SCOPE = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
# Where the name that requests are signed with is not botocore's name of the service.
_SIGNED_AS = {"elasticloadbalancing": "elbv2", "monitoring": "cloudwatch", "sso": "sso-admin"}

# (denied, expired, wrong parameters), each a code and a status, by protocol. Source: "Common errors" in the API
# reference of each service, and Amazon S3's "List of error codes".
_CODES = {
    "rest-xml": (("AccessDenied", 403), ("ExpiredToken", 400), ("InvalidArgument", 400)),
    "query": (("AccessDenied", 403), ("ExpiredToken", 403), ("ValidationError", 400)),
    "ec2": (("UnauthorizedOperation", 403), ("RequestExpired", 400), ("InvalidParameterValue", 400)),
    "json": (("AccessDeniedException", 400), ("ExpiredTokenException", 400), ("ValidationException", 400)),
    "rest-json": (("AccessDeniedException", 403), ("ExpiredTokenException", 403), ("ValidationException", 400)),
}
# Services that say in their own words that a parameter is wrong.
_WRONG = {
    "backup": "InvalidParameterValueException",
    "guardduty": "BadRequestException",
    "securityhub": "InvalidInputException",
}
# No service's model lists these, so moto would warn of each.
COMMON_ERROR_CODES += sorted({code for codes in _CODES.values() for code, _ in codes} - set(COMMON_ERROR_CODES))
COMMON_ERROR_CODES += ["SerializationException", "ThrottlingException", "InvalidClientTokenId", "AuthFailure"]
COMMON_ERROR_CODES += ["InvalidAccessKeyId", "UnrecognizedClientException", "ServiceUnavailable"]


class Refused(Exception):  # noqa: N818 - it is an answer of AWS, not a mistake of ours
    """An answer of AWS that is an error: its code and its words; the status is the model's unless it is given."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


@dataclass(frozen=True)
class Asked:
    """A request to AWS: which operation (named as botocore names it), of which account and Region, by which key."""

    service: str
    operation: str
    account: str
    region: str
    key: str
    protocol: str = ""
    model: Any = field(default=None, repr=False)
    request: Any = field(default=None, repr=False)
    labels: Json = field(default_factory=dict, repr=False)

    @cached_property
    def parameters(self) -> Json:
        """Input of the operation, by the names of its model's members; times are aware.

        Raises
        ------
        Refused
            when it cannot be read by the model.
        """
        parser = PROTOCOL_PARSERS[self.protocol](self.model, timestamp_parser=parse_timestamp)
        try:
            parsed: Json = parser.parse(
                {
                    "method": self.request.method,
                    "values": self.request.values,
                    "headers": self.request.headers,
                    "body": self.request.data,
                    "url_path": self.request.path,
                    "url_params": self.labels,
                }
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise Refused("SerializationException", f"the request cannot be read: {error}", 400) from None
        return parsed

    def wrong(self, message: str, code: str = "") -> Refused:
        """The service's error for a wrong parameter, or the one with this code."""
        return Refused(code or _WRONG.get(self.service) or _CODES[self.protocol][2][0], message)

    def denied(self) -> Refused:
        """What the service says to a caller that may not do this."""
        code, status = _CODES[self.protocol][0]
        text = f"User is not authorized to perform {self.service}:{self.operation} in account {self.account}"
        return Refused(code, text, status)

    def expired(self) -> Refused:
        """What the service says to a caller whose credentials have run out."""
        code, status = _CODES[self.protocol][1]
        return Refused(code, "The security token included in the request is expired", status)


# a service's first match compiles its routes, which Python 3.11 cannot do in two threads at once
_ROUTING = threading.Lock()


def identify(environ: Json, body: bytes) -> Asked | None:
    """What a signed request asks for; None for anything else (it is moto's then)."""
    scope = _SCOPE.search(str(environ.get("HTTP_AUTHORIZATION", "")))
    if not scope:
        return None
    key, region, service = scope.groups()
    service = _SIGNED_AS.get(service, service)
    if service == "s3" and str(environ.get("PATH_INFO", "")).startswith("/v20180820/"):
        service = "s3control"
    request = Request({**environ, "wsgi.input": BytesIO(body)})
    try:
        with _ROUTING:
            model, labels = get_service_router(service).match(request)
        protocol = determine_request_protocol(model.service_model, request.content_type)
    except (HTTPException, NotImplementedError, UnknownServiceError, ValueError):
        return None
    if protocol not in _CODES:
        return None
    account = str(get_account_id_from(key))
    return Asked(service, str(model.name), account, region, key, protocol, model, request, labels)


def check(asked: Asked, codes: Json) -> None:
    """Hold a request against its model: required members, types, least and greatest values, enumerations.

    Raises
    ------
    Refused
        with the code that `codes` has for the member at fault, else the service's own for a wrong parameter.
    """
    shape = asked.model.input_shape
    if shape is None:
        return
    report = ParamValidator().validate(asked.parameters, shape)
    if report.has_errors():
        raise asked.wrong(report.generate_report())
    for name, member in shape.members.items():
        if name in asked.parameters and (fault := _fault(asked.parameters[name], member, name)):
            raise asked.wrong(f"1 validation error detected: {fault}", codes.get(name, ""))


def _fault(value: Any, shape: Any, path: str) -> str:  # noqa: ANN401 - whatever the request holds
    """What the model's constraints have against a value; botocore's own check leaves these to the service."""
    if shape.type_name == "structure":
        inner = ((value[name], member, f"{path}.{name}") for name, member in shape.members.items() if name in value)
        return next((fault for one in inner if (fault := _fault(*one))), "")
    allowed, least, most = (shape.metadata.get(name) for name in ("enum", "min", "max"))
    if allowed and value not in allowed:
        return f"Value {value!r} at {path!r} failed to satisfy constraint: Member must be one of {allowed}"
    size = value if isinstance(value, int | float) else len(value) if isinstance(value, str | list) else None
    if size is not None and most is not None and size > most:
        return f"Value at {path!r} failed to satisfy constraint: Member must be at most {most}"
    if size is not None and least is not None and size < least:
        return f"Value at {path!r} failed to satisfy constraint: Member must be at least {least}"
    if shape.type_name == "list":
        return next((fault for item in value if (fault := _fault(item, shape.member, path))), "")
    return ""


def write(asked: Asked, result: Json | Refused) -> Wsgi:
    """Status, headers and body of an answer, in the protocol of the request.

    Raises
    ------
    TypeError
        when the answer has a member that the model has not, or lacks one that it must have.
    """
    if not isinstance(result, Refused) and (result or asked.model.output_shape):  # some calls answer nothing
        report = ParamValidator().validate(result, asked.model.output_shape)
        if report.has_errors():
            raise TypeError(f"{asked.service} {asked.operation}: {report.generate_report()}")
    made = get_serializer_class(asked.service, asked.protocol)(asked.model).serialize(result)
    status = (isinstance(result, Refused) and result.status) or made["status_code"]
    body = made["body"].encode() if isinstance(made["body"], str) else made["body"]
    return int(status), {"x-amzn-RequestId": str(uuid4()), **made["headers"]}, body


def trimmed(value: Any, shape: Any) -> Any:  # noqa: ANN401 - any JSON
    """What of a document the model has, by the names of its members; the rest is lost, as it is to every client."""
    if shape.type_name == "structure":
        named = ((name, member, member.serialization.get("name", name)) for name, member in shape.members.items())
        return {name: trimmed(value[key], member) for name, member, key in named if value.get(key) is not None}
    if shape.type_name == "list":
        return [trimmed(item, shape.member) for item in value]
    if shape.type_name == "map":
        return {key: trimmed(item, shape.value) for key, item in value.items()}
    if shape.type_name == "timestamp":
        return parse_timestamp(value)
    return value
