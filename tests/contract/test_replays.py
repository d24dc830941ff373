"""The stored progress of replays: one is of partitions of several topics, and goes on as one."""

import uuid

import pytest

from pipeline.clickhouse.store import Store
from pipeline.core.place import Place
from pipeline.repair.replay_progress import Replays
from pipeline.repair.replay_reading import Bounds, NothingToReplay, Wanted

A0, A1, B0 = Place("a", 0), Place("a", 1), Place("b", 0)
SPAN = Wanted(1_000, 2_000)


def replays(url: str, cluster: str = "cluster") -> Replays:
    return Replays(Store(url, cluster, "replay", 30), lambda work, *args: work(*args))


def test_a_replay_of_several_topics_goes_on_as_one_where_each_partition_had_come_to(url: str) -> None:
    first = replays(url)
    first.begin(uuid.uuid4(), SPAN, {A0: Bounds(0, 10), A1: Bounds(5, 5), B0: Bounds(0, 10)})
    assert first.advance({B0: 4}) == 4
    assert first.advance({A0: 10}) == 14
    left = {A0: Bounds(10, 10), A1: Bounds(5, 5), B0: Bounds(4, 10)}
    again = replays(url)
    assert again.resume(SPAN) == left
    assert replays(url).resume(Wanted(1_000, 2_000, topics=frozenset({"a", "b"}))) == left
    for other in (Wanted(1_000, 2_000, topics=frozenset({"b"})), Wanted(1_000, 2_000, frozenset({B0}))):
        with pytest.raises(NothingToReplay, match="the interrupted replay is of partitions a/0, a/1, b/0; name these"):
            replays(url).resume(other)
    with pytest.raises(NothingToReplay, match="no replay of that span was interrupted"):
        replays(url, "another").resume(SPAN)
    again.finish()
    with pytest.raises(NothingToReplay, match="no replay of that span was interrupted"):
        replays(url).resume(SPAN)


def test_the_newest_of_two_interrupted_replays_goes_on_alone(url: str) -> None:
    for place in (B0, A0):
        replays(url).begin(uuid.uuid4(), SPAN, {place: Bounds(0, 10)})
    assert replays(url).resume(SPAN) == {A0: Bounds(0, 10)}
