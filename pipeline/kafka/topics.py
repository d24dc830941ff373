"""Topics that exist. They are made by `migrate` alone: nothing else of ours may have a broker make one.

A broker with ``auto.create.topics.enable``, which is Kafka's default, makes a topic that is missing when a client asks
for its metadata and does not forbid it. Such a topic has the broker's number of partitions, often one.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import aiokafka.admin.client
import aiokafka.client
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.protocol.metadata import MetadataRequest

from pipeline.core.place import Place
from pipeline.kafka.client import connection
from pipeline.kafka.log_consumer import LogConsumer
from schemas.settings import Settings

METADATA_SECONDS = 5.0


class TopicMissing(KafkaError):
    """None of the topics exists. Like a broker that refuses: tried again until it works."""


class MetadataRequestWithoutCreation(MetadataRequest):
    """aiokafka's question for metadata, which allows the creation of topics unless told otherwise; nobody tells it."""

    def __init__(self, topics: list[str] | None = None, allow_auto_topic_creation: bool = False) -> None:
        super().__init__(topics, allow_auto_topic_creation)


def never_create_topics() -> None:
    """Have all aiokafka clients of this process, Faust's too, ask for metadata without the creation of topics."""
    modules: tuple[Any, ...] = aiokafka.client, aiokafka.admin.client
    for module in modules:
        module.MetadataRequest = MetadataRequestWithoutCreation


async def existing(consumer: LogConsumer, topics: Iterable[str]) -> dict[str, frozenset[Place]]:
    """The partitions of each topic by the metadata, which are ten seconds old at the most; none where it is missing.

    That may be for any error: one that was deleted cannot be told from one that is away for a moment. Topics that were
    not asked for yet are waited for.
    """
    wanted = sorted(topics)
    if asked := consumer.ask_for(wanted):
        await asyncio.wait([asked], timeout=METADATA_SECONDS)
    cluster = consumer._client.cluster
    return {
        topic: frozenset(Place(topic, number) for number in cluster.partitions_for_topic(topic) or ())
        for topic in wanted
    }


async def require_topics(settings: Settings) -> None:
    """Return where one of the topics exists: the others are waited for beside it. Raises TopicMissing or KafkaError."""
    never_create_topics()
    admin = AIOKafkaAdminClient(**connection(settings))
    await admin.start()
    try:
        found = await admin.describe_topics(list(settings.topics))
    finally:
        await admin.close()
    if all(topic["error_code"] == UnknownTopicOrPartitionError.errno for topic in found):
        raise TopicMissing(missing_topics(settings.topics))


def missing_topics(topics: Sequence[str]) -> str:
    """The sentence on topics that do not exist."""
    if len(topics) == 1:
        return f"the topic {topics[0]} does not exist; run `msgmetrics migrate`"
    return f"the topics {', '.join(topics)} do not exist; make them, or have `msgmetrics migrate --create` make them"
