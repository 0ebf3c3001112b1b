"""The user's filters, applied to what AWS gave: emulators ignore them, and real services may be a little behind.

A condition is applied where the field that it speaks of is known to lie in the finding; a finding without that field
then has no value, as AWS sees it. Conditions on other fields are AWS's alone, and `unchecked` names them.

Criteria of GuardDuty: `FindingCriteria` in the GuardDuty API reference; a criterion's name is the path of the field in
the finding. Filters of Security Hub: `AwsSecurityFindingFilters`, and how several on one field are joined:
`StringFilter.Comparison` in the Security Hub API reference.
"""

import ipaddress
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from cirtlib.errors import CaseError
from cirtlib.findings.fields import number, time

Matches = Callable[[object], bool]

# Filters of Security Hub whose field is not simply the same name at the top of the finding.
_FIELDS = {
    "ProductName": ("ProductName", "ProductFields.aws/securityhub/ProductName"),
    "CompanyName": ("CompanyName", "ProductFields.aws/securityhub/CompanyName"),
    "Type": ("Types", "FindingProviderFields.Types"),
    "SeverityLabel": ("Severity.Label",),
    "SeverityNormalized": ("Severity.Normalized",),
    "SeverityProduct": ("Severity.Product",),
    "ResourceType": ("Resources.Type",),
    "ResourceId": ("Resources.Id",),
    "ResourcePartition": ("Resources.Partition",),
    "ResourceRegion": ("Resources.Region",),
    "ComplianceStatus": ("Compliance.Status",),
    "ComplianceSecurityControlId": ("Compliance.SecurityControlId",),
    "ComplianceAssociatedStandardsId": ("Compliance.AssociatedStandards.StandardsId",),
    "WorkflowStatus": ("Workflow.Status",),
    "NetworkSourceIpV4": ("Network.SourceIpV4",),
    "NetworkSourceIpV6": ("Network.SourceIpV6",),
    "NetworkDestinationIpV4": ("Network.DestinationIpV4",),
    "NetworkDestinationIpV6": ("Network.DestinationIpV6",),
    "NetworkSourcePort": ("Network.SourcePort",),
    "RelatedFindingsId": ("RelatedFindings.Id",),
    "RelatedFindingsProductArn": ("RelatedFindings.ProductArn",),
    "NoteText": ("Note.Text",),
    "NoteUpdatedAt": ("Note.UpdatedAt",),
    "NoteUpdatedBy": ("Note.UpdatedBy",),
}
_SAME = {
    "ProductArn", "AwsAccountId", "Id", "GeneratorId", "Region", "FirstObservedAt", "LastObservedAt", "CreatedAt",
    "UpdatedAt", "Confidence", "Criticality", "Title", "Description", "SourceUrl", "ProductFields",
    "UserDefinedFields", "WorkflowState", "RecordState",
}  # fmt: skip
_DEFAULTS = {"WorkflowStatus": "NEW", "RecordState": "ACTIVE"}  # of findings that do not say
_LONG = {"GreaterThan": "Gt", "GreaterThanOrEqual": "Gte", "LessThan": "Lt", "LessThanOrEqual": "Lte"}
_COMPARED = {"Gt": operator.gt, "Gte": operator.ge, "Lt": operator.lt, "Lte": operator.le, "Eq": operator.eq}
_DECIDED = {"EQUALS", "PREFIX", "CONTAINS", "NOT_EQUALS", "PREFIX_NOT_EQUALS", "NOT_CONTAINS", None}


@cache
def _model(service: str) -> Any:  # noqa: ANN401 - botocore's
    return botocore.session.get_session().get_service_model(service)


def check(kind: str, service: str, shape: str, given: object) -> None:
    """Check a filter against AWS's own model of it.

    Raises
    ------
    CaseError
        with every fault in it.
    """
    report = ParamValidator().validate(given, _model(service).shape_for(shape))
    if report.has_errors():
        raise CaseError(
            f"source {kind}: this is no filter of {service}: {report.generate_report()}; correct `sources` in case.yaml"
        )


def criteria(given: Mapping[str, Mapping[str, Any]]) -> tuple[Matches, list[str]]:
    """Whether a finding of GuardDuty meets every criterion; names of the criteria that cannot be checked here."""
    finding = _model("guardduty").shape_for("Finding")
    checked = {name: rule for name, rule in given.items() if _is_modelled(finding, name.split("."))}

    def matches(one: object) -> bool:
        return all(_meets(list(values(one, name.split("."))), rule) for name, rule in checked.items())

    return matches, sorted(set(given) - set(checked))


def _is_modelled(shape: Any, path: list[str]) -> bool:  # noqa: ANN401 - botocore's
    for part in path:
        while shape.type_name == "list":
            shape = shape.member
        if shape.type_name != "structure":
            return False
        names = {str(one.serialization.get("name") or name).lower(): one for name, one in shape.members.items()}
        if part.lower() not in names:
            return False
        shape = names[part.lower()]
    return True


def values(node: object, path: list[str]) -> Iterator[object]:
    """Every value at a path, through lists and whatever the case of the names."""
    if isinstance(node, list):
        for item in node:
            yield from values(item, path)
    elif not path:
        if node is not None:
            yield node
    elif isinstance(node, dict):
        for name, value in node.items():
            if str(name).lower() == path[0].lower():
                yield from values(value, path[1:])


def _meets(found: list[object], rule: Mapping[str, Any]) -> bool:
    texts, amounts = [_text(value) for value in found], [a for a in map(_amount, found) if a is not None]
    for name, wanted in rule.items():
        given = [str(item) for item in wanted] if isinstance(wanted, list) else []
        if name in ("Equals", "Eq"):
            met = any(text in given for text in texts)
        elif name in ("NotEquals", "Neq"):
            met = not any(text in given for text in texts)
        elif name in ("Matches", "NotMatches"):
            met = any(_wild(item, text) for item in given for text in texts) == (name == "Matches")
        else:
            met = any(_compare(name, amount, wanted) for amount in amounts)
        if not met:
            return False
    return True


def _compare(name: str, amount: float, bound: float) -> bool:
    return bool(_COMPARED[_LONG.get(name, name)](amount, bound))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _amount(value: object) -> float | None:
    """A number, or a time in milliseconds, which is how criteria give times."""
    found = number(value)
    if found is not None:
        return found
    moment = time(value) if isinstance(value, str) else None
    return moment.timestamp() * 1000 if moment else None


def _wild(pattern: str, text: str) -> bool:
    made = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(made, text, re.DOTALL) is not None


def filters(given: Mapping[str, list[Mapping[str, Any]]]) -> tuple[Matches, list[str]]:
    """Whether a finding of Security Hub meets every filter; names of the filters that cannot be checked here."""
    checked = {name: rules for name, rules in given.items() if rules and _is_known(name, rules)}

    def matches(one: object) -> bool:
        return all(_passes(_found(one, name), rules) for name, rules in checked.items())

    return matches, sorted(name for name, rules in given.items() if rules and name not in checked)


def _is_known(name: str, rules: list[Mapping[str, Any]]) -> bool:
    return (name in _FIELDS or name in _SAME) and all(rule.get("Comparison") in _DECIDED for rule in rules)


def _found(finding: object, name: str) -> list[object]:
    paths = (path.split(".", 1) for path in _FIELDS.get(name, (name,)))
    found = [value for path in paths for value in values(finding, _deep(path))]
    return found or ([_DEFAULTS[name]] if name in _DEFAULTS else [])


def _deep(path: list[str]) -> list[str]:
    # names below ProductFields hold dots and slashes of their own
    return path if path[0] == "ProductFields" or len(path) == 1 else [path[0], *path[1].split(".")]


def _passes(found: list[object], rules: list[Mapping[str, Any]]) -> bool:
    """Several rules on one field: one of those that ask for something, and all of those that exclude."""
    asks = [rule for rule in rules if "NOT" not in str(rule.get("Comparison"))]
    excludes = [rule for rule in rules if "NOT" in str(rule.get("Comparison"))]
    return (not asks or any(_holds(found, rule) for rule in asks)) and all(_holds(found, rule) for rule in excludes)


def _holds(found: list[object], rule: Mapping[str, Any]) -> bool:
    if "Comparison" in rule and "Value" in rule:
        if "Key" in rule:
            found = [value for one in found if isinstance(one, dict) for value in [one.get(rule["Key"])] if value]
        kind = rule["Comparison"].removeprefix("NOT_").replace("PREFIX_NOT_EQUALS", "PREFIX")
        some = any(_string(kind, str(value), rule["Value"]) for value in found)
        return some != ("NOT" in rule["Comparison"])
    if "Cidr" in rule:
        return any(_inside(str(value), rule["Cidr"]) for value in found)
    if "Value" in rule:
        return rule["Value"] in found
    if rule.keys() & {"Start", "End", "DateRange"}:
        return any(_dated(moment, rule) for moment in map(time, found) if moment)
    amounts = [amount for amount in map(number, found) if amount is not None]
    return any(all(_compare(name, amount, bound) for name, bound in rule.items()) for amount in amounts)


def _string(kind: str, value: str, wanted: str) -> bool:
    if kind == "EQUALS":
        return value == wanted
    return value.startswith(wanted) if kind == "PREFIX" else wanted.lower() in value.lower()


def _inside(value: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return value == network


def _dated(moment: datetime, rule: Mapping[str, Any]) -> bool:
    start, end, period = time(rule.get("Start")), time(rule.get("End")), rule.get("DateRange")
    if period:
        within = moment >= datetime.now(UTC) - timedelta(days=period["Value"])
        return bool(within != (period.get("Comparison") == "OLDER_THAN"))
    return (start is None or moment >= start) and (end is None or moment <= end)
