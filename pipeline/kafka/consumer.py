"""Faust in batches: a transport that hands on one message per partition and fetch, whose value is the whole batch.

Agents, rebalancing and supervision stay Faust's; its cost per event is gone, and so is its commit bookkeeping (it can
commit past what is in flight). Three things are ours instead: where a partition starts (``seek_to_committed``), what is
handed on (``_fetch_records``), and what is committed (``commit_offsets``).

Reaches into private parts of faust-streaming and aiokafka, which is why the first is pinned exactly.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import aiokafka
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import ConsumerStoppedError, KafkaError, KafkaTimeoutError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata
from faust.serializers.schemas import Schema
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from pipeline import metrics
from pipeline.core.flush import Batch
from pipeline.core.ledger import Ledger
from pipeline.core.start import Offsets, Start
from pipeline.core.watermark import Idle
from pipeline.errors import LogGap, SinkUnavailable
from pipeline.kafka.fetching import NoReadOffsets, log_ends, read_offsets, unpack
from schemas.grain import MS_PER_SECOND

log = logging.getLogger(__name__)
T = TypeVar("T")

FETCH_WAIT_MS = 100
"""Longest wait of the broker for data: with more, one busy partition waits for its idle neighbours."""
PARTITION_FETCH_BYTES = 512 * 1024
METADATA_MAX_AGE_MS = 10_000
FORGOTTEN_SECONDS = 10.0
"""Partitions that are assigned and not read for so long are started again."""
FULL_POLL_SECONDS = 0.02
START_RETRY_SECONDS = 0.5
COMMIT_SECONDS = 5.0


@dataclass(slots=True)
class Hooks:
    """What the transport needs from the worker. ``start`` blocks and may raise SinkUnavailable; it runs in a thread."""

    topic: str
    session_timeout_seconds: float
    heartbeat_seconds: float
    buffer_bytes: int
    ledger: Ledger
    start: Callable[[Mapping[int, Offsets]], Mapping[int, Start]]
    is_blocked: Callable[[], bool]
    fatal: Callable[[BaseException], None]


class BatchSchema(Schema[Any, Any]):
    """Hands the batch on as it is: decoding is the flush's business."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Awaitable[Any]]:
        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return app.create_event(None, message.value, message.headers, message)

        return decode


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that talks to Kafka."""

    _starting: asyncio.Task[None] | None = None
    _at_odds_since: float | None = None

    @property
    def hooks(self) -> Hooks:
        return cast("BatchTransport", self.transport).hooks

    @property
    def kafka(self) -> aiokafka.AIOKafkaConsumer:
        return self._ensure_consumer()

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        hooks, conf = self.hooks, self.app.conf
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
            session_timeout_ms=int(hooks.session_timeout_seconds * MS_PER_SECOND),
            heartbeat_interval_ms=int(hooks.heartbeat_seconds * MS_PER_SECOND),
            rebalance_timeout_ms=int(hooks.session_timeout_seconds * MS_PER_SECOND),
            request_timeout_ms=int(max(hooks.session_timeout_seconds + 5, 15) * MS_PER_SECOND),
            **driver.credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        )

    def run(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run something on this thread's loop, from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self.thread_loop)

    # -- where a partition starts -------------------------------------------------------------------------------

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Called by Faust after every assignment: find the starting points, in the background and until it works.

        Nothing is read until then: what aiokafka has fetched is thrown away by the seek.
        """
        self.run(self._begin_starting())
        return {}

    async def _begin_starting(self) -> None:
        partitions = await self.assigned()
        self.hooks.ledger.stop(self.hooks.ledger.partitions)
        if self._starting is not None:
            self._starting.cancel()
        self._starting = asyncio.create_task(self._start_until_done(partitions))

    async def _start_until_done(self, partitions: frozenset[int]) -> None:
        while partitions:
            try:
                await self._start(partitions)
                return
            except (KafkaError, SinkUnavailable) as error:
                log.warning("cannot start reading yet: %s", error)
                await asyncio.sleep(START_RETRY_SECONDS)
            except Exception as error:
                self.hooks.fatal(error)
                return

    async def _start(self, partitions: frozenset[int]) -> None:
        offsets = await read_offsets(self.kafka, self.hooks.topic, partitions)
        starts = await asyncio.get_running_loop().run_in_executor(None, self.hooks.start, offsets)
        if await self.assigned() != partitions:
            return  # rebalanced meanwhile; a newer start is on its way
        for partition, start in starts.items():
            self.kafka.seek(TopicPartition(self.hooks.topic, partition), start.offset)
            self.hooks.ledger.begin(partition, start.offset, start.known_offset, time.monotonic())
        log.info("reading %s", {p: s.offset for p, s in sorted(starts.items())})

    async def start_forgotten(self) -> None:
        """Find starting points again where what is assigned is not what is being read, and nobody is at it.

        The framework says so after every assignment; should it ever not, these partitions would stand still.
        """
        now, assigned = time.monotonic(), await self.assigned()
        is_at_it = self._starting is not None and not self._starting.done()
        if is_at_it or assigned == self.hooks.ledger.partitions:
            self._at_odds_since = None
        elif self._at_odds_since is None:
            self._at_odds_since = now
        elif now - self._at_odds_since > FORGOTTEN_SECONDS:
            log.warning(
                "assigned %s, reading %s; starting again", sorted(assigned), sorted(self.hooks.ledger.partitions)
            )
            self._at_odds_since = None
            await self._begin_starting()

    async def assigned(self) -> frozenset[int]:
        """The partitions that the group has given to this consumer."""
        return frozenset(tp.partition for tp in self.kafka.assignment())

    async def restart(self, partition: int, offset: int) -> None:
        """Read a partition again from an offset: what was taken since did not arrive."""
        tp = TopicPartition(self.hooks.topic, partition)
        if tp in self.kafka.assignment() and partition in self.hooks.ledger.partitions:
            self.kafka.seek(tp, offset)
            known = self.hooks.ledger.known_offset(partition)
            self.hooks.ledger.begin(partition, offset, known, time.monotonic())

    # -- what is handed on --------------------------------------------------------------------------------------

    async def _fetch_records(
        self, consumer: Any, active_partitions: Any, timeout: float | None = None, max_records: int | None = None
    ) -> Any:
        """One batch per partition that has something, as {partition: [batch]}."""
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        deadline = time.monotonic() + (timeout or 0)
        with fetcher._subscriptions.fetch_context():
            while True:
                blocked = self._is_full() or self.hooks.is_blocked()
                batches = {} if blocked else self._poll(fetcher, active_partitions)
                remaining = deadline - time.monotonic()
                if batches or remaining <= 0 or not self.consumer.flow_active:
                    return batches
                with metrics.STAGE_SECONDS.labels("wait").time():
                    await self._wait_for_data(fetcher, blocked, remaining)

    def _poll(self, fetcher: Any, active_partitions: Any) -> dict[TopicPartition, list[Batch]]:
        with metrics.STAGE_SECONDS.labels("poll").time():
            return self._drain(fetcher, active_partitions)

    def _is_full(self) -> bool:
        return self.hooks.ledger.undurable_bytes >= self.hooks.buffer_bytes

    async def _wait_for_data(self, fetcher: Any, blocked: bool, remaining: float) -> None:
        if blocked or fetcher._subscriptions.reassignment_in_progress or not self.hooks.ledger.partitions:
            await asyncio.sleep(min(FULL_POLL_SECONDS, remaining))
            return
        waiter = fetcher._create_fetch_waiter()
        done, _ = await asyncio.wait([waiter], timeout=min(remaining, FETCH_WAIT_MS / MS_PER_SECOND))
        if done:
            waiter.result()  # raises what the fetcher could not recover from
            await asyncio.sleep(0)
        else:
            waiter.cancel()

    def _drain(self, fetcher: Any, active_partitions: Any) -> dict[TopicPartition, list[Batch]]:
        if fetcher._subscriptions.reassignment_in_progress:
            return {}
        readable = self.hooks.ledger.partitions
        batches: dict[TopicPartition, list[Batch]] = {}
        for tp in list(fetcher._records):
            if self._is_full():
                break
            if tp.partition in readable and tp in active_partitions:
                batch = self._take(fetcher, tp)
                if batch is not None:
                    batches[tp] = [batch]
        return batches

    def _take(self, fetcher: Any, tp: TopicPartition) -> Batch | None:
        """Everything fetched of a partition, as a batch. Runs without a pause, so that position and ledger agree."""
        result = fetcher._records[tp]
        if type(result) is not FetchResult:
            del fetcher._records[tp]
            fetcher._notify(fetcher._wait_consume_future)
            self._fetch_failed(tp, result)
            return None
        records, size = unpack(tp, result)
        if not result.has_more():
            del fetcher._records[tp]
            fetcher._notify(fetcher._wait_consume_future)
        if not records:
            return None
        next_offset = fetcher._subscriptions.subscription.assignment.state_value(tp).position
        return self.hooks.ledger.take(tp.partition, records, next_offset, size, time.monotonic())

    def _fetch_failed(self, tp: TopicPartition, failure: Any) -> None:
        try:
            failure.check_raise()
        except OffsetOutOfRangeError:
            sentence = (
                f"partition {tp.partition} of {tp.topic}: the next records to read were deleted from the log before "
                "they were read. `msgmetrics status` shows how far it came; start the worker with --accept-gap to "
                "record the loss and go on"
            )
            self.hooks.fatal(LogGap(sentence))
        except KafkaError as error:
            log.warning("fetching from partition %d failed: %r", tp.partition, error)

    # -- what is known of the log, and committed ----------------------------------------------------------------

    async def caught_up(self, clock_ms: Callable[[], int]) -> dict[int, Idle]:
        """Partitions of which everything that could be read a moment ago is durable.

        First the clock, then the log's ends, then the position: never a claim about a time nobody looked at.
        """
        now_ms = clock_ms()
        very_ends = await log_ends(self.kafka, self.hooks.topic, self.hooks.ledger.partitions, with_hidden=True)
        ends = very_ends
        if any((self.position_of(p) or 0) < end for p, end in very_ends.items()):
            ends = await self.log_ends()  # which open transactions may have stopped short
        idle = {}
        for partition, end in ends.items():
            position = self.position_of(partition)
            if position is not None and position >= end and self.hooks.ledger.is_settled(partition):
                idle[partition] = Idle(now_ms, position, hides=position < very_ends.get(partition, position + 1))
        return idle

    async def log_ends(self) -> dict[int, int]:
        """The last stable offset of every partition that is being read: up to there is something to read."""
        return await log_ends(self.kafka, self.hooks.topic, self.hooks.ledger.partitions, with_hidden=False)

    def position_of(self, partition: int) -> int | None:
        """The fetcher's position, past control records and aborted transactions; None while there is none."""
        tp = TopicPartition(self.hooks.topic, partition)
        subscription = self.kafka._subscription.subscription
        if subscription is None or subscription.assignment is None or tp not in subscription.assignment.tps:
            return None
        state = subscription.assignment.state_value(tp)
        return state.position if state.has_valid_position else None

    async def commit_offsets(self, offsets: Mapping[int, int]) -> dict[int, int] | None:
        """Commit next offsets of partitions that are still ours, and return those. None: not now. Raises KafkaError.

        One attempt, and none while the group is being joined: the broker takes up what is sent on a connection in
        order, so the commit would come after the join, under a generation that is no longer current, and aiokafka
        would take that answer for a reason to join again, without end.
        """
        coordinator, state = self.kafka._coordinator, self.kafka._subscription
        if state.reassignment_in_progress or coordinator.need_rejoin(state.subscription):
            return None
        assigned = await self.assigned()
        ours = {p: offset for p, offset in offsets.items() if p in assigned}
        wanted = {TopicPartition(self.hooks.topic, p): OffsetAndMetadata(o, "") for p, o in ours.items()}
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await coordinator._do_commit_offsets(state.subscription.assignment, wanted)
        except TimeoutError as error:
            raise KafkaTimeoutError(f"no answer to a commit within {COMMIT_SECONDS:g} s") from error
        return ours

    async def topic_partition_numbers(self) -> frozenset[int]:
        """All partitions in the topic's metadata, which is at most METADATA_MAX_AGE_MS old."""
        return frozenset(self.kafka._client.cluster.partitions_for_topic(self.hooks.topic) or ())


class BatchConsumer(driver.Consumer):
    """Faust's consumer, with batches as messages."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = NoReadOffsets()

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, record: Any) -> Any:
        batch: Batch = record
        return driver.ConsumerMessage(
            tp.topic, tp.partition, batch.next_offset - 1, None, None, None, None, batch, None, None, None, tp,
            generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    def highwater(self, tp: TP) -> int:
        """Only Faust's own monitor asks, per message; ours is ``log_ends``."""
        return 0


class BatchTransport(driver.Transport):
    """Faust's Kafka transport with our consumer. ``hooks`` must be set before the app starts."""

    Consumer = BatchConsumer
    hooks: Hooks
