"""Objects of a bucket, read side by side: every one that is asked for comes back once, with its bytes or with why not.

Threads, not an event loop: with small objects obstore's blocking calls in threads cost 95-130 µs of client time each,
its asynchronous calls 240, boto3 1,500 (5,000 objects of 3.4 KB on loopback).
"""

import queue
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import obstore
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from cirtlib.errors import AccessError
from cirtlib.sources import Blob
from cirtlib.sources.s3.bucket import Access, Answer, Bucket, answer

THREADS = 64
SPOOLED = 8 << 20  # larger objects go through a file
_CHUNK = 1 << 20
_ROOM = 64 << 20  # bytes of objects that are in memory at a time
_LEAST = 16 << 10  # that an object counts for, so that there are not too many of small ones either
_FEW = 8  # objects that a thread takes at a time
_TRIES = 3  # of one object, beyond the retries of each request
_PAUSE = 1.0  # seconds, doubled with each try, times chance
_PASSES = re.compile(r"SlowDown|InternalError|ServiceUnavailable|TooManyRequests|RequestTimeout|.*Throttl|5\d\d|429")
# Keys that obstore asks for letter by letter; all that AWS writes are such.
_PLAIN = re.compile(r"(?!.*(?:^|/)\.{1,2}(?:/|$))[A-Za-z0-9_.=@,:~-]+(?:/[A-Za-z0-9_.=@,:~-]+)*")


@dataclass(frozen=True, slots=True)
class Ref:
    """One object as it was listed; `etag` '' when it was not."""

    key: str
    size: int = 0
    etag: str = ""
    modified: datetime | None = None
    storage: str = ""

    @property
    def mark(self) -> str:
        """Changes whenever the content does."""
        return f"{self.etag}-{self.size}" if self.etag else ""


class _Room:
    """Bytes that may be in memory at a time; one object always may."""

    def __init__(self, size: int) -> None:
        self._size, self._used, self._open = size, 0, False
        self._changed = threading.Condition()

    def enter(self, size: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._open or not self._used or self._used + size <= self._size)
            self._used += size

    def leave(self, size: int) -> None:
        with self._changed:
            self._used -= size
            self._changed.notify_all()

    def abandon(self) -> None:
        """Let everybody in: nothing further is read."""
        with self._changed:
            self._open = True
            self._changed.notify_all()


@dataclass
class _Work:
    """What the threads of one fetch share."""

    bucket: Bucket
    refs: Iterator[Ref]
    scratch: Path
    room: _Room = field(default_factory=lambda: _Room(_ROOM))
    turn: threading.Lock = field(default_factory=threading.Lock)
    done: queue.SimpleQueue[tuple[list[Blob] | Exception | None, int]] = field(default_factory=queue.SimpleQueue)
    stopped: threading.Event = field(default_factory=threading.Event)

    def next(self) -> tuple[list[Ref], int]:
        """A few objects and what they weigh: the threads meet once for several small ones, which halves their cost."""
        taken: list[Ref] = []
        weight = 0
        with self.turn:
            while len(taken) < _FEW and weight < _CHUNK and not self.stopped.is_set():
                if (ref := next(self.refs, None)) is None:
                    break
                taken.append(ref)
                weight += max(ref.size, _LEAST) if ref.size <= SPOOLED else _CHUNK
        return taken, weight


def fetch(bucket: Bucket, refs: Iterable[Ref], scratch: Path, threads: int = THREADS) -> Iterator[Blob]:
    """Read objects, in the order in which they arrive; `refs` is drawn from as they are read.

    Parameters
    ----------
    scratch
        Folder for objects over 8 MiB, which come as files that are the caller's to move.

    Raises
    ------
    AccessError
        when the credentials have run out and there are no others; what had arrived by then is given first.
    """
    work = _Work(bucket, iter(refs), scratch)
    running = [threading.Thread(target=_run, args=(work,), daemon=True) for _ in range(threads)]
    failure: Exception | None = None
    for thread in running:
        thread.start()
    left = threads
    try:
        while left:
            item, size = work.done.get()
            if isinstance(item, list):
                yield from item
                work.room.leave(size)
            elif item is None:
                left -= 1
            else:
                failure = failure or item
    finally:
        work.stopped.set()
        work.room.abandon()
    if failure is not None:
        raise failure


def _run(work: _Work) -> None:
    """One thread: a few objects at a time, until there are none, or somebody found that there is no going on."""
    try:
        while (taken := work.next())[0]:
            refs, weight = taken
            work.room.enter(weight)
            made: list[Blob] = []
            try:
                for ref in refs:
                    if work.stopped.is_set():
                        break
                    made.append(_read(work.bucket, ref, work.scratch))
            finally:
                work.done.put((made, weight))
    except Exception as error:
        work.stopped.set()
        work.room.abandon()
        work.done.put((error, 0))
    finally:
        work.done.put((None, 0))


def _read(bucket: Bucket, ref: Ref, scratch: Path) -> Blob:
    """One object, tried again where that may help.

    Raises
    ------
    AccessError
        when the credentials have run out and there are no others.
    """
    said = Answer("", "failed", "")
    for number in range(_TRIES):
        if number:
            time.sleep(random.uniform(0, _PAUSE * 2**number))  # noqa: S311 - no secret
        access = bucket.access()
        take = _by_obstore if _PLAIN.fullmatch(ref.key) else _by_boto3
        try:
            return take(access, ref, scratch)
        except _FAILURES as error:
            try:
                said = answer(error, access)
            except AccessError as expired:
                bucket.renew(access, expired)
                continue
        if said.code in {"PreconditionFailed", "412"}:  # it was replaced since it was listed
            ref = Ref(ref.key, ref.size, storage=ref.storage)
        elif said.code and not _PASSES.match(said.code):  # AWS would say the same again
            break
    gone = said.code in {"NoSuchKey", "NotFound", "404"}
    fault = f"{'is gone since it was listed' if gone else 'cannot be read'}: {said.reason}"
    return Blob(ref.key, fault=fault, status=said.status, mark=ref.mark, facts=_facts(ref, {}))


class _ShortError(Exception):
    """A body ended before its end."""


# Attributes of an answer that are not the user's metadata, such as the signature of a digest.
_HEADERS = {
    "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Cache-Control", "Storage-Class",
}  # fmt: skip
_FAILURES = (ClientError, BotoCoreError, HTTPError, obstore.exceptions.BaseError, FileNotFoundError, _ShortError)


def _facts(ref: Ref, told: dict[str, Any]) -> dict[str, Any]:
    """What the listing and the answer say of an object, without what they do not say."""
    modified = told.get("last_modified") or ref.modified
    said = {
        "version_id": told.get("version_id"),
        "etag": ref.etag,
        "size": ref.size,
        "last_modified": modified.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if modified else None,
        "metadata": told.get("metadata"),
        "storage_class": ref.storage if ref.storage != "STANDARD" else None,
        "encryption": told.get("encryption"),
    }
    return {name: value for name, value in said.items() if value not in (None, "", {})}


def _by_obstore(access: Access, ref: Ref, scratch: Path) -> Blob:
    # If-Match, so that neither the first answer nor one that goes on after a broken body is of another version.
    got = obstore.get(access.store, ref.key, options={"if_match": f'"{ref.etag}"'} if ref.etag else None)
    meta = got.meta
    told = {
        "version_id": meta["version"],
        "last_modified": meta["last_modified"],
        "metadata": {name: value for name, value in got.attributes.items() if name not in _HEADERS},
    }
    seen = Ref(ref.key, meta["size"], (meta["e_tag"] or "").strip('"'), ref.modified, ref.storage)
    return _blob(seen, told, scratch, lambda: [got.bytes()], lambda: got.stream(min_chunk_size=_CHUNK))


def _by_boto3(access: Access, ref: Ref, scratch: Path) -> Blob:
    match = {"IfMatch": f'"{ref.etag}"'} if ref.etag else {}
    bucket = access.store.config["bucket"]
    got = access.client.get_object(Bucket=bucket, Key=ref.key, **match)
    told = {
        "version_id": got.get("VersionId"),
        "last_modified": got.get("LastModified"),
        "metadata": dict(got.get("Metadata") or {}),
        "encryption": got.get("ServerSideEncryption"),
    }
    body = got["Body"]
    seen = Ref(ref.key, int(got["ContentLength"]), str(got["ETag"]).strip('"'), ref.modified, ref.storage)
    return _blob(seen, told, scratch, lambda: [body.read()], lambda: body.iter_chunks(_CHUNK))


def _blob(
    ref: Ref,
    told: dict[str, Any],
    scratch: Path,
    whole: Callable[[], Iterable[Any]],
    pieces: Callable[[], Iterable[Any]],
) -> Blob:
    """Take the body: into memory, or when it is large into a file of ours."""
    facts = _facts(ref, told)
    if ref.size <= SPOOLED:
        data = b"".join(bytes(part) for part in whole())
        _check(ref, len(data))
        return Blob(ref.key, data, mark=ref.mark, facts=facts)
    scratch.mkdir(parents=True, exist_ok=True)
    file = scratch / uuid4().hex
    try:
        with file.open("wb") as out:
            for part in pieces():
                out.write(part)
        _check(ref, file.stat().st_size)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return Blob(ref.key, file=file, spool=True, mark=ref.mark, facts=facts)


def _check(ref: Ref, size: int) -> None:
    if size != ref.size:
        raise _ShortError(f"{size} of its {ref.size} bytes arrived")
