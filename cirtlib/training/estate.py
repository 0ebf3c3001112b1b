"""The accounts' state over time: what stood when the logs began, and every change that anyone's call then made."""

import copy
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field

from cirtlib.training import names
from cirtlib.training.scenario import OPEN_PORT
from cirtlib.training.shapes import Json
from cirtlib.training.site import site
from cirtlib.training.world import HELPER, SLR_ID, SLR_PATH, Machine, Role, User, World, allow, trust

Account = dict[str, list[Json]]
_LISTS = ("users", "roles", "policies", "trails", "instances", "volumes", "snapshots", "buckets")
_OPEN_PORT_LISTS = ("groups", "profiles")
_IDENTITY = {
    "users": "UserName",
    "roles": "RoleName",
    "policies": "Arn",
    "trails": "Name",
    "instances": "InstanceId",
    "volumes": "VolumeId",
    "snapshots": "SnapshotId",
    "buckets": "Name",
    "groups": "GroupId",
    "profiles": "InstanceProfileName",
}


@dataclass
class Estate:
    """State at the start and the changes since; a state at any time is the first changed by the second, in order."""

    accounts: dict[str, Account]
    changes: list[tuple[dt.datetime, Callable[[dict[str, Account]], None]]] = field(default_factory=list)

    def add(self, at: dt.datetime, account: str, kind: str, item: Json) -> None:
        """Something of a kind ('users', 'snapshots', …) comes to be."""
        self.changes.append((at, lambda state: state[account][kind].append(copy.deepcopy(item))))

    def drop(self, at: dt.datetime, account: str, kind: str, name: str) -> None:
        """Something ceases to be."""

        def change(state: dict[str, Account]) -> None:
            kept = [item for item in state[account][kind] if item[_IDENTITY[kind]] != name]
            state[account][kind] = kept

        self.changes.append((at, change))

    def alter(self, at: dt.datetime, account: str, kind: str, name: str, **fields: object) -> None:
        """Fields of something are set."""

        def change(state: dict[str, Account]) -> None:
            for item in state[account][kind]:
                if item[_IDENTITY[kind]] == name:
                    for key, value in fields.items():
                        item[key] = copy.deepcopy(value)

        self.changes.append((at, change))

    def state(self, at: dt.datetime) -> Json:
        """The accounts as they were just before a time."""
        accounts = copy.deepcopy(self.accounts)
        for when, change in sorted(self.changes, key=lambda pair: pair[0]):
            if when < at:
                change(accounts)
        return {"accounts": {account: accounts[account] for account in sorted(accounts)}}


def begin(world: World) -> Estate:
    """State of the accounts when the logs begin; the developers' role and the door are created in the logs."""
    networked = world.scenario.way_in == OPEN_PORT
    lists = _LISTS + (_OPEN_PORT_LISTS if networked else ())
    accounts: dict[str, Account] = {account: {kind: [] for kind in lists} for account in world.accounts}
    for user in world.console_users + world.key_users:
        accounts[user.account]["users"].append(user_state(user))
    roles = [person.role for person in world.people] + [pipeline.role for pipeline in world.pipelines]
    roles += [machine.role for machine in world.machines] + [function.role for function in world.functions]
    roles += [world.bridge, *world.audit]
    seen = {role.arn: role for role in roles}
    for role in seen.values():
        accounts[role.account]["roles"].append(role_state(role))
    for account in world.accounts:
        accounts[account]["roles"] += [_service_linked(account, service) for service in ("config", "guardduty")]
        accounts[account]["trails"] = _trails(world, account)
        accounts[account]["buckets"] = [{"Name": name, "Region": world.home} for name in world.buckets[account]]
    accounts[world.management]["buckets"].append({"Name": org_bucket(world), "Region": world.home})
    if networked:
        arn, rights = f"arn:aws:iam::{world.workload}:policy/{HELPER}", allow(*names.instance_rights())
        accounts[world.workload]["policies"].append({"Arn": arn, "PolicyName": HELPER, "document": rights})
    for machine in world.machines:
        place = accounts[machine.role.account]
        instance = instance_state(machine.id, machine.region, machine.image, machine.kind)
        place["volumes"].append({"VolumeId": machine.volume, "Region": machine.region})
        place["instances"].append(instance | (_network_state(world, machine) if networked else {}))
        if networked:
            place["groups"].append(_group_state(world, machine))
            profile = _profile_state(machine.role)
            place["profiles"] += [profile] if profile not in place["profiles"] else []
    return Estate(accounts)


def data_bucket(world: World) -> str:
    """Name of the workload account's bucket of exports, whose objects are worth taking."""
    return next(name for name in world.buckets[world.workload] if "-exports-" in name)


def org_bucket(world: World) -> str:
    """Name of the bucket to which the organization trail delivers."""
    return f"amzn-s3-demo-org-trail-{world.management}"


def _trails(world: World, account: str) -> list[Json]:
    own = trail_state(world.trails[account], world.trail(account), bucket=world.buckets[account][0], organization=False)
    if account != world.management:
        return [own]
    organization = trail_state(
        world.trails["organization"], world.org_trail, bucket=org_bucket(world), organization=True
    )
    return [own, organization]


def user_state(user: User) -> Json:
    """A user as the state files hold it; secrets are never kept."""
    keys = [{"AccessKeyId": user.key, "Status": "Active"}] if user.key else []
    return {
        "UserName": user.name,
        "Arn": user.arn,
        "Path": "/",
        "keys": keys,
        "attached": list(user.attached),
        "inline": copy.deepcopy(user.inline),
        "login_profile": user.key is None,
    }


def new_user_state(arn: str) -> Json:
    """A user as the state files hold it just after CreateUser: no key, no policy."""
    state: Json = {"UserName": arn.rsplit("/", 1)[1], "Arn": arn, "Path": "/", "keys": [], "attached": [], "inline": {}}
    return state | {"login_profile": False}


def role_state(role: Role) -> Json:
    """A role as the state files hold it."""
    return {
        "RoleName": role.name,
        "Path": role.path,
        "Arn": role.arn,
        "trust": copy.deepcopy(role.trust),
        "attached": list(role.attached),
        "inline": copy.deepcopy(role.inline),
        "MaxSessionDuration": role.longest,
    }


def trail_state(name: str, arn: str, *, bucket: str, organization: bool) -> Json:
    """A trail as the state files hold it."""
    return {
        "Name": name,
        "TrailARN": arn,
        "HomeRegion": arn.split(":")[3],
        "S3BucketName": bucket,
        "IsLogging": True,
        "IsMultiRegionTrail": True,
        "IsOrganizationTrail": organization,
    }


def instance_state(instance: str, region: str, image: str, kind: str) -> Json:
    """An instance as the state files hold it."""
    return {"InstanceId": instance, "Region": region, "ImageId": image, "InstanceType": kind}


def _network_state(world: World, machine: Machine) -> Json:
    """What else the state files hold of an instance where the way in is an open port."""
    place = site(world, machine)
    return {
        "VpcId": place.vpc,
        "SubnetId": place.subnet,
        "NetworkInterfaceId": place.card,
        "PrivateIpAddress": machine.address,
        "PublicIpAddress": machine.public or None,
        "SecurityGroups": [machine.group],
        "IamInstanceProfile": _profile_state(machine.role)["Arn"],
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "optional" if machine.delivery == "1.0" else "required",
            "HttpPutResponseHopLimit": 2,
        },
    }


def _group_state(world: World, machine: Machine) -> Json:
    """The security group of an instance, closed when the logs begin."""
    place = site(world, machine)
    return {
        "GroupId": machine.group,
        "GroupName": f"{place.group_name}-{machine.group[-4:]}",
        "Region": machine.region,
        "VpcId": place.vpc,
        "ingress": [],
    }


def _profile_state(role: Role) -> Json:
    """The instance profile that hands a role to instances; it has the role's name, as the console makes it."""
    arn = f"arn:aws:iam::{role.account}:instance-profile/{role.name}"
    return {"InstanceProfileName": role.name, "Arn": arn, "Roles": [role.name]}


def _service_linked(account: str, service: str) -> Json:
    name = {"config": "AWSServiceRoleForConfig", "guardduty": "AWSServiceRoleForAmazonGuardDuty"}[service]
    host = f"{service}.amazonaws.com"
    role = Role(account, name, SLR_ID, trust({"Service": host}), path=f"{SLR_PATH}{host}/")
    return role_state(role)
