"""The one front before moto: it answers the calls that no emulator has, and refuses what a test wants refused.

A fake is allowed only here, and only for an operation that moto lacks, or answers wrongly (GetFindings of Security Hub,
DescribeRegions, DeleteKeyPair by id). Whatever else is asked goes on to moto. `front_model` holds each request and each
answer to the botocore model.
"""

import base64
import datetime as dt
import hashlib
import json
from collections import Counter, deque
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http import HTTPStatus
from io import BytesIO
from threading import Lock
from time import monotonic
from typing import Any, Protocol

from cirtlib.training.front_model import Asked, Json, Refused, check, identify, write

Answer = Callable[[Asked], Json]
Wsgi = Callable[..., Any]
Deny = Container[tuple[str, str]] | Callable[[Asked], bool | Refused]


@dataclass
class Clock:
    """The time in the emulated accounts: it stands still until it is set."""

    now: dt.datetime


@dataclass(frozen=True)
class Served:
    """An operation of the front: what answers it, and the error codes of members that have one of their own."""

    answer: Answer
    codes: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Faults:
    """What the accounts refuse; it may be changed while they run.

    Attributes
    ----------
    deny
        (service, operation) pairs, as botocore names them, that are AccessDenied; or a function of the request: whether
        it is denied, or the error that it gets.
    expire_after
        How many requests each access key is good for; then it has expired, and a new one is needed.
    lookups_per_second
        LookupEvents that an account and Region answer in a second (AWS: 2); None: as many as are asked.
    """

    deny: Deny = frozenset()
    expire_after: int | None = None
    lookups_per_second: int | None = None
    _used: Counter[str] = field(default_factory=Counter)
    _lately: dict[tuple[str, str], deque[float]] = field(default_factory=dict)
    _lock: Any = field(default_factory=Lock)

    def renew(self) -> None:
        """Let all keys be good again, as after a new login."""
        with self._lock:
            self._used.clear()

    def reset(self) -> None:
        """Refuse nothing more."""
        self.deny, self.expire_after, self.lookups_per_second = frozenset(), None, None
        self.renew()

    def refusal(self, asked: Asked) -> Refused | None:
        """Error that a request gets before anyone looks at it; None when it is let through."""
        with self._lock:
            self._used[asked.key] += 1
            if self.expire_after is not None and self._used[asked.key] > self.expire_after:
                return asked.expired()
            if denied := self.deny(asked) if callable(self.deny) else (asked.service, asked.operation) in self.deny:
                return denied if isinstance(denied, Refused) else asked.denied()
            if asked.operation == "LookupEvents" and self.lookups_per_second and self._too_fast(asked):
                return Refused("ThrottlingException", "Rate exceeded", 400)
        return None

    def _too_fast(self, asked: Asked) -> bool:
        lately, now = self._lately.setdefault((asked.account, asked.region), deque()), monotonic()
        while lately and lately[0] <= now - 1:
            lately.popleft()
        if len(lately) >= (self.lookups_per_second or 0):
            return True
        lately.append(now)
        return False


@dataclass
class Log:
    """`METHOD operation` of each request that was answered, oldest first, and who is told of it."""

    seen: list[str] = field(default_factory=list)
    watch: Callable[[str], None] | None = None

    def note(self, environ: Json, body: bytes) -> None:
        """Note a request."""
        self.seen.append(f"{environ['REQUEST_METHOD']} {_operation(environ, body)}")
        if self.watch:
            self.watch(self.seen[-1])


class Guarding(Protocol):
    """What may stand before everything else: it decides who may do what, and notes it."""

    def page(self, environ: Json) -> tuple[int, dict[str, str], bytes]:
        """Answer what is no signed call of an API."""

    def check(self, environ: Json, asked: Asked) -> Any:  # noqa: ANN401 - see practice/guard.py
        """Decide about a call."""

    def turn(self, passed: Any) -> AbstractContextManager[None]:  # noqa: ANN401 - what `check` gave
        """What is entered while a call is carried out."""

    def note(self, environ: Json, body: bytes, passed: Any, status: int) -> None:  # noqa: ANN401 - what `check` gave
        """Note a call that was answered."""


@dataclass(frozen=True)
class _Behind:
    """What stands behind the guard: our own answers, then moto."""

    moto: Wsgi
    served: Mapping[tuple[str, str], Served]
    faults: Faults

    def prepare(self, environ: Json, body: bytes) -> None:
        """Have moto load a call's service, if it has not: that draws random numbers, too."""
        if load := getattr(self.moto, "get_application", None):
            load({**environ, "wsgi.input": BytesIO(body)})

    def answer(self, environ: Json, asked: Asked | None, start_response: Callable[..., Any]) -> list[bytes]:
        """Answer a call."""
        made = _made(asked, self.served, self.faults)
        return list(self.moto(environ, start_response)) if made is None else _send(environ, start_response, made)


def front(
    moto: Wsgi, served: Mapping[tuple[str, str], Served], faults: Faults, log: Log, guard: Guarding | None = None
) -> Wsgi:
    """WSGI application that answers what is in `served`, and passes on to moto what is not.

    With a `guard` a call must be signed by a key that it knows, and allowed by the accounts' policies; each answer says
    in a header what was decided.
    """
    behind = _Behind(moto, served, faults)

    def application(environ: Json, start_response: Callable[..., Any]) -> Any:  # noqa: ANN401 - WSGI
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        asked = identify(environ, body)
        if guard is None:
            answer = behind.answer(environ, asked, start_response)
        elif asked is None:
            answer = _send(environ, start_response, guard.page(environ))
        else:
            answer = _guarded(environ, body, asked, start_response, behind, guard)
        log.note(environ, body)
        return answer

    return application


def _guarded(
    environ: Json,
    body: bytes,
    asked: Asked,
    start_response: Callable[..., Any],
    behind: _Behind,
    guard: Guarding,
) -> list[bytes]:
    """Answer a call if the guard lets it through; it is told what came of it."""
    passed = guard.check(environ, asked)
    ruling = {"x-cirt-ruling": passed.ruling.header}
    if passed.refused or passed.rehearsed:
        status, headers, content = write(passed.asked, passed.refused) if passed.refused else (200, {}, b"")
        guard.note(environ, body, passed, status)
        return _send(environ, start_response, (status, headers | ruling, content))
    told = 0

    def started(status: str, headers: list[tuple[str, str]], *more: object) -> Any:  # noqa: ANN401 - WSGI
        nonlocal told
        told = int(status[:3])
        return start_response(status, [*headers, *ruling.items()], *more)

    behind.prepare(environ, body)
    with guard.turn(passed):
        answer = behind.answer(environ, passed.asked, started)
        guard.note(environ, body, passed, told)
    return answer


def _send(environ: Json, start_response: Callable[..., Any], made: tuple[int, dict[str, str], bytes]) -> list[bytes]:
    status, headers, content = made
    length = {"Content-Length": str(len(content))}
    start_response(f"{status} {HTTPStatus(status).phrase}", list({**headers, **length}.items()))
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else content]


def _made(
    asked: Asked | None, served: Mapping[tuple[str, str], Served], faults: Faults
) -> tuple[int, dict[str, str], bytes] | None:
    """Our own answer to a request; None where it is moto's to give."""
    if asked is None:
        return None
    if refusal := faults.refusal(asked):
        return write(asked, refusal)
    ours = served.get((asked.service, asked.operation))
    if ours is None:
        return None
    try:
        check(asked, dict(ours.codes))
        return write(asked, ours.answer(asked))
    except Refused as refused:
        return write(asked, refused)


def _operation(environ: Json, body: bytes) -> str:
    """Operation of a request: named by a header (JSON protocols), by the form (query protocol), or by its path."""
    target = str(environ.get("HTTP_X_AMZ_TARGET", "")).rpartition(".")[2]
    named = [part.removeprefix(b"Action=").decode() for part in body.split(b"&") if part.startswith(b"Action=")]
    return target or (named[0] if named else str(environ.get("PATH_INFO", "")))


def page(items: Sequence[Any], asked: Asked, *, most: int, code: str = "") -> tuple[list[Any], str | None]:
    """One page of `items` for a request with MaxResults and NextToken, and the token of the next one.

    A token is good only for the same question in the same account and Region, whatever the page's size.

    Raises
    ------
    Refused
        when it is not, with `code` or the service's own for a wrong parameter.
    """
    given = asked.parameters
    question = {key: value for key, value in given.items() if key not in ("NextToken", "MaxResults")}
    where = (asked.operation, asked.account, asked.region)
    mark = hashlib.sha256(json.dumps([where, question], sort_keys=True, default=str).encode()).hexdigest()[:24]
    begin, token = 0, given.get("NextToken")
    if token:
        try:
            begin_text, _, found = base64.urlsafe_b64decode(token).decode().partition(":")
            begin = int(begin_text)
        except ValueError:
            found = ""
        if found != mark:
            raise asked.wrong("Invalid pagination token: it belongs to another request", code)
    end = begin + given.get("MaxResults", most)
    token = base64.urlsafe_b64encode(f"{end}:{mark}".encode()).decode() if end < len(items) else None
    return list(items[begin:end]), token


def answered(**members: Any) -> Json:  # noqa: ANN401 - members of any output
    """Output of an operation, without the members that are None."""
    return {name: value for name, value in members.items() if value is not None}
