"""The calls that change an account, with requests and answers as CloudTrail writes them."""

import datetime as dt
import json
import random
from dataclasses import dataclass
from urllib.parse import quote

from cirtlib.training.identifiers import alphanumeric, ec2_id, guid, hexadecimal
from cirtlib.training.shapes import Call, Json, iam_date
from cirtlib.training.world import Role

HOME = "us-east-1"  # IAM records its calls there, whatever the caller's Region


def document(policy: Json) -> str:
    """Write a policy the way people hand it over: as indented JSON text."""
    return json.dumps(policy, indent=2)


def create_user(account: str, name: str, user_id: str, at: dt.datetime, *, tags: Json | None = None) -> Call:
    """Iam CreateUser."""
    request: Json = {"userName": name}
    user: Json = {"path": "/", "userName": name, "userId": user_id, "arn": f"arn:aws:iam::{account}:user/{name}"}
    user["createDate"] = iam_date(at)
    if tags:
        pairs = [{"key": key, "value": value} for key, value in tags.items()]
        request["tags"] = pairs
        user["tags"] = pairs
    return Call("iam", "CreateUser", HOME, request, {"user": user}, read_only=False)


def create_access_key(name: str, key: str, at: dt.datetime) -> Call:
    """Iam CreateAccessKey; the secret is not logged."""
    answer = {"accessKeyId": key, "userName": name, "status": "Active", "createDate": iam_date(at)}
    return Call("iam", "CreateAccessKey", HOME, {"userName": name}, {"accessKey": answer}, read_only=False)


def create_login_profile(name: str, at: dt.datetime) -> Call:
    """Iam CreateLoginProfile: a password for the console, which is not logged."""
    answer = {"userName": name, "createDate": iam_date(at), "passwordResetRequired": False}
    request = {"userName": name, "passwordResetRequired": False}
    return Call("iam", "CreateLoginProfile", HOME, request, {"loginProfile": answer}, read_only=False)


def delete_user(name: str) -> Call:
    """Iam DeleteUser."""
    return Call("iam", "DeleteUser", HOME, {"userName": name}, read_only=False)


def attach_user_policy(name: str, policy: str) -> Call:
    """Iam AttachUserPolicy."""
    return Call("iam", "AttachUserPolicy", HOME, {"userName": name, "policyArn": policy}, read_only=False)


def put_user_policy(name: str, policy_name: str, policy: Json) -> Call:
    """Iam PutUserPolicy."""
    request = {"userName": name, "policyName": policy_name, "policyDocument": document(policy)}
    return Call("iam", "PutUserPolicy", HOME, request, read_only=False)


def attach_role_policy(name: str, policy: str) -> Call:
    """Iam AttachRolePolicy."""
    return Call("iam", "AttachRolePolicy", HOME, {"roleName": name, "policyArn": policy}, read_only=False)


def put_role_policy(name: str, policy_name: str, policy: Json) -> Call:
    """Iam PutRolePolicy."""
    request = {"roleName": name, "policyName": policy_name, "policyDocument": document(policy)}
    return Call("iam", "PutRolePolicy", HOME, request, read_only=False)


def create_role(role: Role, at: dt.datetime, *, description: str) -> Call:
    """Iam CreateRole; the answer holds the trust policy URL-encoded."""
    text = document(role.trust)
    request = {"roleName": role.name, "description": description, "assumeRolePolicyDocument": text}
    if role.path != "/":
        request = {"path": role.path} | request
    answer = {
        "path": role.path,
        "roleName": role.name,
        "roleId": role.id,
        "arn": role.arn,
        "createDate": iam_date(at),
        "assumeRolePolicyDocument": quote(text, safe=""),
    }
    return Call("iam", "CreateRole", HOME, request, {"role": answer}, read_only=False)


def update_trust(name: str, policy: Json) -> Call:
    """Iam UpdateAssumeRolePolicy."""
    request = {"roleName": name, "policyDocument": document(policy)}
    return Call("iam", "UpdateAssumeRolePolicy", HOME, request, read_only=False)


def stop_logging(name: str, region: str) -> Call:
    """Cloudtrail StopLogging; callers give a trail's name or its ARN."""
    return Call("cloudtrail", "StopLogging", region, {"name": name}, read_only=False)


def start_logging(name: str, region: str) -> Call:
    """Cloudtrail StartLogging."""
    return Call("cloudtrail", "StartLogging", region, {"name": name}, read_only=False)


def validate_files(arn: str, bucket: str, region: str) -> Call:
    """Cloudtrail UpdateTrail: digest files from now on."""
    request = {"name": arn, "enableLogFileValidation": True}
    answer = {
        "name": arn.rsplit("/", 1)[1],
        "s3BucketName": bucket,
        "includeGlobalServiceEvents": True,
        "isMultiRegionTrail": True,
        "trailARN": arn,
        "logFileValidationEnabled": True,
        "isOrganizationTrail": False,
    }
    return Call("cloudtrail", "UpdateTrail", region, request, answer, read_only=False)


@dataclass(frozen=True)
class NewSnapshot:
    """A snapshot about to be made."""

    id: str
    volume: str
    account: str
    description: str


def create_snapshot(new: NewSnapshot, region: str, at: dt.datetime) -> Call:
    """Ec2 CreateSnapshot."""
    request = {"volumeId": new.volume, "description": new.description}
    answer = {
        "requestId": _request_id(new.id),
        "snapshotId": new.id,
        "volumeId": new.volume,
        "status": "pending",
        "startTime": int(at.timestamp() * 1000),
        "ownerId": new.account,
        "volumeSize": "80",
        "description": new.description,
        "encrypted": False,
    }
    return Call("ec2", "CreateSnapshot", region, request, answer, read_only=False)


def delete_snapshot(snapshot: str, region: str) -> Call:
    """Ec2 DeleteSnapshot."""
    answer = {"requestId": _request_id(snapshot), "_return": True}
    return Call("ec2", "DeleteSnapshot", region, {"snapshotId": snapshot, "force": False}, answer, read_only=False)


def share_snapshot(snapshot: str, region: str, account: str) -> Call:
    """Ec2 ModifySnapshotAttribute: another account may make volumes of the snapshot."""
    request = {
        "snapshotId": snapshot,
        "createVolumePermission": {"add": {"items": [{"userId": account}]}},
        "attributeType": "CREATE_VOLUME_PERMISSION",
    }
    answer = {"requestId": _request_id(snapshot), "_return": True}
    return Call("ec2", "ModifySnapshotAttribute", region, request, answer, read_only=False)


def start_stop(instance: str, region: str, *, stop: bool) -> Call:
    """Ec2 StopInstances or StartInstances."""
    items = {"instancesSet": {"items": [{"instanceId": instance}]}}
    now, before = ((64, "stopping"), (16, "running")) if stop else ((0, "pending"), (80, "stopped"))
    change = {
        "instanceId": instance,
        "currentState": {"code": now[0], "name": now[1]},
        "previousState": {"code": before[0], "name": before[1]},
    }
    answer = {"requestId": _request_id(instance), "instancesSet": {"items": [change]}}
    request = items | {"force": False} if stop else items
    return Call("ec2", "StopInstances" if stop else "StartInstances", region, request, answer, read_only=False)


def create_tags(resource: str, region: str, tags: dict[str, str]) -> Call:
    """Ec2 CreateTags."""
    request = {
        "resourcesSet": {"items": [{"resourceId": resource}]},
        "tagSet": {"items": [{"key": key, "value": value} for key, value in tags.items()]},
    }
    answer = {"requestId": _request_id(resource), "_return": True}
    return Call("ec2", "CreateTags", region, request, answer, read_only=False)


@dataclass(frozen=True)
class Launch:
    """Instances about to be started in the default VPC of the Region; `profile` is an instance profile's ARN."""

    region: str
    account: str
    image: str
    kind: str
    instances: tuple[str, ...]
    key_name: str | None = None
    group: str | None = None
    profile: str | None = None


def run_instances(rng: random.Random, launch: Launch, at: dt.datetime) -> Call:
    """Ec2 RunInstances."""
    count, token = len(launch.instances), guid(rng)
    request: Json = {
        "instancesSet": {"items": [{"imageId": launch.image, "minCount": count, "maxCount": count}]},
        "instanceType": launch.kind,
        "blockDeviceMapping": {},
        "monitoring": {"enabled": False},
        "disableApiTermination": False,
        "disableApiStop": False,
        "clientToken": token,
    }
    if launch.key_name:
        request["instancesSet"]["items"][0]["keyName"] = launch.key_name
    if launch.group:
        request["groupSet"] = {"items": [{"groupId": launch.group}]}
    if launch.profile:
        request["iamInstanceProfile"] = {"arn": launch.profile}
    network = {"subnetId": ec2_id(rng, "subnet"), "vpcId": ec2_id(rng, "vpc")}
    network["groupId"] = launch.group or ec2_id(rng, "sg")
    items = [_launched(rng, launch, index, at, network) | {"clientToken": token} for index in range(count)]
    answer = {
        "requestId": guid(rng),
        "reservationId": "r-0" + hexadecimal(rng, 16),
        "ownerId": launch.account,
        "groupSet": {},
        "instancesSet": {"items": items},
    }
    return Call("ec2", "RunInstances", launch.region, request, answer, read_only=False)


def _launched(rng: random.Random, launch: Launch, index: int, at: dt.datetime, network: dict[str, str]) -> Json:
    """One instance in the answer of RunInstances."""
    address = f"172.31.{rng.randrange(0, 48)}.{rng.randrange(4, 250)}"
    groups = {"items": [{"groupId": network["groupId"], "groupName": "default"}]}
    where = {"subnetId": network["subnetId"], "vpcId": network["vpcId"]}
    card = {
        "networkInterfaceId": ec2_id(rng, "eni"),
        **where,
        "ownerId": launch.account,
        "status": "in-use",
        "macAddress": "06:" + ":".join(hexadecimal(rng, 2) for _ in range(5)),
        "privateIpAddress": address,
        "sourceDestCheck": True,
        "interfaceType": "interface",
        "groupSet": groups,
    }
    chosen: Json = {"keyName": launch.key_name} if launch.key_name else {}
    if launch.profile:
        chosen["iamInstanceProfile"] = {"arn": launch.profile}
    return {
        "instanceId": launch.instances[index],
        "imageId": launch.image,
        "bootMode": "uefi-preferred",
        "currentInstanceBootMode": "uefi",
        "instanceState": {"code": 0, "name": "pending"},
        "privateDnsName": f"ip-{address.replace('.', '-')}.{launch.region}.compute.internal",
        "amiLaunchIndex": index,
        "productCodes": {},
        "instanceType": launch.kind,
        "launchTime": int(at.timestamp() * 1000),
        "placement": {"availabilityZone": f"{launch.region}a", "tenancy": "default"},
        "monitoring": {"state": "disabled"},
        **where,
        "privateIpAddress": address,
        "stateReason": {"code": "pending", "message": "pending"},
        "architecture": "x86_64",
        "rootDeviceType": "ebs",
        "rootDeviceName": "/dev/xvda",
        "blockDeviceMapping": {},
        "virtualizationType": "hvm",
        "hypervisor": "xen",
        "clientToken": "",
        "groupSet": groups,
        "sourceDestCheck": True,
        "networkInterfaceSet": {"items": [card]},
        "ebsOptimized": False,
        "enaSupport": True,
        "cpuOptions": {"coreCount": 16, "threadsPerCore": 2},
        "capacityReservationSpecification": {"capacityReservationPreference": "open"},
        "enclaveOptions": {"enabled": False},
        "metadataOptions": {"state": "pending", "httpTokens": "required", "httpPutResponseHopLimit": 2},
        "maintenanceOptions": {"autoRecovery": "default"},
        **chosen,
    }


def authorize_ingress(rng: random.Random, group_arn: str, port: int, *, why: str) -> Call:
    """Ec2 AuthorizeSecurityGroupIngress: let the whole internet reach a port."""
    region, account, group = group_arn.split(":")[3], group_arn.split(":")[4], group_arn.rsplit("/", 1)[1]
    ports = {"ipProtocol": "tcp", "fromPort": port, "toPort": port}
    everyone = {"items": [{"cidrIp": "0.0.0.0/0", "description": why}]}
    permission = {**ports, "groups": {}, "ipRanges": everyone, "ipv6Ranges": {}, "prefixListIds": {}}
    rule = {
        "groupOwnerId": account,
        "groupId": group,
        "securityGroupRuleId": ec2_id(rng, "sgr"),
        "description": why,
        "isEgress": False,
        **ports,
        "cidrIpv4": "0.0.0.0/0",
    }
    request = {"groupId": group, "ipPermissions": {"items": [permission]}}
    answer = {"requestId": guid(rng), "_return": True, "securityGroupRuleSet": {"items": [rule]}}
    return Call("ec2", "AuthorizeSecurityGroupIngress", region, request, answer, read_only=False)


def create_group(rng: random.Random, region: str, name: str, group: str) -> Call:
    """Ec2 CreateSecurityGroup in a VPC of the Region."""
    request = {"groupName": name, "groupDescription": name, "vpcId": ec2_id(rng, "vpc")}
    answer = {"requestId": guid(rng), "_return": True, "groupId": group}
    return Call("ec2", "CreateSecurityGroup", region, request, answer, read_only=False)


def add_key_pair(rng: random.Random, region: str, name: str, identity: str, *, imported: bool) -> Call:
    """Ec2 ImportKeyPair or CreateKeyPair; key material is not logged."""
    print_of = ":".join(hexadecimal(rng, 2) for _ in range(16 if imported else 20))
    pair = {"keyName": name, "keyFingerprint": print_of, "keyPairId": identity}
    if imported:
        request = {"keyName": name, "publicKeyMaterial": alphanumeric(rng, 120)}
        return Call("ec2", "ImportKeyPair", region, request, {"requestId": guid(rng), **pair}, read_only=False)
    answer = {"requestId": guid(rng), **pair, "keyMaterial": "<sensitiveDataRemoved>"}
    request = {"keyName": name, "keyType": "rsa", "keyFormat": "pem"}
    return Call("ec2", "CreateKeyPair", region, request, answer, read_only=False)


def get_secret(secret: str, region: str) -> Call:
    """Secretsmanager GetSecretValue; the value is not logged."""
    return Call("secretsmanager", "GetSecretValue", region, {"secretId": secret})


def decrypt(key_arn: str, region: str, context: Json) -> Call:
    """Kms Decrypt, as a service makes it on behalf of its caller."""
    resources = [{"accountId": key_arn.split(":")[4], "type": "AWS::KMS::Key", "ARN": key_arn}]
    request = {"encryptionContext": context, "encryptionAlgorithm": "SYMMETRIC_DEFAULT"}
    return Call("kms", "Decrypt", region, request, more={"resources": resources})


def create_log_stream(rng: random.Random, function: str, region: str, at: dt.datetime) -> Call:
    """Logs CreateLogStream, the first thing a Lambda function's new environment does."""
    request = {
        "logGroupName": f"/aws/lambda/{function}",
        "logStreamName": f"{at:%Y/%m/%d}/[$LATEST]{hexadecimal(rng, 32)}",
    }
    return Call("logs", "CreateLogStream", region, request, read_only=False)


def update_code(rng: random.Random, function_arn: str, role_arn: str, at: dt.datetime) -> Call:
    """Lambda UpdateFunctionCode, whose name carries the version of the API."""
    region, name = function_arn.split(":")[3], function_arn.rsplit(":", 1)[1]
    answer = {
        "functionName": name,
        "functionArn": function_arn,
        "runtime": "python3.13",
        "role": role_arn,
        "handler": "app.handler",
        "codeSize": rng.randrange(20000, 900000),
        "description": "",
        "timeout": 30,
        "memorySize": 256,
        "lastModified": f"{at:%Y-%m-%dT%H:%M:%S}.000+0000",
        "codeSha256": alphanumeric(rng, 43) + "=",
        "version": "$LATEST",
        "tracingConfig": {"mode": "PassThrough"},
        "revisionId": guid(rng),
        "state": "Active",
        "lastUpdateStatus": "InProgress",
        "packageType": "Zip",
        "architectures": ["x86_64"],
        "ephemeralStorage": {"size": 512},
        "snapStart": {"applyOn": "None", "optimizationStatus": "Off"},
        "runtimeVersionConfig": {"runtimeVersionArn": f"arn:aws:lambda:{region}::runtime:{hexadecimal(rng, 64)}"},
        "loggingConfig": {"logFormat": "Text", "logGroup": f"/aws/lambda/{name}"},
    }
    account = function_arn.split(":")[4]
    request = {
        "fullyQualifiedArn": {
            "arnPrefix": {"partition": "aws", "region": region, "account": account},
            "relativeId": {"functionName": name},
            "functionQualifier": {},
        },
        "functionName": name,
        "publish": False,
        "dryRun": False,
    }
    return Call("lambda", "UpdateFunctionCode20150331v2", region, request, answer, read_only=False)


def _request_id(seed: str) -> str:
    """Derive a requestId; EC2 repeats it in its answer."""
    return guid(random.Random(seed))  # noqa: S311 (an identifier, not a secret)
