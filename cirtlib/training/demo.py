"""The embedded training incident, investigated from one finding to the report and the plan."""

import shutil
from collections.abc import Callable
from pathlib import Path

from cirtlib.collect import collect
from cirtlib.errors import TrainingError
from cirtlib.intake import start
from cirtlib.investigation import investigate
from cirtlib.training.generator import generate

MARKER = ".cirt-training"
EXPOSED_CREDENTIALS = "exposed_credentials"
# What the analyst is told at first, by scenario.
_TITLES = {
    EXPOSED_CREDENTIALS: "CloudTrail logging was disabled",
    "misconfigured_resource": "Credentials of an instance were used from outside",
    "phished_console": "An employee reports a sign-in from a foreign address",
    "false_alarm": "An alarm whose cause is to be found",
}


def demo(
    folder: Path, *, scenario: str = EXPOSED_CREDENTIALS, seed: int = 1, say: Callable[[str], None] | None = None
) -> list[str]:
    """Generate a scenario's incident in `folder`, collect it into a case and investigate that.

    `folder` then holds evidence-source/ (what the analyst is given), truth/ (unknown to the case) and case/.
    A folder that an earlier run made is made anew; notebooks that were copied into its case stay.

    Returns
    -------
    list of str
        What was found and where report and plan lie, ten lines or fewer.

    Raises
    ------
    TrainingError
        when `folder` holds anything that this function did not put there, or there is no demo of the scenario.
    """
    if scenario not in _TITLES:
        raise TrainingError(f"there is no demo of {scenario!r}; choose one of {', '.join(_TITLES)}")
    tell = say or (lambda _: None)
    notebooks = _clear(folder)
    tell(f"generating the incident (seed {seed}) ...")
    made = generate(scenario, seed=seed, out=folder / "evidence-source")
    made.truth.parent.rename(folder / "truth")
    case = start(
        folder / "case",
        logs=[made.logs],
        findings=[made.findings],
        seeds=made.seeds,
        content={
            "case": f"{scenario.replace('_', '-')}-{seed}",
            "title": _TITLES[scenario],
            "as_of": made.as_of.isoformat(),
        },
        window=made.window_told,
    )
    if notebooks:
        notebooks.rename(case.path / "notebooks")
    tell("collecting ...")
    collect(case)
    return investigate(case, say=say)


def _clear(folder: Path) -> Path | None:
    """Make `folder` empty and ours; return where the notebooks of its earlier case wait."""
    if folder.exists() and not folder.is_dir():
        raise TrainingError(f"{folder} is a file; choose another folder with --dir")
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise TrainingError(f"{folder} holds files that `cirt train demo` did not make; choose another with --dir")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text("made by `cirt train demo`, which replaces this folder\n", encoding="utf-8")
    kept, notebooks = folder / "kept-notebooks", folder / "case" / "notebooks"
    if notebooks.is_dir():
        shutil.rmtree(kept, ignore_errors=True)
        notebooks.rename(kept)
    for item in folder.iterdir():
        if item.name in (MARKER, kept.name):
            continue
        if item.is_dir() and not item.is_symlink():
            shutil.rmtree(item)
        else:
            item.unlink()
    return kept if kept.is_dir() else None
