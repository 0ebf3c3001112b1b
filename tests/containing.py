"""Ways to contain on the practice account, sound ones and bad ones; `python -m tests.containing` scores each."""

import gzip
import json
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

from practice_bench import exercise, practice

DENY_ALL = "arn:aws:iam::aws:policy/AWSDenyAll"
DENY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
PARTS = ("ways", "uses", "evidence", "cleanup")


def place(arn):
    """Account, kind and name of a user or role."""
    return arn.split(":")[4], arn.split(":")[5].partition("/")[0], arn.rsplit("/", 1)[-1]


def start_logging(account):
    trail = account.truth["logging"].get("trail")
    if trail:
        account.client("cloudtrail", trail.split(":")[4], trail.split(":")[3]).start_logging(Name=trail)


def machines(account):
    """The attacker's instances: account, Region, id."""
    for arn in account.extent("resource"):
        if ":instance/" in arn:
            yield arn.split(":")[4], arn.split(":")[3], arn.rsplit("/", 1)[-1]


def terminate(account, *, keep):
    for owner, region, name in machines(account):
        ec2 = account.client("ec2", owner, region)
        if keep:
            ec2.create_snapshots(InstanceSpecification={"InstanceId": name})
        ec2.terminate_instances(InstanceIds=[name])


def clean(account):
    """Put back trusts and shares, and drop key pairs."""
    for arn, before in account.truth["trust_before"].items():
        iam = account.client("iam", place(arn)[0])
        iam.update_assume_role_policy(RoleName=place(arn)[2], PolicyDocument=json.dumps(before))
    for arn in account.extent("resource"):
        region, kind, name = arn.split(":")[3], arn.split(":")[5].partition("/")[0], arn.rsplit("/", 1)[-1]
        if kind == "key-pair":
            account.client("ec2", arn.split(":")[4], region).delete_key_pair(KeyPairId=name)
    for owner, content in account.bench.record.after["accounts"].items():
        for snapshot in content["snapshots"]:
            for other in snapshot.get("shared_with", []):
                account.client("ec2", owner, snapshot["Region"]).modify_snapshot_attribute(
                    SnapshotId=snapshot["SnapshotId"], Attribute="createVolumePermission", OperationType="remove",
                    UserIds=[other],
                )  # fmt: skip


def deactivate(account):
    """Deactivate every long-term key that the attacker held."""
    keys = set(account.extent("credential"))
    for owner, content in account.bench.record.after["accounts"].items():
        for user in content["users"]:
            for key in user["keys"]:
                if key["AccessKeyId"] in keys:
                    account.client("iam", owner).update_access_key(
                        UserName=user["UserName"], AccessKeyId=key["AccessKeyId"], Status="Inactive"
                    )


def by_hand(account):
    """An inline policy that denies all."""
    for arn in account.extent("principal", "compromised"):
        owner, kind, name = place(arn)
        who = {"UserName": name} if kind == "user" else {"RoleName": name}
        put = account.client("iam", owner).put_user_policy if kind == "user" else None
        (put or account.client("iam", owner).put_role_policy)(**who, PolicyName="stop", PolicyDocument=DENY)


def boundary(account):
    """A permissions boundary that lets nothing through."""
    for arn in account.extent("principal", "compromised"):
        owner, kind, name = place(arn)
        iam = account.client("iam", owner)
        if kind == "user":
            iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=DENY_ALL)
        else:
            iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=DENY_ALL)


def organization(account):
    """A service control policy that denies the compromised principals, and nobody else."""
    condition = {"ArnEquals": {"aws:PrincipalArn": account.extent("principal", "compromised")}}
    deny_everywhere(account, Condition=condition)


def deny_everywhere(account, **more):
    management = account.emulated.home
    organizations = account.client("organizations", management)
    root = organizations.list_roots()["Roots"][0]
    if not root["PolicyTypes"]:
        organizations.enable_policy_type(RootId=root["Id"], PolicyType="SERVICE_CONTROL_POLICY")
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*"} | more
    made = organizations.create_policy(
        Name="stop", Description="d", Type="SERVICE_CONTROL_POLICY",
        Content=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )  # fmt: skip
    organizations.attach_policy(PolicyId=made["Policy"]["PolicySummary"]["Id"], TargetId=root["Id"])


def delete_made_users(account):
    """Delete the users that the attacker made, with all that they have; and deny the others."""
    before = {u["Arn"] for content in account.bench.record.before["accounts"].values() for u in content["users"]}
    by_hand(account)
    for arn in account.extent("principal"):
        owner, kind, name = place(arn)
        if kind != "user" or arn in before:
            continue
        iam = account.client("iam", owner)
        for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
            iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        for one in iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]:
            iam.detach_user_policy(UserName=name, PolicyArn=one["PolicyArn"])
        for one in iam.list_user_policies(UserName=name)["PolicyNames"]:
            iam.delete_user_policy(UserName=name, PolicyName=one)
        iam.delete_user(UserName=name)


def passwords(account):
    """Take away the passwords that the attacker set."""
    record = account.bench.record
    for owner, content in record.after["accounts"].items():
        before = {one["UserName"]: one["login_profile"] for one in record.before["accounts"][owner]["users"]}
        for user in content["users"]:
            if user["login_profile"] and not before.get(user["UserName"]):
                account.client("iam", owner).delete_login_profile(UserName=user["UserName"])


def soundly(account):
    """See again, deny whom the attacker held, deactivate keys, put back what was changed, keep disks, terminate."""
    start_logging(account)
    by_hand(account)
    deactivate(account)
    passwords(account)
    clean(account)
    terminate(account, keep=True)


def nothing(_):
    """Do nothing."""


def everybody(account):
    """Deny everybody in the organization."""
    start_logging(account)
    deny_everywhere(account)


def wrong_principal(account):
    """Deny and deactivate an innocent whom the logs show beside the attacker."""
    for one in account.truth["innocents"].values():
        user = one.get("user") if isinstance(one, dict) else None
        if not user:
            continue
        owner, _, name = place(user)
        account.client("iam", owner).attach_user_policy(UserName=name, PolicyArn=DENY_ALL)


def terminate_first(account):
    """Contain soundly, but terminate machines before anything else."""
    terminate(account, keep=False)
    for arn in account.truth["leads"]:
        if ":instance/" in arn:
            owner, region, name = arn.split(":")[4], arn.split(":")[3], arn.rsplit("/", 1)[-1]
            account.client("ec2", owner, region).terminate_instances(InstanceIds=[name])
    start_logging(account)
    by_hand(account)
    deactivate(account)
    passwords(account)
    clean(account)


def keys_only(account):
    """Deactivate keys and passwords and clean up, but leave the sessions."""
    start_logging(account)
    deactivate(account)
    passwords(account)
    clean(account)
    terminate(account, keep=True)


def every_finding(account):
    """Deny whomever a finding of GuardDuty names, and look at nothing else."""
    for path in sorted(account.bench.record.findings.rglob("*.jsonl.gz")):
        for line in gzip.decompress(path.read_bytes()).splitlines():
            finding = json.loads(line)
            who = finding["resource"].get("accessKeyDetails", {})
            kind, name = who.get("userType"), who.get("userName")
            iam = (
                account.client("iam", finding["accountId"])
                if finding["accountId"] in account.emulated.profiles
                else None
            )
            if iam is None or finding["service"].get("additionalInfo", {}).get("sample"):
                continue
            try:
                if kind in ("AssumedRole", "Role"):
                    iam.attach_role_policy(RoleName=name, PolicyArn=DENY_ALL)
                elif kind == "IAMUser":
                    iam.attach_user_policy(UserName=name, PolicyArn=DENY_ALL)
            except iam.exceptions.NoSuchEntityException:
                continue


STRATEGIES = {
    "contain soundly": soundly,
    "do nothing": nothing,
    "contain everybody": everybody,
    "contain the wrong principal": wrong_principal,
    "terminate before a snapshot": terminate_first,
    "deactivate keys, leave sessions": keys_only,
    "follow every finding blindly": every_finding,
}


def scores(space, strategy, home):
    """Points of each part of the containment, and their sum, for a strategy."""
    with practice(space, home) as account:
        strategy(account)
        judged = account.bench.judge()
    worth = space.exercise.containment
    got = {part: round(worth[part] * judged.points[part], 1) for part in PARTS}
    return got | {"sum": round(sum(got.values()), 1)}


def table(names=("exposed_credentials", "misconfigured_resource", "phished_console", "false_alarm"), seed=1):
    """Markdown: strategies by exercise, each as ways + uses + evidence + cleanup = sum."""
    rows = {title: [] for title in STRATEGIES}
    heads = []
    for name in names:
        with tempfile.TemporaryDirectory() as place_:
            space = exercise(name, seed, Path(place_) / "exercise")
            worth = space.exercise.containment
            heads.append(f"{name} ({'+'.join(str(worth[part]) for part in PARTS)} = {sum(worth.values())})")
            for number, (title, strategy) in enumerate(STRATEGIES.items()):
                got = scores(space, strategy, Path(place_) / f"home-{number}")
                rows[title].append(f"{'+'.join(f'{got[part]:g}' for part in PARTS)} = {got['sum']:g}")
    lines = [["strategy", *heads], ["---"] * (len(heads) + 1), *([title, *cells] for title, cells in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    print(table())
