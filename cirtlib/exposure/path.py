"""What lies between the internet and an instance: groups, interfaces, subnet, VPC, profile, role, and how we know.

Told by findings (GuardDuty instanceDetails, ASFF AwsEc2Instance), the account snapshot (DescribeInstances) and
CloudTrail (the answer of RunInstances, changes of groups and profile, the instance's own calls).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pandas as pd

from cirtlib import identity
from cirtlib.engine import duckdb as engine
from cirtlib.snapshot import Snapshot

_PART = re.compile(r"(sg|subnet|vpc|eni)-[0-9a-f]{8,17}")
_PROFILE = re.compile(r"arn:[\w-]+:iam::\d{12}:instance-profile/.+")
_KINDS = {"sg": "security group", "subnet": "subnet", "vpc": "VPC", "eni": "network interface"}
_CHANGES = [
    "RunInstances", "ModifyInstanceAttribute", "ModifyNetworkInterfaceAttribute", "AssociateIamInstanceProfile",
    "ReplaceIamInstanceProfileAssociation",
]  # fmt: skip
_MOST = 200


@dataclass
class Path:
    """An instance and what it hangs on: by id (role and account: ARN and account id), its kind and the evidence."""

    instance: str
    account: str
    region: str
    kinds: dict[str, str] = field(default_factory=dict)
    evidence: dict[str, tuple[str, ...]] = field(default_factory=dict)
    metadata_tokens: str = ""

    @property
    def arn(self) -> str:
        """ARN of the instance."""
        return f"arn:aws:ec2:{self.region}:{self.account}:instance/{self.instance}"

    def of_kind(self, kind: str) -> list[str]:
        """Ids of one kind: `security group`, `role`, ..."""
        return [name for name, one in self.kinds.items() if one == kind]

    def add(self, name: str, kind: str, *evidence: str) -> None:
        """Put a thing on the path, or add evidence to it."""
        self.kinds.setdefault(name, kind)
        self.evidence[name] = tuple(dict.fromkeys((*self.evidence.get(name, ()), *evidence)))

    def tell(self, content: object, evidence: str) -> None:
        """Add every group, subnet, VPC, interface and profile named in what describes the instance."""
        for text in _texts(content):
            if found := _PART.fullmatch(text):
                self.add(text, _KINDS[found[1]], evidence)
            elif _PROFILE.fullmatch(text):
                self.add(text, "instance profile", evidence)

    def names(self, resource: str) -> str | None:
        """The thing on the path that a finding's resource id means, or None."""
        if resource in self.kinds:
            return resource
        last = re.split(r"[/:]", resource)[-1]
        if resource.startswith("arn:") and f":{self.account}:" not in resource:
            return None
        # bare names of IAM may repeat: those must be whole ARNs
        return last if last in self.kinds and not resource.startswith("arn:aws:iam:") else None


def of_instance(
    connection: duckdb.DuckDBPyConnection, findings: pd.DataFrame, state: Snapshot | None, where: tuple[str, str, str]
) -> Path:
    """Path of an instance (id, account, Region), from all sources that tell of it."""
    path = Path(*where)
    path.add(path.instance, "instance")
    path.add(path.account, "account")
    for row in findings.itertuples():
        for content in described(identity.parse(row.details), path.instance):
            path.tell(content, row.finding_id)
            path.metadata_tokens = path.metadata_tokens or _tokens(content)
    for one in state.instances if state else ():
        if one.get("InstanceId") == path.instance and state:
            path.tell(one, f"account snapshot of {state.taken_at}")
            path.metadata_tokens = path.metadata_tokens or _tokens(one)
    _records(connection, path)
    return path


def described(document: dict[str, Any], instance: str) -> Iterator[Any]:
    """Parts of a finding that describe the instance."""
    resource = document.get("resource") or document.get("Resource")
    if isinstance(resource, dict):
        details = resource.get("instanceDetails") or resource.get("InstanceDetails") or {}
        if isinstance(details, dict) and instance in (details.get("instanceId"), details.get("InstanceId")):
            yield details
    for one in document.get("Resources") or ():
        if isinstance(one, dict) and str(one.get("Id", "")).endswith(f"/{instance}"):
            yield one


def _records(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Add what the records say: how it was launched and changed, and which role its calls come from."""
    text = (
        "SELECT event_id, event_name, request, response FROM events WHERE event_source = 'ec2.amazonaws.com' "  # noqa: S608 - a number of our own
        "AND contains(:calls, event_name) AND outcome = 'ok' AND account_id = :account "
        "AND strpos(concat(COALESCE(request, ''), COALESCE(response, '')), :id) > 0 "
        f"ORDER BY event_time, event_id LIMIT {_MOST}"
    )
    given = {"calls": _CHANGES, "id": path.instance, "account": path.account}
    for row in engine.run(connection, text, given).itertuples():
        request, response = identity.parse(row.request), identity.parse(row.response)
        if row.event_name == "RunInstances":
            launched = (response.get("instancesSet") or {}).get("items") or []
            for one in launched:
                if isinstance(one, dict) and one.get("instanceId") == path.instance:
                    path.tell(one, row.event_id)
        else:
            path.tell([request, response], row.event_id)
    own = (
        "SELECT role_arn, min(event_id) AS event_id, count(*) AS calls FROM events "
        "WHERE session_name = :id AND account_id = :account AND role_arn IS NOT NULL "
        "AND (ec2_role_delivery IS NOT NULL OR strpos(COALESCE(credentials_issued_to, ''), :id) > 0) GROUP BY role_arn"
    )
    for row in engine.run(connection, own, {"id": path.instance, "account": path.account}).itertuples():
        path.add(row.role_arn, "role", row.event_id)


def _tokens(content: object) -> str:
    """HttpTokens of the instance's metadata options: optional (version 1 works) or required."""
    if isinstance(content, dict):
        for key, value in content.items():
            if str(key).lower() == "httptokens" and isinstance(value, str):
                return value
            if found := _tokens(value):
                return found
    return ""


def _texts(content: object) -> Iterator[str]:
    """Every text in a decoded JSON value."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from _texts(value)
    elif isinstance(content, list):
        for value in content:
            yield from _texts(value)
