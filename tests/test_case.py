"""case.yaml is checked as a whole, and what is wrong in it is said with what to do."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml

from cirtlib.case import Seed, load_case, new_case, parse_seed, parse_time, read_json, update_case
from cirtlib.errors import CaseError

GOOD = {
    "case": "IR-2026-001",
    "title": "CloudTrail logging disabled",
    "window": {"start": "2026-06-10T00:00:00Z", "end": "2026-06-12T00:00:00Z"},
    "as_of": "2026-06-12T09:00:00+02:00",
    "accounts": ["012345678901"],
    "regions": ["us-east-1", "us-gov-west-1"],
    "seeds": [{"access_key": "AKIAIOSFODNN7EXAMPLE"}],
    "confirmed": [{"node": "access_key:AKIAIOSFODNN7EXAMPLE", "by": "ana", "at": "2026-06-12", "reason": "seen"}],
    "responders": ["arn:aws:iam::012345678901:role/IncidentResponse"],
    "sources": [{"cloudtrail": {"folder": "logs/"}}, {"findings": {"folder": "/elsewhere"}}],
}


def write(folder: Path, content: object) -> Path:
    folder.mkdir(exist_ok=True)
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    (folder / "case.yaml").write_text(text, encoding="utf-8")
    return folder


def test_a_good_case_is_read_as_written(tmp_path: Path) -> None:
    """Times become aware UTC, lists become tuples, an account id keeps its leading zero."""
    case = load_case(write(tmp_path / "c", GOOD))
    assert case.name == "IR-2026-001"
    assert case.window.start == datetime(2026, 6, 10, tzinfo=UTC)
    assert case.as_of == datetime(2026, 6, 12, 7, tzinfo=UTC)
    assert case.accounts == ("012345678901",)
    assert case.seeds == (Seed("access_key", "AKIAIOSFODNN7EXAMPLE"),)
    assert case.confirmed[0].reason == "seen"
    assert case.sources[0].options == {"folder": "logs/"}
    assert case.baseline_days == 30
    assert case.manifest == tmp_path / "c" / "evidence" / "manifest.jsonl"


def test_what_is_not_said_has_a_default(tmp_path: Path) -> None:
    """A name is enough; the folder gives it where it is left out; Regions may be "all"."""
    case = load_case(write(tmp_path / "ir-7", {"title": "t", "regions": "all", "window": {"end": "now"}}))
    assert (case.name, case.regions, case.engine) == ("ir-7", (), "local")
    assert case.window.live
    assert case.window.end is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"accounts": [111122223333]}, 'quote it: "111122223333"'),
        ({"accounts": [12345678901]}, 'quote it: "012345678901"'),
        ({"accounts": ["1111"]}, "12 digits"),
        ({"accounts": "111122223333"}, "should be a list"),
        ({"window": {"start": "2026-06-12", "end": "2026-06-10"}}, "before it starts"),
        ({"window": {"start": "yesterday"}}, "is no time"),
        ({"window": "2026"}, "should be {start: TIME, end: TIME}"),
        ({"seeds": [{"access_keys": "AKIA"}]}, "unknown kind 'access_keys'"),
        ({"seeds": [{"access_key": 5}]}, "needs a text value"),
        ({"seeds": ["AKIA"]}, "one key and its value"),
        ({"seeds": "AKIA"}, "list of one-key mappings"),
        ({"regions": ["us-east"]}, "no Region name"),
        ({"engine": "spark"}, "none of local, athena, trino"),
        ({"baseline_days": "30"}, "whole number"),
        ({"baseline_days": True}, "whole number"),
        ({"sources": [{"syslog": {"folder": "x"}}]}, "unknown kind 'syslog'"),
        ({"sources": ["logs/"]}, "a kind and where it lies"),
        ({"cleared": [{"by": "ana"}]}, "{node, by, at, reason}"),
        ({"responders": [1]}, "list of texts"),
        ({"known": []}, None),
        ({"known": ["x"]}, "should be a mapping"),
        ({"seed": []}, "unknown key 'seed'"),
    ],
)
def test_a_wrong_value_is_named_with_what_to_write(tmp_path: Path, change: dict[str, object], said: str | None) -> None:
    """Each mistake gets its own sentence; an empty value is no mistake."""
    folder = write(tmp_path / "c", {**GOOD, **change})
    if said is None:
        load_case(folder)
        return
    with pytest.raises(CaseError) as caught:
        load_case(folder)
    assert said in str(caught.value)


def test_all_faults_come_in_one_message(tmp_path: Path) -> None:
    """Two mistakes are two lines, so that one edit mends both."""
    with pytest.raises(CaseError) as caught:
        load_case(write(tmp_path / "c", {**GOOD, "accounts": [1], "engine": "spark"}))
    assert str(caught.value).count("\n  - ") == 2


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "case: [unclosed", "\x00"])
def test_a_broken_file_is_said_to_be_broken(tmp_path: Path, text: str) -> None:
    """No YAML, or no mapping: a sentence, not a traceback of the parser."""
    with pytest.raises(CaseError, match=r"case\.yaml"):
        load_case(write(tmp_path / "c", text))


@pytest.mark.parametrize("path", ["", "nowhere"])
def test_no_case_says_how_to_start_one(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty path is not the current folder."""
    monkeypatch.chdir(write(tmp_path / "c", GOOD))
    with pytest.raises(CaseError, match="cirt new"):
        load_case(path)


def test_a_new_case_is_not_written_over_an_old_one(tmp_path: Path) -> None:
    """The second `new_case` fails and leaves the first as it is; a wrong one leaves nothing."""
    assert new_case(tmp_path / "c", {"title": "first"}).title == "first"
    with pytest.raises(CaseError, match="already holds a case"):
        new_case(tmp_path / "c", {"title": "second"})
    assert load_case(tmp_path / "c").title == "first"
    with pytest.raises(CaseError, match="no account id"):
        new_case(tmp_path / "d", {"accounts": ["1"]})
    assert not (tmp_path / "d").exists()


def test_updating_one_key_keeps_the_others(tmp_path: Path) -> None:
    """A decision is written, the rest stays; a wrong value is refused and nothing is written."""
    case = load_case(write(tmp_path / "c", GOOD))
    before = (case.path / "case.yaml").read_bytes()
    with pytest.raises(CaseError):
        update_case(case, "seeds", [{"nonsense": "x"}])
    assert (case.path / "case.yaml").read_bytes() == before
    after = update_case(case, "cleared", [{"node": "address:192.0.2.1", "by": "ana", "at": "now", "reason": "office"}])
    assert after.cleared[0].node == "address:192.0.2.1"
    assert (after.seeds, after.accounts, after.as_of) == (case.seeds, case.accounts, case.as_of)


def test_seeds_of_the_command_line() -> None:
    """kind=value, where the value may hold further equals signs."""
    assert parse_seed("session=arn:aws:sts::111122223333:assumed-role/a/b=c").value.endswith("b=c")
    for wrong in ("access_key", "access_key=", "colour=red", "=x"):
        with pytest.raises(CaseError, match="kind=value"):
            parse_seed(wrong)


def test_further_seeds_leave_the_case_as_it_is(tmp_path: Path) -> None:
    """`with_seeds` gives a copy, without doubles."""
    case = load_case(write(tmp_path / "c", GOOD))
    more = case.with_seeds([Seed("ip", "192.0.2.1"), *case.seeds])
    assert [str(seed) for seed in more.seeds] == ["access_key=AKIAIOSFODNN7EXAMPLE", "ip=192.0.2.1"]
    assert len(case.seeds) == 1


def test_times_are_aware_utc() -> None:
    """With an offset it is converted, without one it is UTC; what is no time is refused."""
    assert parse_time("2026-06-10T02:00:00+02:00") == datetime(2026, 6, 10, tzinfo=UTC)
    assert parse_time("2026-06-10") == datetime(2026, 6, 10, tzinfo=UTC)
    assert parse_time("2026-06-10T00:00:00z").tzinfo is UTC
    assert parse_time(datetime(2026, 6, 10, 1, tzinfo=timezone(timedelta(hours=1)))).hour == 0
    for wrong in ("soon", 5, None):
        with pytest.raises(CaseError, match="is no time"):
            parse_time(wrong)


def test_json_that_is_not_there_is_the_default(tmp_path: Path) -> None:
    """A file we wrote, or what to take instead."""
    (tmp_path / "a.json").write_text('{"x": 1}', encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"x": 1}
    assert read_json(tmp_path / "b.json", {}) == {}
