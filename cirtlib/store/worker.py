"""Objects into staged rows, in processes of their own: what a collect has its CPU do.

A worker is this module run by the same Python, told what to do on its standard input and answering on its standard
output, so that it loads no more than it needs (no pandas, boto3 or plotly) and nothing of the program that started it.
It ends when its input does.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from cirtlib import evidence
from cirtlib.errors import EvidenceError
from cirtlib.store.reading import Account
from cirtlib.store.tables import read_and_stage

_LENGTH = 8


class Task(Struct):
    """One batch: its name, objects (name, SHA-256, file with its bytes), and where rows and what is rejected go."""

    batch: str
    objects: list[tuple[str, str, str]]
    staging: str
    quarantine: str
    limit: int


class Read(Struct):
    """What one object held: records seen, rejections (position, reason, SHA-256 in quarantine), kind of others."""

    seen: int
    rejections: list[tuple[int, str, str]]
    other: str | None


class Done(Struct):
    """Answer to one task: what each object held, or the error that kept it from being read."""

    objects: list[Read] = []
    error: str = ""
    errno: int = 0


def ingest(task: Task) -> Done:
    """Read the objects of one batch and write their rows aside; on disk when this returns.

    Raises
    ------
    OSError
        when rows cannot be written.
    """
    objects = [(name, digest, Path(file)) for name, digest, file in task.objects]
    made = read_and_stage(Path(task.staging), task.batch, objects, limit=task.limit)
    quarantine = Path(task.quarantine)
    return Done([_read(quarantine, digest, own) for (_, digest, _), own in zip(objects, made, strict=True)])


def _read(quarantine: Path, digest: str, own: Account) -> Read:
    kept = [
        (position, reason, evidence.set_aside(quarantine, digest, position, raw))
        for position, reason, raw in own.rejections
    ]
    return Read(own.seen, kept, own.other)


class Pool:
    """Runs tasks in up to `processes` workers; the first few in this process, so that a small collect starts none."""

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self._local = threading.local()
        self._workers: list[subprocess.Popen[bytes]] = []
        self._starting, self._closed = threading.Lock(), False
        self._threads = ThreadPoolExecutor(processes) if processes > 1 else None
        self._here = _FEW

    def submit(self, task: Task) -> Future[Done]:
        """Start a task; its result raises EvidenceError or OSError when it could not be done."""
        if self._threads is None or self._here > 0:
            self._here -= 1
            done: Future[Done] = Future()
            try:
                done.set_result(ingest(task))
            except Exception as error:  # whoever asks for the result gets it
                done.set_exception(error)
            return done
        return self._threads.submit(self._send, task)

    def _send(self, task: Task) -> Done:
        worker = getattr(self._local, "worker", None)
        if worker is None:
            with self._starting:
                if self._closed:
                    raise EvidenceError("the collect has ended")
                worker = self._local.worker = _start()
                self._workers.append(worker)
        try:
            _write(worker.stdin, msgspec.msgpack.encode(task))
            answer = msgspec.msgpack.decode(_receive(worker.stdout), type=Done)
        except (BrokenPipeError, EOFError):
            raise EvidenceError(
                f"a worker process ended early (status {worker.wait()}), perhaps for want of memory; collect again: "
                "what was read is kept, and --processes 1 needs less memory"
            ) from None
        if answer.errno:
            raise OSError(answer.errno, answer.error)
        if answer.error:
            raise EvidenceError(f"the evidence cannot be read: {answer.error}")
        return answer

    def close(self) -> None:
        """End the workers, whatever they are doing."""
        with self._starting:
            self._closed = True
        for worker in self._workers:
            worker.kill()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                with suppress(BrokenPipeError):  # what is left in a buffer, nobody waits for any more
                    pipe and pipe.close()


_FEW = 3  # batches that are read sooner than a worker has started


@contextmanager
def pool(processes: int) -> Iterator[Pool]:
    """A pool that is closed at the end."""
    made = Pool(processes)
    try:
        yield made
    finally:
        made.close()


# Arrow's own allocator keeps a quarter more memory than it uses, and is no faster here.
_FRUGAL = {"ARROW_DEFAULT_MEMORY_POOL": "system"}


def _start() -> subprocess.Popen[bytes]:
    package = str(Path(__file__).parents[2])
    path = os.pathsep.join(part for part in (package, os.environ.get("PYTHONPATH")) if part)
    # A session of its own: an interrupt at the terminal is the collect's to handle.
    return subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path, **_FRUGAL},
        start_new_session=True,
    )


def _write(pipe: IO[bytes] | None, data: bytes) -> None:
    assert pipe is not None
    pipe.write(len(data).to_bytes(_LENGTH, "big") + data)
    pipe.flush()


def _receive(pipe: IO[bytes] | None) -> bytes:
    """One message.

    Raises
    ------
    EOFError
        when the other side is gone.
    """
    assert pipe is not None
    head = pipe.read(_LENGTH)
    size = int.from_bytes(head, "big")
    data = pipe.read(size) if len(head) == _LENGTH else b""
    if len(head) < _LENGTH or len(data) < size:
        raise EOFError
    return data


class _NoPandas:
    """Arrow loads pandas at the first list it is given, if it can; a worker has no use for it."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ImportError(name)


def main() -> None:
    """Do tasks until there are no more."""
    sys.meta_path.insert(0, _NoPandas())
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            task = msgspec.msgpack.decode(_receive(incoming), type=Task)
        except EOFError:
            return
        try:
            done = ingest(task)
        except OSError as error:
            done = Done(error=error.strerror or str(error), errno=error.errno or 0)
        except Exception as error:  # the collect tells the user
            done = Done(error=f"{type(error).__name__}: {error}")
        try:
            _write(outgoing, msgspec.msgpack.encode(done))
        except BrokenPipeError:  # the collect was killed: nobody waits for the answer
            os._exit(1)


if __name__ == "__main__":
    main()
