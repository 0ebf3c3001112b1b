"""What is still open to the attacker at a moment, and what runs at the account's expense until then."""

import re
from typing import Any

import pandas as pd

from cirtlib import identity, passwords, queries, snapshot
from cirtlib.facts import Facts
from cirtlib.impact import described

OPEN = ("state", "what", "node", "why", "account_id", "since", "until", "event_ids")
_MADE = ("state", "what", "node", "account_id", "since", "until", "why", "event_ids")
INSTANCES = (
    "instance", "instance_type", "large", "account_id", "region", "started", "ended", "hours", "price_usd", "event_ids",
)  # fmt: skip
STATES = ("open", "unknown", "closed", "expired")

LONGEST = pd.Timedelta(hours=36)
"""The longest that a temporary credential of STS lives (GetSessionToken, GetFederationToken in its API reference)."""

# Families with accelerators (Amazon EC2 instance types, "Accelerated computing"), and the largest sizes of all others.
_LARGE = re.compile(r"^(p|g|gr|inf|trn|dl|vt|f)\d|\.(8|9|1\d|2\d|3\d|4\d|5\d|6\d|\d{3})xlarge$|\.metal", re.IGNORECASE)
_CLOSING = (
    "SELECT event_time, event_id, event_name, principal, request FROM events WHERE outcome = 'ok' "
    "AND event_time >= :first AND (regexp_like(event_name, '^(Delete|Terminate|Deregister)') "
    "OR event_name IN ('UpdateAccessKey', 'StopInstances')) ORDER BY event_time, event_id"
)
_TEMPORARY = ("console:", "sign_in:", "access_key:ASIA")


def closings(facts: Facts) -> pd.DataFrame:
    """Successful calls since the attack began, whoever made them, that delete, terminate or deactivate something."""
    first = facts.attacker["event_time"].min()
    if pd.isna(first):
        return pd.DataFrame(columns=["event_time", "event_id", "event_name", "principal", "request"])
    return queries.sql(facts.case, _CLOSING, engine="local", first=first.to_pydatetime())


def still_open(facts: Facts, closed: pd.DataFrame) -> pd.DataFrame:
    """Credentials of the extent, passwords that the attacker knows, things that they made, and what they opened.

    Returns
    -------
    DataFrame
        `OPEN`; open ones first. `state`, at `as_of`, is open, unknown (the logs do not tell), closed (by a call that
        `event_ids` names last, or by the latest snapshot of the account) or expired. What a policy denies still counts
        as open.
    """
    now = pd.Timestamp(queries.as_of(facts.case))
    made = {edge["to"]: edge["evidence"] for edge in facts.scope.edges if edge["kind"] == "created"}
    taken = {one["account"] for one in snapshot.taken(facts.case)}
    states = {account: snapshot.snapshot(facts.case, account) for account in sorted(taken)}
    rows = []
    for node in facts.extent:
        if node["kind"] == "credential" or node["id"] in made:
            rows.append(_node(node, made.get(node["id"]) or list(facts.evidence(node["id"]))[:1], closed, now))
    rows += _passwords(facts)
    for row in rows:
        said = described.state({"id": row[2], "value": row[2].partition(":")[2]}, states.get(str(row[3])), row[4])
        if said and row[0] in ("open", "unknown"):
            row[0], row[6] = said
    rows += _opened(facts, {one for ids in made.values() for one in ids})
    table = pd.DataFrame(rows, columns=list(_MADE))[list(OPEN)]
    for name in ("since", "until"):
        table[name] = pd.to_datetime(table[name], utc=True)
    order = table.assign(order=table["state"].map(STATES.index))
    return order.sort_values(["order", "since", "node"], kind="stable").drop(columns="order").reset_index(drop=True)


def instances(facts: Facts, closed: pd.DataFrame) -> pd.DataFrame:
    """Machines that the attacker started, and for how many hours until they were stopped, terminated or `as_of`.

    Returns
    -------
    DataFrame
        `INSTANCES`. `hours` are hours of one machine; `large`: accelerators, or eight times xlarge and more.
        `price_usd` is None: prices differ by Region, contract and time, and are not in the logs.
    """
    now = pd.Timestamp(queries.as_of(facts.case))
    mine = facts.attacker[facts.attacker["event_source"].eq("ec2.amazonaws.com") & facts.attacker["outcome"].eq("ok")]
    rows = []
    for act in mine[mine["event_name"].isin(["RunInstances", "StartInstances"])].to_dict("records"):
        request, response = identity.parse(act["request"]), identity.parse(act["response"])
        for item in (response.get("instancesSet") or {}).get("items") or []:
            name, kind = str(item.get("instanceId") or ""), item.get("instanceType") or request.get("instanceType")
            end = _closed(name, act["event_time"], closed) if name else None
            until = end["event_time"] if end else now
            hours = max((until - act["event_time"]).total_seconds(), 0) / 3600
            ids = [act["event_id"], *([end["event_id"]] if end else [])]
            place = [act["account_id"], act["region"], act["event_time"], end["event_time"] if end else pd.NaT]
            rows.append([name, kind, bool(_LARGE.search(str(kind))), *place, round(hours, 2), None, ids])
    table = pd.DataFrame(rows, columns=list(INSTANCES))
    table["ended"] = pd.to_datetime(table["ended"], utc=True)
    return table


def _node(node: dict[str, Any], evidence: list[str], closed: pd.DataFrame, now: pd.Timestamp) -> list[Any]:
    """Row of one credential or made thing."""
    name, since = str(node["id"]), pd.Timestamp(node["first_seen"]) if node["first_seen"] else pd.NaT
    what = name.partition(":")[0].replace("_", " ") if node["kind"] == "credential" else f"made {node['kind']}"
    end = None if name.startswith(_TEMPORARY) else _closed(_last(str(node["value"])), since, closed)
    until: Any = pd.NaT
    if end:
        state, until, why = "closed", end["event_time"], f"{end['event_name']} by {end['principal']}"
        evidence = [*evidence, end["event_id"]]
    elif node["expires"]:
        until = pd.Timestamp(node["expires"])
        state, why = ("expired", "its time is over") if until <= now else ("open", "it has not expired")
    elif name.startswith(_TEMPORARY):
        over = pd.notna(since) and since + LONGEST <= now
        state = "expired" if over else "unknown"
        said = "its expiry was not seen; no temporary credential lives longer than 36 hours"
        why, until = said, since + LONGEST
    else:
        state, why = "open", "no later record here deletes, deactivates or terminates it"
    return [state, what, name, node["account"], since, until, why, evidence]


def _passwords(facts: Facts) -> list[list[Any]]:
    """Rows of console passwords that the attacker did not set, and signed in with."""
    records = queries.sql(
        facts.case, f"SELECT {', '.join(passwords.COLUMNS)} FROM events WHERE {passwords.WHERE}", engine="local"  # noqa: S608 - ours
    )  # fmt: skip
    rows = []
    for one in passwords.known(records, facts.scope.verdicts, facts.scope.nodes, facts.scope.edges):
        state, until, why = "open", pd.NaT, "the attacker signed in with it, and no later record here changes it"
        ids = list(one.event_ids)
        if one.changed:
            name = one.changed["event_name"]
            why, until = f"{name} by {one.changed['principal']}", one.changed["event_time"]
            ids.append(str(one.changed["event_id"]))
            state = "unknown" if name == "UpdateLoginProfile" else "closed"
            why += ": whether it set another, or only asked for one, is not in its record" * (state == "unknown")
        place = [one.user.split(":")[4], one.since, until]
        rows.append([state, "password, known", f"login_profile:{one.user}", *place, why, ids])
    return rows


def _opened(facts: Facts, made: set[str]) -> list[list[Any]]:
    """Rows of what the attacker changed so that it stays open: shares, trust, policies, rules, sessions."""
    keys = sorted(set(facts.attacker["access_key_id"].dropna()))
    if not keys:
        return []
    found = queries.ask(facts.case, "attacker_made", engine="local", keys=keys, principals=[])
    mine = found[found["event_id"].isin(set(facts.attacker["event_id"])) & ~found["event_id"].isin(made)]
    rows = []
    for one in mine.to_dict("records"):
        gone = one["state"] == "removed"
        why = f"{one['removed_by']} removed or replaced it" if gone else f"no later {one['remove']} of it here"
        ids = [one["event_id"], *([one["removed_event_id"]] if gone else [])]
        place = [one["account_id"], one["event_time"], one["removed_at"] if gone else pd.NaT]
        rows.append(["closed" if gone else "open", one["what"], str(one["made"] or ""), *place, why, ids])
    return rows


def _closed(name: str, since: Any, closed: pd.DataFrame) -> dict[str, Any] | None:  # noqa: ANN401 - Timestamp or NaT
    """The first call after `since` that ends the thing of this name; None when there is none."""
    if not name or closed.empty:
        return None
    later = closed[closed["event_time"] >= since] if pd.notna(since) else closed
    word = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
    for row in later[later["request"].str.contains(name, regex=False, na=False)].to_dict("records"):
        active = row["event_name"] == "UpdateAccessKey" and identity.parse(row["request"]).get("status") != "Inactive"
        part = row["event_name"].startswith(("DeleteUserPol", "DeleteRolePol", "DeleteLoginProfile", "DeleteAccessKey"))
        if not active and word.search(row["request"]) and (not part or name.startswith("AKIA")):
            return {str(key): value for key, value in row.items()}
    return None


def _last(value: str) -> str:
    """Name by which a request speaks of a thing: the last part of its ARN."""
    return re.split(r"[/:]", value)[-1] if value.startswith("arn:") else value
