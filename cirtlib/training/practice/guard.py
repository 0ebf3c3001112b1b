"""Stands in the front: lets every call through or not, notes it, and rules on rehearsals without carrying them out."""

import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from moto.moto_api._internal import mock_random

from cirtlib.training.account_state import backend
from cirtlib.training.front_model import Asked, Refused
from cirtlib.training.practice.authorise import INVALID, Authority, Ruling, refusal
from cirtlib.training.practice.calls import bucket_owner
from cirtlib.training.practice.journal import Journal, hidden, raw, reads

Json = dict[str, Any]
RULING = "x-cirt-ruling"
REHEARSAL = "x-cirt-rehearsal"
ADDRESS = "x-cirt-address"


@dataclass(frozen=True)
class Passed:
    """What the guard says of a call: who asks in which account, what was decided, and whether it is a rehearsal."""

    asked: Asked
    ruling: Ruling
    refused: Refused | None
    rehearsed: bool


@dataclass
class Guard:
    """Authority and journal of the practice accounts.

    Attributes
    ----------
    token
        What a rehearsal must bring along; the learner's calls never do.
    pages
        Path -> what is answered there, as JSON, to whoever has the token.
    """

    authority: Authority
    journal: Journal
    token: str
    pages: dict[str, Callable[[], Json]] = field(default_factory=dict)
    _writing: Any = field(default_factory=Lock)
    _again: int = 0

    def page(self, environ: Json) -> tuple[int, dict[str, str], bytes]:
        """Answer what is no signed call: one of the pages, to whoever has the token."""
        made = self.pages.get(str(environ.get("PATH_INFO", "")))
        if made is None or not self._ours(environ):
            text = b"the practice account takes only signed calls of the AWS API\n"
            return 403, {"Content-Type": "text/plain"}, text
        return 200, {"Content-Type": "application/json"}, json.dumps(made(), default=str).encode()

    @contextmanager
    def turn(self, passed: Passed) -> Iterator[None]:
        """One write after the other, with ids that are the same when the journal is done again."""
        with self._writing:
            _visit(passed.asked)
        if reads(passed.asked.operation):
            yield
            return
        with self._writing:
            mock_random.seed(self._again or self.journal.next)
            yield

    @contextmanager
    def again(self, number: int) -> Iterator[None]:
        """While the journal's call of this number is done again: it is let through, and not noted a second time."""
        self._again = number
        try:
            yield
        finally:
            self._again = 0

    def check(self, environ: Json, asked: Asked) -> Passed:
        """Decide about a call, and have moto answer it in the account of whoever asks."""
        ours = self._ours(environ)
        address = str(environ.get(_variable(ADDRESS), "")) if ours else ""
        ruling = self.authority.rule(asked, address=address or str(environ.get("REMOTE_ADDR") or "127.0.0.1"))
        caller = self.authority.register.find(asked.key)
        if caller is not None:
            asked = replace(asked, account=caller.account)
            environ["HTTP_X_MOTO_ACCOUNT_ID"] = _home(asked) or caller.account
        refused = None if ruling.passes or self._again else refusal(asked, ruling)
        rehearsed = ours and not self._again and asked.operation not in ("AssumeRole", "GetSessionToken")
        return Passed(asked, ruling, refused, rehearsed)

    def note(self, environ: Json, body: bytes, passed: Passed, status: int) -> None:
        """Write a call into the journal; the attacker's and the grader's do not belong there."""
        if self._again or self._ours(environ):
            return
        asked, ruling = passed.asked, passed.ruling
        try:
            parameters = hidden(asked.parameters)
        except Refused:
            parameters = {}
        self.journal.note(
            account=asked.account,
            region=asked.region,
            key=asked.key,
            caller=ruling.caller,
            service=asked.service,
            operation=asked.operation,
            parameters=parameters,
            ruling=ruling.result,
            by=ruling.by,
            status=status,
            raw={} if reads(asked.operation) or ruling.result == INVALID else raw(environ, body),
        )

    def _ours(self, environ: Json) -> bool:
        given = str(environ.get(_variable(REHEARSAL), ""))
        return bool(self.token) and hmac.compare_digest(given, self.token)


def _visit(asked: Asked) -> None:
    """Have moto make its backend for a service and Region, with the same ids whatever call comes first."""
    mock_random.seed(f"{asked.service} {asked.account} {asked.region}")
    for region in (asked.region, "aws"):
        with suppress(KeyError, ImportError, ValueError, AttributeError):
            backend(asked.service, asked.account, region)


def _home(asked: Asked) -> str:
    """Account of the bucket that a call is about: moto holds buckets by account, and the guard has judged the call."""
    if asked.service != "s3":
        return ""
    try:
        return bucket_owner(str(asked.parameters.get("Bucket", "")))
    except Refused:
        return ""


def _variable(header: str) -> str:
    return f"HTTP_{header.upper().replace('-', '_')}"
