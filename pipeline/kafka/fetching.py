"""What Kafka has of a partition: its offsets, and what has been fetched, without what aiokafka and Faust would do to it
record by record."""

import copy
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import aiokafka
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult

from pipeline.core.start import Offsets

OFFSETS_TIMEOUT_MS = 5_000

MAX_RECORDS_A_BATCH = 20_000
MAX_BYTES_A_BATCH = 4 * 1024 * 1024
"""A batch ends with the record that crosses this: 20,000 records of 64 KiB would be more than a gigabyte."""
RECORD_OVERHEAD_BYTES = 100
"""What a record costs in memory beside its value at least: a flood of empty ones must fill the buffer too."""


async def read_offsets(
    consumer: aiokafka.AIOKafkaConsumer, topic: str, partitions: Iterable[int]
) -> dict[int, Offsets]:
    """Ask Kafka for what is needed to choose starting points. Raises KafkaError."""
    tps = [TopicPartition(topic, p) for p in sorted(partitions)]
    first = await consumer._fetcher.beginning_offsets(tps, OFFSETS_TIMEOUT_MS)
    last = await consumer._fetcher.end_offsets(tps, OFFSETS_TIMEOUT_MS)
    committed = await consumer._coordinator.fetch_committed_offsets(tps)
    return {tp.partition: Offsets(committed[tp].offset if tp in committed else None, first[tp], last[tp]) for tp in tps}


async def log_ends(
    consumer: aiokafka.AIOKafkaConsumer, topic: str, partitions: Iterable[int], *, with_hidden: bool
) -> dict[int, int]:
    """Where the log of each partition ends for readers, or with what open transactions hide. Raises KafkaError."""
    tps, fetcher = [TopicPartition(topic, p) for p in sorted(partitions)], consumer._fetcher
    if with_hidden:
        fetcher = copy.copy(fetcher)  # it asks for the end that its own isolation level sees
        fetcher._isolation_level = READ_UNCOMMITTED
    ends = await fetcher.end_offsets(tps, OFFSETS_TIMEOUT_MS) if tps else {}
    return {tp.partition: offset for tp, offset in ends.items()}


def _raw_record(tp: TopicPartition, record: Any) -> Any:
    """Instead of building a ConsumerRecord for each event: aiokafka's own record has all we need."""
    return record


def unpack(tp: TopicPartition, result: FetchResult) -> tuple[list[Any], int]:
    """The next records of a fetch, bounded by number and bytes, and their size; the position moves behind them."""
    records: list[Any] = []
    size = 0
    if not result.check_assignment(tp) or not result.has_more():
        return records, size
    result._partition_records._consumer_record = _raw_record
    for record in result._partition_records:
        records.append(record)
        size += len(record.value or b"") + RECORD_OVERHEAD_BYTES
        if len(records) >= MAX_RECORDS_A_BATCH or size >= MAX_BYTES_A_BATCH:
            result._update_position()
            return records, size
    result._update_position()
    result._partition_records = None
    return records, size


class NoReadOffsets(defaultdict[Any, None]):
    """Where Faust remembers the highest offset it has handed on, to drop what is below it. It must not.

    A message of a reading that a rebalance has ended may leave its offset here, and the next reading, which begins
    below it, would be dropped in silence. What is stale is the ledger's to tell.
    """

    def __init__(self) -> None:
        super().__init__(lambda: None)

    def __setitem__(self, tp: Any, offset: int | None) -> None:
        """Forget it."""
