"""A scenario's account state, put into moto's backends and read back from them, in the form of state_*.json."""

import json
import os
from typing import Any

from cirtlib.errors import TrainingError
from cirtlib.training.account_network import (
    finish,
    load_network,
    placed,
    read_groups,
    read_held,
    read_isolation,
    read_network,
    read_profiles,
)

try:
    from moto.backends import get_backend
    from moto.core.config import default_user_config
    from moto.ec2.models.key_pairs import KeyPair
    from moto.iam.models import AccessKey
    from moto.moto_api._internal.models import moto_api_backend
except ImportError as error:  # the emulator is an extra: the library itself works without it
    raise TrainingError("the emulated account needs moto: pip install 'cirtlib[train]'") from error

State = dict[str, Any]
INITIAL_PASSWORD = "set-by-the-scenario"  # noqa: S105 - of no account
# no account has hundreds of images and snapshots that it did not make
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"


def reset() -> None:
    """Empty every account that moto holds in this process."""
    _managed_policies(load=False)  # moto would make each account anew before it throws it away
    moto_api_backend.reset()
    get_backend("organizations").master_accounts.clear()  # who belongs to whom outlives moto's own reset


def _managed_policies(*, load: bool) -> None:
    """Whether IAM backends that are made from now on have AWS's own policies: it takes a tenth of a second each."""
    default_user_config["iam"]["load_aws_managed_policies"] = load


def backend(service: str, account: str, region: str = "aws") -> Any:  # noqa: ANN401 - moto has no types
    """Backend of a service in moto; of a global service without a Region."""
    return get_backend(service)[account][region]


def by_arn(account: str, arn: str) -> Any:  # noqa: ANN401 - moto has no types
    """User or role of moto's with this ARN in an account; None where there is none."""
    iam = backend("iam", account)
    holders = iam.roles.values() if ":role/" in arn else iam.users.values()
    return next((one for one in list(holders) if one.arn == arn), None)


def read(accounts: list[str]) -> State:
    """State of these accounts now."""
    return {"accounts": {account: _read_account(account) for account in sorted(accounts)}}


def load(state: State, *, organization: str = "") -> None:
    """Replace whatever moto holds in this process by `state`; `organization` is the id of the organization."""
    reset()
    _managed_policies(load=True)  # AWSDenyAll and AdministratorAccess must exist
    for account in state["accounts"]:
        backend("iam", account)
    _managed_policies(load=False)  # not in the partitions of China and others, where moto looks for a key, too
    for account, content in state["accounts"].items():
        _load_identities(account, content)
        for bucket in content.get("buckets", []):
            backend("s3", account).create_bucket(bucket["Name"], bucket["Region"])
        for trail in content.get("trails", []):
            _load_trail(account, trail)
        _load_compute(account, content)
    _load_organization(state, organization)


def _load_organization(state: State, identity: str) -> None:
    """Make the accounts one organization, managed by the one that has the organization's trail."""
    managers = [
        account
        for account, content in state["accounts"].items()
        if any(trail.get("IsOrganizationTrail") for trail in content.get("trails", []))
    ]
    if not managers:
        return
    organizations = backend("organizations", managers[0])
    organizations.create_organization("us-east-1", FeatureSet="ALL")
    organizations.org.id = organizations.accounts[0].organization_id = identity or organizations.org.id
    for account in sorted(state["accounts"].keys() - {managers[0]}):
        organizations.create_account(AccountName=f"training-{account}", Email=f"training-{account}@example.com")
        made = organizations.accounts[-1]
        masters = get_backend("organizations").master_accounts
        masters[account] = masters.pop(made.id)
        made.id = account


def _load_identities(account: str, content: State) -> None:
    iam = backend("iam", account)
    for policy in content.get("policies", []):
        path = policy["Arn"].split(":policy", 1)[1].removesuffix(policy["PolicyName"])
        iam.create_policy("", path, json.dumps(policy["document"]), policy["PolicyName"], [])
    for user in content.get("users", []):
        made = iam.create_user("us-east-1", user["UserName"], user.get("Path", "/"))
        made.id, made.create_date = user.get("Id", made.id), user.get("CreateDate", made.create_date)
        for key in user.get("keys", []):
            _load_key(iam, made, key)
        made.policies.update({name: json.dumps(document) for name, document in user.get("inline", {}).items()})
        made.password = INITIAL_PASSWORD if user.get("login_profile") else None
        for arn in user.get("attached", []):
            iam.attach_user_policy(arn, user["UserName"])
    for role in content.get("roles", []):
        duration = str(role.get("MaxSessionDuration", 3600))
        made = iam.create_role(
            role["RoleName"], json.dumps(role["trust"]), role.get("Path", "/"), None, "", [], duration
        )
        made.create_date = role.get("CreateDate", made.create_date)
        if "Id" in role:  # by which moto knows it
            iam.roles[role["Id"]] = iam.roles.pop(made.id)
            made.id = role["Id"]
        made.policies.update({name: json.dumps(document) for name, document in role.get("inline", {}).items()})
        for arn in role.get("attached", []):
            iam.attach_role_policy(arn, role["RoleName"])


def _load_key(iam: Any, user: Any, key: dict[str, Any]) -> None:  # noqa: ANN401 - moto has no types
    made = AccessKey(user.name, "AKIA", iam.account_id, key["Status"])
    made.access_key_id, made.create_date = key["AccessKeyId"], key.get("CreateDate", made.create_date)
    user.access_keys.append(made)
    iam.access_keys[made.access_key_id] = made


def _load_trail(account: str, trail: State) -> None:
    # moto wants the bucket in the trail's own account; that of an organization lies in another
    stand_in = f"trail-bucket-of-{account}"
    s3 = backend("s3", account)
    if stand_in not in s3.buckets:
        s3.create_bucket(stand_in, "us-east-1")
    made = backend("cloudtrail", account, trail["HomeRegion"]).create_trail(
        trail["Name"],
        stand_in,
        "",
        "",
        is_global=True,
        is_multi_region=trail.get("IsMultiRegionTrail", True),
        log_validation=True,
        is_org_trail=trail.get("IsOrganizationTrail", False),
        cw_log_group_arn="",
        cw_role_arn="",
        kms_key_id="",
        tags_list=[],
    )
    made.bucket_name = trail["S3BucketName"]
    made.start_logging()
    if not trail["IsLogging"]:
        made.stop_logging()


def _load_compute(account: str, content: State) -> None:
    load_network(account, content)
    for pair in content.get("key_pairs", []):
        ec2 = backend("ec2", account, pair["Region"])
        held = KeyPair(pair["KeyName"], "rsa", pair["KeyFingerprint"], b"", b"", {}, ec2)
        held.id = pair["KeyPairId"]
        ec2.key_pairs[held.key_name] = held
    for volume in content.get("volumes", []):
        _load_volume(account, volume["Region"], volume["VolumeId"])
    for instance in content.get("instances", []):
        ec2 = backend("ec2", account, instance["Region"])
        made = ec2.run_instances(
            instance["ImageId"],
            1,
            None,
            [],
            instance_type=instance["InstanceType"],
            is_instance_type_default=True,
            region_name=instance["Region"],
            **placed(instance),
        )
        finish(account, made.instances[0], instance)
    for snapshot in content.get("snapshots", []):
        region = snapshot["Region"]
        ec2 = backend("ec2", account, region)
        if snapshot["VolumeId"] not in ec2.volumes:  # the volume is gone, its snapshot is not
            _load_volume(account, region, snapshot["VolumeId"])
        made = ec2.create_snapshot(snapshot["VolumeId"], "")
        del ec2.snapshots[made.id]
        made.id = snapshot["SnapshotId"]
        ec2.snapshots[made.id] = made
        made.create_volume_permission_userids.update(snapshot.get("shared_with", []))


def _load_volume(account: str, region: str, volume_id: str) -> None:
    ec2 = backend("ec2", account, region)
    made = ec2.create_volume(8, f"{region}a")
    del ec2.volumes[made.id]
    made.id = volume_id
    ec2.volumes[volume_id] = made


def _read_account(account: str) -> State:
    iam = backend("iam", account)
    return {
        "users": [_read_user(user) for user in iam.users.values()],
        "roles": [_read_role(role) for role in iam.roles.values()],
        "policies": [
            {
                "Arn": policy.arn,
                "PolicyName": policy.name,
                "document": json.loads(next(one.document for one in policy.versions if one.is_default)),
            }
            for policy in iam.managed_policies.values()
            if f":{account}:" in policy.arn
        ],
        "trails": [
            {
                "Name": trail.trail_name,
                "TrailARN": trail.arn,
                "HomeRegion": trail.region_name,
                "S3BucketName": trail.bucket_name,
                "IsLogging": trail.status.is_logging,
                "IsMultiRegionTrail": trail.is_multi_region,
                "IsOrganizationTrail": trail.is_org_trail,
            }
            for backend in list(get_backend("cloudtrail")[account].values())
            for trail in backend.trails.values()
        ],
        **_read_compute(account),
    }


def _read_user(user: Any) -> State:  # noqa: ANN401 - moto has no types
    return {
        "UserName": user.name,
        "Arn": user.arn,
        "Path": user.path,
        "keys": [{"AccessKeyId": key.access_key_id, "Status": key.status} for key in user.access_keys],
        "attached": sorted(user.managed_policies),
        "inline": {name: json.loads(document) for name, document in sorted(user.policies.items())},
        "login_profile": user.password is not None,
    }


def _read_role(role: Any) -> State:  # noqa: ANN401 - moto has no types
    return {
        "RoleName": role.name,
        "Path": role.path,
        "Arn": role.arn,
        "trust": json.loads(role.assume_role_policy_document),
        "attached": sorted(role.managed_policies),
        "inline": {name: json.loads(document) for name, document in sorted(role.policies.items())},
        "MaxSessionDuration": int(role.max_session_duration or 3600),
    }


def _read_compute(account: str) -> State:
    instances, snapshots = [], []
    for region, ec2 in sorted(get_backend("ec2")[account].items()):
        for reservation in ec2.reservations.values():
            instances += [
                {
                    "InstanceId": one.id,
                    "Region": region,
                    "ImageId": one.image_id,
                    "InstanceType": one.instance_type,
                    "State": one._state.name,
                    "Protected": str(one.disable_api_termination).lower() == "true",
                    **read_network(account, region, one),
                    **read_held(one),
                }
                for one in reservation.instances
            ]
        snapshots += [
            {
                "SnapshotId": one.id,
                "VolumeId": one.volume.id,
                "Region": region,
                "shared_with": sorted(one.create_volume_permission_userids),
            }
            for one in ec2.snapshots.values()
            if one.owner_id == account and not one.from_ami
        ]
    vpcs = {one["VpcId"] for one in instances if "VpcId" in one}
    networked = {"groups": read_groups(account, vpcs), "profiles": read_profiles(account)} if vpcs else {}
    return {"instances": instances, "snapshots": snapshots} | networked | read_isolation(account)


def _in_force(policy: Any) -> str:  # noqa: ANN401 - moto has no types
    """Document of a managed policy's default version."""
    return next(str(version.document) for version in policy.versions if version.is_default)
