"""Clients of AWS can only read, enter each account as the case says, and say plainly when they cannot."""

import re
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, SSOTokenLoadError

from cirtlib.aws import Aws, explain
from cirtlib.case import new_case
from cirtlib.errors import AccessError, CaseError

PACKAGE = Path(__file__).parent.parent / "cirtlib"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("service", "operation", "given"),
    [
        ("iam", "create_user", {"UserName": "x"}),
        ("cloudtrail", "stop_logging", {"Name": "t"}),
        ("s3", "put_object", {"Bucket": "b", "Key": "k"}),
        ("ec2", "terminate_instances", {"InstanceIds": ["i-0a1b2c3d4e5f60001"]}),
    ],
)
def test_a_call_that_changes_something_is_refused(service: str, operation: str, given: dict) -> None:
    """Before anything leaves this machine, also for a client that the session made itself."""
    aws = Aws({"endpoint_url": "http://127.0.0.1:9"})
    for client in (aws.client(service), aws.session().client(service, region_name="us-east-1")):
        with pytest.raises(AssertionError, match="nothing here changes an account"):
            getattr(client, operation)(**given)


def test_no_other_module_makes_clients() -> None:
    """One place to look at; the emulated accounts of the training are no AWS."""
    for file in PACKAGE.rglob("*.py"):
        if file.name != "aws.py" and "training" not in file.parts:
            assert not re.search(r"boto3\.(client|resource|Session)\(|create_client\(", file.read_text()), file.name


@pytest.mark.usefixtures("keys")
def test_the_role_of_an_account_is_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the account in its ARN and the external id; what `per_account` says comes first."""
    access = {
        "role": "arn:aws:iam::{account}:role/Read",
        "external_id": "case-7",
        "per_account": {"444455556666": {"role": "arn:aws:iam::444455556666:role/Other", "external_id": None}},
    }
    asked: list[dict] = []

    def answer(_: object, operation: str, given: dict) -> dict:
        asked.append({"operation": operation, **given})
        key = {"AccessKeyId": "ASIA", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": "2099-01-01T00:00:00Z"}
        return {"Credentials": key}

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", answer)
    aws = Aws(access)
    for account in ("111122223333", "444455556666"):
        assert aws.session(account).get_credentials().get_frozen_credentials().access_key == "ASIA"
    assert [(one["RoleArn"], one.get("ExternalId")) for one in asked] == [
        ("arn:aws:iam::111122223333:role/Read", "case-7"),
        ("arn:aws:iam::444455556666:role/Other", None),
    ]


def test_what_cannot_be_entered_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """No profile of that name, no credentials, a login that ran out: one AccessError with advice."""
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    with pytest.raises(AccessError, match=r"nobody.*case\.yaml"):
        Aws({"profile": "nobody"}).client("sts")
    for error in (NoCredentialsError(), SSOTokenLoadError(error_msg="gone")):
        with pytest.raises(AccessError, match="run the same command again"):
            explain(error)
    expired = ClientError({"Error": {"Code": "ExpiredTokenException", "Message": "m"}}, "LookupEvents")
    with pytest.raises(AccessError, match="what was read until now is kept"):
        explain(expired)
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "not you"}}, "LookupEvents")
    assert explain(denied) == ("denied", "AccessDeniedException: not you")
    broken = ClientError({"Error": {"Code": "500", "Message": "<!doctype html>"}}, "LookupEvents")
    assert explain(broken) == ("failed", "500: no answer that AWS would give")


@pytest.mark.parametrize(
    ("access", "said"),
    [
        ({"profil": "x"}, "unknown key 'profil'"),
        ({"role": "ForensicsReadOnly"}, "is no role"),
        ({"per_account": {"1": {}}}, "no account id"),
        ({"per_account": {"111122223333": {"per_account": {}}}}, "unknown key 'per_account'"),
        ({"endpoint_url": "localhost:1"}, "is no address"),
        ({"profile": 7}, "quote it"),
    ],
)
def test_a_mistake_in_access_is_named(tmp_path: Path, access: dict, said: str) -> None:
    """Before anything is asked of AWS."""
    with pytest.raises(CaseError, match=re.escape(said)):
        new_case(tmp_path / "case", {"access": access})
