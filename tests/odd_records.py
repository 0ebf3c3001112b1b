"""Odd CloudTrail records, made up: what a log may hold that a query would rather not meet."""

import itertools
import json
from typing import Any

from tests import sample_store as sample

HOSTILE = (
    "", " ", "'", '"', "\\", "';--", "{", "[1", "null", "NULL", "true", "%_%", "$1", "\\1", "${x}", "a\tb", "a\nb",
    "\u2028", "\u202egnp", "é", "e\u0301", "😀", "ﬀ", "İ", "\x01", "=cmd|' /C'!A0", "<script>", "0x1F", "-0", "NaN",
    "[brackets]", "[]", "[", "a" * 5000,
)  # fmt: skip
TIMES = (
    "2026-06-10T12:00:00Z", "2026-06-10T12:00:00.123Z", "2026-02-29T12:00:00Z",
    "1969-12-31T23:59:59Z", "2026-12-31T23:59:59.999Z",
)  # fmt: skip
SESSION_TIMES = ("2026-06-10T10:00:00Z", "2026-06-10T10:00:00+02:00", "2026-06-10", "yesterday", "", "1781085600", None)
ADDRESSES = (
    "203.0.113.10", "10.1.2.3", "100.64.0.1", "169.254.169.254", "192.0.2.256", "1.2.3", "::", "::1", "2001:db8::",
    "2001:DB8:0:1::5", "2001:db8:a:b:c:d:e:f", "2001:0db8:0000:0001:0000:0000:0000:0005", "::ffff:203.0.113.10",
    "fe80::1%eth0", ":::", "1:2:3:4:5:6:7:8:9", "AWS Internal", "aws internal", "ec2.amazonaws.com",
    "vpce-1.amazonaws.com.cn", "-", "0.0.0.0", "255.255.255.255", "203.0.113.10, 10.0.0.1", " 203.0.113.10", "::a:0",
)  # fmt: skip
AGENTS = (
    "aws-cli/2.15.0 Python/3.11", "[Boto3/1.34]", "[]", "[", "]", "[a]b]", "[[x]]", "console.amazonaws.com",
    "signin.amazonaws.com", "S3Console/0.4", "AWS-Console", "lambda.amazonaws.com.cn", "Mozilla/5.0 (X11)", "Opera/9",
    "AWS Internal", "aws-internal/3", "aws-sdk-go/1.4", "aws-sdk-java/2", "Terraform", "/", "/x", " x", "É/1", "x y/z",
)  # fmt: skip
TYPES = (
    "Root", "IAMUser", "AssumedRole", "Role", "FederatedUser", "Directory", "AWSAccount", "AWSService", "SAMLUser",
    "WebIdentityUser", "IdentityCenterUser", "Unknown", "", None,
)  # fmt: skip
_FIELDS = ("principalId", "arn", "accountId", "userName", "invokedBy", "accessKeyId")
_ACCOUNT = sample.ACCOUNT
_TEXTS = ("eventName", "eventSource", "userAgent", "sourceIPAddress", "errorCode", "errorMessage", "requestID",
          "eventType", "vpcEndpointId", "sharedEventID", "eventVersion", "eventCategory")  # fmt: skip
_JSON = ("requestParameters", "responseElements", "additionalEventData", "serviceEventDetails")
_NESTED = (
    {}, [], {"a": None}, {"": 1}, {"a.b": {"c d": [1, {"e": "'"}]}}, {"userName": ""}, {"userName": None},
    {"userName": ["bob"]}, {"userName": {"a": 1}}, {"userName": 7}, {"roleArn": "not an ARN"}, {"a": "\\\"'\n\u2028😀"},
    {"ConsoleLogin": "Failure"}, {"x": 'quoted "ConsoleLogin": "Failure"'}, {"n": [1, -1, 0, 12345678901, True, None]},
    {"credentials": {"accessKeyId": "ASIAMINTED", "sessionToken": "secret-é"}}, {"credentials": "omitted"},
    {"credentials": {"accessKeyId": {}}}, {"accessKey": {"accessKeyId": "AKIANEW"}}, {"MFAUsed": "Yes"},
)  # fmt: skip
_CALLS = (
    ("AssumeRole", "sts"), ("GetSessionToken", "sts"), ("AssumeRoot", "sts"), ("CreateAccessKey", "iam"),
    ("CreateLoginProfile", "iam"), ("ConsoleLogin", "signin"), ("SwitchRole", "signin"),
    ("CreateSession", "rolesanywhere"), ("CreateFunction20150331v2", "lambda"), ("GetObject", "s3"),
)  # fmt: skip


def identities() -> list[dict[str, Any] | None]:
    """Every type of identity with all of its fields, with each one missing, null or empty, and with none."""
    found: list[dict[str, Any] | None] = [None, {}]
    for kind in TYPES:
        full = {
            "type": kind, "principalId": "AROAX:a:b", "accountId": "444455556666", "userName": "Zoë",
            "arn": "arn:aws:sts::444455556666:assumed-role/path-less/se/ssion", "invokedBy": "AWS Internal",
            "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
        }  # fmt: skip
        found += [full, {"type": kind}]
        for name, worth in itertools.product(_FIELDS, (None, "", "gone")):
            found.append(
                {key: worth if key == name else value for key, value in full.items() if worth != "gone" or key != name}
            )
        found.append({**full, "arn": None, "principalId": None, "userName": None})
        found.append({**full, "userName": "HIDDEN_DUE_TO_SECURITY_REASONS", "arn": ""})
        found.append({**full, "sessionContext": None})
        found.append({**full, "sessionContext": {"sessionIssuer": {}, "attributes": {}, "webIdFederationData": {}}})
        found += [{**full, "sessionContext": context} for context in _contexts()]
    return found


def _contexts() -> list[dict[str, Any]]:
    issuer = {
        "type": "Role",
        "principalId": "AROAX",
        "arn": "arn:aws:iam::444455556666:role/a/b/c",
        "accountId": "444455556666",
    }
    federation = {"federatedProvider": "accounts.example.com", "attributes": None}
    contexts: list[dict[str, Any]] = [
        {"sessionIssuer": issuer, "attributes": {"creationDate": time, "mfaAuthenticated": mfa}}
        for time, mfa in zip(SESSION_TIMES, ("true", "false", "TRUE", "", None, "yes", "true"), strict=True)
    ]
    contexts.append({"sessionIssuer": {**issuer, "arn": None}, "ec2RoleDelivery": "2.0", "sourceIdentity": "a'b"})
    contexts.append({"webIdFederationData": federation, "signInSessionArn": "arn:aws:signin:x"})
    return contexts


def records() -> list[dict[str, Any]]:
    """The records, each with an id that says what it is about."""
    made: list[dict[str, Any]] = []

    def add(what: str, *call: str, **fields: Any) -> None:
        made.append(sample.record(*call, **{"eventID": f"{what} {len(made)}", "requestID": "r", **fields}))

    for who in identities():
        add("identity", userIdentity=who)
    for field, text in itertools.product(_TEXTS, HOSTILE):
        add("text", **{field: text})
    for field in (
        *_TEXTS,
        *_JSON,
        "userIdentity",
        "resources",
        "tlsDetails",
        "readOnly",
        "managementEvent",
        "awsRegion",
    ):
        add("null", **{field: None})
    for time in TIMES:
        add("time", time=time)
    for address in ADDRESSES:
        add("address", sourceIPAddress=address)
    for agent, console in itertools.product(AGENTS, (None, "true")):
        add("agent", userAgent=agent, sessionCredentialFromConsole=console)
    for call, nested in itertools.product(_CALLS, _NESTED):
        add("call", *call, requestParameters=nested, responseElements=nested, additionalEventData=nested)
    for region, account in itertools.product(("us-gov-west-1", "cn-north-1", "eu-west-1"), (_ACCOUNT, "000000000001")):
        add("place", awsRegion=region, recipientAccountId=account, userIdentity={"type": "Root", "accountId": account})
    add("deep", requestParameters=_deep(40), responseElements={"list": [_deep(5)] * 3})
    for named in (
        [],
        [{}],
        [{"ARN": None}],
        [{"ARN": "arn:aws:s3:::b", "accountId": "", "type": "AWS::S3::Bucket"}] * 3,
    ):
        add("resources", resources=named, tlsDetails={"tlsVersion": None, "clientProvidedHostHeader": "é"})
    return made


def _deep(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"end": "x"}
    for level in range(levels):
        inner = {f"level{level}": inner}
    return inner


def untyped() -> list[dict[str, Any]]:
    """Records with numbers, booleans, lists and objects where a text belongs, and a text where an object does."""
    odd = (5, 1.5, -0.0, 1e300, True, [1, "a"], {"a": {"b": 1}}, [], {})
    made = [
        sample.record(**{"eventID": f"untyped {field} {place}", field: worth})
        for field in (*_TEXTS, "readOnly", "awsRegion", "sessionCredentialFromConsole")
        for place, worth in enumerate(odd)
        if field != "awsRegion" or isinstance(worth, int | float)
    ]
    made += [
        sample.record(**{"eventID": f"untyped {field} {place}", field: worth})
        for field in _JSON
        for place, worth in enumerate((5, True, "text", '{"a": 1}', '"quoted"', "", [1, 2]))
    ]
    return made


def as_file(made: list[dict[str, Any]]) -> bytes:
    """The records in one CloudTrail log file."""
    return json.dumps({"Records": made}, ensure_ascii=False).encode()
