"""The source of public keys: ListPublicKeys of every Region, kept with the evidence."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cirtlib import digest
from cirtlib.aws import Aws
from cirtlib.case import Case, new_case
from cirtlib.errors import AccessError, CaseError
from cirtlib.sources import Blob, Known, Slice
from cirtlib.sources.public_keys import place
from tests.digest_chain import key_list

CONTENT = {
    "accounts": ["111122223333", "444455556666"],
    "regions": ["eu-west-1", "us-east-1"],
    "window": {"start": "2026-06-10T00:00:00Z", "end": "2026-06-12T00:00:00Z"},
}


class FakeCloudTrail:
    """ListPublicKeys as boto3 answers it, in two pages; `refused` accounts get an error."""

    def __init__(self, refused: dict[str, str], asked: list[Any]) -> None:
        self.refused, self.asked = refused, asked

    def client(self, service: str, *, account: str, region: str) -> "_Client":
        assert service == "cloudtrail"
        return _Client(self, account, region)


class _Client:
    def __init__(self, owner: FakeCloudTrail, account: str, region: str) -> None:
        self.owner, self.account, self.region = owner, account, region

    def list_public_keys(self, **given: Any) -> dict[str, Any]:
        self.owner.asked.append((self.account, self.region, given))
        if code := self.owner.refused.get(self.account):
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "ListPublicKeys")
        if "NextToken" not in given:
            return {"PublicKeyList": [], "NextToken": "more"}
        row = key_list()["PublicKeyList"][0]
        times = {
            name: datetime(2026, month, 1, tzinfo=UTC)
            for name, month in (("ValidityStartTime", 1), ("ValidityEndTime", 12))
        }
        return {"PublicKeyList": [{**row, **times, "Value": base64.b64decode(row["Value"])}]}


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return new_case(tmp_path / "case", {**CONTENT, "sources": [{"cloudtrail": {"public_keys": True}}]})


def read(case: Case, monkeypatch: pytest.MonkeyPatch, known: Known, **refused: str) -> tuple[list[Any], list[Any]]:
    asked: list[Any] = []
    fake = FakeCloudTrail(refused, asked)
    monkeypatch.setattr(Aws, "client", fake.client)
    return list(place(case, "cloudtrail", {"public_keys": True}).read(known)), asked


def test_keys_of_every_region_are_kept(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each Region is asked once, page by page, for the window and its baseline; `cirt verify` reads the answer."""
    items, asked = read(case, monkeypatch, Known())
    blobs = [item for item in items if isinstance(item, Blob)]
    assert [blob.name for blob in blobs] == ["eu-west-1/public-keys.json", "us-east-1/public-keys.json"]
    assert [item.status for item in items if isinstance(item, Slice)] == ["read", "read"]
    assert len(asked) == 4
    assert asked[0][2]["StartTime"] == datetime(2026, 5, 11, tzinfo=UTC)
    keys = digest.read(blobs[1].data, "us-east-1")
    assert [key.fingerprint for key in keys] == [key_list()["PublicKeyList"][0]["Fingerprint"]]
    assert keys[0].start == datetime(2026, 1, 1, tzinfo=UTC)


def test_keys_that_are_known_are_not_kept_again(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second collect adds nothing while the answer is the same."""
    items, _ = read(case, monkeypatch, Known())
    marks = {(item.name, item.mark) for item in items if isinstance(item, Blob)}
    again, _ = read(case, monkeypatch, Known(marks=marks))
    assert [type(item) for item in again] == [Slice, Slice]


def test_another_account_answers_for_one_that_may_not(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal in one account does not end it: the key is the Region's, so the next account is asked."""
    items, _ = read(case, monkeypatch, Known(), **{"111122223333": "AccessDenied"})
    assert {item.account for item in items if isinstance(item, Slice)} == {"444455556666"}
    refused = dict.fromkeys(CONTENT["accounts"], "AccessDenied")
    items, _ = read(case, monkeypatch, Known(), **refused)
    assert [(item.status, item.region) for item in items] == [("denied", "eu-west-1"), ("denied", "us-east-1")]
    with pytest.raises(AccessError, match="expired"):
        read(case, monkeypatch, Known(), **{"111122223333": "ExpiredToken"})


def test_other_options_are_refused(case: Case) -> None:
    """What the option should be is said before anything is asked."""
    for kind, options in (("guardduty", {"public_keys": True}), ("cloudtrail", {"public_keys": "yes"})):
        with pytest.raises(CaseError, match="public_keys: true"):
            place(case, kind, options)
