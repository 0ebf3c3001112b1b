"""No session of a generated incident is used after it expired, by whomever."""

import json

import pytest

from tests.realism import SCENARIOS, generated
from tests.session_life import late

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_session_is_used_outside_the_time_it_was_issued_for(name, tmp_path):
    """Whatever the seed, attacker, people and programs use a session between its issue and its expiry only."""
    for seed in range(1, 6):
        records = generated(tmp_path / str(seed), name, seed=seed)
        assert list(late(records)) == [], seed


def test_use_after_expiry_is_seen(tmp_path):
    """A record of a session's key, moved a day on, is told."""
    records = generated(tmp_path, "exposed_credentials")
    given = [((r["responseElements"] or {}).get("credentials") or {}).get("accessKeyId") for r in records]
    record = next(r for r in records if r["userIdentity"].get("accessKeyId") in set(given) - {None})
    moved = record | {"eventTime": record["eventTime"].replace("-06-", "-07-")}
    told = list(late([*records, moved]))
    assert len(told) == 1
    assert moved["eventTime"] in told[0]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_session_lasts_no_longer_than_its_role_allows(name, tmp_path):
    """Neither longer than the role's maximum nor, by a session that assumes a role in its turn, than an hour."""
    settings = {} if name == "false_alarm" else {"attack": {"session_hours": 12}}
    records = generated(tmp_path, name, settings=settings)
    state = json.loads((tmp_path / "incident" / "truth" / "state_after.json").read_text(encoding="utf-8"))
    roles = [role for account in state["accounts"].values() for role in account["roles"]]
    longest = {role["Arn"]: role["MaxSessionDuration"] for role in roles}
    asked = [r for r in records if (r["requestParameters"] or {}).get("durationSeconds")]
    for record in asked:
        seconds, role = record["requestParameters"]["durationSeconds"], record["requestParameters"]["roleArn"]
        chained = record["userIdentity"]["type"] == "AssumedRole"
        assert seconds <= (3600 if chained else longest[role]), record["eventID"]
    assert {r["eventName"] for r in asked} >= {"AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"}
