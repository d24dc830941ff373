"""Produces records whose headers have names that are no UTF-8: Kafka takes any bytes, its Python clients do not."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, LeaderNotAvailableError, RequestTimedOutError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c, encode_varint

from pipeline.core.place import Place
from pipeline.kafka.batches import FORMAT
from pipeline.kafka.client import connection
from pipeline.kafka.topics import never_create_topics
from schemas.settings import Settings

ALL_REPLICAS = -1
ANSWER_MS = 30_000
_COVERED = struct.Struct(">hiqqqhii")
_BEFORE = struct.Struct(">qiibI")
_LENGTH_COVERS = 9
"""Bytes between a batch's length and what its checksum covers."""


class RawRecord(NamedTuple):
    """A record to produce into a partition, or into another one of its topic where there is no such partition.

    ``timestamp`` is epoch milliseconds.
    """

    place: Place
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[bytes, bytes | None]]


def is_plain(headers: Sequence[tuple[bytes, bytes | None]]) -> bool:
    """Whether all names are UTF-8, so that any client can send them."""
    try:
        for name, _ in headers:
            name.decode()
    except UnicodeDecodeError:
        return False
    return True


async def produce_raw(settings: Settings, records: Sequence[RawRecord]) -> list[int]:
    """Send records one by one; returns Kafka's error code for each, 0 for none. Raises KafkaError before the first."""
    never_create_topics()
    client = AIOKafkaClient(**connection(settings), request_timeout_ms=ANSWER_MS)
    try:
        await client.bootstrap()
        for topic in sorted({record.place.topic for record in records}):
            await client.add_topic(topic)
        await client.force_metadata_update()
        return [await _produce(client, record) for record in records]
    finally:
        await client.close()


async def _produce(client: AIOKafkaClient, record: RawRecord) -> int:
    place = _existing(client, record.place)
    leader = client.cluster.leader_for_partition(TopicPartition(*place))
    if leader in (None, -1):
        return int(LeaderNotAvailableError.errno)
    topics = [(place.topic, [(place.number, batch_of(record))])]
    try:
        response = await client.send(leader, ProduceRequest(None, ALL_REPLICAS, ANSWER_MS, topics))
    except KafkaError:  # it may have arrived all the same
        return int(RequestTimedOutError.errno)
    ((_, ((_, code, *_),)),) = response.topics
    return int(code)


def _existing(client: AIOKafkaClient, place: Place) -> Place:
    """The partition, or another one of its topic that exists."""
    numbers = sorted(client.cluster.partitions_for_topic(place.topic) or ())
    if not numbers or place.number in numbers:
        return place
    return Place(place.topic, numbers[place.number % len(numbers)])


def batch_of(record: RawRecord) -> bytes:
    """A batch of one record, uncompressed, in the format since Kafka 0.11."""
    content = bytearray(b"\0\0\0") + _nullable(record.key) + _nullable(record.value) + _varint(len(record.headers))
    for name, value in record.headers:
        content += _nullable(name) + _nullable(value)
    header = _COVERED.pack(0, 0, record.timestamp, record.timestamp, -1, -1, -1, 1)
    covered = header + _varint(len(content)) + bytes(content)
    return _BEFORE.pack(0, _LENGTH_COVERS + len(covered), -1, FORMAT, calc_crc32c(covered)) + covered


def _nullable(value: bytes | None) -> bytes:
    return _varint(-1) if value is None else _varint(len(value)) + value


def _varint(number: int) -> bytes:
    found = bytearray()
    encode_varint(number, found.append)
    return bytes(found)
