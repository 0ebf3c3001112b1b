"""State of the accounts as it is now, asked of AWS call by call: identities, trails, instances, policies.

What is asked stands in data/snapshot_calls.tsv. Every page of an answer is kept as JSON; every call that was not
answered is a gap with its reason, and the rest goes on. `cirtlib.snapshot` reads it back.
"""

import base64
import csv
import json
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from importlib.resources import files
from typing import Any

import jmespath
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from cirtlib.aws import Aws, explain, targets
from cirtlib.case import Case, parse_time
from cirtlib.errors import CaseError
from cirtlib.sources import Blob, Known, Place, Slice
from cirtlib.sources.touched import MOST, Touched, touched

WHERE = "account snapshot"
_FRESH = timedelta(minutes=15)
_THREADS = 8
_TARGETS = 2_000  # that one call is asked about in one Region; more are named as a gap
_WAITS = 20  # for the credential report, a second each
_UNREADY = {"ReportInProgress", "CredentialReportNotReady", "CredentialReportNotReadyException"}


@dataclass(frozen=True)
class Row:
    """One call of the catalogue; see the head of data/snapshot_calls.tsv."""

    service: str
    operation: str
    scope: str
    each: tuple[tuple[str, str], ...]
    part: str
    none: frozenset[str]
    parameters: Any

    @property
    def name(self) -> str:
        """Service and operation."""
        return f"{self.service}.{self.operation}"


@dataclass(frozen=True)
class _Ask:
    """One call that is to be made; `target` is what stands in its parameters."""

    row: Row
    region: str
    target: str = ""

    @property
    def label(self) -> str:
        return "/".join(filter(None, (self.target, self.row.part)))


@dataclass
class _Taking:
    """One snapshot of one account at work."""

    aws: Aws
    account: str
    regions: list[str]
    touched: Touched
    known: Known
    at: str
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    asked: set[tuple[str, str, str]] = field(default_factory=set)
    counts: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def facts(self, region: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
        return {"account": self.account, "region": region, "taken_at": self.at, **more}


@dataclass
class _Answer:
    """Pages of one call, and what ended it where it did not end well."""

    pages: list[dict[str, Any]] = field(default_factory=list)
    error: Exception | None = None


@cache
def catalogue() -> tuple[Row, ...]:
    """All calls of the snapshot."""
    text = (files("cirtlib") / "data" / "snapshot_calls.tsv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    return tuple(
        Row(
            row["service"],
            row["operation"],
            row["scope"],
            _each(row["each"]),
            row["part"],
            frozenset(row["none"].split()),
            json.loads(row["parameters"]),
        )
        for row in rows
    )


def _each(text: str) -> tuple[tuple[str, str], ...]:
    """(call, expression) of each place where targets come from; a space before `service.Operation:` parts them."""
    found: list[list[str]] = []
    for word in text.split(" ") if text else ():
        head, colon, rest = word.partition(":")
        if colon and (head == "touched" or "." in head):
            found.append([head, rest])
        else:
            found[-1][1] += " " + word
    return tuple((head, rest) for head, rest in found)


def place(case: Case, kind: str, options: dict[str, Any]) -> Place:
    """The accounts of the case, asked through the API.

    Raises
    ------
    CaseError
        when the options say anything but `api: true`, or the source is of another kind.
    """
    if kind != "account" or options != {"api": True}:
        raise CaseError(
            f"source {kind}: an account is asked through the API: write account: {{api: true}} in case.yaml"
        )
    return Place(kind, WHERE, partial(read, case), needs_store=True)


def read(case: Case, known: Known) -> Iterator[Blob | Slice]:
    """A snapshot of each account, unless one was taken less than 15 minutes ago.

    Raises
    ------
    AccessError
        when the credentials have run out; what was read until then stands, as an incomplete snapshot.
    """
    aws = Aws(case.access)
    named = touched(case)
    for account, regions in targets(case, aws).items():
        last = known.slices.get(_whole(account))
        at = datetime.now(UTC)
        if last and at - parse_time(last.facts["taken_at"]) < _FRESH:
            known.say(f"account {account}: the snapshot of {last.facts['taken_at']} is fresh")
            continue
        text = f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"
        yield from _take(_Taking(aws, account, regions, named, known, text))


def _whole(account: str) -> str:
    return f"snapshot@{account}"


def _take(taking: _Taking) -> Iterator[Blob | Slice]:
    """Ask all that there is to ask of one account; answers lead to further questions."""
    waiting: dict[Future[_Answer], _Ask] = {}
    pool = ThreadPoolExecutor(_THREADS)
    try:
        todo, gaps = _first(taking)
        yield from gaps
        while todo or waiting:
            for ask in todo:
                client = _client(taking, ask)
                waiting[pool.submit(_call, client, ask, _filled(ask.row.parameters, taking, ask, client))] = ask
            todo = []
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=_refused):  # a refusal may end the run: first what was answered
                ask, answer = waiting.pop(future), future.result()
                yield from _told(taking, ask, answer)
                for page in answer.pages:
                    further, gaps = _further(taking, ask, page)
                    todo += further
                    yield from gaps
    finally:
        pool.shutdown(cancel_futures=True)
    whole = taking.facts("", complete=True)
    yield Slice(_whole(taking.account), "read", taking.account, start=taking.at, end=taking.at, facts=whole)


def _refused(future: Future[_Answer]) -> bool:
    return future.result().error is not None


def _first(taking: _Taking) -> tuple[list[_Ask], list[Slice]]:
    """What is asked without an answer before it."""
    asks: list[_Ask] = []
    gaps: list[Slice] = []
    for row in catalogue():
        for region in ["global"] if row.scope == "global" else taking.regions:
            if not row.each:
                asks.append(_Ask(row, region))
            for head, kind in row.each:
                if head == "touched":
                    chosen, gap = _asks(taking, row, region, _touched(taking, region).get(kind, []), MOST)
                    asks, gaps = asks + chosen, gaps + gap
    return asks, gaps


def _touched(taking: _Taking, region: str) -> dict[str, list[str]]:
    return taking.touched.get((taking.account, "" if region == "global" else region), {})


def _further(taking: _Taking, ask: _Ask, page: dict[str, Any]) -> tuple[list[_Ask], list[Slice]]:
    """What one page of an answer leads to."""
    asks: list[_Ask] = []
    gaps: list[Slice] = []
    for row in catalogue():
        for head, expression in row.each:
            if head == ask.row.name and row.scope == ask.row.scope:
                found = _search(expression, {**page, "touched": _touched(taking, ask.region)})
                chosen, gap = _asks(taking, row, ask.region, found, MOST if "touched" in expression else _TARGETS)
                asks, gaps = asks + chosen, gaps + gap
    return asks, gaps


def _search(expression: str, page: dict[str, Any]) -> list[str]:
    found = jmespath.search(expression, page)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _asks(taking: _Taking, row: Row, region: str, names: list[str], most: int) -> tuple[list[_Ask], list[Slice]]:
    """One call for each name that was not asked about before, up to a bound."""
    made: list[_Ask] = []
    count = (row.name, row.part, region)
    for name in names:
        ask = _Ask(row, region, name)
        key = (row.name, region, ask.label)
        if key in taking.asked:
            continue
        if taking.counts.get(count, 0) >= most:
            reason = f"there are more than {most} to ask about; {name} and those after it were left out"
            return made, [_gap(taking, _Ask(row, region, "more"), "failed", reason)]
        taking.asked.add(key)
        taking.counts[count] = taking.counts.get(count, 0) + 1
        made.append(ask)
    return made, []


def _client(taking: _Taking, ask: _Ask) -> Any:  # noqa: ANN401 - boto3 has no types
    """Client for a call; they are made here and not by the threads, which boto3's sessions do not bear."""
    key = ask.row.service, "us-east-1" if ask.region == "global" else ask.region
    if key not in taking.clients:
        taking.clients[key] = taking.aws.client(key[0], account=taking.account, region=key[1])
    return taking.clients[key]


def _filled(template: Any, taking: _Taking, ask: _Ask, client: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Parameters of a call. Targets are hostile: each is put into a text as it is, and read by nothing here."""
    if isinstance(template, dict):
        return {name: _filled(value, taking, ask, client) for name, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, taking, ask, client) for value in template]
    if not isinstance(template, str):
        return template
    kind, _, name = ask.target.partition("/")
    known = {"{account}": taking.account, "{region}": ask.region, "{partition}": client.meta.partition}
    for mark, value in known.items():
        template = template.replace(mark, value)
    for mark, value in (("{type}", kind), ("{id}", name), ("{}", ask.target)):
        if mark in template:
            return template.replace(mark, value)
    return template


def _call(client: Any, ask: _Ask, parameters: dict[str, Any]) -> _Answer:  # noqa: ANN401 - boto3 has no types
    """Make a call, all pages of it; pages before an error count."""
    answer, method = _Answer(), xform_name(ask.row.operation)
    try:
        if client.can_paginate(method):
            for page in client.get_paginator(method).paginate(**parameters):
                answer.pages.append(_plain(page))
        else:
            answer.pages.append(_plain(_ready(getattr(client, method), parameters)))
    except (ClientError, BotoCoreError) as error:
        answer.error = error
    return answer


def _ready(call: Any, parameters: dict[str, Any]) -> Any:  # noqa: ANN401 - boto3 has no types
    """Answer of a call; the credential report is waited for while AWS makes it."""
    for _ in range(_WAITS):
        try:
            return call(**parameters)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _UNREADY:
                raise
            time.sleep(1)
    return call(**parameters)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value that botocore makes
    """Answer as JSON can hold it: times in ISO 8601 (UTC), bytes in base64, without what is of the connection."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items() if name != "ResponseMetadata"}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    return base64.b64encode(value.read()).decode() if hasattr(value, "read") else value


def _told(taking: _Taking, ask: _Ask, answer: _Answer) -> Iterator[Blob | Slice]:
    """Pages of one call, and how it ended where that is worth a line."""
    call = {"service": ask.row.service, "operation": ask.row.operation, "target": ask.label}
    name = "/".join(filter(None, (taking.account, ask.region, ask.row.name, ask.label, taking.at)))
    for number, page in enumerate(answer.pages, 1):
        data = json.dumps(page, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        facts = taking.facts(ask.region, **call, page=number)
        yield Blob(f"{name}/{number}", data.encode("utf-8", "surrogatepass"), facts=facts, other=WHERE)
    if answer.error is None:
        before = taking.known.slices.get(_name(taking, ask))
        if before and before.status != "read":
            yield _gap(taking, ask, "read", "")
        return
    code = _code(answer.error)
    if code in ask.row.none:
        yield _gap(taking, ask, "absent", f"there is none ({code})")
    else:
        yield _gap(taking, ask, *explain(answer.error))


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def _name(taking: _Taking, ask: _Ask) -> str:
    return f"{'/'.join(filter(None, (ask.row.name, ask.label)))}@{taking.account}/{ask.region}"


def _gap(taking: _Taking, ask: _Ask, status: str, reason: str) -> Slice:
    facts = taking.facts(ask.region, service=ask.row.service, operation=ask.row.operation, target=ask.label)
    return Slice(
        _name(taking, ask),
        status,
        taking.account,
        ask.region,
        start=taking.at,
        end=taking.at,
        reason=reason,
        facts=facts,
    )
