"""What a collect calls, tried in its cheapest harmless form (data/check_calls.tsv): each call with how it ended."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import jmespath
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from cirtlib.aws import Aws, explain

RESULTS = ("ok", "off", "denied", "failed", "unknown")
# What AWS says to a key that is good elsewhere, in a Region that the account has not enabled.
_NOT_HERE = {"InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "OptInRequired"}


@dataclass(frozen=True)
class Row:
    """One thing that was checked; `result` is one of RESULTS. Account and Region are '' where it belongs to none."""

    account: str
    region: str
    what: str
    result: str
    detail: str = ""


@dataclass(frozen=True)
class Call:
    """One row of data/check_calls.tsv."""

    service: str
    operation: str
    scope: str
    sources: frozenset[str]
    given: tuple[tuple[str, str], ...]  # (operation, JMESPath) whose values stand for {0}, {1}
    off: frozenset[str]
    none: frozenset[str]
    parameters: Any


@dataclass(frozen=True)
class Answer:
    """How a call ended, and what it gave."""

    result: str
    detail: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Lane:
    """Calls of one service in one account and Region, one after the other; `first` of the account's Regions."""

    account: str
    region: str
    service: str
    first: bool


@cache
def calls() -> tuple[Call, ...]:
    """All that may be tried, in order."""
    text = (files("cirtlib") / "data" / "check_calls.tsv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return tuple(
        Call(
            row["service"],
            row["operation"],
            row["scope"],
            frozenset(row["sources"].split()),
            tuple((name.partition(".")[2], path) for name, _, path in (one.partition(":") for one in _with(row))),
            frozenset(row["off"].split()),
            frozenset(row["none"].split()),
            json.loads(row["parameters"]),
        )
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    )


def _with(row: Mapping[str, str]) -> list[str]:
    return row["with"].split()


def lanes(account: str, regions: Iterable[str], sources: frozenset[str]) -> Iterator[Lane]:
    """What is to be tried in one account, for these sources: lanes that can run side by side."""
    for number, region in enumerate(regions):
        for service in dict.fromkeys(call.service for call in calls() if _due(call, sources, first=not number)):
            yield Lane(account, region, service, first=not number)


def _due(call: Call, sources: frozenset[str], *, first: bool) -> bool:
    return bool(call.sources & sources) and (call.scope == "region" or (first and call.scope == "account"))


def run(aws: Aws, lane: Lane, sources: frozenset[str]) -> dict[str, Answer]:
    """Try what is due: operation -> how it ended. What needs an answer that was not given is left out.

    Raises
    ------
    AccessError
        when the credentials have run out.
    """
    answers: dict[str, Answer] = {}
    client = aws.client(lane.service, account=lane.account, region=lane.region)
    for call in calls():
        if call.service != lane.service or not _due(call, sources, first=lane.first):
            continue
        values = [
            jmespath.search(path, dict(answers[name].data)) if name in answers else None for name, path in call.given
        ]
        if all(values):
            named = {f"{{{number}}}": value for number, value in enumerate(values)}
            answers[call.operation] = ask(client, call, {**named, "{account}": lane.account})
    return answers


def ask(client: Any, call: Call, named: Mapping[str, Any]) -> Answer:  # noqa: ANN401 - botocore's
    """Call once, with what is `named` in its parameters, and without going on to further pages.

    Raises
    ------
    AccessError
        when the credentials have run out.
    """
    try:
        return Answer("ok", data=getattr(client, xform_name(call.operation))(**_filled(call.parameters, named)))
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in call.none:
            return Answer("ok")
        if code in call.off:
            return Answer("off", "not switched on here")
        if code in _NOT_HERE:
            return Answer("failed", f"{code}: is the Region enabled in this account? If not, leave it out of `regions`")
        return Answer(*explain(error))
    except BotoCoreError as error:
        return Answer(*explain(error))


def rows(lane: Lane, answers: Mapping[str, Answer], sources: frozenset[str]) -> Iterator[Row]:
    """Rows of the calls that these sources need, without those that only tell what is on."""
    for call in calls():
        if call.service == lane.service and call.operation in answers and call.sources & sources:
            answer = answers[call.operation]
            if answer.result != "off":  # which another row says of the service
                region = "" if call.scope == "account" else lane.region
                yield row(call, lane.account, region, answer, sources)


def row(call: Call, account: str, region: str, answer: Answer, sources: frozenset[str]) -> Row:
    """Row of one call that these sources need."""
    needing = ", ".join(sorted(call.sources & sources))
    detail = answer.detail + (f" (needed for {needing})" if needing and answer.detail else "")
    return Row(account, region, f"call {call.service} {call.operation}", answer.result, detail)


def _filled(value: Any, named: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Parameters with what is named put in: {0} as the value that it is, {account} inside a text."""
    if isinstance(value, dict):
        return {key: _filled(part, named) for key, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, named) for part in value]
    if not isinstance(value, str) or value in named:
        return named.get(value, value) if isinstance(value, str) else value
    return value.replace("{account}", str(named.get("{account}", "")))
