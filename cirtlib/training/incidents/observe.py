"""What the emulated accounts of an incident hold, thing by thing, under the ids that nodes of an extent have."""

import json
from collections.abc import Iterator
from typing import Any

from cirtlib.training.account_state import backend
from cirtlib.training.incidents.world import REGION
from cirtlib.training.shapes import Json

State = dict[str, Json]


def state(accounts: list[str]) -> State:
    """Node id -> all that matters of the thing, in plain JSON, for every thing of these accounts."""
    found: State = {}
    for account in accounts:
        for read in (_users, _roles, _identity, _compute, _sharing, _network, _data, _running, _watching):
            for node, content in read(account):
                found[node] = json.loads(json.dumps(content, default=str))
    return found


def changed(before: State, after: State) -> set[str]:
    """Node ids of what is new, gone or different."""
    return {node for node in before.keys() | after.keys() if before.get(node) != after.get(node)}


def _users(account: str) -> Iterator[tuple[str, Json]]:
    iam = backend("iam", account)
    for user in iam.users.values():
        groups = sorted(group.name for group in iam.groups.values() if user in group.users)
        rights = {"attached": sorted(user.managed_policies), "inline": _documents(user.policies), "groups": groups}
        yield f"principal:{user.arn}", {**rights, "path": user.path, "mfa": sorted(user.mfa_devices)}
        for key in user.access_keys:
            yield f"access_key:{key.access_key_id}", {"status": key.status, "user": user.arn}
        if user.password is not None:
            yield f"login_profile:{user.arn}", {"password": user.password}


def _roles(account: str) -> Iterator[tuple[str, Json]]:
    for role in backend("iam", account).roles.values():
        rights = {"attached": sorted(role.managed_policies), "inline": _documents(role.policies)}
        yield f"principal:{role.arn}", {**rights, "trust": json.loads(role.assume_role_policy_document)}


def _identity(account: str) -> Iterator[tuple[str, Json]]:
    iam = backend("iam", account)
    for policy in iam.managed_policies.values():
        if f":{account}:" in policy.arn:
            versions = {one.version_id: json.loads(one.document) for one in policy.versions}
            yield f"resource:{policy.arn}", {"default": policy.default_version_id, "versions": versions}
    for group in iam.groups.values():
        yield (
            f"resource:{group.arn}",
            {"attached": sorted(group.managed_policies), "inline": _documents(group.policies)},
        )
    for profile in iam.instance_profiles.values():
        yield f"resource:{profile.arn}", {"roles": sorted(role.name for role in profile.roles)}
    for provider in iam.saml_providers.values():
        yield f"resource:{provider.arn}", {"metadata": provider.saml_metadata_document}
    for arn, provider in iam.open_id_providers.items():
        yield f"resource:{arn}", {"url": provider.url, "clients": list(provider.client_id_list)}


def _compute(account: str) -> Iterator[tuple[str, Json]]:
    ec2 = backend("ec2", account, REGION)
    profiles = {one.instance.id: one.iam_instance_profile.arn for one in ec2.iam_instance_profile_associations.values()}
    for reservation in ec2.reservations.values():
        for one in reservation.instances:
            yield (
                _ec2(account, "instance", one.id),
                {
                    "state": one._state.name,
                    "profile": profiles.get(one.id),
                    "groups": sorted({group.id for card in one.nics.values() for group in card.group_set}),
                    "protected": str(one.disable_api_termination).lower(),
                    "user_data": one.user_data,
                    "metadata": {name: value or "disabled" for name, value in vars(one.metadata_options).items()},
                    "tags": ec2.tags.get(one.id, {}),
                },
            )
    for pair in ec2.key_pairs.values():
        yield _ec2(account, "key-pair", pair.id), {"name": pair.key_name}
    for volume in ec2.volumes.values():
        yield _ec2(account, "volume", volume.id), {"status": volume.status, "tags": ec2.tags.get(volume.id, {})}


def _sharing(account: str) -> Iterator[tuple[str, Json]]:
    ec2 = backend("ec2", account, REGION)
    for one in ec2.snapshots.values():
        allowed = sorted(one.create_volume_permission_userids) + sorted(one.create_volume_permission_groups)
        yield f"resource:arn:aws:ec2:{REGION}::snapshot/{one.id}", {"shared": allowed, "tags": ec2.tags.get(one.id, {})}
    for one in ec2.amis.values():
        if one.owner_id == account:
            allowed = sorted(map(str, one.launch_permissions))
            yield f"resource:arn:aws:ec2:{REGION}::image/{one.id}", {"shared": allowed}


def _network(account: str) -> Iterator[tuple[str, Json]]:
    ec2 = backend("ec2", account, REGION)
    for groups in ec2.groups.values():
        for group in groups.values():
            rules = {
                name: sorted(
                    json.dumps(
                        [rule.ip_protocol, rule.from_port, rule.to_port, rule.ip_range, rule.source_group],
                        sort_keys=True,
                    )
                    for rule in rules
                )
                for name, rules in (("in", group.ingress_rules), ("out", group.egress_rules))
            }
            yield _ec2(account, "security-group", group.id), {"name": group.name, **rules}


def _data(account: str) -> Iterator[tuple[str, Json]]:
    for bucket in backend("s3", account).buckets.values():
        block = bucket.public_access_block
        yield (
            f"resource:arn:aws:s3:::{bucket.name}",
            {
                "policy": json.loads(bucket.policy) if bucket.policy else None,
                "block": block.to_config_dict() if block else None,
                "acl": bucket.acl.to_config_dict() if bucket.acl else None,
                "versioning": bucket.versioning_status,
                "rules": [str(vars(rule)) for rule in bucket.rules],
            },
        )
    for key in backend("kms", account, REGION).keys.values():
        yield (
            f"resource:{key.arn}",
            {"state": key.key_state, "policy": json.loads(key.policy), "grants": len(key.grants)},
        )


def _running(account: str) -> Iterator[tuple[str, Json]]:
    for function in backend("lambda", account, REGION).list_functions():
        yield (
            f"resource:{function.function_arn}",
            {
                "code": function.code_sha_256,
                "at_most": function.reserved_concurrency,
                "policy": [str(one) for one in function.policy.statements] if function.policy else [],
                "url": bool(function.url_config),
            },
        )
    for bus in backend("events", account, REGION).event_buses.values():
        for rule in bus.rules.values():
            yield f"resource:{rule.arn}", {"state": rule.state, "when": rule.scheduled_expression}


def _watching(account: str) -> Iterator[tuple[str, Json]]:
    for trail in backend("cloudtrail", account, REGION).trails.values():
        yield f"resource:{trail.arn}", {"logging": trail.status.is_logging}
    for name, detector in backend("guardduty", account, REGION).detectors.items():
        yield f"resource:arn:aws:guardduty:{REGION}:{account}:detector/{name}", {"enabled": detector.enabled}


def _ec2(account: str, kind: str, name: str) -> str:
    return f"resource:arn:aws:ec2:{REGION}:{account}:{kind}/{name}"


def _documents(policies: Any) -> Json:  # noqa: ANN401 - moto has no types
    return {
        name: json.loads(document) if isinstance(document, str) else document for name, document in policies.items()
    }
