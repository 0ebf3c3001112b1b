"""Sessions that no access key joins to what issued them: by sign-in session, or by principal and time of creation.

A console session's first record names no key, and neither does what Identity Center, a sign-in token or a switch of
roles lead to. Each of these joins is *likely*: it rests on a name and on times, as CloudTrail has nothing better.
"""

from collections import defaultdict
from typing import Any

import pandas as pd

CERTAIN, LIKELY = "certain", "likely"
AUTHORIZED = "AuthorizeOAuth2Access"
# Acts that give a token for the console (federation endpoint) or for a command line (`aws login`).
TOKENS = ("GetSigninToken", "CreateOAuth2Token")
# The console makes its session within this time of the record that tells of it (the same second in nearly all seen).
_SOON = pd.Timedelta(seconds=60)
# Sign-in tokens are valid for 15 minutes ("Enabling custom identity broker access to the console", IAM user guide).
_TOKEN_LIFE = pd.Timedelta(minutes=16)
# Identity Center and STS write the session's creation with the second of their record; clocks differ a little.
_SAME = pd.Timedelta(seconds=5)
_ASSUMED = ("AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity")
Details = dict[tuple[str, str], dict[str, Any]]


def is_login(frame: pd.DataFrame) -> pd.Series:
    """Mask of successful sign-ins to the console by a principal whose id is known."""
    return (
        (frame["event_source"] == "signin.amazonaws.com")
        & (frame["event_name"] == "ConsoleLogin")
        & (frame["outcome"] == "ok")
        & frame["principal_id"].notna()
    )


def unnamed(frame: pd.DataFrame) -> pd.Series:
    """Mask of acts that issue a session, of which only the request or what the service adds tells more."""
    call = frame["event_source"].astype(str) + " " + frame["event_name"].astype(str)
    wanted = call.isin(
        [
            "sso.amazonaws.com GetRoleCredentials",
            "signin.amazonaws.com SwitchRole",
            "eks-auth.amazonaws.com AssumeRoleForPodIdentity",
        ]
    )
    keyless = call.isin([f"sts.amazonaws.com {name}" for name in _ASSUMED]) & frame["minted_key"].isna()
    return (wanted | keyless) & (frame["outcome"] == "ok")


def login_sessions(frame: pd.DataFrame, known: pd.Series) -> pd.Series:
    """Console session that each sign-in opened: the nearest of that principal, else one of its own."""
    result = pd.Series([None] * len(frame), index=frame.index, dtype=object)
    logins = frame[is_login(frame)]
    if logins.empty:
        return result
    sessions = _Sessions(frame, known)
    for index, login in logins.iterrows():
        own = f"console:{login['principal_id']}/{login['event_time']:%Y-%m-%dT%H:%M:%SZ}"
        around = (login["event_time"] - _SOON, login["event_time"] + _SOON)
        result[index] = sessions.console(login["principal_id"], around, login["event_time"]) or own
    return result


def issued(frame: pd.DataFrame, hints: Details) -> tuple[pd.Series, pd.Series]:
    """Node id of the credential that each act issued, and how sure that is.

    Certain is a key in the answer; likely is a session that a login, a token, a switch of roles, Identity Center or an
    agent of EKS opened, or one whose record lacks the key.
    """
    key = frame["minted_key"].where(frame["outcome"] == "ok")
    result = pd.Series([None] * len(frame), index=frame.index, dtype=object)
    result = result.mask(key.notna(), "access_key:" + key.astype(str))
    how = pd.Series([None] * len(frame), index=frame.index, dtype=object).mask(key.notna(), CERTAIN)
    likely = pd.Series([None] * len(frame), index=frame.index, dtype=object)
    likely = likely.mask(is_login(frame), frame["credential"])
    authorized = (frame["event_name"] == AUTHORIZED) & frame["sign_in_session"].notna() & (frame["outcome"] == "ok")
    likely = likely.mask(authorized, "sign_in:" + frame["sign_in_session"].astype(str))
    token = (frame["event_name"] == "GetSigninToken") & (frame["outcome"] == "ok") & frame["principal_id"].notna()
    rows = frame[unnamed(frame) | token]
    if len(rows):
        sessions = _Sessions(frame, frame["credential"])
        for index, act in rows.iterrows():
            likely[index] = _opened(act, hints.get((act["event_id"], act["account_id"]), {}), sessions)
    fresh = likely.notna() & (key.isna() | token)
    result, how = result.mask(fresh, likely), how.mask(fresh, LIKELY)
    return result.where(result.notna(), None), how.where(how.notna(), None)


def _opened(act: pd.Series, hint: dict[str, Any], sessions: "_Sessions") -> str | None:
    """Session that one act opened, by what it tells of it."""
    when, name = act["event_time"], act["event_name"]
    if name == "GetSigninToken":
        created = act["session_created"]
        same = None if pd.isna(created) else sessions.console(act["principal_id"], (created, created), created)
        return same or sessions.console(act["principal_id"], (when - _SAME, when + _TOKEN_LIFE), when)
    if name == "SwitchRole":
        role = str((hint.get("additional") or {}).get("SwitchTo") or act["minted_principal"] or "")
        holder = act["user_name"] or act["session_name"]
        return sessions.of_role(role, (when - _SAME, when + _SOON), when, name=holder, console=True)
    if name == "GetRoleCredentials":
        told = hint.get("service_details") or {}
        return sessions.of_permission_set(str(told.get("account_id")), str(told.get("role_name")), when)
    if name == "AssumeRoleForPodIdentity":
        return sessions.of_pod(str((hint.get("request") or {}).get("clusterName")), when)
    asked = (hint.get("request") or {}).get("roleSessionName")
    if not asked or not act["minted_principal"]:
        return None
    return sessions.of_role(str(act["minted_principal"]), (when - _SAME, when + _SAME), when, name=str(asked))


class _Sessions:
    """Sessions that acts were made with, to be found by whose they are and when they were created."""

    def __init__(self, frame: pd.DataFrame, known: pd.Series) -> None:
        rows = frame.assign(node=known)[known.notna() & frame["session_created"].notna()]
        rows = rows.drop_duplicates(["node"])
        self._principals: dict[str, list[tuple[pd.Timestamp, str]]] = defaultdict(list)
        self._roles: dict[str, list[tuple[pd.Timestamp, str, str]]] = defaultdict(list)
        self._pods: list[tuple[pd.Timestamp, str, str]] = []
        for row in rows.itertuples():
            if row.node.startswith("console:") and row.principal_id:
                self._principals[row.principal_id].append((row.session_created, row.node))
            if row.role_arn:
                self._roles[row.role_arn].append((row.session_created, str(row.session_name), row.node))
        # The record of EKS's own service names the key and the pod; that of the node names only the cluster.
        by_eks = frame["invoked_by"].eq("pods.eks.amazonaws.com") | frame["principal"].eq("pods.eks.amazonaws.com")
        made = frame[by_eks & frame["minted_key"].notna()]
        used = {row.node: str(row.session_name) for row in rows.itertuples() if str(row.session_name)[:4] == "eks-"}
        for row in made.itertuples():
            node = f"access_key:{row.minted_key}"
            self._pods.append((row.event_time, used.get(node, ""), node))

    def console(self, principal_id: object, between: tuple[Any, Any], when: pd.Timestamp) -> str | None:
        """Console session of a principal that was created between two moments; the nearest to a third."""
        found = [
            (abs(created - when), node)
            for created, node in self._principals.get(str(principal_id), [])
            if between[0] <= created <= between[1]
        ]
        return min(found)[1] if found else None

    def of_role(
        self, role: str, between: tuple[Any, Any], when: pd.Timestamp, *, name: object, console: bool = False
    ) -> str | None:
        """Session of a role under a name that was created between two moments; the nearest to a third."""
        found = [
            (abs(created - when), node)
            for arn in self._named(role)
            for created, session, node in self._roles[arn]
            if between[0] <= created <= between[1]
            and (not name or session == name)
            and (not console or node.startswith("console:"))
        ]
        return min(found)[1] if found else None

    def _named(self, role: str) -> list[str]:
        """The role's ARN with its path, as sessions have it: a request may name the role without."""
        if role in self._roles or not role.startswith("arn:"):
            return [role] if role in self._roles else []
        account, bare = role.split(":")[4], role.rpartition("/")[2]
        return sorted(one for one in self._roles if one.split(":")[4:5] == [account] and one.endswith(f"/{bare}"))

    def of_permission_set(self, account: str, name: str, when: pd.Timestamp) -> str | None:
        """Session of Identity Center's role for a permission set that was created just when its record was written."""
        found = [
            (abs(created - when), node)
            for arn, sessions in self._roles.items()
            if f":{account}:" in arn and f"/AWSReservedSSO_{name}_" in arn
            for created, _, node in sessions
            if abs(created - when) <= _SAME
        ]
        return min(found)[1] if found else None

    def of_pod(self, cluster: str, when: pd.Timestamp) -> str | None:
        """Key that EKS was given for a pod of the cluster in the same seconds, when there is exactly one."""
        near = {
            node
            for made, name, node in self._pods
            if abs(made - when) <= _SAME and (not name or name.startswith(f"eks-{cluster}-"))
        }
        return near.pop() if len(near) == 1 else None
