"""The acts that may have to be judged, read from the store as they come into sight.

A large trail does not fit into memory, and nearly all of it is about nobody in question. So only the acts are read that
a rule of attribution or a lead can speak of: those of the seeds at first, then what each round of the closure asks for.
The verdicts are those that all acts at once would give; a small store is read whole, which is faster.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import duckdb
import pandas as pd

from cirtlib import identity, sessions
from cirtlib.sources.slice_sql import Suspects

# Events up to which everything is read at once.
SMALL = 200_000
# What is created within so many seconds lies in the same or the next stretch of time.
_STRETCH = 60
_IN = "IN (SELECT value FROM sought)"
_INSIDE = "event_time BETWEEN (SELECT since FROM span) AND (SELECT until FROM span)"
_SIGN_IN = "(from_console OR event_source = 'signin.amazonaws.com' OR user_agent_family IN ('console', 'browser'))"

CONDITIONS = {
    "keys": f"access_key_id {_IN}",
    "minted": f"minted_key {_IN}",
    "principals": f"principal {_IN}",
    "ids": f"principal_id {_IN}",
    "sessions": f"session_name {_IN}",
    "issued_to": f"credentials_issued_to {_IN}",
    "signed_in": f"sign_in_session {_IN}",
    "addresses": f"source_ip {_IN}",
    "agents": f"user_agent {_IN}",
    "events": f"event_id {_IN}",
    "shared": f"shared_event_id {_IN}",
    "assumed": f"minted_principal {_IN}",
    "calls": f"event_name {_IN} AND outcome = 'ok'",
    # a console session is all that its principal did in the console, and the records of signing in
    "consoles": f"principal_id {_IN} AND {_SIGN_IN}",
    "logins": f"principal {_IN} AND event_name = 'ConsoleLogin'",
    # who else came from there, with that, while it happened
    "addresses_inside": f"source_ip {_IN} AND {_INSIDE}",
    "agents_inside": f"user_agent {_IN} AND {_INSIDE}",
    "hosts_inside": f"tls_host {_IN} AND {_INSIDE}",
    "foreign_inside": f"caller_account {_IN} AND principal_type = 'AWSAccount' AND {_INSIDE}",
    # sessions by the time of their creation, and what issues some without naming them
    "created": f"CAST(CAST(epoch(session_created) AS BIGINT) // {_STRETCH} AS VARCHAR) {_IN}",
    "portal": "event_source = 'sso.amazonaws.com' AND event_name = 'GetRoleCredentials' AND "
    f"CAST(CAST(epoch(event_time) AS BIGINT) // {_STRETCH} AS VARCHAR) {_IN}",
    "pods": "principal = 'pods.eks.amazonaws.com' AND "
    f"CAST(CAST(epoch(event_time) AS BIGINT) // {_STRETCH} AS VARCHAR) {_IN}",
}
"""What can be asked for: name, and the condition on `events` in which `sought` holds the values."""

# Few and far between, and needed to know which names stand for whom.
_ALWAYS = {"calls": ("CreateUser", "CreateRole", "UpdateAssumeRolePolicy")}
Wanted = Mapping[str, Iterable[str]]


class Sight:
    """Acts in sight. `relation` names what holds all events on the connection, for counting."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, window: tuple[datetime, datetime]) -> None:
        self.connection, self.relation = connection, "events"
        self.details: dict[tuple[str, str], dict[str, Any]] = {}
        self._asked: dict[str, set[str]] = {}
        self._rows = pd.DataFrame()
        span = pd.DataFrame({"since": [pd.Timestamp(window[0])], "until": [pd.Timestamp(window[1])]})
        connection.register("span", span)
        count = connection.execute("SELECT count(*) FROM events").fetchall()
        self.whole = count[0][0] <= SMALL
        if self.whole:
            self._rows = identity.read(connection)
            connection.register("all_acts", self._rows)
            self.relation = "all_acts"
        else:
            self.load(_ALWAYS)

    def acts(self) -> pd.DataFrame:
        """Acts as `identity.named` gives them."""
        return identity.named(self.connection, self._rows)

    def load(self, wanted: Wanted) -> bool:
        """Bring what is wanted into sight; whether there was anything new."""
        if self.whole:
            return False
        before, found = len(self._rows), []
        for name, values in wanted.items():
            fresh = {value for value in values if value} - self._asked.setdefault(name, set())
            if not fresh:
                continue
            self._asked[name] |= fresh
            self.connection.register("sought", pd.DataFrame({"value": sorted(fresh)}))
            found.append(identity.read(self.connection, CONDITIONS[name]))
            self.connection.unregister("sought")
        if not found:
            return False
        rows = pd.concat([part for part in (self._rows, *found) if len(part)] or found[:1], ignore_index=True)
        self._rows = rows.drop_duplicates(["event_id", "account_id", *identity.PLACE], ignore_index=True)
        return len(self._rows) > before

    def names(self) -> list[str]:
        """Every ARN of a user or role that any record shows, sorted."""
        parts = [
            f"SELECT DISTINCT {column} AS arn FROM {self.relation} WHERE {column} LIKE 'arn:%:iam:%'"  # noqa: S608
            for column in ("principal", "role_arn", "minted_principal")
        ]
        return [row[0] for row in self.connection.execute(" UNION ".join(parts) + " ORDER BY arn").fetchall()]

    def detail(self, rows: pd.DataFrame) -> None:
        """Have request and response of these acts in `details`."""
        keys = pd.MultiIndex.from_frame(rows[["event_id", "account_id"]])
        fresh = rows[[key not in self.details for key in keys]]
        self.details.update(identity.details(self.connection, fresh))


def of_seeds(given: Suspects) -> Wanted:
    """What the seeds name."""
    return {
        "keys": given.keys, "minted": given.keys, "principals": given.principals, "ids": given.ids,
        "sessions": given.sessions, "addresses": given.addresses, "agents": given.agents, "events": given.events,
        "signed_in": given.signed_in,
    }  # fmt: skip


def of_names(acts: pd.DataFrame) -> Wanted:
    """What must be seen so that each act in sight has the credential that it would have beside all others."""
    keys = set(acts["access_key_id"].dropna())
    blank = acts["credential"].isna() & acts["shared_event_id"].notna()
    consoles = acts["from_console"].eq(True) & acts["principal_id"].notna()
    consoles |= acts["event_source"].eq("signin.amazonaws.com") & acts["principal_id"].notna()
    return {
        "minted": keys,
        "shared": set(acts.loc[blank, "shared_event_id"]),
        "consoles": set(acts.loc[consoles, "principal_id"]),
        "signed_in": set(acts["sign_in_session"].dropna()),
    }


def of_openings(acts: pd.DataFrame, mine: pd.Series, held: set[str]) -> Wanted:
    """Sessions that acts of the attacker opened without naming them, and what may have opened those that are held."""
    opened = acts[mine & sessions.unnamed(acts)]
    used = acts[acts["credential"].isin(held) & acts["session_created"].notna()].drop_duplicates("credential")
    return {
        "created": _stretches(opened["event_time"]),
        "pods": _stretches(opened.loc[opened["event_name"] == "AssumeRoleForPodIdentity", "event_time"]),
        "portal": _stretches(used["session_created"]),
        "assumed": set(used.loc[~used["credential"].isin(set(acts["issued"].dropna())), "role_arn"].dropna()),
    }


def _stretches(times: "pd.Series[pd.Timestamp]") -> set[str]:
    numbers = {int(when.timestamp()) // _STRETCH for when in times}
    return {str(number + step) for number in numbers for step in (-1, 0, 1)}
