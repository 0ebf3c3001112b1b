"""Events kept ready: the same answers, made anew when the store is another, and never while it is collected."""

import fcntl
from pathlib import Path

import pandas as pd
import pytest

from cirtlib import queries
from cirtlib.case import Case, update_case
from cirtlib.collect import collect
from cirtlib.engine import derived


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every case is a large one."""
    monkeypatch.setattr(derived, "SMALL", 0)


def kept(case: Case) -> set[Path]:
    return set(derived.folder(case).glob("*.parquet"))


def test_answers_are_the_same(own_incident: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """All events, column by column and type by type, are those of the adapter."""
    ready = queries.events(own_incident)
    assert kept(own_incident)
    monkeypatch.setattr(derived, "SMALL", 1 << 40)
    pd.testing.assert_frame_equal(ready, queries.events(own_incident))


def number(case: Case) -> int:
    """How many events there are, asked without anything kept ready."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(derived, "SMALL", 1 << 40)
        return int(queries.sql(case, "SELECT count(*) AS n FROM events").loc[0, "n"])


def test_files_are_made_once_and_said_once(own_incident: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """The second question finds what the first made; whoever deletes it loses nothing."""
    queries.sql(own_incident, "SELECT count(*) AS n FROM events")
    times = {file: file.stat().st_mtime_ns for file in kept(own_incident)}
    assert "once after a collect" in capsys.readouterr().err
    queries.sql(own_incident, "SELECT count(*) AS n FROM events WHERE true")
    assert {file: file.stat().st_mtime_ns for file in kept(own_incident)} == times
    assert capsys.readouterr().err == ""
    for file in times:
        file.unlink()
    assert queries.sql(own_incident, "SELECT count(*) AS n FROM events").loc[0, "n"] == number(own_incident)


def test_what_the_store_gains_is_seen(own_incident: Case, tmp_path: Path) -> None:
    """After another collect its events are there, the month that they are of is made anew, and the others stay."""
    before = queries.sql(own_incident, "SELECT count(*) AS n FROM events").loc[0, "n"]
    old = kept(own_incident)
    more = tmp_path / "more" / "one.json"
    more.parent.mkdir()
    more.write_text(
        '{"Records":[{"eventVersion":"1.10","eventID":"5a1e0c1e-0000-4000-8000-000000000001","eventTime":'
        '"2026-06-22T10:00:00Z","eventSource":"s3.amazonaws.com","eventName":"ListBuckets","awsRegion":"us-east-1",'
        '"recipientAccountId":"444455556666","userIdentity":{"type":"Root","accountId":"444455556666"}}]}'
    )
    collect(update_case(own_incident, "sources", [{"cloudtrail": {"folder": str(more.parent)}}]), progress=False)
    after = queries.sql(own_incident, "SELECT count(*) AS n FROM events")
    assert after.loc[0, "n"] == before + 1
    new = kept(own_incident)
    assert len(new) == len(old)
    assert {file.name[:12] for file in new - old} == {"444455556666"}


def test_nothing_is_made_while_the_case_is_collected(own_incident: Case) -> None:
    """The store is about to be another one."""
    with (own_incident.evidence / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert len(queries.sql(own_incident, "SELECT event_id FROM events LIMIT 1")) == 1
    assert not kept(own_incident)


def test_a_case_that_cannot_be_written_is_answered(own_incident: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Questions then take longer, and that is said."""
    derived.folder(own_incident).parent.mkdir(parents=True)
    derived.folder(own_incident).write_text("in the way")
    assert queries.sql(own_incident, "SELECT count(*) AS n FROM events").loc[0, "n"] == number(own_incident)
    assert "cannot be kept ready" in capsys.readouterr().err
