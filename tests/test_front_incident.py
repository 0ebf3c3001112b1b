"""The exposed-credentials incident in emulated accounts: the same evidence by every way that an investigator has."""

import datetime as dt
import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cirtlib.aws import Aws, regions

pytestmark = pytest.mark.integration


def in_files(folder):
    """Records of the incident's log files, each once: (account, Region) -> event id -> record."""
    found = {}
    for path in folder.rglob("CloudTrail/**/*.json.gz"):
        for record in json.loads(gzip.decompress(path.read_bytes()))["Records"]:
            where = record["recipientAccountId"], record["awsRegion"]
            found.setdefault(where, {})[record["eventID"]] = record
    return found


def test_event_history_holds_what_the_logs_hold(responder, incident):
    """Page by page, every account and Region tells the management events that the log files hold, text for text."""
    aws = Aws(responder.case_access())
    expected = in_files(incident[0].path.parent / "source" / "logs")
    for (account, region), records in sorted(expected.items()):
        pages = aws.client("cloudtrail", account=account, region=region).get_paginator("lookup_events").paginate()
        rows = [row for page in pages for row in page["Events"]]
        assert {row["EventId"]: json.loads(row["CloudTrailEvent"]) for row in rows} == records


def test_the_bucket_holds_the_folder(responder, incident):
    """Each file of the folder lies in the trail's bucket under its path."""
    folder = incident[0].path.parent / "source" / "logs"
    s3 = Aws(responder.case_access()).client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=responder.buckets["logs"])
    sizes = {one["Key"]: one["Size"] for page in pages for one in page["Contents"]}
    files = list(folder.rglob("*.gz"))
    assert sizes == {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def test_every_region_with_events_is_enabled(responder, incident):
    """Whoever asks for the enabled Regions of an account misses none in which something happened."""
    aws = Aws(responder.case_access())
    logged = set(in_files(incident[0].path.parent / "source" / "logs"))
    enabled = {account: regions(aws, account) for account in {account for account, _ in logged}}
    assert logged <= {(account, region) for account, found in enabled.items() for region in found}


def test_findings_are_those_of_the_export(responder, incident):
    """Through the API lie the findings of the GuardDuty export and of the Security Hub dump, in all Regions."""
    folder = incident[0].path.parent / "source" / "findings"
    exported = [
        json.loads(line)
        for path in folder.rglob("*.jsonl.gz")
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]
    dumped = json.loads((folder / "security_hub.json").read_text(encoding="utf-8"))["Findings"]
    aws, found, hub = Aws(responder.case_access()), set(), set()
    for account, region in {(one["accountId"], one["region"]) for one in exported}:
        guardduty = aws.client("guardduty", account=account, region=region)
        (detector,) = guardduty.list_detectors()["DetectorIds"]
        pages = guardduty.get_paginator("list_findings").paginate(DetectorId=detector)
        ids = [one for page in pages for one in page["FindingIds"]]
        found |= {one["Arn"] for one in guardduty.get_findings(DetectorId=detector, FindingIds=ids)["Findings"]}
    for account, region in {(one["AwsAccountId"], one["Region"]) for one in dumped}:
        pages = aws.client("securityhub", account=account, region=region).get_paginator("get_findings").paginate()
        hub |= {one["Id"] for page in pages for one in page["Findings"]}
    assert found == {one["arn"] for one in exported}
    assert hub == {one["Id"] for one in dumped}


def test_aws_cli_looks_up_events(responder, incident):
    """The AWS CLI finds the call that the investigation starts from, and is refused what is denied."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    account = incident[1]["logging"]["trail"].split(":")[4]

    def aws(*arguments):
        command = ["aws", "--profile", responder.profiles[account], "--output", "json", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    stop = ["cloudtrail", "lookup-events", "--lookup-attributes", "AttributeKey=EventName,AttributeValue=StopLogging"]
    events = json.loads(aws(*stop).stdout)["Events"]
    assert events
    assert {event["EventName"] for event in events} == {"StopLogging"}
    responder.faults.deny = {("cloudtrail", "LookupEvents")}
    assert "AccessDeniedException" in aws(*stop).stderr


def test_aws_cli_finds_the_logs_intact(responder, incident):
    """AWS's own check of digests, signatures and log files finds nothing amiss with what the emulated accounts hold."""
    if not (incident[0].path.parent / "source" / "public-keys.json").is_file():
        pytest.skip("the generator signs no digests")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    day, trail = incident[0].as_of.date(), f"arn:aws:cloudtrail:us-east-1:{responder.home}:trail/org-management-trail"
    span = ["--start-time", f"{day - dt.timedelta(days=2)}T00:00:00Z", "--end-time", f"{day}T00:00:00Z"]
    command = [
        "aws",
        "--profile",
        responder.profiles[responder.home],
        "cloudtrail",
        "validate-logs",
        "--trail-arn",
        trail,
    ]
    command += ["--account-id", responder.home, *span]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    checked = {kind: part for part, kind in re.findall(r"(\d+/\d+) (digest|log) files valid", said)}
    assert len(checked) == 2, said
    assert all(part.split("/")[0] == part.split("/")[1] for part in checked.values()), said
