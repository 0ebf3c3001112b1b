"""Clients of AWS: the only place that makes them, and so the only place that can call AWS.

Every client, whichever way a session makes it, refuses an operation that is not in data/allowed_calls.tsv: they read,
and change nothing. Where the case names a role to assume, its credentials are refreshed before they run out (botocore
does so 15 to 10 minutes ahead); those that cannot be are an AccessError.
"""

import csv
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    LoginError,
    NoAuthTokenError,
    NoCredentialsError,
    SSOError,
    TokenRetrievalError,
)

from cirtlib.case import Case
from cirtlib.errors import AccessError

_EXPIRED = {
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
}
# What botocore says itself when a login has run out, before anything is asked of AWS.
_SPENT = (CredentialRetrievalError, LoginError, NoAuthTokenError, NoCredentialsError, SSOError, TokenRetrievalError)
_DENIED = ("AccessDenied", "Unauthorized", "Forbidden", "NotAuthorized", "403", "InvalidAccess", "KMS.")
_ATTEMPTS = 8  # unless AWS_MAX_ATTEMPTS or the profile says otherwise
# Regions that every account has and nobody can switch off ("AWS Regions", AWS Account Management reference guide).
_EVERYWHERE = (
    "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
    "ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1", "us-east-1",
    "us-east-2", "us-west-1", "us-west-2",
)  # fmt: skip


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
    the same keys for one account. It may be used by many threads.
    """

    access: Mapping[str, Any]
    _sessions: dict[str | None, boto3.Session] = field(default_factory=dict)
    _loader: Any = field(default_factory=botocore.loaders.create_loader)
    _lock: Any = field(default_factory=threading.RLock)

    def client(self, service: str, *, account: str | None = None, region: str = "us-east-1") -> Any:  # noqa: ANN401
        """Client of a service in an account (None: whose credentials these are) and Region; it can only read.

        Raises
        ------
        AccessError
            when there are no credentials, or no such profile.
        """
        endpoint = self.option(account, "endpoint_url")
        with self._lock:  # making clients is not safe for threads, using them is
            session = self.session(account)
            config = _config(session, at_aws=not endpoint)
            return session.client(service, region_name=region, endpoint_url=endpoint, config=config)

    def session(self, account: str | None = None) -> boto3.Session:
        """Session whose credentials are those of the account's role, where the case names one."""
        with self._lock:
            if account not in self._sessions:
                self._sessions[account] = self._session(account)
            return self._sessions[account]

    def regional(self, region: str) -> boto3.Session:
        """The case's own session with a Region, for a library that makes its clients itself; they only read, too."""
        session = self.session()
        # a second boto3 session on the same core would add boto3's methods to each client of S3 twice, which fails
        session._session.set_config_variable("region", region)
        return session

    def forget(self, account: str | None = None) -> None:
        """Make the next session of an account anew: profiles are read again, and its role is assumed again."""
        with self._lock:
            self._sessions.pop(account, None)

    def option(self, account: str | None, name: str) -> Any:  # noqa: ANN401 - whatever case.yaml says
        """One key of `access`, as it holds for this account."""
        own = (self.access.get("per_account") or {}).get(account) or {}
        return own[name] if name in own else self.access.get(name)

    def reach(self, account: str) -> tuple[str, str]:
        """Whether the credentials of an account are had and are its own: `ok` and who they are, else status and why.

        Raises
        ------
        AccessError
            when the credentials have run out.
        """
        try:
            identity = self.client("sts", account=account).get_caller_identity()
        except (ClientError, BotoCoreError) as error:
            status, reason = explain(error)
            return status, f"account {account} cannot be entered: {reason}"
        if identity["Account"] != account:
            return "denied", (
                f"account {account} cannot be entered: these are credentials of account {identity['Account']} "
                f"({identity['Arn']}); name a role or a profile for it under `access` in case.yaml"
            )
        return "ok", str(identity["Arn"])

    def _session(self, account: str | None) -> boto3.Session:
        try:
            core = botocore.session.Session(profile=self.option(account, "profile"))
            core.register_component("data_loader", self._loader)  # models are read once, not for each account
            core.register("before-parameter-build", _refuse)  # every client of the session inherits it
            credentials = core.get_credentials()
        except (ClientError, BotoCoreError) as error:
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


def _config(session: boto3.Session, *, at_aws: bool) -> Config:
    attempts = session._session.get_config_variable("max_attempts") or _ATTEMPTS
    # An endpoint of one's own has one name: no bucket stands before it.
    elsewhere = {} if at_aws else {"s3": {"addressing_style": "path"}}
    return Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=64,
        **elsewhere,
    )


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
    if isinstance(error, _SPENT):
        raise AccessError(
            f"no credentials for AWS: {error}; log in, or set a profile under `access` in case.yaml, and run the same "
            "command again; what was read until now is kept"
        ) from error
    if not isinstance(error, ClientError):
        return "failed", str(error).splitlines()[0] if str(error) else type(error).__name__
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _EXPIRED:
        raise AccessError(
            f"the credentials have expired or are not valid ({code}): renew them and run the same command again; "
            "what was read until now is kept"
        ) from error
    said = str(error.response.get("Error", {}).get("Message", "")).strip()
    text = "no answer that AWS would give" if said.startswith("<") else said or code  # a page of HTML
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
        return list(_EVERYWHERE)
    return sorted(one["RegionName"] for one in answer["Regions"])
