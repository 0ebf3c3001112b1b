"""Which controls of Security Hub checked what: the weaknesses on the way in, and those that have nothing to do with it.

Source: Security Hub user guide, "Security Hub controls reference": which kind of resource a control's finding is about.
"""

import datetime as dt
import itertools
import random
from dataclasses import dataclass, field, replace

from cirtlib.training.raid import attack_begins
from cirtlib.training.shapes import Json
from cirtlib.training.site import Site, site
from cirtlib.training.truth import Truth
from cirtlib.training.world import HELPER, Machine, World

IRRELEVANT, PASSED = 200, 60


@dataclass(frozen=True)
class Check:
    """A control that checked one resource; account, Region and first observation are drawn where they are not given."""

    control: str
    kind: str
    resource: str
    passed: bool = False
    account: str = ""
    region: str = ""
    first: dt.datetime | None = None
    details: Json = field(default_factory=dict)


def leaked_key(world: World) -> list[Check]:
    """Check the owner of the leaked key and things beside it."""
    owner, account = world.key_users[0].arn, f"AWS::::Account:{world.workload}"
    trail, machine, weak = world.trail(world.workload), world.machines[0], world.machines[1]
    group = f"arn:aws:ec2:{machine.region}:{world.workload}:security-group/{machine.group}"
    return [
        Check("CloudTrail.1", "AwsAccount", account),
        Check("CloudTrail.2", "AwsCloudTrailTrail", trail),
        Check("CloudTrail.4", "AwsCloudTrailTrail", trail, passed=True),
        Check("IAM.1", "AwsIamRole", world.dev_role.arn),
        Check("IAM.2", "AwsIamUser", owner),
        Check("IAM.3", "AwsIamUser", owner),
        Check("IAM.5", "AwsIamUser", world.console_users[0].arn, passed=world.console_users[0].mfa),
        Check("IAM.8", "AwsIamUser", world.key_users[-2].arn),
        Check("EC2.19", "AwsEc2SecurityGroup", group),
        Check("EC2.8", "AwsEc2Instance", f"arn:aws:ec2:{weak.region}:{world.workload}:instance/{weak.id}"),
        Check("GuardDuty.1", "AwsAccount", account, passed=True),
    ]


def open_port(world: World, truth: Truth, rng: random.Random) -> list[Check]:
    """Check what lies on the way in, the twin that nobody attacked, and two hundred and more other things."""
    checks = _open_instance(world, truth, rng, world.exposed)
    if world.scenario.decoys.exposed_twin:
        checks += _open_instance(world, truth, rng, world.twin)
    network, place = site(world, world.exposed), f"arn:aws:ec2:{world.exposed.region}:{world.workload}"
    checks += [
        Check("EC2.15", "AwsEc2Subnet", f"{place}:subnet/{network.subnet}"),
        Check("EC2.6", "AwsEc2Vpc", f"{place}:vpc/{network.vpc}"),
        Check("IAM.21", "AwsIamPolicy", f"arn:aws:iam::{world.workload}:policy/{HELPER}"),
        Check("GuardDuty.1", "AwsAccount", f"AWS::::Account:{world.workload}", passed=True),
    ]
    others = _elsewhere(world)
    rng.shuffle(others)
    passed = [replace(check, passed=True) for check in others[IRRELEVANT : IRRELEVANT + PASSED]]
    found = checks + others[:IRRELEVANT] + passed
    rng.shuffle(found)
    return found


def _open_instance(world: World, truth: Truth, rng: random.Random, machine: Machine) -> list[Check]:
    """Checks of an instance that stands in the open and of its group, whose rule was seen soon after it was made."""
    network, opened = site(world, machine), truth.story[f"opened {machine.group}"]["at"]
    seen = opened + dt.timedelta(minutes=rng.randint(2, 30))
    port = {22: "EC2.13", 3389: "EC2.14"}[network.port]
    group = Check(
        "EC2.19", "AwsEc2SecurityGroup", machine.group_arn, first=seen, details=_group(world, machine, network)
    )
    instance = Check("EC2.8", "AwsEc2Instance", machine.arn, details=_instance(machine, network))
    late = attack_begins(world) + dt.timedelta(hours=rng.randint(5, 9))  # fails only after the attack
    patches = f"AWS::SSM::PatchCompliance:{machine.id}"
    return [
        group,
        replace(group, control="EC2.18"),
        replace(group, control=port),
        instance,
        replace(instance, control="EC2.9"),
        replace(instance, control="SSM.1", passed=True),
        Check("SSM.2", "AwsSsmPatchCompliance", patches, region=machine.region, first=late),
    ]


def _group(world: World, machine: Machine, network: Site) -> Json:
    """What Security Hub tells of a security group."""
    everyone = {"IpProtocol": "tcp", "FromPort": network.port, "ToPort": network.port}
    return {
        "GroupName": f"{network.group_name}-{machine.group[-4:]}",
        "GroupId": machine.group,
        "OwnerId": world.workload,
        "VpcId": network.vpc,
        "IpPermissions": [everyone | {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
        "IpPermissionsEgress": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
    }


def _instance(machine: Machine, network: Site) -> Json:
    """What Security Hub tells of an instance."""
    addresses = [machine.address, machine.public] if machine.public else [machine.address]
    return {
        "Type": machine.kind,
        "ImageId": machine.image,
        "IpV4Addresses": addresses,
        "IamInstanceProfileArn": f"arn:aws:iam::{machine.role.account}:instance-profile/{machine.role.name}",
        "VpcId": network.vpc,
        "SubnetId": network.subnet,
        "NetworkInterfaces": [{"NetworkInterfaceId": network.card}],
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "optional" if machine.delivery == "1.0" else "required",
            "HttpPutResponseHopLimit": 2,
        },
    }


def _elsewhere(world: World) -> list[Check]:
    """Every check of things that no path to the exposed instance goes through."""
    found = []
    for account in world.accounts:
        root = f"AWS::::Account:{account}"
        found += _each(("EC2.7", "IAM.7", "Config.1"), "AwsAccount", [root], account=account)
        buckets = [f"arn:aws:s3:::{name}" for name in world.buckets[account]]
        found += _each(("S3.5", "S3.8", "S3.9", "S3.11", "S3.13", "S3.14"), "AwsS3Bucket", buckets, account=account)
        keys = [f"arn:aws:kms:{world.home}:{account}:key/{key}" for key in world.keys[account]]
        found += _each(("KMS.3", "KMS.4"), "AwsKmsKey", keys, account=account)
        for region in world.regions:
            found += _regional(account, region)
    for function in world.functions:
        controls, where = ("Lambda.1", "Lambda.2", "Lambda.3"), function.role.account
        found += _each(controls, "AwsLambdaFunction", [function.arn], account=where, region=function.region)
    users = [user.arn for user in world.key_users + world.console_users]
    found += _each(("IAM.2", "IAM.3", "IAM.8", "IAM.22"), "AwsIamUser", users, account=world.workload)
    trails = [world.trail(account) for account in world.accounts]
    found += _each(("CloudTrail.2", "CloudTrail.5"), "AwsCloudTrailTrail", trails)
    for machine in world.machines:
        if machine not in (world.exposed, world.twin):
            volume = f"arn:aws:ec2:{machine.region}:{world.workload}:volume/{machine.volume}"
            found += _each(("EC2.3", "EC2.28"), "AwsEc2Volume", [volume])
            found += _each(("EC2.17", "SSM.1"), "AwsEc2Instance", [machine.arn])
    return found


def _regional(account: str, region: str) -> list[Check]:
    """Checks of what an account has in a Region: tables, secrets, repositories, queues, topics."""
    place = f"{region}:{account}"
    tables = [f"arn:aws:dynamodb:{place}:table/{name}" for name in ("orders", "sessions", "inventory")]
    secrets = [f"arn:aws:secretsmanager:{place}:secret:prod/{name}-AbCdEf" for name in ("orders-db", "payments-api")]
    where = {"account": account, "region": region}
    return [
        *_each(("DynamoDB.1", "DynamoDB.2"), "AwsDynamoDbTable", tables, **where),
        *_each(
            ("SecretsManager.1", "SecretsManager.3", "SecretsManager.4"), "AwsSecretsManagerSecret", secrets, **where
        ),
        *_each(("ECR.1", "ECR.2", "ECR.3"), "AwsEcrRepository", [f"arn:aws:ecr:{place}:repository/app"], **where),
        *_each(("SQS.1",), "AwsSqsQueue", [f"arn:aws:sqs:{place}:work"], **where),
        *_each(("SNS.1",), "AwsSnsTopic", [f"arn:aws:sns:{place}:alerts"], **where),
    ]


def _each(
    controls: tuple[str, ...], kind: str, resources: list[str], *, account: str = "", region: str = ""
) -> list[Check]:
    pairs = itertools.product(controls, resources)
    return [Check(control, kind, one, account=account or _account(one), region=region) for control, one in pairs]


def _account(arn: str) -> str:
    return arn.split(":")[4]
