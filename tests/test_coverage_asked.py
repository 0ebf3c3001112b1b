"""What was asked of a bucket, of event history and of an account's settings is in the ledger, with how it ended."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from test_coverage import ACCOUNT, TRAIL, at, key, made, statuses, windows
from test_store import logs

from cirtlib import evidence
from cirtlib.case import Case, new_case
from cirtlib.coverage import coverage, gaps, kinds, look, summary
from cirtlib.coverage.selectors import Part, parts
from cirtlib.coverage.settings import moment

WINDOW = {"start": "2026-06-08T00:00:00Z", "end": "2026-06-10T00:00:00Z"}


def slice_line(name: str, status: str, place: str = "event_history", **said: Any) -> dict[str, Any]:
    one = {
        "name": name, "status": status, "account": ACCOUNT, "region": "eu-west-1", "start": "", "end": "",
        "extent": "all", "reason": "", "facts": {}, **said,
    }  # fmt: skip
    return {"place": place, "source": "cloudtrail", "object": None, "collected_at": "", "slice": one, "batch": "x"}


def listing(status: str, region: str, kind: str = "CloudTrail", **said: Any) -> dict[str, Any]:
    facts = {"facts": {"kind": kind, "objects": 1, "bytes": 1}} if status in {"read", "empty"} else {}
    name = f"list:AWSLogs/{ACCOUNT}/{kind}/{region}/"
    return slice_line(name, status, "s3://bucket", region=region, start="2026-06-06T00:00:00Z", **facts, **said)


def with_lines(case: Case, *lines: dict[str, Any]) -> Case:
    evidence.prepare(case)
    manifest = evidence.Manifest(case)
    manifest.append(lines)
    manifest.close()
    return case


def empty_case(folder: Path, **content: Any) -> Case:
    content = {"as_of": "2026-06-20T00:00:00Z", "window": WINDOW, "baseline_days": 2, "sources": [], **content}
    return new_case(folder / "case", content)


def test_a_listing_tells_what_was_asked_and_nothing_more(tmp_path: Path) -> None:
    """Days of a listed Region without objects are absent; a Region that nobody listed is not claimed at all."""
    case = made(tmp_path, {key(8): logs(at(8, 1))}, window=WINDOW, baseline_days=2)
    with_lines(
        case,
        listing("read", "us-east-1"),
        listing("empty", "eu-west-1"),
        listing("read", "eu-west-2", "CloudTrail-Digest"),
    )
    found = statuses(case)
    days = sorted(day for region, day, status in found if (region, status) == ("eu-west-1", "absent"))
    assert days == ["2026-06-06", "2026-06-07", "2026-06-08", "2026-06-09", "2026-06-10"]
    assert found["us-east-1", "2026-06-07", "absent"] == "no objects were collected of this account"
    assert not [region for region, *_ in found if region == "eu-west-2"]


def test_what_was_denied_is_a_gap_with_its_reason(tmp_path: Path) -> None:
    """One row a day of the window and its baseline, one gap for all; the last answer to the same question stands."""
    refused = {"reason": "s3://bucket/x cannot be listed: AccessDenied"}
    case = with_lines(
        empty_case(tmp_path),
        listing("failed", "eu-west-1", reason="a timeout"),
        listing("denied", "eu-west-1", **refused),
        listing("denied", "eu-west-2", **refused),
        slice_line("account:1", "denied", "guardduty_api", reason="no role", region=None) | {"source": "guardduty"},
    )
    frame = coverage(case)
    assert frame["status"].eq("denied").all()
    assert len(frame) == 2 * 5 + 1
    told = [gap for gap in gaps(case) if "denied" in gap["reason"].lower() or "no role" in gap["reason"]]
    assert len(told) == 2
    assert any("eu-west-1, eu-west-2" in gap["reason"] and gap["from"] == "2026-06-06T00:00:00Z" for gap in told)
    assert any(gap["reason"].startswith("guardduty: no role") for gap in told)
    assert "11 rows of the ledger were denied" in summary(case)


def test_many_refusals_are_few_gaps(tmp_path: Path) -> None:
    """Forty accounts with an error of their own each are one line; the ledger holds all of them."""
    lines = [
        slice_line(
            f"{n}/x", "denied", account=f"{n:012d}", reason=f"AccessDenied for {n}", start="2026-06-06T00:00:00Z"
        )
        for n in range(40)
    ]
    case = with_lines(empty_case(tmp_path), *lines)
    assert len(coverage(case)) == 40 * 5
    told = [gap["reason"] for gap in gaps(case) if "AccessDenied" in gap["reason"]]
    assert len(told) == 1
    assert "40 accounts" in told[0]


def test_an_object_says_itself_whether_it_was_denied(tmp_path: Path) -> None:
    """The entry's own status counts; a manifest of an earlier version has the reason only."""
    entry = {
        "place": "s3://bucket", "source": "cloudtrail", "object": None, "size": 0, "batch": "x", "seen": 1,
        "rejected": 1,
        "other": None, "rejections": [{"position": 0, "reason": "403", "sha256": None}],
    }  # fmt: skip
    old = {**entry, "rejections": [{"position": 0, "reason": "cannot be read: Permission denied", "sha256": None}]}
    case = with_lines(
        empty_case(tmp_path), {**entry, "name": key(7), "status": "denied"},
        {**entry, "name": key(8), "status": "failed"},
        {**old, "name": key(9)},
    )  # fmt: skip
    assert {(day, status) for _, day, status in statuses(case)} == {
        ("2026-06-07", "denied"), ("2026-06-08", "failed"), ("2026-06-09", "denied"),
    }  # fmt: skip


def test_event_history_of_one_key_covers_only_that_key(tmp_path: Path) -> None:
    """A day that was read for everything and held nothing is empty; a lookup of one key makes no claim on days."""
    everything = {
        "covered": [["2026-06-06T00:00:00Z", "2026-06-08T12:00:00Z"], ["2026-06-09T00:00:00Z", "2026-06-10T00:00:00Z"]]
    }
    one_key = {"extent": "AccessKeyId=AKIAEXAMPLE", "facts": {"covered": everything["covered"]}}
    case = with_lines(
        empty_case(tmp_path),
        slice_line("1", "read", facts=everything),
        slice_line("2", "empty", region="eu-west-2", **one_key),
    )
    frame = coverage(case)
    empty = frame[frame["region"].eq("eu-west-1")]
    assert empty["day"].tolist() == ["2026-06-06", "2026-06-07", "2026-06-09", "2026-06-10"]
    assert set(empty["source"]) == {"event history"}
    (lookup,) = frame[frame["region"].eq("eu-west-2")].itertuples()
    assert (lookup.extent, lookup.status, pd.isna(lookup.day)) == ("AccessKeyId=AKIAEXAMPLE", "empty", True)


def test_rows_of_a_lookup_have_its_extent(tmp_path: Path) -> None:
    """Events of a lookup are counted under the filter, and the day stays uncovered."""
    case = made(tmp_path, {key(8): logs(at(8, 1))}, window=WINDOW)
    text = case.manifest.read_text()
    line = json.loads(text)
    line |= {"place": "event_history", "facts": {"account": ACCOUNT, "region": "us-east-1", "extent": "AccessKeyId=X"}}
    case.manifest.write_text(json.dumps(line) + "\n")
    (row,) = coverage(case).itertuples()
    assert (row.source, row.extent, row.status, row.events) == ("event history", "AccessKeyId=X", "read", 1)
    assert "cover only what they were asked for" in summary(case)


def test_what_is_older_than_an_api_keeps_is_a_gap(tmp_path: Path) -> None:
    """Ninety days before the moment of the case, where event history or an API of findings is the only source."""
    lines = [slice_line("x/beyond", "absent", start="2026-06-06T00:00:00Z", end="2026-07-02T00:00:00Z")]
    case = with_lines(
        empty_case(tmp_path, as_of="2026-10-01T00:00:00Z", sources=[{"guardduty": {"api": True}}]), *lines
    )
    told = [gap for gap in gaps(case) if "90 days" in gap["reason"]]
    assert len(told) == 2
    assert {(gap["from"], gap["to"]) for gap in told} == {("2026-06-06T00:00:00Z", "2026-07-03T00:00:00Z")}


def answers(case: Case, *said: tuple[str, dict[str, Any]]) -> Case:
    """Put answers of CloudTrail into the case, as the account's snapshot does."""
    evidence.prepare(case)
    lines = []
    for operation, answer in said:
        facts = {
            "account": ACCOUNT,
            "region": "us-east-1",
            "service": "cloudtrail",
            "operation": operation,
            "trail": TRAIL,
        }
        data = json.dumps(answer).encode()
        lines.append({
            "name": operation, "place": "account", "source": "account", "object": evidence.keep(case, data),
            "size": len(data), "facts": facts, "collected_at": "2026-06-19T00:00:00Z", "batch": "x", "seen": 0,
            "rejected": 0, "rejections": [], "other": "account snapshot",
        })  # fmt: skip
    return with_lines(case, *lines)


DESCRIBED = {"trailList": [{"Name": "main", "TrailARN": TRAIL, "IsMultiRegionTrail": True, "HomeRegion": "us-east-1"}]}
STOPPED = datetime(2026, 6, 9, tzinfo=UTC).timestamp()


def test_the_account_tells_that_logging_is_off(tmp_path: Path) -> None:
    """Where no record of it is there: since when, in all Regions of the trail, and why days are absent."""
    files = {key(2): logs(at(2, 1)), key(12): logs(at(12, 2))}
    case = answers(
        made(tmp_path, files),
        ("DescribeTrails", DESCRIBED),
        ("GetTrailStatus", {"IsLogging": False, "StopLoggingTime": STOPPED}),
    )
    (off,) = windows(case)
    assert (off["account"], off["region"], off["from"], off["to"]) == (ACCOUNT, None, "2026-06-09T00:00:00Z", None)
    assert statuses(case)["us-east-1", "2026-06-10", "absent"].endswith("logging was off")


def test_quiet_is_likelier_where_a_trail_records_all_regions(tmp_path: Path) -> None:
    """The trail is named; that its delivery fails is a gap."""
    files = {
        key(2): logs(at(2, 1)),
        key(4): logs(at(4, 2)),
        key(3, region="eu-west-1"): logs(at(3, 3, awsRegion="eu-west-1")),
    }
    status = {
        "IsLogging": True,
        "LatestDeliveryError": "AccessDenied",
        "LatestDeliveryTime": "2026-06-05T00:00:00+00:00",
    }
    case = answers(made(tmp_path, files), ("describe_trails", DESCRIBED), ("get_trail_status", status))
    assert "while trail main recorded all Regions" in statuses(case)["us-east-1", "2026-06-03", "absent"]
    assert any("cannot deliver" in gap["reason"] and gap["from"] == "2026-06-05T00:00:00Z" for gap in gaps(case))


def test_an_account_without_a_trail_is_told(tmp_path: Path) -> None:
    """It was asked, and has none."""
    case = answers(empty_case(tmp_path), ("DescribeTrails", {"trailList": []}))
    assert any("had no trail" in gap["reason"] for gap in gaps(case))


def test_selectors_tell_what_was_recorded(tmp_path: Path) -> None:
    """Data events that are on and not there are another matter than data events that were never on."""
    selectors = {
        "TrailARN": TRAIL,
        "EventSelectors": [
            {"ReadWriteType": "All", "DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3"]}]}
        ],
    }  # fmt: skip
    network = {"eventCategory": "NetworkActivity", "managementEvent": False}
    insights = {"TrailARN": TRAIL, "InsightSelectors": [{"InsightType": "ApiCallRateInsight"}]}
    case = made(tmp_path, {key(2): logs(at(2, 1, managementEvent=True), at(2, 2) | network)})
    answers(case, ("GetEventSelectors", selectors), ("GetInsightSelectors", insights))
    found = {row.kind: (row.recorded, row.seen) for row in kinds(case).itertuples()}
    assert found["management events"] == ("all, by main", 1)
    assert found["S3 object data events"] == ("all, by main", 0)
    assert found["Lambda invocation data events"] == ("no", 0)
    assert found["s3.amazonaws.com network activity events"][1] == 1
    assert found["insights"][0] == "ApiCallRateInsight, by main"
    told = " ".join(gap["reason"] for gap in gaps(case))
    assert "S3 object data events are not seen in this evidence: though they are recorded (all, by main)" in told
    assert "Lambda invocation data events are not seen in this evidence: no trail that is known records them" in told


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, []),
        ({"eventSelectors": "nonsense"}, []),
        ({"eventSelectors": [{"readWriteType": "WriteOnly"}]}, [Part("Management", "", "writes only")]),
        (
            {"advancedEventSelectors": [{"fieldSelectors": [
                {"field": "eventCategory", "equals": ["Data"]},
                {"field": "resources.type", "equals": ["AWS::S3::Object"]},
                {"field": "resources.ARN", "startsWith": ["arn:aws:s3:::a/", "arn:aws:s3:::b/"]},
            ]}]},
            [Part("Data", "AWS::S3::Object", "resources.ARN starts with arn:aws:s3:::a/, arn:aws:s3:::b/")],
        ),
        (
            {"AdvancedEventSelectors": [{"FieldSelectors": [
                {"Field": "eventCategory", "Equals": ["NetworkActivity"]},
                {"Field": "eventSource", "Equals": ["s3.amazonaws.com"]},
            ]}]},
            [Part("NetworkActivity", "s3.amazonaws.com", "all")],
        ),
    ],
)  # fmt: skip
def test_selectors_in_words(document: dict[str, Any], expected: list[Part]) -> None:
    """Basic and advanced, as records and as answers of the API write them; nonsense is nothing."""
    assert parts(document) == expected


def test_times_of_an_answer() -> None:
    """Seconds and texts, with and without an offset; what is no time is none."""
    assert (
        moment(STOPPED)
        == moment("2026-06-09T00:00:00Z")
        == moment("2026-06-09T02:00:00+02:00")
        == "2026-06-09T00:00:00Z"
    )
    assert [moment(value) for value in (None, "", "soon", True, 1e30)] == [None] * 5


def test_the_ledger_is_read_once_for_all_of_its_forms(tmp_path: Path) -> None:
    """Table, gaps and paragraph of one look are those of the functions."""
    case = with_lines(empty_case(tmp_path), listing("denied", "eu-west-1", reason="no"))
    seen = look(case)
    assert seen.table().equals(coverage(case))
    assert seen.gaps() == gaps(case)
    assert seen.summary() == summary(case)
