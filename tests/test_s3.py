"""Evidence in S3 is found from an address alone, listed no wider than the case asks, and read once."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cirtlib import cloudtrail_s3, evidence, sql
from cirtlib.aws import Aws
from cirtlib.case import Case, new_case
from cirtlib.collect import collect
from cirtlib.errors import CaseError, EvidenceError
from cirtlib.sources import Blob, Known, Slice, s3
from cirtlib.sources.s3 import layout
from cirtlib.sources.s3.bucket import Bucket
from cirtlib.sources.s3.listing import Inventory
from cirtlib.sources.s3.reading import SPOOLED
from tests.s3_server import Server, credentials, serve

ACCOUNT, OTHER, ORG = "111122223333", "444455556666", "o-abc1234567"


def key(
    account: str = ACCOUNT,
    kind: str = "CloudTrail",
    region: str = "us-east-1",
    day: str = "2026/06/10",
    top: str = "AWSLogs/",
) -> str:
    """Key of a log object, as AWS makes them."""
    return f"{top}{account}/{kind}/{region}/{day}/{account}_{kind}_{region}_{day.replace('/', '')}T0000Z_abc.json.gz"


LAYOUTS = {
    "account trail": "AWSLogs/",
    "organization trail": f"AWSLogs/{ORG}/",
    "Control Tower": f"{ORG}/AWSLogs/{ORG}/",
    "older Control Tower": f"{ORG}/AWSLogs/",
    "custom prefix": "security/trails/AWSLogs/",
    "copy from AWSLogs on": "",
}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A server with an empty bucket, and credentials for it."""
    credentials(monkeypatch, tmp_path)
    with serve({}) as served:
        yield served


def read(
    served: Server,
    tmp_path: Path,
    uri: str = "s3://logs",
    kind: str = "cloudtrail",
    known: Known | None = None,
    **content: Any,
) -> tuple[dict[str, Blob], dict[str, Slice]]:
    """Blobs and slices of one reading, by name."""
    folder = tmp_path / f"case-{len(list(tmp_path.iterdir()))}"
    case = new_case(folder, {"access": {"endpoint_url": served.endpoint}, **content})
    items = list(s3.place(case, kind, {"s3": uri}).read(known or Known(scratch=folder / "scratch")))
    blobs = [item for item in items if isinstance(item, Blob)]
    assert len({blob.name for blob in blobs}) == len(blobs), "read twice"
    return {blob.name: blob for blob in blobs}, {item.name: item for item in items if isinstance(item, Slice)}


def test_what_a_prefix_names() -> None:
    """Account, kind and Region are told from the left, whatever stands before; files below a day change nothing."""
    found = layout.spot(key(top=f"x/{ORG}/AWSLogs/{ORG}/"))
    assert (found.account, found.kind, found.region) == (ACCOUNT, "CloudTrail", "us-east-1")
    assert found.base == f"x/{ORG}/AWSLogs/{ORG}/{ACCOUNT}/CloudTrail/us-east-1/"
    assert layout.spot(f"AWSLogs/{ACCOUNT}/").account == ACCOUNT
    assert layout.spot(f"copies/{ACCOUNT}/") == layout.Spot()
    assert layout.spot("AWSLogs/").account == ""
    assert layout.spot(f"AWSLogs/{ACCOUNT}/CloudTrail/zz-new-region-9/").region == "zz-new-region-9"


@pytest.mark.parametrize("uri", ["", "bucket/x", "http://bucket/x", "s3://", "s3:///x", "s3://a", "s3://bad bucket/x"])
def test_a_malformed_address_is_a_mistake_in_the_case(uri: str, tmp_path: Path) -> None:
    """It is said before anything is read."""
    with pytest.raises(CaseError, match="write it as s3://BUCKET/PREFIX/"):
        s3.place(new_case(tmp_path / "c", {}), "cloudtrail", {"s3": uri})


@pytest.mark.parametrize("options", [{"account": 111122223333}, {"region": "us-east-1"}])
def test_options_that_are_not_understood_are_refused(options: dict[str, Any], tmp_path: Path) -> None:
    """A misspelt option does not pass silently."""
    with pytest.raises(CaseError, match=r"unknown option region|account 111122223333 should be 12 digits"):
        s3.place(new_case(tmp_path / "c", {}), "cloudtrail", {"s3": "s3://bucket", **options})


@pytest.mark.parametrize("top", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_every_layout_is_read_from_the_bucket_alone(top: str, bucket: Server, tmp_path: Path) -> None:
    """Accounts and Regions, known or new, are found by their folders, with the siblings of CloudTrail/."""
    kinds = layout.TRAILS
    keys = {key(a, k, r, top=top) for a in (ACCOUNT, OTHER) for k in kinds for r in ("us-east-1", "xx-new-1")}
    beside = {key(kind="Config", top=top), key(kind="CloudTrail-Lake", top=top), key(kind="CloudTrail-Future", top=top)}
    bucket.objects = dict.fromkeys(keys | beside, b"x")
    blobs, slices = read(bucket, tmp_path)
    assert set(blobs) == keys
    listed = {(one.account, one.region, one.facts["kind"], one.status) for one in slices.values() if one.account}
    assert listed == {(a, r, k, "read") for a in (ACCOUNT, OTHER) for k in kinds for r in ("us-east-1", "xx-new-1")}
    assert "CloudTrail-Future (1 place), CloudTrail-Lake (1 place), Config (1 place)" in slices["beside:"].reason


@pytest.mark.parametrize(
    "top",
    [
        pytest.param(top, id=name, marks=[pytest.mark.integration] * (name != "Control Tower"))
        for name, top in LAYOUTS.items()
    ],
)
def test_a_prefix_may_stand_anywhere_in_the_layout(top: str, bucket: Server) -> None:
    """From the bucket down to one object, with or without the slash at the end, the object is found, alone or not."""
    one = key(top=top)
    bucket.objects = {one: b"x", key(kind="CloudTrail-Digest", top=top): b"d"}
    opened = Bucket("logs", Aws({"endpoint_url": bucket.endpoint}))
    parts = one.split("/")
    for length in range(len(parts) + 1):
        for end in ("", "/") if 0 < length < len(parts) else ("",):
            prefix = "/".join(parts[:length]) + end
            inventory = Inventory(opened, prefix, layout.Wanted(layout.TRAILS))
            found = [ref.key for ref in inventory.refs()]
            assert one in found, prefix
            assert len(found) == len(set(found)), prefix
            assert all(made.status == "read" for made in inventory.slices()), prefix


def test_the_listing_is_pruned_to_accounts_regions_and_days(bucket: Server, tmp_path: Path) -> None:
    """From the baseline's first day to the day after the window, digests one more; nothing else is asked for."""
    days = [f"2026/06/{day:02}" for day in range(1, 20)]
    bucket.objects = {
        key(a, k, r, day): b"x"
        for a in (ACCOUNT, OTHER)
        for k in ("CloudTrail", "CloudTrail-Digest")
        for r in ("us-east-1", "eu-west-1")
        for day in days
    }
    blobs, slices = read(
        bucket, tmp_path, accounts=[ACCOUNT], regions=["eu-west-1"], baseline_days=2,
        window={"start": "2026-06-07T10:00:00Z", "end": "2026-06-09T10:00:00Z"},
    )  # fmt: skip
    assert set(blobs) == {key(ACCOUNT, "CloudTrail", "eu-west-1", f"2026/06/{day:02}") for day in range(5, 11)} | {
        key(ACCOUNT, "CloudTrail-Digest", "eu-west-1", f"2026/06/{day:02}") for day in range(5, 12)
    }
    assert not [line for line in bucket.requests if OTHER in line or "us-east-1" in line]
    found = slices[f"list:AWSLogs/{ACCOUNT}/CloudTrail/eu-west-1/"]
    assert (found.start, found.end) == ("2026-06-05T00:00:00Z", "2026-06-10T23:59:59Z")


def test_pages_are_followed_and_end_with_the_last_day(bucket: Server, tmp_path: Path) -> None:
    """Listings of many pages are whole, and pages after the last day are not asked for."""
    bucket.page = 2
    bucket.objects = {key(day=f"2026/06/{day:02}"): b"x" for day in range(1, 21)}
    blobs, _ = read(bucket, tmp_path, window={"end": "2026-06-05T00:00:00Z"})
    assert len(blobs) == 6
    assert len([line for line in bucket.requests if line.startswith("LIST") and "us-east-1" in line]) <= 4
    assert len(read(bucket, tmp_path)[0]) == 20


def test_an_account_that_is_not_there_is_said(bucket: Server, tmp_path: Path) -> None:
    """An account of the case without logs in the bucket is a row of the ledger."""
    bucket.objects = {key(): b"x"}
    _, slices = read(bucket, tmp_path, accounts=[ACCOUNT, OTHER])
    assert slices[f"account:{OTHER}"].status == "absent"
    assert slices[f"account:{OTHER}"].account == OTHER


@pytest.mark.parametrize(
    "names", [["a.json", "b/c/d.json.gz", "2026/06/x.json"], [f"{ACCOUNT}/notes.json", "z/y.json"]]
)
def test_a_bucket_laid_out_otherwise_is_read_whole(names: list[str], bucket: Server, tmp_path: Path) -> None:
    """A copy of files has no layout, and nothing in it is dropped."""
    bucket.objects = {**dict.fromkeys(names, b"x"), "folder/": b""}
    blobs, slices = read(bucket, tmp_path, window={"start": "2026-06-07T00:00:00Z", "end": "2026-06-09T00:00:00Z"})
    assert set(blobs) == set(names)
    assert slices["list:"].facts["objects"] == len(names)


def test_what_lies_beside_the_layout_is_named_and_loose_objects_are_read(bucket: Server, tmp_path: Path) -> None:
    """Folders of another kind may be huge: they are named. Objects on the way to the logs are few: they are read."""
    bucket.objects = {
        key(): b"x",
        "billing/2026/report.csv": b"x",
        "readme.json": b"x",
        f"AWSLogs/{ACCOUNT}/note.json": b"x",
    }
    blobs, slices = read(bucket, tmp_path)
    assert set(blobs) == {key(), "readme.json", f"AWSLogs/{ACCOUNT}/note.json"}
    assert slices["beside:"].facts["beside"] == {"billing": ["billing/"]}


def test_findings_of_guardduty_are_read_for_their_kind(bucket: Server, tmp_path: Path) -> None:
    """The export layout is recognised; trails beside it are left to their own source."""
    finding = key(kind="GuardDuty").replace(".json.gz", ".jsonl.gz")
    bucket.objects = {finding: b"f", key(): b"x"}
    for kind in ("guardduty", "findings"):
        assert set(read(bucket, tmp_path, kind=kind)[0]) == {finding}
    assert set(read(bucket, tmp_path)[0]) == {key()}


def test_findings_of_security_hub_have_no_layout(bucket: Server, tmp_path: Path) -> None:
    """All of what the address names is read."""
    bucket.objects = {"securityhub/2026/06/10/stream-1": b"f", f"AWSLogs/{ACCOUNT}/x.json": b"f"}
    assert set(read(bucket, tmp_path, kind="security_hub")[0]) == set(bucket.objects)


def test_an_empty_listing_is_a_row_and_no_error(bucket: Server, tmp_path: Path) -> None:
    """Nothing there is an answer."""
    blobs, slices = read(bucket, tmp_path, uri=f"s3://logs/AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/")
    assert not blobs
    assert [one.status for one in slices.values()] == ["empty"]


def test_what_is_known_is_not_read_again(bucket: Server, tmp_path: Path) -> None:
    """The same name with the same content is not fetched; a changed object is."""
    bucket.objects = {key(): b"one", key(OTHER): b"two"}
    first, _ = read(bucket, tmp_path)
    assert {blob.data for blob in first.values()} == {b"one", b"two"}
    known = Known({(blob.name, blob.mark) for blob in first.values()}, scratch=tmp_path)
    bucket.objects[key(OTHER)] = b"changed"
    again, slices = read(bucket, tmp_path, known=known)
    assert {blob.name: blob.data for blob in again.values()} == {key(OTHER): b"changed"}
    assert bucket.gets()[key()] == 1
    assert slices[f"list:AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/"].status == "read"


def test_what_s3_says_of_an_object_is_recorded(bucket: Server, tmp_path: Path) -> None:
    """Version, ETag, size, time and the user's metadata, in which a digest's signature lies."""
    digest = key(kind="CloudTrail-Digest")
    bucket.objects = {digest: b"four"}
    bucket.headers[digest] = {
        "x-amz-version-id": "v7", "x-amz-meta-signature": "ab12", "x-amz-meta-signature-algorithm": "SHA256withRSA",
        "Content-Type": "application/json", "Content-Encoding": "gzip",
    }  # fmt: skip
    (blob,) = read(bucket, tmp_path)[0].values()
    etag = blob.facts["etag"]
    assert blob.facts == {
        "version_id": "v7", "etag": etag, "size": 4, "last_modified": "2026-06-10T12:00:00Z",
        "metadata": {"signature": "ab12", "signature-algorithm": "SHA256withRSA"},
    }  # fmt: skip
    assert (blob.mark, blob.data) == (f"{etag}-4", b"four")


@pytest.mark.parametrize(
    "name", ["a//b", "../../etc/x", "./x", "x/../y", "sp ace+%2F&=?#", "ü/☃", "line\nbreak", "a/b c/"]
)
def test_hostile_names_are_names_and_never_paths(name: str, bucket: Server, tmp_path: Path) -> None:
    """A key is read by exactly its own name, whatever it looks like, and nothing is written under it."""
    bucket.objects = {name: b"x" * (SPOOLED + 1 if name.startswith("../") else 3), "b": b"decoy"}
    blobs, _ = read(bucket, tmp_path)
    assert not blobs[name].fault
    if blobs[name].file:
        assert blobs[name].file.parent.name == "scratch"
        assert blobs[name].file.stat().st_size == SPOOLED + 1
    else:
        assert blobs[name].data == b"xxx"


def test_a_large_object_comes_as_a_file(bucket: Server, tmp_path: Path) -> None:
    """Over 8 MiB an object is not held in memory; the collect may move its file."""
    bucket.objects = {key(): bytes(range(256)) * (SPOOLED // 256 + 1)}
    (blob,) = read(bucket, tmp_path)[0].values()
    assert blob.spool
    assert blob.file is not None
    assert blob.file.read_bytes() == bucket.objects[key()]
    assert not blob.data


def record(number: int, day: str = "10") -> dict[str, Any]:
    return {
        "eventVersion": "1.08", "eventTime": f"2026-06-{day}T00:00:{number:02}Z", "eventSource": "iam.amazonaws.com",
        "eventName": "ListUsers", "awsRegion": "us-east-1", "eventID": f"e-{day}-{number}",
        "recipientAccountId": ACCOUNT,
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/alice", "accountId": ACCOUNT},
    }  # fmt: skip


def trail(records: list[dict[str, Any]]) -> bytes:
    return gzip.compress(json.dumps({"Records": records}).encode(), mtime=0)


def test_in_python_without_a_case(bucket: Server) -> None:
    """Events between two moments, as a DataFrame; a bucket that cannot be read is an error, a part of it a warning."""
    bucket.objects = {
        key(day="2026/06/10"): trail([record(n) for n in range(3)]),
        key(day="2026/06/11"): trail([record(4), record(5, "11")]),
        key(day="2026/06/14"): trail([record(6, "14")]),
    }
    found = cloudtrail_s3(
        "s3://logs", start="2026-06-10T00:00:01Z", end="2026-06-10T23:59:59Z", endpoint_url=bucket.endpoint
    )
    assert list(found["event_id"]) == ["e-10-1", "e-10-2", "e-10-4"]
    assert bucket.gets()[key(day="2026/06/14")] == 0
    bucket.faults[key(day="2026/06/10")] = ["AccessDenied"]
    with pytest.warns(
        UserWarning, match="1 listings or objects could not be read as a whole, the first: .*kms:Decrypt"
    ):
        assert len(cloudtrail_s3("s3://logs", endpoint_url=bucket.endpoint)) == 3
    bucket.faults["list:"] = ["AccessDenied"]
    with pytest.raises(EvidenceError, match="cannot be listed: AccessDenied"):
        cloudtrail_s3("s3://logs", endpoint_url=bucket.endpoint)


def test_a_collect_from_a_bucket_equals_that_of_its_copy(bucket: Server, tmp_path: Path) -> None:
    """Same totals and the same rows; a second collect reads nothing, and the manifest says where each object lay."""
    bucket.objects = {
        key(day=f"2026/06/{day}"): trail([record(n, str(day)) for n in range(4)] + [record(0)]) for day in (10, 11)
    }
    bucket.objects[key(kind="CloudTrail-Digest")] = gzip.compress(b'{"digestS3Object": "d", "logFiles": []}')
    for name, data in bucket.objects.items():
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / name).write_bytes(data)

    def made(name: str, options: dict[str, str]) -> tuple[Case, dict[str, Any]]:
        content = {"sources": [{"cloudtrail": options}], "access": {"endpoint_url": bucket.endpoint}}
        case = new_case(tmp_path / name, content)
        return case, collect(case, progress=False)

    (cloud, totals), (copied, others) = made("s3", {"s3": "s3://logs/AWSLogs"}), made("dir", {"folder": "../copy"})
    numbers = ("objects", "seen", "kept", "duplicate", "rejected")
    assert [totals[name] for name in numbers] == [others[name] for name in numbers] == [3, 10, 8, 2, 0]
    text = "SELECT * FROM cloudtrail_logs ORDER BY eventid"
    assert sql(cloud, text).equals(sql(copied, text))
    before = len(bucket.gets())
    assert collect(cloud, progress=False)["new"] == 0
    assert len(bucket.gets()) == before
    assert max(bucket.gets().values()) == 1
    entry = next(one for one in evidence.entries(cloud) if "Digest" in one["name"])
    assert (entry["place"], entry["other"]) == ("s3://logs", "digest")
    assert {one["slice"]["status"] for one in evidence.slices(cloud)} == {"read"}
