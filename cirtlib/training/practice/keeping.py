"""What of the evidence a containment kept, and what it lost: logging, disks, trails, buckets, detectors.

Only what was there when the exercise began is evidence: what learners made, to look into something or to keep a copy,
they may take away again.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from moto.backends import get_backend

from cirtlib.training.account_state import backend
from cirtlib.training.exercise.record import Record
from cirtlib.training.practice.journal import Entry, Journal
from cirtlib.training.practice.trails import Sight, all_trails, at, blind

Json = dict[str, Any]
Place = tuple[str, str, str, str]  # kind, account, Region, name
# Changes that keep evidence, mark it, or turn logging on: they may come before logging is on again.
_KEEPING = {
    *("CreateSnapshot", "CreateSnapshots", "CopySnapshot", "LockSnapshot", "CreateImage", "CopyImage"),
    *("CreateStoreImageTask", "CreateInstanceExportTask", "ExportImage"),
    *("CreateDBSnapshot", "CreateDBClusterSnapshot", "CopyDBSnapshot", "CopyDBClusterSnapshot", "StartExportTask"),
    *("StartBackupJob", "StartCopyJob", "CreateBackupVault", "PutBackupVaultLockConfiguration", "CreateExportTask"),
    *("CreateBucket", "PutObject", "CopyObject", "CreateMultipartUpload", "UploadPart", "UploadPartCopy"),
    *("CompleteMultipartUpload", "AbortMultipartUpload", "PutObjectLegalHold", "PutObjectRetention"),
    *("PutObjectLockConfiguration", "PutBucketVersioning", "PutObjectTagging", "PutBucketTagging"),
    *("CreateTags", "StartLogging", "CreateTrail", "UpdateTrail", "PutEventSelectors"),
}
_MARKING = ("Tag", "AddTags")
# Calls that destroy evidence: kind and member of what it is, and in words.
_DESTROYS = {
    "StopLogging": ("trail", "Name", "CloudTrail was stopped"),
    "DeleteTrail": ("trail", "Name", "a trail was deleted"),
    "DeleteDetector": ("detector", "DetectorId", "a GuardDuty detector was deleted"),
    "DeleteFlowLogs": ("flow log", "FlowLogIds", "flow logs were deleted"),
    "DeleteLogGroup": ("log group", "logGroupName", "a log group was deleted"),
    "DeleteBucket": ("bucket", "Bucket", "a bucket was deleted"),
}


@dataclass
class Keeping:
    """Looks at the evidence of one incident's accounts: `begin` before the learner's first call, `lost` after the last.

    Attributes
    ----------
    volumes
        Instance -> its volumes, at first.
    there, trails
        What may hold evidence, and what each trail sees, at first.
    """

    record: Record
    journal: Journal
    volumes: dict[str, set[str]] = field(default_factory=dict)
    there: set[Place] = field(default_factory=set)
    trails: dict[tuple[str, str, str], Sight] = field(default_factory=dict)

    def begin(self) -> None:
        """Note what there is."""
        accounts = self.record.after["accounts"]
        for account, content in accounts.items():
            for instance in content.get("instances", []):
                ec2 = backend("ec2", account, instance["Region"])
                held = {one.id for one in ec2.volumes.values() if _attached(one) == instance["InstanceId"]}
                self.volumes[instance["InstanceId"]] = held
        self.there = set(_holders(accounts))
        self.trails = all_trails(accounts)

    def lost(self) -> list[tuple[str, float]]:
        """What of the evidence was lost, each with the share of the points that it costs."""
        return [*self._logging(), *self._blinded(), *self._disks(), *self._destroyed()]

    def _logging(self) -> Iterable[tuple[str, float]]:
        trail = self.record.truth["logging"].get("trail")
        if not trail:
            return
        where = at(trail, "", "")
        known = backend("cloudtrail", *where[:2]).trails.get(where[2])
        if known is None or not known.status.is_logging:
            yield f"trail {where[2]}, which the attacker stopped, does not log: what is done now leaves no record", 0.5
            return
        for entry in self.journal.writes():
            if entry.operation == "StartLogging" and _trail_of(entry) == where:
                return
            if not self._keeps(entry):
                yield f"{entry.call} came before logging was on again: turn it on first", 0.25
                return

    def _keeps(self, entry: Entry) -> bool:
        """Whether a change keeps or marks evidence, or only makes ready a bucket of the learner's own."""
        given, name = entry.parameters, entry.parameters.get("Bucket")
        if entry.operation in _KEEPING or entry.operation.startswith(_MARKING):
            return True
        if entry.service == "s3" and name and entry.operation != "DeleteBucket":
            return ("bucket", "", "", name) not in self.there
        return entry.operation == "ModifyInstanceAttribute" and _protects(given)

    def _blinded(self) -> Iterable[tuple[str, float]]:
        """Trails that log, and see less than at first."""
        stopped = self.record.truth["logging"].get("trail")
        for where, before in self.trails.items():
            if before.logs or (stopped and at(stopped, "", "") == where):
                trail = backend("cloudtrail", *where[:2]).trails.get(where[2])
                why = blind(before, trail) if trail is not None and trail.status.is_logging else ""
                if why:
                    yield f"trail {where[2]} logs, and {why}", 0.5

    def _disks(self) -> Iterable[tuple[str, float]]:
        """Instances that were terminated before a snapshot of their volumes was taken, or whose snapshots are gone."""
        kept: set[str] = set()
        gone: dict[str, set[str]] = {}
        for entry in self.journal.writes():
            given = entry.parameters
            if entry.operation == "CreateSnapshot":
                kept.add(str(given.get("VolumeId")))
            elif entry.operation == "CreateSnapshots":
                kept |= self.volumes.get(str(given.get("InstanceSpecification", {}).get("InstanceId")), set())
            elif entry.operation == "CreateImage":
                kept |= self.volumes.get(str(given.get("InstanceId")), set())
            for what, volumes, how in self._removes(entry):
                if volumes - kept:
                    yield f"{what} was {how} was taken", 0.5
                else:
                    gone[what] = volumes
        still = self._still() if gone else set()
        for what, volumes in gone.items():
            if volumes - still:
                yield f"{what} is gone, and so is what was kept of its disks: its snapshot or image was deleted", 0.5

    def _removes(self, entry: Entry) -> Iterator[tuple[str, set[str], str]]:
        """What a call takes away of disks that were there at first: what it is, its volumes, and how."""
        given = entry.parameters
        if entry.operation == "DeleteVolume" and given.get("VolumeId") in self._theirs():
            name = str(given["VolumeId"])
            yield f"volume {name}", {name}, "deleted before a snapshot of it"
        elif entry.operation == "TerminateInstances":
            for name in given.get("InstanceIds", []):
                volumes = self.volumes.get(name, set())
                yield f"instance {name}", volumes, "terminated before a snapshot of its volumes"

    def _still(self) -> set[str]:
        """Volumes of which something is left: themselves, a snapshot, or an image of their instance."""
        found: set[str] = set()
        for account in self.record.after["accounts"]:
            for ec2 in list(get_backend("ec2")[account].values()):
                found |= ec2.volumes.keys() | {one.volume.id for one in list(ec2.snapshots.values())}
                for image in list(ec2.amis.values()):
                    found |= self.volumes.get(str(image.instance_id), set())
        return found

    def _theirs(self) -> set[str]:
        """Volumes of the attacker's instances, and of those that they were on."""
        places = [*_extent(self.record, "resource"), *self.record.truth["leads"]]
        return {volume for one in places for volume in self.volumes.get(one.rsplit("/", 1)[-1], ())}

    def _destroyed(self) -> Iterable[tuple[str, float]]:
        shared = {one.rsplit("/", 1)[-1] for one in _extent(self.record, "resource") if ":snapshot/" in one}
        for entry in self.journal.writes():
            kind, member, words = _DESTROYS.get(entry.operation, ("", "", ""))
            if kind and self._was_there(entry, kind, member):
                yield words, 0.5
            elif entry.operation == "UpdateDetector" and entry.parameters.get("Enable") is False:
                if self._was_there(entry, "detector", "DetectorId"):
                    yield "a GuardDuty detector was switched off", 0.5
            elif entry.operation == "DeleteSnapshot" and entry.parameters.get("SnapshotId") in shared:
                name = entry.parameters["SnapshotId"]
                yield f"snapshot {name}, which the attacker shared, was deleted: stop sharing it, and keep it", 0.25
            elif entry.operation in ("DeleteObject", "DeleteObjects") and "AWSLogs/" in json.dumps(entry.parameters):
                yield "log files were deleted", 0.5

    def _was_there(self, entry: Entry, kind: str, member: str) -> bool:
        """Whether what a call names was there at first."""
        given = entry.parameters.get(member)
        if kind == "trail":
            return (kind, *_trail_of(entry)) in self.there
        where = ("", "") if kind == "bucket" else (entry.account, entry.region)
        return any((kind, *where, str(name)) in self.there for name in (given if isinstance(given, list) else [given]))


def _holders(accounts: Iterable[str]) -> Iterator[Place]:
    """All that may hold evidence in these accounts now."""
    for account in accounts:
        for name in list(backend("s3", account).buckets):
            yield "bucket", "", "", str(name)
        for region, one in list(get_backend("cloudtrail")[account].items()):
            yield from (("trail", account, region, str(name)) for name in one.trails)
        for region, one in list(get_backend("guardduty")[account].items()):
            yield from (("detector", account, region, str(name)) for name in one.detectors)
        for region, one in list(get_backend("ec2")[account].items()):
            yield from (("flow log", account, region, str(name)) for name in one.flow_logs)
        for region, one in list(get_backend("logs")[account].items()):
            yield from (("log group", account, region, str(name)) for name in one.groups)


def _trail_of(entry: Entry) -> tuple[str, str, str]:
    return at(str(entry.parameters.get("Name", "")), entry.account, entry.region)


def _protects(given: Json) -> bool:
    """Whether a change of an instance's attribute keeps it from being terminated or stopped."""
    for name in ("DisableApiTermination", "DisableApiStop"):
        value = given.get(name)
        value = value.get("Value") if isinstance(value, dict) else value
        if value is None and str(given.get("Attribute", "")).lower() == name.lower():
            value = given.get("Value")
        if str(value).lower() == "true":
            return True
    return False


def _extent(record: Record, kind: str) -> list[str]:
    return [node["value"] for node in record.truth["extent"] if node["kind"] == kind]


def _attached(volume: Any) -> str:  # noqa: ANN401 - moto has no types
    return str(volume.attachment.instance.id) if volume.attachment else ""
