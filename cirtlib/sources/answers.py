"""Findings as an API answers them: asked Region by Region, kept byte for byte, and counted.

An answer is kept as it came over the wire, before botocore reads it: botocore drops every field that its model does not
have, and the findings of GuardDuty have some (its guide lists `resource.accessKeyDetails.userIdentity.*`, which
EventBridge and S3 deliver and botocore's `GetFindings` lacks). Only an answer of which a filter drops a finding is
written anew, without that finding.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from queue import Empty, Full, Queue
from threading import Event, Lock
from typing import Any, TypeAlias

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from cirtlib.aws import Aws
from cirtlib.case import parse_time
from cirtlib.errors import CaseError
from cirtlib.findings.fields import at, items, text, time
from cirtlib.sources import Blob, Known, Slice

FAULTS = (ClientError, BotoCoreError, ResponseParserError)
"""What a call can raise that is no mistake of ours; `cirtlib.aws.explain` puts it in words."""

Client: TypeAlias = Any
"""A client of botocore, which has no types."""

Reader = Callable[[str, str], Iterator[Blob | Slice]]
_MAKING = Lock()
_BODY = "body as received"
_REGIONS_AT_ONCE = 8
_WAITING = 32


def client(aws: Aws, service: str, account: str, region: str) -> Client:
    """Client whose answers hold their bytes as well; `body` takes them out."""
    with _MAKING:  # botocore can use a client in several threads, and cannot make two at once
        made = aws.client(service, account=account, region=region)
    made.meta.events.register("before-parse", _keep_body)
    return made


def _keep_body(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:  # noqa: ANN401
    customized_response_dict[_BODY] = response_dict["body"]


def body(answer: Mapping[str, Any]) -> bytes:
    """Bytes of an answer as they came."""
    return bytes(answer[_BODY])


def pages(call: Callable[..., Any], **parameters: Any) -> Iterator[Any]:  # noqa: ANN401 - answers of botocore
    """Answers to one question, page by page."""
    token: str | None = None
    while True:
        answer = call(**parameters, **({"NextToken": token} if token else {}))
        yield answer
        token = answer.get("NextToken")
        if not token:
            return


def settings(kind: str, options: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """What case.yaml says below `api`, with `start` and `end` as aware UTC times.

    Raises
    ------
    CaseError
        when it is neither `true` nor a mapping with some of these names.
    """
    given = options.get("api")
    given = {} if given is True or given is None else given
    if not isinstance(given, dict) or set(given) - names:
        raise CaseError(
            f"source {kind}: api: {given!r} should be true, or a mapping with {', '.join(sorted(names))}; "
            "correct `sources` in case.yaml"
        )
    times = {name: parse_time(given[name], f"{kind}.api.{name}") for name in ("start", "end") if given.get(name)}
    if len(times) == 2 and times["end"] <= times["start"]:
        raise CaseError(f"source {kind}: api: end is not after start; correct `sources` in case.yaml")
    return {**given, **times}


def iso(moment: datetime | None) -> str:
    """A time as AWS writes it, to the millisecond; '' for none."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z" if moment else ""


def updated(finding: object) -> datetime | None:
    """When a finding of either form was last updated, as it says."""
    return time(at(finding, "UpdatedAt"))


def short(*parts: object) -> str:
    """Short stand-in for an identifier, to be remembered in the manifest."""
    return hashlib.sha256("\n".join(map(str, parts)).encode("utf-8", "replace")).hexdigest()[:16]


@dataclass
class Reading:
    """One Region of one account while it is read.

    Attributes
    ----------
    known
        What the case holds of this place.
    window
        Start and end of what is asked for, and the filter as text: for the ledger.
    found
        Number of findings that were given and match.
    dropped
        Stand-ins of those that the user's filter drops though AWS gave them, in earlier collects too.
    latest
        Latest update of any of them.
    remarks
        What the ledger should say.
    """

    account: str
    region: str
    known: Known
    window: tuple[datetime | None, datetime | None, str]
    asked: datetime = field(default_factory=lambda: datetime.now(UTC))
    found: int = 0
    dropped: set[str] = field(default_factory=set)
    latest: datetime | None = None
    remarks: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of its slice, and the start of its pages' names."""
        return f"{self.account}/{self.region}"

    @property
    def facts(self) -> Mapping[str, Any]:
        """What its last slice left to go on from."""
        earlier = self.known.slices.get(self.name)
        return earlier.facts if earlier else {}

    def page(
        self,
        data: bytes,
        matches: Callable[[object], bool],
        hidden: Callable[[object], str],
        **facts: object,
    ) -> Iterator[Blob]:
        """Blob of one answer of GetFindings, unless the case holds it already.

        `hidden` gives a stand-in for a finding that somebody put away, '' for others: see `put_away`.
        """
        given = items(at(json.loads(data), "Findings"))
        kept, others = [one for one in given if matches(one)], [one for one in given if not matches(one)]
        self.dropped |= {short(text(one, "Id")) for one in others}
        self.found += len(kept)
        if not kept:
            return
        if others:
            data = json.dumps({"Findings": kept}, separators=(",", ":")).encode()
        until = max((moment for moment in map(updated, kept) if moment), default=None)
        self.latest = max(filter(None, (self.latest, until)), default=None)
        folder = "/".join([self.name, *map(str, facts.values())])
        # Of the findings alone: the token of the next page is another one each time.
        mark = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
        name = f"{folder}/{until or datetime.fromtimestamp(0, UTC):%Y%m%dT%H%M%SZ}-{mark[:16]}.json"
        if self.known.has(name, mark):
            return
        said = {"account": self.account, "region": self.region, **facts, "updated_until": iso(until), "ids": len(kept)}
        if others:
            said["dropped"] = len(others)
        put_away = [stand_in for stand_in in map(hidden, kept) if stand_in]
        yield Blob(name, data, mark=mark, facts={**said, **({"put_away": put_away} if put_away else {})})

    def put_away(self) -> set[str]:
        """Stand-ins of the findings that the case holds as archived or suppressed."""
        start = f"{self.name}/"
        held = (facts for name, facts in self.known.facts.items() if name.startswith(start))
        return {stand_in for facts in held for stand_in in facts.get("put_away", ())}

    def until(self, earlier: str) -> str:
        """Up to when updates are known: no later than this was asked, for what came meanwhile was not listed."""
        before = time(earlier)
        found = min(self.latest, self.asked) if self.latest else None
        return iso(max(filter(None, (before, found)), default=None))

    def end(self, status: str, reason: str = "", facts: Mapping[str, Any] | None = None) -> Slice:
        """How it ended; without `facts` the next collect goes on from where this one did."""
        start, end, extent = self.window
        dropped = sorted(self.dropped | set(self.facts.get("dropped", ())))
        if dropped:
            self.remarks.append(f"{len(dropped)} findings that AWS gave do not match the filter and were left out")
        said = {**(self.facts if facts is None else facts), "dropped": dropped}
        return Slice(
            self.name, status, self.account, self.region, iso(start), iso(min(end or self.asked, self.asked)), extent,
            "; ".join(filter(None, (reason, *self.remarks))), said,
        )  # fmt: skip


def since(until: object, overlap: timedelta) -> datetime | None:
    """From when on updates are asked for again, after a collect that knew them `until`."""
    moment = time(until)
    return moment - overlap if moment else None


def over_regions(targets: Mapping[str, Iterable[str]], read: Reader) -> Iterator[Blob | Slice]:
    """What `read(account, region)` gives for every Region of every account, several at a time, each in its order.

    An error in one of them ends them all.
    """
    ready: Queue[Blob | Slice | BaseException | None] = Queue(_WAITING)
    stopped = Event()

    def give(item: Blob | Slice | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.2)
            except Full:
                continue
            return True
        return False

    def work(account: str, region: str) -> None:
        try:
            for item in read(account, region):
                if not give(item):
                    return
        except BaseException as error:  # the collect's own thread raises it
            give(error)
        give(None)

    jobs = [(account, region) for account, regions in targets.items() for region in regions]
    threads = ThreadPoolExecutor(_REGIONS_AT_ONCE)
    try:
        for job in jobs:
            threads.submit(work, *job)
        yield from _until_done(ready, len(jobs))
    finally:
        stopped.set()
        threads.shutdown(wait=False, cancel_futures=True)


def _until_done(ready: "Queue[Blob | Slice | BaseException | None]", jobs: int) -> Iterator[Blob | Slice]:
    while jobs:
        try:
            item = ready.get(timeout=60)
        except Empty:
            continue
        if item is None:
            jobs -= 1
        elif isinstance(item, BaseException):
            raise item
        else:
            yield item


def extent(chosen: Mapping[str, Any]) -> str:
    """What is asked for, as the ledger says it: `all`, or the filter."""
    asked = {name: value for name, value in chosen.items() if value}
    return json.dumps(asked, default=str, sort_keys=True) if asked else "all"
