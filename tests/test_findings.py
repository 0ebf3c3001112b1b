"""Findings of every form become rows of one table."""

import json
from collections import Counter
from datetime import UTC, datetime

import pytest

from cirtlib import findings

ARN = "arn:aws:guardduty:us-east-1:111122223333:detector/d1/finding/f1"


def guardduty(**changes):
    return {
        "schemaVersion": "2.0",
        "accountId": "111122223333",
        "region": "us-east-1",
        "arn": ARN,
        "id": "f1",
        "type": "Stealth:IAMUser/CloudTrailLoggingDisabled",
        "title": "AWS CloudTrail trail was disabled.",
        "severity": 2,
        "createdAt": "2026-06-10T10:11:00.500Z",
        "updatedAt": "2026-06-10T10:12:00Z",
        "resource": {
            "resourceType": "AccessKey",
            "accessKeyDetails": {
                "accessKeyId": "ASIAEXAMPLE000000001",
                "principalId": "AROAEXAMPLE000000001:session",
                "userName": "devRole",
                "userType": "AssumedRole",
            },
        },
        "service": {
            "serviceName": "guardduty",
            "detectorId": "d1",
            "count": 3,
            "archived": False,
            "eventFirstSeen": "2026-06-10T10:00:00Z",
            "eventLastSeen": "2026-06-10T10:05:00Z",
            "additionalInfo": {"value": '{"sample": false}', "type": "default"},
            "action": {
                "actionType": "AWS_API_CALL",
                "awsApiCallAction": {
                    "api": "StopLogging",
                    "serviceName": "cloudtrail.amazonaws.com",
                    "userAgent": "<b>aws-cli</b>",
                    "remoteIpDetails": {"ipAddressV4": "203.0.113.7"},
                    "affectedResources": {
                        "AWS::CloudTrail::Trail": "arn:aws:cloudtrail:us-east-1:111122223333:trail/org"
                    },
                },
            },
        },
        **changes,
    }


def pascal(node):
    if isinstance(node, dict):
        return {key if "::" in key else key[:1].upper() + key[1:]: pascal(value) for key, value in node.items()}
    return node


def asff(**changes):
    return {
        "SchemaVersion": "2018-10-08",
        "Id": "arn:aws:securityhub:us-east-1:111122223333:security-control/EC2.19/finding/1",
        "ProductArn": "arn:aws:securityhub:us-east-1::product/aws/securityhub",
        "ProductName": "Security Hub",
        "GeneratorId": "security-control/EC2.19",
        "AwsAccountId": "111122223333",
        "Region": "us-east-1",
        "Types": ["Software and Configuration Checks/Industry and Regulatory Standards"],
        "CreatedAt": "2026-06-01T00:00:00.000Z",
        "UpdatedAt": "2026-06-02T00:00:00.000Z",
        "Severity": {"Label": "HIGH", "Normalized": 70},
        "Title": "Security groups should not allow unrestricted access to ports with high risk",
        "Resources": [{"Type": "AwsEc2SecurityGroup", "Id": "arn:aws:ec2:us-east-1:111122223333:security-group/sg-1"}],
        "Compliance": {"Status": "FAILED", "SecurityControlId": "EC2.19"},
        "Workflow": {"Status": "SUPPRESSED"},
        "RecordState": "ACTIVE",
        **changes,
    }


def one(document):
    (row,) = findings.rows(document)
    assert tuple(row) == findings.COLUMNS
    return row


def test_a_guardduty_finding_gives_its_pivots_whatever_the_case_of_its_names():
    """The export form and the GetFindings form give the same row, details aside."""
    camel, upper = one(guardduty()), one(pascal(guardduty()))
    assert {**camel, "details": ""} == {**upper, "details": ""}
    assert camel["finding_id"] == ARN
    assert camel["severity_label"] == "LOW"
    assert (camel["access_key_id"], camel["principal_name"]) == ("ASIAEXAMPLE000000001", "devRole")
    assert (camel["api_name"], camel["api_service"]) == ("StopLogging", "cloudtrail.amazonaws.com")
    assert camel["remote_ips"] == ["203.0.113.7"]
    assert camel["resource_ids"] == ["arn:aws:cloudtrail:us-east-1:111122223333:trail/org"]
    assert camel["first_seen"] == datetime(2026, 6, 10, 10, tzinfo=UTC)
    assert camel["user_agent"] == "<b>aws-cli</b>"
    assert (camel["count"], camel["archived"], camel["sample"]) == (3, False, False)


@pytest.mark.parametrize(
    "wrapped",
    [
        [guardduty()],
        {"Findings": [pascal(guardduty())]},
        {"source": "aws.guardduty", "detail-type": "GuardDuty Finding", "detail": guardduty()},
        {"source": "aws.guardduty", "detail": pascal(guardduty())},
        {"source": "aws.securityhub", "detail": {"findings": [guardduty()]}},
    ],
    ids=["list", "GetFindings", "EventBridge", "EventBridge with PascalCase", "findings in detail"],
)
def test_containers_are_opened(wrapped):
    """A finding is found in every container it is delivered in."""
    assert one(wrapped)["finding_id"] == ARN
    assert findings.is_finding(wrapped)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1781085600.25, datetime(2026, 6, 10, 10, 0, 0, 250000, tzinfo=UTC)),
        (1781085600250, datetime(2026, 6, 10, 10, 0, 0, 250000, tzinfo=UTC)),
        ("1781085600.25", datetime(2026, 6, 10, 10, 0, 0, 250000, tzinfo=UTC)),
        ("2026-06-10 15:30:00+05:30", datetime(2026, 6, 10, 10, tzinfo=UTC)),
        ("2026-06-10 10:00:00.000000000", datetime(2026, 6, 10, 10, tzinfo=UTC)),
        ("yesterday", None),
        (1e300, None),
        (True, None),
        ({}, None),
    ],
)
def test_times_of_every_kind_are_utc(value, expected):
    """Epoch floats, milliseconds, offsets and ISO text give aware UTC; what is no time gives None."""
    assert one(guardduty(createdAt=value))["created_at"] == expected


@pytest.mark.parametrize(
    ("severity", "label"), [(0.5, "INFORMATIONAL"), (3.9, "LOW"), (4, "MEDIUM"), (8.9, "HIGH"), (9, "CRITICAL")]
)
def test_severity_labels_follow_guardduty(severity, label):
    """The label's bounds are GuardDuty's."""
    assert one(guardduty(severity=severity))["severity_label"] == label


def test_samples_are_flagged():
    """A sample is known by its title, by additionalInfo in each of its forms, or by the resources made up for it."""
    service = guardduty()["service"]
    made_up = {"accessKeyDetails": {"accessKeyId": "GeneratedFindingAccessKeyId"}}
    assert one(guardduty(title="[SAMPLE] x"))["sample"]
    assert one(guardduty(service={**service, "additionalInfo": {"sample": True}}))["sample"]
    assert one(guardduty(service={**service, "additionalInfo": {"value": '{"sample":true}'}}))["sample"]
    assert one(guardduty(resource=made_up))["sample"]
    assert not one(guardduty(service={**service, "additionalInfo": {"value": "{broken"}}))["sample"]


def test_an_attack_sequence_hands_over_its_keys_and_signals():
    """The keys of the actors and the ids of the signals are lists, and the row names its own sequence."""
    sequence = {
        "uid": "s-1",
        "actors": [
            {"user": {"credentialUid": "ASIAEXAMPLE000000001"}},
            {"user": {"credentialUid": "ASIAEXAMPLE000000001"}},
            {"user": {"credentialUid": "AKIAEXAMPLE000000002"}},
        ],
        "signals": [{"uid": ARN}, {"uid": "x"}],
        "endpoints": [{"ip": "203.0.113.9"}],
    }
    service = {**guardduty()["service"], "action": None, "detection": {"sequence": sequence}}
    row = one(guardduty(type="AttackSequence:IAM/CompromisedCredentials", service=service))
    assert row["sequence_keys"] == ["ASIAEXAMPLE000000001", "AKIAEXAMPLE000000002"]
    assert row["sequence_signals"] == [ARN, "x"]
    assert row["remote_ips"] == ["203.0.113.9"]
    assert row["attack_sequence"] == row["finding_id"]
    member = one(guardduty(associatedAttackSequenceArn=ARN + "-sequence"))
    assert (member["attack_sequence"], member["sequence_keys"]) == (ARN + "-sequence", [])


def test_an_instance_finding_names_the_instance_and_its_surroundings():
    """The instance, its groups, subnet, VPC and profile are pivots."""
    resource = {
        "resourceType": "Instance",
        "instanceDetails": {
            "instanceId": "i-0123456789abcdef0",
            "iamInstanceProfile": {"arn": "arn:aws:iam::111122223333:instance-profile/web"},
            "networkInterfaces": [{"securityGroups": [{"groupId": "sg-1"}], "subnetId": "subnet-1", "vpcId": "vpc-1"}],
        },
    }
    action = {"portProbeAction": {"portProbeDetails": [{"remoteIpDetails": {"ipAddressV6": "2001:db8::1"}}]}}
    row = one(guardduty(resource=resource, service={"detectorId": "d", "action": action}))
    assert row["instance_id"] == "i-0123456789abcdef0"
    assert row["resource_ids"][0] == "arn:aws:ec2:us-east-1:111122223333:instance/i-0123456789abcdef0"
    assert {"sg-1", "subnet-1", "vpc-1", "arn:aws:iam::111122223333:instance-profile/web"} <= set(row["resource_ids"])
    assert row["remote_ips"] == ["2001:db8::1"]


def test_a_control_finding_keeps_its_control_and_suppressed_state():
    """Security Hub's scale is brought to GuardDuty's; a suppressed finding is still a row."""
    row = one({"Findings": [asff()]})
    assert (row["form"], row["product"], row["control_id"]) == ("asff", "Security Hub", "EC2.19")
    assert (row["severity"], row["severity_label"], row["compliance_status"]) == (7.0, "HIGH", "FAILED")
    assert (row["workflow_status"], row["resource_type"]) == ("SUPPRESSED", "AwsEc2SecurityGroup")
    assert one(asff(RecordState="ARCHIVED"))["archived"]
    old = asff(Compliance={"Status": "FAILED"}, ProductFields={"ControlId": "EC2.19"}, Severity={"Label": "LOW"})
    assert (one(old)["control_id"], one(old)["severity"]) == ("EC2.19", 1.0)


@pytest.mark.parametrize("prefix", ["", "aws/guardduty/service/"])
def test_a_guardduty_finding_through_security_hub_keeps_what_guardduty_said(prefix):
    """Product, type, key, call and address come out of the flattened fields, of both generations."""
    row = one(
        asff(
            Id=ARN,
            ProductArn="arn:aws:securityhub:us-east-1::product/aws/guardduty",
            ProductName=None,
            Types=["TTPs/Defense Evasion/Stealth:IAMUser-CloudTrailLoggingDisabled"],
            ProductFields={
                f"{prefix}action/awsApiCallAction/api": "StopLogging",
                f"{prefix}action/awsApiCallAction/remoteIpDetails/ipAddressV4": "203.0.113.7",
                f"{prefix}count": "4",
                f"{prefix}additionalInfo": '{"sample": true}',
            },
            Resources=[
                {
                    "Type": "AwsIamAccessKey",
                    "Id": "AWS::IAM::AccessKey:ASIAEXAMPLE000000001",
                    "Details": {"AwsIamAccessKey": {"PrincipalName": "devRole", "PrincipalType": "AssumedRole"}},
                }
            ],
        )
    )
    assert (row["product"], row["type"]) == ("GuardDuty", "Stealth:IAMUser/CloudTrailLoggingDisabled")
    assert (row["access_key_id"], row["principal_name"]) == ("ASIAEXAMPLE000000001", "devRole")
    assert (row["api_name"], row["remote_ips"], row["count"]) == ("StopLogging", ["203.0.113.7"], 4)
    assert row["sample"]
    assert one(asff(ProductName="GuardDuty", Types=["TTPs/Policy:IAMUser/RootCredentialUsage"]))["type"] == (
        "Policy:IAMUser/RootCredentialUsage"
    )
    null = asff(Resources=[{"Type": "AwsIamAccessKey", "Id": "AWS::IAM::AccessKey:null"}])
    assert one(null)["access_key_id"] is None


def test_an_ocsf_finding_gives_the_same_columns():
    """The new Security Hub's form: type of GuardDuty, label, state, instance."""
    row = one(
        {
            "class_uid": 2004,
            "activity_name": "Create",
            "cloud": {"account": {"uid": "111122223333"}, "region": "us-east-1"},
            "finding_info": {
                "uid": ARN,
                "title": "x",
                "types": ["Threats", "Execution:Runtime/NewBinaryExecuted"],
                "created_time": 1781085600250,
            },
            "metadata": {"product": {"name": "GuardDuty"}},
            "compliance": {"status": "Fail", "control": "EC2.8"},
            "resources": [{"type": "AWS::EC2::Instance", "uid": "i-0123456789abcdef0"}],
            "evidences": [
                {
                    "actor": {"user": {"credential_uid": "ASIAEXAMPLE000000001", "name": "devRole"}},
                    "src_endpoint": {"ip": "203.0.113.7"},
                    "api": {"operation": "StopLogging"},
                }
            ],
            "severity_id": 4,
            "status": "Suppressed",
        }
    )
    assert (row["form"], row["product"], row["finding_id"]) == ("ocsf", "GuardDuty", ARN)
    assert (row["type"], row["severity"], row["severity_label"]) == ("Execution:Runtime/NewBinaryExecuted", 7.0, "HIGH")
    assert (row["workflow_status"], row["compliance_status"], row["control_id"]) == ("SUPPRESSED", "FAILED", "EC2.8")
    assert (row["instance_id"], row["access_key_id"]) == ("i-0123456789abcdef0", "ASIAEXAMPLE000000001")
    assert row["created_at"] == datetime(2026, 6, 10, 10, 0, 0, 250000, tzinfo=UTC)


def test_a_partial_finding_is_kept_with_nulls():
    """What is missing or of an odd type is None; a finding without an id is named by its content."""
    row = one({"Service": {"DetectorId": "d", "Archived": "false", "Count": "4"}, "Severity": "high", "Title": ["x"]})
    assert row["finding_id"].startswith("sha256:")
    assert (row["severity"], row["title"], row["count"], row["archived"]) == (None, None, 4, False)
    assert one(guardduty(type="Brand:New/Type"))["type"] == "Brand:New/Type"
    assert one(guardduty(accountId=12345))["account_id"] == "000000012345"
    assert one(guardduty(accountId="../../etc"))["account_id"] is None
    assert one(guardduty(title="\ud800 half"))["title"] == "? half"


@pytest.mark.parametrize(
    "document",
    [
        {},
        None,
        "text",
        [3],
        {"SchemaVersion": "2018-10-08"},
        {"eventName": "StopLogging", "eventSource": "cloudtrail.amazonaws.com"},
        {"detail": {"eventName": "StopLogging"}},
        {"detail": {"insightResults": []}},
        [guardduty(), {"eventName": "x"}],
    ],
)
def test_what_is_no_finding_is_refused_with_a_reason(document):
    """A CloudTrail record, an envelope of something else or no object at all raises, saying what it holds."""
    assert not findings.is_finding(document)
    with pytest.raises(ValueError, match=r"no finding: neither GuardDuty, ASFF nor OCSF; it holds .+"):
        findings.rows(document)


def test_session_tokens_are_redacted():
    """A token disappears from the details, also out of JSON text inside a string."""
    inner = json.dumps({"sessionToken": "SECRETINNER", "kept": 1})
    row = one(guardduty(note={"sessionToken": "SECRETOUTER"}, service={"detectorId": "d", "additionalInfo": inner}))
    assert "SECRET" not in row["details"]
    assert "kept" in json.loads(json.loads(row["details"])["service"]["additionalInfo"])


def real_documents(folder):
    """Every GuardDuty and Security Hub document of the real data, with the file it is from."""
    names = (
        "blu371ck__GuardDuty-SOAR/samples/*.json", "opencybersecurityalliance__stix-shifter/*.jsonl",
        "awsdocs__amazon-guardduty-user-guide/*.jsonl", "awsdocs__aws-security-hub-user-guide/*.jsonl",
        "aws-solutions__automated-security-response-on-aws/**/*.json", "cruxstack__aws-securityhubv2-bot/*/*.json",
        "aws_docs_examples/asff*.json", "panther-labs__panther-analysis/*GuardDuty*.jsonl",
        "panther-labs__panther-analysis/*SecurityFindingFormat*.jsonl",
        "cloud-custodian__cloud-custodian/**/*duty*.json", "cloud-custodian__cloud-custodian/**/*securityhub*.json",
    )  # fmt: skip
    for file in sorted(file for name in names for file in folder.glob(name)):
        text = file.read_text(encoding="utf-8")
        lines = text.splitlines() if file.suffix == ".jsonl" else [text]
        for document in map(json.loads, filter(str.strip, lines)):
            for record in findings.records(document):
                yield file, record


def test_every_real_finding_becomes_a_row(real_data):
    """All but four known documents, which are no findings, give a row with an id and a product; few lack a type."""
    counts: Counter[str] = Counter()
    refused, unnamed = [], 0
    for file, record in real_documents(real_data):
        try:
            row = findings.row(record)
        except ValueError as error:
            refused.append((file.parent.name, file.name, str(error)))
            continue
        counts[f"{row['form']} {row['product']}"] += 1
        assert row["finding_id"], file
        assert row["product"], file
        unnamed += not (row["type"] or row["title"])
    print(dict(counts), refused)
    # Two CloudTrail records in the user guides, a bare schema version, and Security Hub's insight results.
    assert len(refused) == 4
    # One partial GuardDuty record, and the attack-sequence fragment of the ASFF page.
    assert unnamed == 2
    assert counts["guardduty GuardDuty"] == 28
    assert counts["ocsf GuardDuty"] == 6
    # 127 control findings of the ASR project, and six of documentation and of other projects.
    assert counts["asff Security Hub"] == 133
    assert sum(counts.values()) == 185
