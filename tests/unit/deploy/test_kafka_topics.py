"""Topics as brokers tell of them: which exist, where their logs end, and which of them `migrate` makes."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from confluent_kafka import Producer

from deploy.cli import kafka
from deploy.cli.kafka import LogEnd, describe_topics, ensure_topics, log_ends
from deploy.cli.topic_checks import TopicState
from deploy.engines.mock_kafka import MockKafka
from deploy.errors import Refused, Unreachable
from pipeline.core.place import Place
from schemas.settings import Settings, read_settings

CONFIG = {"cleanup.policy": "delete"}
THERE, GONE = TopicState(1, 4, CONFIG), TopicState(1, 0, {}, is_gone=True)
A, B, C = "a", "b", "c"


@pytest.fixture(scope="module")
def where() -> Iterator[Settings]:
    broker = MockKafka()
    for topic in (A, B):
        broker.create_topic(topic)
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for number in range(7):
        producer.produce(B, b"x", partition=number % 2)
    assert producer.flush(10) == 0
    yield replace(read_settings({"MSGMETRICS_KAFKA_BOOTSTRAP": broker.bootstrap}), kafka_topic=(A, B, "gone"))
    del broker  # it answers as long as it is held


def test_topics_are_described_at_once_and_one_that_is_gone_is_said_to_be(where: Settings) -> None:
    found = describe_topics(where)
    assert list(found) == list(where.topics)
    assert [(state.partitions, state.is_gone) for state in found.values()] == [(4, False), (4, False), (0, True)]
    assert found["gone"].problem
    assert describe_topics(where, [A]).keys() == {A}
    assert describe_topics(where)["gone"].is_gone, "to ask for it makes no topic"


def test_a_topic_that_does_not_tell_its_ends_hides_no_other(where: Settings) -> None:
    asked = [Place(B, 0), Place("gone", 0), Place(B, 1), Place(A, 3)]
    found = log_ends(where, asked)
    assert found.of == {Place(B, 0): LogEnd(4), Place(B, 1): LogEnd(3), Place(A, 3): LogEnd(0)}
    assert list(found.problems) == ["gone"]
    assert found.problems["gone"].startswith("Kafka does not tell where the log of gone/0 ends")
    assert log_ends(where, []).of == {}


@pytest.mark.parametrize(
    ("end", "next_offset", "left"),
    [
        (LogEnd(10), 4, 6),
        (LogEnd(10), 10, 0),
        (LogEnd(10, hidden=3), 10, 3),
        (LogEnd(10, first=6), 4, 4),
        (LogEnd(10, first=6), 0, 4),
        (LogEnd(10), 11, 10),
        (LogEnd(10, hidden=2), 11, 1),
        (LogEnd(0), 0, 0),
    ],
)
def test_records_left_are_those_that_kafka_still_has_and_all_of_a_topic_made_anew(
    end: LogEnd, next_offset: int, left: int
) -> None:
    assert end.left(next_offset) == left


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The topics that were made."""
    found: list[str] = []

    def make(_: Settings, name: str, __: int, ___: int | None) -> str:
        found.append(name)
        return f"topic {name}: made"

    monkeypatch.setattr(kafka, "_make", make)
    return found


def listing(monkeypatch: pytest.MonkeyPatch, **states: TopicState) -> Settings:
    """Settings that list these topics, which are described like this."""
    monkeypatch.setattr(kafka, "describe_topics", lambda *_, **__: states)
    return replace(read_settings({}), kafka_topic=tuple(states))


@pytest.mark.parametrize("create", [False, True])
def test_the_only_topic_is_made_where_it_is_missing(
    create: bool, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ensure_topics(listing(monkeypatch, a=GONE), None, create=create) == ["topic a: made"]
    assert ensure_topics(listing(monkeypatch, a=THERE), None, create=create) == ["topic a: exists with 4 partitions"]
    assert made == [A]


def test_of_several_none_is_made_unless_told_and_the_others_are_described_all_the_same(
    made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = listing(monkeypatch, a=THERE, b=GONE, c=GONE)
    assert ensure_topics(settings, None, create=False) == [
        "topic a: exists with 4 partitions",
        "the topics b, c do not exist; make them, or run `msgmetrics migrate --create`",
    ]
    assert made == []
    ensure_topics(settings, None, create=True)
    assert made == [B, C]


def test_a_topic_that_loses_events_is_refused_whichever_it_is_and_none_is_made(
    made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compacted = TopicState(1, 4, {"cleanup.policy": "compact"})
    settings = listing(monkeypatch, a=GONE, b=THERE, c=compacted)
    with pytest.raises(Refused, match=r"^the topic c is compacted"):
        ensure_topics(settings, None, create=True)
    with pytest.raises(Refused, match=r"^topic b: exists with 4 partitions, not 8(.|\n)*the topic c is compacted"):
        ensure_topics(settings, 8, create=True)
    assert made == []


def test_brokers_that_are_away_are_named(where: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "ANSWER_SECONDS", 0.2)
    with pytest.raises(Unreachable, match=r"Kafka does not answer at 127\.0\.0\.1:1"):
        describe_topics(replace(where, kafka_bootstrap="127.0.0.1:1"))
