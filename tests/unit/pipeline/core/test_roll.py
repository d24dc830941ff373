"""What a roll asks of the store: a bucket is announced before it is read, and published last."""

from dataclasses import replace
from typing import Any

import pytest

from pipeline.core.effects import CloseBuckets, Effect, LogClosing, RaiseState, ReadState, State
from pipeline.core.progress import ReadMarks
from pipeline.core.protocol import Rolled, roll_steps
from pipeline.runner import drive
from schemas.grain import Grain
from tests.support.fake_progress import Kept
from tests.support.fake_store import FakeStore
from tests.support.places import P0, TOPIC

MINUTE = 30_000_000 * 60_000
BEFORE = State(as_of_ms=MINUTE + 1, closing_ms=MINUTE + 1, facts_floor_ms=1)


def roll(mark_ms: int, now_ms: int = MINUTE + 120_000) -> tuple[Rolled, list[Effect], State]:
    """The outcome of a roll up to a watermark, what it did, and the state behind it."""
    progress = {(P0, 0): Kept(9, mark_ms)}
    store, done = FakeStore(clock_ms=lambda: now_ms, state=BEFORE, progress=progress), []

    def perform(effect: Effect) -> Any:
        done.append(effect)
        return store.perform(effect)

    return drive(roll_steps({TOPIC}, {TOPIC: {P0}}), perform), done, store.state


@pytest.mark.parametrize("mark_ms", [MINUTE + 2, MINUTE + 59_999])
def test_where_no_bucket_ends_a_roll_writes_once_and_reads_no_facts(mark_ms: int) -> None:
    rolled, done, state = roll(mark_ms)
    assert [type(effect) for effect in done] == [ReadMarks, ReadState, RaiseState]
    assert rolled == Rolled(mark_ms, frozenset({TOPIC}))
    assert (state.as_of_ms, state.closing_ms) == (mark_ms, mark_ms)


@pytest.mark.parametrize("mark_ms", [MINUTE + 60_000, MINUTE + 60_001])
def test_a_bucket_that_ends_is_announced_before_it_is_read_and_published_last(mark_ms: int) -> None:
    _, done, state = roll(mark_ms)
    raised = [effect.state for effect in done if isinstance(effect, RaiseState)]
    assert raised == [State(closing_ms=mark_ms), State(as_of_ms=mark_ms)]
    order = [type(effect) for effect in done if isinstance(effect, RaiseState | CloseBuckets | LogClosing)]
    assert order == [RaiseState, CloseBuckets, LogClosing, RaiseState]
    assert (state.as_of_ms, state.closing_ms) == (mark_ms, mark_ms)


@pytest.mark.parametrize("now_ms", [MINUTE + 30_000, MINUTE + 60_000, MINUTE + 90_000])
def test_no_more_is_closed_than_was_announced(now_ms: int) -> None:
    """A watermark that is ahead of ClickHouse's clock, as one that was ahead itself may have left it."""
    rolled, done, state = roll(MINUTE + 3_600_000, now_ms)
    assert (rolled.as_of_ms, state.as_of_ms, state.closing_ms) == (now_ms, now_ms, now_ms)
    closed = [(e.start, e.end) for e in done if isinstance(e, CloseBuckets) and e.grain is Grain.MINUTE]
    assert closed == ([(MINUTE // 1000, MINUTE // 1000 + 60)] if now_ms >= MINUTE + 60_000 else [])


def test_a_roller_does_not_spin_where_the_clock_was_set_back_since_it_announced() -> None:
    """`as_of` cannot be raised to what is announced already; the next roll would close the same again, at once."""
    announced = replace(BEFORE, closing_ms=MINUTE + 3_600_000)
    store = FakeStore(clock_ms=lambda: MINUTE + 90_000, state=announced)
    store.progress = {(P0, 0): Kept(9, MINUTE + 7_200_000)}
    for more in (True, False):
        rolled = drive(roll_steps({TOPIC}, {TOPIC: {P0}}), store.perform)
        assert (rolled.as_of_ms, store.state.as_of_ms) == (MINUTE + 90_000, MINUTE + 90_000)
        assert rolled.more is more


def test_nothing_is_closed_where_nothing_could_be_announced() -> None:
    """ClickHouse's clock was set back behind what is closed."""
    rolled, done, state = roll(MINUTE + 3_600_000, MINUTE - 60_000)
    assert rolled.as_of_ms == state.as_of_ms == BEFORE.as_of_ms
    assert not any(isinstance(effect, CloseBuckets) for effect in done)
