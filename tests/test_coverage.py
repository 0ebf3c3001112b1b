"""What was not seen is told: days, files, Regions, logging that was off, and kinds of events that are not there."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from digest_chain import Bucket, Trail, inside, packed
from test_collect import GUARDDUTY
from test_records import event, text
from test_store import logs

from cirtlib.case import Case, new_case
from cirtlib.collect import collect
from cirtlib.coverage import coverage, gaps, summary

ACCOUNT = "111122223333"
TRAIL = f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/main"


def key(day: int, name: str = "a", what: str = "CloudTrail", region: str = "us-east-1") -> str:
    stem = f"{ACCOUNT}_{what}_{region}_202606{day:02d}T0000Z_{name}.json.gz"
    return f"AWSLogs/{ACCOUNT}/{what}/{region}/2026/06/{day:02d}/{stem}"


def at(day: int, number: int, hour: int = 12, **changes: Any) -> dict[str, Any]:
    return event(number, eventTime=f"2026-06-{day:02d}T{hour:02d}:00:00Z", eventCategory="Management", **changes)


def trail(day: int, number: int, name: str, **changes: Any) -> dict[str, Any]:
    request = changes.pop("request", {"name": TRAIL})
    called = {"eventSource": "cloudtrail.amazonaws.com", "eventName": name, "requestParameters": request}
    return at(day, number, **called, managementEvent=True, **changes)


def made(folder: Path, files: dict[str, bytes], **content: Any) -> Case:
    for name, data in files.items():
        (folder / "logs" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "logs" / name).write_bytes(data if name.endswith("jsonl") else gzip.compress(data, mtime=0))
    content = {
        "as_of": "2026-06-20T00:00:00Z",
        "sources": [{"cloudtrail": {"folder": str(folder / "logs")}}],
        **content,
    }
    case = new_case(folder / "case", content)
    collect(case, processes=1)
    return case


def statuses(case: Case) -> dict[tuple[str | None, str | None, str | None], str]:
    frame = coverage(case).astype(object)
    frame = frame.where(frame.notna(), None)
    return {(row.region, row.day, row.status): row.reason for row in frame.itertuples()}


def test_days_without_objects_are_told_apart_by_what_else_the_account_delivered(tmp_path: Path) -> None:
    """Nothing of an account on a day of its time is a gap; a silent Region beside others may just be quiet."""
    files = {key(2): logs(at(2, 1), at(2, 2)), key(3): logs(at(3, 3)), key(6): logs(at(6, 4))}
    files[key(4, region="eu-west-1")] = logs(at(4, 5, awsRegion="eu-west-1"))
    case = made(tmp_path, files)
    frame = coverage(case)
    assert list(frame.columns) == [
        "source", "account", "region", "day", "extent", "status", "objects", "events", "reason",
    ]  # fmt: skip
    found = statuses(case)
    absent = {(region, day[-2:]): reason for (region, day, status), reason in found.items() if status == "absent"}
    assert set(absent) == {
        ("us-east-1", "04"), ("us-east-1", "05"), ("eu-west-1", "02"), ("eu-west-1", "03"), ("eu-west-1", "05"),
        ("eu-west-1", "06"),
    }  # fmt: skip
    assert absent["us-east-1", "05"] == absent["eu-west-1", "05"] == "no objects were collected of this account"
    assert "perhaps there was nothing" in absent["us-east-1", "04"]
    assert frame.loc[
        frame["day"].eq("2026-06-02") & frame["events"].gt(0), ["objects", "events"]
    ].to_numpy().tolist() == [[1, 2]]
    (gap,) = [gap for gap in gaps(case) if gap["reason"].startswith("no objects were collected of this account")]
    assert (gap["account"], gap["region"]) == (ACCOUNT, None)
    assert (gap["from"], gap["to"]) == ("2026-06-05T00:00:00Z", "2026-06-06T00:00:00Z")
    assert "eu-west-1, us-east-1" in gap["reason"]
    (quiet,) = [gap for gap in gaps(case) if "perhaps" in gap["reason"]]
    assert quiet["reason"].startswith("4 days of 2 Regions")


def test_a_busy_region_that_falls_silent_is_a_gap_of_its_own(tmp_path: Path) -> None:
    """On a working day such as those with many events; at a weekend, when it is always quiet, it is not."""
    files = {key(day, region="eu-west-1"): logs(at(day, day, awsRegion="eu-west-1")) for day in range(1, 16)}
    for day in (1, 2, 3, 5, 8, 9, 10, 11, 12, 15):  # the 4th is a Thursday; 6, 7, 13 and 14 are weekends
        files[key(day)] = logs(*(at(day, 100 * day + number) for number in range(30)))
    case = made(tmp_path, files)
    busy = [gap for gap in gaps(case) if "usually busy" in gap["reason"]]
    assert [(gap["region"], gap["from"]) for gap in busy] == [("us-east-1", "2026-06-04T00:00:00Z")]
    assert "usually 30 events" in statuses(case)["us-east-1", "2026-06-04", "absent"]
    assert "perhaps" in statuses(case)["us-east-1", "2026-06-06", "absent"]


def test_days_outside_the_window_and_its_baseline_do_not_matter(tmp_path: Path) -> None:
    """A gap of months before the incident is not reported."""
    window = {"start": "2026-06-08T00:00:00Z", "end": "2026-06-12T00:00:00Z"}
    files = {key(1): logs(at(1, 1)), key(7): logs(at(7, 2)), key(9): logs(at(9, 3))}
    case = made(tmp_path, files, window=window, baseline_days=2)
    assert [day for _, day, status in statuses(case) if status == "absent"] == ["2026-06-08"]


def delivered(folder: Path, *, damage: Any = None) -> Case:
    """Three days of one trail: log files, then a day of digests without any, then log files again."""
    bucket = Bucket()
    trail_ = Trail(bucket, at=datetime(2026, 6, 2, tzinfo=UTC)).hours(24).hours(24, empty=True).hours(24)
    if damage:
        damage(bucket, trail_)
    return made(folder, {name: inside(data) for name, data in bucket.objects.items()})


def test_digests_tell_empty_days(tmp_path: Path) -> None:
    """A day whose digests name no file is empty, not absent; nothing is a gap then."""
    case = delivered(tmp_path)
    found = statuses(case)
    assert ("us-east-1", "2026-06-03", "empty") in found
    assert "24 digests" in found["us-east-1", "2026-06-03", "empty"]
    assert not [status for *_, status in found if status in {"absent", "missing", "failed"}]


def test_digests_tell_missing_and_changed_files(tmp_path: Path) -> None:
    """Files that a digest names and nobody has, digests that are not there, and log files that were changed."""

    def damage(bucket: Bucket, trail_: Trail) -> None:
        for name in (trail_.logs[0], trail_.logs[1], trail_.digests[30], trail_.digests[31]):
            bucket.delete(name)
        bucket.objects[trail_.logs[-1]] = packed({"Records": []})

    case = delivered(tmp_path, damage=damage)
    found = statuses(case)
    assert "digests name 2 files" in found["us-east-1", "2026-06-02", "missing"]
    assert "2 digests are missing" in found["us-east-1", "2026-06-03", "missing"]
    assert "1 log files are not what" in found["us-east-1", "2026-06-04", "failed"]
    told = [gap["reason"] for gap in gaps(case)]
    assert sum("digests name 2 files" in reason or "2 digests are missing" in reason for reason in told) == 2
    assert any("not what their digest says" in reason for reason in told)


def test_digests_tell_of_a_trail_that_was_stopped(tmp_path: Path) -> None:
    """No digests, no log files and a chain that starts anew are a window without logging, whoever stopped it."""
    bucket = Bucket()
    Trail(bucket, at=datetime(2026, 6, 2, tzinfo=UTC)).hours(20).pause(30).hours(20)
    case = made(tmp_path, {name: inside(data) for name, data in bucket.objects.items()})
    (off,) = windows(case)
    assert (off["from"], off["to"]) == ("2026-06-02T20:00:00Z", "2026-06-04T02:00:00Z")
    assert (off["account"], off["region"]) == (ACCOUNT, "us-east-1")
    assert statuses(case)["us-east-1", "2026-06-03", "absent"] == "no objects were collected: logging was off"


def test_what_could_not_be_read_is_failed(tmp_path: Path) -> None:
    """The row says how many and why, for the day that the name tells."""
    case = made(tmp_path, {key(2): logs(at(2, 1)), key(3): logs(at(3, 2))[:-30], key(4): b'{"Records": []}'})
    found = statuses(case)
    assert "1 rejected" in found["us-east-1", "2026-06-03", "failed"]
    assert ("us-east-1", "2026-06-04", "read") in found
    assert any("rejected" in gap["reason"] and gap["from"] == "2026-06-03T00:00:00Z" for gap in gaps(case))


def windows(case: Case) -> list[dict[str, Any]]:
    return [gap for gap in gaps(case) if gap["reason"].startswith("logging off")]


def test_logging_off_is_told_from_stop_to_start(tmp_path: Path) -> None:
    """The trail may be named or given as ARN; both records are cited, and what is seen nevertheless is counted."""
    calls = [
        trail(2, 1, "StopLogging"),
        at(3, 2),
        trail(4, 3, "StartLogging", request={"name": "main"}),
        trail(4, 4, "StopLogging", request={"name": "other"}, hour=13),
        trail(5, 5, "StopLogging", request={"name": "third"}, errorCode="AccessDenied"),
        trail(5, 6, "StartLogging", request={"name": "never-stopped"}),
    ]
    first, second = windows(made(tmp_path, {key(2): logs(*calls)}))
    assert (first["from"], first["to"]) == ("2026-06-02T12:00:00Z", "2026-06-04T12:00:00Z")
    assert (first["account"], first["region"]) == (ACCOUNT, "us-east-1")
    assert calls[0]["eventID"] in first["reason"]
    assert calls[2]["eventID"] in first["reason"]
    assert "1 records of the account are there nevertheless" in first["reason"]
    assert (second["from"], second["to"]) == ("2026-06-04T13:00:00Z", None)
    assert "still so at the end" in second["reason"]


def test_a_trail_of_all_regions_is_off_in_all_of_them(tmp_path: Path) -> None:
    """What CreateTrail said of it is remembered."""
    calls = [
        trail(2, 1, "CreateTrail", request={"name": "main", "isMultiRegionTrail": True}),
        trail(3, 2, "StopLogging"),
        trail(4, 3, "DeleteTrail", request={"name": "elsewhere"}),
    ]
    first, second = windows(made(tmp_path, {key(2): logs(*calls)}))
    assert (first["region"], second["region"]) == (None, "us-east-1")
    assert "DeleteTrail" in second["reason"]


@pytest.mark.parametrize(
    ("name", "request_", "said"),
    [
        ("UpdateTrail", {"name": TRAIL, "isMultiRegionTrail": False}, "one Region only"),
        ("UpdateTrail", {"name": TRAIL, "s3BucketName": "elsewhere"}, "bucket elsewhere"),
        ("UpdateTrail", {"name": TRAIL, "enableLogFileValidation": False}, "no digests"),
        (
            "PutEventSelectors",
            {"trailName": "main", "eventSelectors": [{"includeManagementEvents": False}]},
            "no manag",
        ),
        ("PutEventSelectors", {"trailName": "main", "eventSelectors": [{"readWriteType": "ReadOnly"}]}, "ReadOnly"),
        ("PutEventSelectors", {"trailName": "main", "advancedEventSelectors": [{"name": "x"}]}, "advanced"),
        ("PutEventSelectors", {"trailName": "main", "eventSelectors": [{"readWriteType": "All"}]}, None),
        ("UpdateTrail", {"name": TRAIL, "isMultiRegionTrail": True}, None),
        ("UpdateTrail", "nonsense", None),
    ],
)
def test_a_trail_that_records_less_is_told(tmp_path: Path, name: str, request_: Any, said: str | None) -> None:
    """How it was changed is said; a change that takes nothing away is no gap."""
    case = made(tmp_path, {key(2): logs(trail(2, 1, name, request=request_))})
    found = [gap["reason"] for gap in gaps(case) if "record less" in gap["reason"]]
    assert len(found) == (said is not None)
    assert said is None or (said in found[0] and "main" in found[0] and event(1)["eventID"] in found[0])


def test_data_events_that_are_not_there_are_told(tmp_path: Path) -> None:
    """One of S3 is enough for S3, and says nothing of Lambda."""
    case = made(tmp_path / "none", {key(2): logs(at(2, 1, managementEvent=True))})
    assert sum("data events are not seen" in gap["reason"] for gap in gaps(case)) == 2
    case = made(tmp_path / "one", {key(2): logs(event(1, eventCategory="Data"))})
    (left,) = [gap["reason"] for gap in gaps(case) if "data events are not seen" in gap["reason"]]
    assert left.startswith("Lambda")


def test_nothing_after_the_last_record_is_told_for_case_and_account(tmp_path: Path) -> None:
    """An account that falls silent a day before the others is named."""
    other = at(5, 2, recipientAccountId="444455556666")
    found = gaps(made(tmp_path, {key(2): logs(at(2, 1), other)}))
    ends = {gap["account"]: (gap["from"], gap["to"]) for gap in found if "after" in gap["reason"]}
    assert ends == {
        None: ("2026-06-05T12:00:00Z", "2026-06-20T00:00:00Z"),
        ACCOUNT: ("2026-06-02T12:00:00Z", "2026-06-05T12:00:00Z"),
    }


def test_gaps_have_the_shape_of_the_schema_and_come_in_order(tmp_path: Path) -> None:
    """Keys are those of scope's schema; every call gives the same."""
    case = made(tmp_path, {key(2): logs(at(2, 1), trail(3, 2, "StopLogging")), key(6): logs(at(6, 3))})
    found = gaps(case)
    assert all(list(gap) == ["account", "region", "from", "to", "reason"] for gap in found)
    assert found == gaps(case) == json.loads(json.dumps(found))
    assert [gap["from"] or "" for gap in found] == sorted(gap["from"] or "" for gap in found)


def test_findings_are_in_the_ledger_under_their_source(tmp_path: Path) -> None:
    """A finding counts for the day it was updated."""
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "1.json").write_bytes(text(GUARDDUTY))
    sources = [{"guardduty": {"folder": str(tmp_path / "found")}}]
    frame = coverage(made(tmp_path, {}, sources=sources))
    assert frame[["source", "account", "region", "day", "status", "events"]].to_numpy().tolist() == [
        ["guardduty", ACCOUNT, "us-east-1", "2026-06-10", "read", 1]
    ]


def test_a_case_without_evidence_has_an_empty_ledger(tmp_path: Path) -> None:
    """Nothing was collected, and that is said."""
    case = new_case(tmp_path / "case", {"sources": []})
    assert len(coverage(case)) == 0
    assert any("no CloudTrail records" in gap["reason"] for gap in gaps(case))
    assert "0 objects" in summary(case)


def test_the_summary_is_one_paragraph(tmp_path: Path) -> None:
    """It names what was read and what was not."""
    case = made(tmp_path, {key(2): logs(at(2, 1), trail(3, 2, "StopLogging")), key(6): logs(at(6, 3))})
    said = summary(case)
    assert "\n" not in said
    for part in (
        "2 objects held 3 records",
        "3 were kept",
        "1 accounts and 1 Regions",
        "Logging was off in 1",
        "Lambda",
    ):
        assert part in said, said
