"""Grade a containment by the state that the accounts are in, and by the order in which it was done.

Nothing is compared with a plan: the attacker tries again, everybody else does their everyday work, and what came of it
counts. Any sound way of containing has full marks.
"""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any

from cirtlib.training.exercise.record import Record
from cirtlib.training.practice import uses as everyday
from cirtlib.training.practice.attacker import Try, try_all
from cirtlib.training.practice.authorise import Authority
from cirtlib.training.practice.journal import Entry, Journal
from cirtlib.training.practice.keeping import Keeping
from cirtlib.training.practice.rehearse import Rehearsal
from cirtlib.training.practice.standing import Left, left
from cirtlib.training.practice.untried import Untried
from cirtlib.training.practice.uses import Use

Json = dict[str, Any]
_SHOWN = 5


@dataclass
class Judgement:
    """What came of a containment; see the fields' words. `points` are shares, 0 to 1.

    Attributes
    ----------
    ways
        The attacker's credentials and ways in: text, result (closed, open, unknown), what still works, by.
    broken
        Legitimate uses that fail now: who, text, event_ids.
    interrupted
        Those of them that are accepted, as they go on something that the attacker held: who, text, event_ids.
    lost, standing
        Evidence that is lost; what the attacker left and that still stands.
    order
        The learner's changes, in their order.
    minutes
        From the first call to the last change.
    untried
        Kinds of calls that could not be tried again: whose (attacker, others), call, why, count, event_ids.
    """

    ways: list[Json] = field(default_factory=list)
    broken: list[Json] = field(default_factory=list)
    interrupted: list[Json] = field(default_factory=list)
    lost: list[Json] = field(default_factory=list)
    standing: list[Json] = field(default_factory=list)
    order: list[Json] = field(default_factory=list)
    minutes: float | None = None
    untried: list[Json] = field(default_factory=list)
    points: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> Json:
        """As JSON."""
        return asdict(self)


@dataclass
class Bench:
    """Judges the accounts of one incident; made before the learner's first call, so that it knows how they were.

    It judges once at a time, whoever asks: two that share credentials and counts would mix them up.
    """

    authority: Authority
    rehearsal: Rehearsal
    record: Record
    journal: Journal
    uses: list[Use] = field(default_factory=list)
    open_at_first: set[str] = field(default_factory=set)
    calls_at_first: set[tuple[str, str]] = field(default_factory=set)
    untried: Untried = field(default_factory=Untried)
    _one: Any = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.keeping = Keeping(self.record, self.journal)

    def begin(self) -> None:
        """Note what works now: only that can be closed or broken later."""
        chosen = everyday.uses(self.record, self.untried)
        works = everyday.allowed(self.authority, self.rehearsal, chosen, self.untried)
        self.uses = [use for number, use in enumerate(chosen) if not works[number]]
        works_at_first = [one for one in self._all() if one.result == "open"]
        self.open_at_first = {one.way for one in works_at_first}
        self.calls_at_first = {(one.owner, one.call) for one in works_at_first}
        self.keeping.begin()

    def tries(self) -> list[Try]:
        """Everything that the attacker tries again; a further step only where it worked at first."""
        return [one for one in self._all() if not one.further or (one.owner, one.call) in self.calls_at_first]

    def worth_telling(self) -> list[Try]:
        """What the attacker tries by the ways that were open at first, or are open now."""
        with self._one:
            found = self.tries()
        works = self.open_at_first | {one.way for one in found if one.result != "closed"}
        return [one for one in found if one.way in works]

    def _all(self) -> list[Try]:
        return try_all(self.authority, self.rehearsal, self.record, self.untried)

    def judge(self) -> Judgement:
        """Judge what was done."""
        with self._one:
            return self._judge()

    def _judge(self) -> Judgement:
        tries = self.tries()
        ways = _ways(tries, self.open_at_first)
        broken, interrupted = self._broken()
        lost = self.keeping.lost()
        standing = left(self.authority, self.record, tries)
        changes = self.journal.writes()
        return Judgement(
            ways=ways,
            broken=broken,
            interrupted=interrupted,
            lost=[{"text": text} for text, _ in lost],
            standing=[{"node": one.node, "text": one.text} for one in standing if one.stands],
            order=[_said(entry) for entry in changes],
            minutes=_minutes(self.journal.entries, changes),
            untried=self.untried.rows(),
            points={
                "ways": _share_of_ways(ways),
                "uses": self._share_of_uses(len({one["who"] for one in broken})),
                "evidence": max(0.0, 1 - sum(cost for _, cost in lost)),
                "cleanup": _share(standing),
            },
        )

    def _share_of_uses(self, broken: int) -> float:
        """Each principal whose work is broken costs a third; where there was nothing to contain, one costs all."""
        return max(0.0, 1 - broken / (3 if self.record.truth["extent"] else 1))

    def _broken(self) -> tuple[list[Json], list[Json]]:
        """Everyday uses that fail now, by whose they are; and those on what the attacker held, which are accepted."""
        held = {node["value"] for node in self.record.truth["extent"] if node["status"] == "compromised"}
        works = everyday.allowed(self.authority, self.rehearsal, self.uses, self.untried)
        broken: list[tuple[Use, str]] = []
        interrupted: list[tuple[Use, str]] = []
        for number, use in enumerate(self.uses):
            if why := works[number]:
                accepted = use.source.owner in held or use.source.by in held
                (interrupted if accepted else broken).append((use, why))
        return _by_whose(broken), _by_whose(interrupted)


def _by_whose(failed: list[tuple[Use, str]]) -> list[Json]:
    """One row for each principal and way in which it works: what fails, and why."""
    found: dict[str, Json] = {}
    for use, why in failed:
        one = found.setdefault(use.source.words, {"who": use.source.words, "calls": [], "why": why, "event_ids": []})
        one["calls"] = [*one["calls"], use.call][:_SHOWN]
        one["event_ids"] = [*one["event_ids"], *use.event_ids][:_SHOWN]
    return [
        {"who": one["who"], "text": f"{', '.join(one['calls'])}: {one['why']}", "event_ids": one["event_ids"]}
        for one in found.values()
    ]


def _ways(tries: list[Try], at_first: set[str]) -> list[Json]:
    """One row for each way that was open at first, or is now: whether it is, and what it still lets the attacker do."""
    found: dict[str, list[Try]] = {}
    for one in tries:
        found.setdefault(one.way, []).append(one)
    rows = []
    for way, mine in found.items():
        works = [one for one in mine if one.result == "open"]
        doubt = [one for one in mine if one.result == "unknown"]
        if way not in at_first and not works:
            continue
        stopped = sorted({one.by for one in mine if one.result == "closed" and one.by})
        rows.append(
            {
                "text": way,
                "credential": way,
                "call": ", ".join(list(dict.fromkeys(one.call for one in works or doubt))[:_SHOWN]),
                "event_ids": list(dict.fromkeys(name for one in mine for name in one.event_ids))[:_SHOWN],
                "result": "open" if works else "unknown" if doubt else "closed",
                "writes": any(one.writes for one in works),
                "by": "; ".join(stopped[:2]),
            }
        )
    gone = {"call": "", "event_ids": [], "result": "closed", "writes": False, "by": "what led to it is closed"}
    return rows + [{"text": way, "credential": way, **gone} for way in sorted(at_first - found.keys())]


def _share_of_ways(ways: list[Json]) -> float:
    """Share of the ways that are closed; one that lets the attacker change or take something costs at least half.

    A way that cannot be judged counts neither as open nor as closed; where there are only such, nothing is shown.
    """
    if not ways:
        return 1.0
    judged = [one for one in ways if one["result"] != "unknown"]
    closed: float = sum(one["result"] != "open" for one in judged) / len(judged) if judged else 0.0
    return min(closed, 0.5) if any(one["result"] == "open" and one["writes"] for one in ways) else closed


def _share(standing: list[Left]) -> float:
    return 1 - sum(one.stands for one in standing) / len(standing) if standing else 1.0


def _said(entry: Entry) -> Json:
    given = ", ".join(f"{key} {_value(value)}" for key, value in entry.parameters.items())
    at = f"{datetime.fromisoformat(entry.at):%Y-%m-%dT%H:%M:%SZ}"
    return {"time": at, "who": entry.caller, "call": entry.call, "what": given[:300], "account": entry.account}


def _value(value: object) -> str:
    """A parameter for reading: lists and structures without brackets round single things."""
    if isinstance(value, dict):
        return " ".join(f"{key} {_value(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value))
    return str(value)


def _minutes(entries: list[Entry], changes: list[Entry]) -> float | None:
    if not entries or not changes:
        return None
    first, last = (datetime.fromisoformat(one.at) for one in (entries[0], changes[-1]))
    return round((last - first).total_seconds() / 60, 1)
