"""What each act of the attacker read, took, destroyed or costs, by the table data/consequences.tsv.

The table's paths are JMESPath over a record's request, response, additional and service details, its region,
`outsiders` (whom a policy in the request lets in from outside) and `named` (what the request names). A path of the form
[a, b] names one thing by several parts. What a call means is as the service's API reference says.
"""

import csv
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import jmespath
import pandas as pd

from cirtlib import identity
from cirtlib.timeline.keys import targets

COLUMNS = (
    "what", "event_name", "target", "detail", "node", "account_id", "region", "source_ip", "events", "bytes_out",
    "first", "last", "event_ids",
)  # fmt: skip
_KEYS = ["what", "event_name", "target", "detail", "node", "account_id", "region", "source_ip"]
_ACCOUNT = re.compile(r"^(?:arn:[^:]*:(?:iam|sts)::)?(\d{12})(?::|$)")


class Rule(NamedTuple):
    """One row of the table, its paths compiled."""

    source: str
    name: str
    question: str
    what: str
    parts: bool
    target: Any
    detail: Any
    condition: Any


def consequences(acts: pd.DataFrame, own: set[str]) -> dict[str, pd.DataFrame]:
    """Tables (`COLUMNS`) of what successful acts read, took, destroyed and cost: one row per thing, call and address.

    Parameters
    ----------
    acts
        Rows of events with the column `node`: the credential that acted.
    own
        Accounts that are the organization's: what is opened to these is not outside.
    """
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ("read", "taken", "destroyed", "costs")}
    for act in acts[acts["outcome"] == "ok"].to_dict("records"):
        for rule, record in _of(act, own):
            found[rule.question].append(_row(act, rule, record))
    return {name: _counted(rows) for name, rows in found.items()}


def _of(act: dict[str, Any], own: set[str]) -> Iterator[tuple[Rule, dict[str, Any]]]:
    """Rules that apply to an act, with the record as their paths see it; a rule for all services comes last."""
    name, source = str(act["event_name"]), str(act["event_source"])
    rules = [rule for rule in _rules().get(source, ()) if _is(rule, name)]
    special = {rule.question for rule in rules}
    if act.get("access") != "read":
        rules += [rule for rule in _rules().get("*", ()) if _is(rule, name) and rule.question not in special]
    if not rules:
        return
    record: dict[str, Any] = {part: identity.parse(act[part]) for part in ("request", "response", "additional")}
    record |= {"service": identity.parse(act.get("service_details")), "region": act["region"]}
    record["outsiders"] = outsiders(record["request"], own | {str(act["account_id"])})
    record["named"] = targets(act["request"], act["response"])
    for rule in rules:
        if rule.condition is None or _search(rule.condition, record):
            yield rule, record


def _row(act: dict[str, Any], rule: Rule, record: dict[str, Any]) -> dict[str, Any]:
    sent = record["additional"].get("bytesTransferredOut")
    return {name: act[name] for name in ("event_name", "node", "account_id", "region", "source_ip", "event_time")} | {
        "what": rule.what,
        "target": _text(_search(rule.target, record), "/" if rule.parts else ", "),
        "detail": _text(_search(rule.detail, record), ", ") if rule.detail else "",
        "bytes_out": float(sent) if isinstance(sent, int | float) and not isinstance(sent, bool) else None,
        "event_id": act["event_id"],
    }


def _counted(rows: list[dict[str, Any]]) -> pd.DataFrame:
    if not rows:
        return pd.DataFrame(columns=list(COLUMNS))
    grouped = pd.DataFrame(rows).groupby(_KEYS, sort=False, dropna=False)
    table = grouped.agg(
        events=("event_id", "nunique"),
        bytes_out=("bytes_out", lambda sent: sent.astype(float).sum(min_count=1)),
        first=("event_time", "min"),
        last=("event_time", "max"),
        event_ids=("event_id", lambda ids: list(dict.fromkeys(ids))),
    )
    return table.reset_index().sort_values(["first", "target"], kind="stable", ignore_index=True)[list(COLUMNS)]


def outsiders(node: object, own: set[str], depth: int = 0) -> list[str]:
    """Accounts, or `anyone`, that the allowing statements of a policy anywhere below `node` let in from outside."""
    if isinstance(node, str) and node.lstrip().startswith("{") and depth < 8:
        return outsiders(identity.parse(node), own, depth + 1)
    if isinstance(node, list):
        return list(dict.fromkeys(one for item in node for one in outsiders(item, own, depth + 1)))
    if not isinstance(node, dict) or depth > 8:
        return []
    if "Principal" in node and str(node.get("Effect", "Allow")) == "Allow":
        named = node["Principal"].get("AWS", []) if isinstance(node["Principal"], dict) else node["Principal"]
        names = [str(one) for one in (named if isinstance(named, list) else [named])]
        accounts = [found[1] for one in names if (found := _ACCOUNT.match(one))]
        return list(
            dict.fromkeys([*(["anyone"] if "*" in names else []), *(one for one in accounts if one not in own)])
        )
    return list(dict.fromkeys(one for value in node.values() for one in outsiders(value, own, depth + 1)))


def _search(path: Any, record: dict[str, Any]) -> Any:  # noqa: ANN401 - a compiled path, any JSON value
    """What a path finds; nothing where the record has another shape than the documented."""
    try:
        return path.search(record)
    except jmespath.exceptions.JMESPathError:
        return None


def _text(value: object, joint: str) -> str:
    """Text of what a path found: lists in one, without what is not there."""
    if isinstance(value, list):
        return joint.join(str(one) for one in value if one is not None)
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    return "" if value is None else str(value)


def _is(rule: Rule, name: str) -> bool:
    return name.startswith(rule.name[:-1]) if rule.name.endswith("*") else name == rule.name


@cache
def _rules() -> dict[str, list[Rule]]:
    """The shipped table by event source."""
    table: dict[str, list[Rule]] = {}
    text = files("cirtlib").joinpath("data/consequences.tsv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        paths = [jmespath.compile(row[name]) if row[name] else None for name in ("target", "detail", "condition")]
        rule = Rule(
            row["event_source"], row["event_name"], row["question"], row["what"], row["target"][0] == "[", *paths
        )
        table.setdefault(rule.source, []).append(rule)
    return table
