"""Console passwords that an attacker knows without having set them: users in whose name the attacker signed in.

A phished password outlives the session that it opened. Nothing that the attacker made tells of it; only the sign-in
does, or a console session of an IAM user, which begins with a password.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cirtlib import identity

COLUMNS = ("event_id", "account_id", "event_time", "event_name", "principal", "principal_id", "request")
WHERE = (
    "outcome = 'ok' AND event_name IN "
    "('ConsoleLogin', 'ChangePassword', 'CreateLoginProfile', 'UpdateLoginProfile', 'DeleteLoginProfile')"
)
"""What of the events `known` has to see, as a condition in SQL."""
_SHOWN = 3


@dataclass(frozen=True)
class Known:
    """A user's password that the attacker knows.

    Attributes
    ----------
    since, last
        The first and the last sign-in with it.
    event_ids
        What shows that the attacker had it.
    changed
        The last event since (event_name, event_id, event_time, principal) by which somebody else set or deleted the
        user's password; None where it is as the attacker knows it.
    """

    user: str
    since: pd.Timestamp
    last: pd.Timestamp
    event_ids: tuple[str, ...]
    changed: dict[str, Any] | None


def known(
    records: pd.DataFrame, verdicts: pd.DataFrame, nodes: Iterable[dict[str, Any]], edges: Iterable[dict[str, Any]]
) -> list[Known]:
    """Passwords that the attacker used and did not set, by user.

    Parameters
    ----------
    records
        `COLUMNS` of the events that meet `WHERE`.
    verdicts
        Columns event_id, account_id, verdict.
    nodes, edges
        The scope's.
    """
    judged = verdicts[["event_id", "account_id", "verdict"]].drop_duplicates(["event_id", "account_id"])
    frame = records[list(COLUMNS)].merge(judged, on=["event_id", "account_id"], how="left")
    frame = frame.sort_values(["event_time", "event_id"])
    found: list[dict[str, Any]] = [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
    used: dict[str, list[tuple[pd.Timestamp, str]]] = {}
    for row in found:
        if row["event_name"] == "ConsoleLogin" and row["verdict"] == "attacker" and ":user/" in str(row["principal"]):
            used.setdefault(str(row["principal"]), []).append((row["event_time"], str(row["event_id"])))
    for user, when, event_ids in _sessions(found, nodes, list(edges)):
        used.setdefault(user, []).extend((when, one) for one in event_ids)
    return [one for user in sorted(used) for one in _of_user(user, sorted(used[user]), found)]


def _sessions(
    found: list[dict[str, Any]], nodes: Iterable[dict[str, Any]], edges: list[dict[str, Any]]
) -> list[tuple[str, pd.Timestamp, list[str]]]:
    """The attacker's console sessions of users whose beginning no record shows: user, first use, events."""
    begun = {
        f"console:{row['principal_id']}/{row['event_time']:%Y-%m-%dT%H:%M:%SZ}"
        for row in found
        if row["event_name"] == "ConsoleLogin"
    }
    begun |= {edge["to"] for edge in edges if edge["kind"] == "minted"}
    mine = {
        node["id"]: node
        for node in nodes
        if node["id"].startswith("console:") and node["status"] == "compromised" and node["id"] not in begun
    }
    return [
        (edge["to"].removeprefix("principal:"), pd.Timestamp(mine[edge["from"]]["first_seen"]), edge["evidence"])
        for edge in edges
        if edge["kind"] == "assumed" and edge["from"] in mine and ":user/" in edge["to"]
    ]


def _of_user(user: str, used: list[tuple[pd.Timestamp, str]], found: list[dict[str, Any]]) -> list[Known]:
    """The password of one user; none where the attacker set it, which is told as what the attacker made."""
    about = [row for row in found if row["event_name"] != "ConsoleLogin" and _is_about(row, user)]
    if any(row["verdict"] == "attacker" and row["event_name"].endswith("eLoginProfile") and
           not row["event_name"].startswith("Delete") for row in about):  # fmt: skip
        return []
    last = used[-1][0]
    later = [row for row in about if row["event_time"] > last and row["verdict"] not in ("attacker", "unclear")]
    event_ids = tuple(dict.fromkeys(one for _, one in used))[:_SHOWN]
    return [Known(user, used[0][0], last, event_ids, later[-1] if later else None)]


def _is_about(row: dict[str, Any], user: str) -> bool:
    """Whether an event about a password is about this user's: it names a user, or is about its caller."""
    name = identity.parse(row["request"]).get("userName")
    if name is None:
        return bool(row["principal"] == user)
    return bool(row["account_id"] == user.split(":")[4] and name == user.rsplit("/", 1)[-1])
