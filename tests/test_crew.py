"""Tasks side by side: everything they yield comes once, and an error stops them."""

import threading
from collections.abc import Iterator

import pytest

from cirtlib.sources.crew import at_once


def test_all_items_of_all_tasks_come_once() -> None:
    """Also with more tasks than threads, and in the order of each task."""
    found = list(at_once([iter([(task, item) for item in range(20)]) for task in range(100)]))
    assert sorted(found) == [(task, item) for task in range(100) for item in range(20)]
    assert [item for task, item in found if task == 7] == list(range(20))
    assert list(at_once([])) == []


def test_an_error_is_raised_after_what_was_found() -> None:
    """Whatever had been yielded before it is not lost, and the other tasks end."""

    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise PermissionError("expired")

    def endless() -> Iterator[int]:
        while True:
            yield 0

    found = []
    with pytest.raises(PermissionError, match="expired"):
        for item in at_once([failing(), endless()]):
            found.append(item)
    assert [item for item in found if item][:1] == [1]


def test_nobody_works_on_for_one_who_has_left() -> None:
    """Once the items are no longer taken, the threads end."""

    def endless() -> Iterator[int]:
        while True:
            yield 0

    running = at_once([endless(), endless()])
    next(running)
    before = threading.active_count()
    running.close()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.daemon and "_work" in thread.name:
            thread.join(5)
    assert threading.active_count() < before
