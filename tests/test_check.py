"""Whether a collect would get what it needs, asked of emulated accounts over HTTP."""

import io
import json
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from cirtlib import cli
from cirtlib.aws import allowed
from cirtlib.case import Case, new_case
from cirtlib.check import Row, calls, check, folded, is_ready, logs, settings
from cirtlib.errors import AccessError
from cirtlib.permissions import policy
from cirtlib.training.front_model import Refused
from tests.s3_server import credentials
from tests.s3_server import serve as serve_s3

if TYPE_CHECKING:
    from cirtlib.training.account import Emulated

MEMBER = "444455556666"
HOME = "us-east-1"
Make = Callable[..., Case]


@pytest.fixture
def make(responder: "Emulated", tmp_path: Path) -> Make:
    """A case of one emulated account and one Region."""

    def made(*sources: dict[str, Any], regions: Sequence[str] = (HOME,), **more: Any) -> Case:
        content = {"accounts": [MEMBER], "access": responder.case_access(), "regions": list(regions)}
        window = {"start": "2026-06-16", "end": "2026-06-24"}
        return new_case(tmp_path / "case", {**content, "window": window, "sources": list(sources), **more})

    return made


def bucket(emulated: "Emulated") -> dict[str, Any]:
    return {"cloudtrail": {"s3": f"s3://{emulated.buckets['logs']}/"}}


def results(rows: list[Row]) -> dict[str, str]:
    return {row.what: row.result for row in rows}


EVERYTHING = (
    {"cloudtrail": {"event_history": True}},
    {"guardduty": {"api": True}},
    {"security_hub": {"api": True}},
    {"account": {"api": True}},
)


def test_every_call_is_one_that_may_be_called_and_is_known_to_botocore() -> None:
    """The list names operations that are allowed, with parameters that the service takes."""
    session = botocore.session.get_session()
    for call in calls.calls():
        assert (call.service, call.operation) in allowed()
        members = session.get_service_model(call.service).operation_model(call.operation).input_shape
        assert set(call.parameters) <= set(members.members if members else ()), call
        assert call.scope in {"account", "region", "trail"}
        assert call.sources <= {"event_history", "guardduty", "security_hub", "account", "settings"}


def test_all_is_well(make: Make, responder: "Emulated") -> None:
    """Every call that the sources need is ok, the bucket can be read, and what is off is a warning."""
    rows = check(make(bucket(responder), *EVERYTHING))
    assert {row.result for row in rows} <= {"ok", "off"}
    assert is_ready(rows)
    found = results(rows)
    for what in ("call cloudtrail LookupEvents", "call securityhub GetFindings", "call iam ListAccessKeys"):
        assert found[what] == "ok"
    assert (found["GuardDuty"], found["Security Hub"], found["Config"]) == ("ok", "ok", "off")
    assert found["trail"] == "off"  # the intruder stopped it
    (amount,) = [row for row in rows if row.what.startswith("amount in ")]
    assert "an estimate for " in amount.detail


def test_only_what_the_sources_need_is_asked_for(make: Make, responder: "Emulated") -> None:
    """A case that reads a bucket needs no API; a setting that cannot be told is unknown, not a failure."""
    responder.faults.deny = {("cloudtrail", "DescribeTrails"), ("cloudtrail", "LookupEvents")}
    rows = check(make(bucket(responder)))
    assert not [row for row in rows if row.what.startswith("call ")]
    assert results(rows)["trail"] == results(rows)["data events"] == "unknown"
    assert is_ready(rows)


def test_one_denied_call_is_named_with_the_source_that_needs_it(make: Make, responder: "Emulated") -> None:
    """The rest is checked all the same, and the whole is not ready."""
    responder.faults.deny = {("guardduty", "ListFindings"), ("iam", "GetAccountAuthorizationDetails")}
    rows = check(make(*EVERYTHING))
    denied = {row.what: row.detail for row in rows if row.result == "denied"}
    assert set(denied) == {"call guardduty ListFindings", "call iam GetAccountAuthorizationDetails"}
    assert denied["call guardduty ListFindings"].endswith("(needed for guardduty)")
    assert results(rows)["call securityhub GetFindings"] == "ok"
    assert not is_ready(rows)


def test_a_key_that_does_not_decrypt_is_told_in_words(make: Make, responder: "Emulated") -> None:
    """S3 says AccessDenied and names kms:Decrypt; the row says what to allow."""
    refusal = Refused("AccessDenied", "not authorized to perform: kms:Decrypt on the resource", 403)
    responder.faults.deny = lambda asked: refusal if asked.operation == "GetObject" else False
    rows = check(make(bucket(responder)))
    (read,) = [row for row in rows if row.what.startswith("read ")]
    assert read.result == "denied"
    assert "let these credentials use kms:Decrypt" in read.detail
    assert not is_ready(rows)


def test_a_bucket_that_may_not_be_listed(make: Make, responder: "Emulated") -> None:
    """One row says so, and what policy lacks."""
    responder.faults.deny = {("s3", "ListObjectsV2")}
    rows = check(make(bucket(responder)))
    (listed,) = [row for row in rows if "s3://" in row.what]
    assert (listed.result, listed.what) == ("denied", f"list s3://{responder.buckets['logs']}/")
    assert listed.detail.startswith("allow s3:ListBucket")


def test_an_account_that_cannot_be_entered(make: Make, responder: "Emulated") -> None:
    """Its row is denied, and nothing else is asked there."""
    responder.faults.deny = {("sts", "AssumeRole"), ("ec2", "DescribeRegions")}
    access = {**responder.case_access(), "role": "arn:aws:iam::{account}:role/Forensics"}
    rows = check(make(*EVERYTHING, access=access))
    assert [(row.what, row.result) for row in rows] == [("enter the account", "denied")]


def test_a_missing_profile_is_one_message(make: Make, responder: "Emulated") -> None:
    """No row, no traceback."""
    with pytest.raises(AccessError, match="no-such-profile"):
        check(make(*EVERYTHING, access={"profile": "no-such-profile"}))


def test_the_estimate_is_reckoned_from_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten objects a day for twenty days are told from three days' listing, and one object's first bytes are read."""
    credentials(monkeypatch, tmp_path)
    top = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/06"
    objects = {f"{top}/{day:02}/{number}.json.gz": b"x" * 1000 for day in range(1, 22) for number in range(10)}
    with serve_s3(objects) as server:
        access = {"endpoint_url": server.endpoint}
        window = {"start": "2026-06-01", "end": "2026-06-19"}
        sources = [{"cloudtrail": {"s3": "s3://trail-bucket/"}}]
        case = new_case(tmp_path / "case", {"access": access, "window": window, "baseline_days": 0, "sources": sources})
        place = logs.places(case)[0]
        from cirtlib.aws import Aws

        rows = list(logs.rows(case, Aws(case.access), place, ["111122223333", "777788889999"]))
        assert sum(line.startswith("GET ") for line in server.requests) == 1
    assert [row.result for row in rows] == ["ok", "off", "ok", "ok"]
    assert (rows[1].account, rows[1].detail) == ("777788889999", "holds no logs of this account")
    assert rows[-1].detail.startswith("about 200 objects, ")
    assert "from 3 days" in rows[-1].detail


def test_regions_where_the_same_holds_are_one_row() -> None:
    """A table is for reading: calls that went well are one row of their service, and failures keep their Region."""
    rows = [Row("1", region, "Config", "off", "no recorder") for region in ("a", "b", "c", "d")]
    rows += [Row("1", "a", f"call iam {name}", "ok") for name in ("ListUsers", "ListRoles")]
    rows += [Row("1", "a", "call iam GetUser", "denied", "AccessDenied")]
    assert [(row.region, row.what, row.detail) for row in folded(rows)] == [
        ("4 Regions", "Config", "no recorder"),
        ("", "call iam", "ListUsers, ListRoles"),
        ("a", "call iam GetUser", "AccessDenied"),
    ]


def test_data_events_by_both_kinds_of_selectors() -> None:
    """Classic selectors name a type; advanced ones only where their category is Data."""
    classic = {"EventSelectors": [{"DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3"]}]}]}
    assert settings.data_events(classic) == {"AWS::S3::Object"}
    fields = [
        {"Field": "eventCategory", "Equals": ["Data"]},
        {"Field": "resources.type", "Equals": ["AWS::SNS::Topic"]},
    ]
    assert settings.data_events({"AdvancedEventSelectors": [{"FieldSelectors": fields}]}) == {"AWS::SNS::Topic"}
    fields[0]["Equals"] = ["NetworkActivity"]
    assert settings.data_events({"AdvancedEventSelectors": [{"FieldSelectors": fields}]}) == set()


def printed(*arguments: str) -> tuple[int, str]:
    held = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with redirect_stdout(held):
        status = cli.main(arguments)
        held.flush()
    return status, held.buffer.getvalue().decode()  # type: ignore[attr-defined]


@pytest.mark.integration
def test_the_command_without_a_case(responder: "Emulated") -> None:
    """Options stand for a case; JSON gives every row; the status says whether a collect would get all."""
    access = ["--profile", responder.profiles[MEMBER], "--endpoint-url", responder.endpoint, "--region", HOME]
    status, text = printed("check", *access, "--format", "json")
    assert status == 0
    assert set(json.loads(text)[0]) == {"account", "region", "what", "result", "detail"}
    responder.faults.deny = {("cloudtrail", "LookupEvents")}
    assert printed("check", *access)[0] == 1
    assert printed("check", "--account", "12", *access)[0] == 1


def test_the_policy_is_printed() -> None:
    """The read-only policy as JSON, without any access to AWS."""
    status, text = printed("check", "--policy")
    assert (status, json.loads(text)) == (0, policy())


@pytest.mark.integration
def test_all_accounts_and_regions(make: Make, responder: "Emulated") -> None:
    """Every account and every enabled Region has its rows."""
    rows = check(make(bucket(responder), *EVERYTHING, accounts=list(responder.profiles), regions=[]))
    assert is_ready(rows)
    places = {(row.account, row.region) for row in rows if row.what == "Config"}
    assert {account for account, _ in places} == set(responder.profiles)
    assert len({region for _, region in places}) >= 17
