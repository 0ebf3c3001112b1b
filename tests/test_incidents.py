"""Random incidents, each with its truth: the scope finds all of it and nothing else, however the records come."""

import json
import random

import pytest

from cirtlib.scope import scope, sight
from cirtlib.training.incidents import incident, spoil
from cirtlib.training.incidents.acts import ACTS
from cirtlib.training.incidents.check import case_of, compare, without_origin
from cirtlib.training.incidents.entries import ENTRIES
from cirtlib.training.incidents.hops import HOPS
from tests.seeds import seeds


def test_an_incident_is_its_seed_and_every_seed_another():
    """The same seed gives the same records; there are as many kinds of credentials and acts as are promised."""
    assert incident(5) == incident(5)
    assert incident(5).records != incident(6).records
    assert len(ACTS) >= 25
    assert len(ENTRIES) + len(HOPS) >= 25
    kinds = {kind for seed in range(150) for kind in incident(seed).kinds}
    assert kinds == set(ENTRIES) | set(HOPS)


def test_truth_is_of_the_records():
    """Every event of the truth is in the records, once, and no innocent's is the attacker's."""
    made = incident(11)
    ids = [(record["eventID"], record["recipientAccountId"]) for record in made.records]
    assert len(ids) == len(set(ids))
    assert set(made.verdicts) <= set(ids)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_scope_finds_exactly_the_true_extent(seed, tmp_path):
    """Nodes, statuses, links and verdicts; and what is for the analyst to decide is a lead."""
    made = incident(seed)
    answer = scope(case_of(made, tmp_path))
    assert compare(made, answer).wrong == []
    assert without_origin(answer, made.records) == []


@pytest.mark.integration
@pytest.mark.parametrize("seed", seeds(10, 20, first=40))
def test_scope_finds_exactly_the_true_extent_of_many(seed, tmp_path):
    """The same for more of them; `make bench` measures 500."""
    made = incident(seed)
    assert compare(made, scope(case_of(made, tmp_path))).wrong == []


def content(case):
    """What the scope says, without what tells of files."""
    answer = scope(case)
    kept = {name: answer.content[name] for name in ("nodes", "edges", "leads", "seeds", "attack", "baseline")}
    rows = answer.verdicts.sort_values(["event_id", "account_id"]).to_dict("records")
    gaps = [gap for gap in answer.gaps if "origin" in gap["reason"]]
    return json.loads(json.dumps([kept, rows, gaps]))


def history(records):
    """Records as LookupEvents gives them."""
    rows = [{"EventId": one["eventID"], "CloudTrailEvent": json.dumps(one)} for one in records]
    return [{"Events": rows}]


@pytest.mark.integration
@pytest.mark.parametrize("seed", [4, 8, 15])
def test_nothing_depends_on_how_records_are_delivered(seed, tmp_path, monkeypatch):
    """Shuffled, split over files, delivered twice, from the event history, or read as they come into sight."""
    made, rng = incident(seed), random.Random(seed)
    told = content(case_of(made, tmp_path / "as it is"))
    assert content(case_of(made, tmp_path / "split", spoil(made, rng), files=7)) == told
    assert content(case_of(made, tmp_path / "twice", spoil(made, rng, twice=0.5), files=3)) == told
    assert content(case_of(made, tmp_path / "history", history(spoil(made, rng)))) == told
    monkeypatch.setattr(sight, "SMALL", 0)
    assert content(case_of(made, tmp_path / "in sight", spoil(made, rng), files=2)) == told


@pytest.mark.integration
@pytest.mark.parametrize("seed", [21, 22, 23])
def test_what_was_not_delivered_is_not_made_up(seed, tmp_path):
    """With a tenth of the records lost, no certain link is false, and what has no origin says so."""
    made = incident(seed)
    records = spoil(made, random.Random(seed), lost=0.1)
    answer = scope(case_of(made, tmp_path, records))
    _, got, right = compare(made, answer).counts.get("edge, certain", (0, 0, 0))
    assert right == got > 0
    assert without_origin(answer, records) == []
