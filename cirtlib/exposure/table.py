"""What is known of ways in: controls and what they explain, factors and what they weigh, whom to ask of a credential.

All of it lies in data/ways_in.tsv, each row with its source.
"""

import csv
import functools
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files

YES, NO, UNKNOWN = "yes", "no", "unknown"


@dataclass(frozen=True)
class Factor:
    """One reason for or against a cause: whether it holds (yes, no, unknown), in words, and the ids it rests on."""

    name: str
    holds: str
    text: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cause:
    """One possible way in, with the factors that rank it.

    Attributes
    ----------
    role
        door, theft, condition, unpatched, leak (of an instance), credential (of a credential).
    score
        weight of the cause times those of its factors, 0 to 1: for ranking, not a probability.
    confidence
        likely (every factor holds), possible (some are unknown), unlikely (one speaks against it).
    """

    what: str
    role: str
    resource: str
    controls: tuple[str, ...]
    factors: tuple[Factor, ...]
    score: float
    confidence: str

    @property
    def evidence(self) -> tuple[str, ...]:
        """Ids of events and findings behind all its factors, each once."""
        return tuple(dict.fromkeys(one for factor in self.factors for one in factor.evidence))


@dataclass(frozen=True)
class Control:
    """One row on a control: its role on the way in, what it explains (patterns of finding types, or methods)."""

    name: str
    role: str
    match: tuple[str, ...]
    weight: float
    text: str

    def explains(self, kind: str) -> bool:
        """Whether it explains a finding type, or fits a way of obtaining a credential."""
        return any(fnmatchcase(kind, pattern) for pattern in self.match)


@functools.cache
def controls() -> dict[str, Control]:
    """Controls by id."""
    return {
        row["name"]: Control(
            row["name"], row["role"], tuple(filter(None, row["match"].split(";"))), float(row["weight"]), row["text"]
        )
        for row in _rows("control")
    }


def asked(method: str) -> tuple[str, tuple[str, ...]]:
    """Whom to ask of a credential that was obtained by this method, and what."""
    row = next(row for row in _rows("method") if row["name"] == method)
    return row["role"], tuple(row["text"].split("|"))


def cause(what: str, weight: float, factors: tuple[Factor, ...], *, of: tuple[str, str, tuple[str, ...]]) -> Cause:
    """Cause with its score and confidence; `of` is role, resource and controls."""
    score = weight
    for factor in factors:
        score *= _weights().get((factor.name, factor.holds), 1.0)
    held = {factor.holds for factor in factors}
    confidence = "unlikely" if NO in held else "possible" if UNKNOWN in held else "likely"
    return Cause(what, *of, factors, round(score, 4), confidence)


def ranked(causes: list[Cause]) -> tuple[Cause, ...]:
    """Causes, the strongest first; equal ones by name, so that the order is always the same."""
    return tuple(sorted(causes, key=lambda one: (-one.score, one.role, one.what)))


@functools.cache
def _weights() -> dict[tuple[str, str], float]:
    return {(row["name"], row["role"]): float(row["weight"]) for row in _rows("factor")}


@functools.cache
def _table() -> tuple[dict[str, str], ...]:
    text = files("cirtlib").joinpath("data/ways_in.tsv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines(), delimiter="\t"))


def _rows(kind: str) -> list[dict[str, str]]:
    return [row for row in _table() if row["kind"] == kind]
