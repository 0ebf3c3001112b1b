"""What event history is asked for: what seeds name, and the keys that a record leads to."""

import json
from pathlib import Path
from typing import Any

import pytest

from cirtlib.case import Case, new_case
from cirtlib.sources import chain

MINE, OTHER = "111122223333", "444455556666"
KEY = "ASIAIOSFODNN7EXAMPLE"
NEW = {"credentials": {"accessKeyId": KEY}}


@pytest.mark.parametrize(
    ("seed", "extent"),
    [
        ({"access_key": "AKIAIOSFODNN7EXAMPLE"}, "AccessKeyId=AKIAIOSFODNN7EXAMPLE"),
        ({"principal": f"arn:aws:iam::{MINE}:user/ops/mira"}, "Username=mira"),
        ({"principal": f"arn:aws:iam::{MINE}:root"}, "Username=root"),
        ({"principal": f"arn:aws:iam::{MINE}:role/deploy"}, f"ResourceName=arn:aws:iam::{MINE}:role/deploy"),
        ({"session": f"arn:aws:sts::{MINE}:assumed-role/deploy/mira@example.com"}, "Username=mira@example.com"),
        ({"session": "AROAEXAMPLEID:mira"}, "Username=mira"),
        ({"instance": "i-0123456789abcdef0"}, "Username=i-0123456789abcdef0"),
        ({"event": "11111111-2222-3333-4444-555555555555"}, "EventId=11111111-2222-3333-4444-555555555555"),
    ],
)
def test_each_kind_of_seed_has_its_look_up(seed: dict[str, str], extent: str, tmp_path: Path) -> None:
    """Exactly one attribute; the account where the seed says it."""
    found, mute = chain.of_seeds(new_case(tmp_path / "c", {"seeds": [seed]}))
    assert [one.extent for one in found] == [extent]
    assert found[0].account == (MINE if MINE in next(iter(seed.values())) else None)
    assert mute == []


@pytest.mark.parametrize("seed", [{"ip": "192.0.2.7"}, {"user_agent": "x"}, {"finding": "arn:nowhere"}])
def test_what_cannot_be_looked_up_is_said(seed: dict[str, str], tmp_path: Path) -> None:
    """An address, a user agent, a finding that the case does not hold."""
    found, mute = chain.of_seeds(new_case(tmp_path / "c", {"seeds": [seed]}))
    assert (found, [str(one) for one in mute]) == ([], ["=".join(next(iter(seed.items())))])


def test_a_finding_leads_to_its_keys_with_time_and_place(incident: tuple[Case, dict[str, Any]]) -> None:
    """The seed of the training incident is a session's key, at the time of the finding."""
    found, mute = chain.of_seeds(incident[0])
    assert mute == []
    assert found[0].extent.startswith("AccessKeyId=ASIA")
    assert found[0].account == incident[0].seeds[0].value.split(":")[4]
    assert found[0].region == "us-east-1"
    assert found[0].time


def record(response: object, **more: Any) -> str:
    who = {"type": "IAMUser", "accessKeyId": "AKIAIOSFODNN7EXAMPLE", "accountId": MINE}
    return json.dumps({"userIdentity": who, "responseElements": response, **more})


@pytest.mark.parametrize(
    ("response", "account"),
    [
        (NEW, MINE),
        ({**NEW, "assumedRoleUser": {"arn": f"arn:aws:sts::{OTHER}:assumed-role/r/s"}}, OTHER),
        ({"accessKey": {"accessKeyId": KEY, "userName": "mira"}}, MINE),
        ({"credentialSet": [{"credentials": {"accessKeyId": KEY}}]}, MINE),
    ],
)
def test_minted_keys_are_found_with_the_account_they_act_in(response: object, account: str) -> None:
    """AssumeRole and its like, CreateAccessKey, Roles Anywhere; nothing where the call failed."""
    assert chain.keys(record(response), MINE) == [chain.Key(KEY, account, "minted")]
    assert chain.keys(record(response, errorCode="AccessDenied"), MINE) == []


def test_assume_root_acts_in_the_account_it_names() -> None:
    """Its target is an account's id."""
    text = record(NEW, requestParameters={"targetPrincipal": OTHER})
    assert chain.keys(text, MINE) == [chain.Key(KEY, OTHER, "minted")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[1]",
        "null",
        record("text"),
        record({"credentials": "x"}),
        record({"credentials": {"accessKeyId": "' OR 1"}}),
        record({"credentialSet": [7]}),
        record({"assumedRoleUser": "x"}),
    ],
)
def test_odd_records_lead_nowhere(text: str) -> None:
    """No shape of a record stops a collect, and nothing but a key is looked up as one."""
    assert chain.keys(text, MINE) == []


def test_the_caller_is_asked_for_only_where_the_call_itself_is_suspected() -> None:
    """The record that issued a suspected session, and a seed event."""
    text = record(NEW)
    found = chain.keys(text, OTHER, caller=True)
    assert chain.Key("AKIAIOSFODNN7EXAMPLE", MINE, "caller") in found
    assert chain.asks_for_caller(chain.origin(f"AccessKeyId={KEY}"))
    assert chain.asks_for_caller("EventId=e")
    assert not chain.asks_for_caller(f"ResourceName=arn:aws:iam::{MINE}:role/deploy")
    assert chain.origin("AccessKeyId=AKIAIOSFODNN7EXAMPLE") == ""
