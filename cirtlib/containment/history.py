"""What the logs say was done to whom: the events that set, change or end the state a plan is about."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from cirtlib.containment.log import ATTACKER, Log
from cirtlib.trust import document

# Only events that set state which a step changes or a restore needs; everything else stays out of memory.
# What the rows of the catalogue ask for comes in by `wanted`.
STATE_EVENTS = {
    "CreateUser", "DeleteUser", "CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey", "CreateLoginProfile",
    "UpdateLoginProfile", "DeleteLoginProfile", "AttachUserPolicy", "DetachUserPolicy", "PutUserPolicy",
    "DeleteUserPolicy", "AddUserToGroup", "RemoveUserFromGroup", "CreateRole", "DeleteRole",
    "UpdateAssumeRolePolicy", "AttachRolePolicy", "DetachRolePolicy", "PutRolePolicy", "DeleteRolePolicy",
    "CreatePolicy", "StartLogging", "StopLogging", "CreateTrail", "UpdateTrail", "DeleteTrail", "PutEventSelectors",
    "CreateSnapshot", "CreateSnapshots", "CopySnapshot", "DeleteSnapshot", "ModifySnapshotAttribute",
    "DeleteObject", "DeleteObjects", "DeleteVolume", "DeleteDBInstance", "DeleteDBCluster", "DeleteTable",
    "DeleteFileSystem", "DeleteRecoveryPoint", "DeleteSecret", "GetSecretValue", "BatchGetSecretValue", "GetParameter",
    "GetParameters", "RunInstances", "TerminateInstances", "StopInstances", "StartInstances", "AssumeRole",
}  # fmt: skip


# Of these a plan asks only what the attacker did; everybody else does them all day.
_OF_THE_ATTACKER = {
    "AssumeRole", "DeleteObject", "DeleteObjects", "GetSecretValue", "BatchGetSecretValue", "GetParameter",
    "GetParameters",
}  # fmt: skip
# Calls of IAM that are about their caller when they name no user.
_OF_ONESELF = re.compile("AccessKey|LoginProfile|SigningCertificate|ServiceSpecificCredential")


@dataclass(frozen=True)
class Act:
    """One event that succeeded, with its request and response decoded."""

    event_id: str
    time: datetime
    account: str
    region: str
    source: str
    name: str
    principal: str = ""
    user_name: str = ""
    access_key: str = ""
    minted_key: str = ""
    verdict: str = ""
    request: dict[str, Any] = field(default_factory=dict)
    response: dict[str, Any] = field(default_factory=dict)

    @property
    def attacker(self) -> bool:
        """Whether the scope holds it for the attacker's."""
        return self.verdict == "attacker"

    @property
    def in_doubt(self) -> bool:
        """Whether it is, or may be, the attacker's: what it set is no state from before the attack."""
        return self.verdict in ("attacker", "unclear")


def acts(log: Log, verdicts: pd.DataFrame, wanted: set[str], instances: set[str]) -> list[Act]:
    """Successful events that set state, in order of time; of what only reads or enters, the attacker's alone.

    Parameters
    ----------
    log
        The events.
    verdicts
        Columns event_id, account_id, verdict: whose act each judged event was.
    wanted
        Names of events beside `STATE_EVENTS`.
    instances
        Ids of the instances whose launches are asked for, whoever launched them.
    """
    judged = dict(zip(zip(verdicts["event_id"], verdicts["account_id"], strict=True), verdicts["verdict"], strict=True))
    columns = ["event_id", "event_time", "account_id", "region", "event_source", "event_name", "principal"]
    columns += ["user_name", "access_key_id", "minted_key", "request", "response"]
    where = f"""
        outcome = 'ok' AND event_name IN (SELECT unnest($names::VARCHAR[]))
        AND (event_name NOT IN (SELECT unnest($attackers::VARCHAR[])) OR {ATTACKER})
        AND (event_name <> 'RunInstances' OR {ATTACKER} OR list_has_any(
            regexp_extract_all(response, '"instanceId"\\s*:\\s*"([^"]+)"', 1), $instances::VARCHAR[]))
    """
    names, attackers = sorted(STATE_EVENTS | wanted), sorted(_OF_THE_ATTACKER - wanted)
    found = log.rows(columns, where, names=names, attackers=attackers, instances=sorted(instances))
    return [_act(row, judged) for row in found.itertuples(index=False, name=None)]


def _act(row: tuple[Any, ...], judged: dict[tuple[str, str], str]) -> Act:
    event_id, when, account, region, source, name, principal, user, key, minted, request, response = row
    return Act(
        event_id=str(event_id),
        time=pd.Timestamp(when).to_pydatetime().astimezone(UTC),
        account=text(account),
        region=text(region),
        source=text(source),
        name=str(name),
        principal=text(principal),
        user_name=text(user),
        access_key=text(key),
        minted_key=text(minted),
        verdict=judged.get((event_id, account), ""),
        request=document(request) or {},
        response=document(response) or {},
    )


def text(value: object) -> str:
    """Text of a table cell; a missing value is an empty text."""
    return value if isinstance(value, str) else ""


def items(value: object, inner: str) -> list[str]:
    """Texts `inner` of an EC2 set as CloudTrail writes it: `{"items": [{inner: text}, ...]}`."""
    rows = value.get("items") if isinstance(value, dict) else None
    return [str(row[inner]) for row in rows or [] if isinstance(row, dict) and inner in row]


def key_users(log: Log, history: list[Act], keys: set[str]) -> dict[str, str]:
    """User ARN of each of these long-term keys, as far as an event tells it: by its use, or by its creation."""
    found = log.last_by_key("access_key_id", "principal", keys, "principal_type = 'IAMUser'")
    for act in history:
        if act.name == "CreateAccessKey" and act.minted_key in keys and act.minted_key not in found:
            found[act.minted_key] = user_of(act, history)
    return {key: str(user) for key, user in found.items() if isinstance(user, str) and ":user/" in user}


def user_of(act: Act, history: list[Act]) -> str:
    """ARN of the user whom an IAM event is about; its own caller when the request names none."""
    name = act.request.get("userName")
    if not name:
        return act.principal
    for other in history:
        made = other.response.get("user") if other.name == "CreateUser" else None
        if other.account == act.account and isinstance(made, dict) and made.get("userName") == name and "arn" in made:
            return str(made["arn"])
    return f"arn:aws:iam::{act.account}:user/{name}"


def about_user(history: list[Act], user: str) -> list[Act]:
    """IAM events about the user with this ARN, by account and name (its path is not in the requests)."""
    account, name = user.split(":")[4], user.rsplit("/", 1)[-1]
    return [
        act
        for act in history
        if act.source == "iam.amazonaws.com"
        and act.account == account
        and (
            act.request.get("userName") == name
            or (not act.request.get("userName") and act.principal == user and _OF_ONESELF.search(act.name))
        )
    ]


def about_role(history: list[Act], role: str) -> list[Act]:
    """IAM events about the role with this ARN, by account and name."""
    account, name = role.split(":")[4], role.rsplit("/", 1)[-1]
    return [
        act
        for act in history
        if act.source == "iam.amazonaws.com" and act.account == account and act.request.get("roleName") == name
    ]


def gone(history: list[Act], ending: str, **request: str) -> Act | None:
    """Last event named `ending` with these request values, if there is one: the target is no longer there."""
    matching = [
        act
        for act in history
        if act.name == ending and all(act.request.get(key) == value for key, value in request.items())
    ]
    return matching[-1] if matching else None
