"""What a roll asks of the store: a bucket is announced before it is read, and published last."""

from typing import Any

import pytest

from pipeline.core.effects import (
    CloseBuckets,
    Effect,
    LogClosing,
    Progress,
    RaiseState,
    ReadState,
    ReadWatermarks,
    State,
)
from pipeline.core.protocol import Rolled, roll_steps
from pipeline.runner import drive
from tests.support.fake_store import FakeStore
from tests.support.places import P0

MINUTE = 30_000_000 * 60_000
BEFORE = State(as_of_ms=MINUTE + 1, closing_ms=MINUTE + 1, facts_floor_ms=1)


def roll(mark_ms: int) -> tuple[Rolled, list[Effect], State]:
    """The outcome of a roll up to a watermark, what it did, and the state behind it."""
    store, done = FakeStore(state=BEFORE, progress={P0: Progress(P0, 9, mark_ms)}), []

    def perform(effect: Effect) -> Any:
        done.append(effect)
        return store.perform(effect)

    return drive(roll_steps([P0], 0), perform), done, store.state


@pytest.mark.parametrize("mark_ms", [MINUTE + 2, MINUTE + 59_999])
def test_where_no_bucket_ends_a_roll_writes_once_and_reads_no_facts(mark_ms: int) -> None:
    rolled, done, state = roll(mark_ms)
    assert [type(effect) for effect in done] == [ReadWatermarks, ReadState, RaiseState]
    assert rolled == Rolled(mark_ms)
    assert (state.as_of_ms, state.closing_ms) == (mark_ms, mark_ms)


@pytest.mark.parametrize("mark_ms", [MINUTE + 60_000, MINUTE + 60_001])
def test_a_bucket_that_ends_is_announced_before_it_is_read_and_published_last(mark_ms: int) -> None:
    _, done, state = roll(mark_ms)
    raised = [effect.state for effect in done if isinstance(effect, RaiseState)]
    assert raised == [State(closing_ms=mark_ms), State(as_of_ms=mark_ms)]
    order = [type(effect) for effect in done if isinstance(effect, RaiseState | CloseBuckets | LogClosing)]
    assert order == [RaiseState, CloseBuckets, LogClosing, RaiseState]
    assert (state.as_of_ms, state.closing_ms) == (mark_ms, mark_ms)
