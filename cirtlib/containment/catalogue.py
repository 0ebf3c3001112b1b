"""What can be done about identities: keys, users, roles and their sessions.

Each function gives one step on one target; the plan adds why, for whom and in which order. The calls, their order and
what they do not stop follow the IAM user guide (revoking sessions, disabling temporary credentials) and the AWS
incident-response playbooks for compromised credentials.
"""

import json
from typing import Any

from cirtlib.containment.restore import Trust
from cirtlib.containment.step import NOW, Ref, Step, call, quoted, read
from cirtlib.text import visible
from cirtlib.trust import principals

REVOKE = "AWSRevokeOlderSessions"
PROPAGATION_SECONDS = 60  # IAM is eventually consistent; changes are mostly seen everywhere within a minute
AGAIN_SECONDS = 300
ROLE_SESSION_SECONDS = 12 * 3600  # the longest MaxSessionDuration
USER_SESSION_SECONDS = 36 * 3600  # the longest GetSessionToken and GetFederationToken
_GLOBAL = {"aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
_REVOCATION = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Action": ["*"],
                "Resource": ["*"],
                "Condition": {"DateLessThan": {"aws:TokenIssueTime": NOW}},
            }
        ],
    },
    separators=(",", ":"),
)
_LIMIT = "Fails if ten managed policies are attached already; then put an inline policy that denies everything."


def name_of(arn: str) -> str:
    """Name of a user or role, without its path."""
    return arn.rsplit("/", 1)[-1]


def iam_region(arn: str) -> str:
    """Region to which IAM of this ARN's partition answers."""
    return _GLOBAL.get(arn.split(":")[1], "us-east-1")


def deny_all(arn: str) -> str:
    """ARN of the AWS managed policy AWSDenyAll in the partition of `arn`."""
    return f"arn:{arn.split(':')[1]}:iam::aws:policy/AWSDenyAll"


def _step(key: str, phase: str, arn: str, **rest: Any) -> Step:  # noqa: ANN401 - the fields of Step
    return Step(key=key, phase=phase, target=arn, account=arn.split(":")[4], region=iam_region(arn), **rest)


def key_inactive(user: str, key_id: str) -> Step:
    """Deactivate one long-term key; never delete it, for its history stays readable."""
    name = name_of(user)
    status = read(
        call("iam", "ListAccessKeys", UserName=name),
        f"AccessKeyMetadata[?AccessKeyId=={quoted(key_id)}].Status | [0]",
    )
    change = {"UserName": name, "AccessKeyId": key_id}
    return _step(
        f"key {key_id}",
        "contain",
        user,
        title=f"Deactivate access key {visible(key_id)} of {visible(name)}",
        api=call("iam", "UpdateAccessKey", **change, Status="Inactive"),
        captures={"status": {**status, "expected": "Active"}},
        verify={**status, "expected": "Inactive"},
        rollback={"api": call("iam", "UpdateAccessKey", **change, Status="Active")},
        rollback_note="The attacker holds this key. Give its owner a new one instead.",
        reopens=True,
        side_effects=(
            "Whatever runs with this key stops working.",
            "Sessions that the key minted (GetSessionToken, GetFederationToken) live on; denying the user stops them.",
        ),
    )


def deny_user(user: str) -> Step:
    """Attach AWSDenyAll to a user: it stops the user's sessions and console too, which a disabled key does not.

    When it may be lifted, the plan says once it has all other steps (`returning.conditions`).
    """
    name, policy = name_of(user), deny_all(user)
    attached = read(
        call("iam", "ListAttachedUserPolicies", UserName=name),
        f"contains(AttachedPolicies[].PolicyArn, {quoted(policy)})",
    )
    return _step(
        f"deny {user}",
        "contain",
        user,
        title=f"Deny everything to user {visible(name)}",
        api=call("iam", "AttachUserPolicy", UserName=name, PolicyArn=policy),
        captures={"denied": {**attached, "expected": False}},
        verify={**attached, "expected": True},
        rollback={"api": call("iam", "DetachUserPolicy", UserName=name, PolicyArn=policy)},
        rollback_note="Not before what the attacker came in with as this user is taken away.",
        reopens=True,
        side_effects=(
            "The user can do nothing at all, in the console and by any key or session.",
            "sts:GetCallerIdentity still answers: the credential is alive, it has no access.",
            _LIMIT,
        ),
    )


def deny_role(role: str, *, requires: tuple[str, ...], reopens: bool) -> Step:
    """Attach AWSDenyAll to a role: every attachment stays, and everything is denied until it is detached."""
    name, policy = name_of(role), deny_all(role)
    attached = read(
        call("iam", "ListAttachedRolePolicies", RoleName=name),
        f"contains(AttachedPolicies[].PolicyArn, {quoted(policy)})",
    )
    return _step(
        f"deny {role}",
        "contain",
        role,
        title=f"Strip role {visible(name)}: deny everything",
        api=call("iam", "AttachRolePolicy", RoleName=name, PolicyArn=policy),
        captures={"denied": {**attached, "expected": False}},
        verify={**attached, "expected": True},
        rollback={"api": call("iam", "DetachRolePolicy", RoleName=name, PolicyArn=policy), "requires": requires},
        rollback_note="The deny may go once the door is closed and the sessions are revoked, and while both stand.",
        reopens=reopens,
        side_effects=("Every session of the role is stopped, those of its rightful users and services too.", _LIMIT),
    )


def close_trust(role: str, trust: Trust) -> Step:
    """Put a role's trust policy back to what it was before the attack."""
    name = name_of(role)
    get = call("iam", "GetRole", RoleName=name)
    added = sorted(principals(trust.now) - principals(trust.before))
    telling = not any(one in _text(trust.before) for one in added)
    has = [f"contains(to_string(Role.AssumeRolePolicyDocument), {quoted(one)})" for one in added]
    if has and telling:
        still, closed = " && ".join(has), " && ".join(f"!{one}" for one in has)
    else:  # no added name tells the two apart: only the whole document does
        still = f"Role.AssumeRolePolicyDocument == {quoted(trust.now)}"
        closed = f"Role.AssumeRolePolicyDocument == {quoted(trust.before)}"
    return _step(
        f"trust {role}",
        "contain",
        role,
        title=f"Close the door: put the trust policy of {visible(name)} back",
        api=call("iam", "UpdateAssumeRolePolicy", RoleName=name, PolicyDocument=_text(trust.before)),
        captures={
            "trust": read(get, "to_string(Role.AssumeRolePolicyDocument)"),
            "as_recorded": read(get, still, expected=True),
        },
        verify=read(get, closed, expected=True),
        rollback={
            "api": call("iam", "UpdateAssumeRolePolicy", RoleName=name, PolicyDocument=Ref("${self.trust}")),
        },
        rollback_note="The captured policy lets the attacker in.",
        reopens=True,
        side_effects=(
            f"Restored from: {trust.source}.",
            "Does not end sessions that were opened through the door; the revocation does.",
            *((f"No longer trusted: {', '.join(map(visible, added))}.",) if added else ()),
        ),
    )


def revoke(role: str, *, after: str, again: bool = False) -> Step:
    """Deny every session of a role issued before this moment; the second time catches what IAM was late to see."""
    name = name_of(role)
    get = call("iam", "GetRolePolicy", RoleName=name, PolicyName=REVOKE)
    cut_off = 'PolicyDocument.Statement[0].Condition.DateLessThan."aws:TokenIssueTime"'
    bound = "${self.now}" if again else "${after.now}"
    captures = {"revoked_until": read(get, cut_off)}
    return _step(
        f"revoke-again {role}" if again else f"revoke {role}",
        "contain",
        role,
        title=f"Revoke the sessions of {visible(name)}{' again' if again else ' issued until now'}",
        api=call("iam", "PutRolePolicy", RoleName=name, PolicyName=REVOKE, PolicyDocument=Ref(_REVOCATION)),
        captures=captures,
        verify=read(get, f"sort([{cut_off}, '{bound}'])[0] == '{bound}'", expected=True),
        rollback={
            "api": call("iam", "DeleteRolePolicy", RoleName=name, PolicyName=REVOKE),
            "not_before": {"step": f"revoke-again {role}", "seconds": ROLE_SESSION_SECONDS},
        }
        if again
        else "irreversible",
        rollback_note="Before the longest session has run out, sessions of the attacker would live again."
        if again
        else "The second revocation overwrites this one; its rollback lifts both.",
        side_effects=(
            "Sessions of rightful users and services issued before this moment stop too; they take a new one.",
            "The condition key is absent for long-term keys, so this stops sessions only.",
            "An instance's role hands out new credentials only when they are due: applications may fail for hours.",
        ),
        wait={"after": after, "seconds": AGAIN_SECONDS if again else PROPAGATION_SECONDS},
        depends_on=(after,),
    )


def detach_policy(owner: str, policy: str) -> Step:
    """Take off a managed policy that the attacker attached to a user or role."""
    kind, name = ("User", name_of(owner)) if ":user/" in owner else ("Role", name_of(owner))
    attached = read(
        call("iam", f"ListAttached{kind}Policies", **{f"{kind}Name": name}),
        f"contains(AttachedPolicies[].PolicyArn, {quoted(policy)})",
    )
    change = {f"{kind}Name": name, "PolicyArn": policy}
    return _step(
        f"detach {policy} {owner}",
        "eradicate",
        owner,
        title=f"Detach {visible(name_of(policy))} from {visible(name)}",
        api=call("iam", f"Detach{kind}Policy", **change),
        captures={"attached": {**attached, "expected": True}},
        verify={**attached, "expected": False},
        rollback={"api": call("iam", f"Attach{kind}Policy", **change)},
        rollback_note="The attacker attached it.",
        reopens=True,
        side_effects=("What was done with these permissions no longer works.",),
    )


def inline_policy(owner: str, policy: str, before: dict[str, Any] | None) -> Step:
    """Undo an inline policy that the attacker put: back to the document before, or removed."""
    kind, name = ("User", name_of(owner)) if ":user/" in owner else ("Role", name_of(owner))
    where = {f"{kind}Name": name, "PolicyName": policy}
    listed = read(
        call("iam", f"List{kind}Policies", **{f"{kind}Name": name}), f"contains(PolicyNames, {quoted(policy)})"
    )
    get = call("iam", f"Get{kind}Policy", **where)
    verify = {**listed, "expected": False}
    if before is not None:
        verify = read(get, f"PolicyDocument == {quoted(before)}", expected=True)
    put = call("iam", f"Put{kind}Policy", **where, PolicyDocument=Ref("${self.policy}"))
    return _step(
        f"inline {policy} {owner}",
        "eradicate",
        owner,
        title=f"{'Remove' if before is None else 'Put back'} inline policy {visible(policy)} of {visible(name)}",
        api=call("iam", f"Delete{kind}Policy", **where)
        if before is None
        else call("iam", f"Put{kind}Policy", **where, PolicyDocument=_text(before)),
        captures={"policy": read(get, "to_string(PolicyDocument)"), "present": {**listed, "expected": True}},
        verify=verify,
        rollback={"api": put},
        rollback_note="The captured document is the attacker's.",
        reopens=True,
        side_effects=("What was done with these permissions no longer works.",),
    )


def leave_group(user: str, group: str) -> Step:
    """Take a user out of a group that the attacker added it to."""
    name = name_of(user)
    member = read(call("iam", "ListGroupsForUser", UserName=name), f"contains(Groups[].GroupName, {quoted(group)})")
    change = {"UserName": name, "GroupName": group}
    return _step(
        f"group {group} {user}",
        "eradicate",
        user,
        title=f"Take {visible(name)} out of group {visible(group)}",
        api=call("iam", "RemoveUserFromGroup", **change),
        captures={"member": {**member, "expected": True}},
        verify={**member, "expected": False},
        rollback={"api": call("iam", "AddUserToGroup", **change)},
        rollback_note="The attacker added it.",
        reopens=True,
        side_effects=("The user loses what the group allows.",),
    )


def delete_login_profile(user: str) -> Step:
    """Delete a console password that the attacker set; IAM has no way to deactivate one."""
    return _step(
        f"login {user}",
        "eradicate",
        user,
        title=f"Delete the console password of {visible(name_of(user))}",
        **_password_deleted(user),
        rollback_note="The password is the attacker's. A rightful owner gets a new one with CreateLoginProfile.",
        side_effects=(
            "Nobody signs in to the console as this user until a new password is made.",
            "A console session that is open lives on; the deny on the user stops it.",
        ),
    )


def delete_known_password(user: str) -> Step:
    """Delete a console password from before the attack that the attacker knows.

    UpdateLoginProfile with a new one would do as well, but then a secret has to be in the plan, or in its runner; and
    with PasswordResetRequired alone whoever knows the old password chooses the next.
    """
    name = name_of(user)
    change = _password_deleted(user)
    change["captures"]["profile"] = read(call("iam", "GetLoginProfile", UserName=name), "LoginProfile")
    return _step(
        f"known-password {user}",
        "contain",
        user,
        title=f"Delete the console password of {visible(name)}, which the attacker knows",
        **change,
        rollback_note="Nobody can put the old password back, and the attacker knows it. The owner gets a new one: see "
        "“Recover”. No password stands in this plan or in what its scripts save.",
        side_effects=(
            f"{visible(name)} cannot sign in to the console either, until given a new password.",
            "Access keys, MFA devices and permissions of the user stay as they are.",
        ),
        does_not_stop=(
            "A console session that is open lives on; only the deny on the user stops it.",
            "Whatever else the owner opens with the same password.",
        ),
    )


def _password_deleted(user: str) -> dict[str, Any]:
    """Call that deletes a console password, what was there before, and how to see that it is gone."""
    name = name_of(user)
    get = call("iam", "GetLoginProfile", UserName=name)
    return {
        "api": call("iam", "DeleteLoginProfile", UserName=name),
        "captures": {"has_password": read(get, "type(LoginProfile)", expected="object")},
        "verify": read(get, "type(LoginProfile)", expected=None),
    }


def _text(policy: dict[str, Any]) -> str:
    return json.dumps(policy, separators=(",", ":"))
