"""Clients of AWS: the only place that makes them, and so the only place that can call AWS.

Every client refuses an operation that is not in data/allowed_calls.tsv: they read, and change nothing. Where the case
names a role to assume, its credentials are refreshed before they run out; those that cannot be are an AccessError.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ProfileNotFound

from cirtlib.case import Case
from cirtlib.errors import AccessError

_KEYS = {"profile", "role", "external_id", "endpoint_url", "per_account"}
_EXPIRED = {
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
}
_DENIED = ("AccessDenied", "Unauthorized", "Forbidden", "NotAuthorized", "403", "InvalidAccess", "KMS.")
_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 8}, connect_timeout=10, read_timeout=60, max_pool_connections=64
)


@cache
def allowed() -> Mapping[tuple[str, str], dict[str, str]]:
    """Operations that may be called: (service, operation) as botocore names them -> iam_action and why."""
    text = (files("cirtlib") / "data" / "allowed_calls.tsv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {(row["service"], row["operation"]): row for row in csv.DictReader(lines, delimiter="\t")}


@dataclass
class Aws:
    """Access to the accounts of one case.

    `access` is that of case.yaml: profile, role (with {account} in it), external_id, endpoint_url, and per_account with
    the same keys for one account.
    """

    access: Mapping[str, Any]
    _sessions: dict[str | None, boto3.Session] = field(default_factory=dict)

    def client(self, service: str, *, account: str | None = None, region: str = "us-east-1") -> Any:  # noqa: ANN401
        """Client of a service in an account (None: whose credentials these are) and Region; it can only read.

        Raises
        ------
        AccessError
            when there are no credentials, or no such profile.
        """
        session = self.session(account)
        made = session.client(
            service, region_name=region, endpoint_url=self.option(account, "endpoint_url"), config=_CONFIG
        )
        made.meta.events.register("before-parameter-build", _refuse)
        return made

    def session(self, account: str | None = None) -> boto3.Session:
        """Session whose credentials are those of the account's role, where the case names one."""
        if account not in self._sessions:
            self._sessions[account] = self._session(account)
        return self._sessions[account]

    def forget(self, account: str | None = None) -> None:
        """Make the next session of an account anew: profiles are read again, and its role is assumed again."""
        self._sessions.pop(account, None)

    def option(self, account: str | None, name: str) -> Any:  # noqa: ANN401 - whatever case.yaml says
        """One key of `access`, as it holds for this account."""
        return {**self.access, **self.access.get("per_account", {}).get(account, {})}.get(name)

    def _session(self, account: str | None) -> boto3.Session:
        try:
            core = botocore.session.Session(profile=self.option(account, "profile"))
            credentials = core.get_credentials()
        except (ProfileNotFound, BotoCoreError) as error:
            raise AccessError(f"no credentials for AWS: {error}; correct `access` in case.yaml") from None
        if credentials is None:
            raise AccessError("no credentials for AWS: set a profile under `access` in case.yaml, or log in")
        role = self.option(account, "role")
        if role and account:
            core._credentials = self._assumed(core, credentials, role.replace("{account}", account), account)
        return boto3.Session(botocore_session=core)

    def _assumed(self, core: Any, source: Any, role: str, account: str) -> Any:  # noqa: ANN401 - botocore's
        external = self.option(account, "external_id")
        endpoint = self.option(account, "endpoint_url")

        def create(*args: Any, **given: Any) -> Any:  # noqa: ANN401 - botocore's own signature
            return core.create_client(*args, **{"endpoint_url": endpoint, "region_name": "us-east-1"} | given)

        fetcher = AssumeRoleCredentialFetcher(
            client_creator=create,
            source_credentials=source,
            role_arn=role,
            extra_args={"RoleSessionName": "cirtlib", **({"ExternalId": external} if external else {})},
        )
        return DeferredRefreshableCredentials(method="assume-role", refresh_using=fetcher.fetch_credentials)


def _refuse(model: Any, **_: Any) -> None:  # noqa: ANN401 - botocore's own signature
    service = model.service_model.service_name
    if (service, model.name) not in allowed():
        raise AssertionError(
            f"{service} {model.name} is not in data/allowed_calls.tsv: nothing here changes an account"
        )


def explain(error: Exception) -> tuple[str, str]:
    """Status (denied or failed) and reason, in words, of a call that AWS did not answer.

    Raises
    ------
    AccessError
        when the credentials have run out: nothing further can be read with them.
    """
    if isinstance(error, NoCredentialsError):
        raise AccessError("no credentials for AWS: set a profile under `access` in case.yaml, or log in") from error
    if not isinstance(error, ClientError):
        return "failed", str(error).splitlines()[0] if str(error) else type(error).__name__
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _EXPIRED:
        raise AccessError(
            f"the credentials have expired or are not valid ({code}): renew them and run the same command again; "
            "what was read until now is kept"
        ) from error
    text = str(error.response.get("Error", {}).get("Message", "")) or code
    status = "denied" if any(part in code for part in _DENIED) else "failed"
    return status, f"{code}: {text}"


def targets(case: Case, aws: Aws) -> dict[str, list[str]]:
    """Accounts to ask, each with its Regions: those of the case, else the caller's account and all enabled Regions.

    Raises
    ------
    AccessError
        when not even that can be asked.
    """
    accounts = list(case.accounts) or [caller(aws)]
    return {account: list(case.regions) or regions(aws, account) for account in accounts}


def caller(aws: Aws) -> str:
    """Account whose credentials these are."""
    try:
        return str(aws.client("sts").get_caller_identity()["Account"])
    except (ClientError, BotoCoreError) as error:
        raise AccessError(f"cannot ask AWS who this is: {explain(error)[1]}") from None


def regions(aws: Aws, account: str) -> list[str]:
    """Regions that are enabled in an account; those that every account has where it may not be asked."""
    try:
        answer = aws.client("ec2", account=account).describe_regions(AllRegions=False)
    except (ClientError, BotoCoreError) as error:
        explain(error)
        return sorted(boto3.Session().get_available_regions("ec2"))
    return sorted(one["RegionName"] for one in answer["Regions"])
