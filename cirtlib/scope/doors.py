"""What the attacker's changes of other people's things let in: trust, providers, keys, profiles, resource policies.

A change opens a door for whoever it names and who did not come in before. Those who came before, and those for whom the
logs cannot tell, are leads.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cirtlib import identity, trust
from cirtlib.scope.sight import Sight

TRUST, RESOURCE, KEY, PROFILE, HOST = "trust", "resource", "key", "profile", "host"
_POLICIES = {
    "PutBucketPolicy": "bucketPolicy", "PutKeyPolicy": "policy", "PutResourcePolicy": "resourcePolicy",
    "SetTopicAttributes": "attributeValue", "SetQueueAttributes": "attributes", "SetRepositoryPolicy": "policyText",
    "PutBackupVaultAccessPolicy": "policy",
}  # fmt: skip
FEDERATED = ("AssumeRoleWithSAML", "AssumeRoleWithWebIdentity")


@dataclass(frozen=True)
class Door:
    """One way in that an act of the attacker opened.

    `target` is the role's or resource's ARN, the key's node, or the instance's id; `admits` whom it names (ARNs,
    accounts, `*`), empty where the change itself is what admits.
    """

    kind: str
    target: str
    since: pd.Timestamp
    admits: frozenset[str] = frozenset()


@dataclass(frozen=True)
class View:
    """The acts in sight, and masks over them: `ok` of those that succeeded, `inside` of those in the window."""

    frame: pd.DataFrame
    sight: Sight
    names: identity.Names
    ok: np.ndarray
    inside: np.ndarray

    def detail(self, index: int) -> dict[str, Any]:
        """Request, response and resources of the act at this index, once they were read."""
        return self.sight.details[self.frame["event_id"].iloc[index], self.frame["account_id"].iloc[index]]

    def since(self, door: Door) -> np.ndarray:
        """Mask of the acts after a door was opened."""
        return np.asarray(self.frame["event_time"] >= door.since, dtype=bool)


def rules(
    view: View, opened: set[Door], made: set[str], attacker: np.ndarray, pair: np.ndarray
) -> list[tuple[np.ndarray, str]]:
    """Masks of the acts of those who were let in, each with its reason.

    Parameters
    ----------
    opened
        What the attacker's changes let in.
    made
        Node ids of what the attacker made: functions and identity providers among them.
    attacker
        Mask of the acts that are the attacker's already.
    pair
        Mask of the acts from an attacker's network and user agent.
    """
    doors = sorted(opened, key=lambda door: (door.kind, door.target, door.since, sorted(door.admits)))
    by_kind = {kind: [door for door in doors if door.kind == kind] for kind in (TRUST, RESOURCE, KEY, PROFILE, HOST)}
    return [
        (_admitted(view, by_kind[TRUST], attacker), "let in by the attacker's change of the role's trust policy"),
        (_federated(view, made), "signed in through an identity provider that the attacker made"),
        (_functions(view, made), "by a function that the attacker made"),
        (_keys(view, by_kind[KEY]), "by a key that the attacker had made active again"),
        (_profiled(view, by_kind[PROFILE]), "by an instance with the role that the attacker gave it"),
        (_foreign(view, by_kind[RESOURCE]), "let in by the attacker's change of the resource's policy"),
        (
            hosted(view.frame, by_kind[HOST]) & pair,
            "by what the attacker had changed or commanded, from an attacker's network and user agent",
        ),
    ]


def _none(view: View) -> np.ndarray:
    return np.zeros(len(view.frame), dtype=bool)


def _admitted(view: View, doors: list[Door], attacker: np.ndarray) -> np.ndarray:
    """Successful AssumeRole calls by principals that only the attacker's trust policy admits."""
    mask, frame = _none(view), view.frame
    doors = [door for door in doors if door.admits]
    if not doors:
        return mask
    assumed = frame["event_name"].astype(str).str.startswith("AssumeRole").to_numpy() & view.ok
    rows = np.flatnonzero(assumed & frame["minted_principal"].notna().to_numpy())
    roles = {int(index): trust.role_of(str(frame["minted_principal"].iloc[index]), view.names) for index in rows}
    who, when = frame["principal"], frame["event_time"]
    for door in doors:
        through = [index for index, role in roles.items() if role == door.target]
        before = {who.iloc[index] for index in through if when.iloc[index] < door.since and not attacker[index]}
        for index in through:
            late = when.iloc[index] >= door.since and who.iloc[index] not in before
            account = frame["caller_account"].iloc[index]
            mask[index] |= late and trust.admits(set(door.admits), who.iloc[index], account)
    return mask


def _federated(view: View, made: set[str]) -> np.ndarray:
    mask = _none(view)
    providers = {node.partition(":")[2] for node in made if is_provider(node)}
    if providers:
        rows = np.flatnonzero(view.frame["event_name"].isin(FEDERATED).to_numpy() & view.ok)
        view.sight.detail(view.frame.iloc[rows])
        for index in rows:
            mask[index] = provider_of(view.frame.iloc[index], view.detail(int(index))) in providers
    return mask


def _functions(view: View, made: set[str]) -> np.ndarray:
    """Acts by role sessions of functions that the attacker made: Lambda names a session after its function."""
    mask = _none(view)
    for node in made:
        if ":function:" in node:
            mask |= _sessions(view.frame, node.partition(":")[2])
    return mask


def _sessions(frame: pd.DataFrame, arn: str) -> np.ndarray:
    """Mask of the acts by role sessions of an instance or a function."""
    own = (frame["session_name"] == session_of(arn)) & (frame["account_id"] == arn.split(":")[4])
    return np.asarray(own & frame["role_arn"].notna(), dtype=bool)


def session_of(arn: str) -> str:
    """Name under which an instance's or a function's role session goes; '' for other things."""
    if ":instance/i-" in arn:
        return arn.rpartition("/")[2]
    return arn.split(":function:", 1)[1].split(":", maxsplit=1)[0] if ":function:" in arn else ""


def hosted(frame: pd.DataFrame, doors: list[Door]) -> np.ndarray:
    """Acts by role sessions of instances and functions since the attacker changed them or gave them a command."""
    mask = np.zeros(len(frame), dtype=bool)
    for door in doors:
        mask |= _sessions(frame, door.target) & (frame["event_time"] >= door.since).to_numpy()
    return mask


def _keys(view: View, doors: list[Door]) -> np.ndarray:
    mask = _none(view)
    for door in doors:
        mask |= (view.frame["credential"] == door.target).to_numpy() & view.since(door)
    return mask


def _profiled(view: View, doors: list[Door]) -> np.ndarray:
    """Acts of an instance with a role that it never had before the attacker gave it a profile."""
    mask = _none(view)
    for door in doors:
        own, late = (view.frame["instance"] == door.target).to_numpy(), view.since(door)
        known = set(view.frame.loc[own & ~late, "role_arn"])
        mask |= own & late & ~view.frame["role_arn"].isin(known).to_numpy()
    return mask


def _foreign(view: View, doors: list[Door]) -> np.ndarray:
    """What callers of other accounts did to a thing whose policy the attacker changed in their favour."""
    mask, frame = _none(view), view.frame
    foreign = (frame["principal_type"] == "AWSAccount").to_numpy() & view.ok & view.inside
    rows = np.flatnonzero(foreign & frame["caller_account"].ne(frame["account_id"]).to_numpy()) if doors else ()
    if not len(rows):
        return mask
    view.sight.detail(frame.iloc[rows])
    who, when = frame["principal"], frame["event_time"]
    for door in doors:
        used = [int(i) for i in rows if any(arn.startswith(door.target) for arn in view.detail(int(i))["resources"])]
        before = {who.iloc[index] for index in used if when.iloc[index] < door.since}
        for index in used:
            late = when.iloc[index] >= door.since and who.iloc[index] not in before
            mask[index] |= late and lets_in(door, who.iloc[index], frame["caller_account"].iloc[index])
    return mask


def named_by_policy(name: str, request: dict[str, Any]) -> frozenset[str]:
    """Whom a resource policy that was set, or a permission that was added, names."""
    if name in {"AddPermission", "CreateGrant"}:
        given = request.get("principal") or request.get("granteePrincipal") or request.get("aWSAccountIds") or []
        policy: Any = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": given}}]}
    else:
        policy = request.get(_POLICIES.get(name, ""))
        if isinstance(policy, dict) and isinstance(policy.get("Policy"), str):
            policy = policy["Policy"]
    return frozenset(trust.principals(trust.document(policy)))


def provider_of(act: Any, detail: dict[str, Any]) -> str:  # noqa: ANN401 - a row of acts
    """ARN or name of the identity provider behind a federated session; '' when the record does not say."""
    if act["event_name"] not in FEDERATED:
        return ""
    asked, answer = detail.get("request") or {}, detail.get("response") or {}
    found = asked.get("principalArn") or asked.get("providerId") or answer.get("provider")
    return found if isinstance(found, str) else ""


def is_provider(arn: str) -> bool:
    """Whether an ARN is that of an identity provider of IAM."""
    return ":saml-provider/" in arn or ":oidc-provider/" in arn


def accounts(doors: set[Door]) -> set[str]:
    """Accounts that a changed resource policy names."""
    found: set[str] = set()
    for door in doors:
        if door.kind == RESOURCE:
            found |= {trust.account_of(one) for one in door.admits}
    return found - {""}


def lets_in(door: Door, principal: object, account: object) -> bool:
    """Whether a caller from another account is among those whom a resource policy names."""
    return trust.admits({*door.admits, *map(trust.account_of, door.admits)} - {""}, principal, account)
