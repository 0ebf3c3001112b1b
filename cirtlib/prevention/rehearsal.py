"""Had the guard-rails stood: which calls in the logs the service control policies would have denied, and whose.

Only statements on every resource are judged, from what a record tells: principal, call, Region, and how an instance got
its credentials. A record does not tell the resource as policies name it, nor which account manages the organization.
"""

import json
from typing import Any

import duckdb
import pandas as pd

from cirtlib import scope
from cirtlib.case import Case
from cirtlib.engine import duckdb as engine
from cirtlib.policy import Request, evaluate
from cirtlib.prevention.policies import Documents

COLUMNS = ("statement", "attacker_calls", "evidence", "other_calls", "others", "other_events")
_ALL = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
_NAMES = {"s3:ListBuckets": "s3:ListAllMyBuckets", "s3:ListObjects": "s3:ListBucket"}  # event -> IAM action
_SHOWN = 20  # ids of each side of a statement


def rehearse(case: Case, made: Documents) -> pd.DataFrame:
    """Judge each successful call of a user or role against the policies.

    Returns
    -------
    DataFrame
        One row per statement that was judged: statement (its Sid), attacker_calls, evidence (first event ids of them),
        other_calls, others (ARNs of who made them, most calls first), other_events (first ids). A call counts at the
        first statement that denies it.
    """
    judged = [one for content in made.scps.values() for one in content["Statement"] if _can_be_judged(one)]
    found: dict[str, dict[bool, list[tuple[int, str, list[str]]]]] = {
        one["Sid"]: {True: [], False: []} for one in judged
    }
    policy = {"Version": "2012-10-17", "Statement": judged}
    for call, count, ids in _calls(case) if judged else ():
        request = Request(
            action=_NAMES.get(call["action"], call["action"]),
            resource="*",
            principal=call["principal"],
            account=call["principal"].split(":")[4],
            context=_context(call),
        )
        said = evaluate(request, identity=[_ALL], scps=[[_ALL, policy]])
        if said.result == "denied" and said.by in found:
            found[said.by][call["attacker"]].append((count, call["principal"], ids))
    return pd.DataFrame([_row(sid, sides) for sid, sides in found.items()], columns=list(COLUMNS))


def _can_be_judged(statement: dict[str, Any]) -> bool:
    return statement["Resource"] == "*" and "ec2:MetadataHttpTokens" not in json.dumps(statement)


def _calls(case: Case) -> list[tuple[dict[str, Any], int, list[str]]]:
    """Groups of equal calls that succeeded, with their number and first ids; services are not bound, so left out."""
    verdicts = scope.load(case).verdicts
    with engine.connect(case) as connection:
        connection.register("wanted", verdicts[["event_id", "account_id", "verdict"]].drop_duplicates())
        rows = _grouped(connection)
        connection.unregister("wanted")
    return [
        (dict(zip(("attacker", "action", "principal", "region", "delivery"), row[:5], strict=True)), row[5], row[6])
        for row in rows
    ]


def _grouped(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = connection.sql(
        "SELECT COALESCE(verdict = 'attacker', false) AS attacker, "
        "concat(replace(event_source, '.amazonaws.com', ''), ':', event_name) AS action, "
        "COALESCE(role_arn, principal) AS who, region, ec2_role_delivery, count(*), "
        "list(event_id ORDER BY event_time, event_id)[1:5] "
        "FROM events LEFT JOIN wanted USING (event_id, account_id) "
        "WHERE outcome = 'ok' AND region IS NOT NULL AND COALESCE(verdict, '') <> 'unclear' "
        "AND event_source <> 'signin.amazonaws.com' AND regexp_matches(who, '^arn:[a-z-]+:iam::[0-9]{12}:') "
        "GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    return rows


def _context(call: dict[str, Any]) -> dict[str, Any]:
    context = {"aws:PrincipalArn": call["principal"], "aws:RequestedRegion": call["region"]}
    return context | ({"ec2:RoleDelivery": str(call["delivery"])} if call["delivery"] else {})


def _row(sid: str, sides: dict[bool, list[tuple[int, str, list[str]]]]) -> dict[str, Any]:
    whose: dict[str, int] = {}
    for count, who, _ in sides[False]:
        whose[who] = whose.get(who, 0) + count
    return {
        "statement": sid,
        "attacker_calls": sum(count for count, _, _ in sides[True]),
        "evidence": [one for _, _, ids in sides[True] for one in ids][:_SHOWN],
        "other_calls": sum(whose.values()),
        "others": sorted(whose, key=lambda who: (-whose[who], who)),
        "other_events": [one for _, _, ids in sides[False] for one in ids][:_SHOWN],
    }
