"""The accounts of a random incident in moto, in process: as they were before the attack, and as the attacker left them.

What stood before is what the incident noted (`Incident.before`); the attacker's successful calls are then carried out
from their records, so that every thing has the id and the name that stand in the log.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cirtlib.errors import TrainingError
from cirtlib.training.account_state import backend, reset
from cirtlib.training.account_state import load as load_identities
from cirtlib.training.incidents import Incident
from cirtlib.training.incidents.world import REGION
from cirtlib.training.shapes import Json

try:
    from moto import mock_aws
    from moto.ec2.models.key_pairs import KeyPair
    from moto.iam.models import AccessKey
except ImportError as error:  # the emulator is an extra: the library itself works without it
    raise TrainingError("the emulated account needs moto: pip install 'cirtlib[train]'") from error

_CODE = {"ZipFile": "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA=="}  # an empty archive
_OTHER_CODE = {"ZipFile": "UEsFBgAAAAAAAAAAAAAAAAAAAAABAHg="}  # one with a comment
_BLOCKED = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
# Calls that change nothing that an account holds, or that moto does not have.
WITHOUT_STATE = frozenset({"rolesanywhere:CreateTrustAnchor", "rolesanywhere:CreateSession", "ssm:SendCommand"})


@contextmanager
def accounts_of(made: Incident) -> Iterator[None]:
    """Have moto hold the accounts of an incident, before the attack, while the context lasts."""
    with mock_aws():
        load(made)
        try:
            yield
        finally:
            reset()


def accounts(made: Incident) -> list[str]:
    """The accounts of an incident."""
    return sorted({record["recipientAccountId"] for record in made.records} | made.before.keys())


def load(made: Incident) -> None:
    """Replace what moto holds by the accounts as they were before the attack."""
    known = {account: made.before.get(account, {}) for account in accounts(made)}
    kinds = ("users", "roles", "policies")
    load_identities({"accounts": {name: {kind: held.get(kind, []) for kind in kinds} for name, held in known.items()}})
    for account, held in known.items():
        iam = backend("iam", account)
        for user in held.get("users", []):
            iam.users[user["UserName"]].id = user["UserId"]
        for role in held.get("roles", []):
            _role_id(account, role["RoleName"], role["RoleId"])
        for kind, put in _BEFORE.items():
            for thing in held.get(kind, []):
                put(account, thing)


def replay(made: Incident) -> None:
    """Carry out the attacker's calls that succeeded, in their order.

    Raises
    ------
    TrainingError
        when the attacker makes a call that nothing here carries out.
    """
    for record in sorted(made.records, key=lambda one: (one["eventTime"], one["eventID"])):
        if made.verdicts.get((record["eventID"], record["recipientAccountId"])) != "attacker":
            continue
        name = f"{record['eventSource'].removesuffix('.amazonaws.com')}:{record['eventName']}"
        if record["readOnly"] or record.get("errorCode") or name in WITHOUT_STATE or name.startswith("signin:"):
            continue
        if name not in _CALLS:
            raise TrainingError(f"no emulated account carries out {name}: add it to {__name__}")
        _CALLS[name](record["recipientAccountId"], record["requestParameters"] or {}, record["responseElements"] or {})


# What stood before the attack.


def _password(account: str, thing: Json) -> None:
    backend("iam", account).users[thing["UserName"]].password = "set-before-the-attack"  # noqa: S105 (of no account)


def _profile(account: str, thing: Json) -> None:
    backend("iam", account).create_instance_profile(thing["InstanceProfileName"], "/", thing["Roles"])


def _instance(account: str, thing: Json) -> None:
    name = thing.get("Role")
    if name:
        _profile(account, {"InstanceProfileName": name, "Roles": [name]})
    _run(account, thing["InstanceId"], f"arn:aws:iam::{account}:instance-profile/{name}" if name else "")


def _run(account: str, instance: str, profile: str) -> None:
    ec2 = backend("ec2", account, REGION)
    (made,) = ec2.run_instances(
        "ami-12345678", 1, None, [], instance_type="t3.large", is_instance_type_default=False, region_name=REGION
    ).instances
    made.id = instance
    if profile:
        ec2.associate_iam_instance_profile(instance, iam_instance_profile_arn=profile)


def _bucket(account: str, thing: Json) -> None:
    s3 = backend("s3", account)
    s3.create_bucket(thing["Name"], REGION)
    if thing.get("blocked"):
        s3.put_public_access_block(thing["Name"], _BLOCKED)


def _function(account: str, thing: Json) -> None:
    spec = {"Runtime": "python3.13", "Handler": "app.handler", "Code": _CODE, "Timeout": 30}
    backend("lambda", account, REGION).create_function(
        {"FunctionName": thing["FunctionName"], "Role": thing["Role"], **spec}
    )


def _kms_key(account: str, thing: Json) -> None:
    kms = backend("kms", account, REGION)
    key = kms.create_key(json.dumps(thing["policy"]), "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", "", None)
    del kms.keys[key.id]
    key.arn, key.id = thing["Arn"], thing["Arn"].rpartition("/")[2]
    kms.keys[key.id] = kms.keys[key.arn] = key  # moto finds a key by its id alone in some calls


def _trail(account: str, thing: Json) -> None:
    bucket = f"trail-of-{account}-{thing['Name']}"
    backend("s3", account).create_bucket(bucket, REGION)
    options = {"is_global": True, "is_multi_region": True, "log_validation": True, "is_org_trail": False}
    trail = backend("cloudtrail", account, REGION).create_trail(
        thing["Name"], bucket, "", "", **options, cw_log_group_arn="", cw_role_arn="", kms_key_id="", tags_list=[]
    )
    trail.start_logging()


def _detector(account: str, thing: Json) -> None:
    guardduty = backend("guardduty", account, REGION)
    made = guardduty.create_detector(True, "SIX_HOURS", {}, {}, [])
    detector = guardduty.detectors.pop(made)
    detector.id = thing["DetectorId"]
    guardduty.detectors[detector.id] = detector


def _group(account: str, thing: Json) -> None:
    ec2 = backend("ec2", account, REGION)
    made = ec2.create_security_group(thing["GroupName"], thing["GroupName"])
    del ec2.groups[made.vpc_id][made.id]
    made.id = made.group_id = thing["GroupId"]
    ec2.groups[made.vpc_id][made.id] = made


def _image(account: str, thing: Json) -> None:
    ec2 = backend("ec2", account, REGION)
    image = ec2.register_image(thing["ImageId"])
    del ec2.amis[image.id]
    image.id = thing["ImageId"]
    ec2.amis[image.id] = image


def _volume(account: str, thing: Json) -> None:
    ec2 = backend("ec2", account, REGION)
    made = ec2.create_volume(8, f"{REGION}a")
    del ec2.volumes[made.id]
    made.id = thing["VolumeId"]
    ec2.volumes[made.id] = made


def _snapshot(account: str, thing: Json) -> None:
    _volume(account, thing)
    _snapshot_of(account, thing["SnapshotId"], thing["VolumeId"])


def _snapshot_of(account: str, snapshot: str, volume: str) -> None:
    ec2 = backend("ec2", account, REGION)
    made = ec2.create_snapshot(volume, "nightly")
    del ec2.snapshots[made.id]
    made.id = snapshot
    ec2.snapshots[made.id] = made


def _role_id(account: str, name: str, identity: str) -> None:
    iam = backend("iam", account)
    role = iam.get_role(name)
    del iam.roles[role.id]
    role.id = identity
    iam.roles[identity] = role


_BEFORE: dict[str, Callable[[str, Json], None]] = {
    "passwords": _password,
    "profiles": _profile,
    "instances": _instance,
    "buckets": _bucket,
    "functions": _function,
    "kms_keys": _kms_key,
    "trails": _trail,
    "detectors": _detector,
    "groups": _group,
    "images": _image,
    "volumes": _volume,
    "snapshots": _snapshot,
}


# What the attacker did.


def _iam(account: str) -> Any:  # noqa: ANN401 - moto has no types
    return backend("iam", account)


def _ec2(account: str) -> Any:  # noqa: ANN401 - moto has no types
    return backend("ec2", account, REGION)


def _create_user(account: str, _: Json, answer: Json) -> None:
    user = answer["user"]
    _iam(account).create_user(REGION, user["userName"], user["path"]).id = user["userId"]


def _create_access_key(account: str, _: Json, answer: Json) -> None:
    given = answer["accessKey"]
    iam = _iam(account)
    made = AccessKey(given["userName"], "AKIA", account, given["status"])
    made.access_key_id = given["accessKeyId"]
    iam.users[given["userName"]].access_keys.append(made)
    iam.access_keys[made.access_key_id] = made


def _create_role(account: str, request: Json, answer: Json) -> None:
    role = answer["role"]
    trust = request["assumeRolePolicyDocument"]
    _iam(account).create_role(role["roleName"], trust, role["path"], None, "", [], "3600")
    _role_id(account, role["roleName"], role["roleId"])


def _create_login_profile(account: str, request: Json, _: Json) -> None:
    _iam(account).users[request["userName"]].password = "set-by-the-attacker"  # noqa: S105 (of no account)


def _create_policy_version(account: str, request: Json, _: Json) -> None:
    _iam(account).create_policy_version(request["policyArn"], request["policyDocument"], set_as_default=True)


def _create_oidc(account: str, request: Json, _: Json) -> None:
    _iam(account).create_open_id_connect_provider(request["url"], [], request["clientIDList"], [])


def _enable_mfa(account: str, request: Json, _: Json) -> None:
    _iam(account).enable_mfa_device(request["userName"], request["serialNumber"], "123456", "654321")


def _create_function(account: str, request: Json, _: Json) -> None:
    _function(account, {"FunctionName": request["functionName"], "Role": request["role"]})


def _update_code(account: str, request: Json, _: Json) -> None:
    backend("lambda", account, REGION).update_function_code(request["functionName"], None, _OTHER_CODE)


def _run_instances(account: str, request: Json, answer: Json) -> None:
    for one in answer["instancesSet"]["items"]:
        _run(account, one["instanceId"], request.get("iamInstanceProfile", {}).get("arn", ""))


def _modify_instance(account: str, request: Json, _: Json) -> None:
    _ec2(account).modify_instance_attribute(request["instanceId"], "user_data", "changed")


def _create_snapshot(account: str, request: Json, answer: Json) -> None:
    _snapshot_of(account, answer["snapshotId"], request["volumeId"])


def _share_snapshot(account: str, request: Json, _: Json) -> None:
    added = [one["userId"] for one in request["createVolumePermission"]["add"]["items"]]
    _ec2(account).snapshots[request["snapshotId"]].create_volume_permission_userids.update(added)


def _share_image(account: str, request: Json, _: Json) -> None:
    added = [{"UserId": one["userId"]} for one in request["launchPermission"]["add"]["items"]]
    _ec2(account).amis[request["imageId"]].launch_permissions += added


def _import_key_pair(account: str, _: Json, answer: Json) -> None:
    made = KeyPair(answer["keyName"], "rsa", answer["keyFingerprint"], b"", b"", {}, _ec2(account))
    made.id = answer["keyPairId"]
    _ec2(account).key_pairs[made.key_name] = made


def _open_port(account: str, request: Json, answer: Json) -> None:
    rules = []
    for one in request["ipPermissions"]["items"]:
        ranges = [
            {"CidrIp": each["cidrIp"], "Description": each.get("description", "")} for each in one["ipRanges"]["items"]
        ]
        ports = (str(one["fromPort"]), str(one["toPort"]))
        added, _ = _ec2(account).authorize_security_group_ingress(request["groupId"], one["ipProtocol"], *ports, ranges)
        rules += added
    for rule, told in zip(rules, answer["securityGroupRuleSet"]["items"], strict=True):
        rule.id = told["securityGroupRuleId"]


def _put_bucket_policy(account: str, request: Json, _: Json) -> None:
    backend("s3", account).put_bucket_policy(request["bucketName"], json.dumps(request["bucketPolicy"]).encode())


def _schedule_deletion(account: str, request: Json, _: Json) -> None:
    key = request["keyId"].rpartition("/")[2]
    backend("kms", account, REGION).schedule_key_deletion(key, request["pendingWindowInDays"])


def _put_rule(account: str, request: Json, _: Json) -> None:
    when, state = request["scheduleExpression"], request["state"]
    backend("events", account, REGION).put_rule(request["name"], scheduled_expression=when, state=state)


_CALLS: dict[str, Callable[[str, Json, Json], None]] = {
    "iam:CreateUser": _create_user,
    "iam:CreateAccessKey": _create_access_key,
    "iam:CreateRole": _create_role,
    "iam:CreateLoginProfile": _create_login_profile,
    "iam:CreatePolicyVersion": _create_policy_version,
    "iam:AttachRolePolicy": lambda account, ask, _: _iam(account).attach_role_policy(ask["policyArn"], ask["roleName"]),
    "iam:UpdateAssumeRolePolicy": lambda account, ask, _: _iam(account).update_assume_role_policy(
        ask["roleName"], ask["policyDocument"]
    ),
    "iam:CreateSAMLProvider": lambda account, ask, _: _iam(account).create_saml_provider(
        ask["name"], ask["sAMLMetadataDocument"]
    ),
    "iam:CreateOpenIDConnectProvider": _create_oidc,
    "iam:EnableMFADevice": _enable_mfa,
    "lambda:CreateFunction20150331": _create_function,
    "lambda:UpdateFunctionCode20150331v2": _update_code,
    "ec2:RunInstances": _run_instances,
    "ec2:ModifyInstanceAttribute": _modify_instance,
    "ec2:CreateSnapshot": _create_snapshot,
    "ec2:ModifySnapshotAttribute": _share_snapshot,
    "ec2:DeleteSnapshot": lambda account, ask, _: _ec2(account).snapshots.pop(ask["snapshotId"]),
    "ec2:ModifyImageAttribute": _share_image,
    "ec2:ImportKeyPair": _import_key_pair,
    "ec2:AuthorizeSecurityGroupIngress": _open_port,
    "s3:PutBucketPolicy": _put_bucket_policy,
    "s3:DeleteBucketPublicAccessBlock": lambda account, ask, _: backend("s3", account).delete_public_access_block(
        ask["bucketName"]
    ),
    "kms:PutKeyPolicy": lambda account, ask, _: backend("kms", account, REGION).put_key_policy(
        ask["keyId"].rpartition("/")[2], ask["policy"]
    ),
    "kms:ScheduleKeyDeletion": _schedule_deletion,
    "events:PutRule": _put_rule,
    "cloudtrail:StopLogging": lambda account, ask, _: backend("cloudtrail", account, REGION).stop_logging(
        ask["name"].rpartition("/")[2]
    ),
    "guardduty:DeleteDetector": lambda account, ask, _: backend("guardduty", account, REGION).detectors.pop(
        ask["detectorId"]
    ),
}
