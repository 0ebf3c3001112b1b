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
from cirtlib.errors import AccessError, CaseError, EvidenceError
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


def cloudtrail_athena(  # noqa: PLR0913 - each narrows what is read or says with what rights
    table: str,
    *,
    start: datetime | str,
    end: datetime | str,
    accounts: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
    where: str = "true",
    workgroup: str = "primary",
    output: str | None = None,
    scan_limit_bytes: int | None = None,
    profile: str | None = None,
    region: str | None = None,
    endpoint_url: str | None = None,
) -> pd.DataFrame:
    """Events in an Athena table of CloudTrail logs, without a case: the columns of `events`, in order of time.

    Parameters
    ----------
    table
        `database.table`, in the form of AWS's documentation: `cirt athena-ddl` prints one for a bucket.
    start, end, accounts, regions
        Only these; nothing but the partitions of those days, and the one after, is read.
    where
        A condition in Athena's SQL on the columns of `events`, such as "event_source = 'iam.amazonaws.com'".
    workgroup, output, scan_limit_bytes
        Athena's workgroup, where results go (s3://...) if it does not say so, and when to stop the query.
    profile, region, endpoint_url
        AWS CLI profile, the Region of Athena (default: that of the profile), and where AWS is, if not at AWS.

    Returns
    -------
    DataFrame
        `attrs` says what it cost: query_id, bytes_scanned, price_usd.

    Raises
    ------
    CaseError
        when `table` is no name of a table, or a time, an account or a Region is none.
    QueryError
        when the table has no partitions, a limit was passed, or Athena refuses the query.
    AccessError
        when there are no credentials, or they do not suffice.
    """
    where_from: dict[str, Any] = {"workgroup": workgroup, "output": output, "region": region}
    access = {"profile": profile, "endpoint_url": endpoint_url}
    content = {
        "sources": [
            {"cloudtrail": {"athena": _table(table) | _said({**where_from, "scan_limit_bytes": scan_limit_bytes})}}
        ],
        "access": _said(access),
        "window": {"start": _text(start, "start"), "end": _text(end, "end")},
        "accounts": list(accounts or ()),
        "regions": list(regions or ()),
    }
    text = f"SELECT * FROM events WHERE ({where}) ORDER BY event_time, event_id, account_id"  # noqa: S608 - one SELECT
    with tempfile.TemporaryDirectory(prefix="cirt-") as scratch:
        return queries.sql(new_case(Path(scratch) / "case", content), text, engine="athena")


def _table(name: str) -> dict[str, str]:
    database, dot, table = name.partition(".")
    if not dot or not database or not table:
        raise CaseError(f"{name!r} is no name of a table; write it as database.table")
    return {"database": database, "table": table}


def _said(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


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
    return _ask(content, lambda case: _with_gaps(case, queries.events))


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


def guardduty_findings(  # noqa: PLR0913 - each is a choice of its own, and all but the path are named
    path: str | Path | None = None,
    *,
    accounts: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
    start: str | datetime | None = None,
    end: str | datetime | None = None,
    profile: str | None = None,
    role: str | None = None,
    endpoint_url: str | None = None,
) -> pd.DataFrame:
    """GuardDuty findings in a file or folder tree, or without a path from the API, without a case.

    Parameters
    ----------
    accounts, regions
        Whom to ask; default: the account of the credentials, and every Region that it has enabled.
    start, end
        Only findings that were made before the end and updated since the start; default: all of the last 90 days.
    profile, role, endpoint_url
        Access, as below `access` in case.yaml: a profile of the AWS CLI, a role to assume with {account} in its ARN,
        and another endpoint than AWS's.

    Returns
    -------
    DataFrame
        the columns of `findings`. From the API, `attrs["gaps"]` lists the Regions that gave nothing (account, region,
        status, reason): those in which GuardDuty is off, and those that could not be read, of which a warning tells.

    Raises
    ------
    CaseError
        when there is nothing at `path`, or there is a path and a word on the API as well.
    AccessError
        when no Region could be read.
    """
    access = {"profile": profile, "role": role, "endpoint_url": endpoint_url}
    found = _findings("guardduty", path, (accounts, regions), (start, end), access)
    return found[found["form"].eq("guardduty")].reset_index(drop=True)


def security_hub_findings(  # noqa: PLR0913 - each is a choice of its own, and all but the path are named
    path: str | Path | None = None,
    *,
    accounts: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
    start: str | datetime | None = None,
    end: str | datetime | None = None,
    profile: str | None = None,
    role: str | None = None,
    endpoint_url: str | None = None,
) -> pd.DataFrame:
    """Security Hub findings (ASFF and OCSF) in a file or folder tree, or without a path from the API, without a case.

    Parameters, result and errors are those of `guardduty_findings`. Archived and suppressed findings are among them;
    their history needs a case.
    """
    access = {"profile": profile, "role": role, "endpoint_url": endpoint_url}
    found = _findings("security_hub", path, (accounts, regions), (start, end), access)
    return found[found["form"].isin(["asff", "ocsf"])].reset_index(drop=True)


def _findings(
    kind: str,
    path: str | Path | None,
    whom: tuple[Sequence[str] | None, Sequence[str] | None],
    times: tuple[str | datetime | None, str | datetime | None],
    access: dict[str, str | None],
) -> pd.DataFrame:
    """Findings from a path, or from the API of that kind."""
    if path is not None:
        if any((*whom, *times, *access.values())):
            raise CaseError(f"{kind} findings: accounts, regions, times and access are for the API; leave the path out")
        return _ask({"sources": [{kind: {"folder": _present(path)}}]}, queries.findings)
    chosen: dict[str, Any] = {
        name: parse_time(moment, name) for name, moment in zip(("start", "end"), times, strict=True) if moment
    }
    if kind == "security_hub":
        chosen["history"] = 0
    accounts, regions = whom
    content = {
        "accounts": list(accounts or ()),
        "regions": list(regions or ()),
        "access": {name: value for name, value in access.items() if value},
        "sources": [{kind: {"api": chosen or True}}],
    }
    return _ask(content, lambda case: _with_gaps(case, queries.findings))


def _with_gaps(case: Case, question: Callable[[Case], pd.DataFrame]) -> pd.DataFrame:
    """What the case answers, and what gave nothing: a part of what was asked for does not pass for the whole.

    Raises
    ------
    AccessError
        when nothing could be read.
    """
    table, asked = question(case), [line["slice"] for line in evidence.slices(case)]
    gaps = [one for one in asked if one["status"] not in {"read", "empty"}]
    refused = [one for one in gaps if one["status"] in {"denied", "failed"}]
    said = [f"{one['account']} {one['region']}: {one['reason']}" for one in refused[:3]]
    if refused and len(refused) == len(asked):
        raise AccessError(f"nothing could be read: {'; '.join(said)}")
    if refused:
        warnings.warn(f"{len(refused)} requests were refused, such as {'; '.join(said)}", stacklevel=5)
    table.attrs["gaps"] = [{name: one[name] for name in ("account", "region", "status", "reason")} for one in gaps]
    return table


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
