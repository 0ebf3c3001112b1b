"""Security Hub's findings as its filters choose them, their history, standards and controls.

moto keeps imported findings, but its GetFindings ignores every filter, and the other calls are missing. What is
imported through moto and what a scenario brings lie in moto's one store.

Source: Security Hub API reference, GetFindings, StringFilter, GetFindingHistory; user guide, "Filtering findings".
"""

import datetime as dt
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cirtlib.errors import TrainingError
from cirtlib.training.account_state import backend
from cirtlib.training.front import Clock, Served, answered, page
from cirtlib.training.front_model import Asked, Json, trimmed

try:
    from moto.securityhub.models import Finding
except ImportError as error:  # the emulator is an extra: the library itself works without it
    raise TrainingError("the emulated account needs moto: pip install 'cirtlib[train]'") from error

_KEPT = dt.timedelta(days=90)
_PAGE = 100
_STANDARD = "standards/aws-foundational-security-best-practices/v/1.0.0"
# Where a filter's attribute lies in a finding, if not at the top under its own name.
_PATHS = {
    "Type": "Types",
    "SeverityLabel": "Severity.Label",
    "SeverityNormalized": "Severity.Normalized",
    "SeverityProduct": "Severity.Product",
    "ResourceId": "Resources.Id",
    "ResourceType": "Resources.Type",
    "ResourcePartition": "Resources.Partition",
    "ResourceRegion": "Resources.Region",
    "ComplianceStatus": "Compliance.Status",
    "ComplianceSecurityControlId": "Compliance.SecurityControlId",
    "ComplianceAssociatedStandardsId": "Compliance.AssociatedStandards.StandardsId",
    "WorkflowStatus": "Workflow.Status",
    "NoteText": "Note.Text",
    "RelatedFindingsId": "RelatedFindings.Id",
    "RelatedFindingsProductArn": "RelatedFindings.ProductArn",
    "FindingProviderFieldsSeverityLabel": "FindingProviderFields.Severity.Label",
    "FindingProviderFieldsTypes": "FindingProviderFields.Types",
    "ResourceAwsIamAccessKeyPrincipalName": "Resources.Details.AwsIamAccessKey.PrincipalName",
}
_TOP = {
    *("ProductArn", "AwsAccountId", "Id", "GeneratorId", "Region", "FirstObservedAt", "LastObservedAt", "CreatedAt"),
    *("UpdatedAt", "Confidence", "Criticality", "Title", "Description", "SourceUrl", "ProductFields", "ProductName"),
    *("CompanyName", "UserDefinedFields", "VerificationState", "WorkflowState", "RecordState", "Sample"),
    *("AwsAccountName",),
}
_TESTS: dict[str, Callable[[str, str], bool]] = {
    "EQUALS": str.__eq__,
    "PREFIX": str.startswith,
    "CONTAINS": str.__contains__,
}


@dataclass
class Hub:
    """What Security Hub knows besides the findings: their history, and what time it is."""

    clock: Clock
    history: list[Json] = field(default_factory=list)


def read_hub(folder: Path | None, clock: Clock) -> Hub:
    """Put the findings of security_hub.json into moto, and turn Security Hub on where they lie.

    The history of findings is that of security_hub_history.json ({"Records": […]} in the shape of GetFindingHistory),
    where there is one; a finding that it does not name has only been created.
    """
    if folder is None:
        return Hub(clock)
    dump = folder / "security_hub.json"
    for one in json.loads(dump.read_text(encoding="utf-8"))["Findings"] if dump.is_file() else []:
        hub = backend("securityhub", one["AwsAccountId"], one["Region"])
        hub.enable_security_hub()
        hub.findings.append(Finding(one["Id"], one))
    history = folder / "security_hub_history.json"
    return Hub(clock, json.loads(history.read_text(encoding="utf-8"))["Records"] if history.is_file() else [])


def security_hub(hub: Hub) -> dict[tuple[str, str], Served]:
    """What the front answers of Security Hub."""
    answers: dict[str, Callable[[Hub, Asked], Json]] = {
        "GetFindings": _get,
        "GetFindingHistory": _history,
        "GetEnabledStandards": _standards,
        "DescribeActionTargets": _action_targets,
        "BatchGetSecurityControls": _controls,
        "ListSecurityControlDefinitions": _definitions,
    }
    return {("securityhub", name): Served(partial(answer, hub)) for name, answer in answers.items()}


def _findings(asked: Asked) -> list[Json]:
    """Findings of the account and Region that are asked."""
    hub = backend("securityhub", asked.account, asked.region)
    if not hub.enabled:
        text = f"Account {asked.account} is not subscribed to AWS Security Hub"
        raise asked.wrong(text, "InvalidAccessException")
    return [one.data for one in hub.findings]


def _get(hub: Hub, asked: Asked) -> Json:
    filters = asked.parameters.get("Filters", {})
    met = [
        one for one in _findings(asked) if all(_meets(one, name, part, hub, asked) for name, part in filters.items())
    ]
    met.sort(key=lambda one: str(one.get("UpdatedAt")), reverse=True)
    for order in reversed(asked.parameters.get("SortCriteria", [])):
        path = _path(order.get("Field", "UpdatedAt"), asked)
        met.sort(key=partial(_sort_key, path=path), reverse=order.get("SortOrder") == "desc")
    shape = asked.model.service_model.shape_for("AwsSecurityFinding")
    chosen, token = page(met, asked, most=_PAGE)
    return answered(Findings=[trimmed(one, shape) for one in chosen], NextToken=token)


def _sort_key(finding: Json, path: list[str]) -> tuple[float, str]:
    first = next(_values(finding, path), "")
    return (float(first), "") if isinstance(first, int | float) else (0.0, str(first))


def _path(name: str, asked: Asked) -> list[str]:
    if name not in _PATHS and name not in _TOP:
        raise asked.wrong(f"The emulated Security Hub does not know the attribute {name}")
    return _PATHS.get(name, name).split(".")


def _values(value: object, path: list[str]) -> Iterator[Any]:
    """Values at a path; of each item where there is a list."""
    if isinstance(value, list):
        for item in value:
            yield from _values(item, path)
    elif not path:
        if value is not None:
            yield value
    elif isinstance(value, dict):
        yield from _values(value.get(path[0]), path[1:])


def _meets(finding: Json, name: str, filters: Sequence[Json], hub: Hub, asked: Asked) -> bool:
    """Whether a finding meets the filters of one attribute: one of those that say what it is, all that say what not."""
    values = list(_values(finding, _path(name, asked)))
    kind = asked.model.service_model.shape_for("AwsSecurityFindingFilters").members[name].member.name
    if kind == "DateFilter":
        return any(_dated(value, one, hub.clock.now) for one in filters for value in values)
    if kind == "NumberFilter":
        return any(_numbered(float(value), one) for one in filters for value in values)
    if kind == "BooleanFilter":
        return any(value == one.get("Value") for one in filters for value in values)
    negative = [one for one in filters if "NOT_" in one.get("Comparison", "")]
    positive = [one for one in filters if one not in negative]
    if any("CONTAINS" in one.get("Comparison", "") for one in positive) and negative:
        raise asked.wrong(f"{name}: CONTAINS cannot be used together with a comparison that excludes")
    if negative and any(_compared(values, one, asked) for one in negative):
        return False
    return not positive or any(_compared(values, one, asked) for one in positive)


def _compared(values: list[Any], one: Json, asked: Asked) -> bool:
    """Whether a value is what a filter names, be it wanted or not."""
    if "Key" in one:
        values = [value.get(one["Key"]) for value in values]
    comparison = one.get("Comparison", "EQUALS")
    name = {"PREFIX_NOT_EQUALS": "PREFIX"}.get(comparison, comparison.removeprefix("NOT_"))
    if name not in _TESTS:
        raise asked.wrong(f"The emulated Security Hub does not know the comparison {comparison}")
    return any(_TESTS[name](str(value), one["Value"]) for value in values if value is not None)


def _dated(value: str, one: Json, now: dt.datetime) -> bool:
    at = dt.datetime.fromisoformat(value)
    if span := one.get("DateRange"):
        since = now - dt.timedelta(days=span["Value"])
        return at < since if span.get("Comparison") == "OLDER_THAN" else at >= since
    begin, end = one.get("Start"), one.get("End")
    after = begin is None or at >= dt.datetime.fromisoformat(begin)
    return after and (end is None or at <= dt.datetime.fromisoformat(end))


def _numbered(value: float, one: Json) -> bool:
    tests = {"Gte": value.__ge__, "Lte": value.__le__, "Gt": value.__gt__, "Lt": value.__lt__, "Eq": value.__eq__}
    return all(tests[name](float(bound)) for name, bound in one.items())


def _history(hub: Hub, asked: Asked) -> Json:
    """Changes of a finding in the last 90 days, the newest first."""
    given = asked.parameters
    wanted, shape = given["FindingIdentifier"], asked.model.service_model.shape_for("FindingHistoryRecord")
    begin, end = given.get("StartTime", hub.clock.now - _KEPT), given.get("EndTime", hub.clock.now)
    if begin > end:
        raise asked.wrong("StartTime must not be later than EndTime")
    known = [one for one in _findings(asked) if one["Id"] == wanted["Id"] and one["ProductArn"] == wanted["ProductArn"]]
    records = [one for one in hub.history if one["FindingIdentifier"] == wanted] if known else []
    if known and not records:
        made = {"Type": "BATCH_IMPORT_FINDINGS", "Identity": known[0]["ProductArn"]}
        created = {"FindingIdentifier": wanted, "UpdateTime": known[0]["CreatedAt"], "FindingCreated": True}
        records = [created | {"UpdateSource": made}]
    rows = [trimmed(one, shape) for one in records]
    met = [one for one in rows if max(begin, hub.clock.now - _KEPT) <= one["UpdateTime"] <= end]
    chosen, token = page(sorted(met, key=lambda one: one["UpdateTime"], reverse=True), asked, most=_PAGE)
    return answered(Records=chosen, NextToken=token)


def _standards(_: Hub, asked: Asked) -> Json:
    """The one standard whose controls the findings are about, where there are any."""
    arn = f"arn:aws:securityhub:{asked.region}::{_STANDARD}"
    own = f"arn:aws:securityhub:{asked.region}:{asked.account}:subscription/{_STANDARD.partition('/')[2]}"
    wanted = asked.parameters.get("StandardsSubscriptionArns", [own])
    standard = {
        "StandardsSubscriptionArn": own,
        "StandardsArn": arn,
        "StandardsInput": {},
        "StandardsStatus": "READY",
    }
    return {"StandardsSubscriptions": [standard] if _by_control(asked) and own in wanted else []}


def _action_targets(_: Hub, asked: Asked) -> Json:
    """No custom action has been made."""
    _findings(asked)
    if wanted := asked.parameters.get("ActionTargetArns"):
        raise asked.wrong(f"Action target {wanted[0]} was not found", "ResourceNotFoundException")
    return {"ActionTargets": []}


def _by_control(asked: Asked) -> dict[str, Json]:
    """A finding of each control, by the control's id."""
    pairs = ((one.get("Compliance", {}).get("SecurityControlId"), one) for one in _findings(asked))
    return {control: one for control, one in pairs if control}


def _described(control: str, finding: Json) -> Json:
    """What is said of a control; its rating is of a finding that failed, for a passed one is informational."""
    label = finding["Severity"]["Label"]
    return {
        "SecurityControlId": control,
        "Title": finding["Title"],
        "Description": finding["Description"],
        "RemediationUrl": finding["Remediation"]["Recommendation"]["Url"],
        "SeverityRating": "MEDIUM" if label == "INFORMATIONAL" else label,
    }


def _controls(_: Hub, asked: Asked) -> Json:
    known, wanted = _by_control(asked), asked.parameters["SecurityControlIds"]
    prefix = f"arn:aws:securityhub:{asked.region}:{asked.account}:security-control"
    rest = {"SecurityControlStatus": "ENABLED", "UpdateStatus": "READY"}
    controls = [
        _described(name, known[name]) | {"SecurityControlArn": f"{prefix}/{name}"} | rest
        for name in wanted
        if name in known
    ]
    missing = [{"SecurityControlId": name, "ErrorCode": "NOT_FOUND"} for name in wanted if name not in known]
    return {"SecurityControls": controls, "UnprocessedIds": missing}


def _definitions(_: Hub, asked: Asked) -> Json:
    defined = [
        _described(name, finding) | {"CurrentRegionAvailability": "AVAILABLE"}
        for name, finding in sorted(_by_control(asked).items())
    ]
    chosen, token = page(defined, asked, most=_PAGE)
    return answered(SecurityControlDefinitions=chosen, NextToken=token)
