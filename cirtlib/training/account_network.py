"""The network of a scenario's instances, put into moto and read back: VPC, subnet, interface, group, profile."""

from typing import Any

from cirtlib.errors import TrainingError

try:
    from moto.backends import get_backend
except ImportError as error:  # the emulator is an extra: the library itself works without it
    raise TrainingError("the emulated account needs moto: pip install 'cirtlib[train]'") from error

State = dict[str, Any]


def load_network(account: str, content: State) -> None:
    """Make the networks that instances stand in, with the ids of the scenario, their security groups and profiles."""
    for profile in content.get("profiles", []):
        iam = get_backend("iam")[account]["aws"]
        iam.create_instance_profile(profile["InstanceProfileName"], "/", profile["Roles"])
    for region in {instance["Region"] for instance in content.get("instances", [])}:
        _keep_metadata_options(get_backend("ec2")[account][region])
        _replace_groups(get_backend("ec2")[account][region])
    for instance in content.get("instances", []):
        if "VpcId" in instance:
            _load_place(get_backend("ec2")[account][instance["Region"]], instance)
    for group in content.get("groups", []):
        _load_group(get_backend("ec2")[account][group["Region"]], group)


def placed(instance: State) -> State:
    """Arguments of moto's run_instances that put an instance where the scenario has it."""
    if "VpcId" not in instance:
        return {}
    return {
        "subnet_id": instance["SubnetId"],
        "private_ip": instance["PrivateIpAddress"],
        "security_group_ids": list(instance["SecurityGroups"]),
        "metadata_options": instance["MetadataOptions"],
        "associate_public_ip": bool(instance["PublicIpAddress"]),
    }


def finish(account: str, made: Any, instance: State) -> None:  # noqa: ANN401 - moto has no types
    """Give a new instance the ids, launch time and public address of the scenario, and its profile."""
    ec2 = get_backend("ec2")[account][instance["Region"]]
    made.id = instance["InstanceId"]
    if "LaunchTime" in instance:
        made.launch_time = instance["LaunchTime"]
    own_groups(made)
    made.security_groups = list(made.nics[0].group_set)  # what describe-instances tells
    if "IamInstanceProfile" in instance:
        ec2.associate_iam_instance_profile(made.id, iam_instance_profile_arn=instance["IamInstanceProfile"])
    if "VpcId" not in instance:
        return
    card = made.nics[0]
    del ec2.enis[card.id]
    card.id = instance["NetworkInterfaceId"]
    card.public_ip = instance["PublicIpAddress"]
    ec2.enis[card.id] = card


def own_groups(made: Any) -> None:  # noqa: ANN401 - moto has no types
    """Let the interfaces of an instance alone hold its groups: moto never takes the launch's groups off them."""
    for card in made.nics.values():
        card._group_set = list(card.group_set)
    made.security_groups = []


def _keep_metadata_options(ec2: Any) -> None:  # noqa: ANN401 - moto has no types
    """Let a change of metadata options leave those that it does not name, as AWS does: moto would drop them."""
    modify = ec2.modify_instance_metadata_options

    def keeping(instance_id: str, **asked: object) -> object:
        now = ec2.get_instance(instance_id).metadata_options
        held = {
            "http_tokens": now.http_tokens,
            "hop_limit": now.http_put_response_hop_limit,
            "http_endpoint": now.http_endpoint,
            "http_protocol": now.http_protocol_ipv6,
            "metadata_tags": now.instance_metadata_tags,
        }
        return modify(instance_id, **held | {name: value for name, value in asked.items() if value is not None})

    ec2.modify_instance_metadata_options = keeping


def _replace_groups(ec2: Any) -> None:  # noqa: ANN401 - moto has no types
    """Let a change of groups take those off that were there, as AWS does: moto adds both up."""
    of_instance, of_card = ec2.modify_instance_security_groups, ec2.modify_network_interface_attribute

    def instance_groups(instance_id: str, groups: list[str]) -> object:
        made = of_instance(instance_id, groups)
        made.nics[0]._group_set = list(made.security_groups)
        return made

    def card_groups(eni_id: str, *asked: Any, **named: Any) -> object:  # noqa: ANN401 - moto has no types
        said = of_card(eni_id, *asked, **named)
        card = ec2.get_network_interface(eni_id)
        if card.instance and card.instance.nics.get(0) is card:
            card.instance.security_groups = list(card._group_set)
        return said

    ec2.modify_instance_security_groups, ec2.modify_network_interface_attribute = instance_groups, card_groups


def read_network(account: str, region: str, one: Any) -> State:  # noqa: ANN401 - moto has no types
    """What the state files hold of an instance's network; nothing where it stands in a VPC that moto made itself."""
    ec2 = get_backend("ec2")[account][region]
    profiles = [
        found.iam_instance_profile.arn
        for found in ec2.iam_instance_profile_associations.values()
        if found.instance.id == one.id
    ]
    if not profiles:
        return {}
    card, options = one.nics[0], one.metadata_options
    return {
        "VpcId": card.subnet.vpc_id,
        "SubnetId": card.subnet.id,
        "NetworkInterfaceId": card.id,
        "PrivateIpAddress": card.private_ip_address,
        "PublicIpAddress": card.public_ip,
        "SecurityGroups": [group.id for group in card.group_set],
        "IamInstanceProfile": profiles[0],
        "MetadataOptions": {
            "HttpEndpoint": options.http_endpoint,
            "HttpTokens": options.http_tokens,
            "HttpPutResponseHopLimit": options.http_put_response_hop_limit,
        },
    }


def read_held(one: Any) -> State:  # noqa: ANN401 - moto has no types
    """What a response changes on an instance; nothing where it is as a launch leaves it."""
    tags = {tag["key"]: tag["value"] for tag in one.get_tags() if tag["key"].startswith("cirt-")}
    kept = sorted(name for name, volume in one.block_device_mapping.items() if not volume.delete_on_termination)
    groups = [[group.name for group in card.group_set] for card in one.nics.values()]
    held = {
        "Tags": tags,
        "KeptVolumes": kept,
        "ShutdownBehavior": one.instance_initiated_shutdown_behavior.replace("stop", ""),
        "Metadata": one.metadata_options.http_endpoint.replace("enabled", ""),
        "Isolated": groups if any(name.startswith("cirt-") for names in groups for name in names) else [],
    }
    return {name: value for name, value in held.items() if value}


def read_isolation(account: str) -> State:
    """Groups that a response made, each with how many rules let something out; nothing where there is none."""
    found = {
        group.name: len(group.egress_rules)
        for ec2 in get_backend("ec2")[account].values()
        for groups in ec2.groups.values()
        for group in groups.values()
        if group.name.startswith("cirt-")
    }
    return {"isolation_groups": found} if found else {}


def read_groups(account: str, wanted: set[str]) -> list[State]:
    """Security groups of these VPCs, but for the default ones."""
    return [
        {
            "GroupId": group.id,
            "GroupName": group.name,
            "Region": region,
            "VpcId": vpc,
            "ingress": [_read_rule(rule) for rule in group.ingress_rules],
        }
        for region, ec2 in sorted(get_backend("ec2")[account].items())
        for vpc, groups in ec2.groups.items()
        for group in groups.values()
        if vpc in wanted and group.name != "default"
    ]


def read_profiles(account: str) -> list[State]:
    """Instance profiles and the roles in them."""
    return [
        {"InstanceProfileName": one.name, "Arn": one.arn, "Roles": [role.name for role in one.roles]}
        for one in get_backend("iam")[account]["aws"].instance_profiles.values()
    ]


def _load_place(ec2: Any, instance: State) -> None:  # noqa: ANN401 - moto has no types
    """Make the VPC and the subnet of an instance, wide enough for its address."""
    wide = ".".join(instance["PrivateIpAddress"].split(".")[:2]) + ".0.0/16"
    if instance["VpcId"] not in ec2.vpcs:
        vpc = ec2.create_vpc(wide)
        _rename_vpc(ec2, vpc, instance["VpcId"])
    zone = f"{instance['Region']}a"
    if instance["SubnetId"] not in ec2.subnets[zone]:
        subnet = ec2.create_subnet(instance["VpcId"], wide, availability_zone=zone)
        del ec2.subnets[zone][subnet.id]
        for acl in ec2.network_acls.values():
            for one in acl.associations:
                one.subnet_id = instance["SubnetId"] if one.subnet_id == subnet.id else one.subnet_id
        subnet.id = instance["SubnetId"]
        subnet.map_public_ip_on_launch = True
        ec2.subnets[zone][subnet.id] = subnet


def _rename_vpc(ec2: Any, vpc: Any, name: str) -> None:  # noqa: ANN401 - moto has no types
    """Give a VPC and all that moto made with it the id of the scenario."""
    del ec2.vpcs[vpc.id]
    for thing in (*ec2.groups[vpc.id].values(), *ec2.route_tables.values(), *ec2.network_acls.values()):
        thing.vpc_id = name if thing.vpc_id == vpc.id else thing.vpc_id
    ec2.groups[name] = ec2.groups.pop(vpc.id)
    vpc.id = name
    ec2.vpcs[name] = vpc


def _load_group(ec2: Any, group: State) -> None:  # noqa: ANN401 - moto has no types
    vpc = group["VpcId"]
    made = ec2.create_security_group(group["GroupName"], group["GroupName"], vpc)
    del ec2.groups[vpc][made.id]
    made.id = made.group_id = group["GroupId"]
    ec2.groups[vpc][made.id] = made
    for rule in group["ingress"]:
        ranges = [
            {"CidrIp": one["cidrIp"], "Description": one.get("description", "")} for one in rule["ipRanges"]["items"]
        ]
        ports = (str(rule["fromPort"]), str(rule["toPort"]))
        ec2.authorize_security_group_ingress(made.id, rule["ipProtocol"], *ports, ranges, vpc_id=vpc)


def _read_rule(rule: Any) -> State:  # noqa: ANN401 - moto has no types
    ranges = [{"cidrIp": rule.ip_range["CidrIp"], "description": rule.ip_range.get("Description", "")}]
    ports = {"ipProtocol": rule.ip_protocol, "fromPort": int(rule.from_port), "toPort": int(rule.to_port)}
    return {**ports, "groups": {}, "ipRanges": {"items": ranges}, "ipv6Ranges": {}, "prefixListIds": {}}
