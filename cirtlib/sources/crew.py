"""Several sources of pages read side by side, in threads, as one."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Lock, Thread
from typing import Generic, TypeVar

_T = TypeVar("_T")
_THREADS = 48
_WAITING = 64  # items that wait for whoever takes them before the threads pause
_AWHILE = 0.05  # seconds until a waiting thread looks whether it is still wanted


class _Crew(Generic[_T]):
    """Threads that each take a task, run it to its end, and take the next."""

    def __init__(self, tasks: Sequence[Iterator[_T]]) -> None:
        self.found: Queue[_T] = Queue(_WAITING)
        self.fault: Exception | None = None
        self.stop = Event()
        self._todo, self._taking = iter(tasks), Lock()
        # They are daemons: a program that was interrupted does not wait for an answer that is on its way.
        self.threads = [Thread(target=self._work, daemon=True) for _ in tasks[:_THREADS]]
        for thread in self.threads:
            thread.start()

    def _next(self) -> Iterator[_T] | None:
        with self._taking:
            return next(self._todo, None)

    def _work(self) -> None:
        while not self.stop.is_set() and (task := self._next()) is not None:
            try:
                for item in task:
                    self._put(item)
                    if self.stop.is_set():
                        return
            except Exception as error:  # whoever takes the items is told
                self.fault = self.fault or error
                self.stop.set()

    def _put(self, item: _T) -> None:
        while not self.stop.is_set():
            with suppress(Full):
                self.found.put(item, timeout=_AWHILE)
                return


def at_once(tasks: Sequence[Iterator[_T]]) -> Iterator[_T]:
    """What all tasks yield, as it comes; each runs in one thread from its start to its end.

    An error of one task stops the others, and is raised after what had been found.
    """
    crew = _Crew(tasks)
    try:
        while any(thread.is_alive() for thread in crew.threads) and not crew.stop.is_set():
            with suppress(Empty):
                yield crew.found.get(timeout=_AWHILE)
        while not crew.found.empty():
            yield crew.found.get()
    finally:
        crew.stop.set()
    if crew.fault:
        raise crew.fault
