"""Columns of the case's tables, with their DuckDB types, in order.

`DOCUMENTED` is the table of AWS's Athena documentation ("Create a table for CloudTrail logs in Athena using manual
partitioning", amazon-athena-user-guide); the rest is what the store keeps beside it.
"""

_TEXT = "VARCHAR"
_ISSUER = "STRUCT(type VARCHAR, principalid VARCHAR, arn VARCHAR, accountid VARCHAR, username VARCHAR)"
_SESSION = (
    f"STRUCT(attributes STRUCT(mfaauthenticated VARCHAR, creationdate VARCHAR), sessionissuer {_ISSUER}, "
    "ec2roledelivery VARCHAR, webidfederationdata MAP(VARCHAR, VARCHAR))"
)
_IDENTITY = (
    "STRUCT(type VARCHAR, principalid VARCHAR, arn VARCHAR, accountid VARCHAR, invokedby VARCHAR, "
    f"accesskeyid VARCHAR, username VARCHAR, sessioncontext {_SESSION})"
)


def _texts(names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), _TEXT)


DOCUMENTED = {
    "eventversion": _TEXT,
    "useridentity": _IDENTITY,
    **_texts("eventtime eventsource eventname awsregion sourceipaddress useragent errorcode errormessage"),
    **_texts("requestparameters responseelements additionaleventdata requestid eventid"),
    "resources": "STRUCT(arn VARCHAR, accountid VARCHAR, type VARCHAR)[]",
    **_texts("eventtype apiversion readonly recipientaccountid serviceeventdetails sharedeventid vpcendpointid"),
    "tlsdetails": "STRUCT(tlsversion VARCHAR, ciphersuite VARCHAR, clientprovidedhostheader VARCHAR)",
}

# what the documentation does not model, as text or JSON text
EXTRA = _texts(
    "eventcategory managementevent sessioncredentialfromconsole vpcendpointaccountid addendum edgedevicedetails "
    "eventcontext useridentity_json unmodelled"
)

LINK = {"source_object": _TEXT, "source_position": "INTEGER", "source_kind": _TEXT, "conflict": "BOOLEAN"}

PARTITIONS = _texts("account_id day")

FINDINGS = {
    **_texts("finding_id product form account_id region type title description"),
    "severity": "DOUBLE",
    "severity_label": _TEXT,
    **dict.fromkeys(("created_at", "updated_at", "first_seen", "last_seen"), "TIMESTAMP WITH TIME ZONE"),
    "count": "BIGINT",
    "archived": "BOOLEAN",
    "sample": "BOOLEAN",
    **_texts("workflow_status record_state compliance_status control_id resource_type"),
    "resource_ids": "VARCHAR[]",
    **_texts("access_key_id principal_id principal_name principal_type instance_id api_name api_service"),
    "remote_ips": "VARCHAR[]",
    **_texts("user_agent attack_sequence"),
    "sequence_keys": "VARCHAR[]",
    "sequence_signals": "VARCHAR[]",
    **_texts("details source_object"),
    "source_position": "INTEGER",
    "day": _TEXT,
}

# the version of each finding that counts: GuardDuty's own form says more than Security Hub's copy of it, then the last
# update, and of those the one that somebody put away since, which leaves the time of update as it was
LATEST = (
    "row_number() OVER (PARTITION BY finding_id, account_id "
    "ORDER BY form = 'guardduty' DESC, updated_at DESC NULLS LAST, "
    "archived OR COALESCE(workflow_status = 'SUPPRESSED', false) DESC, source_object, source_position) = 1"
)

FINDING_HISTORY = {
    **_texts("record_id finding_id product_arn account_id region"),
    "updated_at": "TIMESTAMP WITH TIME ZONE",
    "created": "BOOLEAN",
    **_texts("source identity updates source_object"),
    "source_position": "INTEGER",
    "day": _TEXT,
}

SIGHTINGS = {**_texts("event_id account_id source_object"), "source_position": "INTEGER", "kept": "BOOLEAN"}
