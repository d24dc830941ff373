"""Watermarks: never ahead of the clock, never ahead of the slowest partition."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.watermark import frontier, partition_watermark, retention_floor
from tests.support.places import P0, P1, P2

DAY_MS = 86_400_000
INSTANTS = st.integers(0, 4 * 10**12)


@given(INSTANTS, INSTANTS, st.integers(0, 3_600_000))
def test_a_watermark_is_never_ahead_of_the_clock(candidate: int, now: int, lateness: int) -> None:
    assert partition_watermark(candidate, now, lateness) <= max(0, now - lateness)


@given(INSTANTS, INSTANTS, INSTANTS)
def test_a_watermark_rises_with_its_candidate(first: int, second: int, now: int) -> None:
    low, high = sorted((first, second))
    assert partition_watermark(low, now, 10) <= partition_watermark(high, now, 10)


def test_the_frontier_is_the_slowest_partition() -> None:
    assert frontier({P0: 50, P1: 40, P2: 60}, [P0, P1, P2]) == 40


def test_a_partition_without_a_watermark_holds_the_frontier() -> None:
    assert frontier({P0: 50}, [P0, P1]) is None
    assert frontier({P0: 50}, []) is None


def test_the_retention_floor_is_after_everything_that_may_have_been_dropped() -> None:
    now = 100 * DAY_MS + 5
    assert retention_floor(now, 35) == 66 * DAY_MS
    assert retention_floor(now + DAY_MS - 5 - 10, 35) == 67 * DAY_MS, "a clock may be ahead of this one"
