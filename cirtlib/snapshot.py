"""Account snapshot, read back: what an account looked like when it was asked, as AWS answered.

Nothing is copied: the manifest says which originals belong together, and the answers are read from those.
"""

import base64
import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cirtlib import evidence
from cirtlib.case import Case, parse_time
from cirtlib.errors import NotFoundError

KIND = "account snapshot"
Json = dict[str, Any]
_Call = tuple[str, str, str, str]  # Region, service, operation, target


@dataclass(frozen=True)
class Snapshot:
    """State of one account at one time.

    Attributes
    ----------
    account, taken_at
        Whose, and when it was asked (ISO 8601, UTC).
    complete
        Whether the snapshot came to its end; gaps are of single calls.
    gaps
        What was not answered: call, status (denied, failed; absent: AWS says that there is none), reason.
    """

    case: Case
    account: str
    taken_at: str
    complete: bool
    gaps: tuple[Mapping[str, str], ...]
    _pages: Mapping[_Call, tuple[str, ...]]

    def pages(self, call: str, *, region: str | None = None, target: str | None = None) -> list[tuple[str, str, Json]]:
        """(Region, target, answer) of each page of a call, such as `iam.ListAccessKeys`, in order."""
        service, _, operation = call.partition(".")
        found = []
        for (where, *named, what), digests in sorted(self._pages.items()):
            if named == [service, operation] and region in (None, where) and target in (None, what):
                found += [(where, what, json.loads(evidence.load(self.case, digest))) for digest in digests]
        return found

    def rows(self, call: str, member: str, *, region: str | None = None, target: str | None = None) -> list[Json]:
        """Items of one list of a call's answers, as AWS writes them; those of a Region bear it as `Region`."""
        return [
            row if where == "global" or not isinstance(row, dict) else {**row, "Region": where}
            for where, _, answer in self.pages(call, region=region, target=target)
            for row in answer.get(member, ())
        ]

    @property
    def users(self) -> list[Json]:
        """UserDetailList: users with their groups and policies."""
        return self.rows("iam.GetAccountAuthorizationDetails", "UserDetailList")

    @property
    def groups(self) -> list[Json]:
        """GroupDetailList."""
        return self.rows("iam.GetAccountAuthorizationDetails", "GroupDetailList")

    @property
    def roles(self) -> list[Json]:
        """RoleDetailList: roles with trust policy, policies, instance profiles and last use."""
        return self.rows("iam.GetAccountAuthorizationDetails", "RoleDetailList")

    @property
    def policies(self) -> list[Json]:
        """Policies: managed policies with their versions."""
        return self.rows("iam.GetAccountAuthorizationDetails", "Policies")

    @property
    def access_keys(self) -> list[Json]:
        """AccessKeyMetadata of all users, each with its `AccessKeyLastUsed` where that was answered."""
        used = {key: answer["AccessKeyLastUsed"] for _, key, answer in self.pages("iam.GetAccessKeyLastUsed")}
        keys = self.rows("iam.ListAccessKeys", "AccessKeyMetadata")
        return [
            {**key, "AccessKeyLastUsed": used[key["AccessKeyId"]]} if key["AccessKeyId"] in used else key
            for key in keys
        ]

    @property
    def login_profiles(self) -> list[Json]:
        """LoginProfile of each user who can log in to the console."""
        return [answer["LoginProfile"] for _, _, answer in self.pages("iam.GetLoginProfile")]

    @property
    def mfa_devices(self) -> list[Json]:
        """MFADevices of all users."""
        return self.rows("iam.ListMFADevices", "MFADevices")

    @property
    def credential_report(self) -> list[dict[str, str]]:
        """Rows of the credential report; the root user is `<root_account>`."""
        pages = self.pages("iam.GetCredentialReport")
        text = base64.b64decode(pages[-1][2]["Content"]).decode() if pages else ""
        return list(csv.DictReader(text.splitlines()))

    @property
    def accounts(self) -> list[Json]:
        """Accounts of the organization, with their names; of the management account or a delegated one only."""
        return self.rows("organizations.ListAccounts", "Accounts")

    @property
    def trails(self) -> list[Json]:
        """trailList, each trail with `Status` and `Selectors` (the answers of GetTrailStatus and GetEventSelectors)."""
        status = {arn: answer for _, arn, answer in self.pages("cloudtrail.GetTrailStatus")}
        selectors = {arn: answer for _, arn, answer in self.pages("cloudtrail.GetEventSelectors")}
        return [
            {**trail, "Status": status.get(trail["TrailARN"]), "Selectors": selectors.get(trail["TrailARN"])}
            for trail in self.rows("cloudtrail.DescribeTrails", "trailList")
        ]

    @property
    def instances(self) -> list[Json]:
        """Instances of all Regions, with interfaces, groups, metadata options and profile."""
        return [
            {**one, "Region": reservation["Region"]}
            for reservation in self.rows("ec2.DescribeInstances", "Reservations")
            for one in reservation["Instances"]
        ]

    @property
    def security_groups(self) -> list[Json]:
        """SecurityGroups of all Regions."""
        return self.rows("ec2.DescribeSecurityGroups", "SecurityGroups")

    @property
    def addresses(self) -> list[Json]:
        """The account's Elastic IP addresses."""
        return self.rows("ec2.DescribeAddresses", "Addresses")

    @property
    def snapshots(self) -> list[Json]:
        """EBS snapshots, each with its `CreateVolumePermissions`: whom it is shared with."""
        shared = {
            target.partition("/")[0]: answer.get("CreateVolumePermissions", [])
            for _, target, answer in self.pages("ec2.DescribeSnapshotAttribute")
        }
        rows = self.rows("ec2.DescribeSnapshots", "Snapshots")
        return [{**row, "CreateVolumePermissions": shared.get(row["SnapshotId"])} for row in rows]

    @property
    def images(self) -> list[Json]:
        """The account's images, each with its `LaunchPermissions`: whom it is shared with."""
        shared = {
            target.partition("/")[0]: answer.get("LaunchPermissions", [])
            for _, target, answer in self.pages("ec2.DescribeImageAttribute")
        }
        rows = self.rows("ec2.DescribeImages", "Images")
        return [{**row, "LaunchPermissions": shared.get(row["ImageId"])} for row in rows]


def taken(case: Case) -> list[Json]:
    """Snapshots of the case, oldest first: account, taken_at, complete, answers, gaps (how many calls had none)."""
    return [
        {
            "account": account,
            "taken_at": at,
            "complete": one.complete,
            "answers": len(one._pages),
            "gaps": sum(gap["status"] != "absent" for gap in one.gaps),
        }
        for (account, at), one in sorted(_all(case).items(), key=lambda item: (item[0][1], item[0][0]))
    ]


def snapshot(case: Case, account: str, *, before: datetime | None = None) -> Snapshot:
    """The latest snapshot of an account, or the latest that was taken before a moment; a complete one where there is.

    Raises
    ------
    NotFoundError
        when there is none.
    """
    found = [
        one for (own, at), one in _all(case).items() if own == account and (before is None or parse_time(at) < before)
    ]
    if not found:
        when = f" before {before:%Y-%m-%d %H:%M}" if before else ""
        raise NotFoundError(
            f"no snapshot of account {account}{when} in {case.path}; collect with `account: {{api: true}}`"
        )
    return max(found, key=lambda one: (one.complete, one.taken_at))


def latest(case: Case) -> list[Snapshot]:
    """The latest snapshot of each account, a complete one where there is; sorted by account."""
    found: dict[str, Snapshot] = {}
    for (account, _), one in sorted(_all(case).items()):
        if account not in found or (one.complete, one.taken_at) > (found[account].complete, found[account].taken_at):
            found[account] = one
    return [found[account] for account in sorted(found)]


def _all(case: Case) -> dict[tuple[str, str], Snapshot]:
    """All snapshots by account and time."""
    pages: dict[tuple[str, str], dict[_Call, dict[int, str]]] = {}
    gaps: dict[tuple[str, str], list[dict[str, str]]] = {}
    complete = set()
    for line in evidence.lines(case):
        said = line.get("slice") or line
        facts = said.get("facts") or {}
        if line["source"] != "account" or "taken_at" not in facts:
            continue
        key = facts["account"], facts["taken_at"]
        calls = pages.setdefault(key, {})
        if "slice" not in line:
            call = facts["region"], facts["service"], facts["operation"], facts["target"]
            calls.setdefault(call, {})[facts["page"]] = line["object"]
        elif facts.get("complete"):
            complete.add(key)
        elif said["status"] != "read":
            gap = {name: said[name] for name in ("name", "status", "reason")}
            gaps.setdefault(key, []).append(gap)
    return {
        key: Snapshot(
            case,
            *key,
            key in complete,
            tuple(gaps.get(key, ())),
            {call: tuple(digest for _, digest in sorted(numbered.items())) for call, numbered in calls.items()},
        )
        for key, calls in pages.items()
    }
