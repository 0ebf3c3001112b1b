"""What an attacker does with a credential: acts that read, make, change and destroy, and what each leaves behind."""

import datetime as dt
from collections.abc import Callable
from urllib.parse import quote

from cirtlib.training import changes
from cirtlib.training.identifiers import alphanumeric, ec2_id, guid, hexadecimal
from cirtlib.training.incidents.hand import Hand, Raid
from cirtlib.training.incidents.world import REGION
from cirtlib.training.shapes import Call, Json, denied, human, iam_date

EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
READING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}
OUTSIDE = "555555555555"
# IAM takes documents of a thousand characters and more.
METADATA = f'<EntityDescriptor entityID="https://idp.example.com">{"<!-- synthetic -->" * 60}</EntityDescriptor>'
Act = Callable[[Raid, Hand], None]
ACTS: dict[str, Act] = {}


def _act(one: Act) -> Act:
    ACTS[one.__name__] = one
    return one


def _write(service: str, name: str, request: Json | None = None, response: Json | None = None) -> Call:
    return Call(service, name, REGION, request, response, read_only=False)


def _some(raid: Raid, prefix: str) -> str:
    return f"{prefix}-{alphanumeric(raid.world.rng, 6).lower()}"


def _done(raid: Raid) -> Json:
    """What EC2 answers when it has nothing to tell."""
    return {"requestId": guid(raid.world.rng), "_return": True}


def _allow(action: str, *accounts: str, **more: object) -> Json:
    """Policy that lets whole accounts do something; without accounts, that of the attacker."""
    who = [f"arn:aws:iam::{account}:root" for account in accounts or [OUTSIDE]]
    statement = {"Effect": "Allow", "Principal": {"AWS": who if len(who) > 1 else who[0]}, "Action": action, **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


def _instance(raid: Raid, hand: Hand) -> str:
    """An instance that was there before."""
    instance = ec2_id(raid.world.rng, "i")
    raid.world.had(hand.account, "instances", InstanceId=instance)
    return instance


def _kms_key(raid: Raid, hand: Hand) -> str:
    """ARN of a key of KMS that was there before."""
    arn = f"arn:aws:kms:{REGION}:{hand.account}:key/{guid(raid.world.rng)}"
    raid.world.had(hand.account, "kms_keys", Arn=arn, policy=_allow("kms:*", hand.account, Resource="*"))
    return arn


@_act
def look_around(raid: Raid, hand: Hand) -> None:
    """Find out where one is."""
    raid.do(hand, Call("sts", "GetCallerIdentity", REGION))
    raid.do(hand, Call("iam", "ListUsers", REGION))


@_act
def be_refused(raid: Raid, hand: Hand) -> None:
    """Try what is not allowed."""
    error = denied(hand.make(), "iam", "iam:CreateUser")
    raid.do(hand, Call("iam", "CreateUser", REGION, None, error=error, read_only=False))


@_act
def get_secrets(raid: Raid, hand: Hand) -> None:
    """Read secrets."""
    raid.do(hand, changes.get_secret(_some(raid, "db"), REGION))


@_act
def create_role(raid: Raid, hand: Hand) -> None:
    """Make a role that an account of the attacker's may take on."""
    role = raid.world.duty(_some(raid, "support"), hand.account, new=True)
    trust = changes.document(_allow("sts:AssumeRole"))
    made = {"path": "/", "roleName": role.name, "roleId": role.id, "arn": role.arn, "createDate": iam_date(raid.now)}
    answer = {"role": {**made, "assumeRolePolicyDocument": quote(trust, safe="")}}
    raid.do(hand, _write("iam", "CreateRole", {"roleName": role.name, "assumeRolePolicyDocument": trust}, answer))
    raid.effect(hand, "created", f"principal:{role.arn}")


@_act
def attach_role_policy(raid: Raid, hand: Hand) -> None:
    """Give a role more rights."""
    role = raid.world.rng.choice([one for one in raid.world.roles if one.account == hand.account])
    raid.do(hand, changes.attach_role_policy(role.name, "arn:aws:iam::aws:policy/AdministratorAccess"))
    raid.effect(hand, "changed", f"principal:{role.arn}")


@_act
def policy_version(raid: Raid, hand: Hand) -> None:
    """Put everything into a policy."""
    arn = f"arn:aws:iam::{hand.account}:policy/{_some(raid, 'app')}"
    raid.world.had(hand.account, "policies", Arn=arn, PolicyName=arn.rpartition("/")[2], document=READING)
    request = {"policyArn": arn, "policyDocument": changes.document(EVERYTHING), "setAsDefault": True}
    version = {"versionId": "v2", "isDefaultVersion": True, "createDate": iam_date(raid.now)}
    raid.do(hand, _write("iam", "CreatePolicyVersion", request, {"policyVersion": version}))
    raid.effect(hand, "changed", f"resource:{arn}")


@_act
def change_code(raid: Raid, hand: Hand) -> None:
    """Put other code into a function."""
    name = _some(raid, "job")
    role = raid.world.duty(f"{name}-role", hand.account, taken_by="lambda.amazonaws.com")
    arn = f"arn:aws:lambda:{REGION}:{hand.account}:function:{name}"
    raid.world.had(hand.account, "functions", FunctionName=name, Role=role.arn)
    raid.do(hand, changes.update_code(raid.world.rng, arn, role.arn, raid.now))
    raid.effect(hand, "changed", f"resource:{arn}")


@_act
def change_user_data(raid: Raid, hand: Hand) -> None:
    """Have an instance run something when it starts."""
    instance = _instance(raid, hand)
    request = {"instanceId": instance, "userData": "<sensitiveDataRemoved>"}
    raid.do(hand, _write("ec2", "ModifyInstanceAttribute", request, _done(raid)))
    raid.effect(hand, "changed", f"resource:arn:aws:ec2:{REGION}:{hand.account}:instance/{instance}")


@_act
def key_policy(raid: Raid, hand: Hand) -> None:
    """Share a key of KMS."""
    arn = _kms_key(raid, hand)
    text = changes.document(_allow("kms:*", hand.account, OUTSIDE, Resource="*"))
    request = {"keyId": arn, "policyName": "default", "policy": text, "bypassPolicyLockoutSafetyCheck": False}
    raid.do(hand, _write("kms", "PutKeyPolicy", request))
    raid.effect(hand, "changed", f"resource:{arn}")


@_act
def bucket_policy(raid: Raid, hand: Hand) -> None:
    """Share a bucket."""
    bucket = _some(raid, "data")
    raid.world.had(hand.account, "buckets", Name=bucket)
    policy = _allow("s3:*", Resource=[f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"])
    host = f"{bucket}.s3.{REGION}.amazonaws.com"
    request = {"bucketPolicy": policy, "bucketName": bucket, "Host": host, "policy": ""}
    raid.do(hand, _write("s3", "PutBucketPolicy", request))
    raid.effect(hand, "changed", f"resource:arn:aws:s3:::{bucket}")


@_act
def open_bucket(raid: Raid, hand: Hand) -> None:
    """Take the block of public access from a bucket."""
    bucket = _some(raid, "web")
    raid.world.had(hand.account, "buckets", Name=bucket, blocked=True)
    request = {"publicAccessBlock": "", "bucketName": bucket, "Host": f"{bucket}.s3.{REGION}.amazonaws.com"}
    raid.do(hand, _write("s3", "DeleteBucketPublicAccessBlock", request))
    raid.effect(hand, "changed", f"resource:arn:aws:s3:::{bucket}")


@_act
def saml_provider(raid: Raid, hand: Hand) -> None:
    """Trust another identity provider."""
    arn = f"arn:aws:iam::{hand.account}:saml-provider/{_some(raid, 'idp')}"
    request = {"name": arn.rpartition("/")[2], "sAMLMetadataDocument": METADATA}
    raid.do(hand, _write("iam", "CreateSAMLProvider", request, {"sAMLProviderArn": arn}))
    raid.effect(hand, "created", f"resource:{arn}")


@_act
def mine(raid: Raid, hand: Hand) -> None:
    """Start large instances."""
    made = tuple(ec2_id(raid.world.rng, "i") for _ in range(2))
    launch = changes.Launch(REGION, hand.account, ec2_id(raid.world.rng, "ami"), "g5.12xlarge", made)
    raid.do(hand, changes.run_instances(raid.world.rng, launch, raid.now))
    for instance in made:
        raid.effect(hand, "created", f"resource:arn:aws:ec2:{REGION}:{hand.account}:instance/{instance}")


@_act
def share_snapshot(raid: Raid, hand: Hand) -> None:
    """Make a snapshot and share it."""
    snapshot, volume = ec2_id(raid.world.rng, "snap"), ec2_id(raid.world.rng, "vol")
    raid.world.had(hand.account, "volumes", VolumeId=volume)
    raid.do(
        hand, changes.create_snapshot(changes.NewSnapshot(snapshot, volume, hand.account, "nightly"), REGION, raid.now)
    )
    raid.effect(hand, "created", f"resource:arn:aws:ec2:{REGION}::snapshot/{snapshot}")
    raid.do(hand, changes.share_snapshot(snapshot, REGION, OUTSIDE))
    raid.effect(hand, "changed", f"resource:arn:aws:ec2:{REGION}::snapshot/{snapshot}")


@_act
def share_image(raid: Raid, hand: Hand) -> None:
    """Share an image."""
    image = ec2_id(raid.world.rng, "ami")
    raid.world.had(hand.account, "images", ImageId=image)
    added = {"add": {"items": [{"userId": OUTSIDE}]}}
    request = {"imageId": image, "launchPermission": added, "attributeType": "launchPermission"}
    raid.do(hand, _write("ec2", "ModifyImageAttribute", request, _done(raid)))
    raid.effect(hand, "changed", f"resource:arn:aws:ec2:{REGION}::image/{image}")


@_act
def stop_logging(raid: Raid, hand: Hand) -> None:
    """Stop a trail."""
    name = _some(raid, "audit")
    arn = f"arn:aws:cloudtrail:{REGION}:{hand.account}:trail/{name}"
    raid.world.had(hand.account, "trails", Name=name)
    raid.do(hand, changes.stop_logging(arn, REGION))
    raid.effect(hand, "changed", f"resource:{arn}")


@_act
def delete_detector(raid: Raid, hand: Hand) -> None:
    """Delete GuardDuty's detector."""
    if raid.world.before.get(hand.account, {}).get("detectors"):
        return  # an account has one in a Region
    detector = hexadecimal(raid.world.rng, 32)
    raid.world.had(hand.account, "detectors", DetectorId=detector)
    raid.do(hand, _write("guardduty", "DeleteDetector", {"detectorId": detector}))
    raid.effect(hand, "changed", f"resource:arn:aws:guardduty:{REGION}:{hand.account}:detector/{detector}")


@_act
def key_pair(raid: Raid, hand: Hand) -> None:
    """Import a key pair."""
    made = ec2_id(raid.world.rng, "key")
    raid.do(hand, changes.add_key_pair(raid.world.rng, REGION, _some(raid, "admin"), made, imported=True))
    raid.effect(hand, "created", f"resource:arn:aws:ec2:{REGION}:{hand.account}:key-pair/{made}")


@_act
def open_port(raid: Raid, hand: Hand) -> None:
    """Open a security group."""
    group = ec2_id(raid.world.rng, "sg")
    raid.world.had(hand.account, "groups", GroupId=group, GroupName=_some(raid, "web"))
    arn = f"arn:aws:ec2:{REGION}:{hand.account}:security-group/{group}"
    raid.do(hand, changes.authorize_ingress(raid.world.rng, arn, 22, why="support"))
    raid.effect(hand, "changed", f"resource:{arn}")


@_act
def run_command(raid: Raid, hand: Hand) -> None:
    """Run a command on an instance."""
    instance = _instance(raid, hand)
    request = {"instanceIds": [instance], "documentName": "AWS-RunShellScript"}
    raid.do(hand, _write("ssm", "SendCommand", request, {"command": {"commandId": guid(raid.world.rng)}}))
    raid.effect(hand, "changed", f"resource:arn:aws:ec2:{REGION}:{hand.account}:instance/{instance}")


@_act
def event_rule(raid: Raid, hand: Hand) -> None:
    """Have something done at an event. The call makes a rule or replaces one; the record does not tell which."""
    name = _some(raid, "sync")
    arn = f"arn:aws:events:{REGION}:{hand.account}:rule/{name}"
    request = {"name": name, "scheduleExpression": "rate(1 hour)", "state": "ENABLED"}
    raid.do(hand, _write("events", "PutRule", request, {"ruleArn": arn}))
    raid.effect(hand, "changed", f"resource:{arn}")


@_act
def second_factor(raid: Raid, hand: Hand) -> None:
    """Enrol a second factor for somebody."""
    there = [one for one in raid.world.people if one.account == hand.account]
    if there:
        person = raid.world.rng.choice(there)
        serial = f"arn:aws:iam::{hand.account}:mfa/{_some(raid, 'phone')}"
        raid.do(hand, _write("iam", "EnableMFADevice", {"userName": person.name, "serialNumber": serial}))
        raid.effect(hand, "changed", f"principal:{person.arn}")


@_act
def delete_snapshot(raid: Raid, hand: Hand) -> None:
    """Destroy a backup."""
    snapshot = ec2_id(raid.world.rng, "snap")
    raid.world.had(hand.account, "snapshots", SnapshotId=snapshot, VolumeId=ec2_id(raid.world.rng, "vol"))
    raid.do(hand, changes.delete_snapshot(snapshot, REGION))
    raid.effect(hand, "changed", f"resource:arn:aws:ec2:{REGION}::snapshot/{snapshot}")


@_act
def disable_key(raid: Raid, hand: Hand) -> None:
    """Have a key of KMS deleted."""
    arn = _kms_key(raid, hand)
    answer = {"keyId": arn, "deletionDate": human(raid.now + dt.timedelta(days=7)), "keyState": "PendingDeletion"}
    raid.do(hand, _write("kms", "ScheduleKeyDeletion", {"keyId": arn, "pendingWindowInDays": 7}, answer))
    raid.effect(hand, "changed", f"resource:{arn}")


@_act
def trust_anchor(raid: Raid, hand: Hand) -> None:
    """Trust a certificate authority of one's own."""
    arn = f"arn:aws:rolesanywhere:{REGION}:{hand.account}:trust-anchor/{guid(raid.world.rng)}"
    raid.do(
        hand, _write("rolesanywhere", "CreateTrustAnchor", {"name": "ca"}, {"trustAnchor": {"trustAnchorArn": arn}})
    )
    raid.effect(hand, "created", f"resource:{arn}")
