"""GuardDuty's findings, which moto lacks: ListFindings and GetFindings, over a scenario's export.

A finding is answered in the model's shape, so what the export has and the API's model has not is lost here as it is to
every client. Source: GuardDuty API reference, ListFindings and GetFindings; user guide, "Filtering GuardDuty findings".
"""

import datetime as dt
import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import ge, gt, le, lt
from pathlib import Path
from typing import Any

from cirtlib.training.account_state import backend
from cirtlib.training.front import Clock, Served, answered, page
from cirtlib.training.front_model import Asked, Json, trimmed

_KEPT = dt.timedelta(days=90)
_PAGE = 50
# Attributes that may be filtered by, although the model's Finding has lost them.
_BEYOND = ("resource.accessKeyDetails.userIdentity.", "resource.modelDetails.", "resource.bedrockGuardrailDetails.")
_COMPARED: dict[str, Callable[[float, float], bool]] = {
    "GreaterThan": gt,
    "Gt": gt,
    "GreaterThanOrEqual": ge,
    "Gte": ge,
    "LessThan": lt,
    "Lt": lt,
    "LessThanOrEqual": le,
    "Lte": le,
}


@dataclass(frozen=True)
class Findings:
    """Every version of every finding, by account and Region, oldest first; and the clock that says which one holds."""

    versions: Mapping[tuple[str, str], list[Json]]
    clock: Clock

    def current(self, account: str, region: str) -> list[Json]:
        """Findings as they are now: those of the last 90 days, each in its last version."""
        now = self.clock.now
        held = {
            one["id"]: one
            for one in self.versions.get((account, region), [])
            if now - _KEPT <= dt.datetime.fromisoformat(one["updatedAt"]) <= now
        }
        return list(held.values())


def read_guardduty(folder: Path | None, clock: Clock) -> Findings:
    """Findings of an export below `folder`."""
    found: dict[tuple[str, str], list[Json]] = defaultdict(list)
    for path in folder.rglob("GuardDuty/**/*.jsonl.gz") if folder else ():
        for line in gzip.decompress(path.read_bytes()).splitlines():
            one = json.loads(line)
            found[one["accountId"], one["region"]].append(one)
    versions = {where: sorted(known, key=lambda one: str(one["updatedAt"])) for where, known in found.items()}
    return Findings(versions, clock)


def enable_detectors(findings: Findings) -> None:
    """Turn GuardDuty on in moto where findings lie, with the detector's id that they have."""
    for (account, region), known in findings.versions.items():
        guardduty = backend("guardduty", account, region)
        for name in sorted({one["service"]["detectorId"] for one in known}):
            made = guardduty.detectors.pop(guardduty.create_detector(True, "FIFTEEN_MINUTES", {}, {}, []))
            made.id = name
            guardduty.detectors[name] = made


def guardduty(findings: Findings) -> dict[tuple[str, str], Served]:
    """What the front answers of GuardDuty."""
    return {
        ("guardduty", "ListFindings"): Served(lambda asked: _list(findings, asked)),
        ("guardduty", "GetFindings"): Served(lambda asked: _get(findings, asked)),
    }


def _of_detector(findings: Findings, asked: Asked) -> list[Json]:
    """Findings of the detector that is asked, which must be one of the caller's account and Region."""
    detector = asked.parameters["DetectorId"]
    if detector not in backend("guardduty", asked.account, asked.region).detectors:
        text = "The request is rejected because the input detectorId is not owned by the current account."
        raise asked.wrong(text)
    return [one for one in findings.current(asked.account, asked.region) if one["service"]["detectorId"] == detector]


def _list(findings: Findings, asked: Asked) -> Json:
    criterion = asked.parameters.get("FindingCriteria", {}).get("Criterion", {})
    for path in criterion:
        _known(path, asked)
    met = [
        one
        for one in _of_detector(findings, asked)
        if all(_meets(one, path, condition, asked) for path, condition in criterion.items())
    ]
    chosen, token = page([one["id"] for one in _sorted(met, asked)], asked, most=_PAGE)
    return answered(FindingIds=chosen, NextToken=token)


def _get(findings: Findings, asked: Asked) -> Json:
    wanted = set(asked.parameters["FindingIds"])
    met = [one for one in _of_detector(findings, asked) if one["id"] in wanted]
    return {"Findings": [trimmed(one, _shape(asked)) for one in _sorted(met, asked)]}


def _shape(asked: Asked) -> Any:  # noqa: ANN401 - botocore has no types
    return asked.model.service_model.shape_for("Finding")


def _known(path: str, asked: Asked) -> None:
    """Refuse an attribute that no finding has.

    Raises
    ------
    Refused
        as the service does, for a misspelt attribute would find nothing and say nothing.
    """
    shape = _shape(asked)
    for part in path.split("."):
        while shape.type_name == "list":
            shape = shape.member
        if shape.type_name == "map":
            return
        named = {one.serialization.get("name", name): one for name, one in getattr(shape, "members", {}).items()}
        if part not in named:
            if path.startswith(_BEYOND):
                return
            raise asked.wrong(f"The request is rejected because the parameter findingCriteria has no attribute {path}")
        shape = named[part]


def _sorted(findings: list[Json], asked: Asked) -> list[Json]:
    """In the order that is asked for; the newest first where none is."""
    order = asked.parameters.get("SortCriteria", {})
    path, descending = order.get("AttributeName", "updatedAt"), order.get("OrderBy", "DESC") == "DESC"
    _known(path, asked)

    def value(one: Json) -> tuple[float, str, str]:
        first = next(_values(one, path.split(".")), "")
        number = float(first) if isinstance(first, int | float) else 0.0
        return number, "" if isinstance(first, int | float) else str(first), one["id"]

    return sorted(findings, key=value, reverse=descending)


def _values(value: object, path: list[str]) -> Iterator[object]:
    """Values at a path; of each item where there is a list."""
    if isinstance(value, list):
        for item in value:
            yield from _values(item, path)
    elif not path:
        if value is not None:
            yield value
    elif isinstance(value, dict):
        yield from _values(value.get(path[0]), path[1:])


def _meets(finding: Json, path: str, condition: Json, asked: Asked) -> bool:
    """Whether a finding meets all that a condition says of one attribute."""
    values = list(_values(finding, path.split(".")))
    texts = {str(value).lower() if isinstance(value, bool) else str(value) for value in values}
    for name, wanted in condition.items():
        if name in ("Equals", "Eq"):
            met = bool(texts & set(wanted))
        elif name in ("NotEquals", "Neq"):
            met = not texts & set(wanted)
        elif name in _COMPARED:
            met = any(_COMPARED[name](number, wanted) for number in map(_number, values) if number is not None)
        else:
            raise asked.wrong(f"The emulated GuardDuty does not know the condition {name}")
        if not met:
            return False
    return True


def _number(value: object) -> float | None:
    """A number as it is; a time as GuardDuty compares it, in milliseconds."""
    if isinstance(value, int | float):
        return float(value)
    try:
        return dt.datetime.fromisoformat(str(value)).timestamp() * 1000
    except ValueError:
        return None
