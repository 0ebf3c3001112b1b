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
from cirtlib.errors import AccessError, CaseError


def cloudtrail_files(path: str | Path) -> pd.DataFrame:
    """Events in a file or folder tree, without a case: the columns of `events`, in order of time.

    Raises
    ------
    CaseError
        when there is nothing at `path`.
    """
    return _ask({"sources": [{"cloudtrail": {"folder": _present(path)}}]}, queries.events)


def cloudtrail_event_history(  # noqa: PLR0913 - each is an option of its own
    *,
    start: datetime | str | None = None,
    end: datetime | str | None = None,
    accounts: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
    access_key: str | None = None,
    profile: str | None = None,
    role: str | None = None,
    endpoint_url: str | None = None,
) -> pd.DataFrame:
    """Events of CloudTrail's event history, without a case: the columns of `events`, in order of time.

    Management events of at most 90 days, 50 a call at 2 calls a second in each account and Region: a busy Region takes
    hours, unless `start` is near or an `access_key` is named.

    Parameters
    ----------
    start, end
        Default: what event history holds, until now.
    accounts, regions
        Default: the account whose credentials these are, and all its enabled Regions.
    access_key
        Only what was done with this key, and with the keys minted by that.
    profile, role
        AWS profile, and role to assume; `{account}` in its ARN stands for the account.
    endpoint_url
        Where AWS answers, if not at AWS.

    Returns
    -------
    DataFrame
        `attrs["gaps"]` lists what could not be read (account, region, status, reason); a warning tells of refusals.

    Raises
    ------
    CaseError
        when a time, an account or a Region is none.
    AccessError
        when there are no credentials, they have run out, or nothing may be read.
    """
    window = {"start": start and parse_time(start, "start").isoformat(), "end": end or "now"}
    if end:
        window["end"] = parse_time(end, "end").isoformat()
    access = {"profile": profile, "role": role, "endpoint_url": endpoint_url}
    content = {
        "window": {key: value for key, value in window.items() if value},
        "baseline_days": 0,
        "accounts": list(accounts or ()),
        "regions": list(regions or ()),
        "access": {key: value for key, value in access.items() if value},
        "seeds": [{"access_key": access_key}] if access_key else [],
        "sources": [{"cloudtrail": {"event_history": {"whole": access_key is None}}}],
    }
    return _ask(content, _with_gaps)


def _with_gaps(case: Case) -> pd.DataFrame:
    """Events of the case; a part of what was asked for does not pass for the whole.

    Raises
    ------
    AccessError
        when nothing could be read, with the first reasons.
    """
    table, asked = queries.events(case), [line["slice"] for line in evidence.slices(case)]
    gaps = [one for one in asked if one["status"] not in {"read", "empty"}]
    refused = [one for one in gaps if one["status"] in {"denied", "failed"}]
    said = "; ".join(f"{one['account']} {one['region']}: {one['reason']}" for one in refused[:3])
    if refused and len(refused) == len(asked):
        raise AccessError(f"event history could not be read: {said}")
    if refused:
        warnings.warn(f"{len(refused)} look-ups in event history were refused, such as {said}", stacklevel=4)
    table.attrs["gaps"] = [{name: one[name] for name in ("account", "region", "status", "reason")} for one in gaps]
    return table


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
