"""The embedded incident is investigated in one go, and only a folder of its own making is replaced."""

import subprocess
import sys
from pathlib import Path

import pytest

from cirtlib.errors import TrainingError
from cirtlib.training.demo import MARKER, _clear, demo


def test_a_foreign_folder_is_not_touched(tmp_path: Path) -> None:
    """A folder with other files, or a file, is refused and stays as it is."""
    (tmp_path / "thesis.txt").write_text("years", encoding="utf-8")
    for place in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(TrainingError, match="--dir"):
            demo(place)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_own_folder_is_made_anew_and_keeps_the_notebooks(tmp_path: Path) -> None:
    """What an earlier run left goes, a link is not followed, edited notebooks wait."""
    ours, elsewhere = tmp_path / "ours", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x", encoding="utf-8")
    assert _clear(ours) is None
    assert (ours / MARKER).is_file()
    (ours / "case" / "notebooks").mkdir(parents=True)
    (ours / "case" / "notebooks" / "03_scope.ipynb").write_text("edited", encoding="utf-8")
    (ours / "case" / "case.yaml").write_text("case: x", encoding="utf-8")
    (ours / "link").symlink_to(elsewhere)
    kept = _clear(ours)
    assert kept is not None
    assert (kept / "03_scope.ipynb").read_text(encoding="utf-8") == "edited"
    assert sorted(item.name for item in ours.iterdir()) == [MARKER, kept.name]
    assert (elsewhere / "precious").is_file()
    assert _clear(ours) == kept  # a run that was stopped half-way loses nothing


@pytest.mark.integration
def test_the_main_job_from_start_to_end(tmp_path: Path) -> None:
    """Ten lines or fewer say what was found and where report and plan lie; again, it replaces its own work."""
    for _ in range(2):
        command = [sys.executable, "-m", "cirtlib", "train", "demo", "--seed", "3", "--dir", "made"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert 4 <= len(lines) <= 10
        assert "devRole" in done.stdout
        for start in ("plan: ", "report: "):
            (line,) = [line for line in lines if line.startswith(start)]
            assert (tmp_path / line.rpartition(": ")[2]).exists()
    assert not list((tmp_path / "made" / "case").rglob("truth.json"))
    assert (tmp_path / "made" / "truth" / "truth.json").is_file()
