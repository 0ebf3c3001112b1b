"""Arrow schemas of the case's tables, as they lie in Parquet; `account_id` and `day` become the folders."""

import pyarrow as pa

_TEXT = pa.string()


def _texts(names: str) -> list[pa.Field]:
    return [pa.field(name, _TEXT) for name in names.split()]


ISSUER = pa.struct(_texts("type principalid arn accountid username"))
SESSION = pa.struct(
    [
        pa.field("attributes", pa.struct(_texts("mfaauthenticated creationdate"))),
        pa.field("sessionissuer", ISSUER),
        pa.field("ec2roledelivery", _TEXT),
        pa.field("webidfederationdata", pa.map_(_TEXT, _TEXT)),
    ]
)
IDENTITY = pa.struct(
    [*_texts("type principalid arn accountid invokedby accesskeyid username"), pa.field("sessioncontext", SESSION)]
)
RESOURCES = pa.list_(pa.struct(_texts("arn accountid type")))
TLS = pa.struct(_texts("tlsversion ciphersuite clientprovidedhostheader"))

LINK = [
    pa.field("source_object", _TEXT),
    pa.field("source_position", pa.int32()),
    pa.field("source_kind", _TEXT),
    pa.field("conflict", pa.bool_()),
]
PARTITIONS = _texts("account_id day")

CLOUDTRAIL = pa.schema(
    [
        pa.field("eventversion", _TEXT),
        pa.field("useridentity", IDENTITY),
        *_texts("eventtime eventsource eventname awsregion sourceipaddress useragent errorcode errormessage"),
        *_texts("requestparameters responseelements additionaleventdata requestid eventid"),
        pa.field("resources", RESOURCES),
        *_texts("eventtype apiversion readonly recipientaccountid serviceeventdetails sharedeventid vpcendpointid"),
        pa.field("tlsdetails", TLS),
        *_texts("eventcategory managementevent sessioncredentialfromconsole vpcendpointaccountid addendum"),
        *_texts("edgedevicedetails eventcontext useridentity_json unmodelled"),
        *LINK,
        *PARTITIONS,
    ]
)
# Insights and aggregated events: CloudTrail's records of another shape, whole.
OTHER = pa.schema([*_texts("eventid eventtime account awsregion record"), *LINK, *PARTITIONS])

_TIME = pa.timestamp("us", tz="UTC")
FINDINGS = pa.schema(
    [
        *_texts("finding_id product form region type title description"),
        pa.field("severity", pa.float64()),
        pa.field("severity_label", _TEXT),
        *[pa.field(name, _TIME) for name in ("created_at", "updated_at", "first_seen", "last_seen")],
        pa.field("count", pa.int64()),
        pa.field("archived", pa.bool_()),
        pa.field("sample", pa.bool_()),
        *_texts("workflow_status record_state compliance_status control_id resource_type"),
        pa.field("resource_ids", pa.list_(_TEXT)),
        *_texts("access_key_id principal_id principal_name principal_type instance_id api_name api_service"),
        pa.field("remote_ips", pa.list_(_TEXT)),
        *_texts("user_agent attack_sequence"),
        pa.field("sequence_keys", pa.list_(_TEXT)),
        pa.field("sequence_signals", pa.list_(_TEXT)),
        pa.field("details", _TEXT),
        *LINK,
        *PARTITIONS,
    ]
)
FINDING_HISTORY = pa.schema(
    [
        *_texts("record_id finding_id product_arn region"),
        pa.field("updated_at", _TIME),
        pa.field("created", pa.bool_()),
        *_texts("source identity updates"),
        *LINK,
        *PARTITIONS,
    ]
)
SIGHTINGS = pa.schema(
    [
        *_texts("event_id account_id source_object"),
        pa.field("source_position", pa.int32()),
        pa.field("kept", pa.bool_()),
    ]
)

TABLES = {
    "cloudtrail": CLOUDTRAIL, "insights": OTHER, "aggregated": OTHER, "findings": FINDINGS,
    "finding_history": FINDING_HISTORY,
}  # fmt: skip
# What names one event or finding; together with the account it is its identity.
IDENTITY_COLUMN = {
    "cloudtrail": "eventid", "insights": "eventid", "aggregated": "eventid", "findings": "finding_id",
    "finding_history": "record_id",
}  # fmt: skip


def literal(value: object) -> str:
    """SQL text literal of something that is ours, such as a path."""
    return "'" + str(value).replace("'", "''") + "'"
