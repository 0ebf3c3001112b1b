"""A hand-written trail for tests: one short call per CloudTrail record, with the fields that the code reads."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cirtlib.case import Case, new_case
from cirtlib.collect import collect

ACCOUNT, OTHER, FOREIGN = "111122223333", "444455556666", "999988887777"
OFFICE, CAFE, THIEF, EXIT = "198.51.100.7", "198.51.100.200", "203.0.113.66", "192.0.2.9"
CLI, SDK = "aws-cli/2.17.0 md/awscrt#1.0.0", "Boto3/1.34.0 md/Botocore#1.34.0"
START = datetime(2026, 6, 1, tzinfo=UTC)


def user(name: str, key: str | None = None, account: str = ACCOUNT) -> dict[str, Any]:
    """Make the userIdentity of an IAM user, with a long-term key if one is given."""
    identity = {
        "type": "IAMUser",
        "principalId": f"AIDA{name.upper()}",
        "arn": f"arn:aws:iam::{account}:user/{name}",
        "accountId": account,
        "userName": name,
    }
    return identity | ({"accessKeyId": key} if key else {})


def role(name: str, session: str, key: str, account: str = ACCOUNT, **attributes: str) -> dict[str, Any]:
    """Make the userIdentity of a role session."""
    return {
        "type": "AssumedRole",
        "principalId": f"AROA{name.upper()}:{session}",
        "arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
        "accountId": account,
        "accessKeyId": key,
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": f"AROA{name.upper()}",
                "arn": f"arn:aws:iam::{account}:role/{name}",
                "accountId": account,
                "userName": name,
            },
            "attributes": {"creationDate": "2026-06-10T00:00:00Z", "mfaAuthenticated": "false"} | attributes,
        },
    }


def service(name: str) -> dict[str, Any]:
    """Make the userIdentity of an AWS service."""
    return {"type": "AWSService", "invokedBy": name}


@dataclass
class Trail:
    """Records in the order in which they were called; `at` is days since the first of June 2026."""

    records: list[dict[str, Any]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)

    def add(self, at: float, who: dict[str, Any], call: str, **more: Any) -> str:
        """Add a record of `service:Name` and return its event id; `ip`, `agent`, `request`, ... may be given."""
        source, _, name = call.partition(":")
        number = len(self.records) + 1
        account = more.get("account", who.get("accountId", ACCOUNT))
        record = {
            "eventVersion": "1.10",
            "userIdentity": who,
            "eventTime": f"{START + timedelta(days=at):%Y-%m-%dT%H:%M:%SZ}",
            "eventSource": f"{source}.amazonaws.com",
            "eventName": name,
            "awsRegion": more.get("region", "us-east-1"),
            "sourceIPAddress": more.get("ip", OFFICE),
            "userAgent": more.get("agent", CLI),
            "requestParameters": more.get("request"),
            "responseElements": more.get("response"),
            "requestID": f"r-{number}",
            "eventID": more.get("event_id", f"00000000-0000-4000-8000-{number:012d}"),
            "readOnly": name.startswith(("Get", "List", "Describe")),
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": account,
            "eventCategory": "Management",
        }
        for name_, key in (("error", "errorCode"), ("shared", "sharedEventID"), ("resources", "resources")):
            if name_ in more:
                record[key] = more[name_]
        self.records.append(record)
        return str(record["eventID"])

    def assume(self, at: float, who: dict[str, Any], target: str, key: str, **more: Any) -> str:
        """Add a successful AssumeRole of `account:role` that issues `key`."""
        account, _, name = target.rpartition(":")
        account = account or ACCOUNT
        session = more.pop("session", "work")
        arn = f"arn:aws:iam::{account}:role/{name}"
        name = name.rsplit("/", 1)[-1]
        return self.add(
            at,
            who,
            "sts:AssumeRole",
            request={"roleArn": arn, "roleSessionName": session},
            response={
                "credentials": {
                    "accessKeyId": key,
                    "sessionToken": "FAKE-TOKEN",
                    "expiration": "Jun 11, 2026, 1:00:00 AM",
                },
                "assumedRoleUser": {
                    "assumedRoleId": f"AROA{name.upper()}:{session}",
                    "arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
                },
            },
            **more,
        )

    def habit(self, who: dict[str, Any], *, ip: str = OFFICE, agent: str = CLI, days: range = range(9)) -> None:
        """Add one harmless call a day: what makes a baseline."""
        for day in days:
            self.add(day + 0.4, who, "ec2:DescribeInstances", ip=ip, agent=agent)

    def finding(self, event: str, kind: str = "Stealth:IAMUser/CloudTrailLoggingDisabled") -> str:
        """Add a GuardDuty finding about the record with this id, and return its ARN."""
        record = next(r for r in self.records if r["eventID"] == event)
        who = record["userIdentity"]
        account = record["recipientAccountId"]
        number = f"{len(self.findings) + 1:032x}"
        arn = f"arn:aws:guardduty:{record['awsRegion']}:{account}:detector/d0/finding/{number}"
        self.findings.append(
            {
                "schemaVersion": "2.0",
                "accountId": account,
                "region": record["awsRegion"],
                "id": number,
                "arn": arn,
                "type": kind,
                "severity": 2,
                "title": "CloudTrail logging was disabled",
                "createdAt": record["eventTime"],
                "updatedAt": record["eventTime"],
                "resource": {
                    "resourceType": "AccessKey",
                    "accessKeyDetails": {
                        "accessKeyId": who.get("accessKeyId"),
                        "principalId": who["principalId"],
                        "userName": who.get("userName", "devRole"),
                        "userType": who["type"],
                    },
                },
                "service": {
                    "eventFirstSeen": record["eventTime"],
                    "eventLastSeen": record["eventTime"],
                    "count": 1,
                    "archived": False,
                    "action": {
                        "actionType": "AWS_API_CALL",
                        "awsApiCallAction": {
                            "api": record["eventName"],
                            "serviceName": record["eventSource"],
                            "remoteIpDetails": {"ipAddressV4": record["sourceIPAddress"]},
                        },
                    },
                },
            }
        )
        return arn

    def case(self, folder: Path, *seeds: dict[str, str], **content: Any) -> Case:
        """Write the trail as files, collect it into a new case with these seeds, and return the case."""
        logs, findings = folder / "logs", folder / "findings"
        logs.mkdir(parents=True)
        findings.mkdir()
        (logs / "trail.json").write_text(json.dumps({"Records": self.records}))
        (findings / "findings.json").write_text("\n".join(map(json.dumps, self.findings)) or "[]")
        content.setdefault("as_of", "2026-06-12T06:00:00Z")
        content.setdefault("window", {"start": "2026-06-09T00:00:00Z", "end": "2026-06-12T00:00:00Z"})
        sources = [{"cloudtrail": {"folder": str(logs)}}, {"guardduty": {"folder": str(findings)}}]
        case = new_case(folder / "case", {"seeds": list(seeds), "sources": sources, **content})
        collect(case)
        return case
