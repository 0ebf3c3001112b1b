"""The account snapshot, taken over HTTP from the incident's emulated accounts and read back."""

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from cirtlib import accounting, coverage, names, queries, snapshot, standard
from cirtlib.aws import allowed
from cirtlib.case import Case, parse_time, update_case
from cirtlib.collect import collect
from cirtlib.errors import AccessError, CaseError, NotFoundError
from cirtlib.sources import account
from cirtlib.sources.touched import touched

if TYPE_CHECKING:
    from cirtlib.training.account import Emulated

pytestmark = pytest.mark.integration
MEMBER = "444455556666"
REGION = "us-east-1"


@pytest.fixture
def case(own_incident: Case, responder: "Emulated") -> Case:
    """The incident, collected and scoped; what is still to be collected is one account's state in one Region."""
    case = update_case(own_incident, "access", responder.case_access())
    case = update_case(update_case(case, "accounts", [MEMBER]), "regions", [REGION])
    return update_case(case, "sources", [{"account": {"api": True}}])


def now(served: "Emulated") -> dict[str, Any]:
    return dict(served.state()["accounts"][MEMBER])


def test_the_state_comes_back(case: Case, responder: "Emulated") -> None:
    """Identities, trails and instances are those of the account, and nothing but reading was asked of it."""
    before, asked = now(responder), len(responder.requests)
    held = accounting.totals(case)
    made = collect(case)
    assert (made["seen"], made["new"]) == (held["seen"], 0), "a snapshot is no event"
    one = snapshot.snapshot(case, MEMBER)
    assert one.complete
    assert [(other.account, other.taken_at) for other in snapshot.latest(case)] == [(MEMBER, one.taken_at)]
    assert {user["UserName"] for user in one.users} == {user["UserName"] for user in before["users"]}
    assert {role["RoleName"] for role in one.roles} >= {role["RoleName"] for role in before["roles"]}
    keys = {key["AccessKeyId"] for user in before["users"] for key in user["keys"]}
    assert {key["AccessKeyId"] for key in one.access_keys} == keys
    assert len(one.credential_report) == len(before["users"]), "a row for each user"
    here = {row["InstanceId"] for row in before["instances"] if row["Region"] == REGION}
    assert {row["InstanceId"] for row in one.instances} == here != set()
    public = {row["PublicIpAddress"]: row["InstanceId"] for row in one.instances if row.get("PublicIpAddress")}
    assert names.read(case).own == {address: f"our instance {name}" for address, name in public.items()} != {}
    assert all(row["Region"] == REGION and "MetadataOptions" in row for row in one.instances)
    (trail,) = one.trails
    assert trail["Status"]["IsLogging"] is False, "which is how the incident left it"
    assert trail["Selectors"]
    made_here = {row["SnapshotId"] for row in before["snapshots"] if row["Region"] == REGION}
    assert {row["SnapshotId"] for row in one.snapshots} >= made_here != set()
    assert now(responder) == before
    operations = {name for _, name in allowed()}
    said = {line.partition(" ")[2] for line in responder.requests[asked:] if line.startswith("POST")}
    assert said & operations, "the emulator names what is asked in a form or a header"
    assert not {name for name in said if name.isalpha() and name not in operations}


def test_what_the_suspects_touched_is_asked_one_by_one(case: Case) -> None:
    """Buckets, functions and instances of the suspects' events are asked about by name."""
    named = touched(case)
    assert named[MEMBER, ""]["bucket"] and named[MEMBER, REGION]["instance"]
    collect(case)
    one = snapshot.snapshot(case, MEMBER)
    absent = {gap["name"] for gap in one.gaps if gap["status"] == "absent"}
    answered = {target for _, target, _ in one.pages("s3.GetBucketVersioning")}
    assert answered == set(named[MEMBER, ""]["bucket"])
    assert {f"s3.GetBucketPolicy/{name}@{MEMBER}/global" for name in answered} <= absent, "they have none"
    asked = {target.partition("/")[0] for _, target, _ in one.pages("ec2.DescribeInstanceAttribute")}
    gone = {name.split("/")[1] for name in absent if name.startswith("ec2.DescribeInstanceAttribute/")}
    assert asked | gone == set(named[MEMBER, REGION]["instance"])


def test_suspects_that_nobody_knows_yet_touch_nothing(case: Case) -> None:
    """Without a scope and without a seed the state is taken all the same."""
    (case.out / "scope.json").unlink()
    assert touched(update_case(case, "seeds", [])) == {}


def test_a_denied_call_is_a_gap_and_the_rest_is_there(case: Case, responder: "Emulated") -> None:
    """Each call that is refused is named with its reason; it shows in the coverage, and is gone once it is answered."""
    responder.faults.deny = frozenset({("iam", "ListAccessKeys"), ("ec2", "DescribeInstances")})
    collect(case)
    one = snapshot.snapshot(case, MEMBER)
    denied = {gap["name"].partition("/")[0].partition("@")[0] for gap in one.gaps if gap["status"] == "denied"}
    assert denied == {"iam.ListAccessKeys", "ec2.DescribeInstances"}
    assert one.users and one.trails and not one.instances
    assert one.complete
    ledger = coverage.coverage(case)
    assert (ledger["status"] == "denied").any()


def test_a_fresh_snapshot_is_not_taken_again(
    case: Case, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifteen minutes later it is, and what it was before can still be read."""
    collect(case)
    collect(case)
    assert len(snapshot.taken(case)) == 1
    monkeypatch.setattr(account, "_FRESH", timedelta(0))
    collect(case)
    first, second = snapshot.taken(case)
    assert first["taken_at"] < second["taken_at"]
    assert snapshot.snapshot(case, MEMBER).taken_at == second["taken_at"]
    earlier = snapshot.snapshot(case, MEMBER, before=parse_time(second["taken_at"]))
    assert earlier.taken_at == first["taken_at"]
    with pytest.raises(NotFoundError, match=r"no snapshot of account 444455556666 before"):
        snapshot.snapshot(case, MEMBER, before=parse_time(first["taken_at"]))


def test_credentials_that_run_out_leave_what_was_read(case: Case, responder: "Emulated") -> None:
    """The run stops with one message; the next takes the snapshot anew, and a whole one is preferred."""
    responder.faults.expire_after = 30
    with pytest.raises(AccessError):
        collect(case)
    partial = snapshot.snapshot(case, MEMBER)
    assert not partial.complete
    assert snapshot.taken(case)[0]["answers"] > 0
    responder.faults.reset()
    collect(case)
    assert snapshot.snapshot(case, MEMBER).complete
    assert [one["complete"] for one in snapshot.taken(case)] == [False, True]


def test_resources_are_read_from_hostile_events(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an attacker writes into a request is a name to ask about only where it has a name's form."""
    hostile = json.dumps({"bucketName": "../../etc/passwd", "x": "arn:aws:s3:::$(reboot)"})
    row = {"account_id": MEMBER, "region": REGION, "event_source": "s3.amazonaws.com", "response": None, "arns": None}
    table = queries.sql(case, "SELECT 1 AS one").assign(**{**row, "request": hostile}).drop(columns="one")
    monkeypatch.setattr("cirtlib.sources.touched.sql", lambda *_, **__: table)
    assert touched(case) == {}


def test_only_the_api_is_a_source(case: Case) -> None:
    """Anything else is said to be wrong, with what to write."""
    with pytest.raises(CaseError, match=r"write account: \{api: true\}"):
        account.place(case, "account", {"folder": "x"})
    assert standard.parameters(case)["keys"]
