"""From fetches to batches: as many records as there are, without aiokafka's cost and Faust's for each record."""

import asyncio
import logging
from collections.abc import Callable, Container
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.errors import ConsumerStoppedError, OffsetOutOfRangeError

from pipeline import metrics
from pipeline.core.envelope.frames import Schemas
from pipeline.core.flush import Batch
from pipeline.core.ledger import Ledger
from pipeline.core.place import Place
from pipeline.core.start import behind_gaps
from pipeline.core.waiting import Cause, Waiting
from pipeline.kafka.accepted import Accepted
from pipeline.kafka.batches import BatchRefused
from pipeline.kafka.causes import NO_LEADER, OUT_OF_RANGE, bad_batch, note_wait
from pipeline.kafka.fetcher import BatchFetcher, Failed, Fetched, Pausing, Recovered
from pipeline.kafka.framed import Lacking, readable, still_missing
from pipeline.kafka.log_consumer import MAX_BYTES_A_TAKE, LogConsumer
from pipeline.kafka.offsets import assigned, has_leader, position_of
from schemas.grain import MS_PER_SECOND

log = logging.getLogger(__name__)

FETCH_WAIT_MS = 100
"""Longest wait of the broker for data: with more, one busy partition waits for its idle neighbours."""
PAUSED_SECONDS = 0.02
"""Between looks at whether fetching may go on."""
MAX_RECORDS_A_BATCH = 20_000
RECORD_OVERHEAD_BYTES = 100
"""Memory that a record takes beside its content, at least: a flood of empty ones must fill the buffer too."""


@dataclass(slots=True)
class Fetching:
    """Hands on what was fetched, within the limits of the buffer. ``monotonic`` gives seconds.

    ``begin_again`` starts a partition anew: what was to be read is no longer in its log.
    """

    ledger: Ledger
    buffer_bytes: int
    is_blocked: Callable[[], bool]
    waiting: Waiting
    accepted: Accepted
    begin_again: Callable[[Place], None]
    monotonic: Callable[[], float]
    schemas: Schemas | None = None

    async def fetch(
        self,
        consumer: LogConsumer,
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
                        batches = self.drain(consumer, active)
                remaining = deadline - self.monotonic()
                if batches or remaining <= 0 or not is_flowing():
                    return batches
                with metrics.STAGE_SECONDS.labels("wait").time():
                    await self._wait_for_data(fetcher, must_pause, remaining)

    def drain(self, consumer: LogConsumer, active: Container[TopicPartition]) -> dict[TopicPartition, list[Batch]]:
        """Take a batch of every partition that is being read, until the buffer is full."""
        batches: dict[TopicPartition, list[Batch]] = {}
        if consumer._fetcher._subscriptions.reassignment_in_progress:
            return batches
        readable = self.ledger.partitions
        for tp in list(consumer.kept()):
            if self._is_full():
                break
            if tp not in readable or tp not in active or position_of(consumer, Place(*tp)) is None:
                continue  # without a position: assigned anew, or no more, a moment ago
            if _must_stay_packed(consumer, tp, readable):
                continue
            if (batch := self._take(consumer, tp)) is not None:
                batches[tp] = [batch]
        return batches

    def _is_full(self) -> bool:
        return self.ledger.undurable_bytes >= self.buffer_bytes

    def _take(self, consumer: LogConsumer, tp: TopicPartition) -> Batch | None:
        """Everything fetched of a partition, as a batch. Runs without a pause, so that position and ledger agree."""
        match consumer.kept()[tp]:
            case Fetched() as fetched if not fetched.is_stale:
                return self._taken(consumer, tp, fetched)
            case Failed() as failed:
                self._failed(consumer, tp, failed)
            case Pausing(retry_at) if self.monotonic() < retry_at:
                pass
            case Recovered():
                self.waiting.over(Place(*tp))
                consumer.drop(tp)
            case Lacking(offset) as lacking if offset == consumer.kept_position(tp):
                self._lacks(consumer, tp, lacking)
            case _:  # stale, or to be tried again
                consumer.drop(tp)
        return None

    def _taken(self, consumer: LogConsumer, tp: TopicPartition, fetched: Fetched) -> Batch | None:
        place = Place(*tp)
        found = fetched.take(MAX_RECORDS_A_BATCH, MAX_BYTES_A_TAKE)
        taken, readers, lacking = readable(found, self.schemas)
        # No await between this and the end: a seek in between would begin another reading.
        if lacking is None and fetched.is_done:
            consumer.drop(tp)
        elif found.next_offset == found.start and fetched.refused is not None:
            self._refused(consumer, tp, fetched.position, fetched.refused)
            return None
        self.waiting.over(place)
        if lacking is not None:
            consumer.move_to(tp, lacking.offset)
            self._lacks(consumer, tp, lacking)
        if not taken.number:
            return None
        size_bytes = taken.size_bytes + RECORD_OVERHEAD_BYTES * taken.number
        now = self.monotonic()
        return self.ledger.take(
            place, taken.records, taken.next_offset, size_bytes, now, taken.unreadable, readers=readers
        )

    def _lacks(self, consumer: LogConsumer, tp: TopicPartition, lacking: Lacking) -> None:
        """A schema cannot be had: its partition alone waits, and goes on at once when it can."""
        place = Place(*tp)
        cause = still_missing(self.schemas, lacking.key)
        if cause is None:
            consumer.drop(tp)
            return
        consumer.keep(tp, lacking)
        if self.waiting.is_due(place, self.monotonic()):
            note_wait(self.waiting, place, lacking.offset, cause, self.monotonic())

    def _failed(self, consumer: LogConsumer, tp: TopicPartition, failed: Failed) -> None:
        """A fetch failed: try again later, unless what was to be read is gone."""
        place = Place(*tp)
        if failed.error is OffsetOutOfRangeError:
            self.waiting.note(place, consumer.kept_position(tp), OUT_OF_RANGE, self.monotonic())  # not without a pause
            consumer.drop(tp)
            self.begin_again(place)
            return
        self._wait(consumer, tp, consumer.kept_position(tp), failed.cause)

    def _refused(self, consumer: LogConsumer, tp: TopicPartition, position: int, refused: BatchRefused) -> None:
        """A batch cannot be read: wait for somebody to heal it, or to accept its loss."""
        place = Place(*tp)
        behind = behind_gaps(position, self.accepted.gaps(place))
        if behind > position:
            log.warning("partition %s: skipping offsets %d to %d, as accepted", place, position, behind - 1)
            consumer.move_to(tp, behind)
            consumer.drop(tp)
            return
        self._wait(consumer, tp, position, bad_batch(place, position, refused))
        self.accepted.refresh()

    def note_leaders(self, consumer: LogConsumer) -> None:
        """Note which partitions that are read have no leader: they are not even asked for. Forget those of others."""
        ours = assigned(consumer)
        self.waiting.only(ours)
        for place in self.ledger.partitions & ours:
            tp = TopicPartition(*place)
            if not has_leader(consumer, tp):
                self.waiting.note(place, position_of(consumer, place), NO_LEADER, self.monotonic())
                consumer.tell_when_answered(tp)

    def _wait(self, consumer: LogConsumer, tp: TopicPartition, position: int, cause: Cause) -> None:
        wait = note_wait(self.waiting, Place(*tp), position, cause, self.monotonic())
        consumer.pause_until(tp, wait.retry_at)

    async def _wait_for_data(self, fetcher: BatchFetcher, must_pause: bool, seconds: float) -> None:
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


def _must_stay_packed(consumer: LogConsumer, tp: TopicPartition, readable: Container[Place]) -> bool:
    """Whether an answer has to wait: one batch of very many records, of a partition that is read, is enough."""
    kept = consumer.kept()
    if not isinstance(kept[tp], Fetched) or kept[tp].is_open:
        return False
    others = (x for other, x in kept.items() if isinstance(x, Fetched) and Place(*other) in readable)
    return any(x.is_within_a_batch and not x.is_stale for x in others)
