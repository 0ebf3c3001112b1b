"""What takes access away: deactivated keys, denied principals, revoked sessions; each from when, and until when."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from cirtlib.aftermath.runs import Carried
from cirtlib.policy.conditions import listed
from cirtlib.trust import document, statements

KEY, DENY, CUT_OFF = "key deactivated", "principal denied", "sessions revoked"
_ENDS = ("DeleteUser", "DeleteRole")
_BOUNDARIES = ("PutUserPermissionsBoundary", "PutRolePermissionsBoundary")
_DENYING = ("AttachUserPolicy", "AttachRolePolicy", *_BOUNDARIES)


@dataclass(frozen=True)
class Hold:
    """One thing that stands against a credential.

    Attributes
    ----------
    kind
        Key deactivated, principal denied, or sessions revoked.
    subject
        The access key's id, or the ARN of the user or role.
    since, until
        When it began to hold, and when it was rolled back; None: it stands.
    cut_off
        Of a revocation: sessions issued before this are dead.
    """

    kind: str
    subject: str
    step: str
    since: datetime
    until: datetime | None = None
    cut_off: datetime | None = None

    def stands(self, moment: datetime | None = None) -> bool:
        """Whether it holds at this moment; None: now."""
        if moment is None:
            return self.until is None
        return self.since < moment and (self.until is None or moment < self.until)

    def binds(self, call: dict[str, Any]) -> bool:
        """Whether it should have stopped this call, a row of calls_after_containment."""
        if not self.stands(_moment(call["event_time"])):
            return False
        if self.kind == KEY:
            return bool(call["access_key_id"] == self.subject)
        if call["principal"] != self.subject:
            return False
        return self.kind == DENY or is_before(call, self.cut_off)


def is_before(call: dict[str, Any], cut_off: datetime | None) -> bool:
    """Whether the session that made a call was issued before this; a call without a session never was."""
    issued = call["session_created"]
    return cut_off is not None and issued is not None and not pd.isna(issued) and _moment(issued) < cut_off


def _moment(time: Any) -> datetime:  # noqa: ANN401 - a pandas time
    moment: datetime = pd.Timestamp(time).to_pydatetime()
    return moment.astimezone(UTC)


def holds(steps: Iterable[Carried]) -> list[Hold]:
    """Holds of the steps that were carried out, in order of time."""
    return sorted((hold for one in steps if one.at for hold in _holds(one)), key=lambda hold: hold.since)


def _holds(one: Carried) -> Iterator[Hold]:
    api = one.step["api"]
    asked, operation = api["parameters"], api["operation"]
    assert one.at is not None
    where: dict[str, Any] = {"step": str(one.step["id"]), "since": one.at, "until": one.until}
    if api["service"] != "iam":
        return
    if operation == "DeleteAccessKey" or (operation == "UpdateAccessKey" and asked.get("Status") == "Inactive"):
        yield Hold(KEY, str(asked["AccessKeyId"]), **where)
    elif operation in _ENDS or (operation in _DENYING and _is_deny_all(asked)):
        yield Hold(DENY, str(one.step["target"]), **where)
    elif operation in ("PutUserPolicy", "PutRolePolicy"):
        for condition in _denials(asked.get("PolicyDocument")):
            if not condition:
                yield Hold(DENY, str(one.step["target"]), **where)
            elif "aws:TokenIssueTime" in json.dumps(condition):
                yield Hold(CUT_OFF, str(one.step["target"]), cut_off=one.ran, **where)


def _is_deny_all(asked: dict[str, Any]) -> bool:
    policy = asked.get("PolicyArn") or asked.get("PermissionsBoundary") or ""
    return str(policy).endswith(":iam::aws:policy/AWSDenyAll")


def _denials(policy: object) -> Iterator[dict[str, Any]]:
    """Conditions of the statements that deny every action on everything."""
    for statement in statements(document(policy)):
        everything = all(listed(statement.get(name)) == ["*"] for name in ("Action", "Resource"))
        if statement.get("Effect") == "Deny" and everything:
            yield statement.get("Condition") or {}
