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
from pipeline.core.progress import ReadMarks, RetireTopic, Started, WriteStarts
from pipeline.core.protocol import retire_steps, start_steps
from tests.support.places import P0, TOPIC
from tests.unit.pipeline.core.test_schema_fence import PROTOCOLS, effects_of, publishes

COMPUTING = (CloseBuckets, RecomputeLate, RebuildBuckets)
WRITING = (
    *COMPUTING,
    *(InsertFacts, InsertDeadLetters, StageKeys, RaiseState, OrderErasure, EraseRows, EraseRollups),
    *(WriteStarts, RetireTopic),
)
READING = (
    *COMPUTING,
    *(
        ReadState,
        ReadErasures,
        ReadEarliestFact,
        ReadHighestGeneration,
        CountStaged,
        FindErased,
        EraseRows,
        ReadMarks,
    ),
)


def are_of_one_grain(first: Effect, second: Effect) -> bool:
    """Whether both compute buckets of one grain, of which none is made from another."""
    return isinstance(first, COMPUTING) and isinstance(second, COMPUTING) and first.grain is second.grain


STEPS = {name: steps for name, (steps, _, _) in PROTOCOLS.items()} | {
    "start": lambda: start_steps([Started(P0, 0, 1)]),
    "retire": lambda: retire_steps(TOPIC, 0),
}


@pytest.mark.parametrize("name", STEPS)
def test_servers_catch_up_between_a_write_and_the_next_read(name: str) -> None:
    written: Effect | None = None
    for effect in effects_of(STEPS[name]()):
        if isinstance(effect, READING) and written and not are_of_one_grain(written, effect):
            raise AssertionError(f"{effect} may not see {written}")
        if isinstance(effect, WRITING) and not publishes(effect):
            written = effect
        elif isinstance(effect, Synchronise):
            written = None


def test_all_servers_know_of_a_start_before_a_record_is_read() -> None:
    assert [type(effect) for effect in effects_of(STEPS["start"]())] == [WriteStarts, Synchronise]


@pytest.mark.parametrize("name", ["rebuild", "erase"])
def test_what_is_ordered_by_hand_begins_with_what_was_there_when_it_was_ordered(name: str) -> None:
    assert effects_of(STEPS[name]())[0] == Synchronise()
