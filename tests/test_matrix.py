"""The page of the catalogue is what the catalogue says, and names every step that a plan can have."""

import re
from pathlib import Path

from cirtlib.containment import matrix
from cirtlib.containment.planning import build
from cirtlib.containment.step import number
from tests import plan_sample as sample
from tests import test_brake
from tests.test_catalogue import STEPS

ROOT = Path(__file__).parent.parent


def test_the_page_is_the_catalogue():
    """docs/containment.md is what `python -m cirtlib.containment.matrix` prints."""
    assert (ROOT / "docs" / "containment.md").read_text(encoding="utf-8") == matrix.matrix()


def test_every_step_is_in_it():
    """Each step of a plan, each of the catalogue's functions and each of a brake has its line, by `row`."""
    known = matrix.known()
    plan = build(sample.incident())
    made = [
        *plan.steps,
        *number(STEPS),
        *(step for brake in build(test_brake.incident()).brakes for step in brake.steps),
    ]
    assert {step.row for step in made} <= set(known)


def test_every_function_is_in_it():
    """Whatever key a step gets in the code, its kind has a line."""
    known = set(matrix.known())
    words = {"logging": "start-logging", "note": ""}
    for file in (ROOT / "cirtlib" / "containment").glob("*.py"):
        for word in re.findall(r'key=f"([a-z-]+) ', file.read_text(encoding="utf-8")):
            kind = words.get(word, word)
            assert not kind or kind in known, (file.name, word)


def test_what_is_not_run_says_why():
    """A line says that the tests ran it, or the reason why they could not."""
    for kind, (section, emulator) in matrix.known().items():
        assert section
        assert emulator.startswith("run") or len(emulator.split()) > 3, kind
