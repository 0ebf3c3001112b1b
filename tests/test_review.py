"""People decide on the steps of a plan; a decision goes with what the step does."""

import json

import ipywidgets as widgets
import pytest

from cirtlib import plan_board
from cirtlib.case import new_case
from cirtlib.containment import review
from cirtlib.containment.planning import build
from cirtlib.errors import NotFoundError, PlanError
from tests import plan_sample as sample


@pytest.fixture
def case(tmp_path):
    return new_case(tmp_path / "case", {})


@pytest.fixture(scope="module")
def plan():
    return build(sample.incident()).to_dict()


def longer():
    """The plan of the same incident with one key less and one user more: every number moves."""
    events = sample.log()
    events.add("iam:DeleteAccessKey", request={"accessKeyId": sample.MADE_KEY, "userName": "helper"})
    return build(sample.incident(events=events)).to_dict()


def test_a_decision_goes_with_the_step(case, plan):
    """Approved in one plan, a step is approved in the next although its number changed; the comment stays."""
    step = next(one["id"] for one in plan["steps"] if one["target"] == sample.PARTNER)
    review.decide(case, plan, step, "approved", comment="owner agrees", by="ana")
    later = longer()
    moved = next(one["id"] for one in later["steps"] if one["target"] == sample.PARTNER)
    assert moved != step
    row = review.reviewed(case, later).set_index("id").loc[moved]
    assert (row.decision, row.by, row.comment) == ("approved", "ana", "owner agrees")
    assert (review.reviewed(case, later)["decision"] != "").sum() == 1


def test_a_decision_on_something_else_is_out_of_date(case, plan):
    """When the step does something else to the same target, the decision no longer counts."""
    step = plan["steps"][0]["id"]
    review.decide(case, plan, step, "approved")
    other = json.loads(json.dumps(plan))
    other["steps"][0]["api"]["parameters"]["Name"] = "another"
    assert review.reviewed(case, other).iloc[0].decision == "out of date (approved)"
    assert "No step is approved" in review.command(case, other)


def test_the_command_runs_what_is_approved(case, plan):
    """The line names the approved steps, and says which of them wait for one that is not."""
    first, second = (one["id"] for one in plan["steps"][1:3])
    stop = plan["steps"][-1]
    review.decide(case, plan, stop["id"], "approved")
    review.decide(case, plan, first, "approved")
    review.decide(case, plan, second, "held", comment="copy first")
    said = review.command(case, plan)
    assert said.startswith(f"./contain.sh --execute --step {first} --step {stop['id']}")
    assert f"{stop['id']} depends on {second}" in said
    for one in plan["steps"]:
        review.decide(case, plan, one["id"], "approved")
    assert review.command(case, plan) == "./contain.sh --execute"


def test_wrong_decisions_say_what_is_wanted(case, plan):
    """An unknown step, an unknown word, and a hold without a reason are refused."""
    with pytest.raises(NotFoundError, match="its steps are"):
        review.decide(case, plan, "99-x", "approved")
    with pytest.raises(PlanError, match="approved or held"):
        review.decide(case, plan, plan["steps"][0]["id"], "yes")
    with pytest.raises(PlanError, match="say why"):
        review.decide(case, plan, plan["steps"][0]["id"], "held")


def test_differences_since_the_last_plan(plan, tmp_path):
    """What is new, gone or other; the same plan has none, and is not kept as a plan before."""
    assert review.changes(plan, plan).empty
    gone = review.changes(plan, longer())
    assert ("gone", True) in {(row.change, sample.MADE_KEY in row.title) for row in gone.itertuples()}
    assert set(review.changes(longer(), plan)["change"]) == {"new"}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    review.keep_previous(tmp_path, json.dumps(plan))
    assert not (tmp_path / review.PREVIOUS).exists()
    review.keep_previous(tmp_path, json.dumps(longer()))
    assert json.loads((tmp_path / review.PREVIOUS).read_text()) == plan


def test_the_board_ticks_and_filters(case, plan, monkeypatch):
    """Ticking a step records it and shows the command; the filter leaves one account's rows."""
    shown: list[widgets.VBox] = []
    monkeypatch.setattr(plan_board, "display", shown.append)
    assert "Steps, and what was decided" in plan_board.review_plan(case, plan).text
    filters, first, *rows, said = shown[0].children
    first.children[1].value = "approved"
    assert plan["steps"][0]["id"] in said.value
    assert review.reviewed(case, plan).iloc[0].decision == "approved"
    rows[0].children[1].value = "held"
    assert "say why" in said.value
    filters.children[1].value = sample.SECOND
    visible = [row for row in (first, *rows) if row.layout.display != "none"]
    assert len(visible) == sum(step["account"] == sample.SECOND for step in plan["steps"])
