"""One bucket: a client that lists it and a store that reads its objects, both with the same credentials.

Objects are read through obstore, which costs a tenth of boto3's time for each small object; they are listed, and read
where their names are unusual, through boto3, because obstore's paths leave out what a key may hold (`//`, a slash at
either end, `.` and `..`), and its listing does not tell the class of storage.
"""

import math
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.sax.saxutils import unescape

from botocore.exceptions import BotoCoreError, ClientError
from obstore.store import S3Store

from cirtlib.aws import Aws, explain
from cirtlib.errors import AccessError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

# Obstore's own retries, for 429, 5xx and broken connections: exponential back-off with jitter.
RETRIES: "RetryConfig" = {
    "max_retries": 8,
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=15), "base": 2},
    "retry_timeout": timedelta(minutes=3),
}
TIMES: "ClientConfig" = {"connect_timeout": "10s", "read_timeout": "30s", "timeout": "15m"}
_SOON = 60.0  # seconds in which new credentials cannot expire: who refuses them means something else
_CODE = re.compile(r"<Code>([^<]{1,100})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,1000})</Message>")
_STATUS = re.compile(r"status code: ([0-9]{3})")
_NOISE = re.compile(r"^Generic S3 error: |Error performing GET \S+ in \S+(?: - |, )")


@dataclass(frozen=True)
class Access:
    """Client and store of one set of credentials."""

    client: Any
    store: S3Store
    key: str
    credentials: Any


@dataclass
class Bucket:
    """One bucket, and whose credentials open it (`account`: those of its role; None: those of the case)."""

    name: str
    aws: Aws
    account: str | None = None
    _access: Access | None = None
    _spent: AccessError | None = None
    _renewed: float = -math.inf
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def access(self) -> Access:
        """What opens it.

        Raises
        ------
        AccessError
            when there are no credentials.
        """
        made = self._access  # without the lock, for which 64 threads would queue
        if made is not None:
            return made
        with self._lock:
            if self._access is None:
                self._access = self._open()
            return self._access

    def renew(self, stale: Access, why: AccessError) -> None:
        """Take new credentials in place of those that AWS calls expired: of the role, or of the profile read again.

        Raises
        ------
        AccessError
            `why`, when there are no others.
        """
        with self._lock:
            if self._access is not stale:
                return  # another thread was here before
            if self._spent is None and time.monotonic() - self._renewed > _SOON:
                self.aws.forget(self.account)
                fresh = self._open()
                if fresh.key != stale.key:
                    self._access, self._renewed = fresh, time.monotonic()
                    return
            self._spent = self._spent or why
            raise self._spent

    def _open(self) -> Access:
        session = self.aws.session(self.account)
        credentials = session.get_credentials()
        key = _frozen(credentials).access_key
        client = self.aws.client("s3", account=self.account)
        region = self._region(client)
        if region != client.meta.region_name:
            client = self.aws.client("s3", account=self.account, region=region)
        return Access(client, self._store(client, region, credentials), key, credentials)

    def _region(self, client: Any) -> str:  # noqa: ANN401 - botocore's
        """Region of the bucket, which S3 tells even to those it refuses."""
        try:
            answer = client.head_bucket(Bucket=self.name)
        except ClientError as error:
            answer = error.response
        except BotoCoreError:
            answer = {}
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        return str(headers.get("x-amz-bucket-region") or "us-east-1")

    def _store(self, client: Any, region: str, credentials: Any) -> S3Store:  # noqa: ANN401 - botocore's
        """Store at the client's endpoint; what obstore would take from the environment is set here."""
        endpoint = client.meta.endpoint_url
        options: ClientConfig = {**TIMES, "allow_http": endpoint.startswith("http://")}
        bundle = self.aws.session(self.account)._session.get_config_variable("ca_bundle")
        if bundle:
            options["root_certificate"] = Path(bundle).read_bytes()
        return S3Store(
            self.name,
            endpoint=endpoint,
            aws_endpoint_url_s3=endpoint,
            region=region,
            virtual_hosted_style_request=False,
            skip_signature=False,
            client_options=options,
            retry_config=RETRIES,
            credential_provider=_provider(credentials),
        )


def _frozen(credentials: Any) -> Any:  # noqa: ANN401 - botocore's
    """Credentials as they are now, refreshed where that is due.

    Raises
    ------
    AccessError
        when they cannot be had.
    """
    try:
        return credentials.get_frozen_credentials()
    except (ClientError, BotoCoreError) as error:
        raise AccessError(f"no credentials to read S3: {explain(error)[1]}") from None


def _provider(credentials: Any) -> Callable[[], Any]:  # noqa: ANN401 - botocore's
    """What gives obstore its credentials: it asks again five minutes before they run out, botocore renews earlier."""

    def provide() -> dict[str, Any]:
        now = credentials.get_frozen_credentials()
        until = getattr(credentials, "_expiry_time", None)
        return {
            "access_key_id": now.access_key,
            "secret_access_key": now.secret_key,
            "token": now.token,
            "expires_at": until.astimezone(UTC) if until else None,
        }

    return provide


class Answer(NamedTuple):
    """Why something was not given: AWS's code ('' when it did not come to an answer), status and reason in words."""

    code: str
    status: str
    reason: str


def answer(error: Exception, access: Access) -> Answer:
    """What an error of boto3's or obstore's says.

    Raises
    ------
    AccessError
        when the credentials have run out.
    """
    if isinstance(error, ClientError):
        return Answer(str(error.response.get("Error", {}).get("Code", "")), *explain(error))
    text = str(error).partition("\n\nDebug source:")[0]
    code, message, status = _CODE.search(text), _MESSAGE.search(text), _STATUS.search(text)
    if code or status:
        said = {"Code": (code or status)[1], "Message": unescape(message[1]) if message else ""}  # type: ignore[index]
        return answer(ClientError({"Error": said}, "GetObject"), access)
    _frozen(access.credentials)  # obstore does not say so when there are none any more
    reason = _NOISE.sub("", text).strip() or type(error).__name__
    return Answer("", "failed", reason.splitlines()[0])
