"""A solver that knows only cirtlib's public functions, shut out from generator and truth, has full marks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("moto")

from cirtlib.training.exercise.submit import submit
from cirtlib.training.exercise.workspace import start
from cirtlib.training.practice import control
from tests.seeds import seeds

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("seed", seeds(1, 20))
@pytest.mark.parametrize("name", ["exposed_credentials", "misconfigured_resource", "phished_console", "false_alarm"])
def test_full_marks_with_public_functions_alone(name, seed, tmp_path):
    space, _ = start(name, seed=seed, folder=tmp_path / "exercise")
    try:
        if name != "false_alarm":  # there is nothing to contain
            control.start(space.path)
        home = tmp_path / "home"
        home.mkdir()
        script = Path(__file__).parent / "solver.py"
        done = subprocess.run(
            [sys.executable, str(script), str(space.path), name],
            env={**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        result = submit(space)
    finally:
        control.stop(space.path)
    wrong = [one for one in result["questions"] if not one["right"]]
    assert not wrong
    assert result["points"] == result["out_of"] == 100, {k: result[k] for k in ("parts", "containment", "judgement")}
    assert (space.path / "debrief.html").stat().st_size > 100_000
