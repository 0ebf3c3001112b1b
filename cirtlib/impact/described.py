"""What a snapshot of an account says of a thing: whether it stands, and in which state."""

import re
from typing import Any

import pandas as pd

from cirtlib.snapshot import Snapshot

_INSTANCE = re.compile(r":ec2:([^:]*):\d*:instance/(.+)$")
_DISK = re.compile(r":ec2:([^:]*):\d*:snapshot/(.+)$")


def state(node: dict[str, Any], one: Snapshot | None, since: Any) -> tuple[str, str] | None:  # noqa: ANN401 - Timestamp or NaT
    """State of a node (`open` or `closed`) and the words for it; None where the snapshot does not tell.

    A snapshot from before the thing was first seen tells nothing, and one that is not complete tells of no absence.
    """
    if one is None or (pd.notna(since) and pd.Timestamp(one.taken_at) < since):
        return None
    found = _found(str(node["id"]), str(node["value"]), one)
    when = f"in the account's state of {one.taken_at}"
    if found is None:
        return None
    asked, said = found
    if said in ("Inactive", "stopped", "terminated"):
        return "closed", f"{said} {when}"
    if said:
        return "open", f"{said} {when}"
    return ("closed", f"not there {when}") if asked and one.complete else None


def _found(name: str, value: str, one: Snapshot) -> tuple[bool, str] | None:
    """Whether such things were asked for, and what is said of this one ('' when it is not among them)."""
    if name.startswith("access_key:AKIA"):
        states = {row["AccessKeyId"]: str(row["Status"]) for row in one.access_keys}
        return bool(one.users), states.get(value, "")
    if ":user/" in value and name.startswith(("principal:", "login_profile:")):
        users = {row["Arn"] for row in one.users}
        if name.startswith("login_profile:"):
            users = {arn for arn in users if arn.rsplit("/", 1)[-1] in {row["UserName"] for row in one.login_profiles}}
        return bool(one.users), "there" if value in users else ""
    if name.startswith("principal:") and ":role/" in value:
        return bool(one.roles), "there" if value in {row["Arn"] for row in one.roles} else ""
    if machine := _INSTANCE.search(value):
        states = {row["InstanceId"]: str(row["State"]["Name"]) for row in one.instances}
        return bool(one.pages("ec2.DescribeInstances", region=machine[1])), states.get(machine[2], "")
    if disk := _DISK.search(value):
        there = disk[2] in {row["SnapshotId"] for row in one.snapshots}
        return bool(one.pages("ec2.DescribeSnapshots", region=disk[1])), "there" if there else ""
    return None
