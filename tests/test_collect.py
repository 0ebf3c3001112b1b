"""Collect reads whatever lies in the sources, accounts for it, and names what it cannot read."""

import gzip
import io
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from test_records import event, text
from test_store import balanced, logs, make, rows

import cirtlib
from cirtlib import store
from cirtlib.case import Case, load_case, new_case
from cirtlib.caseless import cloudtrail_files, guardduty_findings, security_hub_findings
from cirtlib.collect import collect
from cirtlib.errors import CaseError, EvidenceError

ARN = "arn:aws:guardduty:us-east-1:111122223333:detector/d0/finding/f0"
GUARDDUTY = {
    "schemaVersion": "2.0",
    "accountId": "111122223333",
    "region": "us-east-1",
    "id": "f0",
    "arn": ARN,
    "type": "Stealth:IAMUser/CloudTrailLoggingDisabled",
    "severity": 2,
    "title": "CloudTrail logging was disabled",
    "createdAt": "2026-06-10T12:10:00.000Z",
    "updatedAt": "2026-06-10T12:10:00.000Z",
    "resource": {"resourceType": "AccessKey", "accessKeyDetails": {"accessKeyId": "AKIAIOSFODNN7EXAMPLE"}},
    "service": {"detectorId": "d0", "count": 1, "archived": False},
}
ASFF = {
    "SchemaVersion": "2018-10-08",
    "Id": "arn:aws:securityhub:us-east-1:111122223333:finding/x",
    "ProductArn": "arn:aws:securityhub:us-east-1::product/aws/securityhub",
    "AwsAccountId": "111122223333",
    "Region": "us-east-1",
    "GeneratorId": "x",
    "Types": [],
    "CreatedAt": "2026-06-01T00:00:00Z",
    "UpdatedAt": "2026-06-01T00:00:00Z",
    "Severity": {"Label": "HIGH"},
    "Title": "t",
    "Description": "d",
    "Resources": [],
}
INSIGHT = {
    "eventVersion": "1.08",
    "eventTime": "2026-06-10T12:00:00Z",
    "awsRegion": "us-east-1",
    "eventID": "i-1",
    "eventType": "AwsCloudTrailInsight",
    "recipientAccountId": "111122223333",
    "insightDetails": {"state": "Start"},
    "eventCategory": "Insight",
}
AGGREGATED = {
    "eventVersion": "1.0",
    "accountId": "111122223333",
    "eventId": "a-1",
    "eventCategory": "Aggregated",
    "awsRegion": "us-east-1",
    "timeWindow": {"windowStart": "2026-06-10T12:00:00Z", "windowEnd": "2026-06-10T12:05:00Z"},
    "summary": {"primaryDimension": {}},
}
DIGEST = {"awsAccountId": "111122223333", "digestStartTime": "t", "digestS3Object": "x", "logFiles": []}


def test_every_kind_of_bad_input_is_accounted_for(tmp_path: Path) -> None:
    """Each damaged file is named with its position and reason; everything else loads."""
    whole = gzip.compress(logs(event(1), event(2)), mtime=0)
    spoilt = bytearray(gzip.compress(logs(event(3)), mtime=0))
    spoilt[-5] ^= 1
    case = make(
        tmp_path,
        {
            "good.json.gz": whole,
            "cut.json.gz": gzip.compress(logs(event(4), event(5)), 0, mtime=0)[:-200],
            "crc.json.gz": bytes(spoilt),
            "empty.json": b"",
            "words.json": b"not json",
            "null.json": b'{"Records": null}',
            "timeless.json": logs(event(6, eventTime=...), event(7)),
            "nameless.json": logs(event(8, eventID=...)),
            "digest.json.gz": gzip.compress(text(DIGEST), mtime=0),
            "insight.json": logs(INSIGHT),
            "aggregated.json": logs(AGGREGATED),
            "mixed.jsonl": b"\n".join([text(event(9)), text(DIGEST), text({"k": 1}), text(GUARDDUTY)]),
            "other.json": b'{"Version":"2012-10-17"}',
            "README.md": b"# notes",
            "LICENSE": b"Apache",
            "none.json": b"[]",
        },
    )
    account = collect(case)
    said = {(one["object"], one["position"]): one["reason"] for one in account["rejections"]}
    assert set(said) == {
        ("cut.json.gz", 1), ("crc.json.gz", 1), ("empty.json", 0), ("words.json", 0), ("null.json", 0),
        ("timeless.json", 0), ("mixed.jsonl", 2),
    }  # fmt: skip
    assert said["empty.json", 0] == "empty"
    assert said["timeless.json", 0] == "no eventTime"
    assert said["cut.json.gz", 1].startswith("truncated gzip")
    assert account["other_objects"] == ["LICENSE", "README.md", "digest.json.gz", "mixed.jsonl", "other.json"]
    assert (account["objects"], account["seen"], account["kept"], account["rejected"]) == (16, 17, 10, 7)
    assert len(rows(case, "insights")) == len(rows(case, "aggregated")) == len(rows(case, "findings")) == 1
    assert rows(case, "insights")[0]["account_id"] == "111122223333"
    assert json.loads(rows(case, "aggregated")[0]["record"]) == AGGREGATED
    balanced(case)


def test_an_account_is_read_from_the_path_where_the_record_names_none(tmp_path: Path) -> None:
    """Then from the caller; the record that names its own is believed."""
    folder = (
        tmp_path / "logs" / "AWSLogs" / "o-abc123" / "444455556666" / "CloudTrail" / "us-east-1" / "2026" / "06" / "10"
    )
    folder.mkdir(parents=True)
    (folder / "a.json").write_bytes(logs(event(1, recipientAccountId=...), event(2)))
    (tmp_path / "logs" / "b.json").write_bytes(logs(event(3, recipientAccountId=...)))
    case = new_case(tmp_path / "case", {"sources": [{"cloudtrail": {"folder": str(tmp_path / "logs")}}]})
    collect(case)
    found = {row["eventid"][-1]: row["account_id"] for row in rows(case)}
    assert found == {"1": "444455556666", "2": "111122223333", "3": "111122223333"}


def test_each_version_of_a_finding_is_kept_and_each_once(tmp_path: Path) -> None:
    """An exact repeat is a duplicate, in whatever order its keys are."""
    later = GUARDDUTY | {"updatedAt": "2026-06-11T01:00:00.000Z", "service": {"detectorId": "d0", "count": 4}}
    again = dict(reversed(GUARDDUTY.items()))
    files = {"1.jsonl": b"\n".join(map(text, (GUARDDUTY, later))), "2.json": text({"Findings": [again, ASFF]})}
    case = make(tmp_path, files)
    account = collect(case)
    assert (account["seen"], account["kept"], account["duplicate"]) == (4, 3, 1)
    assert Counter(row["finding_id"] for row in rows(case, "findings"))[ARN] == 2
    assert {row["day"] for row in rows(case, "findings")} == {"2026-06-01", "2026-06-10", "2026-06-11"}
    balanced(case)


def test_a_file_named_by_two_sources_is_one_object(tmp_path: Path) -> None:
    """Logs and findings may lie in one folder."""
    case = make(tmp_path, {"1.json": logs(event(1)), "2.json": text(GUARDDUTY)})
    folder = str(tmp_path / "logs")
    sources = [{kind: {"folder": folder}} for kind in ("cloudtrail", "findings")]
    case = new_case(tmp_path / "both", {"sources": [*sources, {"cloudtrail": {"folder": f"{folder}/1.json"}}]})
    account = collect(case)
    assert (account["objects"], account["seen"], account["kept"], account["duplicate"]) == (2, 2, 2, 0)


def test_a_new_version_of_a_file_is_read_and_the_old_one_stays(tmp_path: Path) -> None:
    """Evidence that was there once is not lost when the file grows."""
    case = make(tmp_path, {"1.json": logs(event(1))})
    collect(case)
    (tmp_path / "logs" / "1.json").write_bytes(logs(event(1), event(2)))
    account = collect(case)
    assert (account["objects"], account["kept"], account["duplicate"], account["new"]) == (2, 2, 1, 1)
    (tmp_path / "logs" / "1.json").unlink()
    assert collect(case)["kept"] == 2


def test_a_file_that_becomes_readable_is_no_rejection_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure stays in the manifest, and counts only as long as it lasts."""
    case = make(tmp_path, {"1.json": logs(event(1))})
    real = Path.open

    def refuse(file: Path, *arguments: Any, **named: Any) -> Any:
        if file.name == "1.json":
            raise PermissionError(13, "Permission denied", str(file))
        return real(file, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        account = collect(case)
        assert collect(case) == {**account, "new": 0}
    assert account["rejections"] == [{"object": "1.json", "position": 0, "reason": "cannot be read: Permission denied"}]
    assert (account["seen"], account["rejected"]) == (1, 1)
    again = collect(case)
    assert (again["seen"], again["kept"], again["rejected"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"cloudtrail": {"ftp": "ftp://bucket/AWSLogs/"}}, "cloudtrail names ftp: write one of"),
        ({"cloudtrail": {"api": True}}, "cloudtrail names api"),
        ({"account": {"folder": "logs"}}, "account names folder"),
        ({"cloudtrail": {"folder": "logs", "s3": "s3://b"}}, "names folder, s3"),
        ({"cloudtrail": {}}, "names nothing"),
        ({"cloudtrail": {"folder": "nowhere/logs"}}, "nowhere/logs"),
    ],
)
def test_a_source_that_cannot_be_read_is_named_before_anything_is_read(
    tmp_path: Path, source: dict[str, Any], said: str
) -> None:
    """The message says what can be read, or which folder is missing."""
    (tmp_path / "logs").mkdir()
    case = new_case(tmp_path / "case", {"sources": [{"cloudtrail": {"folder": str(tmp_path / "logs")}}, source]})
    with pytest.raises(CaseError, match=said):
        collect(case)
    assert not case.evidence.exists()


def test_a_second_collect_at_the_same_time_is_refused(tmp_path: Path) -> None:
    """Two at once would spoil the manifest."""
    fcntl = pytest.importorskip("fcntl")
    case = make(tmp_path, {"1.json": logs(event(1))})
    collect(case)
    with (case.evidence / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(EvidenceError, match="another collect"):
            collect(case)


def test_what_was_collected_is_told_for_those_who_come_later(tmp_path: Path) -> None:
    """collected.json has the span, accounts, Regions and totals, and pins the manifest."""
    case = make(tmp_path, {"1.json": logs(event(1), event(2, eventTime="2026-06-11T00:00:00Z", awsRegion="eu-west-1"))})
    account = collect(case)
    told = json.loads((case.evidence / "collected.json").read_text())
    assert (told["first_event"], told["last_event"]) == ("2026-06-10T12:00:00Z", "2026-06-11T00:00:00Z")
    assert (told["accounts"], told["regions"]) == (["111122223333"], ["eu-west-1", "us-east-1"])
    assert told["totals"]["seen"] == account["seen"] == 2
    assert told["manifest"]["lines"] == 1
    assert set(account) == {
        "objects", "seen", "kept", "duplicate", "rejected", "new", "other_objects", "rejections",
    }  # fmt: skip


def test_a_case_without_sources_has_nothing(tmp_path: Path) -> None:
    """Nothing is collected, and nothing fails."""
    case = new_case(tmp_path / "case", {"sources": []})
    assert collect(case)["seen"] == 0
    assert collect(load_case(case.path))["objects"] == 0


def test_files_are_read_without_a_case(tmp_path: Path) -> None:
    """One call gives a data frame; nothing stays behind."""
    case = make(tmp_path, {"1.json": logs(event(1)), "2.json": text(GUARDDUTY), "3.json": text(ASFF)})
    folder = case.path.parent / "logs"
    found = cloudtrail_files(folder)
    assert (len(found), found["event_name"][0], found["principal"][0]) == (
        1, "GetObject", "arn:aws:iam::111122223333:role/devRole",
    )  # fmt: skip
    assert list(guardduty_findings(folder)["finding_id"]) == [ARN]
    assert list(security_hub_findings(folder / "3.json")["finding_id"]) == [ASFF["Id"]]
    assert cirtlib.cloudtrail_files is cloudtrail_files
    with pytest.raises(CaseError, match="nowhere"):
        cloudtrail_files(folder / "nowhere")


def test_progress_goes_to_stderr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Asked for, a bar counts objects; not asked for, nothing is written."""
    case = make(tmp_path, {"1.json": logs(event(1))})
    collect(case)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    collect(case, progress=True)
    assert "objects" in sys.stderr.getvalue()


def test_a_bomb_is_one_rejection(tmp_path: Path) -> None:
    """The limit is the caller's to raise."""
    case = make(tmp_path, {"bomb.json.gz": gzip.compress(logs(event(1)) + b" " * 3_000_000, mtime=0)})
    account = collect(case, limit=1_000_000)
    assert (account["kept"], account["rejected"]) == (1, 1)
    assert "1,000,000" in account["rejections"][0]["reason"]
    assert store.record(case, event(1)["eventID"]) == [text(event(1))]


@pytest.fixture(scope="module")
def everything(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("real")
    case = new_case(folder / "case", {"sources": [{"cloudtrail": {"folder": str(real_data)}}]})
    return case, collect(case)


def test_all_real_records_are_accounted_for(everything: tuple[Case, dict[str, Any]]) -> None:
    """Numbers by data set, each looked at: what INDEX.md says of it is there."""
    case, account = everything
    total = balanced(case)
    assert (total["seen"], total["kept"], total["duplicate"], total["rejected"]) == (1518, 1193, 270, 55)
    assert account["new"] == account["kept"]
    seen = Counter[str]()
    for one in store.objects(case):
        seen[one["name"].partition("/")[0].partition("__")[0]] += one["seen"]
    assert {name: count for name, count in seen.items() if count} == {
        "DataDog": 310, "adanalvarez": 563, "airbnb": 57, "aws-solutions": 127, "aws_docs_examples": 1, "awsdocs": 44,
        "blu371ck": 15, "cado-security": 3, "cloud-custodian": 29, "criblpacks": 44, "cruxstack": 9, "fivexl": 9,
        "flosell": 7, "log2timeline": 6, "opencybersecurityalliance": 7, "panther-labs": 287,
    }  # fmt: skip


def test_each_rejection_of_real_data_is_right(everything: tuple[Case, dict[str, Any]]) -> None:
    """Times that anonymisation removed, records of other products, a broken file: nothing else."""
    _, account = everything
    found: dict[str, dict[str, list[int]]] = {}
    for one in account["rejections"]:
        reason = one["reason"].partition(";")[0]
        found.setdefault(Path(one["object"]).name, {}).setdefault(reason, []).append(one["position"])
    blank, foreign = "eventTime '...' is no time", "neither a CloudTrail record nor a finding"
    assert found == {
        "cloudtrail_events.json": {"eventTime 'eventTime' is no time": [0]},
        "cloudwatch_cloudtrail.json": {"eventTime 'foo' is no time": [0]},
        "cloudtrail_aws_config.json": {blank: [0, 1, 2]},
        "cloudtrail_network_acl_ingress_anywhere.json": {blank: [0, 1]},
        "cloudtrail_put_bucket_acl.json": {blank: [0, 1]},
        "cloudtrail_put_object_acl_public.json": {blank: [0, 1, 2, 3]},
        "cloudtrail_root_account_usage.json": {blank: [0, 1]},
        # a line that holds only {"SchemaVersion": ...}
        "examples.jsonl": {foreign: [0]},
        "bad_cloudtrail.json": {"the JSON ends in the middle of a value": [0]},
        "event-cloud-trail-bedrock-create-customization-jobs.json": {"no eventTime": [0]},
        # 240 on: the rules of that set for other products, such as OneLogin, GCP, Box, Okta and Asana
        "tests_AWS.CloudTrail.dev.jsonl": {
            "no eventTime": [53, 64, 197, 198, 232, 236],
            "eventTime 'redacted' is no time": [169],
            blank: [239],
            foreign: [*range(240, 245), *range(247, 261), *range(263, 273)],
        },
    }


def test_other_objects_of_real_data_hold_no_record(everything: tuple[Case, dict[str, Any]]) -> None:
    """Licences, schemas, tables, notifications and logs of other kinds; and one file with digests among records."""
    _, account = everything
    names = [name for name in account["other_objects"] if "/schemas/" not in name]
    plain = (".txt", ".md", ".csv", ".sql", ".log", "LICENSE", "LICENSE-SUMMARY", "LICENSE-SAMPLECODE")
    assert sorted(Path(name).name for name in names if not name.endswith(plain)) == [
        "cloudwatch_control_message.json", "event-asg-instance-failed.json", "event-config-rule-instance.json",
        "event-config-rule-security-group.json", "event-instance-state.json", "event-phd-ec2-retire.json",
        "event-scheduled.json", "event-securityhub-insight-2.json", "events.json", "examples.jsonl",
        "guard_duty_all.json", "policy-to-guess.json", "sqs-discover.json", "tests_AWS.S3ServerAccess.dev.jsonl",
        "tests_AWS.VPCFlow.dev.jsonl", "tests_Amazon.EKS.Audit.dev.jsonl",
    ]  # fmt: skip


def test_a_second_collect_of_real_data_changes_nothing(everything: tuple[Case, dict[str, Any]]) -> None:
    """Nothing is read again, and every original is as it was."""
    case, account = everything
    assert collect(case) == {**account, "new": 0}
    assert cirtlib.evidence.verify(case) == []
