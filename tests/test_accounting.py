"""The account of the evidence adds up in words, and names what was rejected and what was not seen."""

import json
from pathlib import Path

import pytest

from cirtlib import accounting
from cirtlib.case import Case, new_case
from cirtlib.collect import collect

ACCOUNT = {
    "objects": 3,
    "seen": 1020,
    "kept": 1000,
    "duplicate": 8,
    "rejected": 12,
    "new": 1000,
    "other_objects": ["digest.json.gz"],
    "rejections": [{"object": f"logs/{n}.json", "position": n, "reason": "no eventTime"} for n in range(12)],
}


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return new_case(tmp_path / "c", {})


def test_the_sum_and_the_first_rejections_are_said() -> None:
    """Every record stands in the sum; ten rejections are named, and how many more there are."""
    lines = accounting.describe(ACCOUNT).splitlines()
    assert "seen 1,020 = kept 1,000 + duplicate 8 + rejected 12" in lines
    assert "rejected: logs/3.json at 3: no eventTime" in lines
    assert sum(line.startswith("rejected: ") for line in lines) == 10
    assert lines[-1].startswith("... and 2 more rejected")
    assert "1 objects of another kind" in accounting.describe(ACCOUNT)


def test_whole_evidence_says_nothing_of_rejections() -> None:
    """Two lines are enough."""
    whole = {**ACCOUNT, "rejected": 0, "rejections": [], "other_objects": []}
    assert len(accounting.describe(whole).splitlines()) == 2


def test_what_lacks_is_counted(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rejected records and gaps each make a line; nothing lacking makes none."""
    monkeypatch.setattr(accounting, "gaps", lambda _: [])
    assert accounting.totals(case) == {}
    assert accounting.shortcomings(case) == []
    case.evidence.mkdir()
    (case.evidence / "collected.json").write_text(json.dumps({"totals": ACCOUNT}), encoding="utf-8")
    monkeypatch.setattr(accounting, "gaps", lambda _: [{}, {}])
    assert accounting.shortcomings(case) == ["12 records were rejected", "coverage has 2 gaps"]


def test_what_event_history_alone_holds_is_said(tmp_path: Path) -> None:
    """An event that a log file has too is the file's; the others are listed, and their number and time said."""
    records = [
        {
            "eventID": f"e{number}", "eventTime": f"2026-06-10T0{number}:00:00Z", "eventName": "StopLogging",
            "eventSource": "cloudtrail.amazonaws.com", "awsRegion": "us-east-1", "recipientAccountId": "111122223333",
        }
        for number in range(3)
    ]  # fmt: skip
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.json").write_text(json.dumps({"Records": records[:1]}), encoding="utf-8")
    page = {"Events": [{"CloudTrailEvent": json.dumps(record)} for record in records]}
    (tmp_path / "logs" / "page.json").write_text(json.dumps(page), encoding="utf-8")
    case = new_case(tmp_path / "c", {"sources": [{"cloudtrail": {"folder": str(tmp_path / "logs")}}]})
    assert accounting.history_line(case) == ""
    collect(case, progress=False)
    assert list(accounting.only_in_event_history(case)["event_id"]) == ["e1", "e2"]
    assert "2 events, from 2026-06-10T01:00:00Z to 2026-06-10T02:00:00Z" in accounting.history_line(case)


def test_a_gap_leaves_out_what_is_not_known() -> None:
    """No None reaches a reader."""
    gap = {"account": "111122223333", "region": None, "from": "2026-06-10", "to": None, "reason": "logging off"}
    assert accounting.gap_line(gap) == "gap: 111122223333, from 2026-06-10: logging off"
    nowhere = {"account": None, "region": None, "from": None, "to": None, "reason": "data events not seen"}
    assert accounting.gap_line(nowhere) == "gap: everywhere: data events not seen"
