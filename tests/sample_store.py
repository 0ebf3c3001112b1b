"""Small stores written straight to Parquet in the case's schema, so that a question can be tested on a few records."""

import json
import uuid
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from cirtlib.case import load_case
from cirtlib.engine.schema import DOCUMENTED, EXTRA, FINDINGS, LINK, PARTITIONS, SIGHTINGS

ACCOUNT = "111122223333"
CLOUDTRAIL = {**DOCUMENTED, **EXTRA, **LINK}
_JSON = ("requestparameters", "responseelements", "additionaleventdata", "serviceeventdetails", "addendum")


def arrow_schema(columns):
    """Arrow schema of DuckDB column types."""
    chosen = ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in columns.items())
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.sql(f"SELECT {chosen} WHERE false").to_arrow_table().schema


def user(name="alice", key="AKIAIOSFODNN7EXAMPLE", account=ACCOUNT, **more):
    """UserIdentity of an IAM user."""
    arn = f"arn:aws:iam::{account}:user/{name}"
    return {"type": "IAMUser", "principalId": f"AIDA{name.upper():X<17}", "arn": arn, "accountId": account,
            "userName": name, "accessKeyId": key, **more}  # fmt: skip


def role(name="devRole", session="alice", key="ASIAIOSFODNN7EXAMPLE", account=ACCOUNT, path="/", **context):
    """UserIdentity of a role session."""
    ident = f"AROA{name.upper():X<17}"
    issuer = {"type": "Role", "principalId": ident, "arn": f"arn:aws:iam::{account}:role{path}{name}",
              "accountId": account, "userName": name}  # fmt: skip
    attributes = {"creationDate": "2026-06-10T10:00:00Z", "mfaAuthenticated": "false"}
    return {"type": "AssumedRole", "principalId": f"{ident}:{session}", "accountId": account, "accessKeyId": key,
            "arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
            "sessionContext": {"sessionIssuer": issuer, "attributes": attributes, **context}}  # fmt: skip


def service(name="ec2.amazonaws.com"):
    """UserIdentity of a service."""
    return {"type": "AWSService", "invokedBy": name}


def record(name="ListBuckets", source="s3", *, who=None, time="2026-06-10T12:00:00Z", **fields):
    """CloudTrail record with believable defaults; fields are CloudTrail's own names."""
    return {
        "eventVersion": "1.08", "userIdentity": user() if who is None else who, "eventTime": time,
        "eventSource": f"{source}.amazonaws.com", "eventName": name, "awsRegion": "us-east-1",
        "sourceIPAddress": "203.0.113.10", "userAgent": "aws-cli/2.15.0", "requestParameters": None,
        "responseElements": None, "requestID": str(uuid.uuid4()), "eventID": str(uuid.uuid4()), "readOnly": True,
        "eventType": "AwsApiCall", "managementEvent": True, "recipientAccountId": ACCOUNT,
        "eventCategory": "Management", **fields,
    }  # fmt: skip


def _lower(value):
    """Names in lower case, as in the table; the federation data is a map of text, with its keys as they are."""
    if not isinstance(value, dict):
        return value
    return {
        key.lower(): [(name, part if isinstance(part, str) else json.dumps(part)) for name, part in item.items()]
        if key == "webIdFederationData"
        else _lower(item)
        for key, item in value.items()
    }


def _row(item, position):
    row = {}
    for key, value in item.items():
        name = key.lower()
        if value is None:
            continue
        if name == "useridentity":
            row["useridentity_json"] = json.dumps(value)
            row[name] = _lower(value)
        elif name == "resources":
            row[name] = [_lower(resource) for resource in value]
        elif name == "tlsdetails":
            row[name] = _lower(value)
        elif isinstance(value, bool):
            row[name] = str(value).lower()
        else:
            row[name] = json.dumps(value) if not isinstance(value, str) else value
    return {**row, "source_object": "0" * 64, "source_position": position, "source_kind": "object", "conflict": False}


def write(folder, table, rows, columns):
    """Rows into a table of the store, one file for each account and day."""
    schema = arrow_schema(columns)
    groups = {}
    for row in rows:
        groups.setdefault((row.pop("account_id"), row.pop("day")), []).append(row)
    for (account, day), group in groups.items():
        place = Path(folder) / "evidence" / "store" / table / f"account_id={account}" / f"day={day}"
        place.mkdir(parents=True, exist_ok=True)
        full = [{name: row.get(name) for name in schema.names} for row in group]
        pq.write_table(pa.Table.from_pylist(full, schema=schema), place / "part-0.parquet")


def make(folder, records=(), findings=(), sightings=(), **content):
    """Case with these CloudTrail records, findings and sightings in its store; content goes to case.yaml."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "case.yaml").write_text(json.dumps({"case": "sample", **content}), encoding="utf-8")
    rows = []
    for position, item in enumerate(records):
        account = item.get("recipientAccountId") or "unknown"
        rows.append({**_row(item, position), "account_id": account, "day": item["eventTime"][:10]})
    write(folder, "cloudtrail", rows, CLOUDTRAIL)
    partitions = set(PARTITIONS)
    write(folder, "findings", [{"account_id": ACCOUNT, "day": "2026-06-10", **row} for row in findings],
          {name: kind for name, kind in FINDINGS.items() if name not in partitions})  # fmt: skip
    write(folder, "sightings", [{"day": "2026-06-10", **row} for row in sightings],
          {name: kind for name, kind in SIGHTINGS.items() if name not in partitions})  # fmt: skip
    return load_case(folder)
