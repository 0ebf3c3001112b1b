"""Security Hub's findings in ASFF: failed controls of the accounts, and GuardDuty's findings as it imports them."""

import datetime as dt
import random
from dataclasses import dataclass

from cirtlib.training.identifiers import guid
from cirtlib.training.shapes import Json
from cirtlib.training.world import World

_FOUNDATIONS = "standards/aws-foundational-security-best-practices/v/1.0.0"


@dataclass(frozen=True)
class Check:
    """A control that checked one resource."""

    control: str
    title: str
    severity: str
    kind: str
    resource: str
    passed: bool = False


def security_hub(world: World, findings: list[Json], rng: random.Random) -> list[Json]:
    """Make the content of a GetFindings dump: controls first, then GuardDuty's findings."""
    imported = [_imported(item) for item in findings if "[SAMPLE]" not in item["title"]]
    return [_control(world, check, rng) for check in _checks(world)] + imported


def _checks(world: World) -> list[Check]:
    owner, role, account = world.key_users[0], world.dev_role, f"AWS::::Account:{world.workload}"
    trail, machine = world.trail(world.workload), world.machines[0]
    group = f"arn:aws:ec2:{machine.region}:{world.workload}:security-group/{machine.group}"
    instance = f"arn:aws:ec2:{machine.region}:{world.workload}:instance/{machine.id}"
    return [
        Check(
            "CloudTrail.1",
            "CloudTrail should be enabled and configured with at least one multi-Region trail that includes read and "
            "write management events",
            "HIGH",
            "AwsAccount",
            account,
        ),
        Check(
            "CloudTrail.2", "CloudTrail should have encryption at-rest enabled", "MEDIUM", "AwsCloudTrailTrail", trail
        ),
        Check(
            "CloudTrail.4",
            "CloudTrail log file validation should be enabled",
            "LOW",
            "AwsCloudTrailTrail",
            trail,
            passed=True,
        ),
        Check(
            "IAM.3", "IAM users' access keys should be rotated every 90 days or less", "MEDIUM", "AwsIamUser", owner.arn
        ),
        Check(
            "IAM.5",
            "MFA should be enabled for all IAM users that have a console password",
            "MEDIUM",
            "AwsIamUser",
            world.console_users[0].arn,
            passed=True,
        ),
        Check(
            "IAM.8", "Unused IAM user credentials should be removed", "MEDIUM", "AwsIamUser", world.key_users[-2].arn
        ),
        Check("IAM.2", "IAM users should not have IAM policies attached", "LOW", "AwsIamUser", owner.arn),
        Check(
            "IAM.21",
            "IAM customer managed policies that you create should not allow wildcard actions for services",
            "LOW",
            "AwsIamRole",
            role.arn,
        ),
        Check(
            "EC2.19",
            "Security groups should not allow unrestricted access to ports with high risk",
            "CRITICAL",
            "AwsEc2SecurityGroup",
            group,
        ),
        Check(
            "EC2.8",
            "EC2 instances should use Instance Metadata Service Version 2 (IMDSv2)",
            "HIGH",
            "AwsEc2Instance",
            instance.replace(machine.id, world.machines[1].id),
        ),
        Check("GuardDuty.1", "GuardDuty should be enabled", "HIGH", "AwsAccount", account, passed=True),
    ]


def _control(world: World, check: Check, rng: random.Random) -> Json:
    region = check.resource.split(":")[3] if check.kind.startswith("AwsEc2") else world.home
    first = world.start - dt.timedelta(days=rng.randint(5, 200), seconds=rng.randrange(86400))
    last = world.start + dt.timedelta(days=world.scenario.attack.day, seconds=rng.randrange(4 * 3600))
    identity = f"arn:aws:securityhub:{region}:{world.workload}:security-control/{check.control}/finding/{guid(rng)}"
    scores = {"LOW": 1, "MEDIUM": 40, "HIGH": 70, "CRITICAL": 90}
    severity = "INFORMATIONAL" if check.passed else check.severity
    remedy = f"https://docs.aws.amazon.com/console/securityhub/{check.control}/remediation"
    product = f"arn:aws:securityhub:{region}::product/aws/securityhub"
    types = ["Software and Configuration Checks/Industry and Regulatory Standards"]
    return {
        "SchemaVersion": "2018-10-08",
        "Id": identity,
        "ProductArn": product,
        "ProductName": "Security Hub",
        "CompanyName": "AWS",
        "Region": region,
        "GeneratorId": f"security-control/{check.control}",
        "AwsAccountId": world.workload,
        "Types": types,
        "FirstObservedAt": _stamp(first),
        "LastObservedAt": _stamp(last),
        "CreatedAt": _stamp(first),
        "UpdatedAt": _stamp(last),
        "Severity": {
            "Label": severity,
            "Normalized": 0 if check.passed else scores[check.severity],
            "Original": severity,
        },
        "Title": check.title,
        "Description": f"This control checks the following: {check.title[0].lower()}{check.title[1:]}.",
        "Remediation": {
            "Recommendation": {
                "Text": "To correct this issue, consult the AWS Security Hub controls documentation.",
                "Url": remedy,
            }
        },
        "ProductFields": {
            "Resources:0/Id": check.resource,
            "aws/securityhub/ProductName": "Security Hub",
            "aws/securityhub/CompanyName": "AWS",
            "aws/securityhub/FindingId": f"{product}/{identity}",
        },
        "Resources": [{"Type": check.kind, "Id": check.resource, "Partition": "aws", "Region": region}],
        "Compliance": {
            "Status": "PASSED" if check.passed else "FAILED",
            "SecurityControlId": check.control,
            "AssociatedStandards": [{"StandardsId": _FOUNDATIONS}],
        },
        "WorkflowState": "NEW",
        "Workflow": {"Status": "RESOLVED" if check.passed else "NEW"},
        "RecordState": "ACTIVE",
        "FindingProviderFields": {"Severity": {"Label": severity, "Original": severity}, "Types": types},
    }


def _imported(finding: Json) -> Json:
    """Turn a GuardDuty finding into ASFF as Security Hub does when it imports one."""
    service, arn, region = finding["service"], finding["arn"], finding["region"]
    severity = float(finding["severity"])
    label = "LOW" if severity < 4 else "MEDIUM" if severity < 7 else "HIGH"
    archived = service["archived"]
    product = f"arn:aws:securityhub:{region}::product/aws/guardduty"
    prefix = "aws/guardduty/service"
    types = [f"TTPs/{finding['type'].split(':')[0]}/{finding['type'].replace(':', '-', 1)}"]
    return {
        "SchemaVersion": "2018-10-08",
        "Id": arn,
        "ProductArn": product,
        "ProductName": "GuardDuty",
        "CompanyName": "Amazon",
        "Region": region,
        "GeneratorId": arn.rsplit("/finding/", 1)[0],
        "AwsAccountId": finding["accountId"],
        "Types": types,
        "FirstObservedAt": service["eventFirstSeen"],
        "LastObservedAt": service["eventLastSeen"],
        "CreatedAt": finding["createdAt"],
        "UpdatedAt": finding["updatedAt"],
        "Severity": {"Product": severity, "Label": label, "Normalized": int(severity * 10)},
        "Title": finding["title"],
        "Description": finding["description"],
        "SourceUrl": f"https://{region}.console.aws.amazon.com/guardduty/home?region={region}#/findings?fId={finding['id']}",
        "ProductFields": _flat(service["action"], f"{prefix}/action")
        | {
            f"{prefix}/archived": str(archived).lower(),
            f"{prefix}/count": str(service["count"]),
            f"{prefix}/detectorId": service["detectorId"],
            f"{prefix}/eventFirstSeen": service["eventFirstSeen"],
            f"{prefix}/eventLastSeen": service["eventLastSeen"],
            f"{prefix}/resourceRole": service["resourceRole"],
            f"{prefix}/serviceName": "guardduty",
            "aws/securityhub/FindingId": f"{product}/{arn}",
            "aws/securityhub/ProductName": "GuardDuty",
            "aws/securityhub/CompanyName": "Amazon",
        },
        "Resources": [_resource(finding)],
        "WorkflowState": "NEW",
        "Workflow": {"Status": "NEW"},
        "RecordState": "ARCHIVED" if archived else "ACTIVE",
        "FindingProviderFields": {"Severity": {"Label": label}, "Types": types},
    }


def _resource(finding: Json) -> Json:
    resource, account, region = finding["resource"], finding["accountId"], finding["region"]
    if resource["resourceType"] == "Instance":
        details = resource["instanceDetails"]
        card = details["networkInterfaces"][0]
        body = {
            "Type": details["instanceType"],
            "ImageId": details["imageId"],
            "IpV4Addresses": [card["privateIpAddress"]],
            "VpcId": card["vpcId"],
            "SubnetId": card["subnetId"],
            "LaunchedAt": details["launchTime"],
        }
        identity = f"arn:aws:ec2:{region}:{account}:instance/{details['instanceId']}"
        where = {"Partition": "aws", "Region": region}
        return {"Type": "AwsEc2Instance", "Id": identity, **where, "Details": {"AwsEc2Instance": body}}
    key = resource["accessKeyDetails"]
    body = {
        "PrincipalId": key["principalId"],
        "PrincipalName": key["userName"],
        "PrincipalType": key["userType"],
    }
    return {
        "Type": "AwsIamAccessKey",
        "Id": f"AWS::IAM::AccessKey:{key['accessKeyId']}",
        "Partition": "aws",
        "Region": region,
        "Details": {"AwsIamAccessKey": body},
    }


def _flat(value: object, path: str) -> dict[str, str]:
    """Flatten a tree into the path/to/leaf texts of ProductFields."""
    if isinstance(value, dict):
        return {key: text for name, item in value.items() for key, text in _flat(item, f"{path}/{name}").items()}
    if isinstance(value, list):
        return {key: text for index, item in enumerate(value) for key, text in _flat(item, f"{path}.{index}_").items()}
    return {path: str(value).lower() if isinstance(value, bool) else str(value)}


def _stamp(at: dt.datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
