"""A broker that answers fetches from memory, with whatever bytes and errors a test puts there, for the real fetcher."""

import asyncio
import struct
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.subscription_state import SubscriptionState

from pipeline.core.waiting import Waiting
from pipeline.kafka.fetcher import BatchFetcher
from pipeline.kafka.log_consumer import LogConsumer
from tests.support.places import TOPIC

NODE = 1


def tp_of(number: int) -> TopicPartition:
    return TopicPartition(TOPIC, number)


class Broker:
    """The client's side of one: ``batches`` by partition, ``errors`` (codes) and ``leaderless`` ones come first."""

    def __init__(self, batches: dict[int, list[bytes]]) -> None:
        self.batches = batches
        self.errors: dict[int, int] = {}
        self.leaderless: set[int] = set()
        self.starts: dict[int, int] = {}
        self.problem: Exception | None = None
        self.asked: list[dict[int, int]] = []
        self.pays_heed = False
        """Whether it answers no more than it is asked for, but for one batch."""
        self.answered: list[int] = []
        """The bytes of each answer."""
        self.version = 11
        self.ends: dict[int, int] = {}
        self._loop = asyncio.get_running_loop()
        self._metadata_max_age_ms = 10_000
        self.cluster = SimpleNamespace(
            leader_for_partition=self._leader, broker_metadata=lambda node: None, brokers=lambda: {NODE}
        )

    def _leader(self, tp: TopicPartition) -> int:
        return -1 if tp.partition in self.leaderless else NODE

    def force_metadata_update(self) -> "asyncio.Future[bool]":
        return asyncio.ensure_future(asyncio.sleep(0.01, True))

    async def send(self, node: int, request: Any) -> Any:
        await asyncio.sleep(0)
        ((topic, partitions),) = request.topics
        self.asked.append({number: offset for number, offset, _ in partitions})
        if self.problem is not None:
            raise self.problem
        answers = [self._answer(number, offset) for number, offset, _ in partitions]
        if self.pays_heed:
            answers = list(_within(request._max_bytes, answers))
        self.answered.append(sum(len(answer[-1]) for answer in answers))
        if not any(answer[-1] for answer in answers):
            await asyncio.sleep(0.01)  # a real one waits for data
        return SimpleNamespace(API_VERSION=self.version, topics=[(topic, answers)])

    def _answer(self, number: int, offset: int) -> tuple[Any, ...]:
        code, payload, end = self.errors.get(number, 0), b"", self.end(number)
        if not code and offset < self.starts.get(number, 0):
            code = 1
        if not code:
            payload = b"".join(batch for batch in self.batches.get(number, ()) if _next_offset(batch) > offset)
        head = (number, code, end, end)
        return (*head, [], payload) if self.version == 4 else (*head, self.starts.get(number, 0), [], -1, payload)

    def end(self, number: int) -> int:
        ends = [_next_offset(batch) for batch in self.batches.get(number, ())]
        return self.ends.get(number, max(ends, default=0))


def _within(max_bytes: int, answers: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """The answers, without records where these would be too much together."""
    size = 0
    for answer in answers:
        size += len(answer[-1])
        yield answer if size <= max_bytes or size == len(answer[-1]) else (*answer[:-1], b"")


def _next_offset(batch: bytes) -> int:
    (base,), (last,) = struct.unpack_from(">q", batch), struct.unpack_from(">i", batch, 23)
    return int(base) + max(int(last), 0) + 1


def consumer_on(broker: Broker, *numbers: int) -> LogConsumer:
    """A consumer of these partitions, sought to their beginning, whose fetcher asks the broker. To be closed."""
    subscriptions = SubscriptionState()
    subscriptions.subscribe({TOPIC})
    subscriptions.assign_from_subscribed({tp_of(n) for n in numbers})
    for n in numbers:
        subscriptions.seek(tp_of(n), 0)
    consumer: LogConsumer = LogConsumer.__new__(LogConsumer)
    consumer.waiting = Waiting()
    consumer._closed, consumer._subscription, consumer._client = True, subscriptions, broker
    consumer._fetcher = BatchFetcher(broker, subscriptions, isolation_level="read_committed", auto_offset_reset="none")
    consumer._closed = False
    return consumer


async def close(consumer: LogConsumer) -> None:
    consumer._closed = True
    await consumer._fetcher.close()
