"""Where reading starts by what ClickHouse has: what a start decides is stored before a record is read."""

import pytest

from pipeline.clickhouse.store import Store
from pipeline.core.progress import Progress, ReadMarks, WriteProgress
from pipeline.core.start import Gap, Offsets, Start, Stored
from pipeline.worker.starts import Starts
from tests.support.places import P0, P1

NOW_MS = 1_800_000_000_000


@pytest.fixture
def store(url: str) -> Store:
    return Store(url, "cluster", "worker", 20)


def starts(store: Store) -> Starts:
    return Starts(store)


def test_a_topic_made_anew_inherits_no_loss_and_no_progress_before_its_first_record(store: Store) -> None:
    store.perform(WriteProgress((Progress(P0, 500, 5_000), Progress(P1, 500, 5_000))))
    store.read_stored()
    store.record_gap(P0, Gap(0, 100))
    assert starts(store).choose({P0: Offsets(500, 0, 10)}) == {P0: Start(0, recreated=True)}
    assert store.read_gaps() == {}
    starts(store).choose({P1: Offsets(500, 0, 500)})  # as one whose leader came later does
    store.perform(WriteProgress((Progress(P0, 5),)))
    assert store.read_stored()[P0] == Stored(5, incarnation=1)
    assert store.perform(ReadMarks()).watermarks == {P0: 0, P1: 5_000}, "the old topic's says nothing of the new one"


def test_a_topic_made_anew_that_outgrows_the_old_one_is_read_from_its_beginning(store: Store) -> None:
    store.perform(WriteProgress((Progress(P0, 500),)))
    starts(store).choose({P0: Offsets(500, 0, 10)})
    assert starts(store).choose({P0: Offsets(500, 0, 900)}) == {P0: Start(0)}


def test_the_id_of_a_topic_tells_it_from_one_that_was_made_anew_and_has_outgrown_it(store: Store) -> None:
    store.perform(WriteProgress((Progress(P0, 500, 5_000),)))
    assert starts(store).choose({P0: Offsets(500, 0, 900, "old")}) == {P0: Start(500)}
    assert store.read_stored()[P0] == Stored(500, 0, "old"), "stored where it was not known yet"
    store.perform(WriteProgress((Progress(P0, 600, 6_000),)))
    for _ in range(2):  # also by another worker, before the first record
        other = Store(store.endpoint, "cluster", "other", 20)
        (start,) = starts(other).choose({P0: Offsets(500, 0, 900, "new")}).values()
        assert isinstance(start, Start)
        assert start.offset == 0
        assert other.read_stored()[P0] == Stored(0, 1, "new")
    assert other.perform(ReadMarks()).watermarks == {P0: 0}


def test_a_topic_made_anew_whose_id_is_told_for_the_first_time_inherits_no_offset(store: Store) -> None:
    """Progress of before ids were stored: the shorter log tells that it is another topic."""
    store.perform(WriteProgress((Progress(P0, 500, 5_000),)))
    assert starts(store).choose({P0: Offsets(500, 0, 10, "new")}) == {P0: Start(0, recreated=True)}
    assert store.read_stored()[P0] == Stored(0, 1, "new")


def test_what_is_deleted_before_anything_of_its_partition_was_stored_is_a_gap(store: Store) -> None:
    assert starts(store).choose({P0: Offsets(None, 7, 60)}) == {P0: Start(7)}
    assert starts(store).choose({P0: Offsets(None, 7, 60)}) == {P0: Start(7)}
    assert starts(store).choose({P0: Offsets(None, 50, 60)}) == {P0: Gap(7, 50)}
