"""How a compromised credential was obtained and came into other hands, as far as logs can tell.

How a credential is recognised: CloudTrail user guide, "userIdentity element", and the records that issue credentials.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pandas as pd

from cirtlib import identity
from cirtlib.engine import duckdb as engine
from cirtlib.exposure.table import NO, UNKNOWN, YES, Cause, Factor, asked, cause, controls, ranked
from cirtlib.exposure.weakness import failed_before
from cirtlib.scope import Scope
from cirtlib.snapshot import Snapshot

LONG_TERM, INSTANCE, BARE_CONSOLE = "long-term key", "instance", "console without MFA"
_OLD, _FRESH, _GUESSES = 90, 7, 5  # days, days, failed logins
_SERVICES = {"ec2.amazonaws.com": INSTANCE, "lambda.amazonaws.com": "Lambda", "pods.eks.amazonaws.com": "pod"}
_MINTS = {
    "AssumeRoleWithSAML": "SAML", "AssumeRoleWithWebIdentity": "OIDC", "GetSessionToken": "session token",
    "GetFederationToken": "session token", "CreateSession": "workload outside AWS",
}  # fmt: skip
# How a person signs in: each session is a credential of its own, and what the person does else lies in other sessions.
_PERSONAL = ("console", BARE_CONSOLE, "root", "SAML", "Identity Center")
# What tells where a credential leaked, not only that it did.
_ORIGINS = ("public", "metadata", "guessed")
_COLUMNS = (
    "event_id, account_id, event_time, event_name, principal, principal_type, principal_id, user_name, session_name, "
    "access_key_id, role_arn, session_created, mfa, on_behalf_of, ec2_role_delivery, source_ip, source_network, "
    "user_agent, invoked_by, minted_key, from_console, request, additional"
)


@dataclass(frozen=True)
class Credential:
    """One credential that the attacker did not make.

    Attributes
    ----------
    method
        how it was obtained: long-term key, console without MFA, console, root, SAML, OIDC, Identity Center, instance,
        Lambda, pod, workload outside AWS, session token, assumed role, unknown.
    first
        earliest abnormal use: event_id, time, call, address, network, user_agent.
    age_days
        age of a long-term key at that use; None where neither record nor snapshot tells.
    mfa
        whether the session was made with MFA; None where it cannot be seen.
    answer
        the cause where the evidence shows one, else whom to ask what.
    """

    node: str
    principal: str
    account: str
    method: str
    minted_by: str
    mint_event: str
    instance: str
    first: dict[str, Any]
    age_days: int | None
    age_from: str
    mfa: bool | None
    causes: tuple[Cause, ...]
    answer: str

    @property
    def origin_shown(self) -> bool:
        """Whether the evidence shows where the credential came from; else `answer` says whom to ask."""
        return _origin(self.causes) is not None


def roots(judged: Scope) -> list[dict[str, Any]]:
    """Compromised credentials that neither the attacker nor what he made or changed issued, the earliest first."""
    mine = set(judged.verdicts.loc[judged.verdicts["verdict"] == "attacker", "event_id"])
    made = [edge for edge in judged.edges if edge["kind"] in ("minted", "created")]
    his = {node["id"] for node in judged.nodes if node["status"] in ("attacker_created", "changed")}
    issued = {edge["to"] for edge in made if edge["from"] in his or mine & set(edge["evidence"])}
    found = [
        node
        for node in judged.nodes
        if node["kind"] == "credential" and node["status"] == "compromised" and node["id"] not in issued
    ]
    return sorted(found, key=lambda node: (str(node["first_seen"]), node["id"]))


def method(first: dict[str, Any], mint: dict[str, Any] | None) -> str:  # noqa: PLR0911 - one return for each way
    """How a credential was obtained, from its first record in the attack and the record that issued it, if any."""
    key, name = str(first.get("access_key_id") or ""), str(first.get("session_name") or "")
    role = str(first.get("role_arn") or "")
    if str(first.get("principal") or "").endswith(":root"):
        return "root"
    if mint is not None and mint["event_name"] in _MINTS:
        return _MINTS[mint["event_name"]]
    if mint is not None and mint.get("principal") in _SERVICES:
        return _SERVICES[mint["principal"]]
    if first.get("ec2_role_delivery") or (role and re.fullmatch(r"i-[0-9a-f]{8,17}", name)):
        return INSTANCE
    if "/AWSReservedSSO_" in role or first.get("on_behalf_of"):
        return "Identity Center"
    if mint is not None and mint["event_name"] == "AssumeRole":
        return "assumed role"
    if key.startswith("AKIA"):
        return LONG_TERM
    if first.get("principal_type") == "IAMUser":  # a temporary key of a user that nothing issued: the console's
        return "console" if first.get("mfa") is True else BARE_CONSOLE if first.get("mfa") is False else "console"
    return "unknown"


def look(
    connection: duckdb.DuckDBPyConnection,
    judged: Scope,
    state: tuple[list[Snapshot], pd.DataFrame, pd.DataFrame],
) -> list[Credential]:
    """Each root credential with its causes; `state` is snapshots, control findings (every version), their history."""
    nodes = {node["id"]: node for node in roots(judged)}
    if not nodes:
        return []
    verdicts = judged.verdicts[judged.verdicts["node"].isin(list(nodes))]
    connection.register("wanted", verdicts[["event_id", "account_id", "node", "verdict"]].drop_duplicates())
    uses = engine.frame(
        connection.sql(
            "SELECT w.node, w.verdict, e.source_network, min(e.event_time) AS first, max(e.event_time) AS last, "
            "arg_min(e.event_id, (e.event_time, e.event_id)) AS event_id, "
            "arg_max(e.event_id, (e.event_time, e.event_id)) AS last_id, "
            "arg_min(e.account_id, (e.event_time, e.event_id)) AS account_id "
            "FROM events e JOIN wanted w USING (event_id, account_id) GROUP BY ALL"
        ).to_arrow_table()
    )
    connection.unregister("wanted")
    made = {node["value"].rpartition("/")[2] for node in judged.nodes if node["status"] == "attacker_created"}
    found = []
    for name, node in nodes.items():
        own = uses[uses["node"] == name]
        mine = own[own["verdict"] == "attacker"].sort_values(["first", "event_id"])
        if len(mine):
            given = {"id": mine.iloc[0]["event_id"], "account": mine.iloc[0]["account_id"]}
            first = _one(connection, "event_id = :id AND account_id = :account", given)
            found.append(_credential(connection, (node, first or {}, own), judged, state))
    # the attacker's own instances get credentials too: no way in
    return [one for one in found if one.instance not in made]


def _credential(
    connection: duckdb.DuckDBPyConnection,
    used: tuple[dict[str, Any], dict[str, Any], pd.DataFrame],
    judged: Scope,
    state: tuple[list[Snapshot], pd.DataFrame, pd.DataFrame],
) -> Credential:
    node, first, uses = used
    owner = uses[uses["verdict"] == "owner"]
    keys = [node["value"], *node["aliases"], first.get("access_key_id") or ""]
    mint = _one(connection, "contains(:keys, minted_key)", {"keys": [key for key in keys if key]})
    how = method(first, mint)
    login = _login(connection, first) if how in ("console", BARE_CONSOLE, "root") else None
    mfa = _mfa(first, mint, login)
    if how == "console" and mfa is False:
        how = BARE_CONSOLE
    age, age_from = _age(first, mint, state[0]) if how in (LONG_TERM, "root") else (None, "")
    if how in _PERSONAL:
        owner = _of_person(connection, first, judged)
    facts = {"node": node, "first": first, "uses": uses, "owner": owner, "mint": mint, "login": login}
    facts |= {"age": age, "age_from": age_from}
    facts |= {"method": how, "mfa": mfa, "baseline": judged.content["baseline"]["used"]}
    causes = ranked([*_copied(facts), *_events(connection, facts), *_controls(facts, state[1], state[2])])
    request = identity.parse(mint["request"]) if mint else {}
    named = str(first.get("session_name") or request.get("roleSessionName") or "")
    return Credential(
        node=node["id"],
        principal=str(first.get("principal") or ""),
        account=str(node["account"] or first.get("account_id") or ""),
        method=how,
        minted_by=str(mint["principal"] or "") if mint else "",
        mint_event=str(mint["event_id"]) if mint else "",
        instance=named if how == INSTANCE and named.startswith("i-") else "",
        first={
            "event_id": first.get("event_id"), "time": first.get("event_time"), "call": first.get("event_name"),
            "address": first.get("source_ip"), "network": first.get("source_network"),
            "user_agent": first.get("user_agent"),
        },
        age_days=age,
        age_from=age_from,
        mfa=mfa,
        causes=causes,
        answer=_answer(how, causes),
    )  # fmt: skip


def _answer(how: str, causes: tuple[Cause, ...]) -> str:
    """The cause where it is shown where the credential came from; else what the logs cannot say, and whom to ask."""
    if shown := _origin(causes):
        return f"{shown.what} ({shown.confidence})"
    who, questions = asked(how)
    return f"not determinable from these logs; ask the {who}: {' '.join(questions)}"


def _origin(causes: tuple[Cause, ...]) -> Cause | None:
    return next((one for one in causes if one.role in _ORIGINS and one.confidence == "likely"), None)


def _copied(facts: dict[str, Any]) -> list[Cause]:
    """The credential itself in other hands: used where its owner does not use it, while the owner went on."""
    uses, owner, how = facts["uses"], facts["owner"], facts["method"]
    mine = uses[uses["verdict"] == "attacker"]
    began, ids = mine["first"].min(), tuple(mine.sort_values("first")["event_id"])[:2]
    new = sorted(set(mine["source_network"].dropna()) - set(owner["source_network"].dropna()))
    if not facts["baseline"] or owner.empty:
        place = Factor("new place", UNKNOWN, "no events of the owner to compare with", ids)
    elif new:
        place = Factor("new place", YES, f"used from {', '.join(new[:3])}, where the owner was never seen", ids)
    else:
        place = Factor("new place", NO, "used only from networks of the owner", ids)
    later = owner[owner["last"] > began]
    both = Factor("owner goes on", UNKNOWN, "no event of the owner after the attacker's first")
    if len(later):
        words = "its owner went on using it after that"
        if how in _PERSONAL:
            words = f"its owner worked on after that, from {', '.join(sorted(set(later['source_network']))[:3])}"
        both = Factor("owner goes on", YES, words, tuple(later["last_id"])[:2])
    if how == INSTANCE:
        return [_metadata(facts, place)]
    what = "the long-term key was copied" if how == LONG_TERM else f"the credential ({how}) was in other hands"
    return [cause(what, 0.8, (place, both), of=("copied", facts["node"]["value"], ()))]


def _of_person(connection: duckdb.DuckDBPyConnection, first: dict[str, Any], judged: Scope) -> pd.DataFrame:
    """The owner's own events under this identity, in whatever session, by network.

    Of events that nothing drew into the scope, the owner's are those from where this identity worked before the attack.
    """
    verdicts = judged.verdicts[["event_id", "account_id", "verdict"]].drop_duplicates()
    connection.register("wanted", verdicts)
    baseline = judged.content["baseline"]
    found = connection.sql(
        "WITH own AS (SELECT e.event_id, e.event_time, e.source_network, w.verdict "
        "FROM events e LEFT JOIN wanted w USING (event_id, account_id) "
        "WHERE e.principal = $principal AND e.principal_id = $id AND e.source_network IS NOT NULL "
        # somebody who tries passwords is not yet the owner
        "AND NOT (e.event_name = 'ConsoleLogin' AND e.outcome = 'denied')) "
        "SELECT source_network, max(event_time) AS last, arg_max(event_id, (event_time, event_id)) AS last_id FROM own "
        "WHERE verdict = 'owner' OR (verdict IS NULL AND $used AND source_network IN "
        "(SELECT source_network FROM own WHERE verdict IS NULL AND event_time < $began)) "
        "GROUP BY source_network ORDER BY source_network",
        params={
            "principal": str(first.get("principal") or ""),
            "id": str(first.get("principal_id") or ""),
            "used": baseline["used"],
            "began": datetime.fromisoformat(baseline["end"]),
        },
    ).to_arrow_table()
    connection.unregister("wanted")
    return engine.frame(found)


def _metadata(facts: dict[str, Any], place: Factor) -> Cause:
    """Credentials of an instance, used elsewhere than on it."""
    mint, first = facts["mint"], facts["first"]
    name = first.get("session_name")
    if mint:
        words = f"EC2 issued it to the instance {name}"
        issued = Factor("issued there", YES, words, (str(mint["event_id"]),))
    else:
        words = f"it bears the name of the instance {name}; the record that issued it is not in these logs"
        held = YES if first.get("ec2_role_delivery") else UNKNOWN
        issued = Factor("issued there", held, words, (str(first["event_id"]),))
    what = f"credentials taken from the metadata service of the instance {name}: see its way in"
    return cause(what, 0.9, (issued, place), of=("metadata", str(name), ()))


def _events(connection: duckdb.DuckDBPyConnection, facts: dict[str, Any]) -> list[Cause]:
    """Causes that records name: AWS found the key in public, another made it shortly before, a guessed password."""
    first, mint, value = facts["first"], facts["mint"], facts["node"]["value"]
    found = []
    if facts["method"] == LONG_TERM:
        name = str(first.get("user_name") or "")
        public = _one(
            connection,
            "event_source = 'iam.amazonaws.com' AND strpos(request, 'AWSCompromisedKeyQuarantine') > 0 "
            "AND account_id = :account AND strpos(request, :name) > 0",
            {"account": str(first.get("account_id")), "name": f'"{name}"'},
        )
        if public:
            words = "AWS attached its quarantine policy to the user, as it does when it finds a key in public"
            factor = Factor("issued there", YES, words, (str(public["event_id"]),))
            found.append(cause("the key stood in public, and AWS found it", 1, (factor,), of=("public", value, ())))
        if mint and mint["principal"] != first.get("principal"):
            days = (first["event_time"] - mint["event_time"]).days
            held = YES if days <= _FRESH else NO
            words = f"{mint['principal']} made the key {days} days before, not its user"
            factor = Factor("issued there", held, words, (str(mint["event_id"]),))
            found.append(cause("the key was made by someone else", 0.6, (factor,), of=("made", value, ())))
    if facts["login"] and facts["method"] in ("console", BARE_CONSOLE, "root"):
        found += _guessed(connection, facts)
    return found


def _guessed(connection: duckdb.DuckDBPyConnection, facts: dict[str, Any]) -> list[Cause]:
    """A password found by trying: many failed logins of this principal before the one that worked."""
    login = facts["login"]
    rows = engine.run(
        connection,
        "SELECT event_id FROM events WHERE event_name = 'ConsoleLogin' AND outcome = 'denied' AND principal = :who "
        "AND event_time BETWEEN :start AND :end ORDER BY event_time, event_id LIMIT 1000",
        {"who": login["principal"], "start": login["event_time"] - timedelta(days=1), "end": login["event_time"]},
    )
    if len(rows) < _GUESSES:
        return []
    words = f"{len(rows)} failed logins in the day before the one that worked"
    factor = Factor("issued there", YES, words, (*rows["event_id"][:3], str(login["event_id"])))
    return [cause("the password was found by trying", 0.9, (factor,), of=("guessed", facts["node"]["value"], ()))]


def _controls(facts: dict[str, Any], checks: pd.DataFrame, history: pd.DataFrame) -> list[Cause]:
    """Failed controls of the user, or of the account where they are about it, that fit how it was obtained."""
    first, moment, causes = facts["first"], facts["first"]["event_time"], []
    things = {str(first.get("principal")), f"AWS::::Account:{first.get('account_id')}"}
    for finding_id, versions in checks.groupby("finding_id", sort=True):
        latest = versions.sort_values("updated_at").iloc[-1]
        control = controls().get(str(latest["control_id"]))
        if control is None or control.role != "credential" or not control.explains(facts["method"]):
            continue
        resource = next((one for one in latest["resource_ids"] if one in things), None)
        before = failed_before(moment, versions.sort_values("updated_at"), history)
        if resource is None or (before.holds == NO and latest["compliance_status"] == "PASSED"):
            continue
        applies = _applies(control.name, facts, str(finding_id))
        what = f"{control.text} ({resource.rpartition('/')[2]})"
        causes.append(cause(what, control.weight, (before, applies), of=("credential", resource, (control.name,))))
    return causes


def _applies(control: str, facts: dict[str, Any], finding: str) -> Factor:
    """Whether this credential has the weakness: a user has several keys, and the check is about the user."""
    age = facts["age"]
    if control == "IAM.3" and age is not None:
        words = f"this key was {age} days old ({facts['age_from']})"
        return Factor("applies", YES if age > _OLD else NO, words, (finding,))
    if control in ("IAM.5", "IAM.19") and facts["mfa"] is not None:
        words = f"the session was made {'with' if facts['mfa'] else 'without'} MFA"
        return Factor("applies", NO if facts["mfa"] else YES, words, (str(facts["first"]["event_id"]),))
    words = "the check is about its owner; whether about this credential is not said"
    return Factor("applies", UNKNOWN, words, (finding,))


def _age(first: dict[str, Any], mint: dict[str, Any] | None, states: list[Snapshot]) -> tuple[int | None, str]:
    """Age of a key in days at its first abnormal use, and where that is from; None where nothing tells."""
    when = first["event_time"]
    if mint and mint["event_name"] == "CreateAccessKey":
        return (when - mint["event_time"]).days, f"CreateAccessKey {mint['event_id']}"
    for state in states:
        for key in state.access_keys:
            if key.get("AccessKeyId") == first.get("access_key_id") and key.get("CreateDate"):
                made = pd.Timestamp(key["CreateDate"])
                made = made.tz_localize("UTC") if made.tzinfo is None else made
                return (when - made).days, f"account snapshot of {state.taken_at}"
    return None, ""


def _mfa(first: dict[str, Any], mint: dict[str, Any] | None, login: dict[str, Any] | None) -> bool | None:
    """Whether MFA was used: as the login says, else the session itself, else the caller when it was issued."""
    if login:
        said = identity.parse(login["additional"]).get("MFAUsed")
        if said in ("Yes", "No"):
            return bool(said == "Yes")
    for row in (first, mint or {}):
        if row.get("mfa") is not None:
            return bool(row["mfa"])
    return None


def _login(connection: duckdb.DuckDBPyConnection, first: dict[str, Any]) -> dict[str, Any] | None:
    """The login that made a console session, within a few minutes of the session's creation."""
    made: datetime = first.get("session_created") or first["event_time"]
    slack = timedelta(minutes=5)
    return _one(
        connection,
        "event_name = 'ConsoleLogin' AND outcome = 'ok' AND principal = :who AND event_time BETWEEN :start AND :end",
        {"who": first["principal"], "start": made - slack, "end": made + slack},
    )


def _one(connection: duckdb.DuckDBPyConnection, condition: str, given: dict[str, Any]) -> dict[str, Any] | None:
    """The earliest event that meets a condition of our own, missing values as None."""
    text = f"SELECT {_COLUMNS} FROM events WHERE {condition} ORDER BY event_time, event_id, account_id LIMIT 1"  # noqa: S608 - our own text
    rows = engine.run(connection, text, given).to_dict("records")
    return {name: None if pd.isna(value) else value for name, value in rows[0].items()} if rows else None
