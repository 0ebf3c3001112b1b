"""Fixtures that several test modules share."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cirtlib.case import Case, load_case

if TYPE_CHECKING:
    from cirtlib.training.account import Emulated

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real records beside the repository; the test is skipped where it is not there."""
    folder = Path(os.environ.get("CIRT_REAL_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("real data not present")
    return folder


@pytest.fixture(scope="session")
def incident(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Case, dict[str, Any]]]:
    """The exposed-credentials incident, generated, collected and scoped, seeded only with the finding; and its truth.

    Shared by all tests and workers of a run: read it, and copy the case folder (see `own_incident`) to change it.
    """
    from cirtlib.collect import collect
    from cirtlib.intake import start
    from cirtlib.scope import write
    from cirtlib.training.generator import generate

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "incident"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the first worker makes it, the others wait
        if not (folder / "made").is_file():
            made = generate("exposed_credentials", seed=1, out=folder / "source")
            case = start(
                folder / "case",
                logs=[made.logs],
                findings=[made.findings],
                seeds=[f"finding={made.seed_finding}"],
                content={"as_of": made.as_of.isoformat()},
            )
            collect(case)
            write(case)
            (folder / "made").write_text(str(made.truth), encoding="utf-8")
    truth = json.loads(Path((folder / "made").read_text(encoding="utf-8")).read_text(encoding="utf-8"))
    yield load_case(folder / "case"), truth


@pytest.fixture
def own_incident(incident: tuple[Case, dict[str, Any]], tmp_path: Path) -> Case:
    """A copy of the incident's case that a test may change."""
    shutil.copytree(incident[0].path, tmp_path / "case", symlinks=True)
    return load_case(tmp_path / "case")


@pytest.fixture(scope="module")
def emulated_incident(
    incident: tuple[Case, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator["Emulated"]:
    """The exposed-credentials incident in emulated accounts: logs in S3, event history, findings, the state at its end.

    A module that uses it cannot run `serve` of its own meanwhile: there is one emulator in a process. Tests that set
    `faults` take it through `responder`, which puts them back.
    """
    from cirtlib.training.account import serve

    case = incident[0]
    source = case.path.parent / "source"
    state = json.loads((source / "truth" / "state_after.json").read_text(encoding="utf-8"))
    told: dict[str, Any] = {"logs": source / "logs", "findings": source / "findings", "now": case.as_of}
    beside = {"metadata": source / "s3-metadata.json", "keys": source / "public-keys.json"}
    told |= {name: file for name, file in beside.items() if file.is_file()}
    with serve(state, tmp_path_factory.mktemp("emulated"), **told) as emulated:
        yield emulated


@pytest.fixture
def responder(emulated_incident: "Emulated", monkeypatch: pytest.MonkeyPatch) -> Iterator["Emulated"]:
    """The emulated incident, in an environment where boto3 and the AWS CLI know its profiles; its faults end here."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in emulated_incident.environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    yield emulated_incident
    emulated_incident.faults.reset()
