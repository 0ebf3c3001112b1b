"""Security Hub's findings in ASFF: failed controls of the accounts, and GuardDuty's findings as it imports them."""

import csv
import datetime as dt
import random
from functools import cache

from cirtlib.shipped import shipped
from cirtlib.training.guardduty import stamp
from cirtlib.training.identifiers import guid
from cirtlib.training.scenario import OPEN_PORT
from cirtlib.training.shapes import Json
from cirtlib.training.truth import Truth
from cirtlib.training.weaknesses import Check, leaked_key, open_port
from cirtlib.training.world import World

_FOUNDATIONS = "standards/aws-foundational-security-best-practices/v/1.0.0"


_SCORES = {"INFORMATIONAL": 0, "LOW": 1, "MEDIUM": 40, "HIGH": 70, "CRITICAL": 90}


def security_hub(world: World, truth: Truth, findings: list[Json], rng: random.Random) -> list[Json]:
    """Make the content of a GetFindings dump: controls first, then GuardDuty's findings."""
    imported = [_imported(item) for item in findings if "[SAMPLE]" not in item["title"]]
    weak = open_port(world, truth, rng) if world.scenario.way_in == OPEN_PORT else leaked_key(world)
    return [_control(world, check, rng) for check in weak] + imported


@cache
def _titles() -> dict[str, tuple[str, str]]:
    """Title and severity of each control."""
    with (shipped("scenarios") / "controls.tsv").open(encoding="utf-8", newline="") as file:
        return {row["control"]: (row["title"], row["severity"]) for row in csv.DictReader(file, delimiter="\t")}


def _control(world: World, check: Check, rng: random.Random) -> Json:
    account = check.account or world.workload
    region = check.region or (check.resource.split(":")[3] if check.kind.startswith("AwsEc2") else world.home)
    title, rated = _titles()[check.control]
    drawn = world.start - dt.timedelta(days=rng.randint(5, 200), seconds=rng.randrange(86400))
    first = check.first or drawn
    seen = world.start + dt.timedelta(days=world.scenario.attack.day, seconds=rng.randrange(4 * 3600))
    last = max(seen, first)
    identity = f"arn:aws:securityhub:{region}:{account}:security-control/{check.control}/finding/{guid(rng)}"
    label = "INFORMATIONAL" if check.passed else rated
    product = f"arn:aws:securityhub:{region}::product/aws/securityhub"
    types = ["Software and Configuration Checks/Industry and Regulatory Standards"]
    remedy = {
        "Text": "For information on how to correct this issue, consult the AWS Security Hub controls documentation.",
        "Url": f"https://docs.aws.amazon.com/console/securityhub/{check.control}/remediation",
    }
    resource: Json = {"Type": check.kind, "Id": check.resource, "Partition": "aws", "Region": region}
    if check.details:
        resource["Details"] = {check.kind: check.details}
    compliance = {"Status": "PASSED" if check.passed else "FAILED", "SecurityControlId": check.control}
    return {
        "SchemaVersion": "2018-10-08",
        "Id": identity,
        "ProductArn": product,
        "ProductName": "Security Hub",
        "CompanyName": "AWS",
        "Region": region,
        "GeneratorId": f"security-control/{check.control}",
        "AwsAccountId": account,
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
        "Resources": [resource],
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
