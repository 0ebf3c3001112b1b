"""A small incident by hand, for tests of the plan: what the scope says, what the logs say, and the accounts' state."""

import copy
import json
from datetime import UTC, datetime, timedelta

import pandas as pd

from cirtlib.containment.incident import Incident
from cirtlib.containment.usage import Habits

HOME, SECOND, FOREIGN = "111122223333", "444455556666", "999988887777"
LEAKED, MADE_KEY, SESSION, HOP = (
    "AKIALEAKED0000000001",
    "AKIAMADE000000000002",
    "ASIASESSION000000003",
    "ASIAHOP0000000000004",
)
USER, MADE = f"arn:aws:iam::{HOME}:user/people/dana", f"arn:aws:iam::{HOME}:user/helper"
DEV, PARTNER = f"arn:aws:iam::{HOME}:role/devRole", f"arn:aws:iam::{SECOND}:role/partnerRole"
TRAIL = f"arn:aws:cloudtrail:us-east-1:{HOME}:trail/org-trail"
SNAPSHOT = "arn:aws:ec2:us-east-1::snapshot/snap-0a1b2c3d4e5f60001"
INSTANCE = f"arn:aws:ec2:ap-southeast-1:{HOME}:instance/i-0a1b2c3d4e5f60001"
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
FINDING = f"arn:aws:guardduty:us-east-1:{HOME}:detector/d/finding/f1"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{HOME}:root"}, "Action": "sts:AssumeRole"}],
}
BACKDOOR = copy.deepcopy(TRUST)
BACKDOOR["Statement"].append(
    {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{FOREIGN}:root"}, "Action": "sts:AssumeRole"}
)
START = datetime(2026, 6, 10, 12, tzinfo=UTC)
COLUMNS = [
    "event_id", "event_time", "account_id", "region", "event_source", "event_name", "principal", "principal_type",
    "access_key_id", "minted_key", "minted_principal", "session_name", "user_name", "request", "response", "outcome",
    "principal_id",
]  # fmt: skip


class Log:
    """Events in the order in which they are added, a minute apart, with the verdict on each."""

    def __init__(self):
        self.rows, self.judged = [], []

    def add(self, call, *, who=DEV, key=SESSION, verdict="attacker", at=None, account=HOME, **more):
        source, _, name = call.partition(":")
        row = dict.fromkeys(COLUMNS) | {
            "event_id": f"e-{len(self.rows) + 1:03d}",
            "event_time": at or START + timedelta(minutes=len(self.rows)),
            "account_id": account,
            "region": more.pop("region", "us-east-1"),
            "event_source": f"{source}.amazonaws.com",
            "event_name": name,
            "principal": who,
            "principal_type": "IAMUser" if ":user/" in who else "AssumedRole",
            "access_key_id": key,
            "outcome": "ok",
        }
        for field in ("request", "response"):
            if field in more:
                row[field] = json.dumps(more.pop(field))
        self.rows.append(row | more)
        if verdict:
            self.judged.append({"event_id": row["event_id"], "account_id": account, "verdict": verdict})
        return row["event_id"]

    def events(self):
        frame = pd.DataFrame(self.rows, columns=COLUMNS)
        frame["event_time"] = pd.to_datetime(frame["event_time"], utc=True)
        return frame

    def verdicts(self):
        return pd.DataFrame(self.judged, columns=["event_id", "account_id", "verdict"])


def node(kind, value, status, *, prefix=None, **more):
    prefix = prefix or {"credential": "access_key"}.get(kind, kind)
    return {"id": f"{prefix}:{value}", "kind": kind, "value": value, "status": status, "confidence": "certain",
            "first_seen": "2026-06-10T12:00:00Z", "account": HOME, "region": None, **more}  # fmt: skip


def log(*, before=True):
    """The attack as events; `before`: an earlier event tells devRole's trust."""
    events = Log()
    if before:
        request = {"roleName": "devRole", "assumeRolePolicyDocument": json.dumps(TRUST)}
        long_ago = START - timedelta(days=5)
        events.add("iam:CreateRole", who=f"arn:aws:iam::{HOME}:user/admin", verdict="", at=long_ago, request=request)
    for day in range(4):
        at = START - timedelta(days=day + 1)
        events.add("s3:ListBuckets", key="ASIAOTHER00000000009", verdict="", at=at, session_name="carol")
    events.add("sts:GetCallerIdentity", who=USER, key=LEAKED, user_name="dana")
    events.add(
        "sts:AssumeRole", who=USER, key=LEAKED, minted_key=SESSION, minted_principal=DEV, request={"roleArn": DEV}
    )
    events.add("cloudtrail:StopLogging", request={"name": TRAIL})
    events.add("iam:CreateUser", request={"userName": "helper"}, response={"user": {"userName": "helper", "arn": MADE}})
    events.add("iam:CreateAccessKey", request={"userName": "helper"}, minted_key=MADE_KEY, minted_principal=MADE)
    events.add("iam:AttachUserPolicy", request={"userName": "helper", "policyArn": ADMIN})
    events.add("iam:CreateLoginProfile", request={"userName": "helper"})
    events.add("iam:UpdateAssumeRolePolicy", request={"roleName": "devRole", "policyDocument": json.dumps(BACKDOOR)})
    events.add("sts:AssumeRole", minted_key=HOP, minted_principal=PARTNER, request={"roleArn": PARTNER})
    events.add("s3:ListBuckets", who=PARTNER, key=HOP, account=SECOND)
    snapshot = SNAPSHOT.rsplit("/", 1)[-1]
    events.add("ec2:CreateSnapshot", request={"volumeId": "vol-1"}, response={"snapshotId": snapshot})
    shared = {"createVolumePermission": {"add": {"items": [{"userId": FOREIGN}]}}, "snapshotId": snapshot}
    events.add("ec2:ModifySnapshotAttribute", request=shared)
    made = {"instancesSet": {"items": [{"instanceId": INSTANCE.rsplit("/", 1)[-1]}]}}
    events.add("ec2:RunInstances", response=made, region="ap-southeast-1")
    return events


def scope():
    """The scope of the attack, as scope.json has it."""
    nodes = [
        node("credential", LEAKED, "compromised"),
        node("principal", USER, "compromised"),
        node("credential", SESSION, "compromised"),
        node("principal", DEV, "compromised"),
        node("resource", TRAIL, "changed"),
        node("principal", MADE, "attacker_created"),
        node("credential", MADE_KEY, "attacker_created"),
        node("credential", MADE, "attacker_created", prefix="login_profile"),
        node("credential", HOP, "compromised", account=SECOND),
        node("principal", PARTNER, "compromised", account=SECOND),
        node("resource", SNAPSHOT, "attacker_created"),
        node("resource", INSTANCE, "attacker_created"),
        node("address", "203.0.113.66", "touched"),
        node("account", FOREIGN, "touched"),
    ]
    edge = {"id": "x1", "from": f"access_key:{LEAKED}", "to": f"finding:{FINDING}", "kind": "reported_by",
            "confidence": "certain", "evidence": ["e-006"], "evidence_count": 1}  # fmt: skip
    return {"nodes": nodes, "edges": [edge], "attack": {"first": "2026-06-10T12:00:00Z"}}


def habits(events, *, days=30, exists=True):
    """Baseline of these events: the days before the attack, less what was judged."""
    import duckdb

    names = [*COLUMNS, "invoked_by", "source_network", "user_agent_family"]
    frame = events.events().reindex(columns=names)
    frame = frame.astype({name: "string" for name in names if name != "event_time"})
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.register("events", frame)
    odd = events.verdicts()[["event_id", "account_id"]]
    first = min(START, frame["event_time"].min()) if len(frame) else START
    length = (START - first).total_seconds() / 86400
    return Habits(connection, START - timedelta(days=days), START, round(length, 2), exists, odd)


def incident(*, events=None, given=None, **more):
    """Incident of these events and this scope (default: the whole attack)."""
    events = events or log()
    fields = {
        "name": "ir-001",
        "title": "Exposed key",
        "as_of": datetime(2026, 6, 12, 9, tzinfo=UTC),
        "scope": given or scope(),
        "events": events.events(),
        "verdicts": events.verdicts(),
        "accounts": frozenset({HOME, SECOND}),
        "habits": habits(events),
    }
    return Incident(**fields | more)


def state():
    """State of the accounts after the attack, as state_after.json has it."""
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    home = {
        "users": [
            {"UserName": "dana", "Arn": USER, "Path": "/people/", "attached": [], "inline": {"work": allow},
             "login_profile": True, "keys": [{"AccessKeyId": LEAKED, "Status": "Active"}]},
            {"UserName": "helper", "Arn": MADE, "Path": "/", "attached": [ADMIN], "inline": {}, "login_profile": True,
             "keys": [{"AccessKeyId": MADE_KEY, "Status": "Active"}]},
            {"UserName": "erin", "Arn": f"arn:aws:iam::{HOME}:user/erin", "Path": "/", "attached": [], "inline": {},
             "login_profile": False, "keys": [{"AccessKeyId": "AKIAINNOCENT00000009", "Status": "Active"}]},
        ],
        "roles": [{"RoleName": "devRole", "Path": "/", "Arn": DEV, "trust": BACKDOOR, "attached": [ADMIN],
                   "inline": {}, "MaxSessionDuration": 3600}],
        "policies": [],
        "trails": [{"Name": "org-trail", "TrailARN": TRAIL, "HomeRegion": "us-east-1", "S3BucketName": "log-archive",
                    "IsLogging": False, "IsMultiRegionTrail": True, "IsOrganizationTrail": True}],
        "instances": [{"InstanceId": INSTANCE.rsplit("/", 1)[-1], "Region": "ap-southeast-1",
                       "ImageId": "ami-0a1b2c3d4e5f60001", "InstanceType": "c5.large"}],
        "volumes": [{"VolumeId": "vol-0a1b2c3d4e5f60001", "Region": "us-east-1"}],
        "snapshots": [{"SnapshotId": SNAPSHOT.rsplit("/", 1)[-1], "VolumeId": "vol-0a1b2c3d4e5f60001",
                       "Region": "us-east-1", "shared_with": [FOREIGN]}],
        "buckets": [{"Name": "log-archive", "Region": "us-east-1"}],
    }  # fmt: skip
    trust = copy.deepcopy(TRUST)
    partner = {"RoleName": "partnerRole", "Path": "/", "Arn": PARTNER, "trust": trust, "attached": [], "inline": {},
               "MaxSessionDuration": 3600}  # fmt: skip
    empty = {"users": [], "policies": [], "trails": [], "instances": [], "volumes": [], "snapshots": [], "buckets": []}
    return {"accounts": {HOME: home, SECOND: {**empty, "roles": [partner]}}}
