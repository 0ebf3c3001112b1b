"""Grading by state: whatever contains soundly has full marks; what leaves a way open, or breaks others' work, not."""

from pathlib import Path

import pytest

pytest.importorskip("moto")

from containing import (
    PARTS,
    STRATEGIES,
    boundary,
    clean,
    deactivate,
    delete_made_users,
    organization,
    place,
    scores,
    start_logging,
    terminate,
)
from practice_bench import exercise, practice

pytestmark = pytest.mark.integration

FULL = {"ways": 1.0, "uses": 1.0, "evidence": 1.0, "cleanup": 1.0}


@pytest.fixture(scope="module")
def spaces(tmp_path_factory):
    """Exercises of this module, each made once."""
    made = {}

    def get(name, seed=1):
        if (name, seed) not in made:
            made[name, seed] = exercise(name, seed, tmp_path_factory.mktemp("learner") / "exercise")
        return made[name, seed]

    return get


@pytest.mark.parametrize("contain", [boundary, organization, delete_made_users])
def test_any_sound_way_of_containing_has_full_marks(spaces, contain, tmp_path):
    with practice(spaces("exposed_credentials"), tmp_path) as account:
        start_logging(account)
        deactivate(account)
        contain(account)
        clean(account)
        terminate(account, keep=True)
        judged = account.bench.judge()
    assert judged.points == FULL, (judged.ways, judged.broken, judged.lost, judged.standing)


def test_nothing_done_leaves_the_attacker_in_and_breaks_nobody(spaces, tmp_path):
    with practice(spaces("exposed_credentials"), tmp_path) as account:
        nothing = account.bench.judge()
        assert (nothing.points["ways"], nothing.points["cleanup"], nothing.points["uses"]) == (0.0, 0.0, 1.0)
        assert nothing.points["evidence"] < 1  # the trail is still stopped
        assert (nothing.order, nothing.minutes) == ([], None)
        left = {one["node"] for one in nothing.standing}
        assert any(":user/" in node for node in left)  # the user that the attacker made
        # a key alone: the sessions live on
        start_logging(account)
        deactivate(account)
        half = account.bench.judge()
    open_ways = [way["text"] for way in half.ways if way["result"] == "open"]
    assert any(text.startswith("session ASIA") for text in open_ways)
    assert not any(text.startswith("access key") for text in open_ways)
    assert 0 < half.points["ways"] <= 0.5


def test_an_innocents_key_that_is_shut_costs(spaces, tmp_path):
    with practice(spaces("exposed_credentials"), tmp_path) as account:
        start_logging(account)
        theirs = account.truth["innocents"]["legit_role_session"]
        owner, _, name = place(theirs["user"])
        account.client("iam", owner).update_access_key(UserName=name, AccessKeyId=theirs["user_key"], Status="Inactive")
        judged = account.bench.judge()
    assert [theirs["user_key"] in one["who"] for one in judged.broken] == [True]
    assert 0.5 < judged.points["uses"] < 1


def test_evidence_is_lost_by_terminating_first_and_by_logging_last(spaces, tmp_path):
    with practice(spaces("exposed_credentials"), tmp_path) as account:
        terminate(account, keep=False)
        start_logging(account)
        judged = account.bench.judge()
    said = " ".join(one["text"] for one in judged.lost)
    assert "was terminated before a snapshot" in said
    assert "came before logging was on again" in said
    assert judged.points["evidence"] == 0.0


# What each bad strategy must lose, by exercise; where a part is not named it must be whole.
LOSES = {
    "exposed_credentials": {
        "contain soundly": set(),
        "do nothing": {"ways", "evidence", "cleanup"},
        "contain everybody": {"uses", "cleanup"},
        "contain the wrong principal": {"ways", "uses", "evidence", "cleanup"},
        "terminate before a snapshot": {"evidence"},
        "deactivate keys, leave sessions": {"ways"},
        "follow every finding blindly": {"ways", "uses", "evidence", "cleanup"},
    },
    "false_alarm": {"contain everybody": {"uses"}, "follow every finding blindly": {"uses"}},
}


@pytest.mark.parametrize(("name", "title"), [(name, title) for name, titles in LOSES.items() for title in titles])
def test_a_strategy_loses_the_points_that_it_should(spaces, name, title, tmp_path):
    space = spaces(name)
    got = scores(space, STRATEGIES[title], tmp_path)
    lost = {part for part, worth in space.exercise.containment.items() if got[part] < worth}
    assert lost == LOSES[name][title], got
    shown = " + ".join(f"{got[part]:g}" for part in PARTS).replace(" ", "")
    page = (Path(__file__).parent.parent / "docs" / "exercises.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith(f"| {title} |")]
    assert f"{shown} = {got['sum']:g}" in row
