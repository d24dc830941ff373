"""The topic is made by `migrate` alone: nothing else of ours may have a broker make it, and a worker waits for it.

A broker with ``auto.create.topics.enable``, which is Kafka's default, makes a topic that is missing when a client asks
for its metadata and does not forbid it. Such a topic has the broker's number of partitions, often one.
"""

from typing import Any

import aiokafka.admin.client
import aiokafka.client
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.protocol.metadata import MetadataRequest

from pipeline.kafka.client import connection
from schemas.settings import Settings


class TopicMissing(KafkaError):
    """The topic does not exist. Like a broker that refuses: tried again until it works."""


class MetadataRequestWithoutCreation(MetadataRequest):
    """aiokafka's question for metadata, which allows the creation of topics unless told otherwise; nobody tells it."""

    def __init__(self, topics: list[str] | None = None, allow_auto_topic_creation: bool = False) -> None:
        super().__init__(topics, allow_auto_topic_creation)


def never_create_topics() -> None:
    """Have all aiokafka clients of this process, Faust's too, ask for metadata without the creation of topics."""
    modules: tuple[Any, ...] = aiokafka.client, aiokafka.admin.client
    for module in modules:
        module.MetadataRequest = MetadataRequestWithoutCreation


async def require_topic(settings: Settings) -> None:
    """Return where the topic exists. Raises TopicMissing or another KafkaError."""
    never_create_topics()
    admin = AIOKafkaAdminClient(**connection(settings))
    await admin.start()
    try:
        (found,) = await admin.describe_topics([settings.kafka_topic])
    finally:
        await admin.close()
    if found["error_code"] == UnknownTopicOrPartitionError.errno:
        raise TopicMissing(f"the topic {settings.kafka_topic} does not exist; run `msgmetrics migrate`")
