"""The runbook typed by hand, from the Markdown file alone, with the AWS CLI against the emulated accounts."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cirtlib import containment
from cirtlib.case import load_case
from tests.by_hand import typed
from tests.warm_aws import warm

pytestmark = pytest.mark.integration


def test_typed_by_hand_it_contains(incident, tmp_path):
    """Every command is accepted, every check says what it should, verify.sh passes, and nobody else is touched."""
    from cirtlib.training.account import serve

    case, _ = incident
    hidden = Path((case.path.parent / "made").read_text()).parent
    attacked = json.loads((hidden / "state_after.json").read_text())
    shutil.copytree(case.path, tmp_path / "case", symlinks=True)
    plan = containment.write(load_case(tmp_path / "case"))
    folder = tmp_path / "case" / "out" / "plan"
    with serve(attacked, tmp_path / "aws") as emulated, warm(tmp_path / "bin") as commands:
        before = emulated.state()
        environment = emulated.environment()
        environment["PATH"] = f"{commands}{os.pathsep}{environment['PATH']}"

        def run(*command):
            return subprocess.run(
                command, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=900
            )

        text = (folder / "runbook.md").read_text(encoding="utf-8")
        (folder / "typed.sh").write_text("set -eu\n" + "\n".join(typed(text, emulated.profiles)), encoding="utf-8")
        done = run("bash", "typed.sh")
        assert (done.returncode, done.stderr) == (0, "")
        given = [part for one in emulated.profiles.items() for part in ("--profile-for", "=".join(one))]
        verified = run("./verify.sh", "--execute", *given)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        after = emulated.state()
    targets = {step.target for step in plan.steps}
    for account, content in before["accounts"].items():
        for kind in ("users", "roles"):
            now = [one for one in after["accounts"][account][kind] if one["Arn"] not in targets]
            assert [one for one in content[kind] if one["Arn"] not in targets] == now
    assert before != after
