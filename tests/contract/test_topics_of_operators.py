"""Topics as operators see them, on the real engine: what is listed, what holds `as_of`, and what may be retired."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, Producer, TopicPartition

from deploy.cli.backup import stored_offsets
from deploy.cli.doctor import Verdict, examine
from deploy.cli.kafka import cluster_id
from deploy.cli.status import read_status
from deploy.cli.topics import read_topics, render, retire
from deploy.engines.mock_kafka import MockKafka
from deploy.errors import Refused
from pipeline.clickhouse.store import Store
from pipeline.core.effects import RaiseState, State
from pipeline.core.place import Place
from pipeline.core.progress import Progress, ReadMarks, Started, WriteProgress, WriteStarts
from pipeline.core.start import Gap
from schemas.connection import connect
from schemas.settings import Settings, read_settings
from tests.support.retiring import retire as retire_topic

LISTED, NEW, OLD, GONE = "listed", "new", "old", "gone"
LONG_AGO_MS = 1_780_000_000_000


@pytest.fixture(scope="module")
def broker() -> Iterator[MockKafka]:
    """It has a topic that is read, one that was never read and has five records, and one that is not listed."""
    broker = MockKafka()
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for topic, count in ((LISTED, 4), (NEW, 5), (OLD, 3)):
        broker.create_topic(topic)
        for _ in range(count):
            producer.produce(topic, b"x", partition=0)
    assert producer.flush(10) == 0
    yield broker
    del broker  # it answers as long as it is held


@pytest.fixture
def settings(url: str, broker: MockKafka) -> Settings:
    return replace(
        read_settings({"MSGMETRICS_CLICKHOUSE_URL": url, "MSGMETRICS_KAFKA_BOOTSTRAP": broker.bootstrap}),
        kafka_topic=(LISTED, NEW),
        kafka_cluster_id="cluster",
    )


@pytest.fixture
def client(url: str) -> Client:
    return connect(url)


@pytest.fixture
def store(url: str) -> Store:
    """Of the listed topic and of two others everything is durable, three records of the old one are not read."""
    store = Store(url, "cluster", "w1", timeout_seconds=30)
    offsets = {LISTED: 4, OLD: 0, GONE: 9}
    for topic, offset in offsets.items():
        _advance(store, topic, offset)
    return store


def _advance(store: Store, topic: str, offset: int) -> None:
    places = [Place(topic, number) for number in range(4)]
    progress = [Progress(place, offset if place.number == 0 else 0, LONG_AGO_MS) for place in places]
    store.perform(WriteProgress(tuple(progress)))


def _commit(settings: Settings, place: Place, offset: int) -> None:
    """As the workers' group does once all that was late is in every number."""
    consumer = Consumer({"bootstrap.servers": settings.kafka_bootstrap, "group.id": settings.kafka_group})
    consumer.commit(offsets=[TopicPartition(*place, offset)], asynchronous=False)
    consumer.close()


def _report(store: Store, topic: str, group: str = "") -> None:
    store.report_partitions([(Place(topic, 0), "caught up", 4, 4)])
    store.report_worker(group or "message-metrics", [], 0)


def _is_retired(store: Store, topic: str) -> bool:
    return topic in store.perform(ReadMarks()).retired


def test_all_topics_are_listed_with_their_state_and_what_is_left(
    client: Client, settings: Settings, store: Store
) -> None:
    _report(store, LISTED)
    retire_topic(store.perform, GONE)
    found = read_topics(client, settings)
    assert found.problems == []
    by_name = {line.topic: line for line in found.topics}
    assert list(by_name) == [GONE, LISTED, NEW, OLD]
    told = {
        name: (line.is_listed, line.state.split()[0], line.partitions_stored, line.partitions_in_kafka)
        for name, line in by_name.items()
    }
    assert told == {
        GONE: (False, "retired", 4, 0),
        LISTED: (True, "in", 4, 4),
        NEW: (True, "never", 0, 4),
        OLD: (False, "in", 4, 4),
    }
    assert {name: line.records_left for name, line in by_name.items()} == {GONE: 0, LISTED: 0, NEW: 5, OLD: 3}
    assert by_name[LISTED].readers == ["w1"]
    assert by_name[OLD].readers == []
    assert by_name[GONE].retired_at
    assert by_name[OLD].oldest_watermark == "2026-05-28T20:26:40.000Z"
    assert by_name[NEW].oldest_watermark is None
    lines = render(found)
    assert [line.split()[0] for line in lines] == ["topic", GONE, LISTED, NEW, OLD]
    assert len({line.index("read by") for line in lines[:1]} | {lines[2].index("w1"), lines[4].index("nobody")}) == 1


def test_without_kafka_the_topics_are_listed_all_the_same(client: Client, settings: Settings, store: Store) -> None:
    found = read_topics(client, replace(settings, kafka_bootstrap="127.0.0.1:1"))
    assert "Kafka does not answer" in found.problems[0]
    assert {(line.partitions_in_kafka, line.records_left) for line in found.topics} == {(None, None)}
    assert "4 of ?" in "\n".join(render(found))


def test_a_topic_that_is_gone_is_retired_and_a_worker_that_reads_it_takes_that_back(
    client: Client, settings: Settings, store: Store
) -> None:
    said = retire(client, settings, GONE, anyway=False)
    assert said[0].startswith("Kafka knows no topic gone, so that nothing is left of it; if a worker was killed before")
    assert "as_of no longer waits for it" in said[1]
    assert _is_retired(store, GONE)
    assert retire(client, settings, GONE, anyway=False)[0].startswith("the topic gone is retired since ")
    store.perform(WriteStarts((Started(Place(GONE, 0)),)))
    assert not _is_retired(store, GONE)


def test_a_topic_with_records_left_is_retired_once_they_are_read_or_given_up(
    client: Client, settings: Settings, store: Store
) -> None:
    with pytest.raises(Refused, match=r"^3 records of the topic old are not read; .* give them up with --anyway"):
        retire(client, settings, OLD, anyway=False)
    assert not _is_retired(store, OLD)
    assert retire(client, settings, OLD, anyway=True)[0] == "3 records of the topic old are not read"
    assert _is_retired(store, OLD)
    _advance(store, OLD, 3)
    assert not _is_retired(store, OLD)
    unknown = replace(settings, kafka_group="another")
    with pytest.raises(Refused, match="the group another has not committed all that was read of the topic old"):
        retire(client, unknown, OLD, anyway=False)
    assert not _is_retired(store, OLD)
    _commit(settings, Place(OLD, 0), 3)
    assert len(retire(client, settings, OLD, anyway=False)) == 1
    assert _is_retired(store, OLD)


@pytest.mark.parametrize("anyway", [False, True])
@pytest.mark.parametrize(
    ("topic", "why"),
    [
        (LISTED, r"^the topic listed is on the list here \(MSGMETRICS_KAFKA_TOPIC\); take it off"),
        ("unheard-of", "^no progress of a topic unheard-of is stored, .* `msgmetrics topics list`"),
        (OLD, "^the topic old is being read by w1; take it off"),
    ],
)
def test_what_is_read_or_unknown_is_not_retired_whatever_is_said(
    topic: str, why: str, anyway: bool, client: Client, settings: Settings, store: Store
) -> None:
    _report(store, OLD)
    with pytest.raises(Refused, match=why):
        retire(client, settings, topic, anyway=anyway)
    assert not _is_retired(store, topic)


def test_where_kafka_does_not_answer_nothing_is_retired_unless_told(
    client: Client, settings: Settings, store: Store
) -> None:
    away = replace(settings, kafka_bootstrap="127.0.0.1:1")
    with pytest.raises(
        Refused, match=r"Kafka does not answer .* may be left; try again, or give them up with --anyway"
    ):
        retire(client, away, GONE, anyway=False)
    assert not _is_retired(store, GONE)
    assert "Kafka does not answer" in retire(client, away, GONE, anyway=True)[0]
    assert _is_retired(store, GONE)


def test_brokers_of_another_cluster_cannot_say_that_nothing_is_left(
    client: Client, settings: Settings, store: Store
) -> None:
    _report(store, LISTED)
    by_report = replace(settings, kafka_cluster_id="")
    with pytest.raises(Refused, match=r"^progress is stored of Kafka cluster cluster, and .* answers, so that records"):
        retire(client, by_report, GONE, anyway=False)
    assert not _is_retired(store, GONE)
    retire(client, by_report, GONE, anyway=True)
    assert _is_retired(store, GONE)


def test_before_a_worker_reports_on_a_new_list_the_cluster_is_the_brokers_own(
    client: Client, settings: Settings, broker: MockKafka
) -> None:
    new = replace(settings, kafka_topic=(NEW,), kafka_cluster_id="")
    store = Store(settings.clickhouse, cluster_id(new), "w1", timeout_seconds=30)
    _advance(store, OLD, 3)
    _commit(settings, Place(OLD, 0), 3)
    assert {line.topic for line in read_topics(client, new).topics} == {NEW, OLD}
    retire(client, new, OLD, anyway=False)
    assert _is_retired(store, OLD)


def test_who_reads_a_topic_while_it_is_retired_wins(
    client: Client, settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    retiring = Store._retire

    def read_meanwhile(self: Store, topic: str, moved: int) -> None:
        retiring(self, topic, moved)
        store.perform(WriteStarts((Started(Place(topic, 0)),)))

    monkeypatch.setattr(Store, "_retire", read_meanwhile)
    with pytest.raises(Refused, match="somebody has read the topic gone meanwhile"):
        retire(client, settings, GONE, anyway=False)
    assert not _is_retired(store, GONE)


def test_status_shows_the_partitions_of_all_topics_that_hold(client: Client, settings: Settings, store: Store) -> None:
    retire_topic(store.perform, GONE)
    store.record_gap(Place(OLD, 0), Gap(1, 3))
    _report(store, LISTED)
    _report(Store(settings.clickhouse, "cluster", "w2", timeout_seconds=30), OLD, "others")
    found = read_status(client, settings)
    assert [p.place for p in found.partitions] == [Place(t, n) for t in (LISTED, NEW, OLD) for n in range(4)]
    ends = {p.place: (p.next_offset, p.log_end_offset, p.lag) for p in found.partitions if p.partition == 0}
    assert ends == {Place(LISTED, 0): (4, 4, 0), Place(NEW, 0): (0, 5, 5), Place(OLD, 0): (0, 3, 3)}
    assert found.retired == [GONE]
    (gap,) = found.accepted_gaps
    assert (gap.topic, gap.partition) == (OLD, 0)
    assert found.groups == ["others"]


def test_a_listed_topic_that_does_not_exist_is_a_reason_and_hides_no_other(
    client: Client, settings: Settings, store: Store
) -> None:
    found = read_status(client, replace(settings, kafka_topic=(LISTED, "missing")))
    assert not found.ready
    assert "the topic missing does not exist; make it, or run `msgmetrics migrate --create`" in found.reasons
    assert {p.log_end_offset for p in found.partitions if p.topic == LISTED} == {4, 0}
    assert {p.topic for p in found.partitions} == {LISTED, OLD, GONE}


def _notes(settings: Settings, part: str) -> list[str]:
    found = [finding for finding in examine(settings) if part in finding.text]
    assert {finding.verdict for finding in found} <= {Verdict.NOTE}
    return [finding.text for finding in found]


def test_doctor_says_how_much_history_a_topic_has_that_nobody_has_read(settings: Settings, store: Store) -> None:
    assert _notes(settings, "that nobody has read") == [], "before there are numbers nothing stands still"
    store.perform(RaiseState(State(as_of_ms=LONG_AGO_MS)))
    (sentence,) = _notes(settings, "that nobody has read")
    assert sentence.startswith("nothing of the topic new was read, and Kafka has 5 records that nobody has read: as_of")
    _advance(store, NEW, 2)
    assert _notes(settings, "that nobody has read") == []
    retire_topic(store.perform, NEW)
    (sentence,) = _notes(settings, "that nobody has read")
    assert sentence.startswith("since it was retired nothing of the topic new was read, and Kafka has 3 records that")


def test_doctor_names_topics_off_the_list_and_other_groups(settings: Settings, store: Store) -> None:
    (sentence,) = _notes(settings, "not on the list here")
    assert sentence.startswith("the topics gone, old were read, and are not on the list here")
    retire_topic(store.perform, GONE)
    (sentence,) = _notes(settings, "not on the list here")
    assert sentence.startswith("the topic old was read, and is not on the list here")
    assert _notes(settings, "write here as well") == []
    _report(store, OLD, "others")
    (sentence,) = _notes(settings, "write here as well")
    assert sentence.startswith("workers of the group others write here as well")


def test_doctor_speaks_of_each_listed_topic_by_name(settings: Settings, store: Store) -> None:
    said = {finding.text: finding.verdict for finding in examine(replace(settings, kafka_topic=(LISTED, NEW, "no")))}
    assert said["the topic listed has 4 partitions"] is Verdict.OK
    assert said["the topic new has 4 partitions"] is Verdict.OK
    assert said["the topic no does not exist; make it, or run `msgmetrics migrate --create`"] is Verdict.FAIL


def test_offsets_of_all_topics_and_clusters_are_stored_apart(client: Client, url: str, store: Store) -> None:
    _advance(Store(url, "another", "w2", timeout_seconds=30), LISTED, 2)
    found = stored_offsets(client)
    assert found.keys() == {"cluster", "another"}
    assert found["cluster"][Place(GONE, 0)] == 9
    assert found["another"] == {Place(LISTED, n): 2 if n == 0 else 0 for n in range(4)}
