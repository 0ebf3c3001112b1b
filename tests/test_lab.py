"""The lab works on copies that belong to the case, and never overwrites what somebody changed."""

import json

import nbformat
import pytest

from cirtlib import lab
from cirtlib.case import load_case, new_case
from cirtlib.shipped import shipped


@pytest.fixture
def case(tmp_path):
    return new_case(tmp_path / "a case", {})


def test_copies_name_their_case(case):
    """Each copy's parameters cell holds the absolute path of the case; the shipped notebooks stay as they are."""
    before = {file.name: file.read_bytes() for file in shipped("notebooks").glob("*.ipynb")}
    states = lab.lab_copy(case)
    assert set(states) == set(before)
    assert set(states.values()) == {"copied"}
    for name, content in before.items():
        copy = nbformat.read(case.path / "notebooks" / name, as_version=4)
        (cell,) = (cell for cell in copy.cells if "parameters" in cell.metadata.get("tags", []))
        assert f"case: str = {str(case.path)!r}" in cell.source
        assert (shipped("notebooks") / name).read_bytes() == content


def test_an_edited_copy_is_left(case):
    """A copy that differs from what was copied is left and named; the others are as before."""
    lab.lab_copy(case)
    edited = case.path / "notebooks" / "03_scope.ipynb"
    edited.write_text(edited.read_text().replace("## ", "## My "))
    content = edited.read_bytes()
    states = lab.lab_copy(case)
    assert states.pop("03_scope.ipynb") == "edited"
    assert set(states.values()) == {"unchanged"}
    assert edited.read_bytes() == content


def test_an_unedited_copy_follows_the_shipped_notebook(case, monkeypatch, tmp_path):
    """After an update, a copy that nobody touched is renewed."""
    lab.lab_copy(case)
    newer = tmp_path / "newer"
    newer.mkdir()
    for file in shipped("notebooks").glob("*.ipynb"):
        (newer / file.name).write_text(file.read_text().replace("## ", "## Newer "))
    monkeypatch.setattr(lab, "shipped", lambda name: newer)
    assert set(lab.lab_copy(case).values()) == {"copied"}
    assert "## Newer " in (case.path / "notebooks" / "03_scope.ipynb").read_text()


def test_a_moved_case_gets_its_new_path(case, tmp_path):
    """The copies of a case that was moved are set to where it is now."""
    lab.lab_copy(case)
    moved = load_case(case.path.rename(tmp_path / "elsewhere"))
    assert set(lab.lab_copy(moved).values()) == {"copied"}
    assert str(moved.path) in (moved.path / "notebooks" / "00_start_here.ipynb").read_text()


def test_jupyterlab_is_started_apart_from_the_user(case, monkeypatch):
    """It finds no settings but its own, shows no news, and its extension manager can install nothing."""
    started = []

    class Done:
        returncode = 0

    def run(command, check, env):
        started.append((command, env))
        return Done()

    monkeypatch.setattr(lab.subprocess, "run", run)
    assert lab.open_lab(case, browser=False) == 0
    command, environment = started[0]
    assert f"--ServerApp.root_dir={case.path / 'notebooks'}" in command
    assert "--LabApp.extension_manager=readonly" in command
    assert "--no-browser" in command
    assert not any("token" in part for part in command)
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTERLAB_SETTINGS_DIR", "IPYTHONDIR"):
        assert environment[name].startswith(str(case.path))
    settings = case.path / "notebooks" / ".jupyter" / "settings" / "@jupyterlab" / "apputils-extension"
    assert json.loads((settings / "notification.jupyterlab-settings").read_text())["fetchNews"] == "false"
