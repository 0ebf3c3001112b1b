"""What no step of a plan can change: why, and what to do instead.

Service-linked roles, roles of IAM Identity Center, root, accounts that are not ours, and the quarantine policies that
AWS attaches when it finds a key in public.
"""

import re
import shlex

from cirtlib import trust
from cirtlib.containment.catalogue import name_of
from cirtlib.containment.history import Act, user_of
from cirtlib.containment.incident import Incident
from cirtlib.containment.step import Step
from cirtlib.errors import PlanError
from cirtlib.text import visible

QUARANTINE = "AWSCompromisedKeyQuarantine"
_SHOWN = 5
_OF_SESSIONS = ("deny", "revoke", "revoke-again")  # steps that take nothing back from another account
_ACCOUNT = re.compile(r"(?<!\d)\d{12}(?!\d)")
_SSO = re.compile(r"AWSReservedSSO_(.+)_[0-9a-f]{12,16}")
_NAME = re.compile(r"[\w+=,.@-]{1,64}")
# calls that let another account in, by a trust policy, a resource policy, a share or a grant
_LETS_IN = frozenset({
    "AddPermission", "CreateGrant", "CreateRole", "ModifyDBClusterSnapshotAttribute", "ModifyDBSnapshotAttribute",
    "ModifyImageAttribute", "ModifySnapshotAttribute", "PutBucketPolicy", "PutKeyPolicy", "PutPermission",
    "PutResourcePolicy", "SetQueueAttributes", "SetRepositoryPolicy", "SetTopicAttributes", "UpdateAssumeRolePolicy",
})  # fmt: skip


def uneditable(incident: Incident, role: str) -> str:
    """Why IAM lets nobody here edit a role, and what to do instead; empty where it does."""
    account = role.split(":")[4]
    if "/aws-service-role/" in role:
        service = role.split("/aws-service-role/")[1].split("/", maxsplit=1)[0]
        return (
            "a service-linked role cannot be edited, and no service control policy binds it: look at what "
            f"{visible(service)} was told to do in account {account} and undo it there; the role goes with "
            "iam:DeleteServiceLinkedRole when the service no longer needs it"
        )
    if "/AWSReservedSSO_" in role:
        return _identity_center(incident, role)
    return ""


def unreachable(incident: Incident, arn: str) -> str:
    """Why a user or role of an account that is not ours has no step; empty where the account is ours."""
    account = trust.account_of(arn)
    if not incident.accounts or not account or account in incident.accounts:
        return ""
    return of_account(account)


def of_account(account: str) -> str:
    """What is said of an identity of an account that is not ours."""
    return f"of account {account}, which this plan does not reach: tell its owner; its doors here are closed"


def _identity_center(incident: Incident, role: str) -> str:
    """What to do about a role of IAM Identity Center: its sessions bear the names of the users there."""
    account = role.split(":")[4]
    permission_set = _SSO.fullmatch(name_of(role))
    found = permission_set[1] if permission_set else "PERMISSION-SET"
    events = incident.log.attackers
    users = events.loc[events["principal"] == role, "session_name"].dropna().unique()
    users = sorted(one for one in map(str, users) if _NAME.fullmatch(one))[:_SHOWN]
    find = [
        f"`aws identitystore list-users --identity-store-id ID --filters AttributePath=UserName,AttributeValue="
        f"{shlex.quote(user)}`"
        for user in users or ["USER"]
    ]
    who = f"user{'s'[: len(users) != 1]} {', '.join(users)}" if users else "user whose sessions these are"
    return (
        f"a role of IAM Identity Center cannot be edited: it is the permission set {visible(found)} in account "
        f"{account}. In the account of Identity Center find its instance with `aws sso-admin list-instances`, the "
        f"{who} with {' and '.join(find)}, and who else has the permission set with `aws sso-admin "
        "list-permission-sets --instance-arn ARN` and `aws sso-admin list-account-assignments --instance-arn ARN "
        f"--account-id {account} --permission-set-arn ARN`. Then disable the user and delete its sessions there "
        "(console, or the identity provider), take its assignment away, and give the permission set an inline policy "
        "that denies everything to identitystore:UserId with aws:TokenIssueTime before now, and provision it: role "
        "sessions live up to 12 hours without that"
    )


def root(incident: Incident, arn: str) -> str:
    """What to do about the root user of an account, which no IAM policy binds."""
    account, manager = arn.split(":")[4], incident.management[0]
    then = "change its password, e-mail password and MFA, delete its access keys, and open a case with AWS Support"
    if manager and account != manager:
        return (
            f"no IAM policy binds root: in the management account {manager} delete its credentials by centralised "
            "root access (sts AssumeRoot with the task policy IAMDeleteRootUserCredentials), or deny it by a service "
            f"control policy; the emergency brake binds it too. Else {then}"
        )
    if manager:
        return f"no IAM policy binds root, and this is the management account, which no guard-rail binds: {then}"
    return (
        f"no IAM policy binds root: {then}; in a member account of an organization its management account can delete "
        "root's credentials (centralised root access) or deny it by a service control policy"
    )


def foreign(incident: Incident, steps: tuple[Step, ...]) -> list[dict[str, str]]:
    """Entries for accounts that are not ours and that the attacker let in: who, by what, and which steps end it."""
    named: dict[str, list[Act]] = {}
    for act in incident.history:
        if act.attacker and act.name in _LETS_IN:
            for account in sorted(set(_ACCOUNT.findall(str(act.request))) - incident.accounts):
                named.setdefault(account, []).append(act)
    entries = []
    for account, acts in sorted(named.items()):
        ids = {act.event_id for act in acts}
        ending = [step.id for step in steps if ids & set(step.why) and step.key.split(" ", 1)[0] not in _OF_SESSIONS]
        by = ", ".join(f"{act.name} (event {visible(act.event_id)})" for act in acts[:_SHOWN])
        ends = f"Taken back by {', '.join(ending)}" if ending else "No step takes that back: look at it by hand"
        reason = (
            f"not one of our accounts, so nothing can be done in it. The attacker let it in by {by}. {ends}; what was "
            "copied there stays there: tell its owner, or report it to AWS Trust and Safety"
        )
        entries.append({"node": f"account:{account}", "reason": reason})
    return entries


def exposure(incident: Incident) -> tuple[list[dict[str, str]], list[str]]:
    """Entries and warnings of users whom AWS put under quarantine: it found a key of theirs in public."""
    entries, warnings = [], []
    for act in incident.history:
        policy = str(act.request.get("policyArn", ""))
        if act.name != "AttachUserPolicy" or not quarantine(policy):
            continue
        user, name = user_of(act, incident.history), name_of(policy)
        by = _by(incident, act)
        gone = [
            later
            for later in incident.history[incident.history.index(act) + 1 :]
            if later.name == "DetachUserPolicy"
            and later.account == act.account
            and (later.request.get("userName"), later.request.get("policyArn")) == (name_of(user), policy)
        ]
        now = (
            f"It was taken off since by event {visible(gone[0].event_id)}: attach it again until the key is dealt with."
            if gone
            else "Every step of this plan keeps it: take it off when the exposure is remedied, not before."
        )
        said = (
            f"{by} attached {visible(name)} to user {visible(name_of(user))} in account {act.account} at "
            f"{act.time:%Y-%m-%dT%H:%M:%SZ} (event {visible(act.event_id)}). AWS does so when it finds a key in "
            f"public. {now} It denies some calls only: it contains nobody."
        )
        warnings.append(f"Exposure alert: {said}")
        entries.append({"node": f"resource:{policy}", "reason": said.rstrip(".")})
    return entries, warnings


def _by(incident: Incident, act: Act) -> str:
    rows = incident.log.rows(["source_ip_kind", "invoked_by"], "event_id = $event", event=act.event_id)
    own = rows["source_ip_kind"].isin(["aws_internal", "aws_service"]) | (rows["invoked_by"] == "AWS Internal")
    return "AWS" if own.any() else visible(act.principal or "somebody")


def quarantine(policy: str) -> bool:
    """Whether this is the ARN of a quarantine policy of AWS."""
    return name_of(policy).startswith(QUARANTINE) and trust.account_of(policy) == "" and ":aws:policy/" in policy


def keep_quarantine(steps: tuple[Step, ...]) -> None:
    """Refuse a plan that takes a quarantine policy of AWS off.

    Raises
    ------
    PlanError
        naming the steps.
    """
    wrong = [
        step.id
        for step in steps
        if step.api["operation"].startswith("Detach") and quarantine(str(step.api["parameters"].get("PolicyArn", "")))
    ]
    if wrong:
        raise PlanError(f"{', '.join(wrong)}: takes off a quarantine policy of AWS, which stays until all is remedied")
