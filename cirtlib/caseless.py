"""Evidence into a DataFrame without a case, for someone with a notebook and a question.

Each function collects into a case that lasts no longer than the question.
"""

import tempfile
import warnings
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from cirtlib import evidence, queries
from cirtlib.case import Case, new_case, parse_time
from cirtlib.collect import collect
from cirtlib.errors import CaseError, EvidenceError
from cirtlib.store import tally


def cloudtrail_files(path: str | Path) -> pd.DataFrame:
    """Events in a file or folder tree, without a case: the columns of `events`, in order of time.

    Raises
    ------
    CaseError
        when there is nothing at `path`.
    """
    return _ask({"sources": [{"cloudtrail": {"folder": _present(path)}}]}, queries.events)


def cloudtrail_s3(  # noqa: PLR0913 - each narrows what is read or says with what rights
    uri: str,
    *,
    start: datetime | str | None = None,
    end: datetime | str | None = None,
    accounts: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
    profile: str | None = None,
    role: str | None = None,
    endpoint_url: str | None = None,
) -> pd.DataFrame:
    """Events in a bucket, without a case: the columns of `events`, in order of time.

    Parameters
    ----------
    uri
        Bucket and prefix, as s3://bucket/prefix/, anywhere in the layout of a trail; or any bucket with log files.
    start, end
        First and last moment. Only what was delivered from the first day to the day after the last is read.
    accounts, regions
        Only these; by default all that are found.
    profile, role
        AWS CLI profile, and ARN of a role to assume with it.
    endpoint_url
        Where S3 is, if not at AWS.

    Raises
    ------
    CaseError
        when `uri` is no address in S3, or a time, an account or a Region is none.
    AccessError
        when there are no credentials, or they have run out.
    EvidenceError
        when nothing can be read; what is missing of the whole otherwise is a warning.
    """
    source = {"s3": uri, **({"account": role.split(":")[4]} if role and role.count(":") >= 5 else {})}
    access = {"profile": profile, "role": role, "endpoint_url": endpoint_url}
    window = {name: _text(moment, name) for name, moment in (("start", start), ("end", end)) if moment is not None}
    content = {
        "sources": [{"cloudtrail": source}],
        "access": {name: value for name, value in access.items() if value},
        "window": window,
        "baseline_days": 0,
        "accounts": list(accounts or ()),
        "regions": list(regions or ()),
    }
    return _ask(content, lambda case: _whole(case, queries.events(case, **window)))


def _text(moment: datetime | str, name: str) -> str:
    return parse_time(moment, name).isoformat()


def _whole(case: Case, found: pd.DataFrame) -> pd.DataFrame:
    """What was found; a part of what was asked for does not pass for the whole.

    Raises
    ------
    EvidenceError
        when nothing could be read, with the first reason.
    """
    listed = [one["slice"] for one in evidence.slices(case)]
    reasons = [one["reason"] for one in listed if one["status"] in {"denied", "failed"}]
    entries = tally.standing(evidence.entries(case))
    reasons += [f"{one['name']} {one['rejections'][0]['reason']}" for one in entries if one["rejected"]]
    if not reasons:
        return found
    said = f"{len(reasons)} listings or objects could not be read as a whole, the first: {reasons[0]}"
    if not any(one["object"] for one in entries):
        raise EvidenceError(said)
    warnings.warn(said, stacklevel=4)
    return found


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
