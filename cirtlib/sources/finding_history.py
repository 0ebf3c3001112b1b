"""What became of control findings over time: GetFindingHistory, the last 90 days of each finding.

A control finding passes and fails in place, and CreatedAt does not say when: whether a weakness was open at the time of
the attack stands in its history alone (Security Hub API reference, GetFindingHistory). One that passes now may have
failed then, so histories of those are asked for too, after those of the ones that do not pass.
"""

import hashlib
from collections.abc import Collection, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from cirtlib.aws import explain
from cirtlib.findings.fields import at, text
from cirtlib.sources import Blob, Known, Slice, answers

_PAGE = 100
_REMEMBERED = 10_000
_AT_ONCE = 4  # a Region; several Regions are read side by side


@dataclass(frozen=True)
class _Control:
    """A control finding: its identifier, a stand-in for it, and one for its present state."""

    finding: str
    product: str
    name: str
    version: str


@dataclass
class Controls:
    """Control findings that were given, each once and as it was last given."""

    failing: dict[str, _Control] = field(default_factory=dict)
    passing: dict[str, _Control] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.failing or self.passing)

    def add(self, findings: list[Any]) -> None:
        """Add those of these findings that a control made."""
        for one in findings:
            finding, product = text(one, "Id"), text(one, "ProductArn")
            if not (finding and product and text(one, "Compliance", "SecurityControlId")):
                continue
            status = text(one, "Compliance", "Status")
            state = (at(one, "UpdatedAt"), status, text(one, "Workflow", "Status"), text(one, "RecordState"))
            made = _Control(finding, product, answers.short(product, finding), answers.short(*state))
            here, there = (self.passing, self.failing) if status == "PASSED" else (self.failing, self.passing)
            there.pop(made.name, None)
            here[made.name] = made


@dataclass(frozen=True)
class Bounds:
    """How many histories to ask for, which were left out earlier (stand-ins), and what is not to be asked for again.

    `done` is joined by what is read: where Regions show each other's findings, one of them is enough.
    """

    limit: int
    left: Collection[str]
    done: set[tuple[str, str]]


@dataclass
class Ended:
    """How asking for histories ended: whether all was answered that was asked, and what was not (stand-ins)."""

    is_whole: bool = True
    left: list[str] = field(default_factory=list)


def known(held: Known) -> set[tuple[str, str]]:
    """Findings whose history the case holds to its end: stand-ins of the finding and of its state."""
    facts = [one for one in held.facts.values() if one.get("complete")]
    return {(str(one.get("finding")), str(one.get("version"))) for one in facts}


def read(
    client: answers.Client, controls: Controls, bounds: Bounds, reading: answers.Reading
) -> Generator[Blob | Slice, None, Ended]:
    """Blob of every answer, and a slice that says how it ended; returns the same as `Ended`."""
    limit, done = bounds.limit, bounds.done
    wanted = [*controls.failing.values(), *controls.passing.values()]
    fresh = [one for one in wanted if (one.name, one.version) not in done]
    left = ({*bounds.left} - {one.name for one in fresh[:limit]}) | {one.name for one in fresh[limit:]}
    ended = Ended(left=sorted(left)[:_REMEMBERED])
    waiting, refused, failures = iter(fresh[:limit]), "", list[str]()
    reading.known.expect(min(limit, len(fresh)), 0)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        while not refused and (some := list(islice(waiting, 4 * _AT_ONCE))):
            for one, (given, fault) in zip(some, threads.map(lambda one: _ask(client, one, done), some), strict=True):
                yield from _blobs(one, given, reading, whole=fault is None)
                if fault is None:
                    done.add((one.name, one.version))
                    continue
                status, reason = explain(fault)
                failures.append(reason)
                refused = reason if status == "denied" else refused
    ended.is_whole = not failures
    if fresh:
        yield _slice(reading, min(limit, len(fresh)), ended, (refused, failures))
    return ended


def _ask(client: answers.Client, one: _Control, done: set[tuple[str, str]]) -> tuple[list[bytes], Exception | None]:
    """Answers about one finding, and the error that ended them early."""
    given: list[bytes] = []
    if (one.name, one.version) in done:
        return given, None
    identifier = {"Id": one.finding, "ProductArn": one.product}
    try:
        for answer in answers.pages(client.get_finding_history, FindingIdentifier=identifier, MaxResults=_PAGE):
            given.append(answers.body(answer))
    except answers.FAULTS as error:
        return given, error
    return given, None


def _blobs(one: _Control, given: list[bytes], reading: answers.Reading, *, whole: bool) -> Iterator[Blob]:
    for number, data in enumerate(given, 1):
        facts = {"account": reading.account, "region": reading.region, "finding": one.name, "version": one.version}
        mark = hashlib.sha256(data).hexdigest()
        last = {"complete": True} if whole and number == len(given) else {}
        yield Blob(f"{reading.name}/history/{one.name}-{number}.json", data, mark=mark, facts={**facts, **last})


def _slice(reading: answers.Reading, asked: int, ended: Ended, faults: tuple[str, list[str]]) -> Slice:
    refused, failures = faults
    remarks = []
    if refused:
        remarks.append(f"the history of findings may not be read: {refused}")
    elif failures:
        remarks.append(f"the history of {len(failures)} of {asked} control findings could not be read: {failures[0]}")
    if ended.left:
        count = f"{len(ended.left)}{' or' if len(ended.left) == _REMEMBERED else ''} more"
        remarks.append(
            f"the history of {count} control findings was not asked for, those that pass first; "
            "raise api.history of this source to have them"
        )
    status = "denied" if refused else "failed" if failures else "read"
    return Slice(
        f"{reading.name}/history", status, reading.account, reading.region, "", answers.iso(reading.asked),
        "history of control findings", "; ".join(remarks), {"asked": asked, "failed": len(failures)},
    )  # fmt: skip
