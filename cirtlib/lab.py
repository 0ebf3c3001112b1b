"""JupyterLab on a case: its own copies of the notebooks, and nothing fetched from outside."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat

from cirtlib.case import Case, read_json
from cirtlib.errors import ReportError
from cirtlib.shipped import shipped

_RECORD = ".copied.json"
_SETTINGS = "@jupyterlab/apputils-extension/notification.jupyterlab-settings"


def lab_copy(case: Case) -> dict[str, str]:
    """Copy the shipped notebooks into CASE/notebooks, with the parameter `case` set to this case.

    A copy that was edited (or run and saved) is left as it is; one that was not is replaced by the shipped notebook's
    newer version.

    Returns
    -------
    dict
        name of each notebook -> copied, unchanged, or edited (and therefore left).
    """
    folder = case.path / "notebooks"
    folder.mkdir(exist_ok=True)
    record: dict[str, str] = read_json(folder / _RECORD, {})
    states = {}
    for source in sorted(shipped("notebooks").glob("*.ipynb")):
        target = folder / source.name
        content = _for_case(source, case)
        present = _sha256(target.read_bytes()) if target.is_file() else ""
        if present == _sha256(content):
            states[source.name] = "unchanged"
        elif present and present != record.get(source.name):
            states[source.name] = "edited"
            continue
        else:
            target.write_bytes(content)
            states[source.name] = "copied"
        record[source.name] = _sha256(content)
    if not states:
        raise ReportError("no notebooks are shipped with this installation; install cirtlib again")
    (folder / _RECORD).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return states


def open_lab(case: Case, *, browser: bool = True, options: tuple[str, ...] = ()) -> int:
    """Copy the notebooks into the case, as far as they are not there, and run JupyterLab on them until it is stopped.

    `options` are passed on to JupyterLab.

    Returns
    -------
    int
        JupyterLab's exit status.
    """
    for name, state in lab_copy(case).items():
        if state == "edited":
            print(f"{name} in {case.path / 'notebooks'} was edited and is left as it is")
    return open_folder(case.path / "notebooks", browser=browser, options=options)


def open_folder(folder: Path, *, first: str = "", browser: bool = True, options: tuple[str, ...] = ()) -> int:
    """Run JupyterLab on a folder until it is stopped; `first` is the notebook in it that is opened.

    Returns
    -------
    int
        JupyterLab's exit status.
    """
    command = [
        *(sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}"),
        *([f"--LabApp.default_url=/lab/tree/{first}"] if first else []),
        *("--LabApp.extension_manager=readonly", *([] if browser else ["--no-browser"]), *options),
    ]
    try:
        return subprocess.run(command, check=False, env=_environment(folder)).returncode
    except KeyboardInterrupt:
        return 0


def _environment(folder: Path) -> dict[str, str]:
    """Environment in which JupyterLab finds none of the user's settings, keeps its own here, and asks nobody."""
    home = folder / ".jupyter"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
    }
    settings = home / "settings" / _SETTINGS
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text('{"fetchNews": "false", "checkForUpdates": false}\n', encoding="utf-8")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, **{name: str(home / folder) for name, folder in folders.items()}}


def _for_case(source: Path, case: Case) -> bytes:
    """Bytes of a shipped notebook whose parameters cell names this case, by its absolute path."""
    notebook = nbformat.read(source, as_version=4)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            lines = cell.source.splitlines()
            cell.source = "\n".join(
                f"case: str = {str(case.path)!r}  # set by `cirt lab`" if line.startswith("case:") else line
                for line in lines
            )
    return f"{nbformat.writes(notebook)}\n".encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
