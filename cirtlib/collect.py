"""From the case's sources into its store: originals kept, every record accounted for, each event once.

What a record is decides which table it joins, wherever it lies: a finding among logs is kept as a finding. An object is
known by where it lies and its SHA-256, and is not read again; a new version of a file is a new object. Originals and
rows reach the disk before the manifest line that answers for them, so that a collect that was stopped goes on.

This module asks the sources and keeps the originals; workers (`cirtlib.store.worker`) read them. Lines join the
manifest in the order in which the sources gave the objects, whichever worker is done first.
"""

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

from cirtlib import evidence, locking, records, store
from cirtlib.case import Case, Source
from cirtlib.errors import AccessError, CaseError, EvidenceError
from cirtlib.progress import Progress
from cirtlib.sources import Blob, Known, Milestone, Place, Slice, folder
from cirtlib.store import tally, worker
from cirtlib.store.reading import now

_Opener = Callable[[Case, str, dict[str, Any]], Place]


def _later(name: str) -> _Opener:
    """Opener of a source that asks AWS; its module, which loads boto3, is loaded when it is first wanted."""

    def place(case: Case, kind: str, options: dict[str, Any]) -> Place:
        opened: Place = import_module(f"cirtlib.sources.{name}").place(case, kind, options)
        return opened

    return place


# Bytes of JSON that are read between two writes; compressed objects count for what they are likely to become. Small
# enough for memory to be used again while it is warm: 16 MiB took a third less time for each record than 64.
_BATCH = 16 << 20
_EXPANSION = 8
_LINES = 2_000  # manifest lines in one batch
_SECONDS = 15  # that a batch waits for more, so that what comes slowly is soon safe
_MAX_PROCESSES = 8
_OPENERS: dict[str, _Opener] = {
    "folder": folder.place,
    "s3": _later("s3"),
    "event_history": _later("event_history"),
    "public_keys": _later("public_keys"),
    "athena": _later("athena"),
    "trino": _later("trino"),
}
_API_OPENERS: dict[str, _Opener] = {
    "guardduty": _later("guardduty"),
    "security_hub": _later("security_hub"),
    "account": _later("account"),
}


@dataclass
class _Batch:
    """Objects that will be read together, and the manifest lines that will answer for them."""

    name: str = field(default_factory=lambda: uuid4().hex[:12])
    objects: list[tuple[str, str, str]] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    weight: int = 0
    since: float = field(default_factory=time.monotonic)

    def is_full(self) -> bool:
        waited = time.monotonic() - self.since > _SECONDS
        return self.weight >= _BATCH or len(self.lines) >= _LINES or bool(waited and self.lines)


@dataclass
class _Run:
    """One collect at work: what the manifest answers for, and what is on its way there."""

    case: Case
    manifest: evidence.Manifest
    pool: worker.Pool
    progress: Progress
    limit: int
    originals: bool
    places: dict[str, set[str | None]] = field(default_factory=dict)  # SHA-256 of what lay there
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)  # manifest line by SHA-256
    batch: _Batch = field(default_factory=_Batch)
    waiting: deque[tuple[_Batch, Future[worker.Done] | None]] = field(default_factory=deque)
    unsettled: bool = False


def collect(
    case: Case,
    *,
    progress: bool | None = None,
    limit: int = records.MAX_EXPANDED,
    processes: int | None = None,
    originals: bool = True,
) -> dict[str, Any]:
    """Pull the evidence of all sources into the case.

    Parameters
    ----------
    progress
        Whether to show progress on stderr; None: where somebody can see it.
    limit
        Bytes to which one compressed object may expand.
    processes
        How many read objects side by side; default: one for each core, at most 8.
    originals
        Whether to keep the objects as delivered. Without them nothing can be verified later.

    Returns
    -------
    dict
        objects, seen, kept, duplicate, rejected: totals of the case; new: records this run added; other_objects: names;
        rejections: list of {object, position, reason}.

    Raises
    ------
    CaseError
        when a source cannot be read by this version, or is not there; nothing is read then.
    AccessError
        when the credentials for AWS have run out; what was read until then is in the case.
    EvidenceError
        when the evidence cannot be written, or another collect is at work.
    """
    opened = sorted((_open(case, source) for source in case.sources), key=_turn)
    evidence.prepare(case)
    count = processes or min(os.cpu_count() or 1, _MAX_PROCESSES)
    with _alone(case), _room(case), Progress(progress) as shown, worker.pool(count) as pool:
        lines = evidence.lines(case)
        store.recover(case, {line["batch"] for line in lines if "batch" in line})
        before = store.total(case)["kept"]
        run = _Run(case, evidence.Manifest(case), pool, shown, limit, originals)
        try:
            _read(run, opened, lines)
        finally:
            run.manifest.close()
        totals = _settle(run)
    new = totals["kept"] - before
    return {**{k: totals[k] for k in ("objects", "seen", "kept", "duplicate", "rejected")}, "new": new, **totals}


def _open(case: Case, source: Source) -> Place:
    """The place of one source, checked.

    Raises
    ------
    CaseError
        when its options are not understood, or it is not there.
    """
    (how, *further), said = source.options or ("nothing",), ", ".join(map(str, source.options)) or "nothing"
    opener = _API_OPENERS.get(source.kind) if how == "api" else _OPENERS.get(how)
    if opener is None or (further and how == "folder") or (source.kind == "account" and how != "api"):
        known = [f"{{{name}: ...}}" for name in _OPENERS] + (["{api: true}"] if source.kind in _API_OPENERS else [])
        raise CaseError(f"source {source.kind} names {said}: write one of {', '.join(known)} in case.yaml")
    return opener(case, source.kind, source.options)


def _turn(place: Place) -> int:
    """Findings first: they name the keys that event history is asked for; the account last: it asks about all of it."""
    if place.kind == "account":
        return 3
    if place.kind != "cloudtrail":
        return 0
    return 1 if place.needs_store else 2


@contextmanager
def _alone(case: Case) -> Iterator[None]:
    """Hold the case against a second collect at the same time."""
    file = (case.evidence / "lock").open("w")
    try:
        if not locking.take(file, wait=False):
            raise EvidenceError(f"another collect is at work in {case.path}; wait for its end")
        yield
    finally:
        file.close()


@contextmanager
def _room(case: Case) -> Iterator[None]:
    """Say it plainly when the disk is full: the case is then as the last manifest line says."""
    try:
        yield
    except EvidenceError:
        raise
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise EvidenceError(
                f"no room left to write {case.evidence}: make room and collect again; what was read until now is kept, "
                "and the case is whole"
            ) from None
        raise


def _read(run: _Run, opened: list[Place], lines: list[dict[str, Any]]) -> None:
    """Read every object that the manifest does not answer for, batch by batch.

    Raises
    ------
    AccessError
        when credentials have run out; what was read is settled first.
    """
    entries = [line for line in lines if "slice" not in line]
    for entry in entries:
        run.places.setdefault(tally.key(entry), set()).add(entry["object"])
    run.objects = {entry["object"]: entry for entry in entries if entry["object"]}
    try:
        for place in opened:
            if place.needs_store:
                _catch_up(run)
            known = _known(run, place, lines)
            for item in place.read(known):
                _take(run, place, item)
    except AccessError:
        _catch_up(run)
        raise
    _drain(run)


def _known(run: _Run, place: Place, lines: list[dict[str, Any]]) -> Known:
    """What the manifest says of one place."""
    own = [line for line in lines if line["place"] == place.where]
    entries = [line for line in own if "slice" not in line and line["object"]]
    return Known(
        marks={(line["name"], line["mark"]) for line in entries if line.get("mark")},
        facts={line["name"]: line.get("facts") or {} for line in entries},
        slices={line["slice"]["name"]: Slice(**line["slice"]) for line in own if "slice" in line},
        scratch=store.staging(run.case) / "scratch",
        say=run.progress.say,
        expect=run.progress.expect,
    )


def _take(run: _Run, place: Place, item: Blob | Slice | Milestone) -> None:
    """Line up what a source gave, and start reading once there is enough of it."""
    if isinstance(item, Milestone):
        _catch_up(run)
        run.progress.say(item.text)
        return
    line: dict[str, Any] = {"place": place.where, "source": place.kind, "object": None, "collected_at": now()}
    if isinstance(item, Slice):
        run.batch.lines.append({**line, "slice": asdict(item), "batch": run.batch.name, "seen": 0, "rejected": 0})
    else:
        _add(run, _entry(line, item, run.batch.name), item)
    if run.batch.is_full():
        _submit(run)


def _entry(line: dict[str, Any], blob: Blob, batch: str) -> dict[str, Any]:
    """Manifest line of one object, before it is read."""
    return {
        "name": blob.name, **line, "size": 0, "mark": blob.mark, "facts": dict(blob.facts), "batch": batch,
        "seen": 0, "rejected": 0, "rejections": [], "other": blob.other or None,
    }  # fmt: skip


def _add(run: _Run, entry: dict[str, Any], blob: Blob) -> None:
    """Keep the original and line the object up for reading, unless it is known."""
    lay = run.places.setdefault(tally.key(entry), set())
    try:
        digest, file, entry["size"] = ("", Path(), 0) if blob.fault else _keep(run, blob)
    except OSError as error:
        if blob.file is None or error.filename != str(blob.file):
            raise
        status = "denied" if error.errno in {errno.EACCES, errno.EPERM} else "failed"
        blob = replace(blob, fault=f"cannot be read: {error.strerror}", status=status)
    run.progress.step(objects=1, size=entry["size"], rejected=bool(blob.fault))
    if blob.fault:
        if not lay:  # a failure counts until the object is read, and a later one says nothing more
            rejection = {"position": 0, "reason": blob.fault, "sha256": None}
            entry |= {"seen": 1, "rejected": 1, "rejections": [rejection], "status": blob.status}
            run.batch.lines.append(entry)
            lay.add(None)
        return
    if digest in lay:
        return
    lay.add(digest)
    entry["object"] = digest
    run.batch.lines.append(entry)
    if digest not in run.objects and not blob.other:
        run.batch.objects.append((blob.name, digest, str(file)))
        run.batch.weight += entry["size"] * (_EXPANSION if _is_packed(file) else 1)
        run.objects[digest] = entry


def _keep(run: _Run, blob: Blob) -> tuple[str, Path, int]:
    """SHA-256 of an object, the file that holds it from now on, and its size."""
    if blob.file is None:
        digest = evidence.keep(run.case, blob.data)
        return digest, evidence.original(run.case, digest), len(blob.data)
    if run.originals or blob.spool:
        digest, size = evidence.keep_file(run.case, blob.file, move=blob.spool)
        return digest, evidence.original(run.case, digest), size
    digest, size = evidence.sha256_of(blob.file)
    return digest, blob.file, size


def _is_packed(file: Path) -> bool:
    with file.open("rb") as start:
        return start.read(2) in {b"\x1f\x8b", b"PK"}


def _submit(run: _Run) -> None:
    """Hand the batch to a worker; what others have finished joins the manifest."""
    if not run.batch.lines:
        return
    batch, run.batch = run.batch, _Batch()
    future = None
    if batch.objects:
        staging = str(store.staging(run.case))
        future = run.pool.submit(worker.Task(batch.name, batch.objects, staging, str(run.case.quarantine), run.limit))
    run.waiting.append((batch, future))
    while run.waiting and (len(run.waiting) > 2 * run.pool.processes or _is_done(run.waiting[0][1])):
        _finish(run, *run.waiting.popleft())


def _is_done(future: Future[worker.Done] | None) -> bool:
    return future is None or future.done()


def _drain(run: _Run) -> None:
    """Wait for everything that is on its way."""
    _submit(run)
    while run.waiting:
        _finish(run, *run.waiting.popleft())


def _finish(run: _Run, batch: _Batch, future: Future[worker.Done] | None) -> None:
    """Bring the manifest lines of a batch to disk; its rows are there already."""
    if future is not None:
        for (_, digest, _), own in zip(batch.objects, future.result().objects, strict=True):
            run.objects[digest].update(_numbers(own))
            run.progress.step(events=own.seen - len(own.rejections), rejected=len(own.rejections))
        run.unsettled = True
    for line in batch.lines:
        if line["object"] and not line["other"]:  # further names of the same bytes hold the same
            line.update({part: run.objects[line["object"]][part] for part in _NUMBERS})
    run.manifest.append(batch.lines)


_NUMBERS = ("seen", "rejected", "rejections", "other")


def _numbers(own: worker.Read) -> dict[str, Any]:
    rejections = [{"position": at, "reason": why, "sha256": digest} for at, why, digest in own.rejections]
    return {"seen": own.seen, "rejected": len(rejections), "rejections": rejections, "other": own.other}


def _catch_up(run: _Run) -> None:
    """Bring everything that was read so far into the store, for who reads the case while the collect goes on."""
    _drain(run)
    if run.unsettled:
        _settle(run)
        run.unsettled = False


def _settle(run: _Run) -> dict[str, Any]:
    """Merge what was read into the store; totals of the case."""
    lines = evidence.lines(run.case)
    entries = tally.standing([line for line in lines if "slice" not in line])
    store.settle(run.case, tally.names(entries), batches={line["batch"] for line in lines})
    return tally.write_collected(run.case, collected_at=now())
