"""Event history: seeds first, then whole Regions; each page once, whatever stops the collect."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cirtlib import queries
from cirtlib.case import Case, new_case
from cirtlib.collect import collect
from cirtlib.errors import AccessError, CaseError
from cirtlib.sources import Blob, Known, Milestone, Slice, event_history, lookup

ACCOUNT, OTHER = "111122223333", "444455556666"
HOME, AWAY = "us-east-1", "eu-west-1"
LEAKED, FIRST, SECOND = "AKIAIOSFODNN7EXAMPLE", "ASIAFIRSTEXAMPLE0001", "ASIASECONDEXAMPLE001"
NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
SOURCE = {"cloudtrail": {"event_history": True}}


def when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def record(minutes: float, key: str, *, mints: str = "", of: str = ACCOUNT, **more: Any) -> dict[str, Any]:
    """One management event, so many minutes before now, that may mint a key for a role of account `of`."""
    moment = NOW - timedelta(minutes=minutes)
    made: dict[str, Any] = {
        "eventVersion": "1.08", "eventTime": when(moment), "eventSource": "sts.amazonaws.com",
        "eventName": "AssumeRole" if mints else "GetCallerIdentity", "awsRegion": HOME, "sourceIPAddress": "192.0.2.7",
        "userIdentity": {"type": "IAMUser", "accessKeyId": key, "userName": "mira", "accountId": ACCOUNT},
        "eventType": "AwsApiCall", "recipientAccountId": ACCOUNT, "readOnly": True, "managementEvent": True,
        "eventID": f"{minutes}-{key}",
    } | more  # fmt: skip
    if mints:
        arn = f"arn:aws:sts::{of}:assumed-role/deploy/s"
        made["responseElements"] = {"credentials": {"accessKeyId": mints}, "assumedRoleUser": {"arn": arn}}
    return made


@dataclass
class Cloud:
    """LookupEvents over a few records, as AWS documents it; stands for `Aws`."""

    held: dict[tuple[str, str], list[dict[str, Any]]]
    access: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # account, Region, filter
    spans: list[tuple[datetime, datetime]] = field(default_factory=list)
    refuse: dict[tuple[str, str], str] = field(default_factory=dict)
    stop_after: int = 1_000_000
    throttled: int = 0

    def __call__(self, access: Any) -> "Cloud":
        return self

    def client(self, service: str, *, account: str | None = None, region: str = HOME) -> Any:
        return _Client(self, account or ACCOUNT, region)


@dataclass
class _Client:
    cloud: Cloud
    account: str
    region: str

    def get_caller_identity(self) -> dict[str, str]:
        return {"Account": self.account}

    def lookup_events(self, **given: Any) -> dict[str, Any]:
        cloud = self.cloud
        attribute = (given.get("LookupAttributes") or [{"AttributeKey": "all", "AttributeValue": ""}])[0]
        cloud.asked.append((self.account, self.region, attribute["AttributeValue"] or "all"))
        cloud.spans.append((given["StartTime"], given["EndTime"]))
        if len(cloud.asked) > cloud.stop_after:
            raise ClientError({"Error": {"Code": "ExpiredTokenException", "Message": "expired"}}, "LookupEvents")
        if cloud.throttled:
            cloud.throttled -= 1
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "LookupEvents")
        if code := cloud.refuse.get((self.account, self.region)):
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "LookupEvents")
        rows = [_row(one) for one in cloud.held.get((self.account, self.region), [])]
        rows = [row for row in rows if given["StartTime"] <= row["EventTime"] <= given["EndTime"]]
        if attribute["AttributeKey"] != "all":
            name = {"AccessKeyId": "AccessKeyId", "Username": "Username", "EventId": "EventId"}
            wanted = attribute["AttributeValue"]
            if attribute["AttributeKey"] == "ResourceName":
                rows = [row for row in rows if f'"accessKeyId": "{wanted}"}}, "assumed' in row["CloudTrailEvent"]]
            else:
                rows = [row for row in rows if row.get(name[attribute["AttributeKey"]]) == wanted]
        rows.sort(key=lambda row: (row["EventTime"], row["EventId"]), reverse=True)
        first = int(given.get("NextToken", 0))
        last = first + given["MaxResults"]
        return {"Events": rows[first:last], **({"NextToken": str(last)} if last < len(rows) else {})}


def _row(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "EventId": one["eventID"], "EventTime": datetime.fromisoformat(one["eventTime"]),
        "AccessKeyId": one["userIdentity"]["accessKeyId"], "Username": one["userIdentity"]["userName"],
        "CloudTrailEvent": json.dumps(one),
    }  # fmt: skip


def ordinary(count: int, account: str) -> list[dict[str, Any]]:
    """Events of somebody else, seven a minute and all in one second, so that pages end inside a second."""
    return [
        record(number // 7, "AKIASOMEBODYELSE0001", eventID=f"{account}-{number}", recipientAccountId=account)
        for number in range(count)
    ]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A leaked key mints another, that one a third in the other account; much else happens meanwhile."""
    held = {
        (ACCOUNT, HOME): [*ordinary(400, ACCOUNT), record(30, LEAKED), record(29, LEAKED, mints=FIRST)],
        (ACCOUNT, AWAY): [record(20, FIRST, mints=SECOND, of=OTHER), record(19, FIRST)],
        (OTHER, HOME): [record(10, SECOND, recipientAccountId=OTHER), *ordinary(3, OTHER)],
        (OTHER, AWAY): [record(5, SECOND, recipientAccountId=OTHER)],
    }
    made = Cloud(held)
    monkeypatch.setattr(event_history, "Aws", made)
    monkeypatch.setattr(lookup, "INTERVAL", 0.0)
    yield made


def case_of(folder: Path, **more: Any) -> Case:
    content = {
        "window": {"start": when(NOW - timedelta(hours=12)), "end": "now"}, "baseline_days": 0,
        "accounts": [ACCOUNT, OTHER], "regions": [HOME, AWAY], "seeds": [{"access_key": LEAKED}], "sources": [SOURCE],
    } | more  # fmt: skip
    return new_case(folder, content)


def read(case: Case, known: Known | None = None) -> list[Any]:
    place = event_history.place(case, "cloudtrail", case.sources[0].options)
    return list(place.read(known or Known()))


def ids(items: list[Any]) -> list[str]:
    blobs = [item for item in items if isinstance(item, Blob)]
    return [row["EventId"] for blob in blobs for row in json.loads(blob.data)["Events"]]


def test_the_chain_of_keys_is_found_before_any_region_is_paged(cloud: Cloud, tmp_path: Path) -> None:
    """From the leaked key over the keys that it minted, into the other account; then a milestone, then all the rest."""
    items = read(case_of(tmp_path / "c"))
    mark = next(place for place, item in enumerate(items) if isinstance(item, Milestone))
    early, late = ids(items[:mark]), ids(items[mark:])
    assert {one.partition("-")[2] for one in early} == {LEAKED, FIRST, SECOND}
    assert len(early) == 6
    assert len(set(late)) == 400 + 3 + 6
    # a key of a role of the other account acts there alone
    assert {account for account, _, what in cloud.asked if what == SECOND} == {OTHER}


def test_a_session_leads_back_to_the_key_behind_it(cloud: Cloud, tmp_path: Path) -> None:
    """A temporary key as seed: the record that issued it names the caller, and so the whole chain is found."""
    items = read(case_of(tmp_path / "c", seeds=[{"access_key": SECOND}]))
    mark = next(place for place, item in enumerate(items) if isinstance(item, Milestone))
    assert {one.partition("-")[2] for one in ids(items[:mark])} == {LEAKED, FIRST, SECOND}


def test_pages_hold_records_as_received_and_slices_say_what_was_asked(cloud: Cloud, tmp_path: Path) -> None:
    """A page is LookupEvents' own answer; every account, Region and look-up has its line in the ledger."""
    cloud.held[ACCOUNT, HOME][0]["userAgent"] = "\ud800 <b>é"
    items = read(case_of(tmp_path / "c"))
    page = next(item for item in items if isinstance(item, Blob) and "/all/" in item.name)
    assert page.facts["account"], page.facts["region"]
    texts = [
        row["CloudTrailEvent"] for blob in items if isinstance(blob, Blob) for row in json.loads(blob.data)["Events"]
    ]
    assert json.dumps(cloud.held[ACCOUNT, HOME][0]) in texts
    slices = {(item.account, item.region, item.extent): item for item in items if isinstance(item, Slice)}
    assert {slices[account, region, "all"].status for account in (ACCOUNT, OTHER) for region in (HOME, AWAY)} == {
        "read"
    }
    assert slices[OTHER, AWAY, f"AccessKeyId={SECOND}"].status == "read"
    assert slices[OTHER, HOME, f"AccessKeyId={LEAKED}"].status == "empty"
    assert slices[ACCOUNT, HOME, "all"].start == when(NOW - timedelta(hours=12))


def test_only_what_the_seeds_lead_to(cloud: Cloud, tmp_path: Path) -> None:
    """With whole: false no Region is paged; without a seed there is nothing to ask for."""
    source = {"cloudtrail": {"event_history": {"whole": False}}}
    items = read(case_of(tmp_path / "c", sources=[source]))
    assert set(ids(items)) == {f"{minutes}-{key}" for minutes, key in (
        (30, LEAKED), (29, LEAKED), (20, FIRST), (19, FIRST), (10, SECOND), (5, SECOND))}  # fmt: skip
    with pytest.raises(CaseError, match="needs a seed"):
        read(case_of(tmp_path / "d", sources=[source], seeds=[]))
    with pytest.raises(CaseError, match="whole: false"):
        read(case_of(tmp_path / "e", sources=[{"cloudtrail": {"event_history": {"days": 3}}}]))


def test_a_stopped_collect_goes_on_where_it_was(cloud: Cloud, tmp_path: Path) -> None:
    """Whenever credentials run out, the same command asks for the rest, and the store is that of one whole collect."""
    collect(whole := case_of(tmp_path / "whole"), progress=False)
    needed = len(cloud.asked)
    case = case_of(tmp_path / "c")
    total = 0
    for stop in (14, 3, 1):
        cloud.asked.clear()
        cloud.stop_after = stop
        with pytest.raises(AccessError, match="same command"):
            collect(case, progress=False)
        total += len(cloud.asked)
    cloud.asked.clear()
    cloud.stop_after = 1_000_000
    totals = collect(case, progress=False)
    assert totals["rejected"] == 0
    assert (total + len(cloud.asked)) < needed + 3 * 6
    columns = ["event_time", "event_id", "account_id", "access_key_id", "minted_key"]
    assert queries.events(case)[columns].equals(queries.events(whole)[columns])
    assert len(queries.events(case)) == 400 + 3 + 6


def test_a_stop_inside_the_first_second_of_the_window_loses_nothing(cloud: Cloud, tmp_path: Path) -> None:
    """A page that reaches the window's start may not be the last one of that second."""
    cloud.held = {(ACCOUNT, HOME): [record(60, "AKIASOMEBODYELSE0001", eventID=f"e{number}") for number in range(120)]}
    window = {"start": when(NOW - timedelta(minutes=60)), "end": when(NOW)}
    case = case_of(tmp_path / "c", window=window, accounts=[ACCOUNT], regions=[HOME], seeds=[])
    cloud.stop_after = 1
    with pytest.raises(AccessError):
        collect(case, progress=False)
    assert len(queries.events(case)) == 50
    cloud.stop_after = 1_000_000
    collect(case, progress=False)
    assert len(queries.events(case)) == 120


def test_a_live_case_asks_for_what_is_new(cloud: Cloud, tmp_path: Path) -> None:
    """A second collect asks each Region once, from half an hour before the first one's end; new events are there."""
    case = case_of(tmp_path / "c")
    started = datetime.now(UTC)
    collect(case, progress=False)
    cloud.asked.clear(), cloud.spans.clear()
    late = record(0, LEAKED, eventID="late", eventTime=when(datetime.now(UTC) - timedelta(minutes=1)))
    cloud.held[ACCOUNT, HOME].append(late)
    totals = collect(case, progress=False)
    assert totals["new"] == 1
    assert sorted(cloud.asked) == sorted((a, r, "all") for a in (ACCOUNT, OTHER) for r in (HOME, AWAY))
    assert min(start for start, _ in cloud.spans) >= started - timedelta(minutes=31)


def test_a_finished_window_is_not_asked_again(cloud: Cloud, tmp_path: Path) -> None:
    """Once its end is old enough for everything to have arrived, nothing is asked."""
    window = {"start": when(NOW - timedelta(hours=12)), "end": when(NOW + timedelta(minutes=1))}
    case = case_of(tmp_path / "c", window=window)
    collect(case, progress=False)
    cloud.asked.clear()
    assert collect(case, progress=False)["new"] == 0
    assert cloud.asked == []
    assert len(queries.events(case)) == 409


def test_what_is_refused_is_in_the_ledger(cloud: Cloud, tmp_path: Path) -> None:
    """A Region that denies and one that fails are slices with their reason; the others are read."""
    cloud.refuse = {(OTHER, AWAY): "AccessDeniedException", (ACCOUNT, AWAY): "InternalFailure"}
    items = read(case_of(tmp_path / "c"))
    slices = {(item.account, item.region, item.extent): item for item in items if isinstance(item, Slice)}
    assert slices[OTHER, AWAY, "all"].status == "denied"
    assert "AccessDenied" in slices[OTHER, AWAY, "all"].reason
    assert slices[ACCOUNT, AWAY, "all"].status == "failed"
    assert len(set(ids(items))) == 400 + 2 + 4
    assert cloud.asked.count((OTHER, AWAY, "all")) + cloud.asked.count((OTHER, AWAY, LEAKED)) == 1


def test_a_region_that_is_not_enabled_stops_nobody(cloud: Cloud, tmp_path: Path) -> None:
    """It calls good credentials invalid; the others are read."""
    cloud.refuse = {(OTHER, AWAY): "UnrecognizedClientException"}
    items = read(case_of(tmp_path / "c"))
    slices = {(item.account, item.region, item.extent): item for item in items if isinstance(item, Slice)}
    assert slices[OTHER, AWAY, "all"].status == "denied"
    assert "not enabled" in slices[OTHER, AWAY, "all"].reason
    assert slices[ACCOUNT, HOME, "all"].status == "read"


def test_what_is_older_than_ninety_days_is_said_to_be_absent(cloud: Cloud, tmp_path: Path) -> None:
    """The part of the window that event history does not hold is a gap, and is not called read."""
    start = datetime.now(UTC) - timedelta(days=100)
    case = case_of(tmp_path / "c", window={"start": when(start), "end": "now"})
    slices = [item for item in read(case) if isinstance(item, Slice)]
    gaps = [item for item in slices if item.status == "absent"]
    assert {(gap.account, gap.region) for gap in gaps} == {(a, r) for a in (ACCOUNT, OTHER) for r in (HOME, AWAY)}
    assert {gap.start for gap in gaps} == {when(start)}
    assert "90 days" in gaps[0].reason
    whole = [item for item in slices if item.extent == "all" and item.status == "read"]
    assert {item.start for item in whole} == {gap.end for gap in gaps}


@pytest.mark.integration  # it waits as long as the service wants it to
def test_a_throttled_region_is_asked_more_slowly(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Throttling loses nothing."""
    monkeypatch.setattr(lookup, "INTERVAL", 0.001)
    cloud.throttled = 5
    assert len(set(ids(read(case_of(tmp_path / "c"))))) == 409


def test_two_calls_a_second(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Region is never asked faster than AWS allows."""
    monkeypatch.setattr(lookup, "INTERVAL", 0.1)
    lane = lookup.Lane(cloud, ACCOUNT, HOME, 0)  # type: ignore[arg-type]
    began = time.monotonic()
    span = int((NOW - timedelta(hours=12)).timestamp()), int(NOW.timestamp())
    assert len(list(lookup.pages(lane, "all", span))) == 9
    assert time.monotonic() - began >= 0.8


def test_credentials_of_another_account_are_noticed(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One account's events are never taken for another's."""
    monkeypatch.setattr(_Client, "get_caller_identity", lambda _: {"Account": ACCOUNT})
    items = read(case_of(tmp_path / "c"))
    refused = [item for item in items if isinstance(item, Slice) and item.account == OTHER]
    assert {item.status for item in refused} == {"denied"}
    assert f"credentials of account {ACCOUNT}" in refused[0].reason
    assert all(account == ACCOUNT for account, _, _ in cloud.asked)


def test_the_estimate_is_said_before_regions_are_paged(cloud: Cloud, tmp_path: Path) -> None:
    """How many pages, and how long it takes at AWS's pace."""
    cloud.held[ACCOUNT, HOME] = [record(number / 2, LEAKED, eventID=f"m{number}") for number in range(2 * 60 * 12)]
    said: list[str] = []
    read(case_of(tmp_path / "c"), Known(say=said.append))
    estimate = next(line for line in said if "pages" in line)
    count = int(estimate.split("about ")[1].split(" ")[0].replace(",", ""))
    assert 20 <= count <= 30
    assert "same command" in estimate
