"""Topics in the store: what holds `as_of`, and who no longer does."""

import pytest

from deploy.migrations.apply import migrate, read_migrations
from pipeline.clickhouse.store import Store
from pipeline.core.place import Place
from pipeline.core.progress import Progress, ReadMarks, Started, WriteProgress, WriteStarts
from pipeline.core.start import Offsets, Start
from pipeline.worker.starts import Starts
from schemas.connection import connect
from tests.support.retiring import retire
from tests.support.stores import Case

A0, B0, B1, B5 = Place("a-events", 0), Place("b-events", 0), Place("b-events", 1), Place("b-events", 5)
ID, NEW_ID = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"


@pytest.fixture
def store(url: str) -> Store:
    return Store(url, "cluster", "worker", 20)


def test_a_retirement_lasts_until_anything_of_the_topic_moves(case: Case) -> None:
    case.perform(WriteProgress((Progress(A0, 5, 1000), Progress(B0, 5, 1000), Progress(B1, 5, 1000))))
    assert retire(case.perform, "b-events")
    case.perform(WriteProgress((Progress(A0, 6, 2000), Progress(B1, 4, 900))))
    marks = case.perform(ReadMarks())
    assert marks.retired == {"b-events"}
    assert marks.watermarks == {A0: 2000, B0: 1000, B1: 1000}
    moving = WriteProgress((Progress(B1, 6),)), WriteProgress((Progress(B0, 5, 1001),)), WriteStarts((Started(B0),))
    for moves in moving:
        case.perform(moves)
        assert case.perform(ReadMarks()).retired == frozenset(), moves
        assert retire(case.perform, "b-events"), "retired again"


def test_of_a_topic_of_which_nothing_is_stored_nothing_is_retired(case: Case) -> None:
    assert not retire(case.perform, "b-events")
    case.perform(WriteStarts((Started(B0, 0, 1),)))
    assert case.perform(ReadMarks()).retired == frozenset()


def test_a_topic_of_another_kafka_cluster_is_another(store: Store) -> None:
    other = Store(store.endpoint, "another", "worker", 20)
    for one in (store, other):
        one.perform(WriteProgress((Progress(B0, 5, 1000),)))
    retire(other.perform, "b-events")
    assert (store.perform(ReadMarks()).retired, other.perform(ReadMarks()).retired) == (frozenset(), {"b-events"})


def test_a_start_tells_how_many_partitions_there_are_and_takes_a_retirement_back(store: Store) -> None:
    Starts(store).choose({B0: Offsets(None, 3, 9, ID, partitions=2)})
    assert store.perform(ReadMarks()).partitions == {"b-events": 2}
    assert retire(store.perform, "b-events")
    assert Starts(store).choose({B0: Offsets(3, 3, 9, ID, partitions=2)}) == {B0: Start(3)}
    assert store.perform(ReadMarks()).retired == frozenset()
    Starts(store).choose({B1: Offsets(None, 0, 0, ID, partitions=6), B0: Offsets(3, 3, 9, ID, partitions=6)})
    assert store.perform(ReadMarks()).partitions == {"b-events": 6}


def test_of_a_topic_made_anew_with_fewer_partitions_the_fewer_count(store: Store) -> None:
    Starts(store).choose({p: Offsets(None, 0, 0, ID, partitions=6) for p in (B0, B1, B5)})
    assert store.perform(ReadMarks()).partitions == {"b-events": 6}
    Starts(store).choose({B1: Offsets(0, 0, 0, NEW_ID, partitions=2)})
    assert store.perform(ReadMarks()).partitions == {"b-events": 2}


def test_partitions_are_not_counted_where_the_broker_knows_topics_by_name_alone(store: Store) -> None:
    """One made anew with fewer partitions could not be told from it, and would hold `as_of` for ever."""
    Starts(store).choose({B0: Offsets(None, 0, 0, "", partitions=6)})
    assert store.perform(ReadMarks()).partitions == {}


def test_the_migration_retires_what_is_stored_and_not_listed_on_its_day(empty_url: str) -> None:
    client = connect(empty_url)
    migrate(client, 35, 90)
    store = Store(empty_url, "cluster", "worker", 20)
    store.perform(WriteProgress((Progress(A0, 5, 1000), Progress(B0, 5, 1000))))
    last = max(number for number, *_ in client.query("SELECT number FROM schema_migrations").result_rows)
    topics = next(m for m in read_migrations() if m.name.endswith("_topics.sql"))
    assert topics.number <= last
    retiring = next(n for n, s in enumerate(topics.statements) if s.startswith("INSERT INTO retired_topics"))
    client.command(
        f"DELETE FROM schema_migrations WHERE number = {topics.number} AND statement = {retiring} "
        "SETTINGS mutations_sync = 2"
    )
    assert migrate(client, 35, 90, listed=["a-events"]) == [topics.name]
    assert store.perform(ReadMarks()).retired == {"b-events"}
    store.perform(WriteStarts((Started(B0),)))
    migrate(client, 35, 90, listed=["a-events"])
    assert store.perform(ReadMarks()).retired == frozenset(), "that was of its day alone"
