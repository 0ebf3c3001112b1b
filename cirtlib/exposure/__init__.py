"""Root cause and way in: how the attacker came by each credential, and what let him into an instance.

Nothing here is a guess told as a fact: each cause carries its factors (yes, no, unknown) with their evidence, and where
the logs cannot tell, it says so and whom to ask.
"""

from datetime import datetime
from typing import Any

import duckdb
import pandas as pd

from cirtlib import queries, scope, snapshot
from cirtlib.case import Case
from cirtlib.engine import duckdb as engine
from cirtlib.exposure import credentials, path, rules, weakness
from cirtlib.exposure.credentials import Credential
from cirtlib.exposure.result import WayIn
from cirtlib.exposure.table import Cause, Factor
from cirtlib.exposure.told import Instance

__all__ = ["Cause", "Credential", "Factor", "Instance", "WayIn", "way_in"]

_ACTS_SHOWN = 200


def way_in(case: Case) -> WayIn:
    """How the attacker came by the credentials of the scope, and into the instances that they belong to.

    Raises
    ------
    NotFoundError
        when the case has no seed, or a seed matches nothing in the evidence.
    """
    judged = scope.load(case)
    findings, history = queries.findings(case), queries.finding_history(case)
    states = snapshot.latest(case)
    checks = findings[findings["control_id"].notna() & ~findings["sample"]]
    with engine.connect(case) as connection:
        found = credentials.look(connection, judged, (states, checks, history))
        acts = _acts(connection, judged)
        places = _instances(case, judged, (findings, found, acts))
        looked = tuple(
            _instance(connection, where, states, (findings, checks, history, acts)) for where in sorted(places)
        )
    return WayIn(case.name, tuple(found), looked, int(checks["finding_id"].nunique()))


def _instances(
    case: Case, judged: scope.Scope, seen: tuple[pd.DataFrame, list[Credential], pd.DataFrame]
) -> set[tuple[str, str, str]]:
    """Instances to look at, as (id, account, Region): of seeds, and those whose credentials the attacker held."""
    findings, found, acts = seen
    seeds = findings[findings["finding_id"].isin([seed.value for seed in case.seeds if seed.kind == "finding"])]
    wanted = {one.instance for one in found} | set(seeds["instance_id"].dropna())
    wanted |= {seed.value.rpartition("/")[2] for seed in case.seeds if seed.kind == "instance"}
    made = {node["value"].rpartition("/")[2] for node in judged.nodes if node["status"] == "attacker_created"}
    places = {}
    for node in judged.nodes:
        parts = node["value"].split(":")
        if len(parts) == 6 and parts[5].startswith("instance/"):
            places[parts[5].removeprefix("instance/")] = (parts[4], parts[3])
    for row in findings[findings["instance_id"].notna()].itertuples():
        places.setdefault(row.instance_id, (str(row.account_id), str(row.region)))
    for row in acts.itertuples():
        places.setdefault(row.instance, (str(row.account_id), str(row.region)))
    return {(one, *places[one]) for one in wanted - made - {""} if one in places}


def _acts(connection: duckdb.DuckDBPyConnection, judged: scope.Scope) -> pd.DataFrame:
    """What roles of instances did in the scope, by instance, verdict and call."""
    connection.register("wanted", judged.verdicts[["event_id", "account_id", "verdict"]].drop_duplicates())
    table = connection.sql(
        "SELECT e.session_name AS instance, w.verdict, concat(e.event_source, ' ', e.event_name) AS call, "
        "count(*) AS events, count_if(e.outcome = 'denied') AS denied, "
        "bool_and(COALESCE(e.read_only, false)) AS reads, "
        "min(e.event_time) AS first, max(e.event_time) AS last, min(e.account_id) AS account_id, "
        "min(e.region) AS region, list(e.event_id ORDER BY e.event_time, e.event_id)[1:3] AS ids "
        "FROM events e JOIN wanted w USING (event_id, account_id) "
        "WHERE e.role_arn IS NOT NULL AND regexp_matches(e.session_name, '^i-[0-9a-f]+$') "
        "GROUP BY ALL ORDER BY first, call"
    ).to_arrow_table()
    connection.unregister("wanted")
    return engine.frame(table)


def _instance(
    connection: duckdb.DuckDBPyConnection,
    where: tuple[str, str, str],
    states: list[snapshot.Snapshot],
    seen: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame],
) -> Instance:
    """One instance: its path, what opened it, the weaknesses ranked, and what its role did."""
    findings, checks, history, acts = seen
    own = acts[acts["instance"] == where[0]]
    state = next((one for one in states if one.account == where[1]), None)
    named = findings["details"].str.contains(where[0], regex=False, na=False) & ~findings["sample"]
    lay = path.of_instance(connection, findings[named], state, where)
    _with_policies(lay, state)
    signs = weakness.signs(findings, where[0])
    mine = own[own["verdict"] == "attacker"]
    first: datetime | None = min([*(sign.first for sign in signs), *mine["first"]], default=None)
    doors = rules.of_records(connection, lay.of_kind("security group"))
    for one in state.security_groups if state else ():
        if one.get("GroupId") in lay.kinds and not any(rule.group == one["GroupId"] for rule in doors):
            taken = (f"account snapshot of {state.taken_at}",) if state else ()
            doors += rules.of_details(one["GroupId"], one.get("IpPermissions"), taken)
    doors = rules.doors(doors, [address for sign in signs for address in sign.addresses])
    facts: dict[str, Any] = {"first": first, "version_1": _version_1(connection, where)}
    judged = weakness.judge(lay, checks, history, (signs, doors, facts))
    shown = tuple(own.drop(columns=["instance", "account_id", "region"]).head(_ACTS_SHOWN).to_dict("records"))
    acted = tuple({**act, "ids": tuple(act["ids"])} for act in shown)
    return Instance(lay, first, tuple(signs), tuple(rule for rule in doors if rule.opened), judged, acted)


def _with_policies(lay: path.Path, state: snapshot.Snapshot | None) -> None:
    """Put the managed policies of the instance's role on its path: they tell how far a thief gets."""
    for role in state.roles if state else ():
        if role.get("Arn") in lay.kinds and state:
            for policy in role.get("AttachedManagedPolicies", ()):
                lay.add(policy["PolicyArn"], "policy", f"account snapshot of {state.taken_at}")


def _version_1(connection: duckdb.DuckDBPyConnection, where: tuple[str, str, str]) -> list[tuple[datetime, str]]:
    """Time and id of the first event with credentials of the instance that its metadata service's version 1 gave."""
    text = (
        "SELECT event_time, event_id FROM events WHERE session_name = :id AND account_id = :account "
        "AND ec2_role_delivery = '1.0' ORDER BY event_time, event_id LIMIT 1"
    )
    rows = engine.run(connection, text, {"id": where[0], "account": where[1]})
    return [(row.event_time, row.event_id) for row in rows.itertuples()]
