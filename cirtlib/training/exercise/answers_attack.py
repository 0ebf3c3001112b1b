"""Answers about the attack: by whom, with what, from where, and what was left behind."""

import json
import re

from cirtlib.training.exercise.answers import (
    Answer,
    Json,
    acts,
    answer,
    at,
    first,
    moment,
    name_of,
    principal,
    text_at,
)
from cirtlib.training.exercise.record import Record

_USER = re.compile(r"(?<=resource: )arn:aws:iam::\d{12}:user/[\w+=,.@/-]+")
_ACCOUNT = re.compile(r"(?<!\d)\d{12}(?!\d)")


@answer
def first_address(record: Record) -> Answer:
    """Address from which the attack began."""
    return text_at("sourceIPAddress", first(record))


@answer
def second_address(record: Record) -> Answer:
    """Address from which the key that the attacker made was used."""
    return text_at("sourceIPAddress", first(record, key=str(created_key(record))))


@answer
def workload(record: Record) -> Answer:
    """Account in which the attack changed most: that of its first change, or of the false alarm."""
    change = next((one for one in acts(record) if not one["readOnly"] and ":iam::" in principal(one)), None)
    if change:
        return str(change["recipientAccountId"])
    return str(record.truth["alarm"]["principal"]).split(":")[4] if "alarm" in record.truth else None


@answer
def leaked_key(record: Record) -> Answer:
    """Long-term key with which the attack began."""
    key = text_at("userIdentity.accessKeyId", first(record)) or ""
    return key if key.startswith("AKIA") else None


@answer
def leaked_user(record: Record) -> Answer:
    """Owner of the leaked key."""
    return text_at("userIdentity.arn", first(record)) if leaked_key(record) else None


@answer
def leaked_user_name(record: Record) -> Answer:
    """Name of the leaked key's owner."""
    return name_of(str(leaked_user(record) or ""))


@answer
def abused_role(record: Record) -> Answer:
    """Role behind the act of the alarm: whose session stopped the trail, or whose credentials were taken."""
    one = first(record, "StopLogging") or first(record)
    return principal(one) if one and ":role/" in principal(one) else None


@answer
def abused_role_name(record: Record) -> Answer:
    """Name of the role whose sessions the attacker used."""
    return name_of(str(abused_role(record) or ""))


@answer
def attacker_session(record: Record) -> Answer:
    """Key of the role session that the attacker got with the leaked key."""
    return text_at("responseElements.credentials.accessKeyId", first(record, "AssumeRole", key=str(leaked_key(record))))


@answer
def colleague_session(record: Record) -> Answer:
    """Key of the session that a colleague has of the same role."""
    return text_at("innocents.legit_role_session.key", record.truth)


@answer
def stopped_at(record: Record) -> Answer:
    """When logging stopped."""
    return moment(first(record, "StopLogging"))


@answer
def refused_stop_at(record: Record) -> Answer:
    """When the attacker tried in vain to stop or delete a trail."""
    return [moment(one).isoformat() for one in acts(record, "StopLogging", "DeleteTrail", failed=True)]  # type: ignore[union-attr]


@answer
def quiet_trail(record: Record) -> Answer:
    """ARN of the trail that was stopped."""
    return text_at("logging.trail", record.truth)


@answer
def organization_trail(record: Record) -> Answer:
    """Names of the organization trails that still log."""
    trails = [one for content in record.after["accounts"].values() for one in content["trails"]]
    return [one["Name"] for one in trails if one["IsOrganizationTrail"] and one["IsLogging"]]


@answer
def other_account_trails(record: Record) -> Answer:
    """Names of the trails that belong to one account alone."""
    trails = [one for content in record.after["accounts"].values() for one in content["trails"]]
    return [one["Name"] for one in trails if not one["IsOrganizationTrail"]]


@answer
def created_user(record: Record) -> Answer:
    """User that the attacker made."""
    return text_at("responseElements.user.arn", first(record, "CreateUser"))


@answer
def refused_user(record: Record) -> Answer:
    """Users that the attacker tried to make in vain; the refusal names them, the request is not recorded."""
    said = [one.get("errorMessage", "") for one in acts(record, "CreateUser", failed=True)]
    named = {found[0] for text in said if (found := _USER.search(text))}
    return sorted(named - {str(created_user(record))})  # tried again, with success


@answer
def key_owner(record: Record) -> Answer:
    """User for whom the attacker made a key."""
    one = first(record, "CreateAccessKey")
    name = text_at("responseElements.accessKey.userName", one)
    return f"arn:aws:iam::{one['recipientAccountId']}:user/{name}" if one and name else None


@answer
def key_owner_name(record: Record) -> Answer:
    """Name of the user for whom the attacker made a key."""
    return name_of(str(key_owner(record) or ""))


@answer
def created_key(record: Record) -> Answer:
    """Long-term key that the attacker made."""
    return text_at("responseElements.accessKey.accessKeyId", first(record, "CreateAccessKey"))


@answer
def owners_own_key(record: Record) -> Answer:
    """Keys that the user had before the attacker made another."""
    users = [one for content in record.before["accounts"].values() for one in content["users"]]
    return [key["AccessKeyId"] for one in users if one["Arn"] == key_owner(record) for key in one["keys"]]


@answer
def door(record: Record) -> Answer:
    """Role whose trust policy the attacker widened."""
    one = first(record, "UpdateAssumeRolePolicy")
    name = text_at("requestParameters.roleName", one)
    return f"arn:aws:iam::{one['recipientAccountId']}:role/{name}" if one and name else None


@answer
def door_name(record: Record) -> Answer:
    """Name of the role whose trust policy the attacker widened."""
    return name_of(str(door(record) or ""))


def _trusted(policy: Json) -> set[str]:
    return set(_ACCOUNT.findall(json.dumps(policy)))


@answer
def trusted_account(record: Record) -> Answer:
    """Account that the attacker let into the role."""
    one = first(record, "UpdateAssumeRolePolicy")
    if not one:
        return None
    now = _trusted(json.loads(at("requestParameters.policyDocument", one)))
    return sorted(now - _trusted(record.truth["trust_before"][str(door(record))]))


@answer
def trusted_before(record: Record) -> Answer:
    """Accounts that the role had let in before."""
    return sorted(_trusted(record.truth["trust_before"][str(door(record))])) if door(record) else None


@answer
def trust_document(record: Record) -> Answer:
    """Trust policy of the role as it was before the attack, as JSON."""
    return json.dumps(record.truth["trust_before"][str(door(record))]) if door(record) else None


@answer
def snapshot(record: Record) -> Answer:
    """Snapshot that the attacker shared."""
    return text_at("requestParameters.snapshotId", first(record, "ModifySnapshotAttribute"))


@answer
def snapshot_region(record: Record) -> Answer:
    """Region of the shared snapshot."""
    return text_at("awsRegion", first(record, "ModifySnapshotAttribute"))


@answer
def snapshot_account(record: Record) -> Answer:
    """Account with which the attacker shared the snapshot."""
    added = at("requestParameters.createVolumePermission.add.items", first(record, "ModifySnapshotAttribute"))
    return [one["userId"] for one in added or ()]


@answer
def made_instances(record: Record) -> Answer:
    """Instances that the attacker started."""
    started = [at("responseElements.instancesSet.items", one) or () for one in acts(record, "RunInstances")]
    return [item["instanceId"] for items in started for item in items]


@answer
def made_instances_region(record: Record) -> Answer:
    """Region in which the attacker started instances."""
    return text_at("awsRegion", first(record, "RunInstances"))


@answer
def second_account(record: Record) -> Answer:
    """Account that the attacker reached beside the first, with a role there."""
    arn = bridge(record)
    return str(arn).split(":")[4] if arn else None


@answer
def bridge(record: Record) -> Answer:
    """Role in another account that the attacker's key was used to assume."""
    one = first(record, "AssumeRole", key=str(created_key(record)))
    return text_at("requestParameters.roleArn", one)


@answer
def bridge_name(record: Record) -> Answer:
    """Name of the role in the other account."""
    return name_of(str(bridge(record) or ""))


@answer
def objects_read(record: Record) -> Answer:
    """How many objects of S3 the attacker fetched."""
    fetched = acts(record, "GetObject")
    return str(len(fetched)) if fetched else None


@answer
def stolen_instance(record: Record) -> Answer:
    """Instance whose credentials were used from outside."""
    return [name_of(one) or "" for one in record.truth["leads"]]


@answer
def stolen_sessions(record: Record) -> Answer:
    """Keys of the credentials that the instance had, and the attacker used."""
    own = [one for one in acts(record) if any(_session(one) == name_of(arn) for arn in record.truth["leads"])]
    return sorted({str(at("userIdentity.accessKeyId", one)) for one in own})


def _session(one: Json) -> str:
    return str(one["userIdentity"].get("principalId", "")).rpartition(":")[2]


@answer
def first_theft(record: Record) -> Answer:
    """When the instance's credentials were first used by the attacker."""
    return moment(first(record)) if record.truth["leads"] else None


@answer
def phished_principal(record: Record) -> Answer:
    """User or role in whose name the phished console session acted."""
    return _password_giver(record)


@answer
def phished_user_name(record: Record) -> Answer:
    """Name of the IAM user whose console session was phished; nobody where it was a role's."""
    arn = str(_password_giver(record) or "")
    return name_of(arn) if ":user/" in arn else None


def _password_giver(record: Record) -> Answer:
    one = first(record, "CreateLoginProfile")
    return principal(one) if one else None


@answer
def phished_at(record: Record) -> Answer:
    """When the attacker was signed in as the victim."""
    return moment(first(record, "ConsoleLogin"))


@answer
def password_at(record: Record) -> Answer:
    """When a user was given a password."""
    return moment(first(record, "CreateLoginProfile"))


@answer
def password_call(record: Record) -> Answer:
    """Call that gave a user a way to sign in to the console."""
    return text_at("eventName", first(record, "CreateLoginProfile", "UpdateLoginProfile"))


@answer
def key_call(record: Record) -> Answer:
    """Call that made a long-term key."""
    return text_at("eventName", first(record, "CreateAccessKey"))


@answer
def password_used_at(record: Record) -> Answer:
    """When the attacker signed in with that password."""
    signed = [one for one in acts(record, "ConsoleLogin") if name_of(principal(one)) == key_owner_name(record)]
    return moment(next(iter(signed), None))


@answer
def made_key_used_at(record: Record) -> Answer:
    """When the attacker first used the key that they made."""
    made = created_key(record)
    return moment(first(record, key=str(made))) if made else None


@answer
def what_was_read(record: Record) -> Answer:
    """What the attacker fetched: mail, objects or secrets."""
    if acts(record, "StartMailboxExportJob"):
        return "mail"
    if acts(record, "GetObject"):
        return "objects"
    return "secrets" if acts(record, "GetSecretValue") else None


@answer
def rights_raised(record: Record) -> Answer:
    """Whether the attacker gave the user more rights: yes or no."""
    return "yes" if acts(record, "AttachUserPolicy", "PutUserPolicy", "AddUserToGroup") else "no"


@answer
def raised_policy(record: Record) -> Answer:
    """Managed policy that the attacker gave a user who existed before."""
    one = None if created_user(record) else first(record, "AttachUserPolicy")
    return text_at("requestParameters.policyArn", one)


@answer
def raised_user_name(record: Record) -> Answer:
    """Name of the user whose rights the attacker raised, and who existed before."""
    one = None if created_user(record) else first(record, "AttachUserPolicy")
    return text_at("requestParameters.userName", one)
