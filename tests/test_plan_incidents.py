"""Plans of random incidents, carried out on emulated accounts: they stop the attacker, touch nothing else, go back."""

import copy
import json
import re

import pytest

from cirtlib.containment.planning import plan
from cirtlib.scope import scope
from cirtlib.training.incidents import incident
from cirtlib.training.incidents.acts import EVERYTHING
from cirtlib.training.incidents.carry_out import call
from cirtlib.training.incidents.check import case_of
from cirtlib.training.incidents.emulate import accounts, accounts_of, replay
from cirtlib.training.incidents.observe import changed, state
from cirtlib.training.incidents.proof import prove, prove_planned
from cirtlib.training.incidents.ways_in import ways_in
from tests.seeds import seeds

pytestmark = pytest.mark.integration
SEED = 101


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """An incident, its plan and its extent."""
    made = incident(SEED)
    case = case_of(made, tmp_path_factory.mktemp("case"))
    answer = scope(case)
    return made, plan(case, scope=answer).to_dict(), answer.extent()


@pytest.mark.parametrize("seed", seeds(10, 20, first=100))
def test_plan_contains_the_incident(seed, tmp_path):
    """Nothing is left out, open, touched without need, or lost on the way back."""
    assert prove_planned(incident(seed), tmp_path).wrong == []


@pytest.mark.parametrize("seed", seeds(12, 30))
def test_the_accounts_hold_what_the_records_tell(seed):
    """The attack changes things of the truth, and what belongs to them, and nothing else; and it opens ways in."""
    made = incident(seed)
    with accounts_of(made):
        before = state(accounts(made))
        assert ways_in(made, before, before).keys() <= {f"access_key:{value}" for _, value in made.extent}
        replay(made)
        after = state(accounts(made))
    truth = {value for _, value in made.extent}
    touched = {node for node in changed(before, after) if not re.search(r":(volume|key-pair)/", node)}
    assert {node for node in touched if node.partition(":")[2] not in truth} == set()


def test_no_client_leaves_the_process():
    """Outside the emulated accounts a call is refused before it is sent."""
    with pytest.raises(Exception, match="never talks to a real account"):
        call("111122223333", "us-east-1", "iam", "ListUsers", {})


def worse(planned, change):
    """What is wrong with the plan when one thing about it is changed."""
    made, content, extent = planned
    spoilt = copy.deepcopy(content)
    change(spoilt["steps"])
    return "\n".join(prove(made, spoilt, extent).wrong)


def first(steps, operation):
    """The first step with this operation."""
    return next(step for step in steps if step["api"]["operation"] == operation)


def test_a_plan_that_does_nothing_is_told(planned):
    """No step, no reason; and every way in is named."""
    told = worse(planned, lambda steps: steps.clear())
    assert "no step, and no reason" in told
    assert "after the plan, " in told


def test_a_step_outside_the_extent_is_told(planned):
    """Whoever touches what the attacker did not is found out."""
    made = planned[0]
    inside = {value for _, value in made.extent}
    account, innocent = next(
        (account, user["UserName"])
        for account, held in sorted(made.before.items())
        for user in held.get("users", ())
        if f"arn:aws:iam::{account}:user/{user['UserName']}" not in inside
    )

    def add(steps):
        step = copy.deepcopy(first(steps, "PutRolePolicy"))
        parameters = {"UserName": innocent, "PolicyName": "x", "PolicyDocument": json.dumps(EVERYTHING)}
        step |= {"id": "99-more", "account": account, "captures": {}, "depends_on": [], "wait": None}
        step["api"] = {"service": "iam", "operation": "PutUserPolicy", "parameters": parameters}
        steps.append(step)

    assert f"user/{innocent}, which is outside the extent" in worse(planned, add)


def test_a_check_that_always_holds_is_told(planned):
    """A check tells whether the step was done only if it failed before."""

    def blind(steps):
        step = first(steps, "AttachRolePolicy")
        step["verify"] |= {"jmespath": "`true`", "expected": True}

    assert "its check held before it ran" in worse(planned, blind)


def test_a_rollback_that_lets_the_attacker_in_is_told(planned):
    """Conditions of rollbacks are what keeps the attacker out."""

    def careless(steps):
        for step in steps:
            if isinstance(step["rollback"], dict):
                step["reopens"] = False
                step["rollback"] |= {"requires": [], "not_before": None}

    assert "rolled back, " in worse(planned, careless)
