"""GuardDuty against CloudTrail, both ways: findings and their records, and what either knows alone.

A finding is an interval that shows only the latest of what it aggregated, is kept for 90 days and lives in one Region
(Amazon GuardDuty User Guide), so that its `count` need not be the number of records and a missing finding says little.
`GetFindings` drops what the exported JSON holds (`resource.accessKeyDetails.userIdentity` and more: the SDK's model has
no such members); a finding without a caller is therefore looked for by call, address and time.
"""

import csv
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from cirtlib import identity, queries, triage
from cirtlib.case import Case
from cirtlib.engine import duckdb as engine
from cirtlib.findings.fields import at, items, text
from cirtlib.scope import Scope, claims
from cirtlib.scope import load as load_scope

FINDINGS = (
    "state", "finding_id", "product", "type", "severity_label", "account_id", "region", "first_seen", "last_seen",
    "archived", "aggregated", "explained_by", "records", "matched_by", "why", "event_ids",
)  # fmt: skip
UNNAMED = ("node", "kind", "status", "confidence", "attacker_events", "first_seen", "last_seen", "evidence")
SEQUENCES = ("where", "node", "kind", "status", "told", "evidence")

STATES = ("not explained", "related", "owner", "agrees", "outside the window", "sample")
"""What scope says of a finding, in the order in which they deserve a look."""

# The strictest first, as `claims.records_of` gives them.
_MATCHED = ("call, caller and address", "call and caller", "call's name, caller and address", "caller and address")
# Recorded in us-east-1, whatever the Region of the finding.
_GLOBAL = {f"{name}.amazonaws.com" for name in ("iam", "organizations", "cloudfront", "route53", "signin")}
_INDEXED = ("access_key_id", "principal_id", "event_name", "session_name")
_SHOWN = 20
_SLACK = pd.Timedelta(minutes=1)
# Calls on what is inside a bucket, table or function: recorded only where a trail records data events.
_DATA_CALL = re.compile(
    r"^(Get|Put|Delete|Head|Copy|List|Select|Restore)Objects?(V2|Acl|Versions|Content|Tagging)?$|^(UploadPart|Invoke)"
    r"|^(Batch)?(Get|Put|Update|Delete)Item$|^(Scan|Query)$|^(Get|List)SnapshotBlocks?$"
)


@dataclass(frozen=True)
class Reconciliation:
    """What findings and logs say of each other.

    Attributes
    ----------
    findings
        One row per threat finding in its latest version (`FINDINGS`). `state` is one of `STATES`: *agrees* when a
        record of it is the attacker's or it names a thing of the extent, *owner* when its records are explained as the
        owner's, *related* when it shares no more than an address with the attacker. `event_ids` are the first 20 of its
        records; `why` says how they were found or why there are none.
    unnamed
        Credentials and principals of the extent that no finding names (`UNNAMED`).
    sequences
        Things that GuardDuty's attack sequences name against those of the extent (`SEQUENCES`): `where` is both, only
        in the sequence, or only in the scope. Empty when there is no attack sequence.
    """

    findings: pd.DataFrame
    unnamed: pd.DataFrame
    sequences: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """The tables as JSON values, and the sentences."""
        tables = {name: getattr(self, name) for name in ("findings", "unnamed", "sequences")}
        return {"says": self.words(), **queries.as_json(tables)}

    def words(self) -> list[str]:
        """What it comes to, in sentences."""
        states = self.findings["state"].value_counts()
        real = int(len(self.findings) - states.get("sample", 0))
        agree, silent = (
            int(states.get("agrees", 0)),
            self.findings["records"].eq(0) & (self.findings["state"] != "sample"),
        )
        said = [f"{agree:,} of {real:,} findings agree with the scope; {int(silent.sum()):,} have no record here."]
        for state, meaning in (
            ("not explained", "not explained by the scope: a second incident, or a part that the seeds do not reach"),
            ("related", "related to the attacker by an address only"),
            ("owner", "about acts that are explained as their owner's"),
            ("sample", "a sample, which speaks of nobody"),
        ):
            if states.get(state, 0):
                said.append(f"{int(states[state]):,} {'is' if states[state] == 1 else 'are'} {meaning}.")
        archived = int((self.findings["archived"] & (self.findings["state"] != "sample")).sum())
        if archived:
            said.append(f"{archived:,} archived, by a rule or by hand: the console hides such.")
        said.append(f"{len(self.unnamed):,} credentials and principals of the extent are named by no finding.")
        if self.sequences.empty:
            return [*said, "There is no attack sequence to compare the scope with."]
        where = self.sequences["where"].value_counts()
        counts = ", ".join(f"{int(where.get(name, 0)):,} {name}" for name in ("both", "only in the sequence"))
        return [*said, f"Attack sequences name {counts}; {int(where.get('only in the scope', 0)):,} only in the scope."]


def reconcile(case: Case) -> Reconciliation:
    """Compare the findings of a case with its records and its scope.

    Raises
    ------
    NotFoundError
        when the case has no seed, so that there is no scope to compare with.
    """
    scope = load_scope(case)
    with engine.connect(case) as connection:
        acts = identity.acts(connection)
    told = triage.distinct(queries.findings(case))
    told = told[told["compliance_status"].isna() & told["control_id"].isna()] if len(told) else told
    return compare(told, acts, scope, window=queries.window(case))


def compare(told: pd.DataFrame, acts: pd.DataFrame, scope: Scope, *, window: tuple[Any, Any]) -> Reconciliation:
    """Compare threat findings, each once, with acts (`identity.acts`) and the scope over them."""
    known = _Known(acts, scope, window)
    rows, named = [], set[str]()
    for finding in told.to_dict("records"):
        row, names = known.judge(finding)
        rows.append(row)
        named |= names
    table = pd.DataFrame(rows, columns=list(FINDINGS))
    order = table["state"].map(STATES.index)
    table = table.assign(order=order).sort_values(["order", "first_seen", "finding_id"], kind="stable")
    table = table.drop(columns="order").reset_index(drop=True)
    agreeing = set(table.loc[table["state"] == "agrees", "finding_id"])
    return Reconciliation(table, _unnamed(scope, named), _sequences(told, known, agreeing))


class _Known:
    """Acts with the verdict on each, indexed by what a finding may name, and the things of the scope."""

    def __init__(self, acts: pd.DataFrame, scope: Scope, window: tuple[Any, Any]) -> None:
        judged = scope.verdicts[["event_id", "account_id", "node", "verdict"]]
        judged = judged.drop_duplicates(["event_id", "account_id"])
        self.acts = acts.merge(judged, how="left", on=["event_id", "account_id"])
        self.scope, self.window = scope, tuple(pd.Timestamp(moment) for moment in window)
        self.by = {name: acts.groupby(name).indices for name in _INDEXED}
        days = acts["event_time"].dt.floor("1D")
        self.days = set(zip(acts["account_id"], acts["region"], days, strict=True))
        self.nodes = {node["id"]: node for node in scope.nodes}
        self.extent = {node["id"] for node in scope.extent()}
        self.values = {_bare(str(self.nodes[name]["value"])): name for name in self.extent}
        self.values |= {str(self.nodes[name]["value"]): name for name in self.extent}
        mine = self.acts["verdict"] == "attacker"
        self.addresses = set(self.acts.loc[mine & self.acts["source_network"].notna(), "source_ip"])

    def judge(self, finding: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
        """Row of one finding, and the ids of the scope's nodes that it names."""
        records, matched = self._records(finding)
        nodes = self._named(finding, records)
        state, explained = self._state(finding, records, nodes)
        sample = state == "sample"
        row = {name: finding.get(name) for name in FINDINGS if name in finding} | {
            "state": state,
            "archived": bool(finding.get("archived")) or finding.get("workflow_status") == "SUPPRESSED",
            "aggregated": finding.get("count"),
            "explained_by": explained,
            "records": 0 if sample else len(records),
            "matched_by": "" if sample else matched,
            "why": "made by CreateSampleFindings" if sample else self._why(finding, records, matched),
            "event_ids": [] if sample else list(dict.fromkeys(records["event_id"]))[:_SHOWN],
        }
        return row, set() if sample else nodes

    def _rows(self, name: str, values: Iterable[str]) -> pd.DataFrame:
        found = [self.by[name][value] for value in values if value in self.by[name]]
        return self.acts.iloc[np.unique(np.concatenate(found))] if found else self.acts.iloc[:0]

    def callers(self, finding: dict[str, Any]) -> pd.DataFrame:
        """All acts of the key or principal that a finding names."""
        keys = self._rows("access_key_id", _texts(finding.get("access_key_id")))
        return keys if len(keys) else self._rows("principal_id", _texts(finding.get("principal_id")))

    def _records(self, finding: dict[str, Any]) -> tuple[pd.DataFrame, str]:
        """Acts that a finding stands for, and by what they were found."""
        rows = self.callers(finding)
        for mask, matched in zip(claims.records_of(finding, rows), _MATCHED, strict=False):
            if mask.any():
                return rows[mask], matched
        if _has(finding, "access_key_id") or _has(finding, "principal_id") or not _has(finding, "api_name"):
            return self.acts.iloc[:0], ""
        rows = self._rows("event_name", [finding["api_name"]])
        first, last = (pd.Timestamp(finding[name]) for name in ("first_seen", "last_seen"))
        during = rows["event_time"].between(first - _SLACK, last + _SLACK) & (
            rows["account_id"] == finding["account_id"]
        )
        there = rows["source_ip"].isin(_texts(finding.get("remote_ips")))
        return rows[during & there], "call, address and time" if (during & there).any() else ""

    def _named(self, finding: dict[str, Any], records: pd.DataFrame) -> set[str]:
        """Nodes of the extent that a finding names or that its records are of."""
        texts = [finding.get(name) for name in ("access_key_id", "sequence_keys", "instance_id", "resource_ids")]
        values = [_bare(one) for cell in texts for one in _texts(cell)]
        found = {self.values[value] for value in values if value in self.values}
        found |= {str(node) for node in records["credential"].dropna()}
        found |= {f"principal:{one}" for one in (*records["principal"].dropna(), *records["role_arn"].dropna())}
        for one in _texts(finding.get("principal_name")):
            place = f":{finding.get('account_id')}:"
            found |= {name for value, name in self.values.items() if value.endswith(f"/{one}") and place in value}
        return found & self.extent

    def _state(self, finding: dict[str, Any], records: pd.DataFrame, nodes: set[str]) -> tuple[str, str]:
        if bool(finding.get("sample")):
            return "sample", ""
        verdicts = set(records["verdict"].dropna())
        if "attacker" in verdicts:
            own = sorted(set(records.loc[records["verdict"] == "attacker", "node"].dropna()))
            return "agrees", ", ".join(map(str, own))
        if len(records) and verdicts == {"owner"}:
            return "owner", ""
        if nodes and not (len(records) and not verdicts):
            return "agrees", ", ".join(sorted(nodes))
        shared = sorted(self.addresses.intersection(_texts(finding.get("remote_ips"))))
        if shared:
            return "related", ", ".join(f"address:{one}" for one in shared)
        first, last = _span(finding)
        outside = pd.notna(last) and (last < self.window[0] or first > self.window[1])
        return ("outside the window" if outside else "not explained"), ""

    def _why(self, finding: dict[str, Any], records: pd.DataFrame, matched: str) -> str:
        """How the records were found, or why there are none."""
        if len(records):
            lost = matched == "call, address and time" and _from_api(finding)
            note = "; GetFindings gives no caller: take the finding from EventBridge or its S3 export" if lost else ""
            judged = records["verdict"].fillna("without verdict").value_counts().sort_index()
            says = ", ".join(f"{number:,} {word}" for word, number in judged.items())
            weak = matched == "caller and address" and _has(finding, "api_name")
            call = f"; of {finding['api_name']} itself none: {self._missing(finding)}" if weak else ""
            return f"found by {matched}: {says}{note}{call}"
        if not _has(finding, "api_name"):
            where = _seen_in(finding)
            own = len(self._rows("session_name", _texts(finding.get("instance_id"))))
            by = f"; the instance's own session has {own:,} records" if own else ""
            return (
                f"no CloudTrail record exists of it: it was seen in {where}{by}" if where else "it names no call" + by
            )
        return self._missing(finding)

    def _missing(self, finding: dict[str, Any]) -> str:
        """Why no record of a call is here."""
        first, last = _span(finding)
        days = pd.date_range(first.floor("1D"), last.floor("1D"), freq="1D") if pd.notna(first) else []
        where = f"account {finding['account_id']}, Region {finding['region']}"
        regions = {finding["region"], "us-east-1"} if finding["api_service"] in _GLOBAL else {finding["region"]}
        if not any((finding["account_id"], region, day) in self.days for day in days for region in regions):
            return f"not collected: no record of {where} on its days"
        gap = next((gap for gap in self.scope.gaps if _covers(gap, finding, first, last)), None)
        if gap:
            return f"not collected: {gap['reason']}"
        if _DATA_CALL.match(str(finding["api_name"])):
            return f"{finding['api_name']} is a data event, and no trail here recorded it"
        callers = self.callers(finding)
        if callers.empty:
            return f"no record of its caller in what was collected of {where}"
        return f"unknown: {len(callers):,} records of its caller are here, none of {finding['api_name']} at that time"


def _unnamed(scope: Scope, named: set[str]) -> pd.DataFrame:
    rows = [
        {name: node.get(name) for name in UNNAMED} | {"node": node["id"], "evidence": _evidence(scope, node["id"])}
        for node in scope.extent()
        if node["kind"] in ("credential", "principal") and node["id"] not in named
    ]
    return pd.DataFrame(rows, columns=list(UNNAMED))


def _sequences(told: pd.DataFrame, known: _Known, agreeing: set[str]) -> pd.DataFrame:
    """Things that attack sequences name, and things of the extent that none of them names."""
    stated: dict[str, tuple[str, list[str]]] = {}
    for finding in told.to_dict("records"):
        if not bool(finding.get("sample")) and (_has(finding, "sequence_keys") or _has(finding, "sequence_signals")):
            for node, words in _stated(finding, known):
                stated.setdefault(node, (words, []))[1].append(finding["finding_id"])
    if not stated:
        return pd.DataFrame(columns=list(SEQUENCES))
    rows = []
    for node, (words, ids) in stated.items():
        kind, _, value = node.partition(":")
        inside = node in known.extent or (kind == "finding" and value in agreeing)
        inside |= kind == "address" and value in known.addresses
        status = known.nodes.get(node, {}).get("status", "")
        rows.append(["both" if inside else "only in the sequence", node, kind, status, words, ids])
    for one in known.scope.extent():
        if one["id"] not in stated:
            ids = _evidence(known.scope, one["id"])
            rows.append(["only in the scope", one["id"], one["id"].partition(":")[0], one["status"], "", ids])
    return pd.DataFrame(rows, columns=list(SEQUENCES)).sort_values(["where", "node"], ignore_index=True)


def _stated(finding: dict[str, Any], known: _Known) -> Iterable[tuple[str, str]]:
    """Node ids that an attack sequence names, each with what it says of them."""
    sequence = _sequence(finding)
    for key in _texts(finding.get("sequence_keys")):
        yield f"access_key:{key}", "the key of an actor"
    for actor in items(at(sequence, "actors")):
        name, unique = text(actor, "user", "name"), text(actor, "user", "uid")
        own = known._rows("principal_id", [unique] if unique else [])
        for principal in dict.fromkeys([*own["role_arn"].dropna(), *own["principal"].dropna()][:_SHOWN]):
            yield f"principal:{principal}", f"actor {name or unique}"
        if unique and own.empty:
            yield f"principal:{unique}", f"actor {name or unique}, of whom no record is here"
    for resource in items(at(sequence, "resources")):
        value = text(resource, "uid") or text(resource, "name")
        if value and text(resource, "resourceType") not in ("ACCESS_KEY", "ACCESSKEY"):
            yield known.values.get(_bare(value), f"resource:{value}"), text(resource, "resourceType") or "a resource"
    for address in dict.fromkeys(text(one, "ip") for one in items(at(sequence, "endpoints"))):
        if address:
            yield f"address:{address}", "an endpoint"
    names = {text(one, "uid") or text(one, "id"): text(one, "name") for one in items(at(sequence, "signals"))}
    for signal in _texts(finding.get("sequence_signals")):
        yield f"finding:{signal}", f"signal {names.get(signal) or signal}"


def _sequence(finding: dict[str, Any]) -> object:
    """The sequence in the finding as it was delivered: GuardDuty's form or ASFF's."""
    try:
        record = json.loads(finding.get("details") or "null")
    except (ValueError, RecursionError):
        return None
    return at(record, "service", "detection", "sequence") or at(record, "Detection", "Sequence")


def _seen_in(finding: dict[str, Any]) -> str:
    """Where GuardDuty saw what is no API call; '' when that is not known."""
    details = str(finding.get("details") or "")
    action = re.search(r'actionType\\*"\s*:\s*\\*"([A-Z_]+)', details, re.IGNORECASE)
    told = f"{action.group(1) if action else ''} {finding.get('type') or ''}"
    return next((seen_in for pattern, seen_in in _sources() if pattern in told), "")


@cache
def _sources() -> tuple[tuple[str, str], ...]:
    """What stands in an action's kind or a finding's type, and what GuardDuty saw such in (its user guide)."""
    table = files("cirtlib").joinpath("data/finding_sources.tsv").read_text(encoding="utf-8")
    return tuple((row["pattern"], row["seen_in"]) for row in csv.DictReader(table.splitlines(), delimiter="\t"))


def _from_api(finding: dict[str, Any]) -> bool:
    """Whether the finding came by GetFindings, whose names begin with a capital."""
    return finding.get("form") == "guardduty" and '"AccountId"' in str(finding.get("details"))


def _covers(gap: dict[str, Any], finding: dict[str, Any], first: pd.Timestamp, last: pd.Timestamp) -> bool:
    """Whether a gap of the logs is where and when a finding was seen."""
    if gap.get("from") is None and gap.get("to") is None:
        return False
    for field, own in (("account", "account_id"), ("region", "region")):
        if gap.get(field) not in (None, finding[own]):
            return False
    begin = pd.Timestamp(gap["from"]) if gap.get("from") else first
    end = pd.Timestamp(gap["to"]) if gap.get("to") else last
    return bool(gap.get("account") and begin <= last and end >= first)


def _evidence(scope: Scope, node: str) -> list[str]:
    edges = (edge for edge in scope.edges if node in (edge["from"], edge["to"]))
    return list(dict.fromkeys(one for edge in edges for one in edge["evidence"]))[:_SHOWN]


def _span(finding: dict[str, Any]) -> tuple[pd.Timestamp, pd.Timestamp]:
    """First and last moment of a finding; its making where it says neither."""
    begins, ends = ("first_seen", "created_at", "updated_at"), ("last_seen", "first_seen", "updated_at")
    first, last = (
        next((finding[name] for name in names if pd.notna(finding.get(name))), pd.NaT) for names in (begins, ends)
    )
    return pd.Timestamp(first), pd.Timestamp(last)


def _has(finding: dict[str, Any], name: str) -> bool:
    return bool(_texts(finding.get(name)))


def _texts(cell: object) -> list[str]:
    """Texts of a cell that holds a text, a list of texts, or nothing."""
    if isinstance(cell, str):
        return [cell] if cell else []
    return [str(one) for one in cell if one] if isinstance(cell, list | tuple | np.ndarray) else []


def _bare(value: str) -> str:
    """Last part of an instance's ARN, else the value: findings name instances by id and all else by ARN."""
    return value.rpartition("/")[2] if ":instance/" in value else value
