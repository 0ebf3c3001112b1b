"""The same against moto, an S3 that others wrote: layouts, a role of the bucket's account, and a whole incident."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cirtlib import evidence, queries, sql
from cirtlib.aws import Aws
from cirtlib.case import Case, new_case
from cirtlib.collect import collect
from cirtlib.sources import Blob, Known, Slice, s3
from cirtlib.sources.s3 import layout
from cirtlib.sources.s3.bucket import Bucket
from cirtlib.sources.s3.listing import Inventory
from cirtlib.training.account import Emulated
from cirtlib.training.account import serve as emulate
from cirtlib.training.account_state import backend
from tests.plan_sample import HOME
from tests.s3_server import credentials
from tests.test_s3 import LAYOUTS, key

pytestmark = pytest.mark.integration
ARCHIVE = "777788889999"


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulated]:
    """Emulated accounts, and a profile that reaches them."""
    credentials(monkeypatch, tmp_path)
    with emulate({"accounts": {HOME: {}, ARCHIVE: {}}}, tmp_path / "emulated") as emulated:
        monkeypatch.setenv("AWS_CONFIG_FILE", str(emulated.config))
        yield emulated


def fill(bucket: str, objects: dict[str, bytes], owner: str = HOME, region: str = "us-east-1") -> None:
    """Make a bucket that holds these objects."""
    store = backend("s3", owner)
    store.create_bucket(bucket, region)
    for name, data in objects.items():
        store.put_object(bucket, name, data)


def test_layouts_and_pruning(account: Emulated) -> None:
    """Every layout is found from the bucket alone, and cut to the days that are wanted."""
    opened = Aws({"profile": account.profiles[HOME]})
    for number, (name, top) in enumerate(LAYOUTS.items()):
        days = [key(day=f"2026/06/{day:02}", top=top) for day in (1, 9, 10, 20)]
        fill(f"trail-{number}", dict.fromkeys([*days, key(kind="Config", top=top)], b"x"))
        bucket = Bucket(f"trail-{number}", opened)
        assert sorted(ref.key for ref in Inventory(bucket, "", layout.Wanted(layout.TRAILS)).refs()) == days, name
        case = Case(Path(), "c", baseline_days=0, window=_window())
        inventory = Inventory(bucket, "", layout.wanted(case, "cloudtrail"))
        assert sorted(ref.key for ref in inventory.refs()) == days[1:3], name


def _window() -> Any:
    from cirtlib.case import Window, parse_time

    return Window(parse_time("2026-06-09"), parse_time("2026-06-09T12:00:00Z"))


def test_the_role_of_the_buckets_account_opens_it(account: Emulated, tmp_path: Path) -> None:
    """`account` names whose role is assumed; a digest comes with its signature, from another Region too."""
    fill("archive-logs", {key(): b"log", "odd//name": b"odd"}, ARCHIVE, "eu-west-1")
    digest = backend("s3", ARCHIVE).put_object("archive-logs", key(kind="CloudTrail-Digest"), b"digest")
    digest.set_metadata({"x-amz-meta-signature": "ab12", "x-amz-meta-signature-algorithm": "SHA256withRSA"})
    role = "arn:aws:iam::{account}:role/LogArchiveRead"
    case = new_case(tmp_path / "case", {"access": {"profile": account.profiles[HOME], "role": role}})
    place = s3.place(case, "cloudtrail", {"s3": "s3://archive-logs", "account": ARCHIVE})
    items = list(place.read(Known(scratch=tmp_path)))
    blobs = {item.name: item for item in items if isinstance(item, Blob)}
    assert {blob.fault for blob in blobs.values()} == {""}
    assert {blob.data for blob in blobs.values()} == {b"log", b"digest"}
    assert blobs[key(kind="CloudTrail-Digest")].facts["metadata"] == {
        "signature": "ab12", "signature-algorithm": "SHA256withRSA",
    }  # fmt: skip
    assert "POST AssumeRole" in account.requests
    assert {item.status for item in items if isinstance(item, Slice)} == {"read"}
    whole = s3.place(case, "cloudtrail", {"s3": "s3://archive-logs/odd", "account": ARCHIVE})
    assert [item.data for item in whole.read(Known(scratch=tmp_path)) if isinstance(item, Blob)] == [b"odd"]


def test_a_bucket_that_is_not_there_is_a_row_of_the_ledger(account: Emulated, tmp_path: Path) -> None:
    """Its name stands in the reason."""
    case = new_case(tmp_path / "case", {"access": {"profile": account.profiles[HOME]}})
    (found,) = s3.place(case, "cloudtrail", {"s3": "s3://no-such-bucket/x/"}).read(Known(scratch=tmp_path))
    assert isinstance(found, Slice)
    assert found.status == "failed"
    assert found.reason.startswith("s3://no-such-bucket/x/ cannot be listed: NoSuchBucket: ")


def test_an_incident_from_a_bucket_equals_the_same_from_a_folder(
    account: Emulated, tmp_path: Path, incident: tuple[Case, dict[str, Any]]
) -> None:
    """Logs and findings, event by event; a second collect asks for no object again."""
    folders = [Path(source.options["folder"]) for source in incident[0].sources]
    for folder, bucket in zip(folders, ("org-trail-bucket", "guardduty-export"), strict=True):
        files = [file for file in folder.rglob("*") if file.is_file()]
        fill(bucket, {file.relative_to(folder).as_posix(): file.read_bytes() for file in files})
    sources = [{"cloudtrail": {"s3": "s3://org-trail-bucket"}}, {"findings": {"s3": "s3://guardduty-export"}}]
    case = new_case(tmp_path / "case", {"access": {"profile": account.profiles[HOME]}, "sources": sources})
    totals = collect(case, progress=False)
    text = "SELECT * FROM cloudtrail_logs ORDER BY eventid, recipientaccountid, eventtime, requestid"
    assert sql(case, text).equals(sql(incident[0], text))
    assert queries.findings(case)["finding_id"].tolist() == queries.findings(incident[0])["finding_id"].tolist()
    assert {one["slice"]["status"] for one in evidence.slices(case)} <= {"read", "empty"}
    asked = len(account.requests)
    again = collect(case, progress=False)
    assert (again["new"], again["kept"]) == (0, totals["kept"])
    assert not [line for line in account.requests[asked:] if line.startswith("GET") and line.endswith(".gz")]
