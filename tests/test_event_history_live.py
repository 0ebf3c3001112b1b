"""Event history over HTTP: the incident in emulated accounts gives the store that its log files give."""

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from cirtlib import accounting, cloudtrail_event_history, evidence, load_case, queries
from cirtlib.case import Case, new_case
from cirtlib.collect import collect
from cirtlib.errors import AccessError
from cirtlib.sources import Blob, Known, Milestone, event_history, lookup

if TYPE_CHECKING:
    from cirtlib.training.account import Emulated

pytestmark = pytest.mark.integration
LINK = ["source_object", "source_position", "conflict"]
KEY = ["event_time", "event_id", "account_id"]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulated accounts set no pace, unless a test says so."""
    monkeypatch.setattr(lookup, "INTERVAL", 0.0)


def live_case(folder: Path, incident: Case, served: "Emulated", **more: Any) -> Case:
    """A case of the incident's findings and seed, and of event history instead of log files."""
    findings = next(source for source in incident.sources if source.kind == "findings")
    content = {
        "as_of": incident.as_of, "accounts": list(served.profiles), "access": served.case_access(),
        "seeds": [{seed.kind: seed.value} for seed in incident.seeds],
        "sources": [{"cloudtrail": {"event_history": True}}, {"findings": findings.options}],
    } | more  # fmt: skip
    return new_case(folder, content)


def events(case: Case) -> pd.DataFrame:
    return queries.events(case).drop(columns=LINK).sort_values(KEY).reset_index(drop=True)


def lookups(served: "Emulated") -> int:
    return sum("LookupEvents" in request for request in served.requests)


@pytest.fixture(scope="module")
def whole(
    incident: tuple[Case, dict[str, Any]], emulated_incident: "Emulated", tmp_path_factory: pytest.TempPathFactory
) -> Case:
    """The incident, collected through event history in one go."""
    case = live_case(tmp_path_factory.mktemp("live") / "case", incident[0], emulated_incident)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookup, "INTERVAL", 0.0)
        for name, value in emulated_incident.environment().items():
            if name.startswith("AWS_"):
                patch.setenv(name, value)
        collect(case, progress=False)
    return case


def test_rows_are_those_of_the_log_files(whole: Case, incident: tuple[Case, dict[str, Any]]) -> None:
    """Whatever both hold is equal in every column, but for where it lies."""
    own, filed = events(whole), events(incident[0])
    start = own["event_time"].min()
    managed = filed[filed["management_event"].fillna(True) & (filed["event_time"] >= start)]
    shared = managed.merge(own[KEY], on=KEY).sort_values(KEY).reset_index(drop=True)
    assert len(shared) == len(own) > 10_000
    assert len(managed) == len(own)
    pd.testing.assert_frame_equal(own, shared)


def test_the_ledger_and_the_account_say_where_it_is_from(whole: Case) -> None:
    """Every account and Region is read or empty; all events are event history's alone."""
    slices = [line["slice"] for line in evidence.slices(whole)]
    assert {one["status"] for one in slices} == {"read", "empty"}
    assert len(accounting.only_in_event_history(whole)) == len(events(whole))
    assert f"event history alone holds {len(events(whole)):,} events" in accounting.history_line(whole)
    assert evidence.verify(whole) == []


def test_log_files_leave_to_event_history_what_they_lack(
    whole: Case, incident: tuple[Case, dict[str, Any]], tmp_path: Path
) -> None:
    """Log files up to a day, and event history: the events after that day are held by event history alone."""
    logs = next(Path(source.options["folder"]) for source in incident[0].sources if source.kind == "cloudtrail")
    days = sorted({file.parent for file in logs.rglob("*.json.gz")}, key=lambda day: day.parts[-3:])
    for day in days[: len(days) // 2]:
        for file in day.glob("*.json.gz"):
            target = tmp_path / "logs" / file.relative_to(logs)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    (tmp_path / "pages").mkdir()
    for line in evidence.entries(whole):
        if line["place"] == event_history.WHERE:
            page = evidence.load(whole, line["object"])
            (tmp_path / "pages" / f"{line['object']}.json").write_bytes(page)
    case = new_case(
        tmp_path / "c", {"sources": [{"cloudtrail": {"folder": str(tmp_path / part)}} for part in ("logs", "pages")]}
    )
    collect(case, progress=False)
    alone = accounting.only_in_event_history(case)
    assert 0 < len(alone) < len(queries.events(case))
    filed = {record["eventID"] for file in (tmp_path / "logs").rglob("*.gz") for record in _records(file)}
    assert not set(alone["event_id"]) & filed


def _records(file: Path) -> list[dict[str, Any]]:
    import gzip

    return json.loads(gzip.decompress(file.read_bytes())).get("Records", [])


def test_the_attackers_keys_are_there_before_regions_are_paged(
    incident: tuple[Case, dict[str, Any]], responder: "Emulated", tmp_path: Path
) -> None:
    """At the first milestone the case holds the acts of every key in the chain, from the leaked one on."""
    case, truth = incident
    started = live_case(tmp_path / "c", case, responder, sources=[{"findings": next(
        source.options for source in case.sources if source.kind == "findings")}])  # fmt: skip
    collect(started, progress=False)
    place = event_history.place(started, "cloudtrail", {"event_history": True})
    early: list[dict[str, Any]] = []
    for item in place.read(Known()):
        if isinstance(item, Milestone):
            break
        if isinstance(item, Blob):
            early += json.loads(item.data)["Events"]
    assert chain_of(truth) <= {row.get("AccessKeyId") for row in early}
    assert len({row["EventId"] for row in early}) < 2_000


def chain_of(truth: dict[str, Any]) -> set[str]:
    """Access keys that the attacker acted with, by the truth."""
    found = {node["value"] for node in truth["extent"] if node["kind"] == "credential"}
    return {value for value in found if value.startswith(("AKIA", "ASIA"))}


def test_a_killed_collect_goes_on(
    whole: Case, incident: tuple[Case, dict[str, Any]], responder: "Emulated", tmp_path: Path
) -> None:
    """Killed (-9) at odd moments, then the same command: the store of one whole collect, no page lost."""
    case = live_case(tmp_path / "c", incident[0], responder)
    code = (
        "import sys; from cirtlib.sources import lookup; from cirtlib import collect, load_case; "
        "lookup.INTERVAL = 0.05; collect._SECONDS = 0.2; collect.collect(load_case(sys.argv[1]), progress=False)"
    )
    before = lookups(responder)
    for lines in (1, 40, 150):
        run = subprocess.Popen([sys.executable, "-c", code, str(case.path)], stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while run.poll() is None and time.monotonic() < until and _lines(case) < lines:
            time.sleep(0.05)
        assert run.poll() is None, "it was to be killed in the midst"
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
    collect(case, progress=False)
    pd.testing.assert_frame_equal(events(case), events(whole))
    assert evidence.verify(case) == []
    assert lookups(responder) - before < 2 * sum(1 for line in evidence.entries(whole))


def _lines(case: Case) -> int:
    return case.manifest.read_bytes().count(b'"place":"event_history"') if case.manifest.is_file() else 0


def test_a_live_case_fetches_only_what_is_new(
    incident: tuple[Case, dict[str, Any]], responder: "Emulated", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour later each account and Region is asked from half an hour before; the case holds what came meanwhile."""
    end = queries.events(incident[0])["event_time"].max().to_pydatetime()
    window = {"start": end - dt.timedelta(days=2), "end": "now"}
    more = {"window": window, "baseline_days": 0, "as_of": None}
    case = live_case(tmp_path / "c", incident[0], responder, **more)
    monkeypatch.setattr(event_history, "_now", lambda: int((end - dt.timedelta(hours=1)).timestamp()))
    collect(case, progress=False)
    first, begun = lookups(responder), len(queries.events(case))
    monkeypatch.setattr(event_history, "_now", lambda: int(end.timestamp()))
    totals = collect(case, progress=False)
    later = queries.events(case)
    fresh = later[later["event_time"] > end - dt.timedelta(hours=1)]
    assert totals["new"] == len(later) - begun == len(fresh) > 0
    regions = {(line["slice"]["account"], line["slice"]["region"]) for line in evidence.slices(case)}
    assert lookups(responder) - first <= len(regions) + (totals["seen"] // lookup.ROWS)
    assert lookups(responder) - first < first / 2


def test_expired_credentials_end_it_and_the_same_command_goes_on(
    whole: Case, incident: tuple[Case, dict[str, Any]], responder: "Emulated", tmp_path: Path
) -> None:
    """What was read is in the case; after a new login the rest is."""
    case = live_case(tmp_path / "c", incident[0], responder)
    responder.faults.renew()
    responder.faults.expire_after = 60
    with pytest.raises(AccessError, match="same command"):
        collect(case, progress=False)
    assert 0 < len(queries.events(case)) < len(events(whole))
    responder.faults.reset()
    collect(load_case(case.path), progress=False)
    pd.testing.assert_frame_equal(events(case), events(whole))


def test_a_throttled_history_is_read_whole(
    incident: tuple[Case, dict[str, Any]], responder: "Emulated", tmp_path: Path
) -> None:
    """Two calls a second are answered, and more is refused: nothing is lost."""
    responder.faults.lookups_per_second = 2
    options = {"cloudtrail": {"event_history": {"whole": False}}}
    key = next(iter(chain_of(incident[1])))
    case = live_case(tmp_path / "c", incident[0], responder, seeds=[{"access_key": key}], sources=[options])
    collect(case, progress=False)
    assert key in set(queries.events(case)["access_key_id"])
    assert {line["slice"]["status"] for line in evidence.slices(case)} <= {"read", "empty"}


def test_without_a_case(incident: tuple[Case, dict[str, Any]], responder: "Emulated") -> None:
    """A data frame of the events of one key and the keys it minted."""
    key = min(chain_of(incident[1]))
    end = incident[0].as_of
    assert end is not None
    found = cloudtrail_event_history(
        start=end - dt.timedelta(days=5), end=end, access_key=key, profile=responder.profiles[responder.home],
        accounts=[responder.home], endpoint_url=responder.endpoint,
    )  # fmt: skip
    assert list(found.columns) == list(queries.events(incident[0]).columns)
