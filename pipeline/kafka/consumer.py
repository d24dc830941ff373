"""The thread that talks to Kafka: Faust's, with three things of our own.

Where a partition starts (``starting``), what is handed on (``fetching``) and what is committed (``offsets``). Agents,
rebalancing and supervision stay Faust's; its cost per event is gone, and so is its commit bookkeeping, which can commit
past what is in flight. A test names every private member of Faust and aiokafka that is touched here.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from pipeline.core.broker_clocks import BrokerClocks
from pipeline.core.clocks import Moment
from pipeline.core.envelope.frames import Schemas
from pipeline.core.ledger import Ledger
from pipeline.core.place import Place
from pipeline.core.start import Gap, Offsets, Start
from pipeline.core.waiting import Waiting
from pipeline.kafka.accepted import Accepted, Gaps
from pipeline.kafka.fetching import FETCH_WAIT_MS, Fetching
from pipeline.kafka.log_consumer import LogConsumer
from pipeline.kafka.starting import Starting
from schemas.grain import MS_PER_SECOND
from schemas.limits import PARTITION_FETCH_BYTES

T = TypeVar("T")

METADATA_MAX_AGE_MS = 10_000
"""A new partition of the topic is known after at most this time."""


@dataclass(slots=True)
class Hooks:
    """The transport's view of the worker. ``start`` and ``read_gaps`` block, in a thread; may raise SinkUnavailable.

    ``now`` is None while this machine's clock is in doubt.
    """

    buffer_bytes: int
    ledger: Ledger
    waiting: Waiting
    broker_clocks: BrokerClocks
    now: Callable[[], Moment | None]
    start: Callable[[Mapping[Place, Offsets]], Mapping[Place, Start | Gap]]
    read_gaps: Callable[[], Gaps]
    schemas: Schemas | None
    is_blocked: Callable[[], bool]
    fatal: Callable[[BaseException], None]


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """Owns the consumer: everything that touches it runs on this thread's loop."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hooks: Hooks = self.transport.hooks
        h = self.hooks
        self.starting = Starting(h.ledger, h.waiting, h.start, h.fatal, time.monotonic)
        self.fetching = Fetching(
            h.ledger,
            h.buffer_bytes,
            h.is_blocked,
            h.waiting,
            Accepted(h.read_gaps),
            self._begin_again,
            time.monotonic,
            h.schemas,
        )

    @property
    def kafka(self) -> LogConsumer:
        """The consumer, which exists once the thread has started."""
        consumer: LogConsumer = self._ensure_consumer()
        return consumer

    def _begin_again(self, place: Place) -> None:
        self.fetching.accepted.forget()
        self.starting.begin_one(self.kafka, place)

    def run(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run something on this thread's loop, from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self.thread_loop)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Called by Faust after every assignment, on its own loop. The seeks follow from the background."""
        self.thread_loop.call_soon_threadsafe(self._begin)
        return {}

    def _begin(self) -> None:
        self.fetching.accepted.forget()
        self.starting.begin(self.kafka)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Called by Faust now and then, to log partitions that it takes for slow: the worker's health knows better."""

    async def _fetch_records(
        self, consumer: Any, active_partitions: Any, timeout: float | None = None, max_records: int | None = None
    ) -> Any:
        """Called by Faust on this thread's loop, again and again; its limit of records is not ours."""
        return await self.fetching.fetch(
            consumer, active_partitions, timeout or 0.0, lambda: bool(self.consumer.flow_active)
        )

    def _create_worker_consumer(self, transport: Any) -> LogConsumer:
        hooks, conf = self.hooks, self.app.conf
        consumer = LogConsumer(
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
            session_timeout_ms=int(conf.broker_session_timeout * MS_PER_SECOND),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * MS_PER_SECOND),
            rebalance_timeout_ms=int(conf.broker_session_timeout * MS_PER_SECOND),
            request_timeout_ms=int(conf.broker_request_timeout * MS_PER_SECOND),
            **driver.credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        )
        consumer.broker_clocks, consumer.now = hooks.broker_clocks, hooks.now
        return consumer
