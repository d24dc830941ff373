"""What Faust is given, without Kafka."""

import asyncio
from typing import Any

import aiokafka.client
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.protocol.metadata import MetadataRequest

from pipeline.core.broker_clocks import BrokerClocks
from pipeline.core.ledger import Ledger
from pipeline.core.waiting import Waiting
from pipeline.kafka.consumer import BatchConsumerThread, Hooks
from pipeline.kafka.faust_app import App, NoReadOffsets, build_app
from pipeline.kafka.fetcher import BatchFetcher
from pipeline.kafka.topics import MetadataRequestWithoutCreation
from schemas.settings import read_settings

TP = TopicPartition("message-events", 0)


def test_the_framework_remembers_no_offset_to_drop_messages_by() -> None:
    offsets = NoReadOffsets()
    offsets[TP] = 100
    assert offsets[TP] is None
    offsets.update({TP: None})
    assert offsets[TP] is None


def hooks() -> Hooks:
    """What a worker would give, with nothing behind it."""
    return Hooks(
        buffer_bytes=1 << 20,
        ledger=Ledger(),
        waiting=Waiting(),
        broker_clocks=BrokerClocks(),
        now=lambda: None,
        start=lambda _: {},
        read_gaps=dict,
        schemas=None,
        is_blocked=lambda: False,
        fatal=print,
    )


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> App:
    monkeypatch.setattr(aiokafka.client, "MetadataRequest", MetadataRequest)

    async def consume(stream: Any) -> None: ...

    return build_app(read_settings({}), hooks(), consume)


def test_the_thread_that_talks_to_kafka_is_known_before_the_app_starts_and_makes_no_topic(app: App) -> None:
    async def run() -> None:
        thread = app.kafka_thread
        assert isinstance(thread, BatchConsumerThread)
        assert app.consumer.thread is thread is app.kafka_thread, "it is made once"
        ledger = thread.hooks.ledger
        assert thread.fetching.ledger is thread.starting.ledger is ledger
        assert aiokafka.client.MetadataRequest is MetadataRequestWithoutCreation
        thread.thread_loop.close()

    asyncio.run(run())


def test_its_fetcher_looks_at_the_clocks_that_the_worker_tells_of(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(consumer: AIOKafkaConsumer) -> None:
        """Without a broker: what it would have made by then is replaced anyway."""
        consumer._fetcher = BatchFetcher(consumer._client, consumer._subscription)

    monkeypatch.setattr(AIOKafkaConsumer, "start", start)

    async def run() -> None:
        thread = app.kafka_thread
        consumer = thread._create_worker_consumer(thread.transport)
        await consumer.start()
        ours, fetcher = thread.hooks, consumer._fetcher
        assert fetcher.broker_clocks is ours.broker_clocks
        assert fetcher.now is ours.now
        await fetcher.close()
        consumer._closed = True
        thread.thread_loop.close()

    asyncio.run(run())
