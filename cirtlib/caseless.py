"""Evidence into a DataFrame without a case, for someone with a notebook and a question.

Each function collects into a case that lasts no longer than the question.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from cirtlib import queries
from cirtlib.case import Case, new_case
from cirtlib.collect import collect
from cirtlib.errors import CaseError


def cloudtrail_files(path: str | Path) -> pd.DataFrame:
    """Events in a file or folder tree, without a case: the columns of `events`, in order of time.

    Raises
    ------
    CaseError
        when there is nothing at `path`.
    """
    return _ask({"sources": [{"cloudtrail": {"folder": _present(path)}}]}, queries.events)


def guardduty_findings(path: str | Path) -> pd.DataFrame:
    """GuardDuty findings in a file or folder tree, without a case: the columns of `findings`.

    Raises
    ------
    CaseError
        when there is nothing at `path`.
    """
    found = _ask({"sources": [{"guardduty": {"folder": _present(path)}}]}, queries.findings)
    return found[found["form"].eq("guardduty")].reset_index(drop=True)


def security_hub_findings(path: str | Path) -> pd.DataFrame:
    """Security Hub findings (ASFF and OCSF) in a file or folder tree, without a case: the columns of `findings`.

    Raises
    ------
    CaseError
        when there is nothing at `path`.
    """
    found = _ask({"sources": [{"security_hub": {"folder": _present(path)}}]}, queries.findings)
    return found[found["form"].isin(["asff", "ocsf"])].reset_index(drop=True)


def _present(path: str | Path) -> str:
    place = Path(path).expanduser().resolve()
    if not place.exists():
        raise CaseError(f"{path}: there is no such file or folder")
    return str(place)


def _ask(content: dict[str, Any], question: Callable[[Case], pd.DataFrame]) -> pd.DataFrame:
    """Answer from a case of this content (as in case.yaml), collected anew and then forgotten."""
    with tempfile.TemporaryDirectory(prefix="cirt-") as scratch:
        case = new_case(Path(scratch) / "case", content)
        collect(case, progress=False, originals=False)
        return question(case)
