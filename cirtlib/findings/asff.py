"""Security Hub findings in the AWS Security Finding Format (ASFF), those that GuardDuty and others send among them."""

import re
from typing import Any

from cirtlib.findings.fields import LOWEST, account_id, at, items, label_of, number, text, time, truth
from cirtlib.findings.guardduty import endpoint_ips, is_sample, remote_ips, sequence_columns, service_columns

_GUARDDUTY_TYPE = re.compile(r"([^/:]+:[^/-]+)[/-](.+)$")


def columns(record: dict[str, Any]) -> dict[str, Any]:
    """Columns of one ASFF finding."""
    fields, sequence = at(record, "ProductFields"), at(record, "Detection", "Sequence")
    service, resources = _unflattened(fields), items(at(record, "Resources"))
    product = _product(record, fields) or ("GuardDuty" if sequence else None)
    label, severity = _severity(record)
    return {
        **service_columns(service),
        **_called(record),
        **_resources(resources),
        **sequence_columns(sequence),
        "finding_id": text(record, "Id") or text(sequence, "Uid"),
        "product": product,
        "account_id": account_id(at(record, "AwsAccountId")),
        "region": text(record, "Region") or next((text(item, "Region") for item in resources), None),
        "type": _type(record, product),
        "title": text(record, "Title"),
        "description": text(record, "Description"),
        "severity": severity,
        "severity_label": label,
        "created_at": time(at(record, "CreatedAt")),
        "updated_at": time(at(record, "UpdatedAt")),
        "first_seen": time(at(record, "FirstObservedAt")) or time(at(service, "eventFirstSeen")),
        "last_seen": time(at(record, "LastObservedAt")) or time(at(service, "eventLastSeen")),
        "archived": text(record, "RecordState") == "ARCHIVED" or truth(at(service, "archived")),
        "sample": truth(at(record, "Sample")) or is_sample(service),
        "workflow_status": text(record, "Workflow", "Status") or text(record, "WorkflowState"),
        "record_state": text(record, "RecordState"),
        "compliance_status": text(record, "Compliance", "Status"),
        "control_id": _control(record, fields),
        "remote_ips": [*remote_ips(at(service, "action")), *_remote_ips(record), *endpoint_ips(sequence)],
    }


def _called(record: dict[str, Any]) -> dict[str, Any]:
    """Take the API call from the finding's own Action, which products other than GuardDuty fill too."""
    action = at(record, "Action", "AwsApiCallAction")
    called = {"api_name": text(action, "Api"), "api_service": text(action, "ServiceName")}
    return {name: value for name, value in called.items() if value}


def _remote_ips(record: dict[str, Any]) -> list[str | None]:
    network = at(record, "Network")
    return [*remote_ips(at(record, "Action")), text(network, "SourceIpV4"), text(network, "SourceIpV6")]


def _unflattened(fields: object) -> dict[str, Any]:
    """GuardDuty's `service` tree from the flattened ProductFields of an ASFF finding (older ones lack the prefix)."""
    tree: dict[str, Any] = {}
    for name, value in fields.items() if isinstance(fields, dict) else ():
        path = str(name).removeprefix("aws/guardduty/service/").split("/")
        node = tree
        for part in path[:-1]:
            below = node.setdefault(part, {})
            node = below if isinstance(below, dict) else {}
        node.setdefault(path[-1], value)
    return tree


def _product(record: dict[str, Any], fields: object) -> str | None:
    arn = (text(record, "ProductArn") or "").rpartition("product/")[2].rpartition("/")[2]
    known = {"guardduty": "GuardDuty", "securityhub": "Security Hub", "inspector": "Inspector", "macie": "Macie"}
    named = text(record, "ProductName") or text(fields, "aws/securityhub/ProductName")
    return named or known.get(arn.lower(), arn or None)


def _severity(record: dict[str, Any]) -> tuple[str | None, float | None]:
    """Label and severity on GuardDuty's scale; Security Hub's Normalized runs from 0 to 100."""
    normalized = number(at(record, "Severity", "Normalized"))
    label = text(record, "Severity", "Label") or text(record, "FindingProviderFields", "Severity", "Label")
    if normalized is None:
        return label, LOWEST.get(label or "")
    severity = normalized / 10
    return label or label_of(severity), severity


def _type(record: dict[str, Any], product: str | None) -> str | None:
    types = [item for item in items(at(record, "Types")) if isinstance(item, str)]
    if not types:
        return None
    if product != "GuardDuty":
        return types[0]
    # "TTPs/Initial Access/UnauthorizedAccess:EC2-SSHBruteForce" is GuardDuty's UnauthorizedAccess:EC2/SSHBruteForce.
    found = _GUARDDUTY_TYPE.search(types[0])
    return f"{found[1]}/{found[2]}" if found else types[0]


def _control(record: dict[str, Any], fields: object) -> str | None:
    generator = text(record, "GeneratorId") or ""
    return (
        text(record, "Compliance", "SecurityControlId")
        or text(fields, "ControlId")
        or text(fields, "RuleId")
        or (generator.rpartition("/")[2] if generator.startswith("security-control/") else None)
    )


def _resources(resources: list[Any]) -> dict[str, Any]:
    """Columns of what is checked or acted on, and whose key it was."""
    made: dict[str, Any] = {
        "resource_type": next((text(item, "Type") for item in resources), None),
        "resource_ids": [text(item, "Id") for item in resources],
    }
    for item in resources:
        name = text(item, "Id") or ""
        if text(item, "Type") == "AwsIamAccessKey":
            key = at(item, "Details", "AwsIamAccessKey")
            named = name.rpartition(":")[2]
            made["access_key_id"] = text(key, "AccessKeyId") or (named if named not in ("", "null") else None)
            made["principal_id"] = text(key, "PrincipalId")
            made["principal_name"] = text(key, "PrincipalName") or text(key, "UserName")
            made["principal_type"] = text(key, "PrincipalType")
        elif text(item, "Type") == "AwsEc2Instance":
            made["instance_id"] = name.rpartition("/")[2] or None
    return made
