"""GuardDuty findings: `GetFindings` (PascalCase) and the EventBridge and S3 export form (camelCase)."""

import json
from typing import Any

from cirtlib.findings.fields import account_id, at, items, label_of, number, text, time, truth, whole


def columns(record: dict[str, Any]) -> dict[str, Any]:
    """Columns of one GuardDuty finding."""
    service, resource = at(record, "service"), at(record, "resource")
    sequence = at(service, "detection", "sequence")
    severity = number(at(record, "severity"))
    return {
        "finding_id": text(record, "arn") or text(record, "id"),
        "product": "GuardDuty",
        "account_id": account_id(at(record, "accountId")),
        "region": text(record, "region"),
        "type": text(record, "type") or text(record, "findingType"),
        "title": text(record, "title"),
        "description": text(record, "description"),
        "severity": severity,
        "severity_label": None if severity is None else label_of(severity),
        "created_at": time(at(record, "createdAt")),
        "updated_at": time(at(record, "updatedAt")),
        "resource_type": text(resource, "resourceType"),
        "attack_sequence": text(record, "associatedAttackSequenceArn"),
        **service_columns(service),
        **sequence_columns(sequence),
        **_resource(resource),
        "resource_ids": _resource_ids(record, resource, service),
        "remote_ips": [*remote_ips(at(service, "action")), *endpoint_ips(sequence)],
    }


def service_columns(service: object) -> dict[str, Any]:
    """Columns that GuardDuty's `service` gives; the same tree arrives flattened in ASFF's ProductFields."""
    action = at(service, "action", "awsApiCallAction")
    return {
        "first_seen": time(at(service, "eventFirstSeen")),
        "last_seen": time(at(service, "eventLastSeen")),
        "count": whole(at(service, "count")),
        "archived": truth(at(service, "archived")),
        "sample": is_sample(service),
        "api_name": text(action, "api"),
        "api_service": text(action, "serviceName"),
        "user_agent": text(action, "userAgent"),
    }


def is_sample(service: object) -> bool:
    """Whether `additionalInfo` says sample: as an object, as the JSON text in its `value`, or as JSON text itself."""
    info = at(service, "additionalInfo")
    return any(truth(at(_decoded(part), "sample")) for part in (info, at(info, "value")))


def _decoded(part: object) -> object:
    try:
        return json.loads(part) if isinstance(part, str) else part
    except (ValueError, RecursionError):
        return None


def _resource(resource: object) -> dict[str, Any]:
    key = at(resource, "accessKeyDetails")
    return {
        "access_key_id": text(key, "accessKeyId") or text(key, "userIdentity", "accessKeyId"),
        "principal_id": text(key, "principalId"),
        "principal_name": text(key, "userName"),
        "principal_type": text(key, "userType"),
        "instance_id": text(resource, "instanceDetails", "instanceId"),
    }


def _resource_ids(record: object, resource: object, service: object) -> list[str | None]:
    """Names of what the finding is about, ARNs where they can be known: the pivots into Security Hub and CloudTrail."""
    instance, owner = text(resource, "instanceDetails", "instanceId"), account_id(at(record, "accountId"))
    place = f"arn:{text(record, 'partition') or 'aws'}:ec2:{text(record, 'region')}:{owner}:instance/"
    ids: list[str | None] = [f"{place}{instance}" if instance and owner and text(record, "region") else instance]
    for interface in items(at(resource, "instanceDetails", "networkInterfaces")):
        ids += [text(group, "groupId") for group in items(at(interface, "securityGroups"))]
        ids += [text(interface, "networkInterfaceId"), text(interface, "subnetId"), text(interface, "vpcId")]
    ids += [text(bucket, "arn") for bucket in items(at(resource, "s3BucketDetails"))]
    ids += [text(item, "volumeArn") for item in items(at(resource, "ebsVolumeDetails", "scannedVolumeDetails"))]
    ids += [
        text(resource, "instanceDetails", "iamInstanceProfile", "arn"),
        text(resource, "accessKeyDetails", "userIdentity", "arn"),
        text(resource, "eksClusterDetails", "arn"),
        text(resource, "ecsClusterDetails", "arn"),
        text(resource, "lambdaDetails", "functionArn"),
        text(resource, "rdsDbInstanceDetails", "dbInstanceArn"),
        text(resource, "ebsSnapshotDetails", "snapshotArn"),
        text(resource, "ec2ImageDetails", "imageArn"),
        text(resource, "recoveryPointDetails", "recoveryPointArn"),
    ]
    affected = at(service, "action", "awsApiCallAction", "affectedResources")
    ids += [value for value in affected.values() if isinstance(value, str)] if isinstance(affected, dict) else []
    ids += [text(item, "uid") for item in items(at(service, "detection", "sequence", "resources"))]
    return ids


def sequence_columns(sequence: object) -> dict[str, Any]:
    """Credentials and signals of an attack sequence (GuardDuty says Signals[].Uid, ASFF Signals[].Id)."""
    signals = items(at(sequence, "signals"))
    return {
        "sequence_keys": [text(actor, "user", "credentialUid") for actor in items(at(sequence, "actors"))],
        "sequence_signals": [text(signal, "uid") or text(signal, "id") for signal in signals],
    }


def remote_ips(node: object) -> list[str | None]:
    """Every remote address below an action, whichever action it is."""
    found: list[str | None] = []
    for part in node.values() if isinstance(node, dict) else items(node):
        found += remote_ips(part)
    remote = at(node, "remoteIpDetails")
    return [*found, text(remote, "ipAddressV4"), text(remote, "ipAddressV6")]


def endpoint_ips(sequence: object) -> list[str | None]:
    """Addresses that an attack sequence names."""
    return [text(endpoint, "ip") for endpoint in items(at(sequence, "endpoints"))]
