"""Security Hub's findings in ASFF: failed controls of the accounts, and GuardDuty's findings as it imports them."""

import datetime as dt
import random
from dataclasses import dataclass

from cirtlib.training.guardduty import stamp
from cirtlib.training.identifiers import guid
from cirtlib.training.shapes import Json
from cirtlib.training.world import World

_FOUNDATIONS = "standards/aws-foundational-security-best-practices/v/1.0.0"


_CONTROLS = {
    "CloudTrail.1": (
        (
            "CloudTrail should be enabled and configured with at least one multi-Region trail that includes read and "
            "write management events"
        ),
        "HIGH",
    ),
    "CloudTrail.2": ("CloudTrail should have encryption at-rest enabled", "MEDIUM"),
    "CloudTrail.4": ("CloudTrail log file validation should be enabled", "LOW"),
    "EC2.8": ("EC2 instances should use Instance Metadata Service Version 2 (IMDSv2)", "HIGH"),
    "EC2.19": ("Security groups should not allow unrestricted access to ports with high risk", "CRITICAL"),
    "GuardDuty.1": ("GuardDuty should be enabled", "HIGH"),
    "IAM.1": ('IAM policies should not allow full "*" administrative privileges', "HIGH"),
    "IAM.2": ("IAM users should not have IAM policies attached", "LOW"),
    "IAM.3": ("IAM users' access keys should be rotated every 90 days or less", "MEDIUM"),
    "IAM.5": ("MFA should be enabled for all IAM users that have a console password", "MEDIUM"),
    "IAM.8": ("Unused IAM user credentials should be removed", "MEDIUM"),
}
_SCORES = {"INFORMATIONAL": 0, "LOW": 1, "MEDIUM": 40, "HIGH": 70, "CRITICAL": 90}


@dataclass(frozen=True)
class Check:
    """A control that checked one resource."""

    control: str
    kind: str
    resource: str
    passed: bool = False


def security_hub(world: World, findings: list[Json], rng: random.Random) -> list[Json]:
    """Make the content of a GetFindings dump: controls first, then GuardDuty's findings."""
    imported = [_imported(item) for item in findings if "[SAMPLE]" not in item["title"]]
    return [_control(world, check, rng) for check in _checks(world)] + imported


def _checks(world: World) -> list[Check]:
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
        Check("IAM.5", "AwsIamUser", world.console_users[0].arn, passed=True),
        Check("IAM.8", "AwsIamUser", world.key_users[-2].arn),
        Check("EC2.19", "AwsEc2SecurityGroup", group),
        Check("EC2.8", "AwsEc2Instance", f"arn:aws:ec2:{weak.region}:{world.workload}:instance/{weak.id}"),
        Check("GuardDuty.1", "AwsAccount", account, passed=True),
    ]


def _control(world: World, check: Check, rng: random.Random) -> Json:
    region = check.resource.split(":")[3] if check.kind.startswith("AwsEc2") else world.home
    title, rated = _CONTROLS[check.control]
    first = world.start - dt.timedelta(days=rng.randint(5, 200), seconds=rng.randrange(86400))
    last = world.start + dt.timedelta(days=world.scenario.attack.day, seconds=rng.randrange(4 * 3600))
    identity = f"arn:aws:securityhub:{region}:{world.workload}:security-control/{check.control}/finding/{guid(rng)}"
    label = "INFORMATIONAL" if check.passed else rated
    product = f"arn:aws:securityhub:{region}::product/aws/securityhub"
    types = ["Software and Configuration Checks/Industry and Regulatory Standards"]
    remedy = {
        "Text": "For information on how to correct this issue, consult the AWS Security Hub controls documentation.",
        "Url": f"https://docs.aws.amazon.com/console/securityhub/{check.control}/remediation",
    }
    compliance = {"Status": "PASSED" if check.passed else "FAILED", "SecurityControlId": check.control}
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
        "FirstObservedAt": stamp(first),
        "LastObservedAt": stamp(last),
        "CreatedAt": stamp(first),
        "UpdatedAt": stamp(last),
        "Severity": {"Label": label, "Normalized": _SCORES[label], "Original": label},
        "Title": title,
        "Description": f"This control checks the following: {title[0].lower()}{title[1:]}.",
        "Remediation": {"Recommendation": remedy},
        "ProductFields": {
            "Resources:0/Id": check.resource,
            "aws/securityhub/ProductName": "Security Hub",
            "aws/securityhub/CompanyName": "AWS",
            "aws/securityhub/FindingId": f"{product}/{identity}",
        },
        "Resources": [{"Type": check.kind, "Id": check.resource, "Partition": "aws", "Region": region}],
        "Compliance": compliance | {"AssociatedStandards": [{"StandardsId": _FOUNDATIONS}]},
        "WorkflowState": "NEW",
        "Workflow": {"Status": "RESOLVED" if check.passed else "NEW"},
        "RecordState": "ACTIVE",
        "FindingProviderFields": {"Severity": {"Label": label, "Original": label}, "Types": types},
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
