"""What the attacker left in the accounts, thing by thing, and whether it still stands."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cirtlib.training.account_state import INITIAL_PASSWORD, backend, by_arn
from cirtlib.training.exercise.record import Record
from cirtlib.training.practice.attacker import Try
from cirtlib.training.practice.authorise import Authority

Json = dict[str, Any]
# What to do about it, next time.
_END_USER = "deactivate its keys, delete its password, and deny it everything; or delete it"
_END_SIGN_IN = "delete it, or have its owner set another"
_END_TRUST = "put the trust policy back that stood before the attack"
_END_MACHINE = "take snapshots of its volumes, then stop it"


@dataclass(frozen=True)
class Left:
    """One thing of the attacker's: its node in the extent, what it is, and whether it stands."""

    node: str
    text: str
    stands: bool


def left(authority: Authority, record: Record, tries: list[Try]) -> list[Left]:
    """Everything that the attacker made, shared or opened, with whether it is still so.

    A user that stays counts as gone when nothing can be done with it: no key and no password works, or all is refused.
    """
    alive = {one.owner for one in tries if one.result != "closed"}
    return [
        *_users(record, alive),
        *_keys(authority, record),
        *_passwords(record),
        *_policies(record, alive),
        *_trusts(authority, record),
        *_machines(record),
        *_key_pairs(record),
        *_snapshots(record),
    ]


def _done(record: Record, name: str) -> Iterator[Json]:
    """The attacker's calls of a name that succeeded."""
    for pair in record.truth["attacker_events"]:
        event = record.events[tuple(pair)]
        if event["eventName"] == name and not event.get("errorCode"):
            yield event


def _made(record: Record, kind: str) -> list[str]:
    """What the attacker made of a kind of node; what they also used counts as compromised in the extent, but is theirs.

    Users and access keys are therefore taken from the calls that made them.
    """
    found = [
        node["value"]
        for node in record.truth["extent"]
        if node["kind"] == kind and node["status"] == "attacker_created"
    ]
    if kind == "principal":
        found += [event["responseElements"]["user"]["arn"] for event in _done(record, "CreateUser")]
    if kind == "credential":
        found += [event["responseElements"]["accessKey"]["accessKeyId"] for event in _done(record, "CreateAccessKey")]
    return list(dict.fromkeys(found))


def _users(record: Record, alive: set[str]) -> Iterator[Left]:
    for arn in _made(record, "principal"):
        if ":user/" not in arn:
            continue
        user = by_arn(arn.split(":")[4], arn)
        usable = user is not None and (
            user.password is not None or any(key.status == "Active" for key in user.access_keys)
        )
        yield Left(f"principal:{arn}", f"user {arn}, which the attacker made: {_END_USER}", usable and arn in alive)


def _keys(authority: Authority, record: Record) -> Iterator[Left]:
    """Keys that were made for users who were there before: a deactivated one does no harm."""
    made = set(_made(record, "principal"))
    for key in _made(record, "credential"):
        if not key.startswith("AKIA"):
            continue
        known = authority.register.find(key)
        if known is not None and known.owner in made:
            continue
        stands = known is not None and not authority.register.active(known, authority.now())
        yield Left(f"credential:{key}", f"access key {key}, which the attacker made: deactivate it", stands)


def _passwords(record: Record) -> Iterator[Left]:
    made = set(_made(record, "principal"))
    for account, content in record.after["accounts"].items():
        before = {one["Arn"]: one["login_profile"] for one in record.before["accounts"][account]["users"]}
        for user in content["users"]:
            if not user["login_profile"] or before.get(user["Arn"], False) or user["Arn"] in made:
                continue
            now = by_arn(account, user["Arn"])
            stands = now is not None and now.password == INITIAL_PASSWORD
            yield Left(
                f"principal:{user['Arn']}",
                f"the console password of {user['Arn']}, which the attacker set: {_END_SIGN_IN}",
                stands,
            )


def _policies(record: Record, alive: set[str]) -> Iterator[Left]:
    """Managed policies that the attacker attached to users who were there before."""
    made = set(_made(record, "principal"))
    for event in _done(record, "AttachUserPolicy"):
        account, given = event["recipientAccountId"], event["requestParameters"]
        user = backend("iam", account).users.get(given["userName"])
        arn = next(
            (one["Arn"] for one in record.after["accounts"][account]["users"] if one["UserName"] == given["userName"]),
            "",
        )
        if not arn or arn in made:
            continue
        stands = user is not None and given["policyArn"] in user.managed_policies and arn in alive
        text = f"policy {given['policyArn'].rsplit('/', 1)[-1]}, which the attacker attached to {arn}: detach it"
        yield Left(f"principal:{arn}", text, stands)


def _trusts(authority: Authority, record: Record) -> Iterator[Left]:
    for arn in record.truth["trust_before"]:
        if not any(node["value"] == arn for node in record.truth["extent"]):
            continue
        role = by_arn(arn.split(":")[4], arn)
        trusted = json.dumps(json.loads(role.assume_role_policy_document)) if role else ""
        for account in record.truth["external_accounts"]:
            if account not in json.dumps(_role(record.after, arn)["trust"]):
                continue
            ruled = authority.judge(authority.register.foreign(account), "sts:AssumeRole", arn, {}) if role else None
            stands = account in trusted and ruled is not None and ruled.passes
            yield Left(f"principal:{arn}", f"the trust of role {arn} in account {account}: {_END_TRUST}", stands)


def _role(state: Json, arn: str) -> Json:
    return next(one for content in state["accounts"].values() for one in content["roles"] if one["Arn"] == arn)


def _machines(record: Record) -> Iterator[Left]:
    for arn in _made(record, "resource"):
        account, region, kind = arn.split(":")[4], arn.split(":")[3], arn.split(":")[5].partition("/")[0]
        if ":ec2:" not in arn or kind != "instance":
            continue
        name = arn.rsplit("/", 1)[-1]
        held = backend("ec2", account, region).reservations.values()
        machine = next((one for reservation in held for one in reservation.instances if one.id == name), None)
        stands = machine is not None and machine._state.name in ("running", "pending")
        yield Left(
            f"resource:{arn}", f"instance {name} in {region}, which the attacker started: {_END_MACHINE}", stands
        )


def _key_pairs(record: Record) -> Iterator[Left]:
    """Key pairs: whoever has one logs in to every machine that is started with it."""
    for arn in _made(record, "resource"):
        account, region, (kind, _, name) = arn.split(":")[4], arn.split(":")[3], arn.split(":")[5].partition("/")
        if kind == "key-pair":
            held = backend("ec2", account, region).key_pairs.values()
            stands = any(one.id == name for one in held)
            yield Left(f"resource:{arn}", f"key pair {name} in {region}, which the attacker made: delete it", stands)


def _snapshots(record: Record) -> Iterator[Left]:
    for account, content in record.after["accounts"].items():
        for snapshot in content.get("snapshots", []):
            foreign = set(snapshot.get("shared_with", [])) & set(record.truth["external_accounts"])
            for other in sorted(foreign):
                name, region = snapshot["SnapshotId"], snapshot["Region"]
                now = backend("ec2", account, region).snapshots.get(name)
                stands = now is not None and other in now.create_volume_permission_userids
                node = f"resource:arn:aws:ec2:{region}::snapshot/{name}"
                yield Left(node, f"snapshot {name} is shared with account {other}: take the permission back", stands)
