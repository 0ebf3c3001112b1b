"""Events with the credential behind each, the verdict on it, and what it means; findings as intervals of time."""

import json
from dataclasses import dataclass, field
from functools import lru_cache

import duckdb
import pandas as pd

from cirtlib import identity, queries, techniques, triage
from cirtlib.case import Case
from cirtlib.engine import duckdb as engine
from cirtlib.scope import Scope
from cirtlib.scope import load as load_scope

DETAILS = ("read_only", "error_code", "request", "response")
COLUMNS = (
    *identity.ACT_COLUMNS, *DETAILS, "credential", "verdict", "reason",
    *techniques.COLUMNS,
)  # fmt: skip

# Who put logging back is part of the story, whoever it was.
_TRAIL = ("StartLogging", "StopLogging", "CreateTrail", "DeleteTrail", "UpdateTrail", "PutEventSelectors")

_FEW = 1000

INTERVALS = (
    "finding_id", "product", "type", "title", "severity", "severity_label", "account_id", "region", "start", "end",
    "access_key_id", "principal_name", "instance_id", "sample",
)  # fmt: skip


def judged_events(case: Case, *, everything: bool = False) -> pd.DataFrame:
    """Events of the window with verdict and meaning, in order of time.

    Parameters
    ----------
    everything
        All principals, without `DETAILS`, which are the bulk of a record and None then; else the principals of the
        extent and the leads, and every event with a verdict.

    Returns
    -------
    DataFrame
        `COLUMNS`. `credential` is a node id or None; `verdict` is attacker, owner, unclear, or '' for no verdict.
    """
    scope = load_scope(case)
    basis = json.dumps(scope.to_dict().get("basis"), sort_keys=True)
    return _judged(_Asked(str(case.path), basis, everything, case)).copy()


@dataclass(frozen=True)
class _Asked:
    """What was asked of which evidence: the case is told by its path and by the hashes that its scope rests on."""

    path: str
    basis: str
    everything: bool
    case: Case = field(compare=False)


# A notebook draws several figures, each with its table, from the same events.
@lru_cache(maxsize=2)
def _judged(asked: _Asked) -> pd.DataFrame:
    case, scope = asked.case, load_scope(asked.case)
    start, end = queries.window(case)
    with engine.connect(case) as connection:
        acts = identity.acts(connection)
        acts = acts.assign(principal=_home_names(acts))
        acts = acts[(acts["event_time"] >= pd.Timestamp(start)) & (acts["event_time"] <= pd.Timestamp(end))]
        acts = _with_verdicts(acts, scope.verdicts)
        if asked.everything:
            acts = acts.assign(**dict.fromkeys(DETAILS))
        else:
            acts = _with_details(connection, acts[concerned(acts, scope)])
    return techniques.annotate(acts).reset_index(drop=True)[list(COLUMNS)]


def _home_names(acts: pd.DataFrame) -> pd.Series:
    """Principals, in which a caller from another account has the name that its own account's records give it.

    The account that receives a call knows the caller only as `<account>:<unique id>`.
    """
    own = acts[acts["principal_type"].isin(["AssumedRole", "IAMUser"]) & acts["principal_id"].notna()]
    ids = own["principal_id"].str.partition(":")[0]
    names = dict(zip(ids, own["principal"], strict=True))
    foreign = acts["principal_type"].eq("AWSAccount") & acts["principal_id"].notna()
    known = acts["principal_id"].where(foreign).str.partition(":")[0].map(names)
    return known.where(known.notna(), acts["principal"])


def concerned(acts: pd.DataFrame, scope: Scope) -> pd.Series:
    """Mask of the acts by whom the scope names in its extent or leads, of those judged, and of changes of a trail."""
    nodes = {node["id"] for node in scope.extent()} | {str(lead["node"]) for lead in scope.leads}
    principals = {name.removeprefix("principal:") for name in nodes if name.startswith("principal:")}
    mask = acts["principal"].isin(principals) | acts["credential"].isin(nodes) | (acts["verdict"] != "")
    trails = acts["event_source"].eq("cloudtrail.amazonaws.com") & acts["event_name"].isin(_TRAIL)
    return mask | (trails & acts["outcome"].eq("ok"))


def finding_intervals(case: Case) -> pd.DataFrame:
    """Threat findings that touch the window, each from its first to its last sighting (`INTERVALS`), samples aside.

    Control findings are states, not events, and are left out. A finding without sightings stands at its own making.
    """
    return intervals(queries.findings(case), *queries.window(case))


def intervals(findings: pd.DataFrame, start: object, end: object) -> pd.DataFrame:
    """Intervals of the findings that overlap the time from `start` to `end`."""
    made = findings[findings["compliance_status"].isna() & ~findings["sample"].fillna(False).astype(bool)]
    times = {
        name: pd.to_datetime(made[name], utc=True) for name in ("first_seen", "last_seen", "created_at", "updated_at")
    }
    begins = times["first_seen"].fillna(times["created_at"]).fillna(times["updated_at"])
    ends = times["last_seen"].fillna(begins)
    table = made.assign(start=begins, end=ends.where(ends >= begins, begins))
    inside = (table["end"] >= pd.Timestamp(start)) & (table["start"] <= pd.Timestamp(end))
    table = triage.distinct(table[inside]).sort_values(["start", "finding_id"], kind="stable")
    return table.reset_index(drop=True)[list(INTERVALS)]


def _with_verdicts(acts: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    wanted = verdicts[["event_id", "account_id", "verdict", "reason"]].drop_duplicates(["event_id", "account_id"])
    merged = acts.merge(wanted, how="left", on=["event_id", "account_id"], validate="many_to_one")
    for name in ("verdict", "reason"):
        merged[name] = merged[name].astype(object).where(merged[name].notna(), "")
    return merged


def _with_details(connection: duckdb.DuckDBPyConnection, acts: pd.DataFrame) -> pd.DataFrame:
    """Acts with the columns that are only read for those shown: they are the bulk of a record."""
    if acts.empty:
        return acts.assign(**dict.fromkeys(DETAILS))
    ids = sorted(set(acts["event_id"]))
    given = {"start": acts["event_time"].min().to_pydatetime(), "end": acts["event_time"].max().to_pydatetime()}
    asked = f"SELECT event_id, account_id, {', '.join(DETAILS)} FROM events"  # noqa: S608 - our own names
    asked += " WHERE event_time BETWEEN :start AND :end"
    # Looking each event up in a long list costs more than reading them all.
    if len(ids) <= _FEW:
        asked, given = f"{asked} AND contains(:ids, event_id)", {**given, "ids": ids}
    details = engine.run(connection, asked, given).drop_duplicates(["event_id", "account_id"])
    return acts.merge(details, how="left", on=["event_id", "account_id"], validate="many_to_one")
