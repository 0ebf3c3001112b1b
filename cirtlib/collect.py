"""From the case's sources into its store: originals kept, every record accounted for, each event once.

What a record is decides which table it joins, wherever it lies: a finding among logs is kept as a finding. An object is
known by where it lies and its SHA-256, and is not read again; a new version of a file is a new object. Originals and
rows reach the disk before the manifest line that answers for them, so that a collect that was stopped goes on.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
from tqdm import tqdm

from cirtlib import evidence, queries, records, store
from cirtlib.case import Case, Source, new_case
from cirtlib.errors import CaseError, EvidenceError
from cirtlib.sources import Blob, folder
from cirtlib.store import tally
from cirtlib.store.reading import Account, now, read_many

# Bytes of JSON that are read between two writes; compressed objects count for what they are likely to become. Small
# enough for memory to be used again while it is warm: 16 MiB took a third less time for each record than 64.
_BATCH = 16 << 20
_EXPANSION = 8


@dataclass
class _Batch:
    """Objects that will be read together, and the manifest lines that will answer for them."""

    objects: list[tuple[str, str, bytes]] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    weight: int = 0


@dataclass
class _Known:
    """What the manifest answers for: places with the SHA-256 of what lay there, and the entry of each SHA-256."""

    places: set[tuple[str, str | None]]
    objects: dict[str, dict[str, Any]]


def collect(case: Case, *, progress: bool | None = None, limit: int = records.MAX_EXPANDED) -> dict[str, Any]:
    """Pull the evidence of all sources into the case.

    Parameters
    ----------
    progress
        Whether to show progress on stderr.
    limit
        Bytes to which one compressed object may expand.

    Returns
    -------
    dict
        objects, seen, kept, duplicate, rejected: totals of the case; new: records this run added; other_objects: names;
        rejections: list of {object, position, reason}.

    Raises
    ------
    CaseError
        when a source cannot be read by this version, or is not there; nothing is read then.
    EvidenceError
        when the evidence cannot be written, or another collect is at work.
    """
    places = [_place(case, source) for source in case.sources]
    evidence.prepare(case)
    with _alone(case):
        entries = evidence.entries(case)
        store.recover(case, {entry["batch"] for entry in entries})
        before = store.total(case)["kept"]
        _read_all(case, places, entries, (progress, limit))
        entries = tally.standing(evidence.entries(case))
        store.settle(case, tally.names(entries))
        totals = tally.write_collected(case, collected_at=now())
    new = totals["kept"] - before
    return {**{k: totals[k] for k in ("objects", "seen", "kept", "duplicate", "rejected")}, "new": new, **totals}


def _place(case: Case, source: Source) -> tuple[str, Path]:
    """Kind and folder or file of one source.

    Raises
    ------
    CaseError
        when it is not a folder or file, or is not there.
    """
    if source.kind == "account" or set(source.options) != {"folder"}:
        where = ", ".join(map(str, source.options)) or "nothing"
        raise CaseError(
            f"source {source.kind} names {where}: this version reads {{folder: PATH}} of the kinds cloudtrail, "
            "guardduty, security_hub and findings, where PATH is a folder or a file; copy the evidence there first, "
            "as with aws s3 sync"
        )
    path = Path(str(source.options["folder"])).expanduser()
    path = path if path.is_absolute() else case.path / path
    if not path.exists():
        raise CaseError(f"source {source.kind}: there is no folder or file {path}; correct `sources` in case.yaml")
    return source.kind, path


@contextmanager
def _alone(case: Case) -> Iterator[None]:
    """Hold the case against a second collect at the same time."""
    file = (case.evidence / "lock").open("w")
    try:
        import fcntl  # noqa: PLC0415 - not on Windows, where two collects at a time are the user's to avoid

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass
    except OSError:
        file.close()
        raise EvidenceError(f"another collect is at work in {case.path}; wait for its end") from None
    try:
        yield
    finally:
        file.close()


def _read_all(
    case: Case, places: list[tuple[str, Path]], entries: list[dict[str, Any]], how: tuple[bool | None, int]
) -> None:
    """Read every object that the manifest does not answer for, batch by batch."""
    progress, limit = how
    known = _Known({(tally.key(e), e["object"]) for e in entries}, {e["object"]: e for e in entries if e["object"]})
    batch = _Batch()
    with tqdm(unit=" objects", disable=not progress, leave=False) as bar:
        for kind, path in places:
            for blob in folder.read(path):
                bar.update()
                _add(case, batch, _entry(case, kind, path, blob), blob, known)
                if batch.weight >= _BATCH:
                    batch = _finish(case, batch, known, limit)
    _finish(case, batch, known, limit)


def _entry(case: Case, kind: str, path: Path, blob: Blob) -> dict[str, Any]:
    """Manifest line of one object, before it is read. A place inside the case is relative, so that a case can move."""
    root = path.resolve() if path.is_dir() else path.resolve().parent
    place = os.path.relpath(root, case.path) if root.is_relative_to(case.path) else str(root)
    return {
        "name": blob.name, "place": place, "source": kind, "object": None, "size": len(blob.data),
        "collected_at": now(), "batch": "", "seen": 0, "rejected": 0, "rejections": [], "other": None,
    }  # fmt: skip


def _add(case: Case, batch: _Batch, entry: dict[str, Any], blob: Blob, known: _Known) -> None:
    """Keep the original and line the object up for reading, unless it is known."""
    if blob.fault:
        if not any(place == tally.key(entry) for place, _ in known.places):
            entry |= {"seen": 1, "rejected": 1, "rejections": [{"position": 0, "reason": blob.fault, "sha256": None}]}
            known.places.add((tally.key(entry), None))
            batch.entries.append(entry)
        return
    digest = evidence.sha256(blob.data)
    if (tally.key(entry), digest) in known.places:
        return
    known.places.add((tally.key(entry), digest))
    evidence.keep(case, blob.data)
    entry["object"] = digest
    batch.entries.append(entry)
    if digest not in known.objects:
        batch.objects.append((blob.name, digest, blob.data))
        batch.weight += len(blob.data) * (_EXPANSION if blob.data[:2] in {b"\x1f\x8b", b"PK"} else 1)
        known.objects[digest] = entry


def _finish(case: Case, batch: _Batch, known: _Known, limit: int) -> _Batch:
    """Read a batch, bring its rows and then its manifest lines to disk; the next batch, empty."""
    if not batch.entries:
        return batch
    name = uuid4().hex[:12]
    tables, made = read_many(batch.objects, limit=limit)
    store.stage(case, name, tables)
    for (_, digest, _), own in zip(batch.objects, made, strict=True):
        known.objects[digest].update(_numbers(case, digest, own))
    for entry in batch.entries:
        entry["batch"] = name
        if entry["object"]:  # further names of the same bytes hold the same
            entry.update({part: known.objects[entry["object"]][part] for part in _NUMBERS})
    evidence.append(case, batch.entries)
    return _Batch()


_NUMBERS = ("seen", "rejected", "rejections", "other")


def _numbers(case: Case, digest: str, own: Account) -> dict[str, Any]:
    """What the manifest says of a read object; its rejected items go into the quarantine."""
    rejections = [
        {"position": position, "reason": reason, "sha256": evidence.set_aside(case, digest, position, raw)}
        for position, reason, raw in own.rejections
    ]
    return {"seen": own.seen, "rejected": len(rejections), "rejections": rejections, "other": own.other}


def cloudtrail_files(path: str | Path) -> pd.DataFrame:
    """Events in a file or folder tree, without a case: the columns of `events`, in order of time.

    Raises
    ------
    CaseError
        when there is nothing at `path`.
    """
    return _without_case("cloudtrail", path, queries.events)


def guardduty_findings(path: str | Path) -> pd.DataFrame:
    """GuardDuty findings in a file or folder tree, without a case: the columns of `findings`.

    Raises
    ------
    CaseError
        when there is nothing at `path`.
    """
    found = _without_case("guardduty", path, queries.findings)
    return found[found["form"].eq("guardduty")].reset_index(drop=True)


def security_hub_findings(path: str | Path) -> pd.DataFrame:
    """Security Hub findings (ASFF and OCSF) in a file or folder tree, without a case: the columns of `findings`.

    Raises
    ------
    CaseError
        when there is nothing at `path`.
    """
    found = _without_case("security_hub", path, queries.findings)
    return found[found["form"].isin(["asff", "ocsf"])].reset_index(drop=True)


def _without_case(kind: str, path: str | Path, ask: Callable[[Case], pd.DataFrame]) -> pd.DataFrame:
    """Answer about files, from a case that lasts no longer than the question."""
    place = Path(path).expanduser().resolve()
    if not place.exists():
        raise CaseError(f"{path}: there is no such file or folder")
    with tempfile.TemporaryDirectory(prefix="cirt-") as scratch:
        case = new_case(Path(scratch) / "case", {"sources": [{kind: {"folder": str(place)}}]})
        collect(case)
        return ask(case)
