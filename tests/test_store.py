"""Each event once, whatever the order of reading; every place of it told; a crash leaves the store whole."""

import gzip
import importlib
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from test_records import event, text

from cirtlib import store
from cirtlib.case import Case, load_case, new_case
from cirtlib.collect import collect
from cirtlib.engine.schema import DOCUMENTED, EXTRA, FINDINGS, LINK, PARTITIONS
from cirtlib.errors import NotFoundError
from cirtlib.store import schema

LINKS = {"source_object", "source_position"}


def rows(case: Case, table: str = "cloudtrail") -> list[dict[str, Any]]:
    """Rows of a table without what says where they are from, sorted."""
    files = [str(file) for file in store.paths(case, table)]
    if not files:
        return []
    found = duckdb.sql(f"FROM read_parquet({files}, hive_types_autocast = false)").to_arrow_table().to_pylist()
    return sorted(({k: v for k, v in row.items() if k not in LINKS} for row in found), key=repr)


def make(folder: Path, files: dict[str, bytes]) -> Case:
    (folder / "logs").mkdir(parents=True)
    for name, data in files.items():
        (folder / "logs" / name).write_bytes(data)
    return new_case(folder / "case", {"sources": [{"cloudtrail": {"folder": str(folder / "logs")}}]})


def lookup(*events: dict[str, Any]) -> bytes:
    return text({"Events": [{"EventId": one["eventID"], "CloudTrailEvent": json.dumps(one)} for one in events]})


def logs(*events: dict[str, Any]) -> bytes:
    return text({"Records": list(events)})


def balanced(case: Case) -> dict[str, Any]:
    """Totals of the case, when the sum holds for each object."""
    for one in store.objects(case):
        assert one["seen"] == one["kept"] + one["duplicate"] + one["rejected"], one
    return store.total(case)


def test_tables_are_laid_out_as_the_engine_reads_them(tmp_path: Path) -> None:
    """Columns, order and types of the Parquet files are those of the contract; folders are accounts and days."""
    case = make(tmp_path, {"1.json": logs(event(1))})
    collect(case)
    (file,) = store.paths(case, "cloudtrail")
    assert file.parent == case.store / "cloudtrail" / "account_id=111122223333" / "day=2026-06-10"
    found = duckdb.sql(f"DESCRIBE FROM read_parquet('{file}', hive_types_autocast = false)").fetchall()
    expected = {**DOCUMENTED, **EXTRA, **LINK, **PARTITIONS}
    assert [row[0] for row in found] == list(expected)
    for name, kind, *_ in found:
        duckdb.sql(f"SELECT CAST(x AS {expected[name]}) FROM (SELECT CAST(NULL AS {kind}) AS x)")
        assert kind.replace('"', "") == expected[name], name
    assert set(FINDINGS) <= set(schema.FINDINGS.names)


A, B = event(1), event(1, errorCode="AccessDenied")
SPACED = json.dumps({"Records": [dict(reversed(A.items()))]}, indent=3).encode()


@pytest.mark.parametrize(
    ("files", "kept", "conflicts"),
    [
        ({"1.json": logs(A), "2.json.gz": gzip.compress(logs(A), mtime=0)}, 1, 0),
        ({"1.json": logs(A, A)}, 1, 0),
        ({"1.json": logs(A), "2.json": SPACED}, 1, 0),
        ({"1.json": logs(A), "2.json": logs(B)}, 2, 2),
        ({"1.json": logs(A), "2.json": logs(B), "3.json": SPACED}, 2, 2),
        ({"1.json": lookup(B), "2.json": logs(A)}, 1, 0),
        ({"1.json": lookup(A), "2.json": lookup(B)}, 1, 0),
        ({"1.json": lookup(B), "2.json": logs(A), "3.json": logs(event(1, errorCode="Other"))}, 2, 2),
        ({"1.json": logs(A), "2.json": logs(event(1, recipientAccountId="444455556666"))}, 2, 0),
        ({"1.json": logs(A), "2.json": logs(A)}, 1, 0),
    ],
)
def test_each_event_is_kept_once_in_whatever_order_it_comes(
    tmp_path: Path, files: dict[str, bytes], kept: int, conflicts: int
) -> None:
    """The rows are the same when files come together, one by one, or the other way round."""
    together = make(tmp_path / "together", files)
    account = collect(together)
    found = rows(together)
    assert (account["kept"], account["seen"]) == (kept, sum(one["seen"] for one in store.objects(together)))
    assert sum(row["conflict"] for row in found) == conflicts
    balanced(together)
    for number, order in enumerate(itertools.islice(itertools.permutations(files), 1, 6, 2)):
        case = make(tmp_path / str(number), {})
        for name in order:
            (tmp_path / str(number) / "logs" / name).write_bytes(files[name])
            collect(case)
        assert rows(case) == found
        assert balanced(case)["duplicate"] == account["duplicate"]
        assert rows(case, "sightings") == rows(together, "sightings")


def test_the_richest_source_stays_even_when_it_comes_last(tmp_path: Path) -> None:
    """A raw object takes the place of the event history's row."""
    case = make(tmp_path, {"1.json": lookup(B)})
    collect(case)
    (tmp_path / "logs" / "2.json").write_bytes(logs(A))
    account = collect(case)
    (row,) = rows(case)
    assert (row["source_kind"], row["errorcode"]) == ("object", None)
    assert (account["kept"], account["duplicate"], account["new"]) == (1, 1, 0)


def test_the_session_token_makes_no_difference(tmp_path: Path) -> None:
    """Two records that differ in the token alone are one."""
    one, other = (event(1, responseElements={"credentials": {"sessionToken": t}}) for t in ("FAKE-1", "FAKE-2"))
    case = make(tmp_path, {"1.json": logs(one), "2.json": logs(other)})
    assert collect(case)["duplicate"] == 1
    (row,) = rows(case)
    assert row["responseelements"] == '{"credentials":{"sessionToken":"REDACTED"}}'
    assert not [f for f in case.store.rglob("*.parquet") if b"FAKE" in f.read_bytes()]


def test_sightings_tell_every_place_of_what_was_seen_twice(tmp_path: Path) -> None:
    """One place is the kept one; what was seen once is not in the table."""
    case = make(tmp_path, {"1.json": logs(A, event(2)), "2.json": logs(A), "3.json": logs(A)})
    assert collect(case)["duplicate"] == 2
    found = rows(case, "sightings")
    assert [row["kept"] for row in found].count(True) == 1
    assert {(row["event_id"], row["account_id"]) for row in found} == {(A["eventID"], "111122223333")}
    assert len(found) == 3


def test_a_second_collect_adds_nothing_and_gives_the_same_account(tmp_path: Path) -> None:
    """The totals are the case's; `new` is this run's."""
    case = make(tmp_path, {"1.json": logs(A, B), "2.json": logs(A, event(3)), "3.json": b"no json", "x.md": b"# x"})
    first = collect(case)
    before = {file: file.stat().st_mtime_ns for file in case.store.rglob("*.parquet")}
    second = collect(case)
    assert second == {**first, "new": 0}
    assert first["new"] == first["kept"] == 3
    assert {file: file.stat().st_mtime_ns for file in before if "sightings" not in str(file)} == {
        file: when for file, when in before.items() if "sightings" not in str(file)
    }


def test_an_identity_in_lower_case_keeps_its_members(tmp_path: Path) -> None:
    """Names as a table writes them, exported to JSON again, are the same members, though type and arn look usual."""
    who = {
        "type": "AssumedRole", "principalid": "AROAX:alan", "arn": "arn:aws:sts::111122223333:assumed-role/a/alan",
        "accountid": "111122223333", "accesskeyid": "ASIAIOSFODNN7EXAMPLE",
        "sessioncontext": {"attributes": {"mfaauthenticated": "true"}, "sessionissuer": {"username": "a"}},
    }  # fmt: skip
    case = make(tmp_path, {"1.json": logs({**event(1), "userIdentity": who})})
    collect(case)
    found = rows(case)[0]["useridentity"]
    assert {name: found[name] for name in ("principalid", "accountid", "accesskeyid")} == {
        "principalid": "AROAX:alan", "accountid": "111122223333", "accesskeyid": "ASIAIOSFODNN7EXAMPLE",
    }  # fmt: skip
    assert found["sessioncontext"]["attributes"]["mfaauthenticated"] == "true"
    assert found["sessioncontext"]["sessionissuer"]["username"] == "a"


def test_a_record_leads_back_to_its_original_bytes(tmp_path: Path) -> None:
    """White space, numbers and order of keys are as delivered; only session tokens are gone."""
    raw = b'{ "eventTime":"2026-06-10T12:00:00Z",\n "eventName" : "X", "eventSource":"s", "eventID":"e-1", "z": 1.50,'
    raw += b' "responseElements":{"credentials":{"sessionToken":"FAKE","expiration":"Jun 1"}} , "a":"\xff\\u0041"}'
    case = make(
        tmp_path, {"1.json.gz": gzip.compress(b'{"Records":[\n' + text(event(7)) + b" , " + raw + b"\n]}", mtime=0)}
    )
    collect(case)
    assert store.record(case, "e-1") == [raw.replace(b"FAKE", b"REDACTED")]
    assert store.record(case, event(7)["eventID"]) == [text(event(7))]
    with pytest.raises(NotFoundError, match="e-2"):
        store.record(case, "e-2")


def test_a_record_of_two_accounts_is_asked_for_by_account(tmp_path: Path) -> None:
    """Both accounts' records are given, or that of the one that is named."""
    other = event(1, recipientAccountId="444455556666")
    case = make(tmp_path, {"1.json": logs(A, other)})
    collect(case)
    assert store.record(case, A["eventID"]) == [text(A), text(other)]
    assert store.record(case, A["eventID"], account_id="444455556666") == [text(other)]
    with pytest.raises(NotFoundError, match="999988887777"):
        store.record(case, A["eventID"], account_id="999988887777")


def test_an_event_without_an_id_is_named_by_its_bytes(tmp_path: Path) -> None:
    """The id is the same in every collect, so that duplicates are found."""
    nameless = event(1, eventID=...)
    case = make(tmp_path, {"1.json": logs(nameless), "2.json.gz": gzip.compress(logs(nameless), mtime=0)})
    assert collect(case)["duplicate"] == 1
    (row,) = rows(case)
    assert row["eventid"].startswith("sha256:")
    assert store.record(case, row["eventid"]) == [text(nameless)]


@pytest.mark.parametrize("recipient", ["../../../owned", "1111", "..", "111122223333/x", "١١١١٢٢٢٢٣٣٣٣", ""])
def test_no_value_of_a_log_becomes_a_path(tmp_path: Path, recipient: str) -> None:
    """An account that is not 12 digits is `unknown` in the layout; the record says what it said."""
    case = make(tmp_path, {"1.json": logs(event(1, recipientAccountId=recipient, userIdentity=...))})
    collect(case)
    (file,) = store.paths(case, "cloudtrail")
    assert file.parent.parent.name == "account_id=unknown"
    assert rows(case)[0]["recipientaccountid"] == recipient


@pytest.mark.parametrize("step", ["stage", "append", "rewrite", "journal", "play", "removal", "totals"])
def test_a_crash_at_any_step_is_made_good_by_the_next_collect(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was half done, the tables and the account are those of an undisturbed collect."""
    files = {"1.json": logs(A, event(2)), "2.json": logs(A, event(3)), "3.json": logs(B)}
    calm = make(tmp_path / "calm", files)
    expected = collect(calm)
    case = make(tmp_path / "crash", {"1.json": files["1.json"]})
    collect(case)
    for name, data in files.items():
        (tmp_path / "crash" / "logs" / name).write_bytes(data)
    settling = importlib.import_module("cirtlib.store.settle")
    module, name, after = {
        "stage": (importlib.import_module("cirtlib.store.worker"), "read_and_stage", True),
        "append": (importlib.import_module("cirtlib.evidence").Manifest, "append", True),
        "rewrite": (settling, "rewrite", True),
        "journal": (settling, "_play", False),
        "play": (Path, "replace", True),
        "removal": (Path, "unlink", False),
        "totals": (importlib.import_module("cirtlib.store.tally"), "write_collected", False),
    }[step]
    real = getattr(module, name)

    def crash(*arguments: Any, **named: Any) -> Any:
        target = str(arguments[-1]) if step == "play" else ""
        if step == "play" and "sightings" not in target and "account_id" not in target:
            return real(*arguments, **named)
        if step == "journal" and not (case.evidence / "journal.json").exists():
            return real(*arguments, **named)
        if after:
            real(*arguments, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, name, crash)
        with pytest.raises(KeyboardInterrupt):
            collect(case)
    account = collect(load_case(case.path))
    assert {**account, "new": 0} == {**expected, "new": 0}
    assert rows(case) == rows(calm)
    assert rows(case, "sightings") == rows(calm, "sightings")
    assert not (case.evidence / "journal.json").exists()
    assert list((case.evidence / "staging").glob("*")) == []


def test_a_case_folder_may_move_and_have_any_name(tmp_path: Path) -> None:
    """Quotes, brackets and stars in the path of a case are no patterns, and inside it everything is relative."""
    case = make(tmp_path / "it's [a] c*se", {"1.json": logs(A)})
    assert collect(case)["kept"] == 1
    (case.path / "logs").mkdir()
    (case.path / "logs" / "own.json").write_bytes(logs(event(9)))
    (case.path / "case.yaml").write_text("sources: [{cloudtrail: {folder: logs}}]")
    assert collect(load_case(case.path))["new"] == 1
    shutil.move(case.path, tmp_path / "moved")
    assert collect(load_case(tmp_path / "moved"))["new"] == 0
