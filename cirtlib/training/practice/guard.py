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
from cirtlib.training.practice.documents import malformed
from cirtlib.training.practice.journal import Entry, Journal, hidden, raw, reads

Json = dict[str, Any]
RULING = "x-cirt-ruling"
REHEARSAL = "x-cirt-rehearsal"
ADDRESS = "x-cirt-address"
AGAIN = "x-cirt-again"
_NOT_YET = Refused(
    "ServiceUnavailable", "The practice accounts are starting: nothing was done; try again in a few seconds.", 503
)


@dataclass(frozen=True)
class Passed:
    """What the guard says of a call.

    Attributes
    ----------
    asked, ruling, refused
        Who asks for what in which account, what was decided, and the error where it is not let through.
    rehearsed
        Whether it is only ruled on.
    again
        The journal's call that this one does again.
    noted
        Whether it belongs into the journal.
    """

    asked: Asked
    ruling: Ruling
    refused: Refused | None
    rehearsed: bool = False
    again: Entry | None = None
    noted: bool = True


@dataclass
class Guard:
    """Authority and journal of the practice accounts.

    Attributes
    ----------
    token
        What a rehearsal must bring along; the learner's calls never do.
    pages
        Path -> what is answered there, as JSON, to whoever has the token.
    ready
        Whether calls without the token are taken; until then they are told to come again.
    """

    authority: Authority
    journal: Journal
    token: str
    pages: dict[str, Callable[[], Json]] = field(default_factory=dict)
    ready: bool = True
    _writing: Any = field(default_factory=Lock)

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
        if reads(passed.asked.operation) and not passed.asked.operation.startswith("Start"):  # a query gets an id
            yield
            return
        with self._writing:
            mock_random.seed(passed.again.number if passed.again else self.journal.next)
            yield

    def check(self, environ: Json, asked: Asked) -> Passed:
        """Decide about a call, and have moto answer it in the account of whoever asks."""
        ours = self._ours(environ)
        if not (ours or self.ready):
            return Passed(asked, Ruling(INVALID, "the accounts are starting"), _NOT_YET, noted=False)
        if again := self._done(environ) if ours else None:
            return self._repeat(environ, asked, again)
        address = str(environ.get(_variable(ADDRESS), "")) if ours else ""
        try:
            ruling = self.authority.rule(asked, address=address or str(environ.get("REMOTE_ADDR") or "127.0.0.1"))
        except ValueError as error:  # a policy that is none
            ruling = Ruling(INVALID, f"a policy that bears on the call cannot be read ({error})")
            denied = asked.denied()
            return Passed(asked, ruling, Refused(denied.code, ruling.by, denied.status), rehearsed=ours, noted=not ours)
        caller = self.authority.register.find(asked.key)
        if caller is not None:
            asked = _in_account(environ, asked, caller.account)
        refused = malformed(asked) if ruling.passes else refusal(asked, ruling)
        rehearsed = ours and asked.operation not in ("AssumeRole", "GetSessionToken")
        return Passed(asked, ruling, refused, rehearsed, noted=not ours)

    def _done(self, environ: Json) -> Entry | None:
        """The journal's call that a request does again; None for any other."""
        number = str(environ.get(_variable(AGAIN), ""))
        return next((one for one in self.journal.entries if str(one.number) == number), None)

    def _repeat(self, environ: Json, asked: Asked, entry: Entry) -> Passed:
        """Let a call through as it was, in the account where it was: its session may be known no more."""
        asked = _in_account(environ, asked, entry.account)
        ruling = Ruling(entry.ruling, entry.by, caller=entry.caller)
        return Passed(asked, ruling, malformed(asked), again=entry, noted=False)

    def note(self, environ: Json, body: bytes, passed: Passed, status: int) -> None:
        """Write a call into the journal; the attacker's and the grader's do not belong there."""
        if not passed.noted:
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


def _in_account(environ: Json, asked: Asked, account: str) -> Asked:
    """A call as one of this account, for moto, too."""
    asked = replace(asked, account=account)
    environ["HTTP_X_MOTO_ACCOUNT_ID"] = _home(asked) or account
    return asked


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
