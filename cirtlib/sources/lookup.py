"""LookupEvents, one account and Region at a time: paced, page by page, from the newest event back.

50 rows a page, one attribute a call, two calls a second for each account and Region, management events of 90 days:
"LookupEvents" (AWS CloudTrail API Reference). A page answers for the time between its oldest row and the page before
it, so that what is still to be asked follows from the pages at hand, and no token has to outlive a run.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cirtlib.aws import Aws, explain
from cirtlib.sources import Blob, Slice, chain, spans
from cirtlib.sources.chain import Key
from cirtlib.sources.spans import Span, iso

ROWS = 50
INTERVAL = 0.5  # seconds between two calls in one account and Region
DELAY = 30 * 60  # seconds after which an event can be taken to have arrived; 5 minutes is the average
EVERYTHING = "all"
_SLOWER, _SLOWEST = 0.25, 8.0  # seconds between two calls, once a lane was throttled
_PATIENCE = 6
_THROTTLED = {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"}
_STALE = {"InvalidNextTokenException", "InvalidNextToken"}
_ELSEWHERE = {"UnrecognizedClientException", "InvalidClientTokenId"}
_making = Lock()  # sessions of boto3 are not safe to make clients from in several threads


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code")) if isinstance(error, ClientError) else ""


@dataclass
class Lane:
    """One account and Region, which share a pace.

    Attributes
    ----------
    covered
        What was read, by extent; a span holds its end and not the second of its start, unless nothing came before.
    settled
        The moment up to which all events are there; what lies after it is asked for again by the next collect.
    refused
        Status and reason, once AWS has denied a lookup: no further one is tried.
    """

    aws: Aws
    account: str
    region: str
    settled: int
    covered: dict[str, list[Span]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    keys: dict[str, set[Key]] = field(default_factory=dict)
    refused: tuple[str, str] | None = None
    pause: float = 0.0
    _next: float = 0.0
    _client: Any = None

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """One LookupEvents, in its turn; a throttled one slows the lane down and is tried again.

        Raises
        ------
        ClientError, BotoCoreError
            when AWS does not answer.
        """
        if self._client is None:
            with _making:
                self._client = self.aws.client("cloudtrail", account=self.account, region=self.region)
        for attempt in range(_PATIENCE):
            self._wait()
            try:
                answer: dict[str, Any] = self._client.lookup_events(**request)
            except ClientError as error:
                if _code(error) not in _THROTTLED or attempt + 1 == _PATIENCE:
                    raise
                self.pause = min(max(self.pause, INTERVAL, _SLOWER) * 2, _SLOWEST)
            else:
                return answer
        raise AssertionError("unreachable")

    def failed(self, error: Exception) -> tuple[str, str]:
        """Status and reason of a lookup that AWS did not answer; once denied, the lane is not asked again.

        Raises
        ------
        AccessError
            when the credentials have run out.
        """
        if _code(error) in _ELSEWHERE and self._is_known():
            status, reason = "denied", f"{_code(error)}: the Region is not enabled in this account"
        else:
            status, reason = explain(error)
        if status == "denied":
            self.refused = status, reason
        return status, reason

    def _is_known(self) -> bool:
        """Whether the credentials are good elsewhere: a Region that is not enabled calls them invalid as well."""
        try:
            self.aws.client("sts", account=self.account).get_caller_identity()
        except (ClientError, BotoCoreError):
            return False
        return True

    def _wait(self) -> None:
        now = time.monotonic()
        start = max(now, self._next)
        self._next = start + max(INTERVAL, self.pause)
        time.sleep(start - now)

    def missing(self, extent: str, span: Span) -> list[Span]:
        """Parts of a span that neither this lookup nor one of everything has read, latest first."""
        return spans.without(span, [*self.covered.get(extent, []), *self.covered.get(EVERYTHING, [])])

    def cover(self, extent: str, span: Span) -> None:
        """Note what was read."""
        self.covered[extent] = spans.merged([*self.covered.get(extent, []), span])


@dataclass(frozen=True)
class Page:
    """One page of rows, newest first, and the span that it answers for."""

    lane: Lane
    extent: str
    rows: Sequence[dict[str, Any]]
    span: Span
    number: int
    last: bool
    keys: tuple[Key, ...] = ()

    @property
    def oldest(self) -> int:
        """Time of its oldest row."""
        return min(map(_moment, self.rows))

    def blob(self) -> Blob:
        """The page as evidence: rows as received, times as ISO 8601, texts byte-true."""
        data = json.dumps({"Events": list(self.rows)}, default=_plain, separators=(",", ":")).encode()
        newest, oldest = iso(max(map(_moment, self.rows))), iso(self.oldest)
        since, until = self.span[0], min(self.span[1], self.lane.settled)
        return Blob(
            f"{self.lane.account}/{self.lane.region}/{self.extent}/{newest}_{oldest}_{self.number}",
            data,
            mark=hashlib.sha256(data).hexdigest()[:16],
            facts={
                "account": self.lane.account, "region": self.lane.region, "extent": self.extent,
                "newest": newest, "oldest": oldest, "next": not self.last, "keys": [list(one) for one in self.keys],
                "covers": [iso(since), iso(until)] if since < until else [], "asked": iso(self.lane.settled + DELAY),
            },
        )  # fmt: skip


def _plain(value: object) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else str(value)


def _moment(row: dict[str, Any]) -> int:
    return int(row["EventTime"].timestamp())


def pages(lane: Lane, extent: str, span: Span, *, most: int | None = None) -> Iterator[Page]:
    """Pages of one span, newest first, at most so many; each is noted as covered.

    Raises
    ------
    ClientError, BotoCoreError
        when AWS does not answer.
    """
    attribute, _, value = extent.partition("=")
    request: dict[str, Any] = {"StartTime": _time(span[0]), "EndTime": _time(span[1]), "MaxResults": ROWS}
    if extent != EVERYTHING:
        request["LookupAttributes"] = [{"AttributeKey": attribute, "AttributeValue": value}]
    until, number = span[1], 0
    while most is None or number < most:
        answer = lane.ask(request)
        rows, token = answer.get("Events") or [], answer.get("NextToken")
        # Of the second of the oldest row there may be more on the next page.
        since = min(until, max(span[0], min(map(_moment, rows), default=until) + 1)) if token else span[0]
        if rows:
            lane.counts[extent] = lane.counts.get(extent, 0) + len(rows)
            yield Page(lane, extent, rows, (since, until), number, not token, _keys(lane, extent, rows))
        lane.cover(extent, (since, until))
        until, number = since, number + 1
        if not token:
            return
        request["NextToken"] = token


def _time(moment: int) -> datetime:
    return datetime.fromtimestamp(moment, UTC)


def _keys(lane: Lane, extent: str, rows: Sequence[dict[str, Any]]) -> tuple[Key, ...]:
    """Keys to look up next: those that a suspect's acts minted, and the one behind an act that is itself suspected."""
    if extent == EVERYTHING:
        return ()
    found = {
        key
        for row in rows
        for key in chain.keys(str(row.get("CloudTrailEvent") or ""), lane.account, caller=chain.asks_for_caller(extent))
    }
    lane.keys.setdefault(extent, set()).update(found)
    return tuple(sorted(found))


def fill(lane: Lane, extent: str, span: Span) -> Iterator[Page | Slice]:
    """What is missing of a span, newest first, and then how that ended.

    Raises
    ------
    AccessError
        when the credentials have run out.
    """
    stale = span[1] + 1
    while lane.refused is None and (missing := lane.missing(extent, span)):
        try:
            yield from pages(lane, extent, missing[0])
        except (ClientError, BotoCoreError) as error:
            if _code(error) in _STALE and missing[0][1] < stale:  # a token ran out: ask anew from where it led to
                stale = missing[0][1]
                continue
            status, reason = lane.failed(error)
            if status != "denied":
                yield _slice(lane, extent, (span[0], missing[0][1]), status, reason)
                return
    if lane.refused:
        yield _slice(lane, extent, span, *lane.refused)
        return
    lane.cover(extent, span)
    status = "read" if lane.counts.get(extent) else "empty"
    yield _slice(lane, extent, spans.around(span, lane.covered[extent]), status)


def _slice(lane: Lane, extent: str, span: Span, status: str, reason: str = "") -> Slice:
    settled = [(start, min(end, lane.settled)) for start, end in lane.covered.get(extent, [])]
    return Slice(
        f"{lane.account}/{lane.region}/{extent}", status, lane.account, lane.region, iso(span[0]), iso(span[1]),
        extent, reason,
        {
            "covered": [[iso(start), iso(end)] for start, end in spans.merged(settled)],
            "events": lane.counts.get(extent, 0),
            "keys": [list(one) for one in sorted(lane.keys.get(extent, ()))],
        },
    )  # fmt: skip
