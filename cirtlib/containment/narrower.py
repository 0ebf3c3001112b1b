"""Narrower ways than to deny a whole identity: one session, one source identity, one sign-in session.

They spare everybody else, and whoever still can come in evades them by coming in again. So they are offered only where
the logs show how the attacker came in and the plan closes every one of those doors, and they say what evades them.
"""

import json
import re
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from cirtlib import trust
from cirtlib.containment.catalogue import name_of
from cirtlib.containment.incident import Incident
from cirtlib.containment.step import Step, call
from cirtlib.text import visible

POLICY = "cirt-deny-session"
_MOST = 10  # sessions in one document
# Values go into a policy document, where ${...} would be a variable.
_PLAIN = re.compile(r"[\w+=,.@:/-]{2,256}")


@dataclass(frozen=True)
class _Way:
    """A condition key that tells sessions apart: the events' column that holds it, its words, and what evades it."""

    key: str
    column: str
    title: str
    evaded_by: str


_SESSION = _Way("aws:userid", "principal_id", "session", "Assuming the role again under another session name.")
_SOURCE = _Way(
    "aws:SourceIdentity",
    "source_identity",
    "source identity",
    "Assuming the role again with another source identity, unless its trust policy enforces one.",
)
_SIGN_IN = _Way(
    "aws:SignInSessionArn", "sign_in_session", "sign-in session", "Signing in again, or using an access key."
)


def offer(steps: tuple[Step, ...], incident: Incident) -> tuple[Step, ...]:
    """Numbered steps, with the narrower ways of those that deny an identity or revoke its sessions."""
    whole = [step for step in steps if _word(step) in ("deny", "revoke")]
    acts = _attackers(incident, {step.target for step in whole})
    result = []
    for step in steps:
        doors = _closed_by(step, acts, steps) if step in whole else ()
        ways = (_SESSION, _SOURCE, _SIGN_IN) if ":role/" in step.target else (_SIGN_IN,)
        found = [_alternative(step, way, acts, doors) for way in ways] if doors else []
        result.append(replace(step, alternatives=(*step.alternatives, *(one for one in found if one))))
    return tuple(result)


def _word(step: Step) -> str:
    return step.key.split(" ", 1)[0]


def _attackers(incident: Incident, identities: set[str]) -> pd.DataFrame:
    """The attacker's acts as these identities, or that obtained sessions of them."""
    events = incident.log.attackers
    return events[events["principal"].isin(identities) | events["minted_principal"].isin(identities)]


def _closed_by(step: Step, acts: pd.DataFrame, steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Ids of the steps that close every door that the attacker came in by; none where one stays open or is unseen."""
    by_key = {one.key: one for one in steps}
    shut: list[str] = []
    if ":user/" in step.target:
        own = acts[acts["principal"] == step.target]
        keys = own["access_key_id"].dropna()
        wanted = [f"key {key}" for key in sorted(set(keys[keys.str.startswith("AKIA")]))] + [f"login {step.target}"]
        return tuple(by_key[key].id for key in wanted) if all(key in by_key for key in wanted) else ()
    entries = acts[acts["minted_principal"] == step.target]
    for caller, key in entries[["principal", "access_key_id"]].drop_duplicates().itertuples(index=False, name=None):
        if caller == step.target:  # a session that assumes its own role again ends with that session
            continue
        closing = _closing(caller, key, by_key, step.target)
        if not closing:
            return ()
        shut += closing
    return tuple(sorted(set(shut)))


def _closing(caller: object, key: object, by_key: dict[str, Step], role: str) -> list[str]:
    """Ids of the steps that keep this caller, with this key, out of a role."""
    found = [by_key[name].id for name in (f"key {key}", f"deny {caller}") if name in by_key]
    door = by_key.get(f"trust {role}")
    if door:
        named = trust.principals(trust.document(door.api["parameters"]["PolicyDocument"]))
        if not trust.admits(named, caller, trust.account_of(str(caller))):
            found.append(door.id)
    return found


def _alternative(step: Step, way: _Way, acts: pd.DataFrame, doors: tuple[str, ...]) -> dict[str, Any] | None:
    own = acts[acts["principal"] == step.target]
    values = sorted(set(own[way.column].dropna()))
    if way is _SESSION:
        values = [value for value in values if ":" in value]
    if not values or len(values) > _MOST or not all(_PLAIN.fullmatch(value) for value in values):
        return None
    kind, name = ("User" if ":user/" in step.target else "Role"), name_of(step.target)
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {way.key: values}}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))
    told = [value.split(":", 1)[1] if way is _SESSION else value for value in values]
    shared = [one for one in told if way is _SESSION and one in (step.used_by or {}).get("sessions", ())]
    both = f" Sessions named {', '.join(map(visible, shared))} are of others too, and stop with it." if shared else ""
    return {
        "title": f"Instead of all of {visible(name)}, deny only {way.title} {', '.join(map(visible, told))}",
        "api": call("iam", f"Put{kind}Policy", **{f"{kind}Name": name}, PolicyName=POLICY, PolicyDocument=document),
        "only_when": f"Only when the doors are closed: {', '.join(doors)} are done and verified.{both}",
        "evaded_by": way.evaded_by,
    }
