"""The log of a running system: what is produced into it, what is in it, and how far the workers have come."""

import json
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from pipeline.core.place import Place
from tests.support.kafka_broker import KafkaBroker
from tests.support.ledger import TYPES, Produced
from tests.support.places import TOPIC

GROUP = "message-metrics"
COORDINATOR_MOVES = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
}


class SystemLog:
    """The topics of a system. ``partitions`` is how many each has."""

    directory: Path
    broker: KafkaBroker
    partitions: dict[str, int]

    def places(self) -> list[Place]:
        return [Place(topic, number) for topic, count in self.partitions.items() for number in range(count)]

    def topic_of(self, value: bytes | None) -> str:
        """The topic for a record: where there are several, one for each type of event; what is none goes anywhere."""
        names = list(self.partitions)
        if len(names) == 1:
            return names[0]
        try:
            number = TYPES.index(json.loads(value or b"")["type"])
        except (ValueError, TypeError, KeyError):
            number = zlib.crc32(value or b"")
        return names[number % len(names)]

    def producer(self, **settings: Any) -> Producer:
        config = {
            "bootstrap.servers": self.broker.bootstrap,
            "linger.ms": 20,
            "log_level": 0,
            "error_cb": lambda _: None,
        }
        return Producer({**config, "queue.buffering.max.messages": 1_000_000, **settings})

    def produce(self, records: Iterable[Produced], **settings: Any) -> int:
        """Send records and wait until all are acknowledged; returns how many."""
        producer, count = self.producer(**settings), 0
        for count, record in enumerate(records, 1):
            producer.produce(self.topic_of(record.value), record.value, key=record.key)
            if count % 500 == 0:
                producer.poll(0)
        assert producer.flush(60) == 0
        return count

    def messages(self) -> list[Any]:
        """Everything in the topics, read by a consumer of its own."""
        consumer = Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": "reader", "log_level": 0})
        try:
            tps = [TopicPartition(*place, 0) for place in self.places()]
            ends = sum(consumer.get_watermark_offsets(tp, timeout=10)[1] for tp in tps)
            consumer.assign(tps)
            found: list[Any] = []
            while len(found) < ends:
                found += consumer.consume(ends - len(found), timeout=10)  # which waits for as many as are asked for
            return found
        finally:
            consumer.close()

    def records(self) -> list[tuple[int, bytes]]:
        """(Kafka's timestamp in epoch ms, value) of everything in the topics, tombstones left out."""
        return [(m.timestamp()[1], m.value()) for m in self.messages() if m.value() is not None]

    def keys_and_headers(self) -> list[tuple[bytes | None, dict[str, bytes]]]:
        return [(m.key(), dict(m.headers() or ())) for m in self.messages()]

    def offsets(self) -> dict[Place, tuple[int, int]]:
        """Per partition the group's committed offset (0 for none) and the end of the log. Raises KafkaException.

        The very end: a transaction that is still open hides what is behind it from readers, for a while.
        """
        config = {"bootstrap.servers": self.broker.bootstrap, "group.id": GROUP, "log_level": 0}
        consumer = Consumer({**config, "isolation.level": "read_uncommitted"})
        try:
            tps = [TopicPartition(*place) for place in self.places()]
            committed = {(tp.topic, tp.partition): max(tp.offset, 0) for tp in consumer.committed(tps, timeout=10)}
            ends = {Place(tp.topic, tp.partition): consumer.get_watermark_offsets(tp, timeout=10)[1] for tp in tps}
            return {p: (committed[p], end) for p, end in ends.items()}
        finally:
            consumer.close()

    def unfinished(self) -> dict[Place, tuple[int, int]]:
        """Partitions whose committed offset is not the end of the log: {place: (committed, end)}."""
        try:
            return {p: pair for p, pair in self.offsets().items() if pair[0] != pair[1]}
        except KafkaException as error:
            if error.args[0].code() not in COORDINATOR_MOVES:
                raise
            return {Place(TOPIC, -1): (-1, -1)}  # a broker that has just started has no coordinator yet

    def wait_until_done(self, seconds: float) -> None:
        """Wait until everything in the log is durable, recomputed and committed."""
        deadline = time.monotonic() + seconds
        while (left := self.unfinished()) and time.monotonic() < deadline:
            time.sleep(0.2)
        if left:
            pytest.fail(f"not everything was committed within {seconds} s: {left}; logs are in {self.directory}")
