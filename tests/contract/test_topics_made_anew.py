"""A topic made anew has nothing in common with the old one but its name: what was read of that holds nothing of it."""

import pytest

from pipeline.clickhouse.store import Store
from pipeline.core.place import Place
from pipeline.core.progress import Progress, ReadMarks, WriteProgress
from pipeline.core.start import Offsets, Stored
from pipeline.worker.starts import Starts

B0, B1, B2 = (Place("b-events", number) for number in range(3))


@pytest.fixture
def store(url: str) -> Store:
    return Store(url, "cluster", "worker", 20)


def begin(store: Store, topic_id: str, partitions: int, *places: Place) -> None:
    Starts(store).choose({p: Offsets(None, 0, 0, topic_id, partitions) for p in places})


def test_a_partition_that_nobody_has_begun_since_inherits_no_watermark(store: Store) -> None:
    begin(store, "old", 2, B0, B1)
    zombie = Store(store.endpoint, "cluster", "zombie", 20)
    zombie.read_stored()
    zombie.topic_ids.update({B1: "old"})
    begin(store, "new", 2, B0)
    store.perform(WriteProgress((Progress(B0, 5, 5_000),)))
    zombie.perform(WriteProgress((Progress(B1, 9, 9_000),)))
    marks = store.perform(ReadMarks())
    assert (marks.watermarks, marks.offsets, marks.partitions) == ({B0: 5_000}, {B0: 5}, {"b-events": 2})
    assert store.read_stored()[B1] == Stored(9, 0, "old"), "by which its start knows that it is another topic"


def test_a_partition_that_only_the_old_one_had_no_longer_holds(store: Store) -> None:
    begin(store, "old", 2, B1)
    begin(store, "new", 1, B0)
    marks = store.perform(ReadMarks())
    assert (marks.watermarks, marks.partitions) == ({B0: 0}, {"b-events": 1})
    begin(store, "newest", 3, B2)
    assert store.perform(ReadMarks()).partitions == {"b-events": 3}
    assert {p: s.incarnation for p, s in store.read_stored().items()} == {B0: 1, B1: 0, B2: 2}


def test_partitions_that_are_added_are_read_in_the_life_of_the_others(store: Store) -> None:
    begin(store, "old", 1, B0)
    begin(store, "new", 1, B0)
    begin(store, "new", 2, B1)
    marks = store.perform(ReadMarks())
    assert (marks.watermarks, marks.partitions) == ({B0: 0, B1: 0}, {"b-events": 2})
