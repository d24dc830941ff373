"""What holds `as_of`: what is stored, and what the metadata name."""

from collections.abc import Mapping, Set

import pytest

from pipeline.core.effects import State
from pipeline.core.holding import Marks
from pipeline.core.place import Place
from pipeline.core.progress import Progress, ReadMarks, Started, WriteProgress, WriteStarts
from pipeline.core.protocol import Rolled, roll_steps, start_steps
from pipeline.runner import drive
from tests.support.fake_store import FakeStore
from tests.support.retiring import retire

A, B = "a-events", "b-events"
A0, A1, B0, B1, B2 = Place(A, 0), Place(A, 1), Place(B, 0), Place(B, 1), Place(B, 2)
MINUTE_MS = 60_000
NOW_MS = 30_000_000 * MINUTE_MS


@pytest.mark.parametrize(
    ("existing", "partitions", "expected"),
    [
        ({B: {B0, B1}}, 0, {B0, B1}),
        ({B: {B0, B1}}, 1, {B0, B1}),
        ({B: {B0}}, 2, {B0, B1}),
        ({B: set()}, 0, {B0}),
        ({}, 0, {B0}),
        ({B: set()}, 3, {B0, B1, B2}),
    ],
    ids=["named", "made larger", "a broker that lags", "missing", "not asked for", "missing, of more than was started"],
)
def test_a_topic_of_which_anything_was_read_holds_by_what_is_named_and_what_it_had(
    existing: Mapping[str, Set[Place]], partitions: int, expected: Set[Place]
) -> None:
    marks = Marks({B0: 1}, {B0: 1}, {B: partitions} if partitions else {})
    assert marks.topics({A}) == {A, B}
    assert marks.holders({B}, existing) == expected


def test_a_topic_that_was_never_seen_holds_nothing_and_one_that_is_listed_holds_though_it_was_retired() -> None:
    assert Marks().holders({A}, {A: set()}) == frozenset()
    retired = Marks({B0: 1}, {B0: 1}, retired=frozenset({B}))
    assert retired.topics({A}) == {A}
    assert retired.topics({A, B}) == {A, B}


@pytest.fixture
def store() -> FakeStore:
    """Both topics are caught up, and everything up to a minute ago is closed."""
    made = FakeStore(clock_ms=lambda: NOW_MS, state=State(as_of_ms=NOW_MS - MINUTE_MS, closing_ms=NOW_MS - MINUTE_MS))
    made.perform(WriteProgress(tuple(Progress(p, 5, NOW_MS) for p in (A0, B0))))
    return made


def roll(store: FakeStore, listed: Set[str], existing: Mapping[str, Set[Place]]) -> Rolled:
    return drive(roll_steps(listed, existing), store.perform)


def test_a_roll_that_meets_a_topic_of_somebody_elses_only_learns_of_it(store: FakeStore) -> None:
    rolled = roll(store, {A}, {A: {A0}})
    assert rolled.topics == {A, B}
    assert rolled.more
    assert store.state.as_of_ms == NOW_MS - MINUTE_MS
    assert roll(store, {A}, {A: {A0}, B: {B0}}).as_of_ms == NOW_MS


@pytest.mark.parametrize("existing", [{A: {A0}, B: set()}, {A: {A0}, B: {B0, B1}}])
def test_as_of_waits_for_a_partition_that_nobody_has_begun(
    store: FakeStore, existing: Mapping[str, Set[Place]]
) -> None:
    drive(start_steps([Started(B0, 0, partitions=2)]), store.perform)
    rolled = roll(store, {A}, existing)
    assert rolled.as_of_ms == NOW_MS - MINUTE_MS
    assert rolled.holding == (B1,)


def test_a_topic_is_retired_until_anything_of_it_moves(store: FakeStore) -> None:
    assert retire(store.perform, B)
    drive(start_steps([Started(A1, 0, partitions=2)]), store.perform)
    assert B in store.perform(ReadMarks()).retired
    store.perform(WriteProgress((Progress(B0, 5, NOW_MS),)))
    assert B in store.perform(ReadMarks()).retired, "written again, it has not moved"
    store.perform(WriteProgress((Progress(B0, 6, NOW_MS),)))
    assert B not in store.perform(ReadMarks()).retired
    assert retire(store.perform, B)
    store.perform(WriteStarts((Started(B0),)))
    assert B not in store.perform(ReadMarks()).retired, "whoever begins to read it takes that back before it reads"


def test_history_is_what_has_not_come_as_far_as_as_of_is(store: FakeStore) -> None:
    added = Place("c-events", 0)
    store.perform(WriteStarts((Started(added, 7, 1),)))
    existing = {A: {A0}, B: {B0}, added.topic: {added}}
    assert roll(store, {A}, existing).history == {added: 7}
    store.perform(WriteProgress((Progress(added, 9, NOW_MS - 2 * MINUTE_MS),)))
    assert roll(store, {A}, existing).history == {added: 9}
    store.perform(WriteProgress((Progress(added, 10, NOW_MS - MINUTE_MS),)))
    assert roll(store, {A}, existing).history == {}
