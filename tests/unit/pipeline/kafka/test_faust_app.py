"""What Faust is given, without Kafka."""

import asyncio
from typing import Any

import aiokafka.client
import pytest
from aiokafka import TopicPartition
from aiokafka.protocol.metadata import MetadataRequest

from pipeline.core.ledger import Ledger
from pipeline.core.waiting import Waiting
from pipeline.kafka.consumer import BatchConsumerThread, Hooks
from pipeline.kafka.faust_app import NoReadOffsets, build_app
from pipeline.kafka.topics import MetadataRequestWithoutCreation
from schemas.settings import read_settings

TP = TopicPartition("message-events", 0)


def test_the_framework_remembers_no_offset_to_drop_messages_by() -> None:
    offsets = NoReadOffsets()
    offsets[TP] = 100
    assert offsets[TP] is None
    offsets.update({TP: None})
    assert offsets[TP] is None


def test_the_thread_that_talks_to_kafka_is_known_before_the_app_starts_and_makes_no_topic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aiokafka.client, "MetadataRequest", MetadataRequest)

    async def consume(stream: Any) -> None: ...

    async def run() -> None:
        settings = read_settings({})
        hooks = Hooks(
            settings.kafka_topic, 10.0, 3.0, 1 << 20, Ledger(), Waiting(), lambda _: {}, dict, lambda: False, print
        )
        app = build_app(settings, hooks, consume)
        thread = app.kafka_thread
        assert isinstance(thread, BatchConsumerThread)
        assert app.consumer.thread is thread is app.kafka_thread, "it is made once"
        assert (thread.hooks, thread.fetching.ledger, thread.starting.ledger) == (hooks, hooks.ledger, hooks.ledger)
        assert aiokafka.client.MetadataRequest is MetadataRequestWithoutCreation
        thread.thread_loop.close()

    asyncio.run(run())
