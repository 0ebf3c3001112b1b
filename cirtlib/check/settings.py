"""What is switched on in an account and Region: trail, digests, data events, GuardDuty, Security Hub, Config.

Source of the fields: API references of AWS CloudTrail, Amazon GuardDuty, AWS Security Hub and AWS Config.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cirtlib.aws import Aws
from cirtlib.check.calls import Answer, Row, ask, calls, row

Answers = Mapping[str, Answer]


@dataclass(frozen=True)
class Trail:
    """A trail, as DescribeTrails gives it; who was asked about it, in its home Region, and what the answers were."""

    arn: str
    account: str
    region: str
    said: Mapping[str, Any]
    answers: dict[str, Answer]

    def answer(self, operation: str) -> Answer:
        """Answer to one call of scope `trail` in data/check_calls.tsv."""
        return self.answers[operation]

    @property
    def is_on(self) -> bool:
        """Whether it logs now."""
        return bool(self.answer("GetTrailStatus").data.get("IsLogging"))


def trails(found: Mapping[str, Mapping[str, Answer]]) -> list[Trail]:
    """All trails, each once; nothing is asked yet. `found`: account -> Region -> answer of DescribeTrails there.

    Its own account is to be asked of a trail, where it is one of these; else the first that sees it.
    """
    known: dict[str, Trail] = {}
    for account, regions in found.items():
        for answer in regions.values():
            for said in answer.data.get("trailList") or ():
                _, _, _, region, owner, _ = said["TrailARN"].split(":", 5)
                asking = owner if owner in found else account
                trail = Trail(said["TrailARN"], asking, said.get("HomeRegion") or region, said, {})
                known.setdefault(trail.arn, trail)
    return list(known.values())


def learn(aws: Aws, trail: Trail, sources: frozenset[str]) -> None:
    """Ask about one trail.

    Raises
    ------
    AccessError
        when the credentials have run out.
    """
    client = aws.client("cloudtrail", account=trail.account, region=trail.region)
    for call in calls():
        if call.scope == "trail" and call.sources & sources:
            trail.answers[call.operation] = ask(client, call, {"{trail}": trail.arn})


def call_rows(trail: Trail, sources: frozenset[str]) -> Iterator[Row]:
    """Rows of the calls about a trail that these sources need; another account's trail is that one's to be asked."""
    if trail.account == trail.arn.split(":")[4]:
        for call in calls():
            if call.operation in trail.answers and call.scope == "trail" and call.sources & sources:
                yield row(call, trail.account, trail.region, trail.answers[call.operation], sources)


def trail_rows(account: str, found: Mapping[str, Answer], known: Mapping[str, Trail]) -> Iterator[Row]:
    """For each Region of an account: whether a trail is on, signs its log files, and records data events."""
    for region, answer in found.items():
        here = [known[said["TrailARN"]] for said in answer.data.get("trailList") or ()]
        on = [trail for trail in here if trail.is_on]
        blind = [status for trail in here if (status := trail.answer("GetTrailStatus")).result != "ok"]
        blind += [answer] if answer.result != "ok" else []
        stopped = ", ".join(trail.said["Name"] for trail in here)
        missing = f"stopped: {stopped}" if stopped else "no trail"
        yield _of_trails((account, region, "trail"), "; ".join(map(_described, on)), blind, missing)
        signed = [trail.said["Name"] for trail in on if trail.said.get("LogFileValidationEnabled")]
        yield _of_trails((account, region, "log file validation"), ", ".join(signed), blind, "" if on else missing)
        selectors = [trail.answer("GetEventSelectors") for trail in on]
        kinds = sorted({kind for one in selectors for kind in data_events(one.data)})
        unread = blind + [one for one in selectors if one.result != "ok"]
        yield _of_trails((account, region, "data events"), ", ".join(kinds), unread, "" if on else missing)


def _of_trails(what: tuple[str, str, str], said: str, blind: list[Answer], missing: str) -> Row:
    """Row of what some trail does: unknown where one could not be asked and no other does it."""
    if said:
        return Row(*what, "ok", said)
    return Row(*what, "unknown", blind[0].detail) if blind else Row(*what, "off", missing)


def _described(trail: Trail) -> str:
    said = trail.said
    extent = "organization, " if said.get("IsOrganizationTrail") else ""
    extent += "all Regions" if said.get("IsMultiRegionTrail") else "one Region"
    prefix = f"/{said['S3KeyPrefix']}" if said.get("S3KeyPrefix") else ""
    failing = trail.answer("GetTrailStatus").data.get("LatestDeliveryError")
    late = f", but its last delivery failed: {failing}" if failing else ""
    return f"{said['Name']} ({extent}) to s3://{said.get('S3BucketName')}{prefix}{late}"


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
