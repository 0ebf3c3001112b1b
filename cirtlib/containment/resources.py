"""What can be done about resources: trails turned on, snapshots taken back, instances stopped."""

from cirtlib.containment.keeping import described, place
from cirtlib.containment.step import Step, call, quoted, read
from cirtlib.text import visible


def start_logging(trail: str) -> Step:
    """Turn a stopped trail on again, by its name in its home Region."""
    parts = trail.split(":")
    region, account, name = parts[3], parts[4], trail.rsplit("/", 1)[-1]
    status = read(call("cloudtrail", "GetTrailStatus", Name=name), "IsLogging")
    return Step(
        key=f"logging {trail}",
        phase="preserve",
        title=f"Turn logging of trail {visible(name)} back on",
        target=trail,
        account=account,
        region=region,
        api=call("cloudtrail", "StartLogging", Name=name),
        captures={"logging": {**status, "expected": False}},
        verify={**status, "expected": True},
        rollback_note="Logging stays on.",
        side_effects=(
            "What happened while the trail was off is only in the 90-day event history (management events, by Region).",
            "Look for new objects in the bucket within 15 minutes: its policy or key may have been changed as well.",
        ),
    )


def stop(instance: str, *, reopens: bool = True) -> Step:
    """Stop an instance; never terminate it."""
    region, account, instance_id = place(instance)
    running = quoted(["pending", "running"])
    stopping = quoted(["stopping", "stopped"])
    return Step(
        key=f"stop {instance}",
        phase="eradicate",
        title=f"Stop instance {visible(instance_id)}",
        target=instance,
        account=account,
        region=region,
        api=call("ec2", "StopInstances", InstanceIds=[instance_id]),
        captures={"running": described(instance_id, f"contains({running}, @.State.Name)", expected=True)},
        verify=described(instance_id, f"contains({stopping}, @.State.Name)", expected=True),
        rollback={"api": call("ec2", "StartInstances", InstanceIds=[instance_id])},
        rollback_note="What the attacker runs on it would run again.",
        reopens=reopens,
        side_effects=("Memory and instance-store volumes are lost.",),
        prerequisites=("Its memory was taken (or nobody needs it): stopping it loses it.",),
        depends_on=(f"protect {instance}", f"snapshot {instance}"),
    )


def unshare(snapshot: str, *, account: str, users: list[str], groups: list[str]) -> Step:
    """Take back a snapshot that was shared with these accounts (or with all)."""
    region, snapshot_id = snapshot.split(":")[3], snapshot.rsplit("/", 1)[-1]
    shared = read(
        call("ec2", "DescribeSnapshotAttribute", SnapshotId=snapshot_id, Attribute="createVolumePermission"),
        " || ".join(
            [f"contains(CreateVolumePermissions[].UserId, {quoted(user)})" for user in users]
            + [f"contains(CreateVolumePermissions[].Group, {quoted(group)})" for group in groups]
        ),
    )
    given = ({"UserIds": users} if users else {}) | ({"GroupNames": groups} if groups else {})

    def change(how: str) -> dict[str, object]:
        return call(
            "ec2",
            "ModifySnapshotAttribute",
            SnapshotId=snapshot_id,
            Attribute="createVolumePermission",
            OperationType=how,
            **given,
        )

    return Step(
        key=f"unshare {snapshot}",
        phase="contain",
        title=f"Take snapshot {visible(snapshot_id)} back from {', '.join(map(visible, users + groups))}",
        target=snapshot,
        account=account,
        region=region,
        api=change("remove"),
        captures={"shared": {**shared, "expected": True}},
        verify={**shared, "expected": False},
        rollback={"api": change("add")},
        rollback_note="The attacker shared it.",
        reopens=True,
        side_effects=("A copy that was made while it was shared stays in the other account.",),
    )
