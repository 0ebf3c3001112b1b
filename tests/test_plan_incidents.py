"""Plans of random incidents, carried out on emulated accounts: they stop the attacker, touch nothing else, go back."""

from pathlib import Path

import pytest

from cirtlib.containment.planning import plan
from cirtlib.containment.validate import api_faults
from cirtlib.scope import scope
from cirtlib.training.incidents import incident
from cirtlib.training.incidents.check import case_of
from cirtlib.training.incidents.proof import Proof, prove

pytestmark = pytest.mark.integration


def proved(seed: int, folder: Path) -> Proof:
    """Plan of the incident of a seed, from its collected case, and what came of it."""
    made = incident(seed)
    case = case_of(made, folder)
    answer = scope(case)
    content = plan(case, scope=answer).to_dict()
    proof = prove(made, content, answer.extent())
    for step in content["steps"]:
        rollback = [step["rollback"]["api"]] if isinstance(step["rollback"], dict) else []
        for api in (step["api"], step["verify"]["api"], *rollback):
            proof.wrong += [f"{step['id']}: {fault}" for fault in api_faults(api)]
    return proof


@pytest.mark.parametrize("seed", range(100, 120))
def test_plan_contains_the_incident(seed, tmp_path):
    """Nothing is left out, open, touched without need, or lost on the way back."""
    assert proved(seed, tmp_path).wrong == []
