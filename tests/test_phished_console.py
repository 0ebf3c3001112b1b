"""The scenario without a finding: a phished console session, what it leaves behind, and whose session it was."""

import json

import pytest
from more_scenarios import Evidence, scoped, small

from cirtlib.case import load_case
from cirtlib.exposure import way_in
from cirtlib.training.generator import generate
from tests.seeds import seeds


@pytest.fixture(scope="module")
def incidents(tmp_path_factory):
    """Small incidents of a few seeds: both kinds of victim are among them."""
    folder = tmp_path_factory.mktemp("phished")
    scenario = small(folder / "scenario", "phished_console")
    return [Evidence(generate(scenario, seed=seed, out=folder / str(seed))) for seed in (1, 2, 3, 4)]


def test_no_finding_tells_of_it_but_an_employee_does(incidents):
    """The seeds are the address of the story and perhaps a user; no finding names key, address or victim."""
    for one in incidents:
        assert one.made.seed_finding == ""
        address = one.attacker[0]["sourceIPAddress"]
        assert one.made.seeds[0] == f"ip={address}"
        assert f"**{address}**" in one.story
        assert one.truth["attack"]["first"][:10] in one.story
        assert one.made.window_told.startswith(one.truth["attack"]["first"][:10])
        assert "$" not in one.story
        told = json.dumps(one.findings) + json.dumps(one.hub)
        bad = [node["value"] for node in one.truth["extent"] if node["status"] == "attacker_created"]
        assert not [value for value in [address, *bad] if value in told and ":user/" not in value]


def test_the_first_act_is_a_sign_in_from_a_network_never_seen_with_that_user(incidents):
    """With MFA passed on (Identity Center), or by an IAM user who has none; some seeds of each."""
    kinds = set()
    for one in incidents:
        login = next(r for r in one.attacker if r["eventName"] == "ConsoleLogin")
        kinds.add(login["userIdentity"]["type"])
        assert login["additionalEventData"]["MFAUsed"] == "No"
        who = login["userIdentity"]["principalId"]
        usual = [
            r for r in one.events.values() if r["userIdentity"].get("principalId") == who and r not in one.attacker
        ]
        assert usual, "the owner works on other days and on this one"
        assert login["sourceIPAddress"] not in {r["sourceIPAddress"] for r in usual}
    assert kinds == {"AssumedRole", "IAMUser"}


def test_the_owner_is_at_work_in_another_session_on_the_same_day(incidents):
    """The decoy: same principal, office address, a session of their own; none of it is the attacker's."""
    for one in incidents:
        owner = one.truth["innocents"]["owner"]
        own = [one.events[tuple(pair)] for pair in owner["events"]]
        assert {r["eventTime"][:10] for r in own} == {one.truth["attack"]["first"][:10]}
        assert {r["sourceIPAddress"] for r in own} == {owner["address"]}
        assert not {tuple(pair) for pair in owner["events"]} & set(map(tuple, one.truth["attacker_events"]))


@pytest.mark.parametrize("kind", ["IAMUser", "AssumedRole"])
def test_the_way_in_compares_the_session_with_its_owner_at_work(incidents, tmp_path, kind):
    """A session is new by nature: what its owner does in others tells that two people hold the password."""
    one = next(
        one
        for one in incidents
        if next(r for r in one.attacker if r["eventName"] == "ConsoleLogin")["userIdentity"]["type"] == kind
    )
    scoped(one.made, tmp_path / "case")
    session, *_ = way_in(load_case(tmp_path / "case")).credentials
    hands = next(cause for cause in session.causes if cause.role == "copied")
    place, both = hands.factors
    assert (place.name, place.holds, both.name, both.holds) == ("new place", "yes", "owner goes on", "yes")
    network = one.truth["innocents"]["owner"]["address"].rpartition(".")[0]
    assert f"from {network}.0/24" in both.text
    named = [record for (event, _), record in one.events.items() if event in both.evidence]
    assert named
    for record in named:
        assert record not in one.attacker
        assert record["eventTime"] > one.truth["attack"]["first"]


def test_another_user_gets_password_and_key_and_both_are_used_from_a_second_network(incidents):
    """What was made stands in the state after the attack; it is used from another address."""
    for one in incidents:
        made = {r["eventName"]: r for r in one.attacker if "errorCode" not in r}
        user = made["CreateLoginProfile"]["requestParameters"]["userName"]
        key = made["CreateAccessKey"]["responseElements"]["accessKey"]["accessKeyId"]
        before, after = one.user(one.before, user), one.user(one.after, user)
        assert (before["login_profile"], after["login_profile"]) == (False, True)
        assert {item["AccessKeyId"] for item in after["keys"]} - {k["AccessKeyId"] for k in before["keys"]} == {key}
        used = [r for r in one.attacker if r["userIdentity"].get("userName") == user]
        assert {r["sourceIPAddress"] for r in used}.isdisjoint({one.attacker[0]["sourceIPAddress"]})
        assert any(r["eventName"] == "ConsoleLogin" for r in used)
        assert any(r["userIdentity"].get("accessKeyId") == key for r in used)
        assert any("errorCode" in r for r in used), "the developer may do little"


def test_the_seed_draws_the_branch(incidents):
    """Mail, objects or secrets are read; rights are raised in some incidents only."""
    names = [{r["eventName"] for r in one.attacker if "errorCode" not in r} for one in incidents]
    branches = {
        name for seen in names for name in ("StartMailboxExportJob", "GetObject", "GetSecretValue") if name in seen
    }
    assert len(branches) >= 2
    assert {"AttachUserPolicy" in seen for seen in names} == {True, False}
    assert all({"GetObject", "GetSecretValue"} & seen for seen in names), "every attacker reads something"


def _paths(value, path=""):
    if isinstance(value, dict):
        return {found for key, item in value.items() for found in _paths(item, f"{path}.{key}")}
    if isinstance(value, list):
        return {found for item in value for found in _paths(item, f"{path}[]")}
    return {(path, type(value).__name__)}


def test_records_have_the_shape_of_real_ones(incidents, real_data):
    """Field paths and types of request, answer and additional data are those of public records of the same calls."""
    names, real = ("ConsoleLogin", "CreateLoginProfile", "CreateAccessKey", "AttachUserPolicy"), {}
    for file in sorted((real_data / "DataDog__stratus-red-team").rglob("*.json")):
        for record in json.loads(file.read_text(encoding="utf-8")):
            if record["eventName"] in names and "errorCode" not in record:
                real.setdefault(record["eventName"], []).append(record)
    compared = set()
    for record in [r for one in incidents for r in one.attacker if r["eventName"] in real and "errorCode" not in r]:
        for part in ("requestParameters", "responseElements", "additionalEventData"):
            known = [_paths(item.get(part)) for item in real[record["eventName"]]]
            assert _paths(record.get(part)) in known, (record["eventName"], part)
        most = {name for item in real[record["eventName"]] for name in item} | {"sessionCredentialFromConsole"}
        assert set(record) <= most, record["eventName"]
        compared.add(record["eventName"])
    assert {"ConsoleLogin", "CreateLoginProfile"} <= compared


def test_files_are_lost_that_digests_name(tmp_path):
    """The gap of the scenario: a digest of an earlier day names a file that is not there."""
    made = generate(
        small(tmp_path / "scenario", "phished_console", delivery={"digests": "home"}), seed=1, out=tmp_path / "out"
    )
    one = Evidence(made)
    lost = [key for key in one.named() if not (made.logs / key).is_file()]
    assert len(lost) == 2
    assert all(one.truth["attack"]["first"][:10].replace("-", "") not in key for key in lost)


@pytest.mark.integration
@pytest.mark.parametrize("seed", seeds(5, 10))
def test_from_the_address_alone_the_scope_is_the_true_extent(tmp_path, seed):
    """Every node with its status, every event of the attacker's, and nothing of the owner's."""
    found, truth = scoped(generate("phished_console", seed=seed, out=tmp_path / "made"), tmp_path / "case")
    extent = {(node["kind"], node["value"], node["status"]) for node in found.extent()}
    assert extent == {(node["kind"], node["value"], node["status"]) for node in truth["extent"]}
    said = {(v.event_id, v.account_id) for v in found.verdicts.itertuples() if v.verdict == "attacker"}
    assert said == set(map(tuple, truth["attacker_events"]))
    assert not said & set(map(tuple, truth["innocents"]["owner"]["events"]))
