"""The API calls that people and programs make every day, with their requests as CloudTrail writes them."""

import json
import random
import re
from dataclasses import replace
from functools import cache
from typing import Any

from cirtlib.training.identifiers import alphanumeric
from cirtlib.training.shapes import Call, Json
from cirtlib.training.world import World

# service:Name -> request; {words} in it are drawn from what the account has. None is JSON null.
READS: dict[str, Any] = {
    "ec2:DescribeInstances": {"maxResults": 1000, "instancesSet": {}, "filterSet": {}},
    "ec2:DescribeInstanceStatus": {
        "instancesSet": {},
        "filterSet": {},
        "includeAllInstances": True,
        "maxResults": 1000,
    },
    "ec2:DescribeVolumes": {"maxResults": 1000, "volumeSet": {}, "filterSet": {}},
    "ec2:DescribeSnapshots": {
        "maxResults": 1000,
        "snapshotSet": {},
        "ownersSet": {"items": [{"owner": "self"}]},
        "sharedUsersSet": {},
        "filterSet": {},
    },
    "ec2:DescribeSecurityGroups": {
        "maxResults": 1000,
        "securityGroupSet": {},
        "securityGroupIdSet": {},
        "filterSet": {},
    },
    "ec2:DescribeVpcs": {"vpcSet": {}, "filterSet": {}},
    "ec2:DescribeSubnets": {"subnetSet": {}, "filterSet": {}},
    "ec2:DescribeRegions": {"regionSet": {}, "allRegions": True},
    "ec2:DescribeAvailabilityZones": {"availabilityZoneSet": {}, "availabilityZoneIdSet": {}},
    "ec2:DescribeImages": {
        "executableBySet": {},
        "imagesSet": {},
        "ownersSet": {"items": [{"owner": "self"}]},
        "filterSet": {},
    },
    "ec2:DescribeAddresses": {"publicIpsSet": {}, "filterSet": {}, "allocationIdsSet": {}},
    "ec2:DescribeRouteTables": {"routeTableIdSet": {}, "filterSet": {}},
    "ec2:DescribeTags": {"filterSet": {}},
    "ec2:DescribeKeyPairs": {"keySet": {}, "keyPairIdSet": {}, "filterSet": {}},
    "ec2:DescribeInstanceTypes": {"DescribeInstanceTypesRequest": {"MaxResults": 100}},
    "ec2:DescribeNetworkInterfaces": {"networkInterfaceIdSet": {}, "filterSet": {}},
    "ec2:DescribeInstanceAttribute": {"instanceId": "{instance}", "attribute": "userData"},
    "iam:ListUsers": None,
    "iam:ListRoles": {"maxItems": 1000},
    "iam:ListPolicies": {"scope": "Local", "onlyAttached": False},
    "iam:ListAccountAliases": None,
    "iam:ListGroups": None,
    "iam:GetAccountSummary": None,
    "iam:GetAccountPasswordPolicy": None,
    "iam:GetAccountAuthorizationDetails": {"maxItems": 100},
    "iam:GetUser": None,
    "iam:GetRole": {"roleName": "{role}"},
    "iam:ListAttachedRolePolicies": {"roleName": "{role}"},
    "iam:ListRolePolicies": {"roleName": "{role}"},
    "iam:ListAccessKeys": {"userName": "{user}"},
    "iam:ListMFADevices": {"userName": "{user}"},
    "iam:ListAttachedUserPolicies": {"userName": "{user}"},
    "iam:ListUserPolicies": {"userName": "{user}"},
    "iam:GetLoginProfile": {"userName": "{user}"},
    "iam:GetAccessKeyLastUsed": {"accessKeyId": "{key}"},
    "iam:GenerateCredentialReport": None,
    "iam:GetCredentialReport": None,
    "iam:SimulatePrincipalPolicy": None,
    "sts:GetCallerIdentity": None,
    "s3:ListBuckets": {"Host": "s3.{region}.amazonaws.com"},
    "s3:GetBucketLocation": {"bucketName": "{bucket}", "location": "", "Host": "{bucket}.s3.{region}.amazonaws.com"},
    "s3:GetBucketAcl": {"bucketName": "{bucket}", "Host": "{bucket}.s3.{region}.amazonaws.com", "acl": ""},
    "s3:GetBucketPolicy": {"bucketName": "{bucket}", "Host": "{bucket}.s3.{region}.amazonaws.com", "policy": ""},
    "s3:GetBucketVersioning": {
        "bucketName": "{bucket}",
        "Host": "{bucket}.s3.{region}.amazonaws.com",
        "versioning": "",
    },
    "s3:GetBucketEncryption": {
        "bucketName": "{bucket}",
        "Host": "{bucket}.s3.{region}.amazonaws.com",
        "encryption": "",
    },
    "s3:GetBucketPublicAccessBlock": {
        "publicAccessBlock": "",
        "bucketName": "{bucket}",
        "Host": "{bucket}.s3.{region}.amazonaws.com",
    },
    "lambda:ListFunctions20150331": None,
    "lambda:GetFunction20150331v2": {"functionName": "{function}"},
    "lambda:GetFunctionConfiguration20150331v2": {"functionName": "{function}"},
    "lambda:ListEventSourceMappings20150331": {"functionName": "{function}"},
    "lambda:GetAccountSettings20160819": None,
    "logs:DescribeLogGroups": {"limit": 50},
    "logs:DescribeLogStreams": {
        "logGroupName": "/aws/lambda/{function}",
        "orderBy": "LastEventTime",
        "descending": True,
        "limit": 50,
    },
    "logs:FilterLogEvents": {"logGroupName": "/aws/lambda/{function}", "limit": 100},
    "logs:GetLogEvents": {
        "logGroupName": "/aws/lambda/{function}",
        "logStreamName": "{stream}",
        "startFromHead": False,
    },
    "monitoring:DescribeAlarms": None,
    "monitoring:GetMetricData": None,
    "monitoring:ListDashboards": None,
    "monitoring:ListMetrics": {"namespace": "AWS/EC2"},
    "cloudtrail:DescribeTrails": {"includeShadowTrails": True, "trailNameList": []},
    "cloudtrail:GetTrailStatus": {"name": "{trail}"},
    "cloudtrail:GetEventSelectors": {"trailName": "{trail}"},
    "cloudtrail:LookupEvents": {"maxResults": 50},
    "cloudtrail:ListTrails": None,
    "secretsmanager:ListSecrets": {"maxResults": 100},
    "secretsmanager:DescribeSecret": {"secretId": "{secret}"},
    "ssm:DescribeInstanceInformation": {"maxResults": 50},
    "ssm:DescribeParameters": {"maxResults": 50},
    "ssm:GetParameter": {"name": "{parameter}", "withDecryption": False},
    "kms:ListAliases": None,
    "kms:ListKeys": {"limit": 100},
    "rds:DescribeDBInstances": None,
    "rds:DescribeDBSnapshots": None,
    "dynamodb:ListTables": {"limit": 100},
    "dynamodb:DescribeTable": {"tableName": "{table}"},
    "sqs:ListQueues": None,
    "sns:ListTopics": None,
    "cloudformation:ListStacks": None,
    "cloudformation:DescribeStacks": None,
    "autoscaling:DescribeAutoScalingGroups": {"maxRecords": 100},
    "elasticloadbalancing:DescribeLoadBalancers": {"pageSize": 400},
    "ce:GetCostAndUsage": {
        "timePeriod": {"start": "{month}", "end": "{today}"},
        "granularity": "DAILY",
        "metrics": ["UnblendedCost"],
        "groupBy": [{"type": "DIMENSION", "key": "SERVICE"}],
    },
    "organizations:ListAccounts": None,
    "organizations:DescribeOrganization": None,
    "guardduty:ListDetectors": None,
    "guardduty:ListFindings": {"detectorId": "{detector}", "maxResults": 50},
    "guardduty:GetFindings": {"detectorId": "{detector}", "findingIds": ["{finding}"]},
    "securityhub:GetFindings": {"MaxResults": 100},
    "config:DescribeConfigurationRecorders": None,
    "config:DescribeConfigRules": None,
    "health:DescribeEventAggregates": {
        "filter": {"eventTypeCategories": ["scheduledChange"], "eventStatusCodes": ["open", "upcoming"]},
        "aggregateField": "eventTypeCategory",
    },
    "notifications:ListNotificationEvents": {"maxResults": "10"},
    "glue:GetTables": {"databaseName": "analytics", "maxResults": 100},
    "glue:GetDatabases": {"maxResults": 100},
    "athena:ListWorkGroups": {"maxResults": 50},
    "athena:ListQueryExecutions": {"workGroup": "primary", "maxResults": 50},
    "ecr:DescribeRepositories": {"maxResults": 100},
    "servicequotas:ListServiceQuotas": {"serviceCode": "ec2", "maxResults": 100},
}

# What one page of the console asks for.
PAGES: dict[str, tuple[str, ...]] = {
    "home": ("health:DescribeEventAggregates", "notifications:ListNotificationEvents", "ce:GetCostAndUsage"),
    "ec2": ("ec2:DescribeInstances", "ec2:DescribeInstanceStatus", "ec2:DescribeTags", "ec2:DescribeAvailabilityZones"),
    "ec2-network": ("ec2:DescribeVpcs", "ec2:DescribeSubnets", "ec2:DescribeSecurityGroups", "ec2:DescribeRouteTables"),
    "ec2-storage": ("ec2:DescribeVolumes", "ec2:DescribeSnapshots", "ec2:DescribeTags"),
    "iam": ("iam:GetAccountSummary", "iam:ListAccountAliases", "iam:ListUsers", "iam:ListGroups"),
    "iam-role": ("iam:ListRoles", "iam:GetRole", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"),
    "iam-user": ("iam:ListUsers", "iam:ListAccessKeys", "iam:ListMFADevices", "iam:GetLoginProfile"),
    "s3": ("s3:ListBuckets", "s3:GetBucketLocation", "s3:GetBucketPublicAccessBlock"),
    "s3-bucket": ("s3:GetBucketVersioning", "s3:GetBucketAcl", "s3:GetBucketEncryption", "s3:GetBucketPolicy"),
    "lambda": ("lambda:ListFunctions20150331", "lambda:GetAccountSettings20160819", "monitoring:GetMetricData"),
    "lambda-function": ("lambda:GetFunction20150331v2", "lambda:ListEventSourceMappings20150331", "iam:GetRole"),
    "logs": ("logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:FilterLogEvents"),
    "alarms": ("monitoring:DescribeAlarms", "monitoring:ListDashboards", "monitoring:GetMetricData"),
    "billing": ("ce:GetCostAndUsage", "organizations:DescribeOrganization", "organizations:ListAccounts"),
    "glue": ("glue:GetDatabases", "glue:GetTables", "athena:ListWorkGroups", "athena:ListQueryExecutions"),
    "dynamodb": ("dynamodb:ListTables", "dynamodb:DescribeTable", "monitoring:GetMetricData"),
    "security": (
        "guardduty:ListDetectors",
        "guardduty:ListFindings",
        "guardduty:GetFindings",
        "securityhub:GetFindings",
    ),
    "trail": ("cloudtrail:DescribeTrails", "cloudtrail:GetTrailStatus", "cloudtrail:LookupEvents"),
    "secrets": ("secretsmanager:ListSecrets", "secretsmanager:DescribeSecret", "kms:ListAliases"),
    "stacks": ("cloudformation:ListStacks", "cloudformation:DescribeStacks"),
}
_GLOBAL = {"iam", "organizations", "ce", "health"}


def pools(world: World, account: str) -> dict[str, list[str]]:
    """List what an account has, by the words that requests use."""
    machines = [machine for machine in world.machines if machine.role.account == account]
    functions = [function for function in world.functions if function.role.account == account]
    roles = [role.name for role in (world.dev_role, world.door, world.bridge, *world.audit) if role.account == account]
    users = [user for user in world.console_users + world.key_users if user.account == account]
    months = [f"{world.start:%Y-%m}-01"]
    return {
        "instance": [machine.id for machine in machines] or ["i-0123456789abcdef0"],
        "volume": [machine.volume for machine in machines] or ["vol-0123456789abcdef0"],
        "role": roles + [function.role.name for function in functions] or ["OrganizationAccountAccessRole"],
        "user": [user.name for user in users] or ["breakglass"],
        "key": [user.key for user in users if user.key] or ["AKIAIOSFODNN7EXAMPLE"],
        "bucket": list(world.buckets[account]),
        "function": [function.name for function in functions] or ["org-notifier"],
        "stream": [f"{world.start:%Y/%m/%d}/[$LATEST]{world.keys[account][0].replace('-', '')}"],
        "trail": [world.trail(account)],
        "secret": [f"prod/{word}" for word in ("orders-db", "payments-api", "search")],
        "parameter": [f"/app/{word}" for word in ("feature-flags", "endpoint", "limits")],
        "table": ["orders", "sessions", "inventory"],
        "detector": [world.keys[account][1].replace("-", "")],
        "finding": [world.keys[account][2].replace("-", "")],
        "month": months,
        "today": [f"{world.start:%Y-%m-%d}"],
    }


def read(rng: random.Random, key: str, region: str, pool: dict[str, list[str]], *, account: str) -> Call:
    """Make one reading call of the catalogue."""
    service, name = key.split(":")
    where = "us-east-1" if service in _GLOBAL else region
    words = {word: rng.choice(pool[word]) for word in _words(key)} | {"region": where}
    request = fill(READS[key], words)
    if service == "s3":
        return s3_call(rng, name, where, request, account=account)
    return Call(service, name, where, request)


@cache
def _words(key: str) -> tuple[str, ...]:
    """Which of the account's things a request names."""
    return tuple(sorted(set(re.findall(r"{(\w+)}", json.dumps(READS[key]))) - {"region"}))


def fill(template: Any, words: dict[str, str]) -> Any:  # noqa: ANN401 (any JSON in, the same shape out)
    """Put words into the {places} of a template."""
    if isinstance(template, str):
        return template.format_map(words) if "{" in template else template
    if isinstance(template, dict):
        return {key: fill(value, words) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, words) for value in template]
    return template


def list_objects(rng: random.Random, bucket: str, region: str, *, account: str) -> Call:
    """S3 ListObjects, a data event: the trail must be told to record it."""
    request = {"list-type": "2", "bucketName": bucket, "Host": f"{bucket}.s3.{region}.amazonaws.com"}
    return _data_event(rng, "ListObjects", region, request, {"ARNPrefix": f"arn:aws:s3:::{bucket}/"}, account=account)


def get_object(rng: random.Random, bucket: str, key: str, region: str, *, account: str) -> Call:
    """S3 GetObject, a data event; how much left the bucket stands in additionalEventData."""
    request = {"bucketName": bucket, "Host": f"{bucket}.s3.{region}.amazonaws.com", "key": key}
    call = _data_event(rng, "GetObject", region, request, {"ARN": f"arn:aws:s3:::{bucket}/{key}"}, account=account)
    call.more["additionalEventData"]["bytesTransferredOut"] = rng.randrange(80_000, 90_000_000)
    return call


def _data_event(
    rng: random.Random, name: str, region: str, request: Json, what: dict[str, str], *, account: str
) -> Call:
    call = s3_call(rng, name, region, request, account=account)
    objects = {"type": "AWS::S3::Object", **what}
    return replace(call, more={**call.more, "eventCategory": "Data", "resources": [objects, *call.more["resources"]]})


def s3_call(rng: random.Random, name: str, region: str, request: Json, *, account: str) -> Call:
    """Make a call to S3, which adds how the request was signed, its size and the bucket."""
    bucket = request.get("bucketName")
    extra: dict[str, Any] = {
        "additionalEventData": {
            "SignatureVersion": "SigV4",
            "CipherSuite": "TLS_AES_128_GCM_SHA256",
            "bytesTransferredIn": 0,
            "AuthenticationMethod": "AuthHeader",
            "x-amz-id-2": alphanumeric(rng, 74) + "=",
            "bytesTransferredOut": rng.randrange(200, 9000),
        },
        "host": request.get("Host"),
    }
    if bucket:
        extra["resources"] = [{"accountId": account, "type": "AWS::S3::Bucket", "ARN": f"arn:aws:s3:::{bucket}"}]
    return Call("s3", name, region, request, more=extra)
