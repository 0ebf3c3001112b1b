"""Key events: the few of thousands that tell the story, each with the reason why it is told."""

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from cirtlib import techniques
from cirtlib.case import Case
from cirtlib.timeline.acts import judged_events
from cirtlib.timeline.bursts import GAP, counted

COLUMNS = (
    "event_time", "principal", "credential", "action", "target", "outcome", "verdict", "why", "tactic", "technique",
    "source_ip", "region", "account_id", "event_id", "events",
)  # fmt: skip

_CHANGES = ("credential", "permissions", "logging")
_TAKING = ("Credential Access", "Collection", "Exfiltration", "Impact", "Execution", "Lateral Movement", "Persistence")
_CLAIMS = ("attacker", "unclear")
# Distinct reads within one burst that make it an enumeration worth a line.
_MANY_READS = 8
_SHOWN_TARGETS = 3
# What repeats of one change within a burst have in common.
_SAME = ("held", "event_source", "event_name", "target", "verdict", "account_id")
# Request and answer fields that name what a call acted upon.
_NAMES = {
    name.lower()
    for name in (
        "userName", "roleName", "roleArn", "groupName", "policyArn", "policyName", "name", "trailName", "bucketName",
        "secretId", "functionName", "snapshotId", "instanceId", "imageId", "keyId", "detectorId", "groupId", "volumeId",
        "targetArn", "resourceArn", "dBInstanceIdentifier", "dBSnapshotIdentifier", "tableName", "clusterName",
        "entityId", "s3BucketName",
    )
}  # fmt: skip
_MADE = {"instanceid", "snapshotid", "accesskeyid"}


def key_events(case: Case) -> pd.DataFrame:
    """Events that tell the story, in order of time.

    Told are the attacker's successful changes, credentials, accesses and first uses of a credential; runs of reading
    and of denied calls as one line each; the like of unclear events; and every change of logging, whoever made it.

    Returns
    -------
    DataFrame
        One row per notable event or run: event_time, principal, credential (node id), action, target, outcome, verdict,
        why, tactic, technique, source_ip, region, account_id, event_id (of the first), events (how many it stands for).
    """
    return notable(judged_events(case))


def notable(acts: pd.DataFrame) -> pd.DataFrame:
    """Key events of judged events; see `key_events`."""
    acts = acts.sort_values(["event_time", "event_id", "account_id"], kind="stable")
    # A call from one account to another stands in the records of both; one of them tells it.
    own = acts["shared_event_id"].isna() | ~acts.duplicated("shared_event_id") | acts["verdict"].eq("")
    acts = acts[own]
    acts = acts.assign(held=acts["credential"].astype(object).where(acts["credential"].notna(), acts["principal"]))
    claimed = acts[acts["verdict"].isin(_CLAIMS)]
    rows = [*_changes(acts), *_runs(claimed)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    if table.empty:
        return table
    table = table.sort_values(["event_time", "event_id", "account_id"], kind="stable", ignore_index=True)
    first = _first_uses(claimed, table)
    return first.sort_values(["event_time", "event_id", "account_id"], kind="stable", ignore_index=True)


def _changes(acts: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Successful acts that change or take something, repeats on the same target within a burst as one."""
    kind = acts["access"]
    mine = acts["verdict"].eq("attacker") & (
        kind.isin(_CHANGES) | (kind.eq("write") & acts["tactic"].ne("")) | acts["tactic"].isin(_TAKING)
    )
    unsure = acts["verdict"].eq("unclear") & kind.isin(_CHANGES)
    tamper = kind.eq("logging")
    chosen = acts[(mine | unsure | tamper) & acts["outcome"].eq("ok")].copy()
    chosen["target"] = [
        targets(request, response) for request, response in zip(chosen["request"], chosen["response"], strict=True)
    ]
    runs: list[list[dict[Any, Any]]] = []
    latest: dict[tuple[Any, ...], list[dict[Any, Any]]] = {}
    for act in chosen.to_dict("records"):
        key = tuple(act[name] if isinstance(act[name], str) else None for name in _SAME)
        run = latest.get(key)
        if run and act["event_time"] - run[-1]["event_time"] <= GAP:
            run.append(act)
        else:
            latest[key] = [act]
            runs.append(latest[key])
    for run in runs:
        first = run[0]
        meaning = techniques.describe(first["event_source"], first["event_name"])
        why = f"{meaning.what}; {meaning.tactic}, {meaning.shown}" if meaning.technique else meaning.what
        yield _row(first, len(run), why=why, target=first["target"])


def _runs(acts: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Runs of denied calls and of reading, one line for each."""
    for _, group in acts.groupby(["held", "verdict"], sort=False, dropna=False):
        for _, run in group.groupby((group["event_time"].diff() > GAP).cumsum(), sort=False):
            denied = run[run["outcome"] == "denied"]
            if len(denied):
                what = f"{len(denied)} denied: {', '.join(counted(denied['event_name']))}"
                yield _row(denied.iloc[0], len(denied), why="attempts show intent", action=what)
            reads = run[(run["outcome"] == "ok") & run["access"].eq("read") & run["tactic"].eq("Discovery")]
            if reads["event_name"].nunique() >= _MANY_READS:
                what = f"{len(reads)} reads: {', '.join(counted(reads['event_name']))}"
                yield _row(reads.iloc[0], len(reads), why="enumeration of the account", action=what)


def _first_uses(acts: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Table in which the attacker's first use of each credential is told, by its own row or as a part of one."""
    firsts = acts[acts["verdict"] == "attacker"].drop_duplicates("held")
    extra = []
    for act in firsts.to_dict("records"):
        told = table.index[(table["event_id"] == act["event_id"]) & (table["account_id"] == act["account_id"])]
        why = f"the attacker's first act with this credential, from {act['source_ip']}"
        if len(told):
            table.loc[told[0], "why"] = f"{why}; {table.loc[told[0], 'why']}"
        else:
            extra.append(_row(pd.Series(act), 1, why=why, target=targets(act["request"], act["response"])))
    return pd.concat([table, pd.DataFrame(extra, columns=list(COLUMNS))]) if extra else table


def _row(
    act: pd.Series | dict[Any, Any], events: int, *, why: str, action: str = "", target: str = ""
) -> dict[str, Any]:
    service = str(act["event_source"] or "").removesuffix(".amazonaws.com")
    shared = (
        "event_time",
        "principal",
        "credential",
        "outcome",
        "verdict",
        "tactic",
        "source_ip",
        "region",
        "account_id",
    )
    return {name: act[name] for name in shared} | {
        "action": action or f"{service}:{act['event_name']}",
        "target": target,
        "why": why,
        "technique": techniques.shown(act["technique"], act["technique_old"]),
        "event_id": act["event_id"],
        "events": events,
    }


def targets(request: object, response: object) -> str:
    """Names of what a call acted upon and of what it made; the accounts that it shares with after an arrow."""
    asked = _decoded(request)
    named = [*_named(asked, _NAMES), *_named(_decoded(response), _MADE)]
    names = list(dict.fromkeys(named or _named(_decoded(response), {"arn"})))
    more = f" and {len(names) - _SHOWN_TARGETS} more" if len(names) > _SHOWN_TARGETS else ""
    shared = list(dict.fromkeys(_named(_added(asked), {"userid", "group"})))
    text = ", ".join(names[:_SHOWN_TARGETS]) + more
    return f"{text} → {', '.join(shared)}" if shared else text


def _named(node: object, wanted: set[str], depth: int = 0) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, str) and value and str(key).lower() in wanted:
                yield value
            elif isinstance(value, dict | list) and depth < 6:
                yield from _named(value, wanted, depth + 1)
    elif isinstance(node, list):
        for item in node:
            yield from _named(item, wanted, depth + 1)


def _added(request: object) -> object:
    """What a request for sharing adds."""
    if not isinstance(request, dict):
        return None
    return [
        (request.get(name) or {}).get("add")
        for name in ("createVolumePermission", "launchPermission")
        if isinstance(request.get(name), dict)
    ]


def _decoded(text: object) -> object:
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
