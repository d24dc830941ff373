"""From aiokafka's fetches to batches: as many records as there are, without its cost and Faust's for each record."""

import asyncio
import logging
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import Fetcher, FetchError, FetchResult
from aiokafka.errors import ConsumerStoppedError, KafkaError, OffsetOutOfRangeError

from pipeline import metrics
from pipeline.core.flush import Batch
from pipeline.core.ledger import Ledger
from pipeline.core.place import Place
from pipeline.errors import LogGap
from schemas.grain import MS_PER_SECOND

log = logging.getLogger(__name__)

FETCH_WAIT_MS = 100
"""Longest wait of the broker for data: with more, one busy partition waits for its idle neighbours."""
PAUSED_SECONDS = 0.02
"""Between looks at whether fetching may go on."""
MAX_RECORDS_A_BATCH = 20_000
MAX_BYTES_A_BATCH = 4 * 1024 * 1024
"""A batch ends with the record that crosses this: 20,000 records of 64 KiB would be more than a gigabyte."""
RECORD_OVERHEAD_BYTES = 100
"""Memory that a record takes beside its value, at least: a flood of empty ones must fill the buffer too."""


@dataclass(slots=True)
class Fetching:
    """Hands on what aiokafka has fetched, within the limits of the buffer. ``monotonic`` gives seconds."""

    ledger: Ledger
    buffer_bytes: int
    is_blocked: Callable[[], bool]
    fatal: Callable[[BaseException], None]
    monotonic: Callable[[], float]

    async def fetch(
        self,
        consumer: AIOKafkaConsumer,
        active: Container[TopicPartition],
        timeout_seconds: float,
        is_flowing: Callable[[], bool],
    ) -> dict[TopicPartition, list[Batch]]:
        """One batch per partition that has something, as {partition: [batch]}; empty when the time is over."""
        if not is_flowing():
            return {}
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        deadline = self.monotonic() + timeout_seconds
        with fetcher._subscriptions.fetch_context():
            while True:
                must_pause = self._is_full() or self.is_blocked()
                batches: dict[TopicPartition, list[Batch]] = {}
                if not must_pause:
                    with metrics.STAGE_SECONDS.labels("poll").time():
                        batches = self.drain(fetcher, active)
                remaining = deadline - self.monotonic()
                if batches or remaining <= 0 or not is_flowing():
                    return batches
                with metrics.STAGE_SECONDS.labels("wait").time():
                    await self._wait_for_data(fetcher, must_pause, remaining)

    def drain(self, fetcher: Fetcher, active: Container[TopicPartition]) -> dict[TopicPartition, list[Batch]]:
        """Take a batch of every partition that is being read, until the buffer is full."""
        batches: dict[TopicPartition, list[Batch]] = {}
        if fetcher._subscriptions.reassignment_in_progress:
            return batches
        readable = self.ledger.partitions
        for tp in list(fetcher._records):
            if self._is_full():
                break
            if tp in readable and tp in active and (batch := self._take(fetcher, tp)) is not None:
                batches[tp] = [batch]
        return batches

    def _is_full(self) -> bool:
        return self.ledger.undurable_bytes >= self.buffer_bytes

    def _take(self, fetcher: Fetcher, tp: TopicPartition) -> Batch | None:
        """Everything fetched of a partition, as a batch. Runs without a pause, so that position and ledger agree."""
        fetched = fetcher._records[tp]
        if type(fetched) is not FetchResult:
            _remove(fetcher, tp)
            self._fetch_failed(tp, fetched)
            return None
        records, size_bytes = unpack(tp, fetched)
        if not fetched.has_more():
            _remove(fetcher, tp)
        if not records:
            return None
        next_offset = fetcher._subscriptions.subscription.assignment.state_value(tp).position
        # No await between `unpack`, which moves the position, and here: a seek in between would begin another reading.
        return self.ledger.take(Place(*tp), records, next_offset, size_bytes, self.monotonic())

    def _fetch_failed(self, tp: TopicPartition, failure: FetchError) -> None:
        try:
            failure.check_raise()
        except OffsetOutOfRangeError:
            sentence = (
                f"partition {tp.partition} of {tp.topic}: the next records to read were deleted from the log before "
                "they were read. `msgmetrics status` shows how far it came; start the worker with --accept-gap to "
                "record the loss and go on"
            )
            self.fatal(LogGap(sentence))
        except KafkaError as error:
            log.warning("fetching from partition %d failed: %r", tp.partition, error)

    async def _wait_for_data(self, fetcher: Fetcher, must_pause: bool, seconds: float) -> None:
        """Wait until something was fetched, not longer than the broker waits. Raises KafkaError."""
        if must_pause or fetcher._subscriptions.reassignment_in_progress or not self.ledger.partitions:
            await asyncio.sleep(min(PAUSED_SECONDS, seconds))
            return
        waiter = fetcher._create_fetch_waiter()
        done, _ = await asyncio.wait([waiter], timeout=min(seconds, FETCH_WAIT_MS / MS_PER_SECOND))
        if done:
            waiter.result()  # raises what the fetcher could not recover from
            await asyncio.sleep(0)
        else:
            waiter.cancel()


def _remove(fetcher: Fetcher, tp: TopicPartition) -> None:
    """Make room for the next fetch of a partition, and wake up the fetcher to send it."""
    del fetcher._records[tp]
    fetcher._notify(fetcher._wait_consume_future)


def unpack(tp: TopicPartition, fetched: FetchResult) -> tuple[list[Any], int]:
    """The next records of a fetch, bounded by number and bytes, and their size; the position moves behind them."""
    records: list[Any] = []
    size_bytes = 0
    if not fetched.check_assignment(tp) or not fetched.has_more():
        return records, size_bytes
    fetched._partition_records._consumer_record = _raw_record
    for record in fetched._partition_records:  # hot: once per event
        records.append(record)
        size_bytes += len(record.value or b"") + RECORD_OVERHEAD_BYTES
        if len(records) >= MAX_RECORDS_A_BATCH or size_bytes >= MAX_BYTES_A_BATCH:
            fetched._update_position()
            return records, size_bytes
    fetched._update_position()
    fetched._partition_records = None
    return records, size_bytes


def _raw_record(tp: TopicPartition, record: Any) -> Any:
    """Replaces aiokafka's way to build a ConsumerRecord for each event: its own record has all we need."""
    return record
