"""A bucket that throttles, breaks off, refuses and expires: what can be read is read once, the rest has its reason."""

import gzip
import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from cirtlib import coverage, evidence, sql
from cirtlib.aws import Aws
from cirtlib.case import new_case
from cirtlib.collect import collect
from cirtlib.errors import AccessError
from cirtlib.sources import Blob, Known, Slice, s3
from cirtlib.sources.s3 import bucket as opened
from cirtlib.sources.s3 import reading
from cirtlib.sources.s3.bucket import Bucket
from cirtlib.sources.s3.reading import SPOOLED, Ref, fetch
from tests.s3_server import Server, credentials, serve

FIRST, SECOND = "AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE"
TOP = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/06/10/"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A server, credentials for it, and little patience."""
    credentials(monkeypatch, tmp_path, FIRST)
    quick: Any = {
        "max_retries": 3,
        "backoff": {"init_backoff": timedelta(milliseconds=5), "max_backoff": timedelta(milliseconds=20), "base": 2},
        "retry_timeout": timedelta(seconds=20),
    }
    monkeypatch.setattr(opened, "RETRIES", quick)
    monkeypatch.setattr(opened, "TIMES", {"connect_timeout": "5s", "read_timeout": "1s", "timeout": "20s"})
    monkeypatch.setattr(reading, "_PAUSE", 0.01)
    with serve({}) as served:
        yield served


def read(served: Server, tmp_path: Path) -> tuple[dict[str, Blob], list[Slice]]:
    """Blobs by name, each of which came once, and slices."""
    case = new_case(tmp_path / "case", {"access": {"endpoint_url": served.endpoint}})
    items = list(s3.place(case, "cloudtrail", {"s3": "s3://logs"}).read(Known(scratch=tmp_path / "scratch")))
    blobs = [item for item in items if isinstance(item, Blob)]
    assert len({blob.name for blob in blobs}) == len(blobs), "given twice"
    return {blob.name: blob for blob in blobs}, [item for item in items if isinstance(item, Slice)]


def test_what_passes_is_waited_for(server: Server, tmp_path: Path) -> None:
    """Throttling, errors of the server, resets, bodies cut short or stalled: each object is read in the end, whole."""
    faults = {
        "slow-down": ["SlowDown", "SlowDown", ""],
        "too-many": ["TooManyRequests", ""],
        "internal": ["InternalError", "InternalError", ""],
        "reset": ["reset", "reset", ""],
        "truncate": ["truncate", ""],
        "stall": ["stall", ""],
        "large-truncate": ["truncate", ""],
        "mixed": ["reset", "SlowDown", "truncate", "InternalError", ""],
        "fine": [],
    }
    for name, told in faults.items():
        server.objects[TOP + name] = name.encode() * (SPOOLED // 10 if name.startswith("large") else 500)
        server.faults[TOP + name] = told
    blobs, slices = read(server, tmp_path)
    assert {name: blob.fault for name, blob in blobs.items() if blob.fault} == {}
    for name, blob in blobs.items():
        assert (blob.file.read_bytes() if blob.file else blob.data) == server.objects[name], name
    assert [one.status for one in slices] == ["read"]


def test_what_does_not_pass_is_a_fault_with_its_reason(server: Server, tmp_path: Path) -> None:
    """In AWS's words, denied or failed, beside everything that can be read; and no half of an object."""
    faults = {"AccessDenied": "denied", "InvalidObjectState": "failed", "NoSuchKey": "failed", "SlowDown": "failed"}
    faults |= {"TooManyRequests": "failed", "InternalError": "failed", "reset": "failed", "truncate": "failed"}
    names = {f"{TOP}{fault}": fault for fault in faults} | {
        f"odd//{fault}": fault for fault in ("AccessDenied", "NoSuchKey")
    }
    for name, fault in names.items():
        server.objects[name] = b"x" * 1000
        server.faults[name] = [fault, "always"]
    server.objects |= {TOP + "large": b"x" * (SPOOLED + 1), TOP + "fine": b"fine"}
    server.faults[TOP + "large"] = ["truncate", "always"]
    server.objects = {name.replace(TOP, "copy/"): data for name, data in server.objects.items()}
    server.faults = {name.replace(TOP, "copy/"): told for name, told in server.faults.items()}
    blobs, slices = read(server, tmp_path)
    assert blobs.pop("copy/fine").data == b"fine"
    assert [blob.data for blob in blobs.values() if blob.data or blob.file] == []
    assert not list((tmp_path / "scratch").iterdir())
    for name, fault in names.items():
        blob = blobs[name.replace(TOP, "copy/")]
        assert blob.status == faults[fault], name
        assert blob.mark
        if fault in {"AccessDenied", "InvalidObjectState", "SlowDown", "TooManyRequests", "InternalError"}:
            assert blob.fault.startswith(f"cannot be read: {fault}: "), name
    assert "is not authorized to perform: kms:Decrypt" in blobs["copy/AccessDenied"].fault
    assert "not valid for the object's storage class" in blobs["copy/InvalidObjectState"].fault
    assert blobs["copy/NoSuchKey"].fault.startswith("is gone since it was listed: NoSuchKey: The specified key")
    assert blobs["copy/reset"].fault
    assert server.gets()["copy/AccessDenied"] == 1
    assert server.gets()["copy/SlowDown"] == 3 * 4
    assert [one.status for one in slices] == ["read"]


def test_a_listing_that_is_refused_is_a_row_of_the_ledger(server: Server, tmp_path: Path) -> None:
    """One account's folder may not be listed: the other's objects are read, and the refusal is said."""
    other = TOP.replace("111122223333", "444455556666")
    server.objects = {TOP + "a": b"a", other + "b": b"b"}
    server.faults["list:AWSLogs/444455556666/CloudTrail/us-east-1/"] = ["AccessDenied", "always"]
    blobs, slices = read(server, tmp_path)
    assert set(blobs) == {TOP + "a"}
    (denied,) = [one for one in slices if one.status != "read"]
    assert (denied.status, denied.account, denied.region) == ("denied", "444455556666", "us-east-1")
    assert denied.reason.startswith(
        "s3://logs/AWSLogs/444455556666/CloudTrail/us-east-1/ cannot be listed: AccessDenied"
    )


def test_a_bucket_that_is_refused_as_a_whole_is_no_crash(server: Server, tmp_path: Path) -> None:
    """Nothing is read, and the ledger says why."""
    server.objects = {TOP + "a": b"a"}
    server.faults["list:"] = ["AccessDenied", "always"]
    blobs, slices = read(server, tmp_path)
    assert not blobs
    assert [(one.name, one.status) for one in slices] == [("list:", "denied")]


def test_an_object_that_was_replaced_since_it_was_listed_is_read_as_it_is_now(server: Server, tmp_path: Path) -> None:
    """Its mark is that of what was read, so that the next listing agrees."""
    server.objects = {TOP + "a": b"new"}
    opened_bucket = Bucket("logs", Aws({"endpoint_url": server.endpoint}))
    (blob,) = fetch(opened_bucket, [Ref(TOP + "a", 3, "0" * 32)], tmp_path)
    assert blob.data == b"new"
    assert blob.mark == f"{blob.facts['etag']}-3"
    assert blob.facts["etag"] != "0" * 32


def test_memory_is_bounded_when_the_reader_is_slow(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more is fetched ahead than there is room for; who stops taking ends the reading."""
    monkeypatch.setattr(reading, "_LEAST", 1)
    monkeypatch.setattr(reading, "_ROOM", 2_500)
    monkeypatch.setattr(reading, "_FEW", 1)
    server.objects = {f"{TOP}{number}": b"x" * 1000 for number in range(50)}
    bucket = Bucket("logs", Aws({"endpoint_url": server.endpoint}))
    given = fetch(bucket, [Ref(name, 1000) for name in server.objects], tmp_path)
    taken = list(islice(given, 5))
    assert len(taken) == 5
    assert sum(server.gets().values()) <= 5 + 2
    given.close()
    assert sum(server.gets().values()) < 50


def test_credentials_that_are_renewed_outside_are_taken(server: Server, tmp_path: Path, monkeypatch: Any) -> None:
    """A profile that was written anew while the collect runs serves for the rest."""
    server.objects = {f"{TOP}{number}": b"x" for number in range(40)}
    case = new_case(tmp_path / "case", {"access": {"endpoint_url": server.endpoint}})
    given = iter(s3.place(case, "cloudtrail", {"s3": "s3://logs"}).read(Known(scratch=tmp_path)))
    monkeypatch.setattr(reading, "THREADS", 2)
    blobs = [next(given)]
    credentials(monkeypatch, tmp_path, SECOND)
    server.expired.add(FIRST)
    blobs += [item for item in given if isinstance(item, Blob)]
    assert len({blob.name for blob in blobs if blob.data == b"x"}) == 40


def trail(number: int) -> bytes:
    """One log file of one event."""
    event = {
        "eventTime": f"2026-06-10T00:00:{number:02}Z", "eventSource": "iam.amazonaws.com", "eventName": "ListUsers",
        "awsRegion": "us-east-1", "eventID": f"e-{number}", "recipientAccountId": "111122223333",
    }  # fmt: skip
    return gzip.compress(json.dumps({"Records": [event]}).encode())


def test_a_collect_stops_cleanly_when_credentials_run_out_and_goes_on(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read until then is in the case; new credentials read only the rest; what is refused is said."""
    server.objects = {f"{TOP}{number:02}.json.gz": trail(number) for number in range(30)}
    server.faults = {f"{TOP}03.json.gz": ["AccessDenied", "always"], f"{TOP}05.json.gz": ["reset", "SlowDown", ""]}
    content = {"sources": [{"cloudtrail": {"s3": "s3://logs"}}], "access": {"endpoint_url": server.endpoint}}
    case = new_case(tmp_path / "case", content)
    inner, served = server.fault, 0

    def expire(name: str) -> str:
        nonlocal served
        served += not name.startswith("list:")
        if served == 12:
            server.expired.add(FIRST)
        return inner(name)

    monkeypatch.setattr(server, "fault", expire)
    with pytest.raises(AccessError, match="run the same command again; what was read until now is kept"):
        collect(case, progress=False, processes=1)
    before = sql(case, "SELECT eventid FROM cloudtrail_logs")
    assert 0 < len(before) < 29
    credentials(monkeypatch, tmp_path, SECOND)
    totals = collect(case, progress=False, processes=1)
    assert (totals["kept"], totals["duplicate"], totals["rejected"]) == (29, 0, 1)
    assert totals["new"] == 29 - len(before)
    assert {name: n for name, n in server.gets().items() if n > 1 and name[-10:-8] not in {"03", "05"}} == {}
    (line,) = [one for one in evidence.entries(case) if one["rejected"]]
    assert line["status"] == "denied"
    ledger = coverage(case)
    assert ledger.loc[ledger["reason"].str.contains("kms:Decrypt"), "account"].tolist() == ["111122223333"]
