"""What event history is asked for first: what the seeds name, then every key that those acts minted.

Where a new key stands in a record: API references of STS (AssumeRole and the like), IAM (CreateAccessKey) and IAM Roles
Anywhere (CreateSession). `LookupEvents` takes one attribute; `Username` of a role's session is the session's name.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from cirtlib import queries
from cirtlib.case import Case, Seed

_KEY = re.compile(r"A[KS]IA[A-Z0-9_]{4,124}")
_ACCOUNT = re.compile(r"(?:arn:[a-z-]+:(?:iam|sts)::)?(\d{12})(?::|$)")
_USER = re.compile(r"arn:[a-z-]+:iam::\d{12}:user/(?:.*/)?([^/]+)")
_SESSION = re.compile(r"arn:[a-z-]+:sts::\d{12}:assumed-role/[^/]+/(.+)")


@dataclass(frozen=True)
class Sought:
    """One thing to look up: `extent` is ATTRIBUTE=VALUE; where and when it was seen, as far as that is known."""

    extent: str
    account: str | None = None
    region: str | None = None
    time: int | None = None


class Key(NamedTuple):
    """An access key to look up, the account in which it acts, and how it was found: minted, or caller."""

    key: str
    account: str
    how: str


def of_seeds(case: Case) -> tuple[list[Sought], list[Seed]]:
    """What the seeds name, and the seeds that name nothing one can look up (addresses, user agents, ...)."""
    found: list[Sought] = []
    mute: list[Seed] = []
    findings = _rows(case, _FINDINGS, "finding")
    events = _rows(case, _EVENTS, "event")
    for seed in case.seeds:
        rows = (findings if seed.kind == "finding" else events).get(seed.value, [])
        own = [one for row in rows for one in _of_row(row)] if seed.kind in {"finding", "event"} else []
        if not own and (extent := _extent(seed)):
            own = [Sought(extent, _account(seed.value))]
        found += own
        mute += [] if own else [seed]
    return list(dict.fromkeys(found)), mute


_FINDINGS = (
    "SELECT finding_id AS id, account_id, region, access_key_id, sequence_keys, instance_id, principal_type, "
    "principal_name AS user_name, COALESCE(first_seen, created_at, updated_at) AS seen FROM findings "
    "WHERE contains(:ids, finding_id)"
)
_EVENTS = (
    "SELECT event_id AS id, account_id, region, access_key_id, principal_type, COALESCE(session_name, user_name) "
    "AS user_name, event_time AS seen FROM events WHERE contains(:ids, event_id)"
)


def _rows(case: Case, text: str, kind: str) -> dict[str, list[dict[str, Any]]]:
    """Rows of the case about the seeds of one kind, by id; those of one id earliest first."""
    ids = [seed.value for seed in case.seeds if seed.kind == kind]
    frame = queries.sql(case, f"{text} ORDER BY seen", engine="local", ids=ids) if ids else None
    found: dict[str, list[dict[str, Any]]] = {}
    for row in frame.to_dict("records") if frame is not None else ():
        found.setdefault(str(row["id"]), []).append(row)
    return found


def _of_row(row: dict[str, Any]) -> list[Sought]:
    """What one finding or event names: its keys and its instance, or else its user."""
    keys = [row.get("access_key_id"), *(row.get("sequence_keys") or [])]
    extents = [f"AccessKeyId={key}" for key in keys if isinstance(key, str) and _KEY.fullmatch(key)]
    instance = row.get("instance_id")
    if isinstance(instance, str) and instance:
        extents.append(f"Username={instance}")
    name = row.get("user_name")
    if not extents and isinstance(name, str) and name and row.get("principal_type") != "Role":
        extents.append(f"Username={name}")
    account, region = (str(row[name]) if isinstance(row[name], str) else None for name in ("account_id", "region"))
    time = int(row["seen"].timestamp()) if row["seen"] == row["seen"] and row["seen"] is not None else None
    return [Sought(extent, account, region, time) for extent in dict.fromkeys(extents)]


def _extent(seed: Seed) -> str:
    """Look-up for a seed that the case holds nothing of; '' where its kind cannot be looked up."""
    value = seed.value
    if seed.kind in {"principal", "session"}:
        return _of_principal(value)
    extents = {
        "access_key": f"AccessKeyId={value}",
        "event": f"EventId={value}",
        "instance": f"Username={value.rpartition('/')[2]}",
    }
    return extents.get(seed.kind, "")


def _of_principal(value: str) -> str:
    if found := _USER.fullmatch(value) or _SESSION.fullmatch(value):
        return f"Username={found[1]}"
    if value.endswith(":root"):
        return "Username=root"
    # Of a role: the records in which somebody assumed it. Of an id such as AROA...:name: the session's name.
    return f"ResourceName={value}" if value.startswith("arn:") else f"Username={value.rpartition(':')[2]}"


def origin(extent: str) -> str:
    """Look-up of the record that issued a temporary key, which tells whose act it was; '' for anything else."""
    key = extent.removeprefix("AccessKeyId=")
    return f"ResourceName={key}" if key != extent and key.startswith("ASIA") else ""


def asks_for_caller(extent: str) -> bool:
    """Whether whoever made the call that is looked up is a suspect for it."""
    return extent.startswith(("EventId=", "ResourceName=ASIA"))


def keys(text: str, account: str, *, caller: bool = False) -> list[Key]:
    """Access keys that one record leads to, each with the account it acts in; none where the call failed.

    `account` is the one whose history holds the record. With `caller` the key that it was signed with is one of them.
    """
    try:
        record = json.loads(text)
        who, answer = record.get("userIdentity") or {}, record.get("responseElements") or {}
        signed = [("caller", str(who["accessKeyId"]), str(who.get("accountId")))] if "accessKeyId" in who else []
        given = [answer.get("credentials"), answer.get("accessKey")]
        given += [one.get("credentials") for one in answer.get("credentialSet") or []]
        whose = (answer.get("assumedRoleUser") or {}).get("arn")
        whose = whose or (record.get("requestParameters") or {}).get("targetPrincipal")
        new = [("minted", str(one["accessKeyId"]), str(whose)) for one in given if one and "accessKeyId" in one]
    except (ValueError, AttributeError, TypeError):
        return []
    found = (signed if caller else []) + ([] if record.get("errorCode") else new)
    return [Key(key, _account(of) or account, how) for how, key, of in found if _KEY.fullmatch(key)]


def _account(text: str) -> str | None:
    found = _ACCOUNT.match(text)
    return found[1] if found else None
