"""On a cluster servers catch up between what a protocol writes and what it reads behind that."""

import pytest

from pipeline.core.effects import (
    CloseBuckets,
    CountStaged,
    Effect,
    EraseRollups,
    EraseRows,
    FindErased,
    InsertDeadLetters,
    InsertFacts,
    OrderErasure,
    RaiseState,
    ReadEarliestFact,
    ReadErasures,
    ReadHighestGeneration,
    ReadState,
    RebuildBuckets,
    RecomputeLate,
    StageKeys,
    Synchronise,
)
from tests.unit.pipeline.core.test_schema_fence import PROTOCOLS, effects_of, publishes

COMPUTING = (CloseBuckets, RecomputeLate, RebuildBuckets)
WRITING = (*COMPUTING, InsertFacts, InsertDeadLetters, StageKeys, RaiseState, OrderErasure, EraseRows, EraseRollups)
READING = (
    *COMPUTING,
    *(ReadState, ReadErasures, ReadEarliestFact, ReadHighestGeneration, CountStaged, FindErased, EraseRows),
)


def are_of_one_grain(first: Effect, second: Effect) -> bool:
    """Whether both compute buckets of one grain, of which none is made from another."""
    return isinstance(first, COMPUTING) and isinstance(second, COMPUTING) and first.grain is second.grain


@pytest.mark.parametrize("name", PROTOCOLS)
def test_servers_catch_up_between_a_write_and_the_next_read(name: str) -> None:
    written: Effect | None = None
    for effect in effects_of(name):
        if isinstance(effect, READING) and written and not are_of_one_grain(written, effect):
            raise AssertionError(f"{effect} may not see {written}")
        if isinstance(effect, WRITING) and not publishes(effect):
            written = effect
        elif isinstance(effect, Synchronise):
            written = None


@pytest.mark.parametrize("name", ["rebuild", "erase"])
def test_what_is_ordered_by_hand_begins_with_what_was_there_when_it_was_ordered(name: str) -> None:
    assert effects_of(name)[0] == Synchronise()
