"""What README.md shows runs as it stands there."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cirtlib import cli
from cirtlib.case import Case
from tests.s3_server import credentials, serve

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def desk(
    incident: tuple[Case, dict[str, Any]], own_incident: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A place as the README speaks of it: logs/, also in a bucket, findings/ and the collected case ir-001."""
    logs, findings = (Path(source.options["folder"]) for source in incident[0].sources)
    (tmp_path / "logs").symlink_to(logs)
    (tmp_path / "findings").symlink_to(findings)
    (tmp_path / "ir-001").symlink_to(own_incident.path)
    credentials(monkeypatch, tmp_path)
    files = [file for file in logs.rglob("*.gz") if "us-east-1" in file.parts]
    with serve({file.relative_to(logs).as_posix(): file.read_bytes() for file in files}) as bucket:
        monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
        yield tmp_path


@pytest.fixture
def profile(incident: tuple[Case, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The profile that the README speaks of: that of an emulated account with the incident's logs and findings."""
    from cirtlib.training.account import serve

    logs, findings = (Path(source.options["folder"]) for source in incident[0].sources)
    state = json.loads((findings.parent / "truth" / "state_after.json").read_text(encoding="utf-8"))
    with serve(state, tmp_path / "aws", history=logs, findings=findings, now=incident[0].as_of) as running:
        home = running.config.read_text(encoding="utf-8").split("\n", 1)[1].split("[profile")[0]
        (tmp_path / "config").write_text(f"[profile incident-response]\n{home}", encoding="utf-8")
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        yield


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0])
def test_the_examples_in_python_run(
    block: str, desk: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Every Python block, and each expression in it gives something."""
    if "cloudtrail_athena" in block:
        pytest.skip("run where there is an Athena: test_athena_trino")
    monkeypatch.chdir(desk)
    if "profile=" in block:
        request.getfixturevalue("profile")
    names: dict[str, Any] = {}
    for statement in re.split(r"\n(?=\S)", block.strip()):
        line = re.sub(r"  #.*", "", statement)
        if re.match(r"(from|import)\b|\w+ = ", line):
            exec(line, names)
        else:
            assert eval(line, names) is not None, line


def test_there_are_examples() -> None:
    """The pattern above finds them."""
    assert len(BLOCKS) == 6


def test_every_command_is_in_the_readme_and_the_other_way_round() -> None:
    """No command is missing, none is only promised."""
    known = {str(command.name or command.callback.__name__) for command in cli.app.registered_commands}
    known |= {str(group.name) for group in cli.app.registered_groups}
    named = set(re.findall(r"`cirt ([a-z-]+)", README)) | set(re.findall(r"\$ cirt ([a-z-]+)", README))
    assert named == known


def test_every_make_target_is_there() -> None:
    """What README and CONTRIBUTING tell to make can be made."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    told = re.findall(r"make ([a-z]+)", README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    for target in {word for word in told if word not in {"the"}}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_file_that_contributing_names_is_there() -> None:
    """The table points at files that exist."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for path in re.findall(r"`((?:cirtlib|queries|notebooks|scenarios|tests)/[\w./]*)`", text):
        assert (ROOT / path).exists(), path
