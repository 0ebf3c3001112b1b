"""The lock, environment.yml and pyproject.toml say the same."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
ENTRY = re.compile(
    r"^([A-Za-z0-9][\w.-]*)==(\S+)(?: ; (.+?))? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)*)", re.M
)


def test_every_locked_package_has_hashes_and_the_lock_no_address() -> None:
    """A changed download is refused, and no one's index stands in the lock."""
    entries = ENTRY.findall(LOCK)
    assert len(entries) == len(re.findall(r"^[A-Za-z0-9]", LOCK, re.M)) > 100
    assert all(hashes.count("--hash=") >= 1 for *_, hashes in entries)
    assert "://" not in LOCK


def test_everything_that_pyproject_names_is_locked() -> None:
    """Installing with --no-deps from the lock leaves nothing out."""
    locked = {name.lower().replace("_", "-") for name, *_ in ENTRY.findall(LOCK)}
    named = [*PROJECT["dependencies"], *(d for extra in PROJECT["optional-dependencies"].values() for d in extra)]
    wanted = {re.split(r"[\[<>=!~; ]", text)[0].lower().replace("_", "-") for text in named}
    assert wanted <= locked
    assert {"jupyterlab", "pandas", "boto3", "plotly", "awswrangler", "papermill"} <= wanted


def test_conda_installs_the_locked_versions() -> None:
    """environment.yml holds Python and pip from conda, and the lock's versions and this package from pip."""
    python, pip, rest = CONDA["dependencies"]
    assert (python, pip) == ("python=3.11", "pip")
    assert PROJECT["requires-python"] == ">=3.11"
    expected = [f"{name}=={version}{f' ; {when}' if when else ''}" for name, version, when, _ in ENTRY.findall(LOCK)]
    assert rest["pip"] == [*expected, "-e ."]


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv not present")
def test_the_lock_compiles_to_itself(tmp_path: Path) -> None:
    """pyproject.toml and the lock agree: compiling again changes nothing."""
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    command = "uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 pyproject.toml"
    command += " --all-extras -o requirements.lock"
    done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True, check=False)
    if done.returncode and "Failed to fetch" in done.stderr:
        pytest.skip("no package index")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "requirements.lock").read_text(encoding="utf-8") == LOCK


def test_setup_says_what_to_do_without_a_new_enough_python(tmp_path: Path) -> None:
    """A missing or too old Python is one message, before anything is made."""
    old = tmp_path / "python3.10"
    old.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)
    for python in (old, "no-such-python"):
        make = ["make", "setup", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"]
        done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert "No Python 3.11 or newer found" in done.stderr
        assert not (tmp_path / "venv").exists()


@pytest.mark.integration
def test_pip_takes_what_environment_yml_lists(tmp_path: Path) -> None:
    """Pip resolves the list as conda hands it over, without a conflict."""
    listed = tmp_path / "requirements.txt"
    listed.write_text("\n".join(CONDA["dependencies"][2]["pip"]) + "\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-build-isolation", "-U"]
    done = subprocess.run([*pip, "-r", str(listed)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.integration
def test_an_installed_wheel_finds_what_ships_with_it(tmp_path: Path) -> None:
    """Without a checkout, questions, notebooks and scenarios lie inside the package."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*pip, str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = "import cirtlib.shipped as s; print(s.__file__); print(*(len([*s.shipped(n).rglob('*.*')]) for n in {}))"
    names = "('queries', 'notebooks', 'scenarios')"
    done = subprocess.run(
        [sys.executable, "-c", code.format(names)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    place, counts = done.stdout.splitlines()
    assert place.startswith(str(tmp_path))
    assert all(int(count) > 0 for count in counts.split(" "))
