"""Settings of an account that moto does not keep, as a new account has them: read by the account snapshot.

Source: the API reference of each operation, for what it answers where nobody has changed anything.
"""

from collections.abc import Iterator
from functools import partial

from cirtlib.training.account_state import backend
from cirtlib.training.front import Clock, Served, answered, page
from cirtlib.training.front_model import Asked, Json


def settings(clock: Clock, enabled: set[str]) -> dict[tuple[str, str], Served]:
    """What the front answers of IAM, EC2, Backup, Systems Manager and Account Management.

    `enabled` are Regions that the accounts have opted in to, if they must.
    """
    return {
        ("iam", "ListServiceSpecificCredentials"): Served(_service_credentials),
        ("ec2", "GetSnapshotBlockPublicAccessState"): Served(lambda _: {"State": "unblocked", "ManagedBy": "account"}),
        ("ec2", "GetImageBlockPublicAccessState"): Served(_image_access),
        ("ec2", "GetInstanceMetadataDefaults"): Served(lambda _: {"AccountLevel": {"ManagedBy": "account"}}),
        ("backup", "ListRecoveryPointsByResource"): Served(lambda _: {"RecoveryPoints": []}),
        ("ssm", "DescribeInstanceInformation"): Served(partial(_managed, clock)),
        ("account", "ListRegions"): Served(partial(_list_regions, enabled)),
        ("ec2", "DescribeRegions"): Served(partial(_describe_regions, enabled)),
        ("ec2", "DeleteKeyPair"): Served(_delete_key_pair),
    }


def _service_credentials(asked: Asked) -> Json:
    name = asked.parameters.get("UserName")
    users = backend("iam", asked.account).users
    if name is not None and name not in {user.name for user in users.values()}:
        raise asked.wrong(f"The user with name {name} cannot be found.", "NoSuchEntity")
    return {"ServiceSpecificCredentials": [], "IsTruncated": False}


def _image_access(_: Asked) -> Json:
    """New accounts block public sharing of images."""
    return {"ImageBlockPublicAccessState": "block-new-sharing", "ManagedBy": "account"}


def _managed(clock: Clock, asked: Asked) -> Json:
    """Running instances with a profile: Systems Manager reaches no other."""
    instances = [
        {
            "InstanceId": one.id,
            "PingStatus": "Online",
            "LastPingDateTime": clock.now,
            "PlatformType": "Linux",
            "ResourceType": "EC2Instance",
        }
        for reservation in backend("ec2", asked.account, asked.region).reservations.values()
        for one in reservation.instances
        if one._state.name == "running" and one.iam_instance_profile
    ]
    chosen, token = page(instances, asked, most=10, code="InvalidNextToken")
    return answered(InstanceInformationList=chosen, NextToken=token)


def _delete_key_pair(asked: Asked) -> Json:
    """Delete a key pair by its name or its id, of which moto takes only the name; one that is not there is no error."""
    given, ec2 = asked.parameters, backend("ec2", asked.account, asked.region)
    for name, pair in list(ec2.key_pairs.items()):
        if given.get("KeyName") == name or given.get("KeyPairId") == pair.id:
            del ec2.key_pairs[name]
            return {"Return": True, "KeyPairId": pair.id}
    return {"Return": True}


def _regions(asked: Asked) -> Iterator[tuple[str, bool]]:
    """Regions of the partition `aws`, and whether one must opt in to each; moto lists those of other partitions too."""
    for one in backend("ec2", asked.account, asked.region).describe_regions():
        if not one.name.startswith(("cn-", "us-gov-")):
            yield one.name, one.opt_in_status != "opt-in-not-required"


def _list_regions(enabled: set[str], asked: Asked) -> Json:
    wanted = asked.parameters.get("RegionOptStatusContains")
    found = []
    for name, optional in _regions(asked):
        status = ("ENABLED" if name in enabled else "DISABLED") if optional else "ENABLED_BY_DEFAULT"
        if not wanted or status in wanted:
            found.append({"RegionName": name, "RegionOptStatus": status})
    chosen, token = page(found, asked, most=20)
    return answered(Regions=chosen, NextToken=token)


def _describe_regions(enabled: set[str], asked: Asked) -> Json:
    """Regions that are enabled, or all that there are; moto gives all at any rate."""
    given = asked.parameters
    names, found = given.get("RegionNames", []), []
    for name, optional in _regions(asked):
        status = ("opted-in" if name in enabled else "not-opted-in") if optional else "opt-in-not-required"
        shown = name in names if names else status != "not-opted-in" or given.get("AllRegions")
        if shown:
            found.append({"RegionName": name, "Endpoint": f"ec2.{name}.amazonaws.com", "OptInStatus": status})
    if unknown := set(names) - {one["RegionName"] for one in found}:
        raise asked.wrong(f"Invalid region(s) '{', '.join(sorted(unknown))}' provided.")
    fields = {"region-name": "RegionName", "endpoint": "Endpoint", "opt-in-status": "OptInStatus"}
    for one in given.get("Filters", []):
        if one["Name"] not in fields:
            raise asked.wrong(f"The filter '{one['Name']}' is invalid")
        found = [region for region in found if region[fields[one["Name"]]] in one["Values"]]
    return {"Regions": found}
