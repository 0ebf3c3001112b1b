"""The embedded engine: the views of a case, and nothing else."""

import duckdb as driver
import pandas as pd
import pytest
import sample_store as sample

from cirtlib.engine import duckdb as engine
from cirtlib.errors import EvidenceError, QueryError

COLUMNS = [
    "event_time",
    "event_id",
    "event_source",
    "event_name",
    "event_name_raw",
    "event_type",
    "event_category",
    "event_version",
    "read_only",
    "management_event",
    "account_id",
    "region",
    "source_ip",
    "source_ip_kind",
    "source_network",
    "user_agent",
    "user_agent_family",
    "vpc_endpoint_id",
    "tls_host",
    "principal_type",
    "principal",
    "principal_arn",
    "principal_id",
    "user_name",
    "role_arn",
    "session_name",
    "caller_account",
    "access_key_id",
    "session_created",
    "mfa",
    "from_console",
    "source_identity",
    "on_behalf_of",
    "sign_in_session",
    "invoked_by",
    "credentials_issued_to",
    "ec2_role_delivery",
    "error_code",
    "error_message",
    "outcome",
    "minted_key",
    "minted_principal",
    "resources",
    "request",
    "response",
    "additional",
    "service_details",
    "request_id",
    "shared_event_id",
    "source_object",
    "source_position",
    "conflict",
]

DOCUMENTED = [
    "eventversion",
    "useridentity",
    "eventtime",
    "eventsource",
    "eventname",
    "awsregion",
    "sourceipaddress",
    "useragent",
    "errorcode",
    "errormessage",
    "requestparameters",
    "responseelements",
    "additionaleventdata",
    "requestid",
    "eventid",
    "resources",
    "eventtype",
    "apiversion",
    "readonly",
    "recipientaccountid",
    "serviceeventdetails",
    "sharedeventid",
    "vpcendpointid",
    "tlsdetails",
]

PARTITIONS = [
    "account",
    "region",
    "year",
    "month",
    "day",
    "timestamp",
    "date_partition",
    "region_partition",
    "account_partition",
]


def ask(case, sql, **values):
    with engine.connect(case) as connection:
        return engine.run(connection, sql, values)


def named(label, *arguments, **fields):
    """Record whose event id is what it is about, so that one case serves many tests."""
    return sample.record(*arguments, **{"eventID": str(label), **fields})


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Events of one case that holds a record for each row of the tables below, by event id."""
    records = [
        *(named(raw, raw) for raw, _ in NAMES),
        *(named(f"principal {kind}", who=who) for kind, (who, _) in PRINCIPALS.items()),
        *(named(f"error {code}", errorCode=code) for code in OUTCOMES),
        *(named(f"address {address}", sourceIPAddress=address) for address in ADDRESSES),
        *(named(f"agent {agent}", userAgent=agent) for agent in AGENTS),
        *(
            named(f"mint {kind}", name, source, requestParameters=request, responseElements=response)
            for kind, (name, source, request, response, *_) in MINTS.items()
        ),
    ]
    found = ask(sample.make(tmp_path_factory.mktemp("table"), records), "SELECT * FROM events")
    assert len(found) == len(records)
    return found.astype(object).where(found.notna(), None).set_index("event_id")


@pytest.fixture
def event(tmp_path):
    """The one event of a case that holds one record."""

    def one(*arguments, **fields):
        case = sample.make(tmp_path / "case", [sample.record(*arguments, **fields)])
        return ask(case, "SELECT * FROM events").astype(object).where(lambda frame: frame.notna(), None).iloc[0]

    return one


def test_an_empty_case_has_all_views(tmp_path):
    """A table without files is an empty view with its columns and types."""
    case = sample.make(tmp_path)
    found = ask(case, "SELECT * FROM events")
    assert list(found.columns) == COLUMNS
    assert found["event_time"].dtype == "datetime64[us, UTC]"
    assert found["read_only"].dtype == "boolean"
    assert len(found) == len(ask(case, "SELECT * FROM findings")) == len(ask(case, "SELECT * FROM sightings")) == 0


def test_cloudtrail_logs_is_the_documented_table(tmp_path, real_data):
    """First the columns of the published table in its order and types, last the partition columns as text."""
    case = sample.make(tmp_path, [sample.record()])
    described = ask(case, "DESCRIBE cloudtrail_logs")
    names = list(described["column_name"])
    assert names[: len(DOCUMENTED)] == DOCUMENTED
    assert names[-len(PARTITIONS) :] == PARTITIONS
    ddl = (real_data / "awsdocs__amazon-athena-user-guide" / "cloudtrail_tables.sql").read_text(encoding="utf-8")
    published = ddl[ddl.index("(") + 1 : ddl.index("PARTITIONED BY")].lower()
    assert [name for name in DOCUMENTED if name not in published] == []
    types = dict(zip(names, described["column_type"], strict=True))
    texts = set(DOCUMENTED) - {"useridentity", "resources", "tlsdetails"} | set(PARTITIONS)
    assert {types[name] for name in texts} == {"VARCHAR"}
    assert types["resources"] == 'STRUCT(arn VARCHAR, accountid VARCHAR, "type" VARCHAR)[]'
    assert "webidfederationdata MAP(VARCHAR, VARCHAR)" in types["useridentity"]
    row = ask(case, f"SELECT {', '.join(PARTITIONS)} FROM cloudtrail_logs".replace("timestamp", '"timestamp"')).iloc[0]
    assert list(row) == [
        sample.ACCOUNT,
        "us-east-1",
        "2026",
        "06",
        "10",
        "2026/06/10",
        "2026/06/10",
        "us-east-1",
        sample.ACCOUNT,
    ]


def test_published_queries_run_unchanged(tmp_path, real_data):
    """The five queries of AWS's Athena documentation run as they stand, and find what they are written to find."""
    text = (real_data / "awsdocs__amazon-athena-user-guide" / "cloudtrail_queries.sql").read_text(encoding="utf-8")
    queries = [query for query in text.split(";") if query.strip()]
    assert len(queries) == 5
    bucket = {"ARN": "arn:aws:s3:::example-bucket", "accountId": sample.ACCOUNT, "type": "AWS::S3::Bucket"}
    thing = {"ARN": "arn:aws:s3:::example/datafile.txt", "type": "AWS::S3::Object"}
    anonymous = {"type": "AWSAccount", "accountId": "anonymous", "principalId": ""}
    records = [
        sample.record(who=sample.role()),
        sample.record("GetObject", who=sample.user(), resources=[bucket, thing]),
        sample.record("DeleteBucket", resources=[bucket]),
        sample.record("GetObject", who=anonymous, requestParameters={"bucketName": "[your bucket name ]"}),
    ]
    case = sample.make(tmp_path, records)
    results = [ask(case, query) for query in queries]
    assert [len(result) for result in results] == [1, 1, 1, 1, 4]
    assert results[1].loc[0, "s3_resource"] == "example/datafile.txt"
    assert results[2].loc[0, "deleted_bucket"] == "example-bucket"
    assert results[2].loc[0, "bucket_acct_id"] == sample.ACCOUNT


def test_nothing_but_the_store_can_be_read(tmp_path):
    """Even past the dialect, DuckDB itself has no way to other files, to the network, or to its settings."""
    case = sample.make(tmp_path / "case", [sample.record()])
    (tmp_path / "secret.csv").write_text("a\n1\n", encoding="utf-8")
    with engine.connect(case) as connection:
        for sql in (
            f"SELECT * FROM read_csv('{tmp_path / 'secret.csv'}')",
            f"SELECT * FROM '{tmp_path / 'secret.csv'}'",
            f"COPY (SELECT 1) TO '{tmp_path / 'out.csv'}'",
            f"ATTACH '{tmp_path / 'other.db'}'",
            "SET enable_external_access = true",
            "INSTALL httpfs",
            "LOAD httpfs",
        ):
            with pytest.raises(driver.Error):
                connection.execute(sql)


def test_the_path_of_a_case_is_no_pattern(tmp_path):
    """Brackets, stars, quotes and spaces in the case's own path are taken as they stand."""
    sample.make(tmp_path / "ir-x", [sample.record()])
    assert len(ask(sample.make(tmp_path / "i[r]-*'x y", [sample.record()]), "SELECT * FROM events")) == 1


def test_a_broken_file_is_named(tmp_path):
    """A file of the store that is no Parquet gives an error that says what to do."""
    case = sample.make(tmp_path, [sample.record()])
    next(case.store.rglob("*.parquet")).write_bytes(b"PAR1 cut off")
    with pytest.raises(EvidenceError, match="collect it again"):
        engine.connect(case)


def test_an_error_of_the_engine_is_ours(tmp_path):
    """A column that is not there, or an error at run time, is a QueryError in one line."""
    case = sample.make(tmp_path)
    with pytest.raises(QueryError, match="nosuch") as caught:
        ask(case, "SELECT nosuch FROM events")
    assert "\n" not in str(caught.value)
    with pytest.raises(QueryError, match="Division by zero"):
        ask(case, "SELECT 1 / 0")


def test_frames_keep_their_types(tmp_path):
    """Whole numbers and booleans that may be missing stay such; lists are lists; sums are whole numbers."""
    found = ask(
        sample.make(tmp_path), "SELECT * FROM (VALUES (1, true, ARRAY[1, 2]), (NULL, NULL, NULL)) AS t (n, b, l)"
    )
    assert [str(dtype) for dtype in found.dtypes[:2]] == ["Int64", "boolean"]
    assert found.loc[0, "l"] == [1, 2]
    total = ask(sample.make(tmp_path), "SELECT sum(n) AS total FROM (VALUES 1, 2) AS t (n)")
    assert total["total"].dtype == "int64"
    parts = ask(
        sample.make(tmp_path), "SELECT sum(n) AS total FROM (VALUES (1, 'a'), (NULL, 'b')) AS t (n, k) GROUP BY k"
    )
    assert parts["total"].dtype == "Int64", "a sum that is missing makes no decimals of the others"


def test_a_plain_event(event):
    """The common case, column by column."""
    found = event(
        requestParameters={"a": 1},
        tlsDetails={"clientProvidedHostHeader": "s3.amazonaws.com"},
        resources=[{"ARN": "arn:aws:s3:::b", "accountId": sample.ACCOUNT, "type": "AWS::S3::Bucket"}],
    )
    expected = {
        "event_time": pd.Timestamp("2026-06-10T12:00:00Z"),
        "event_source": "s3.amazonaws.com",
        "event_name": "ListBuckets",
        "event_category": "Management",
        "read_only": True,
        "management_event": True,
        "account_id": sample.ACCOUNT,
        "region": "us-east-1",
        "source_ip": "203.0.113.10",
        "source_ip_kind": "public",
        "source_network": "203.0.113.0/24",
        "user_agent_family": "aws-cli",
        "tls_host": "s3.amazonaws.com",
        "principal_type": "IAMUser",
        "user_name": "alice",
        "principal": f"arn:aws:iam::{sample.ACCOUNT}:user/alice",
        "caller_account": sample.ACCOUNT,
        "access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "from_console": False,
        "mfa": None,
        "outcome": "ok",
        "minted_key": None,
        "request": '{"a": 1}',
        "response": None,
        "resources": [{"arn": "arn:aws:s3:::b", "account_id": sample.ACCOUNT, "type": "AWS::S3::Bucket"}],
    }
    assert {name: found[name] for name in expected} == expected


NAMES = [
    ("AddPermission20150331v2", "AddPermission"),
    ("CreateFunction20150331", "CreateFunction"),
    ("GetFoo2015", "GetFoo2015"),
]


@pytest.mark.parametrize(("raw", "name"), NAMES)
def test_version_suffix_is_stripped(table, raw, name):
    """The API version that Lambda and CloudFront add to a name is left out; the raw name is kept."""
    found = table.loc[raw]
    assert (found["event_name"], found["event_name_raw"]) == (name, raw)


PRINCIPALS = {
    "role with path": (sample.role(path="/app/"), f"arn:aws:iam::{sample.ACCOUNT}:role/app/devRole"),
    "role without issuer": (
        {"type": "AssumedRole", "principalId": "AROAX:s", "arn": "arn:aws:sts::111122223333:assumed-role/devRole/s"},
        "arn:aws:iam::111122223333:role/devRole",
    ),
    "root": (
        {"type": "Root", "accountId": "444455556666", "principalId": "444455556666"},
        "arn:aws:iam::444455556666:root",
    ),
    "user without ARN": (
        {"type": "IAMUser", "accountId": "444455556666", "userName": "bob", "principalId": "AIDAB"},
        "arn:aws:iam::444455556666:user/bob",
    ),
    "user whose name is hidden": (
        {
            "type": "IAMUser",
            "accountId": "444455556666",
            "userName": "HIDDEN_DUE_TO_SECURITY_REASONS",
            "principalId": "AIDAB",
        },
        "444455556666:AIDAB",
    ),
    "federated user": (
        {"type": "FederatedUser", "arn": "arn:aws:sts::111122223333:federated-user/x", "principalId": "111122223333:x"},
        "arn:aws:sts::111122223333:federated-user/x",
    ),
    "service": (sample.service("lambda.amazonaws.com"), "lambda.amazonaws.com"),
    "foreign caller": (
        {"type": "AWSAccount", "accountId": "444455556666", "principalId": "AROAX:s"},
        "444455556666:AROAX:s",
    ),
    "anonymous": ({"type": "AWSAccount", "accountId": "anonymous", "principalId": ""}, "anonymous"),
    "SSO user": ({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "u-1", "identityStoreArn": "arn:x"}}, "u-1"),
    "SAML": ({"type": "SAMLUser", "principalId": "idp:alice", "userName": "alice"}, "idp:alice"),
    "none": ({}, None),
}


@pytest.mark.parametrize("kind", PRINCIPALS)
def test_principal_is_stable(table, kind):
    """Each kind of caller has one name, whatever its session."""
    assert table.loc[f"principal {kind}", "principal"] == PRINCIPALS[kind][1]


def test_a_role_session_names_its_parts(event):
    """Role, session, times, source identity, sign-in, person and instance are columns."""
    who = sample.role(
        session="i-0abc", sourceIdentity="alice", signInSessionArn="arn:aws:signin:x", ec2RoleDelivery="2.0"
    )
    who |= {
        "onBehalfOf": {"userId": "u-1"},
        "inScopeOf": {"credentialsIssuedTo": "arn:aws:ec2:us-east-1:111122223333:instance/i-0abc"},
    }
    found = event(who=who)
    expected = {
        "role_arn": f"arn:aws:iam::{sample.ACCOUNT}:role/devRole",
        "session_name": "i-0abc",
        "mfa": False,
        "source_identity": "alice",
        "session_created": pd.Timestamp("2026-06-10T10:00:00Z"),
        "sign_in_session": "arn:aws:signin:x",
        "on_behalf_of": "u-1",
        "credentials_issued_to": "arn:aws:ec2:us-east-1:111122223333:instance/i-0abc",
        "ec2_role_delivery": "2.0",
    }
    assert {name: found[name] for name in expected} == expected


OUTCOMES = {
    None: "ok",
    "": "ok",
    "AccessDenied": "denied",
    "AccessDeniedException": "denied",
    "Client.UnauthorizedOperation": "denied",
    "VpceAccessDenied": "denied",
    "AuthorizationError": "denied",
    "NotOrganizationMasterAccountException": "denied",
    "NotOrganizationManagementAccountException": "denied",
    "ThrottlingException": "throttled",
    "Client.RequestLimitExceeded": "throttled",
    "Client.DryRunOperation": "error",
    "NoSuchEntityException": "error",
    "LimitExceededException": "error",
}


@pytest.mark.parametrize("code", OUTCOMES)
def test_outcome(table, code):
    """Denied in every spelling; throttled apart; another error is no denial."""
    assert table.loc[f"error {code}", "outcome"] == OUTCOMES[code]


def test_a_failed_sign_in_is_denied(event):
    """ConsoleLogin has no error code when it fails."""
    found = event(
        "ConsoleLogin",
        "signin",
        eventType="AwsConsoleSignIn",
        responseElements={"ConsoleLogin": "Failure"},
        additionalEventData={"MFAUsed": "No"},
    )
    assert (found["outcome"], found["mfa"], found["from_console"]) == ("denied", False, True)


ADDRESSES = {
    "203.0.113.10": ("public", "203.0.113.0/24"),
    "10.1.2.3": ("private", "10.1.2.0/24"),
    "172.31.0.9": ("private", "172.31.0.0/24"),
    "172.32.0.9": ("public", "172.32.0.0/24"),
    "2001:DB8::1": ("public", "2001:db8::/48"),
    "2001:db8:0a:2::5": ("public", "2001:db8:a::/48"),
    "2001:0db8:0000:0001:0000:0000:0000:0005": ("public", "2001:db8::/48"),
    "fd00::1": ("private", "fd00::/48"),
    "::1": ("private", "::/48"),
    "AWS Internal": ("aws_internal", "AWS Internal"),
    "ec2.amazonaws.com": ("aws_service", "ec2.amazonaws.com"),
    "255.090.254.5": ("invalid", "255.090.254.5"),
    "<script>": ("invalid", "<script>"),
    None: (None, None),
    "": (None, None),
}


@pytest.mark.parametrize("address", ADDRESSES, ids=str)
def test_source_address(table, address):
    """Addresses have a kind and a network; what is none is kept as it stands."""
    found = table.loc[f"address {address}"]
    assert (found["source_ip_kind"], found["source_network"]) == ADDRESSES[address]


AGENTS = {
    "aws-cli/2.15.0 Python/3.11": ("aws-cli/2.15.0 Python/3.11", "aws-cli"),
    "[Boto3/1.34 Botocore/1.34]": ("Boto3/1.34 Botocore/1.34", "boto3"),
    "[S3Console/0.4, aws-internal/3]": ("S3Console/0.4, aws-internal/3", "console"),
    "console.amazonaws.com": ("console.amazonaws.com", "console"),
    "console.ec2.amazonaws.com": ("console.ec2.amazonaws.com", "console"),
    "APN/1.0 HashiCorp/1.0 Terraform/1.5": ("APN/1.0 HashiCorp/1.0 Terraform/1.5", "terraform"),
    "Mozilla/5.0 (X11)": ("Mozilla/5.0 (X11)", "browser"),
    "aws-sdk-go-v2/1.2": ("aws-sdk-go-v2/1.2", "aws-sdk-go"),
    "AWS Internal": ("AWS Internal", "aws-internal"),
    "lambda.amazonaws.com": ("lambda.amazonaws.com", "lambda.amazonaws.com"),
    "Evil <b>": ("Evil <b>", "evil"),
    "": (None, None),
}


@pytest.mark.parametrize("agent", AGENTS, ids=str)
def test_user_agent(table, agent):
    """Brackets are stripped; the family is short."""
    found = table.loc[f"agent {agent}"]
    assert (found["user_agent"], found["user_agent_family"]) == AGENTS[agent]


ROLE = f"arn:aws:iam::{sample.ACCOUNT}:role/app/devRole"
CREDENTIALS = {"credentials": {"accessKeyId": "ASIAMINTED"}}
MINTS = {
    "AssumeRole": ("AssumeRole", "sts", {"roleArn": ROLE, "roleSessionName": "s"}, CREDENTIALS, "ASIAMINTED", ROLE),
    "GetSessionToken": (
        "GetSessionToken",
        "sts",
        None,
        CREDENTIALS,
        "ASIAMINTED",
        f"arn:aws:iam::{sample.ACCOUNT}:user/alice",
    ),
    "GetFederationToken": (
        "GetFederationToken",
        "sts",
        {"name": "x"},
        CREDENTIALS | {"federatedUser": {"arn": "arn:aws:sts::1:federated-user/x"}},
        "ASIAMINTED",
        "arn:aws:sts::1:federated-user/x",
    ),
    "AssumeRoot": (
        "AssumeRoot",
        "sts",
        {"targetPrincipal": "444455556666"},
        CREDENTIALS,
        "ASIAMINTED",
        "arn:aws:iam::444455556666:root",
    ),
    "own key": (
        "CreateAccessKey",
        "iam",
        None,
        {"accessKey": {"accessKeyId": "AKIANEW", "userName": "alice"}},
        "AKIANEW",
        f"arn:aws:iam::{sample.ACCOUNT}:user/alice",
    ),
    "another's key": (
        "CreateAccessKey",
        "iam",
        {"userName": "bob"},
        {"accessKey": {"accessKeyId": "AKIANEW"}},
        "AKIANEW",
        f"arn:aws:iam::{sample.ACCOUNT}:user/bob",
    ),
    "password": (
        "CreateLoginProfile",
        "iam",
        {"userName": "bob"},
        None,
        None,
        f"arn:aws:iam::{sample.ACCOUNT}:user/bob",
    ),
    "Roles Anywhere": (
        "CreateSession",
        "rolesanywhere",
        {"roleArn": ROLE},
        {"credentialSet": [CREDENTIALS]},
        "ASIAMINTED",
        ROLE,
    ),
    "same name elsewhere": ("AssumeRole", "example", {"roleArn": ROLE}, CREDENTIALS, None, None),
}


@pytest.mark.parametrize("kind", MINTS)
def test_minted_credential(table, kind):
    """An event that issues a credential says which, and whose; the same event denied issues none."""
    found = table.loc[f"mint {kind}"]
    assert (found["minted_key"], found["minted_principal"]) == MINTS[kind][-2:]


def test_a_denied_mint_issues_nothing(event):
    """What was denied minted nothing, whatever its parameters say."""
    found = event("AssumeRole", "sts", requestParameters={"roleArn": ROLE}, errorCode="AccessDenied")
    assert (found["minted_key"], found["minted_principal"], found["outcome"]) == (None, None, "denied")


def test_odd_detail_does_not_stop_a_query(event):
    """JSON that is none, or of another shape than expected, gives NULL."""
    assert event("AssumeRole", "sts", responseElements="not json")["minted_key"] is None
    assert event("AssumeRole", "sts", responseElements={"credentials": "omitted"})["minted_key"] is None


def test_an_event_without_a_recipient_has_the_partition_s_account(event):
    """The account of the path stands in where the record names none."""
    assert event(recipientAccountId=None)["account_id"] == "unknown"
