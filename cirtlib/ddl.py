"""The Athena table for a case's bucket: AWS's documented columns, with the partitions projected from the layout."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError

from cirtlib.aws import Aws, explain
from cirtlib.case import Case
from cirtlib.engine import athena
from cirtlib.engine.schema import EXTRA
from cirtlib.errors import CaseError
from cirtlib.sources.s3.layout import is_account, leads_on, parse, spot

_MOST = 50  # accounts that a table lists; of more it asks each question to name some
_NAME = re.compile(r"[A-Za-z0-9_]{1,255}")
_SAFE = re.compile(r"[A-Za-z0-9!_.*()/=+@,: -]*")
_BEGAN = "2013/11/13"  # when CloudTrail did
_SESSION = (
    "attributes: STRUCT<mfaauthenticated: STRING, creationdate: STRING>, sessionissuer: STRUCT<type: STRING, "
    "principalid: STRING, arn: STRING, accountid: STRING, username: STRING>, ec2roledelivery: STRING, "
    "webidfederationdata: STRUCT<federatedprovider: STRING, attributes: MAP<STRING, STRING>>, sourceidentity: STRING"
)


def _texts(names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), "STRING")


# as documented ("Create the table for CloudTrail logs in Athena using partition projection", Amazon Athena User Guide);
# inscopeof, sourceidentity and what follows tlsdetails are members of a record that the documented table leaves out
_COLUMNS = {
    "eventversion": "STRING",
    "useridentity": (
        "STRUCT<type: STRING, principalid: STRING, arn: STRING, accountid: STRING, invokedby: STRING, "
        "accesskeyid: STRING, username: STRING, onbehalfof: STRUCT<userid: STRING, identitystorearn: STRING>, "
        f"inscopeof: STRUCT<credentialsissuedto: STRING>, sessioncontext: STRUCT<{_SESSION}>>"
    ),
    **_texts("eventtime eventsource eventname awsregion sourceipaddress useragent errorcode errormessage"),
    **_texts("requestparameters responseelements additionaleventdata requestid eventid readonly"),
    "resources": "ARRAY<STRUCT<arn: STRING, accountid: STRING, type: STRING>>",
    **dict.fromkeys(
        ["eventtype", "apiversion", "recipientaccountid", "serviceeventdetails", "sharedeventid", "vpcendpointid"],
        "STRING",
    ),
    "tlsdetails": "STRUCT<tlsversion: STRING, ciphersuite: STRING, clientprovidedhostheader: STRING>",
    **dict.fromkeys((name for name in EXTRA if name not in ("useridentity_json", "unmodelled")), "STRING"),
}


@dataclass(frozen=True)
class Layout:
    """Where the logs lie: bucket, the folder above the accounts (or what stands for one), and what is fixed of them."""

    bucket: str
    above: str
    account: str = ""
    region: str = ""

    @property
    def location(self) -> str:
        """Folder of the table."""
        return f"s3://{self.bucket}/{self.above}"

    @property
    def template(self) -> str:
        """Folder of one partition."""
        account, region = self.account or "${account}", self.region or "${region}"
        return f"{self.location}{account}/CloudTrail/{region}/${{timestamp}}"


def layout(case: Case, aws: Aws | None = None) -> Layout:
    """Layout of the case's bucket: from its address alone where that says enough, else by looking into the bucket.

    Raises
    ------
    CaseError
        when the case names no bucket, or several places in it could be meant.
    """
    uris = [source.options["s3"] for source in case.sources if source.kind == "cloudtrail" and "s3" in source.options]
    if not uris:
        raise CaseError(
            f"{case.path / 'case.yaml'} names no bucket with CloudTrail logs; add "
            "cloudtrail: {s3: s3://BUCKET/AWSLogs/}"
        )
    bucket, prefix = parse(str(uris[0]))
    if not _SAFE.fullmatch(prefix):
        raise CaseError(f"the prefix {prefix!r} has characters that Athena's DDL does not take")
    prefix = prefix if not prefix or prefix.endswith("/") else prefix + "/"
    found = spot(prefix)
    if found.account:
        above = prefix[: prefix.index(f"{found.account}/")]
        return Layout(bucket, above, found.account, found.region)
    return Layout(bucket, _above(aws or Aws(case.access), bucket, prefix))


def _above(aws: Aws, bucket: str, prefix: str) -> str:
    """Folder whose subfolders are accounts, at or below a prefix."""
    while True:
        try:
            answer = aws.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/")
        except (ClientError, BotoCoreError) as error:
            raise CaseError(
                f"s3://{bucket}/{prefix} cannot be looked into ({explain(error)[1]}); write the address of the folder "
                "above an account, with the account: s3://BUCKET/AWSLogs/[o-.../]111122223333/"
            ) from None
        names = [one["Prefix"][len(prefix) : -1] for one in answer.get("CommonPrefixes", [])]
        if any(map(is_account, names)):
            return prefix
        further = [name for name in names if leads_on(name)]
        if len(further) != 1:
            shown = ", ".join(f"s3://{bucket}/{prefix}{name}/" for name in sorted(names)[:5]) or "nothing"
            raise CaseError(
                f"no folder of accounts can be told below s3://{bucket}/{prefix} (there is {shown}); name one in "
                "the source"
            )
        prefix += further[0] + "/"


def statement(case: Case, *, table: str = "", aws: Aws | None = None) -> str:
    """CREATE EXTERNAL TABLE for the case's bucket and layout.

    Parameters
    ----------
    table
        `database.table`; default: that of the case's source athena, else `cloudtrail_logs`.

    Raises
    ------
    CaseError
        when the case names no bucket, or the table's name is none.
    """
    where = layout(case, aws)
    name = table or _named(case)
    if not all(_NAME.fullmatch(part) for part in name.split(".")) or name.count(".") > 1:
        raise CaseError(f"{name!r} is no name of a table: letters, digits and _, as in database.table")
    columns = ",\n".join(f"    {column} {kind}" for column, kind in _COLUMNS.items())
    keys = [key for key, fixed in (("account", where.account), ("region", where.region)) if not fixed]
    partitions = ", ".join(f"{key} STRING" for key in [*keys, "`timestamp`"])
    listed = ",\n".join(f"    '{key}' = '{value}'" for key, value in _properties(case, where, keys).items())
    shown = ".".join(f"`{part}`" for part in name.split("."))
    return (
        f"CREATE EXTERNAL TABLE {shown} (\n{columns}\n)\n"
        f"COMMENT 'CloudTrail logs in {where.location}'\n"
        f"PARTITIONED BY ({partitions})\n"
        "ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'\n"
        "STORED AS INPUTFORMAT 'com.amazon.emr.cloudtrail.CloudTrailInputFormat'\n"
        "OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'\n"
        f"LOCATION '{where.location}'\n"
        f"TBLPROPERTIES (\n{listed}\n)"
    )


def _named(case: Case) -> str:
    for source in case.sources:
        if source.kind == "cloudtrail" and isinstance(source.options.get("athena"), dict):
            where = athena.place(source.options["athena"])
            return f"{where.database}.{where.table}"
    return "cloudtrail_logs"


def _properties(case: Case, where: Layout, keys: list[str]) -> dict[str, str]:
    found: dict[str, str] = {"projection.enabled": "true"}
    if "account" in keys:
        few = 0 < len(case.accounts) <= _MOST
        found["projection.account.type"] = "enum" if few else "injected"
        if few:
            found["projection.account.values"] = ",".join(case.accounts)
    if "region" in keys:
        found |= {"projection.region.type": "enum", "projection.region.values": ",".join(_regions(case))}
    began = f"{case.window.start - timedelta(days=case.baseline_days):%Y/%m/%d}" if case.window.start else _BEGAN
    day = {"type": "date", "format": "yyyy/MM/dd", "range": f"{began},NOW", "interval": "1", "interval.unit": "DAYS"}
    found |= {f"projection.timestamp.{key}": value for key, value in day.items()}
    return found | {"storage.location.template": where.template}


def _regions(case: Case) -> list[str]:
    """All Regions of the partition that the case is in: a table outlives the choice of a few."""
    session: Any = botocore.session.get_session()
    partition = next((name for name in ("cn", "us-gov") if any(r.startswith(name + "-") for r in case.regions)), "")
    return sorted(session.get_available_regions("cloudtrail", f"aws-{partition}" if partition else "aws"))


def create(case: Case, text: str) -> dict[str, Any]:
    """Run the statement in Athena, which adds the table to the Glue Data Catalog; what it cost.

    The one thing here that makes something in an account, at the user's word alone: `cirt athena-ddl --create`.
    """
    where, _ = athena.of(case)
    return athena.spent(athena.execute(case, Aws(case.access), where, text))
