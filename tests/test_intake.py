"""A case starts from files at hand, and says what is wrong with them before anything is written."""

from pathlib import Path

import pytest

from cirtlib.case import Seed, Source, load_case
from cirtlib.errors import CaseError
from cirtlib.intake import start


def test_a_case_of_logs_findings_seeds_and_a_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are stored absolute, so that the case works from anywhere; a file serves as well as a folder."""
    monkeypatch.chdir(tmp_path)
    Path("logs").mkdir()
    Path("finding.json").write_text("{}", encoding="utf-8")
    start(
        Path("ir-1"),
        logs=[Path("logs")],
        findings=[Path("finding.json")],
        seeds=["ip=192.0.2.7", "access_key=AKIAIOSFODNN7EXAMPLE"],
        window="2026-06-10T00:00:00Z/now",
        content={"title": "odd", "accounts": ["111122223333"]},
    )
    case = load_case(tmp_path / "ir-1")
    assert case.sources == (
        Source("cloudtrail", {"folder": str(tmp_path / "logs")}),
        Source("findings", {"folder": str(tmp_path / "finding.json")}),
    )
    assert case.seeds == (Seed("ip", "192.0.2.7"), Seed("access_key", "AKIAIOSFODNN7EXAMPLE"))
    assert case.window.live
    assert case.window.start is not None
    assert case.accounts == ("111122223333",)


def test_a_bucket_is_named_as_it_is(tmp_path: Path) -> None:
    """An address in S3 keeps its slashes and is not looked for on disk."""
    case = start(tmp_path / "c", logs=["s3://org-trail-bucket/AWSLogs/o-abc1234567/"], findings=["s3://guardduty"])
    assert case.sources == (
        Source("cloudtrail", {"s3": "s3://org-trail-bucket/AWSLogs/o-abc1234567/"}),
        Source("findings", {"s3": "s3://guardduty"}),
        Source("cloudtrail", {"public_keys": True}),
    )


@pytest.mark.parametrize("window", ["2026-06-10/", "/2026-06-12", "2026-06-10T00:00:00+02:00/2026-06-12"])
def test_a_window_may_be_open_at_one_end(tmp_path: Path, window: str) -> None:
    """Either side may be left out."""
    case = start(tmp_path / "c", window=window)
    assert bool(case.window.start) == bool(window.partition("/")[0])
    assert bool(case.window.end) == bool(window.partition("/")[2])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"logs": [Path("nowhere")]}, "--logs nowhere: there is no such file or folder"),
        ({"findings": ["s3:bucket/x"]}, "--findings s3:bucket/x: write it as s3://BUCKET/PREFIX/"),
        ({"seeds": ["colour=red"]}, "unknown kind 'colour'"),
        ({"window": "2026-06-10"}, "START/END"),
        ({"window": "2026-06-12/2026-06-10"}, "before it starts"),
        ({"content": {"accounts": ["1"]}}, "12 digits"),
    ],
)
def test_a_mistake_makes_no_case(tmp_path: Path, given: dict, said: str) -> None:
    """One clear sentence, and no half-made folder."""
    with pytest.raises(CaseError) as caught:
        start(tmp_path / "c", **given)
    assert said in str(caught.value)
    assert not (tmp_path / "c").exists()


def test_a_live_case_asks_the_account_up_to_now(tmp_path: Path) -> None:
    """Event history, findings and settings; its window ends now, unless another is named."""
    case = start(tmp_path / "c", live=True, content={"accounts": ["111122223333"], "access": {"profile": "ir"}})
    assert [source.kind for source in case.sources] == [
        "cloudtrail", "cloudtrail", "guardduty", "security_hub", "account",
    ]  # fmt: skip
    assert [source.options for source in case.sources[:2]] == [{"event_history": True}, {"public_keys": True}]
    assert case.window.live
    assert case.access == {"profile": "ir"}
    assert not start(tmp_path / "d", live=True, window="2026-06-10/2026-06-12").window.live
