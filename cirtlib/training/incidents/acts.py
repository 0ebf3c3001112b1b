"""What an attacker does with a credential: acts that read, make, change and destroy, and what each leaves behind."""

from collections.abc import Callable

from cirtlib.training import changes
from cirtlib.training.identifiers import alphanumeric, ec2_id, guid
from cirtlib.training.incidents.hand import Hand, Raid
from cirtlib.training.incidents.world import REGION
from cirtlib.training.shapes import Call, Json, denied

EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
Act = Callable[[Raid, Hand], None]
ACTS: dict[str, Act] = {}


def _act(one: Act) -> Act:
    ACTS[one.__name__] = one
    return one


def _write(service: str, name: str, request: Json | None = None, response: Json | None = None) -> Call:
    return Call(service, name, REGION, request, response, read_only=False)


def _some(raid: Raid, prefix: str) -> str:
    return f"{prefix}-{alphanumeric(raid.world.rng, 6).lower()}"


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
    """Make a role."""
    role = raid.world.duty(_some(raid, "support"), hand.account)
    answer = {"role": {"arn": role.arn, "roleName": role.name, "roleId": role.id}}
    raid.do(hand, _write("iam", "CreateRole", {"roleName": role.name, "assumeRolePolicyDocument": "{}"}, answer))
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
    request = {"policyArn": arn, "policyDocument": changes.document(EVERYTHING), "setAsDefault": True}
    raid.do(hand, _write("iam", "CreatePolicyVersion", request, {"policyVersion": {"versionId": "v2"}}))
    raid.effect(hand, "changed", f"resource:{arn}")


@_act
def change_code(raid: Raid, hand: Hand) -> None:
    """Put other code into a function."""
    arn = f"arn:aws:lambda:{REGION}:{hand.account}:function:{_some(raid, 'job')}"
    role = f"arn:aws:iam::{hand.account}:role/job"
    raid.do(hand, changes.update_code(raid.world.rng, arn, role, raid.now))
    raid.effect(hand, "changed", f"resource:{arn}")


@_act
def change_user_data(raid: Raid, hand: Hand) -> None:
    """Have an instance run something when it starts."""
    instance = ec2_id(raid.world.rng, "i")
    request = {"instanceId": instance, "userData": "<sensitiveDataRemoved>"}
    raid.do(hand, _write("ec2", "ModifyInstanceAttribute", request, {"_return": True}))
    raid.effect(hand, "changed", f"resource:arn:aws:ec2:{REGION}:{hand.account}:instance/{instance}")


@_act
def key_policy(raid: Raid, hand: Hand) -> None:
    """Share a key of KMS."""
    arn = f"arn:aws:kms:{REGION}:{hand.account}:key/{guid(raid.world.rng)}"
    raid.do(hand, _write("kms", "PutKeyPolicy", {"keyId": arn, "policyName": "default"}))
    raid.effect(hand, "changed", f"resource:{arn}")


@_act
def bucket_policy(raid: Raid, hand: Hand) -> None:
    """Share a bucket."""
    bucket = _some(raid, "data")
    allow = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::555555555555:root"}, "Action": "s3:*"}
    raid.do(hand, _write("s3", "PutBucketPolicy", {"bucketName": bucket, "bucketPolicy": {"Statement": [allow]}}))
    raid.effect(hand, "changed", f"resource:arn:aws:s3:::{bucket}")


@_act
def open_bucket(raid: Raid, hand: Hand) -> None:
    """Take the block of public access from a bucket."""
    bucket = _some(raid, "web")
    raid.do(hand, _write("s3", "DeleteBucketPublicAccessBlock", {"bucketName": bucket}))
    raid.effect(hand, "changed", f"resource:arn:aws:s3:::{bucket}")


@_act
def saml_provider(raid: Raid, hand: Hand) -> None:
    """Trust another identity provider."""
    arn = f"arn:aws:iam::{hand.account}:saml-provider/{_some(raid, 'idp')}"
    raid.do(hand, _write("iam", "CreateSAMLProvider", {"name": arn.rpartition("/")[2]}, {"sAMLProviderArn": arn}))
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
    new = changes.NewSnapshot(ec2_id(raid.world.rng, "snap"), ec2_id(raid.world.rng, "vol"), hand.account, "nightly")
    raid.do(hand, changes.create_snapshot(new, REGION, raid.now))
    raid.effect(hand, "created", f"resource:arn:aws:ec2:{REGION}::snapshot/{new.id}")
    raid.do(hand, changes.share_snapshot(new.id, REGION, "555555555555"))
    raid.effect(hand, "changed", f"resource:arn:aws:ec2:{REGION}::snapshot/{new.id}")


@_act
def share_image(raid: Raid, hand: Hand) -> None:
    """Share an image."""
    image = ec2_id(raid.world.rng, "ami")
    request = {"imageId": image, "launchPermission": {"add": {"items": [{"userId": "555555555555"}]}}}
    raid.do(hand, _write("ec2", "ModifyImageAttribute", request, {"_return": True}))
    raid.effect(hand, "changed", f"resource:arn:aws:ec2:{REGION}::image/{image}")


@_act
def stop_logging(raid: Raid, hand: Hand) -> None:
    """Stop a trail."""
    arn = f"arn:aws:cloudtrail:{REGION}:{hand.account}:trail/{_some(raid, 'audit')}"
    raid.do(hand, changes.stop_logging(arn, REGION))
    raid.effect(hand, "changed", f"resource:{arn}")


@_act
def delete_detector(raid: Raid, hand: Hand) -> None:
    """Delete GuardDuty's detector."""
    detector = alphanumeric(raid.world.rng, 32).lower()
    raid.do(hand, _write("guardduty", "DeleteDetector", {"detectorId": detector}))
    raid.effect(hand, "changed", f"resource:arn:aws:guardduty:{REGION}:{hand.account}:detector/{detector}")


@_act
def key_pair(raid: Raid, hand: Hand) -> None:
    """Import a key pair."""
    made = ec2_id(raid.world.rng, "key")
    raid.do(hand, _write("ec2", "ImportKeyPair", {"keyName": "admin"}, {"keyName": "admin", "keyPairId": made}))
    raid.effect(hand, "created", f"resource:arn:aws:ec2:{REGION}:{hand.account}:key-pair/{made}")


@_act
def open_port(raid: Raid, hand: Hand) -> None:
    """Open a security group."""
    group = ec2_id(raid.world.rng, "sg")
    raid.do(hand, _write("ec2", "AuthorizeSecurityGroupIngress", {"groupId": group}, {"_return": True}))
    raid.effect(hand, "changed", f"resource:arn:aws:ec2:{REGION}:{hand.account}:security-group/{group}")


@_act
def run_command(raid: Raid, hand: Hand) -> None:
    """Run a command on an instance."""
    instance = ec2_id(raid.world.rng, "i")
    request = {"instanceIds": [instance], "documentName": "AWS-RunShellScript"}
    raid.do(hand, _write("ssm", "SendCommand", request, {"command": {"commandId": guid(raid.world.rng)}}))
    raid.effect(hand, "changed", f"resource:arn:aws:ec2:{REGION}:{hand.account}:instance/{instance}")


@_act
def event_rule(raid: Raid, hand: Hand) -> None:
    """Have something done at an event. The call makes a rule or replaces one; the record does not tell which."""
    arn = f"arn:aws:events:{REGION}:{hand.account}:rule/{_some(raid, 'sync')}"
    raid.do(hand, _write("events", "PutRule", {"name": arn.rpartition("/")[2]}, {"ruleArn": arn}))
    raid.effect(hand, "changed", f"resource:{arn}")


@_act
def second_factor(raid: Raid, hand: Hand) -> None:
    """Enrol a second factor for somebody."""
    there = [one for one in raid.world.people if one.account == hand.account]
    if there:
        person = raid.world.rng.choice(there)
        raid.do(hand, _write("iam", "EnableMFADevice", {"userName": person.name, "serialNumber": "arn:aws:iam::mfa"}))
        raid.effect(hand, "changed", f"principal:{person.arn}")


@_act
def delete_snapshot(raid: Raid, hand: Hand) -> None:
    """Destroy a backup."""
    snapshot = ec2_id(raid.world.rng, "snap")
    raid.do(hand, changes.delete_snapshot(snapshot, REGION))
    raid.effect(hand, "changed", f"resource:arn:aws:ec2:{REGION}::snapshot/{snapshot}")


@_act
def disable_key(raid: Raid, hand: Hand) -> None:
    """Have a key of KMS deleted."""
    arn = f"arn:aws:kms:{REGION}:{hand.account}:key/{guid(raid.world.rng)}"
    raid.do(hand, _write("kms", "ScheduleKeyDeletion", {"keyId": arn, "pendingWindowInDays": 7}))
    raid.effect(hand, "changed", f"resource:{arn}")


@_act
def trust_anchor(raid: Raid, hand: Hand) -> None:
    """Trust a certificate authority of one's own."""
    arn = f"arn:aws:rolesanywhere:{REGION}:{hand.account}:trust-anchor/{guid(raid.world.rng)}"
    raid.do(
        hand, _write("rolesanywhere", "CreateTrustAnchor", {"name": "ca"}, {"trustAnchor": {"trustAnchorArn": arn}})
    )
    raid.effect(hand, "created", f"resource:{arn}")
