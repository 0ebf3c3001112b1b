"""A collect that was killed or ran out of room goes on where it was: nothing lost, nothing twice, little read again."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_records import event
from test_store import logs, make, rows

from cirtlib import evidence, store
from cirtlib.case import Case, load_case, new_case
from cirtlib.collect import collect
from cirtlib.errors import EvidenceError

# Collects in small batches, in two workers from the first on, and says how many objects it had to look into.
PROGRAM = """
import json, sys
from cirtlib import collect as module
from cirtlib.case import load_case
from cirtlib.store import worker
module._LINES, worker._FEW = 120, 0
read, keep = [], module._keep
module._keep = lambda run, blob: (read.append(blob.name), keep(run, blob))[1]
account = module.collect(load_case(sys.argv[1]), progress=False, processes=2)
print(json.dumps({**account, "read": len(read)}))
"""


def start(case: Case) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(case.path)], stdout=subprocess.PIPE, text=True)


def finish(case: Case) -> dict[str, Any]:
    process = start(case)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0
    return json.loads(said)


def wait_for(process: subprocess.Popen[str], case: Case, lines: int) -> None:
    """Wait until the manifest has so many lines."""
    while process.poll() is None and (not case.manifest.is_file() or case.manifest.read_bytes().count(b"\n") < lines):
        time.sleep(0.02)


def tables(case: Case) -> list[Any]:
    return [rows(case, table) for table in ("cloudtrail", "insights", "findings", "sightings")]


@pytest.mark.integration
def test_a_collect_killed_at_any_moment_goes_on(incident: tuple[Case, dict[str, Any]], tmp_path: Path) -> None:
    """After kill -9 at 10 random moments: equal tables and totals, and only unfinished objects are read again."""
    sources = [{source.kind: source.options} for source in incident[0].sources]
    calm = new_case(tmp_path / "calm", {"sources": sources})
    expected = finish(calm)
    expected_tables = tables(calm)
    moments = random.Random(4)
    reached = set()
    for number in range(10):
        case = new_case(tmp_path / f"killed-{number}", {"sources": sources})
        process = start(case)
        wait_for(process, case, moments.randrange(expected["objects"]))
        time.sleep(moments.uniform(0, 0.3))  # somewhere between two batches, or in the midst of settling
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = len(evidence.entries(case))
        reached.add(done)
        account = finish(case)
        assert account["read"] == expected["objects"] - done
        assert {**account, "new": 0, "read": 0} == {**expected, "new": 0, "read": 0}
        assert tables(case) == expected_tables
        assert evidence.verify(case) == []
    assert len(reached) > 3  # the moments were moments of work


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 3 MB."""
    if os.geteuid():
        pytest.skip("only root may mount a file system")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "cirt-test", str(place)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


@pytest.mark.integration
@pytest.mark.parametrize("processes", [1, 2])
def test_a_full_disk_is_said_and_the_case_stays_whole(
    small_disk: Path, tmp_path: Path, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message asks for room; with more of it the same command goes on to the same end."""
    monkeypatch.setattr("cirtlib.collect._LINES", 20)
    monkeypatch.setattr("cirtlib.store.worker._FEW", 0)
    noise = random.Random(1)
    files = {
        f"{number:03d}.json": logs(
            *(event(30 * number + each, userAgent=noise.randbytes(300).hex()) for each in range(30))
        )
        for number in range(200)
    }
    calm = make(tmp_path / "calm", files)
    expected = collect(calm)
    case = new_case(small_disk / "case", {"sources": [{source.kind: source.options} for source in calm.sources]})
    with pytest.raises(EvidenceError, match="no room left"):
        collect(case, processes=processes)
    assert evidence.verify(case) == []
    assert len(evidence.entries(case)) < 200
    subprocess.run(["mount", "-o", "remount,size=60m", str(small_disk)], check=True)
    assert {**collect(load_case(case.path), processes=processes), "new": 0} == {**expected, "new": 0}
    assert rows(case) == rows(calm)
    assert store.total(case) == store.total(calm)
