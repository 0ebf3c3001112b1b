"""Open the case that a notebook was given, with what its parameters override."""

from collections.abc import Sequence
from dataclasses import replace

from cirtlib.case import Case, Seed, Window, load_case, parse_time
from cirtlib.display import plain
from cirtlib.errors import CaseError
from cirtlib.text import visible


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
    print("Overridden for this run: " + ("; ".join(overrides) or "nothing"))
    return replace(opened, window=window, seeds=seeds)


def overridden(case: Case) -> bool:
    """Whether a run's parameters differ from case.yaml, so that its results must not replace the case's own."""
    stored = load_case(case.path)
    return (stored.window, stored.seeds) != (case.window, case.seeds)
