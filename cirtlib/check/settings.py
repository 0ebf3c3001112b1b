"""What is switched on in an account and Region: trail, digests, data events, GuardDuty, Security Hub, Config.

Source of the fields: API references of AWS CloudTrail, Amazon GuardDuty, AWS Security Hub and AWS Config.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from cirtlib.aws import Aws
from cirtlib.check.calls import Answer, Row, ask

Answers = Mapping[str, Answer]


def trails(aws: Aws, account: str, found: Mapping[str, Answer]) -> dict[str, dict[str, Any]]:
    """Trails that log in an account, by ARN, each with `status` and `selectors`: the answers of its home Region.

    `found` is Region -> the answer of DescribeTrails there.
    """
    known: dict[str, dict[str, Any]] = {}
    for answer in found.values():
        for trail in answer.data.get("trailList") or ():
            known.setdefault(trail["TrailARN"], dict(trail))
    for arn, trail in known.items():
        client = aws.client("cloudtrail", account=account, region=trail.get("HomeRegion") or arn.split(":")[3])
        trail["status"] = ask(client, "GetTrailStatus", {"Name": arn})
        trail["selectors"] = ask(client, "GetEventSelectors", {"TrailName": arn})
    return known


def trail_rows(account: str, found: Mapping[str, Answer], known: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:
    """For each Region: whether a trail is on, signs its log files, and records data events."""
    for region, answer in found.items():
        here = [known[trail["TrailARN"]] for trail in answer.data.get("trailList") or ()]
        if answer.result != "ok":
            for what in ("trail", "log file validation", "data events"):
                yield Row(account, region, what, "unknown", answer.detail)
            continue
        on = [trail for trail in here if trail["status"].data.get("IsLogging")]
        blind = [trail["status"] for trail in here if trail["status"].result != "ok"]
        if not on and blind:
            yield Row(account, region, "trail", "unknown", blind[0].detail)
        elif not on:
            stopped = ", ".join(trail["Name"] for trail in here)
            yield Row(account, region, "trail", "off", f"stopped: {stopped}" if stopped else "no trail")
        else:
            yield Row(account, region, "trail", "ok", "; ".join(map(_described, on)))
        signed = [trail["Name"] for trail in on if trail.get("LogFileValidationEnabled")]
        yield _of_trails(account, region, "log file validation", on, blind, ", ".join(signed))
        unread = [trail["selectors"] for trail in on if trail["selectors"].result != "ok"]
        kinds = sorted({kind for trail in on for kind in data_events(trail["selectors"].data)})
        yield _of_trails(account, region, "data events", on, blind + unread, ", ".join(kinds))


def _of_trails(
    account: str, region: str, what: str, on: list[Mapping[str, Any]], blind: list[Answer], said: str
) -> Row:
    """Row of what a trail does besides logging: unknown where a trail could not be asked and no other does it."""
    if said or not blind:
        return Row(account, region, what, "ok" if said else "off", said or ("" if on else "no trail is on"))
    return Row(account, region, what, "unknown", blind[0].detail)


def _described(trail: Mapping[str, Any]) -> str:
    extent = "organization, " if trail.get("IsOrganizationTrail") else ""
    extent += "all Regions" if trail.get("IsMultiRegionTrail") else "one Region"
    prefix = f"/{trail['S3KeyPrefix']}" if trail.get("S3KeyPrefix") else ""
    failing = trail["status"].data.get("LatestDeliveryError")
    late = f", but its last delivery failed: {failing}" if failing else ""
    return f"{trail['Name']} ({extent}) to s3://{trail.get('S3BucketName')}{prefix}{late}"


def data_events(selectors: Mapping[str, Any]) -> set[str]:
    """Types of resources whose data events are recorded, in part or whole, by the answer of GetEventSelectors."""
    found = {
        resource["Type"] for one in selectors.get("EventSelectors") or () for resource in one.get("DataResources") or ()
    }
    for one in selectors.get("AdvancedEventSelectors") or ():
        fields = {part["Field"]: part.get("Equals") or [] for part in one.get("FieldSelectors") or ()}
        if "Data" in fields.get("eventCategory", ()):
            found |= set(fields.get("resources.type", ()))
    return found


def guardduty(account: str, region: str, answers: Answers) -> Row:
    """Whether GuardDuty is on."""
    listed, got = answers.get("ListDetectors"), answers.get("GetDetector")
    if listed is None or listed.result != "ok":
        return _unknown(account, region, "GuardDuty", listed)
    if not listed.data.get("DetectorIds"):
        return Row(account, region, "GuardDuty", "off", "no detector")
    if got is None or got.result != "ok":
        return _unknown(account, region, "GuardDuty", got)
    enabled = got.data.get("Status") == "ENABLED"
    how_often = str(got.data.get("FindingPublishingFrequency") or "")
    return Row(account, region, "GuardDuty", *(("ok", how_often.lower()) if enabled else ("off", "suspended")))


def security_hub(account: str, region: str, answers: Answers) -> Row:
    """Whether Security Hub is on."""
    answer = answers.get("DescribeHub")
    if answer is None or answer.result not in {"ok", "off"}:
        return _unknown(account, region, "Security Hub", answer)
    return Row(account, region, "Security Hub", answer.result, answer.detail)


def config(account: str, region: str, answers: Answers) -> Row:
    """Whether Config records."""
    answer = answers.get("DescribeConfigurationRecorderStatus")
    if answer is None or answer.result != "ok":
        return _unknown(account, region, "Config", answer)
    recorders = answer.data.get("ConfigurationRecordersStatus") or []
    if any(one.get("recording") for one in recorders):
        return Row(account, region, "Config", "ok")
    return Row(account, region, "Config", "off", "its recorder is stopped" if recorders else "no recorder")


def _unknown(account: str, region: str, what: str, answer: Answer | None) -> Row:
    return Row(account, region, what, "unknown", answer.detail if answer else "not asked")
