"""Spans of time: what is read, and what is left to ask for."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cirtlib.sources import spans

SPAN = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: (min(pair), max(pair)))


def seconds(found: list[spans.Span]) -> set[int]:
    """Seconds that begin inside the spans."""
    return {moment for start, end in found for moment in range(start, end)}


@given(SPAN, st.lists(SPAN))
def test_what_is_covered_and_what_is_left_make_the_whole(span: spans.Span, covered: list[spans.Span]) -> None:
    """Nothing is asked twice and nothing is left out; the latest comes first, and no part is empty."""
    left = spans.without(span, covered)
    assert seconds(left) == seconds([span]) - seconds(covered)
    assert left == sorted(left, reverse=True)
    assert all(start < end for start, end in left)


@given(st.lists(SPAN))
def test_merged_spans_are_the_same_time(covered: list[spans.Span]) -> None:
    """In order, and none touches the next."""
    found = spans.merged(covered)
    assert seconds(found) == seconds(covered)
    assert all(one[1] < other[0] for one, other in pairwise(found))


@pytest.mark.parametrize(("back", "part"), [(0, (10, 20)), (4, (10, 16)), (10, (0, 5)), (12, (0, 3))])
def test_going_back_ends_in_the_span_that_is_there(back: int, part: spans.Span) -> None:
    """Seconds between the spans do not count."""
    assert spans.before([(10, 20), (0, 5)], back) == part


def test_times_are_written_in_utc() -> None:
    """And read again."""
    assert spans.seconds(spans.iso(1_780_000_000)) == 1_780_000_000
    assert spans.seconds("2026-06-10T02:00:00+02:00") == spans.seconds("2026-06-10")
    assert spans.around((2, 3), [(0, 1), (1, 5)]) == (0, 5)
    assert spans.length([(0, 5), (7, 8)]) == 6
