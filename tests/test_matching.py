"""A filter of the user's means the same on our side as on AWS's."""

import pytest
from fake_findings import PRODUCT, control, finding

from cirtlib.sources.matching import criteria, filters

KEY = "resource.accessKeyDetails.accessKeyId"


@pytest.mark.parametrize(
    ("rule", "met"),
    [
        ({"severity": {"Equals": ["2"]}}, True),
        ({"severity": {"GreaterThan": 2}}, False),
        ({"severity": {"Gte": 2, "Lt": 3}}, True),
        ({"updatedAt": {"GreaterThanOrEqual": 1781085660000}}, True),
        ({"updatedAt": {"LessThan": 1781085660000}}, False),
        ({"service.archived": {"Equals": ["false"]}}, True),
        ({"service.archived": {"Equals": ["true"]}}, False),
        ({KEY: {"Equals": ["ASIAEXAMPLE000000001"]}, "type": {"NotEquals": ["x"]}}, True),
        ({"type": {"Matches": ["Stealth:*"]}}, True),
        ({"type": {"NotMatches": ["Stealth:?AMUser*"]}}, False),
        ({"resource.instanceDetails.instanceId": {"Equals": ["i-1"]}}, False),
        ({"resource.instanceDetails.instanceId": {"NotEquals": ["i-1"]}}, True),
    ],
)
def test_criteria_of_guardduty(rule, met):
    """Numbers, times in milliseconds, texts, booleans; a field that is not there has no value."""
    matches, unchecked = criteria(rule)
    assert (matches(finding(1)), unchecked) == (met, [])


def test_a_criterion_reaches_into_lists():
    """One of the interfaces is enough."""
    interfaces = [{"publicIp": "198.51.100.1"}, {"publicIp": "198.51.100.2"}]
    one = finding(1, resource={"instanceDetails": {"networkInterfaces": interfaces}})
    path = "resource.instanceDetails.networkInterfaces.publicIp"
    assert criteria({path: {"Equals": ["198.51.100.2"]}})[0](one)
    assert not criteria({path: {"NotEquals": ["198.51.100.2"]}})[0](one)


def test_what_no_model_has_is_left_to_aws():
    """A finding is not dropped for a field of which we do not know where it lies."""
    matches, unchecked = criteria({"service.additionalInfo.threatName": {"Equals": ["x"]}})
    assert matches(finding(1))
    assert unchecked == ["service.additionalInfo.threatName"]


def text(comparison, *values):
    return [{"Value": value, "Comparison": comparison} for value in values]


@pytest.mark.parametrize(
    ("rule", "met"),
    [
        ({"ComplianceStatus": text("EQUALS", "PASSED", "FAILED")}, True),
        ({"ComplianceStatus": text("NOT_EQUALS", "PASSED", "FAILED")}, False),
        ({"ResourceId": text("PREFIX", "arn:aws:ec2:")}, True),
        ({"ResourceId": text("PREFIX_NOT_EQUALS", "arn:aws:ec2:")}, False),
        ({"Title": [*text("PREFIX", "EC2"), *text("NOT_CONTAINS", "19")]}, False),
        ({"ProductName": text("EQUALS", "Security Hub")}, True),
        ({"ProductFields": [{"Key": "a.b/c", "Value": "1", "Comparison": "EQUALS"}]}, True),
        ({"ProductFields": [{"Key": "a.b/c", "Value": "1", "Comparison": "NOT_EQUALS"}]}, False),
        ({"WorkflowStatus": text("EQUALS", "NEW")}, True),
        ({"UpdatedAt": [{"Start": "2026-06-10T00:00:00Z", "End": "2026-06-11T00:00:00Z"}]}, True),
        ({"UpdatedAt": [{"DateRange": {"Value": 1, "Unit": "DAYS"}}]}, False),
        ({"UpdatedAt": [{"DateRange": {"Value": 1, "Unit": "DAYS", "Comparison": "OLDER_THAN"}}]}, True),
        ({"SeverityNormalized": [{"Gte": 70, "Lte": 90}]}, True),
        ({"SeverityNormalized": [{"Eq": 80}]}, False),
        ({"NetworkSourceIpV4": [{"Cidr": "203.0.113.0/24"}]}, True),
        ({"NetworkSourceIpV4": [{"Cidr": "198.51.100.0/24"}]}, False),
        ({"ResourceType": text("CONTAINS", "securitygroup")}, True),
        ({"RecordState": []}, True),
    ],
)
def test_filters_of_security_hub(rule, met):
    """One of several that ask, all of those that exclude."""
    one = control(
        1,
        ProductFields={"aws/securityhub/ProductName": "Security Hub", "a.b/c": "1"},
        Severity={"Label": "CRITICAL", "Normalized": 90},
        Network={"SourceIpV4": "203.0.113.7"},
    )
    del one["Workflow"]
    matches, unchecked = filters(rule)
    assert (matches(one), unchecked) == (met, [])
    assert matches({"ProductArn": PRODUCT}) in (True, False)


def test_a_filter_of_no_known_field_is_left_to_aws():
    """And so is a comparison that looks for words."""
    rule = {"Keyword": [{"Value": "x"}], "Title": text("CONTAINS_WORD", "x")}
    matches, unchecked = filters(rule)
    assert matches(control(1))
    assert unchecked == ["Keyword", "Title"]
