"""How the generator's CloudTrail records differ from real ones of the same call; `python -m tests.realism` prints it.

A record is compared with the real records of the same event source, event name and outcome (success or error); its
userIdentity with the real ones of the same type, which the platform writes alike for every call. Compared are field
paths with the types of their values (items of lists folded into `[]`), the order of the top-level fields, and the
presence of what (nearly) every such real record of a current version has.
"""

import argparse
import collections
import gzip
import itertools
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cirtlib.training.generator import generate
from tests.more_scenarios import small

Json = dict[str, Any]
Kind = tuple[str, str, str]

HERE = Path(__file__).parent
KNOWN = HERE / "realism_known.tsv"
SCENARIOS = ("exposed_credentials", "misconfigured_resource", "false_alarm", "phished_console")
MOSTLY = 0.95
CURRENT = (1, 8)  # the version from which records have all the fields that they have today but for tlsDetails' last
# Written by hand to try software: with answers that AWS does not log, and identifiers of no AWS form.
INVENTED = ("criblpacks__cribl-aws-cloudtrail-logs", "panther-labs__panther-analysis")
# Maps whose keys are the caller's own words and not fields: their keys fold into one.
OWN_WORDS = ("encryptionContext", "webIdFederationData.attributes")
# Fields that every service writes alike, now: any real record of a current version shows that they may be there.
ENVELOPE = ("eventCategory", "managementEvent", "readOnly", "tlsDetails", "sessionCredentialFromConsole", "vpcEndpoint")


@dataclass(frozen=True)
class Deviation:
    """One way in which generated records of a call (`service:Name` with `!` for errors) differ from the real ones."""

    call: str
    path: str


def real_records(folder: Path) -> list[Json]:
    """Every CloudTrail record of the real data that is whole: parsed fields, none made for a rule's test."""
    found: dict[str, Json] = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.stat().st_size < 20_000_000 and file.relative_to(folder).parts[0] not in INVENTED:
            for document in _documents(file):
                for record in _records(document):
                    found.setdefault(json.dumps(record, sort_keys=True), record)
    return list(found.values())


def _documents(file: Path) -> Iterator[Any]:
    data = file.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    text = data.decode("utf-8", errors="replace")
    if "eventSource" not in text:
        return
    try:
        yield json.loads(text)
    except ValueError:
        for line in text.splitlines():
            if line.lstrip().startswith("{"):
                try:
                    yield json.loads(line)
                except ValueError:
                    continue


def _records(value: object) -> Iterator[Json]:
    if isinstance(value, list):
        for item in value:
            yield from _records(item)
    elif isinstance(value, dict):
        if _whole(value):
            yield value
        elif "eventSource" not in value:
            for item in value.values():
                yield from _records(item)
    elif isinstance(value, str) and value.startswith("{") and "eventSource" in value:
        try:
            yield from _records(json.loads(value))
        except ValueError:
            return


def _whole(value: Json) -> bool:
    """Tell whether this is a record as a trail delivers it, and not a fragment made to try a detection rule."""
    there = all(value.get(name) for name in ("eventSource", "eventName", "eventVersion", "eventID", "eventTime"))
    parsed = all(not isinstance(value.get(name), str) for name in ("userIdentity", "requestParameters", "readOnly"))
    there = there and re.fullmatch(r"1\.\d+", str(value["eventVersion"])) is not None
    return there and parsed and isinstance(value.get("userIdentity"), dict) and not any(k[:2] == "p_" for k in value)


def paths(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every path below a value with the type of what stands there."""
    if path:
        yield path, _type(value)
    if isinstance(value, dict):
        own = path.endswith(OWN_WORDS)
        for name, item in value.items():
            yield from paths(item, f"{path}.{'*' if own else name}".lstrip("."))
    elif isinstance(value, list):
        for item in value:
            yield from paths(item, f"{path}[]")


def _type(value: object) -> str:
    names = {bool: "bool", int: "number", float: "number", str: "text", dict: "object", list: "list"}
    return names.get(type(value), "null")


def kind(record: Json) -> Kind:
    """Give what makes records comparable: source, name, outcome."""
    return (
        record["eventSource"].split(".")[0],
        record["eventName"],
        "!" if record.get("errorCode") or record.get("errorMessage") else "",
    )


def label(one: Kind) -> str:
    """Write a kind as the list of known deviations does."""
    return f"{one[0]}:{one[1]}{one[2]}"


def _current(record: Json) -> bool:
    major, _, minor = str(record["eventVersion"]).partition(".")
    return (int(major), int(minor or 0)) >= CURRENT


class Real:
    """The real records, by what makes them comparable."""

    def __init__(self, records: Iterable[Json]) -> None:
        """Sort the records into kinds, and their identities into types; `before` is which field stands before which."""
        self.calls: dict[Kind, list[Json]] = collections.defaultdict(list)
        self.identities: dict[str, list[Json]] = collections.defaultdict(list)
        self.envelope: set[tuple[str, str]] = set()
        self.before: set[tuple[str, str]] = set()
        for record in records:
            self.calls[kind(record)].append(record)
            self.identities[identity_kind(record)].append(record)
            if _current(record):
                self.envelope |= {item for item in paths(record) if item[0].startswith(ENVELOPE)}
            if list(record)[:2] == ["eventVersion", "userIdentity"]:  # else somebody has sorted it
                self.before |= set(itertools.combinations(record, 2))
        self._seen: dict[Kind | str, _Shape] = {}

    def call(self, record: Json) -> "_Shape":
        """Give what real records of the call look like, but for their identity."""
        key = kind(record)
        if key not in self._seen:
            self._seen[key] = _Shape(list(self.calls[key]), self.envelope)
        return self._seen[key]

    def order(self, record: Json) -> Iterator[str]:
        """Yield neighbours among the top-level fields of a record that stand the other way round in all real ones."""
        for first, second in itertools.pairwise(record):
            if (second, first) in self.before and (first, second) not in self.before:
                yield f"order of {first}, {second}"

    def identity(self, record: Json) -> "_Shape":
        """Give what real identities of the type look like."""
        key = identity_kind(record)
        if key not in self._seen:
            self._seen[key] = _Shape([_only_identity(one) for one in self.identities.get(key, [])])
        return self._seen[key]


def identity_kind(record: Json) -> str:
    """Give what makes identities comparable: the type; the platform writes them, only sign-in writes its own."""
    signin = record["eventSource"].startswith("signin.")
    return f"{f'{label(kind(record))} ' if signin else ''}identity {record['userIdentity'].get('type', 'without type')}"


def _only_identity(record: Json) -> Json:
    return {
        name: record[name]
        for name in ("eventVersion", "userIdentity", "sessionCredentialFromConsole")
        if name in record
    }


class _Shape:
    """What a set of comparable real records has in common."""

    def __init__(self, records: list[Json], envelope: Iterable[tuple[str, str]] = ()) -> None:
        """Count the fields; `envelope` are paths and types that any call may have."""
        self.typed = {item for record in records for item in paths(record)} | set(envelope)
        self.named = {path for path, _ in self.typed}
        ways: dict[tuple[bool, ...], list[Json]] = collections.defaultdict(list)
        for record in records:
            if _current(record):
                ways[way(record)].append(record)
        self.usual = {one: _usual(same) for one, same in ways.items()}

    def deviations(self, record: Json) -> Iterator[str]:
        """Yield in what a record differs."""
        found = dict(paths(record))
        for path, type_ in paths(record):
            if path not in self.named:
                if path.rpartition(".")[0] in self.named or "." not in path:
                    yield f"extra {path}"
            elif (path, type_) not in self.typed:
                yield f"type {path} {type_}"
        for path in self.usual.get(way(record), set()) - found.keys():
            parent = path.rpartition(".")[0].removesuffix("[]")
            if not parent or parent in found:
                yield f"missing {path}"


def _usual(records: list[Json]) -> set[str]:
    counted = collections.Counter(path for record in records for path in {path for path, _ in paths(record)})
    return {path for path, number in counted.items() if number >= MOSTLY * len(records)}


def way(record: Json) -> tuple[bool, ...]:
    """Tell how a call was made, on which fields depend: in the console, by a service, on an instance, by a build."""
    who = record["userIdentity"]
    context = who.get("sessionContext", {})
    by_service = "invokedBy" in who or str(record.get("sourceIPAddress", "")).endswith(".amazonaws.com")
    special = ("ec2RoleDelivery", "webIdFederationData")
    return "sessionCredentialFromConsole" in record, by_service, *(bool(context.get(name)) for name in special)


def compare(real: Real, records: Iterable[Json]) -> tuple[dict[Deviation, int], dict[str, int]]:
    """Compare records: how many of them deviate in what way, and how many per call have no real record to go by."""
    found: collections.Counter[Deviation] = collections.Counter()
    alone: collections.Counter[str] = collections.Counter()
    for record in records:
        name, who = label(kind(record)), identity_kind(record)
        found.update({Deviation(name, one) for one in real.order(record)})
        if who in real.identities:
            wrong = real.identity(record).deviations(_only_identity(record))
            found.update({Deviation(who, one) for one in wrong if one.partition(" ")[2].startswith("userIdentity")})
        else:
            alone[who] += 1
        if kind(record) in real.calls:
            wrong = real.call(record).deviations(record)
            found.update(
                {Deviation(name, one) for one in wrong if not one.partition(" ")[2].startswith("userIdentity")}
            )
        else:
            alone[name] += 1
    return dict(found), dict(alone)


def generated(folder: Path, name: str, *, seed: int = 1, settings: Json | None = None) -> list[Json]:
    """Every record of a small version of a scenario, which is made in `folder`/incident."""
    made = generate(small(folder / "scenario", name), seed=seed, out=folder / "incident", settings=settings)
    files = sorted(made.logs.rglob("*/CloudTrail/*/*/*/*/*.json.gz"))
    return [record for file in files for record in json.loads(gzip.decompress(file.read_bytes()))["Records"]]


def known() -> dict[Deviation, str]:
    """The deviations that are accounted for, with the reason."""
    lines = [line.split("\t") for line in KNOWN.read_text(encoding="utf-8").splitlines()[1:] if line.strip()]
    return {Deviation(call, path): reason for call, path, reason in lines}


def reason(one: Deviation, reasons: dict[Deviation, str]) -> Deviation | None:
    """Give the row that accounts for a deviation: one of its own call, or of any call (`*`)."""
    return next((row for row in (one, Deviation("*", one.path)) if row in reasons), None)


def main() -> None:
    """Print the deviations, and the calls that no real record is there for."""
    told = argparse.ArgumentParser(description=main.__doc__)
    told.add_argument("--real", type=Path, default=HERE.parent.parent / "shared" / "data")
    told.add_argument("--new", action="store_true", help="only deviations that are not in the list of known ones")
    asked = told.parse_args()
    real = Real(real_records(Path(os.environ.get("CIRT_REAL_DATA") or asked.real)))
    with tempfile.TemporaryDirectory() as folder:
        records = [record for name in SCENARIOS for record in generated(Path(folder) / name, name)]
    found, alone = compare(real, records)
    reasons = known() if KNOWN.is_file() else {}
    for one, number in sorted(found.items(), key=lambda item: (item[0].call, item[0].path)):
        row = reason(one, reasons)
        if not (asked.new and row):
            sys.stdout.write(f"{one.call}\t{one.path}\t{number}\t{reasons[row] if row else ''}\n")
    calls = ", ".join(f"{name} ({number})" for name, number in sorted(alone.items()))
    sys.stdout.write(f"\n{len(records)} records. No real record for: {calls}\n")


if __name__ == "__main__":
    main()
