"""Record batches sent to a real broker as the bytes that they are: producers' libraries refuse what Kafka does not."""

import asyncio

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest

TIMEOUT_MS = 10_000
ALL_REPLICAS = -1


def produce_raw(bootstrap: str, topic: str, partition: int, batch: bytes) -> int:
    """Send one batch to the partition's leader; returns Kafka's error code, 0 for none."""
    return asyncio.run(_produce(bootstrap, topic, partition, batch))


async def _produce(bootstrap: str, topic: str, partition: int, batch: bytes) -> int:
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    try:
        await client.bootstrap()
        await client.add_topic(topic)
        await client.force_metadata_update()
        leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        request = ProduceRequest(None, ALL_REPLICAS, TIMEOUT_MS, [(topic, [(partition, batch)])])
        response = await client.send(leader, request)
        ((_, ((_, code, *_),)),) = response.topics
        return int(code)
    finally:
        await client.close()
