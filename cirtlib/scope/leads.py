"""What the analyst should look at next: links that extend nothing by themselves, each with its reason."""

import re
from typing import Any

import numpy as np
import pandas as pd

from cirtlib import baseline, trust
from cirtlib.scope import doors
from cirtlib.scope.attribution import ATTACKER, UNCLEAR, Judgement
from cirtlib.scope.extent import EXTENT, Graph
from cirtlib.text import many

_ENDPOINT = re.compile(r"(?!.*\bvpce\b)[\w.-]+\.amazonaws\.com(\.cn)?")
# What an attacker and somebody else may have in common: column of acts, and its name in a reason.
TRAITS = {"source_ip": "address", "user_agent": "user agent", "tls_host": "TLS host"}


def find(graph: Graph, found: Judgement, decided: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
    """Leads as scope.json has them; each one's node is added to the graph as suspected.

    Nodes that the analyst cleared or confirmed (`decided`) are no leads any more. `rarity` is 1.0 for what nobody did
    or used in the baseline, 1/(1+n) for what n principals did, and None where there is no baseline to compare with or
    the reason does not rest on rarity.
    """
    leads = [
        *_unclear(found),
        *_same_traits(graph, found),
        *_minters(found),
        *_users_of_changed(graph, found),
        *_instances(found),
    ]
    left = [lead for lead in leads if lead["node"] not in decided and not _inside(graph, lead["node"])]
    unique = {(lead["node"], lead["reason"]): lead for lead in left}
    for lead in unique.values():
        graph.node(lead["node"], "suspected")
    return [unique[key] for key in sorted(unique)]


def _inside(graph: Graph, name: str) -> bool:
    return name in graph.nodes and bool(graph.nodes[name].flags & set(EXTENT))


def _lead(node: str, reason: str, rarity: float | None = None) -> dict[str, Any]:
    return {"node": node, "reason": reason, "rarity": rarity}


def _rarity(found: Judgement, address: str) -> float | None:
    return _rare(found.base.users.get(address, 0)) if found.base.exists else None


def _rare(principals: int) -> float:
    return round(1 / (1 + principals), 3)


def _unclear(found: Judgement) -> list[dict[str, Any]]:
    """Acts of a compromised credential that are neither the attacker's nor the owner's by the rules."""
    rows = found.acts[(found.verdict == UNCLEAR) & found.acts["source_ip"].notna()]
    return [
        _lead(
            f"address:{address}",
            f"{many(len(group), 'unclear event')} by {holder} with {family}",
            _rarity(found, str(address)),
        )
        for (address, holder, family), group in rows.fillna({"user_agent_family": "an unknown user agent"}).groupby(
            ["source_ip", "credential", "user_agent_family"]
        )
    ]


def _same_traits(graph: Graph, found: Judgement) -> list[dict[str, Any]]:
    """Other principals that, against their habit, share a rare address, user agent or TLS host with the attacker."""
    acts = found.acts
    mine = (found.verdict == ATTACKER) & acts["pair"].notna()
    other = acts["inside"] & acts["pair"].notna() & acts["who"].notna()
    other &= (found.verdict == "") & ~found.base.explains & ~acts["who"].isin(set(graph.nodes))
    leads = []
    for column, word in TRAITS.items():
        before = _users(found, column)
        values = {one for one in acts.loc[mine, column].dropna() if before.get(one, 0) < _common(found, one)}
        for (who, value), group in acts[other & acts[column].isin(values)].groupby(["who", column]):
            count = f"{many(len(group), 'event')}, first {group['event_id'].iloc[0]}"
            rarity = _rare(before.get(str(value), 0)) if found.base.exists else None
            leads.append(_lead(str(who), f"used the attacker's {word} {value} ({count})", rarity))
    return leads


def _common(found: Judgement, value: str) -> int:
    """How many principals make a trait common. A public endpoint of AWS tells the service, not who calls it."""
    if _ENDPOINT.fullmatch(value):
        return 1 if found.base.exists else 0
    return baseline.COMMON_PRINCIPALS


def _users(found: Judgement, column: str) -> dict[str, int]:
    """How many principals used each value of a trait before the attack.

    Without a baseline nobody can say what is common. Then a program or a host counts as common by those who use it
    beside the attacker, as nearly all of them are everyone's; an address does not, as several victims may stand there.
    """
    base = found.base
    if base.exists or column == "source_ip":
        return {"source_ip": base.users, "user_agent": base.programs, "tls_host": base.hosts}[column]
    mine = found.acts.loc[found.verdict == ATTACKER, ["event_id", "account_id", column]].dropna()
    connection = found.sight.connection
    connection.register("mine", mine)
    rows = connection.execute(
        f"SELECT {column}, count(DISTINCT principal) FROM {found.sight.relation} "  # noqa: S608 - our own names
        f"ANTI JOIN (SELECT event_id, account_id FROM mine) USING (event_id, account_id) "
        f"WHERE {column} IN (SELECT {column} FROM mine) GROUP BY 1"
    ).fetchall()
    connection.unregister("mine")
    return {str(value): int(count) for value, count in rows}


def _minters(found: Judgement) -> list[dict[str, Any]]:
    """Who issued a compromised session, where that act itself is not the attacker's."""
    acts = found.acts
    rows = acts[acts["issued"].isin(found.held) & (found.verdict != ATTACKER) & acts["who"].notna()]
    rows = rows[~rows["principal_type"].isin(["AWSService"])]
    return [
        _lead(str(act.credential or act.who), f"issued the compromised {act.issued} (event {act.event_id})")
        for act in rows.itertuples()
    ]


def _users_of_changed(graph: Graph, found: Judgement) -> list[dict[str, Any]]:
    """Who assumed a role after the attacker changed it, and is not known to be the attacker."""
    since: dict[str, pd.Timestamp] = {}
    when = dict(zip(found.acts["event_id"], found.acts["event_time"], strict=True))
    for edge in graph.edges.values():
        if edge.kind == "changed" and ":role/" in edge.target:
            first = min(when[event] for event in edge.evidence)
            since[edge.target] = min(first, since.get(edge.target, first))
    acts = found.acts
    leads = _users_of_hosts(found)
    if not since:
        return leads
    assumed = acts["event_name"].astype(str).str.startswith("AssumeRole") & (found.verdict != ATTACKER)
    assumed &= (acts["outcome"] == "ok") & acts["minted_principal"].notna() & acts["pair"].notna()
    for act in acts[assumed & (acts["event_time"] >= min(since.values()))].itertuples():
        role = f"principal:{trust.role_of(act.minted_principal, found.names)}"
        if role in since and act.event_time >= since[role]:
            node = act.credential or act.who
            leads.append(_lead(str(node), f"assumed {role.split(':', 1)[1]} after the attacker changed it"))
    return leads


def _users_of_hosts(found: Judgement) -> list[dict[str, Any]]:
    """Sessions of instances and functions since the attacker changed them: they may run what the attacker put there."""
    leads = []
    for door in sorted((d for d in found.opened if d.kind == doors.HOST), key=lambda d: (d.target, d.since)):
        rows = found.acts[doors.hosted(found.acts, [door]) & (found.verdict != ATTACKER)]
        leads += [
            _lead(str(node), f"was used by {door.target} after the attacker changed it or commanded it")
            for node in sorted(set(rows["credential"].dropna()))
        ]
    return leads


def _instances(found: Judgement) -> list[dict[str, Any]]:
    """Instances whose role session the attacker held: the way in may have led through them."""
    acts = found.acts
    rows = acts[(found.verdict == ATTACKER) & acts["instance"].notna() & acts["credential"].isin(found.held)]
    # The thief may work in any Region: the record says where the instance is, else the instance's own calls do.
    own = acts[(found.verdict != ATTACKER) & acts["instance"].notna()].drop_duplicates("instance")
    home = dict(zip(own["instance"], own["region"], strict=True))
    leads = []
    for (account, instance), group in rows.groupby(["account_id", "instance"]):
        named = group["credentials_issued_to"].dropna()
        region = home.get(instance, group["region"].iloc[0])
        arn = named.iloc[0] if len(named) else f"arn:aws:ec2:{region}:{account}:instance/{instance}"
        reason = f"the attacker held the credentials of this instance ({many(len(group), 'event')})"
        leads.append(_lead(f"resource:{arn}", reason))
    return leads


def origin_gaps(found: Judgement) -> list[dict[str, Any]]:
    """Gaps for credentials of the attacker whose issue no record shows."""
    acts = found.acts
    issued = set(acts.loc[acts["issued"].notna(), "issued"]) | found.made
    gaps = []
    for name in sorted(found.held - issued):
        rows = acts[acts["credential"] == name]
        until = f"{rows['event_time'].min():%Y-%m-%dT%H:%M:%SZ}"
        gaps.append(
            {"account": rows["account_id"].iloc[0], "region": None, "from": None, "to": until}
            | {"reason": f"origin not seen: no record shows who issued {name}"}
        )
    return gaps


def window_gaps(found: Judgement, start: pd.Timestamp) -> list[dict[str, Any]]:
    """Reasons to widen the window, and a missing baseline."""
    gaps = []
    mine = found.acts[found.verdict == ATTACKER]
    text = f"{start:%Y-%m-%dT%H:%M:%SZ}"
    if len(mine) and mine["event_time"].min() < start + pd.Timedelta(hours=1):
        first = f"{mine['event_time'].min():%Y-%m-%dT%H:%M:%SZ}"
        gaps.append(_gap(None, text, f"an attacker event at {first} is within the first hour of the window: widen it"))
    pairs = set(mine.loc[mine["pair"].notna(), "pair"])
    early = found.acts["credential"].isin(found.held) & found.acts["pair"].isin(pairs)
    early &= (found.acts["event_time"] < start) & ~found.acts["source_ip"].isin(found.base.common)
    if early.any():
        first = f"{found.acts.loc[early, 'event_time'].min():%Y-%m-%dT%H:%M:%SZ}"
        what = f"{int(early.sum())} events of a compromised credential from an attacker's network and user agent"
        gaps.append(_gap(first, text, f"{what} lie before the window: widen it"))
    if not found.base.exists:
        what = f"no baseline: {found.base.days:.1f} days of records before the attack"
        gaps.append(_gap(None, text, f"{what}; nothing is explained as the owner's habit"))
    return gaps


def _gap(start: str | None, end: str | None, reason: str) -> dict[str, Any]:
    return {"account": None, "region": None, "from": start, "to": end, "reason": reason}


def verdicts(found: Judgement) -> pd.DataFrame:
    """One row per judged event: event_id, account_id, node (its credential, else its principal), verdict, reason."""
    judged = found.verdict != ""
    rows = found.acts.loc[judged, ["event_id", "account_id"]].copy()
    rows["node"] = found.acts.loc[judged, "credential"].where(lambda s: s.notna(), found.acts.loc[judged, "who"])
    rows["verdict"] = np.asarray(found.verdict[judged], dtype=str)
    rows["reason"] = np.asarray(found.reason[judged], dtype=str)
    return rows.reset_index(drop=True)
