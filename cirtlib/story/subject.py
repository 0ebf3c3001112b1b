"""What a value names: an access key, a principal, an address and so on, or several of these at once."""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Any

import duckdb

from cirtlib.case import parse_time
from cirtlib.engine import duckdb as engine
from cirtlib.errors import CaseError

_KEY = re.compile(r"A[KS]IA[A-Z0-9]+")
_INSTANCE = re.compile(r"i-[0-9a-f]{8,17}")
_ACCOUNT = re.compile(r"\d{12}")
_EVENT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|sha256:[0-9a-f]{64}", re.IGNORECASE)
_ARN = re.compile(r"arn:[\w-]+:(?P<service>[\w-]*):[\w-]*:(?P<account>\d*):(?P<rest>.+)", re.DOTALL)

# Calls that name a thing in their parameters; a quoted name is the whole of a JSON text, never a part of a longer one.
_NAMED = "(strpos(request, :quoted) > 0 OR strpos(request, :whole) > 0 OR strpos(response, :whole) > 0)"
_OF_IAM = "event_source = 'iam.amazonaws.com'"
_OF_MACHINES = "event_source IN ('ec2.amazonaws.com', 'ssm.amazonaws.com', 'sts.amazonaws.com')"
_RESOURCE = "cardinality(filter(resources, r -> r.arn = :value)) > 0"

# kind -> (its own events, events of others about it); conditions on `events`
_EVENTS = {
    "access key": (
        "access_key_id = :value",
        f"minted_key = :value OR ({_OF_IAM} AND strpos(request, :whole) > 0)",
    ),
    "principal": (
        "principal = :value",
        f"minted_principal IN (:value, :plain) OR ({_OF_IAM} AND account_id = :account AND {_NAMED})",
    ),
    "role session": ("principal_arn = :value", "event_source = 'sts.amazonaws.com' AND strpos(response, :whole) > 0"),
    "session name": ("session_name = :value", "false"),
    "console session": ("principal_id = :value AND session_created = :created AND from_console", "false"),
    "sign-in session": ("sign_in_session = :value", "false"),
    "console password": (
        "event_name = 'ConsoleLogin' AND principal = :value",
        "event_name LIKE '%LoginProfile' AND account_id = :account AND strpos(request, :quoted) > 0",
    ),
    "address": ("source_ip = :value", "false"),
    "network": ("source_network = :value", "false"),
    "user agent": ("user_agent = :value", "false"),
    "user agent family": ("user_agent_family = :value", "false"),
    "instance": (
        "role_arn IS NOT NULL AND session_name = :id",
        f"{_OF_MACHINES} AND (strpos(request, :id) > 0 OR strpos(response, :id) > 0)",
    ),
    "bucket": (
        f"event_source = 's3.amazonaws.com' AND ({_RESOURCE} OR strpos(request, :quoted) > 0)",
        "false",
    ),
    "resource": (f"{_RESOURCE} OR (event_source = :service AND {_NAMED})", "false"),
    "account": ("account_id = :value OR caller_account = :value", "false"),
    "event": ("event_id = :value", "false"),
    "finding": ("contains(:events, event_id)", "false"),
}
# What does nothing itself: its own events are those that others did to it, or in it.
PASSIVE = ("bucket", "resource", "account")


@dataclass(frozen=True)
class Subject:
    """One thing that a value names: its kind, the value as AWS writes it, its node id, and the events that are its.

    `acts` and `about` are conditions on `events` with the parameters `given`.
    """

    kind: str
    value: str
    node: str
    given: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def acts(self) -> str:
        """Condition of its own events: those by it, from it, or on it where it does nothing itself."""
        return _EVENTS[self.kind][0]

    @property
    def about(self) -> str:
        """Condition of the events of others about it."""
        return _EVENTS[self.kind][1]


def find(connection: duckdb.DuckDBPyConnection, value: str, scope: dict[str, Any]) -> list[Subject]:
    """All that `value` may name, judged by its form, else by what bears that name in the evidence.

    Parameters
    ----------
    scope
        content of scope.json, empty where there is none.
    """
    prefix, _, rest = value.partition(":")
    if rest and (made := _of_node(prefix, rest, scope)):
        return [made]
    if _INSTANCE.fullmatch(value):
        return [_instance(value, scope)]
    if value.startswith("arn:"):
        return [_of_arn(value, scope)]
    forms = {"access key": _KEY, "event": _EVENT, "account": _ACCOUNT}
    kind = next((kind for kind, form in forms.items() if form.fullmatch(value)), "") or _address(value)
    return [_make(kind, value)] if kind else _of_name(connection, value)


def _of_node(prefix: str, value: str, scope: dict[str, Any]) -> Subject | None:
    """Subject of a node id of scope.json."""
    kinds = {
        "access_key": "access key",
        "principal": "principal",
        "login_profile": "console password",
        "address": "address",
        "account": "account",
        "user_agent": "user agent",
        "event": "event",
        "sign_in": "sign-in session",
    }
    if prefix in kinds:
        return _make(kinds[prefix], value)
    if prefix in {"resource", "finding"}:
        return _of_arn(value, scope) if value.startswith("arn:") else None
    if prefix == "console":
        who, _, created = value.rpartition("/")
        try:
            return Subject("console session", who, f"console:{value}", {"value": who, "created": parse_time(created)})
        except CaseError:
            return None
    return None


def _of_arn(arn: str, scope: dict[str, Any]) -> Subject:
    parts = _ARN.fullmatch(arn)
    service, rest = (parts["service"], parts["rest"]) if parts else ("", "")
    if service == "iam" and rest.split("/")[0] in {"user", "role", "root"}:
        return _make("principal", arn)
    if service == "sts":
        return _make("role session" if rest.startswith("assumed-role/") else "principal", arn)
    if service == "ec2" and rest.startswith("instance/"):
        return _instance(rest.partition("/")[2], scope, arn)
    if service == "s3" and "/" not in rest:
        return _make("bucket", arn)
    if "/finding/" in rest or service == "securityhub":
        edges = [edge for edge in scope.get("edges", ()) if edge["to"] == f"finding:{arn}"]
        events = [one for edge in edges for one in edge["evidence"]]
        return Subject("finding", arn, f"finding:{arn}", {"events": events})
    return _make("resource", arn)


def _instance(name: str, scope: dict[str, Any], arn: str = "") -> Subject:
    """Subject of an instance; its ARN is that of the scope where only its id was given."""
    known = [str(node["id"]) for node in scope.get("nodes", ()) if str(node["value"]).endswith(f":instance/{name}")]
    node = f"resource:{arn}" if arn else next(iter(known), f"resource:{name}")
    return Subject("instance", arn or node.partition(":")[2], node, {"id": name})


def _address(value: str) -> str:
    """Whether a text is an `address` or a `network`; '' when neither."""
    try:
        network = ipaddress.ip_network(value)
    except ValueError:
        return ""
    return "network" if "/" in value and network.num_addresses > 1 else "address"


def _of_name(connection: duckdb.DuckDBPyConnection, name: str) -> list[Subject]:
    """All that bears this bare name: users, roles, services, sessions, programs, a bucket."""
    traits = {"session name": "session_name", "user agent": "user_agent", "user agent family": "user_agent_family"}
    counts = ", ".join(f"count_if({column} = :name) AS {column}" for column in traits.values())
    pairs = engine.run(
        connection,
        f"SELECT principal, minted_principal, {counts} FROM events GROUP BY principal, minted_principal",  # noqa: S608 - our own names
        {"name": name},
    )
    arns = {str(arn) for column in ("principal", "minted_principal") for arn in pairs[column].dropna()}
    mine = sorted(arn for arn in arns if arn == name or re.split("[/:]", arn)[-1] == name)
    # A record that names a user without its path is of the one that has a path, where there is just that.
    plain = {_plain(arn) for arn in mine if arn != _plain(arn)}
    found = [_make("principal", arn) for arn in mine if arn not in plain]
    found += [_make(kind, name) for kind, column in traits.items() if pairs[column].sum()]
    if re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name):
        bucket = _make("bucket", f"arn:aws:s3:::{name}")
        text = f"SELECT event_id FROM events WHERE {bucket.acts} LIMIT 1"  # noqa: S608 - our own text
        found += [bucket] if len(engine.run(connection, text, bucket.given)) else []
    return found


def _plain(arn: str) -> str:
    """ARN of a user or role without its path, as some records write it."""
    head, slash, rest = arn.partition("/")
    return head + slash + rest.rpartition("/")[2]


def _make(kind: str, value: str) -> Subject:
    """Subject with the parameters of its conditions."""
    parts = _ARN.fullmatch(value)
    name = re.split("[/:]", value)[-1]
    given = {
        "value": value,
        "whole": f'"{value}"',
        "quoted": f'"{name}"',
        "plain": _plain(value),
        "id": name,
        "account": parts["account"] if parts else "",
        "service": f"{parts['service']}.amazonaws.com" if parts else "",
    }
    condition = " ".join(_EVENTS[kind])
    prefixes = {"access key": "access_key", "user agent": "user_agent", "console password": "login_profile"}
    prefixes |= {"sign-in session": "sign_in"} | dict.fromkeys(("bucket", "resource"), "resource")
    prefix = prefixes.get(kind, kind if kind in {"principal", "address", "account", "event"} else "")
    used = {key: part for key, part in given.items() if re.search(rf":{key}\b", condition)}
    return Subject(kind, value, f"{prefix}:{value}" if prefix else "", used)
