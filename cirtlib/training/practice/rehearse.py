"""Calls put to the front of the practice account with somebody's key: ruled, and not carried out."""

import http.client
import re
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
from botocore import xform_name
from botocore.config import Config

from cirtlib.training.account import require_loopback
from cirtlib.training.practice.authorise import Ruling
from cirtlib.training.practice.guard import ADDRESS, REHEARSAL, RULING

Json = dict[str, Any]
_NOBODY, _REGION = "practice", "us-east-1"
_SCOPE = re.compile(r"Credential=[^/]*/(\d{8})/[^/]*/")


class _Said(Exception):  # noqa: N818 - it carries an answer past botocore, which would read the empty body
    def __init__(self, ruled: Ruling) -> None:
        super().__init__(ruled.result)
        self.ruled = ruled


@dataclass
class Rehearsal:
    """Puts calls to the front at `endpoint`, which knows the token."""

    endpoint: str
    token: str
    _session: Any = None
    _clients: dict[str, Any] = field(default_factory=dict)
    _who: Any = field(default_factory=threading.local)  # key, Region and address: botocore passes nothing else along

    def rule(
        self, key: str, service: str, operation: str, given: Json, *, region: str, address: str = ""
    ) -> Ruling | None:
        """What the front would say to a call with this key, from this address; None where botocore cannot write it."""
        client = self._client(service)
        self._who.now = (key, region, address)
        try:
            getattr(client, xform_name(operation))(**given)
        except _Said as said:
            return said.ruled
        except (botocore.exceptions.BotoCoreError, AttributeError, TypeError, ValueError):
            return None
        return None

    def _client(self, service: str) -> Any:  # noqa: ANN401 - boto3 has no types
        """One client for each service: to make one takes longer than many calls."""
        if service not in self._clients:
            settings = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
            self._session = self._session or boto3.Session(aws_access_key_id=_NOBODY, aws_secret_access_key=_NOBODY)
            made = self._session.client(
                service, region_name=_REGION, endpoint_url=require_loopback(self.endpoint), config=settings
            )
            made.meta.events.register_first("before-send", self._send)
            self._clients[service] = made
        return self._clients[service]

    def _send(self, request: Any, **_: object) -> None:  # noqa: ANN401 - botocore has no types
        """Send a request under another's key and in another Region, and take the front's ruling from the answer."""
        key, region, address = self._who.now
        headers = {name: _text(value) for name, value in request.headers.items()}
        signed = headers.get("Authorization", "")
        headers["Authorization"] = _SCOPE.sub(rf"Credential={key}/\1/{region}/", signed)
        headers |= {REHEARSAL: self.token, ADDRESS: address}
        url = urlsplit(request.url)
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=60)
        try:
            path = f"{url.path or '/'}{'?' + url.query if url.query else ''}"
            body = request.body.read() if hasattr(request.body, "read") else request.body
            connection.request(request.method, path, body=body, headers=headers)
            answer = connection.getresponse()
            answer.read()
            said = answer.getheader(RULING) or "unknown; by=the front did not say"
        finally:
            connection.close()
        parts = dict(part.split("=", 1) for part in said.split("; ")[1:] if "=" in part)
        raise _Said(Ruling(said.split(";", 1)[0], parts.get("by", "")))


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
