"""Findings of the new Security Hub: OCSF 1.6 findings classes (2001 to 2007)."""

import re
from datetime import datetime
from typing import Any

from cirtlib.findings.fields import LOWEST, account_id, at, items, text, time, whole

_SEVERITY = {1: "INFORMATIONAL", 2: "LOW", 3: "MEDIUM", 4: "HIGH", 5: "CRITICAL", 6: "CRITICAL"}
_FATAL = 6
_COMPLIANCE = {"PASS": "PASSED", "FAIL": "FAILED"}


def columns(record: dict[str, Any]) -> dict[str, Any]:
    """Columns of one OCSF finding."""
    info, product = at(record, "finding_info"), at(record, "metadata", "product")
    label = _SEVERITY.get(whole(at(record, "severity_id")) or 0)
    status = text(record, "status") or ""
    types = [item for item in items(at(info, "types")) if isinstance(item, str)]
    return {
        "finding_id": text(info, "uid"),
        "product": text(product, "name") or text(product, "uid"),
        "account_id": account_id(at(record, "cloud", "account", "uid")),
        "region": text(record, "cloud", "region"),
        # GuardDuty's own type stands beside the general classes ("Threats").
        "type": next((item for item in types if ":" in item), types[0] if types else None),
        "title": text(info, "title"),
        "description": text(info, "desc"),
        "severity": 10.0 if at(record, "severity_id") == _FATAL else LOWEST.get(label or ""),
        "severity_label": label,
        "created_at": _time(info, "created_time"),
        "updated_at": _time(info, "modified_time") or _time(record, "time"),
        "first_seen": _time(info, "first_seen_time"),
        "last_seen": _time(info, "last_seen_time"),
        "count": whole(at(record, "count")),
        "archived": status.upper() in ("ARCHIVED", "DELETED"),
        "workflow_status": status.upper() or None,
        "record_state": text(record, "activity_name"),
        **_compliance(record),
        **_resources(items(at(record, "resources"))),
        **_evidence(record, [text(event, "uid") for event in items(at(info, "related_events"))]),
    }


def _compliance(record: dict[str, Any]) -> dict[str, Any]:
    status = (text(record, "compliance", "status") or "").upper()
    return {
        "compliance_status": _COMPLIANCE.get(status, status) or None,
        "control_id": text(record, "compliance", "control"),
    }


def _resources(resources: list[Any]) -> dict[str, Any]:
    return {
        "resource_type": next((text(item, "type") for item in resources), None),
        "resource_ids": [text(item, "uid") for item in resources],
        "access_key_id": _named(resources, "AccessKey"),
        "instance_id": _named(resources, "Instance"),
    }


def _named(resources: list[Any], ending: str) -> str | None:
    """Last part of the name of the first resource whose type ends so (AwsEc2Instance, AWS::EC2::Instance)."""
    for item in resources:
        if (text(item, "type") or "").endswith(ending):
            return re.split(r"[/:]", text(item, "uid") or "")[-1] or None
    return None


def _evidence(record: dict[str, Any], signals: list[str | None]) -> dict[str, Any]:
    """Who called what from where. A user without a credential is one of an operating system, not of AWS."""
    evidences = items(at(record, "evidences"))
    keys = [text(item, "actor", "user", "credential_uid") for item in evidences]
    first = next((item for item in evidences if text(item, "actor", "user", "credential_uid") or at(item, "api")), None)
    user = at(first, "actor", "user")
    made: dict[str, Any] = {
        "principal_id": text(user, "uid"),
        "principal_name": text(user, "name"),
        "principal_type": text(user, "type"),
        "api_name": text(first, "api", "operation"),
        "api_service": text(first, "api", "service", "name"),
        "remote_ips": [text(item, "src_endpoint", "ip") for item in evidences],
        "user_agent": text(first, "http_request", "user_agent"),
    }
    if key := next(filter(None, keys), None):
        made["access_key_id"] = key
    types = items(at(record, "finding_info", "types"))
    if any(str(item).startswith("AttackSequence:") for item in types):
        made |= {"sequence_keys": keys, "sequence_signals": signals}
    return made


def _time(node: object, name: str) -> datetime | None:
    """Time of an OCSF field: its text twin is exact, the number counts milliseconds."""
    return time(at(node, f"{name}_dt")) or time(at(node, name))
