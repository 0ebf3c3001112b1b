"""Objects are read side by side in processes of their own, with the same result as in one."""

import subprocess
import sys
from pathlib import Path

import pytest
from test_records import event
from test_store import logs, make, rows

from cirtlib import evidence
from cirtlib.case import Case, load_case
from cirtlib.collect import collect
from cirtlib.errors import EvidenceError
from cirtlib.store import worker


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """A case whose every object is a batch of its own, none of them read in this process when there are workers."""
    monkeypatch.setattr(worker, "_FEW", 0)
    monkeypatch.setattr("cirtlib.collect._LINES", 1)
    files = {f"{number:02d}.json": logs(event(number), event(number + 1)) for number in range(0, 40, 2)}
    return make(tmp_path / "many", {**files, "21.json": b'{"Records": [1', "99.json": files["10.json"]})


def test_two_processes_give_what_one_gives(many: Case, tmp_path: Path) -> None:
    """Rows, account and the order of the manifest do not depend on who was done first."""
    account = collect(many, processes=2)
    stored, names = rows(many), [entry["name"] for entry in evidence.entries(many)]
    alone = make(tmp_path / "alone", {})
    (alone.path / "case.yaml").write_text((many.path / "case.yaml").read_text())
    assert collect(load_case(alone.path), processes=1) == account
    assert rows(alone) == stored
    assert names == sorted(names) == [entry["name"] for entry in evidence.entries(alone)]
    assert (account["kept"], account["duplicate"], account["rejected"]) == (40, 2, 2)


def test_a_worker_that_dies_costs_no_evidence(many: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The collect ends with advice, and the next one reads what is missing."""
    real = worker._start

    def start() -> subprocess.Popen[bytes]:
        process = real()
        process.kill()
        process.wait()
        return process

    with monkeypatch.context() as patch:
        patch.setattr(worker, "_start", start)
        with pytest.raises(EvidenceError, match="--processes 1"):
            collect(many, processes=2)
    assert collect(many, processes=2)["kept"] == 40


def test_a_worker_loads_little() -> None:
    """Neither pandas nor plotly nor boto3: they cost a second and a hundred megabytes each time."""
    code = "import sys, cirtlib.store.worker; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "pyarrow" in loaded
    assert {"pandas", "plotly", "boto3", "botocore", "awswrangler", "IPython"} & set(loaded) == set()
