"""JupyterLab on a case: its own copies of the notebooks, and nothing fetched from outside."""

import subprocess
import sys

from cirtlib.case import Case
from cirtlib.report import lab_copy


def open_lab(case: Case, *, browser: bool = True) -> int:
    """Copy the notebooks into the case, as far as they are not there, and run JupyterLab on them until it is stopped.

    Returns
    -------
    int
        JupyterLab's exit status.
    """
    folder = lab_copy(case)
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.extension_manager=readonly",
        "--LabApp.news_url=None",  # no news and no look for updates: a forensic machine talks to nobody
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    if not browser:
        command.append("--no-browser")
    try:
        return subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        return 0
