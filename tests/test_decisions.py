"""Decisions on nodes are recorded in case.yaml with who, when and why."""

import json
from pathlib import Path

import pytest

from cirtlib.case import Case, load_case, new_case
from cirtlib.decisions import decide
from cirtlib.errors import CaseError, NotFoundError


@pytest.fixture
def case(tmp_path: Path) -> Case:
    made = new_case(tmp_path / "c", {})
    nodes = [
        {"id": "access_key:ASIAEXAMPLE", "value": "ASIAEXAMPLE"},
        {"id": "principal:arn:aws:iam::111122223333:user/ana", "value": "arn:aws:iam::111122223333:user/ana"},
        {"id": "login_profile:arn:aws:iam::111122223333:user/ana", "value": "arn:aws:iam::111122223333:user/ana"},
    ]
    made.out.mkdir()
    leads = [{"node": "address:192.0.2.1", "reason": "rare", "rarity": 1}]
    (made.out / "scope.json").write_text(json.dumps({"nodes": nodes, "leads": leads}), encoding="utf-8")
    return made


def test_a_decision_stands_in_the_case_with_name_time_and_reason(case: Case) -> None:
    """The bare value serves where it names one node; a lead is a node too."""
    assert decide(case, "cleared", "ASIAEXAMPLE", reason="our scanner", by="ana") == "access_key:ASIAEXAMPLE"
    decide(load_case(case.path), "cleared", "address:192.0.2.1", reason="office")
    first, second = load_case(case.path).cleared
    assert (first.node, first.by, first.reason) == ("access_key:ASIAEXAMPLE", "ana", "our scanner")
    assert first.at.endswith("Z")
    assert second.by


def test_a_later_decision_replaces_the_earlier_one(case: Case) -> None:
    """A node is never both confirmed and cleared, and never decided twice."""
    for key in ("cleared", "confirmed", "confirmed"):
        decide(load_case(case.path), key, "ASIAEXAMPLE", reason=key)
    after = load_case(case.path)
    assert after.cleared == ()
    assert [decision.reason for decision in after.confirmed] == ["confirmed"]


def test_a_node_that_is_not_there_is_refused(case: Case) -> None:
    """A slip is not recorded; two nodes of one value are both named; a reason is needed."""
    with pytest.raises(NotFoundError, match="no node"):
        decide(case, "confirmed", "ASIAEXAMPEL", reason="x")
    with pytest.raises(NotFoundError, match=r"login_profile:.*principal:"):
        decide(case, "confirmed", "arn:aws:iam::111122223333:user/ana", reason="x")
    with pytest.raises(CaseError, match="reason"):
        decide(case, "confirmed", "ASIAEXAMPLE", reason=" ")
    assert load_case(case.path).confirmed == ()


def test_a_short_name_serves_where_it_names_one_node(case: Case) -> None:
    """An instance's id is enough; of several nodes all are named, and what is nearly one is offered."""
    scope = json.loads((case.out / "scope.json").read_text(encoding="utf-8"))
    arns = [f"arn:aws:ec2:us-east-1:111122223333:instance/i-0f7ff{n}" for n in "ab"]
    scope["leads"] += [{"node": f"resource:{arn}", "reason": "held", "rarity": None} for arn in arns]
    (case.out / "scope.json").write_text(json.dumps(scope), encoding="utf-8")
    assert decide(case, "confirmed", "i-0f7ffa", reason="its log") == f"resource:{arns[0]}"
    with pytest.raises(NotFoundError, match=r"2 nodes: login_profile:.*principal:"):
        decide(case, "confirmed", "ana", reason="x")
    with pytest.raises(NotFoundError, match=r"did you mean resource:.*i-0f7ffa, resource:.*i-0f7ffb\?"):
        decide(case, "confirmed", "i-0f7ff", reason="x")
    with pytest.raises(NotFoundError, match=r"did you mean resource:.*i-0f7ffa"):
        decide(case, "confirmed", "i-0f7fa", reason="x")


def test_without_a_scope_any_node_is_taken(tmp_path: Path) -> None:
    """A decision may come before the first scope."""
    made = new_case(tmp_path / "d", {})
    assert decide(made, "cleared", "access_key:ASIAOTHER", reason="known") == "access_key:ASIAOTHER"
