"""Open the case that a notebook was given, with what its parameters override."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from cirtlib.case import Case, Seed, Window, load_case, parse_time
from cirtlib.display import plain
from cirtlib.errors import CaseError
from cirtlib.text import visible


class Overridden(Case):
    """A case as one run looks at it. Its results lie apart, so that they never pass for the case's own."""

    @property
    def out(self) -> Path:
        """Folder of what this window and these seeds give: out/runs/ and a name made of them."""
        asked = hashlib.sha256(repr((self.window, self.seeds)).encode()).hexdigest()
        return self.path / "out" / "runs" / asked[:12]


def open_case(case: str, *, start: str = "", end: str = "", principals: str | Sequence[str] = "") -> Case:
    """Open the case that a notebook was given, with what overrides it in this run, and print both.

    Parameters
    ----------
    case
        the case folder; '' (the default of every shipped notebook) is refused.
    start, end
        ISO 8601 times, UTC when they say nothing else; instead of the window in case.yaml.
    principals
        ARNs, as a list or separated by commas: what the run starts from, instead of the seeds in case.yaml.

    Raises
    ------
    CaseError
        when no case is given, there is none, or an override is no time or ends before it starts.
    """
    if not str(case).strip():
        raise CaseError(
            "this notebook was given no case: set the parameter `case` to a case folder, as in "
            "`papermill NOTEBOOK.ipynb OUT.ipynb -p case PATH`, or open the copy that `cirt lab PATH` makes"
        )
    opened = load_case(case)
    window = Window(
        parse_time(start, "start") if start else opened.window.start,
        parse_time(end, "end") if end else opened.window.end,
        opened.window.live and not end,
    )
    if window.start and window.end and window.end <= window.start:
        raise CaseError(f"the window ends ({plain(window.end)}) before it starts ({plain(window.start)})")
    listed = principals.split(",") if isinstance(principals, str) else principals
    names = [name.strip() for name in listed if name.strip()]
    seeds = tuple(Seed("principal", name) for name in names) or opened.seeds
    changed = {"start": start, "end": end, "principals": ", ".join(names)}
    overrides = [f"{key} = {plain(value)}" for key, value in changed.items() if value]
    print(visible(f"Case {opened.name}{': ' + opened.title if opened.title else ''}"))
    if not overrides:
        print("Overridden for this run: nothing")
        return opened
    content = {part.name: getattr(opened, part.name) for part in fields(opened)}
    run = Overridden(**{**content, "window": window, "seeds": seeds})
    print(
        visible(f"Overridden for this run: {'; '.join(overrides)}; its results are in {run.out.relative_to(run.path)}")
    )
    _take_notes(opened, run)
    return run


def _take_notes(case: Case, run: Case) -> None:
    """Let the run show the notes of the case."""
    notes = case.out / "notes.jsonl"
    run.out.mkdir(parents=True, exist_ok=True)
    if notes.is_file():
        shutil.copyfile(notes, run.out / "notes.jsonl")
