"""Everything in emulated accounts that a containment plan could change, as the AWS API shows it, and what changed."""

import configparser

import boto3
import jmespath

_LISTS = {
    "instance": ("describe_instances", "Reservations[].Instances[]", "InstanceId"),
    "interface": ("describe_network_interfaces", "NetworkInterfaces[]", "NetworkInterfaceId"),
    "group": ("describe_security_groups", "SecurityGroups[]", "GroupId"),
    "volume": ("describe_volumes", "Volumes[]", "VolumeId"),
    "acl": ("describe_network_acls", "NetworkAcls[]", "NetworkAclId"),
    "subnet": ("describe_subnets", "Subnets[]", "SubnetId"),
    "route table": ("describe_route_tables", "RouteTables[]", "RouteTableId"),
    "profile association": (
        "describe_iam_instance_profile_associations",
        "IamInstanceProfileAssociations[]",
        "AssociationId",
    ),
}
_ATTRIBUTES = ("disableApiTermination", "instanceInitiatedShutdownBehavior", "userData")


def look(emulated, regions):
    """Return (account, kind, id) -> what the API shows of it: IAM, trails, and EC2 in these Regions."""
    seen = {}
    for account, profile in emulated.profiles.items():
        session = boto3.Session(region_name="us-east-1", **_credentials(emulated, profile))
        for kind, name, shown in [*_identities(session, emulated), *_trails(session, emulated)]:
            seen[account, kind, name] = shown
        for region in regions:
            for kind, name, shown in _machines(session.client("ec2", region, endpoint_url=emulated.endpoint)):
                seen[account, kind, name] = shown
    return seen


def changes(before, after):
    """Return (kind, id) -> names of the fields that differ; {"made"} or {"gone"} where it is in one of both only."""
    found = {}
    for key in before.keys() | after.keys():
        if key not in before or key not in after:
            found[key[1:]] = {"made" if key in after else "gone"}
            continue
        old, new = before[key], after[key]
        if fields := {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}:
            found[key[1:]] = fields
    return found


def _credentials(emulated, profile):
    config = configparser.ConfigParser()
    config.read(emulated.config)
    section = config[f"profile {profile}"]
    return {name: section[name] for name in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")}


def _identities(session, emulated):
    iam = session.client("iam", endpoint_url=emulated.endpoint)
    pages = iam.get_paginator("get_account_authorization_details")
    filters = ["User", "Role", "Group", "LocalManagedPolicy"]
    for page in pages.paginate(Filter=filters):
        for kind, listed in (
            ("user", "UserDetailList"),
            ("role", "RoleDetailList"),
            ("user group", "GroupDetailList"),
            ("policy", "Policies"),
        ):
            yield from ((kind, one["Arn"], one) for one in page[listed])
        for user in page["UserDetailList"]:
            for key in iam.list_access_keys(UserName=user["UserName"])["AccessKeyMetadata"]:
                yield "key", key["AccessKeyId"], key
    for profile in iam.list_instance_profiles()["InstanceProfiles"]:
        yield "profile", profile["Arn"], profile


def _trails(session, emulated):
    cloudtrail = session.client("cloudtrail", "us-east-1", endpoint_url=emulated.endpoint)
    for trail in cloudtrail.describe_trails()["trailList"]:
        status = cloudtrail.get_trail_status(Name=trail["TrailARN"])
        yield "trail", trail["TrailARN"], {**trail, "IsLogging": status["IsLogging"]}


def _machines(ec2):
    for kind, (operation, where, name) in _LISTS.items():
        for one in jmespath.search(where, getattr(ec2, operation)()):
            if kind == "instance":
                for attribute in _ATTRIBUTES:
                    answer = ec2.describe_instance_attribute(InstanceId=one[name], Attribute=attribute)
                    one[attribute] = answer.get(attribute[0].upper() + attribute[1:])
            yield kind, one[name], one
    for one in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]:
        permission = ec2.describe_snapshot_attribute(SnapshotId=one["SnapshotId"], Attribute="createVolumePermission")
        yield "snapshot", one["SnapshotId"], {**one, "shared": permission["CreateVolumePermissions"]}
