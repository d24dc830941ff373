"""The worker: composes Faust, the lanes and ClickHouse, runs until told to stop, and leaves in order."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import faust
from aiokafka.errors import KafkaError
from yarl import URL

from pipeline import metrics
from pipeline.admin import AdminServer, admin_app
from pipeline.core.chunk import Rules
from pipeline.core.flush import FlushPolicy
from pipeline.core.ledger import Ledger
from pipeline.core.start import Gap, Start, Stored, choose_start
from pipeline.driver import Retrying
from pipeline.errors import EXIT_UNREACHABLE, LogGap, SinkUnavailable, Stop, WrongClock
from pipeline.health import Health
from pipeline.kafka_client import credentials, read_cluster_id
from pipeline.lane import Lanes
from pipeline.store import Store
from pipeline.transport import BatchConsumerThread, BatchSchema, BatchTransport, Hooks, Idle, Offsets
from schemas.grain import MS_PER_SECOND
from schemas.settings import WORKER_ADMIN_PORT, Settings

log = logging.getLogger(__name__)

MAX_CLOCK_SKEW_MS = 1000
LEAVE_SECONDS = 8.0
"""After this the process ends as it stands; what is uncommitted will be delivered again."""
CONNECT_RETRY_SECONDS = 1.0
WATCH_SECONDS = 0.5


def wall_clock_ms() -> int:
    """The wall clock in epoch milliseconds, for event rules."""
    return time.time_ns() // 1_000_000


class KafkaLog:
    """What the lanes need of Kafka, run on the thread that owns the consumer."""

    def __init__(self, app: faust.App, clock_ms: Callable[[], int]) -> None:
        self._app, self._clock_ms = app, clock_ms

    @property
    def _thread(self) -> BatchConsumerThread:
        return self._app.consumer._thread  # type: ignore[no-any-return]

    async def _run(self, work: Coroutine[Any, Any, Any], otherwise: Any) -> Any:
        try:
            return await asyncio.wrap_future(self._thread.run(work))
        except KafkaError as error:
            log.warning("Kafka does not answer: %r", error)
            return otherwise

    async def caught_up(self) -> dict[int, Idle]:
        return await self._run(self._thread.caught_up(self._clock_ms), {})  # type: ignore[no-any-return]

    async def log_ends(self) -> dict[int, int]:
        return await self._run(self._thread.log_ends(), {})  # type: ignore[no-any-return]

    async def commit_offsets(self, offsets: dict[int, int]) -> bool:
        return await self._run(self._thread.commit_offsets(offsets), otherwise=False)  # type: ignore[no-any-return]

    async def restart(self, partition: int, offset: int) -> None:
        await self._run(self._thread.restart(partition, offset), None)

    async def topic_partition_numbers(self) -> frozenset[int]:
        return await self._run(self._thread.topic_partition_numbers(), frozenset())  # type: ignore[no-any-return]


def build_app(settings: Settings, hooks: Hooks, consume: Callable[[Any], Any]) -> faust.App:
    """A Faust app with one agent on the topic and the batch transport. Nothing starts yet."""
    brokers = [URL(f"kafka://{address.strip()}") for address in settings.kafka_bootstrap.split(",")]
    app = faust.App(
        settings.kafka_group,
        broker=brokers,
        broker_credentials=credentials(settings),
        broker_session_timeout=settings.kafka_session_timeout_seconds,
        broker_heartbeat_interval=settings.kafka_heartbeat_seconds,
        broker_request_timeout=max(settings.kafka_session_timeout_seconds + 5, 15),
        stream_wait_empty=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        store="memory://",
        stream_buffer_maxsize=64,
    )
    transport = BatchTransport(brokers, app)
    transport.hooks = hooks
    app.transport = transport
    topic = app.topic(settings.kafka_topic, schema=BatchSchema(), acks=False)
    app.agent(topic, name="message-events")(consume)
    return app


class Worker:
    """One worker process (or, in ``dev``, a part of one)."""

    def __init__(self, settings: Settings, *, accept_gap: bool = False) -> None:
        self.settings, self.accept_gap = settings, accept_gap
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self.ledger = Ledger()
        self.health = Health(settings.lateness_seconds)
        self.admin = AdminServer(
            admin_app(lambda: self.health.reasons(wall_clock_ms()), metrics.REGISTRY),
            settings.admin_host,
            settings.admin_port or WORKER_ADMIN_PORT,
        )
        self._abandon = threading.Event()
        self._fatal: asyncio.Future[BaseException]
        self._loop: asyncio.AbstractEventLoop
        self._store: Store
        self._lanes: Lanes | None = None

    async def run(self, stop: asyncio.Event) -> int:
        """Work until ``stop`` is set or something fatal happens. Returns the exit code and has logged the reason."""
        self._loop = asyncio.get_running_loop()
        self._fatal = self._loop.create_future()
        admin = asyncio.create_task(self.admin.serve())
        work = asyncio.create_task(self._work(stop))
        ends: list[asyncio.Future[Any]] = [work, self._fatal]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        error = self._fatal.result() if self._fatal.done() else work.exception()
        self._abandon.set()
        work.cancel()
        self.admin.should_exit = True
        await asyncio.wait({admin, work}, timeout=1)
        return _explain(error) if error else 0

    def fatal(self, error: BaseException) -> None:
        """End the worker because of an error; may be called from any thread."""
        self._loop.call_soon_threadsafe(self._set_fatal, error)

    def _set_fatal(self, error: BaseException) -> None:
        if not self._fatal.done():
            self._fatal.set_result(error)

    async def _work(self, stop: asyncio.Event) -> None:
        connected = await self._connect(stop)
        if not connected:
            return
        hooks = Hooks(
            topic=self.settings.kafka_topic,
            session_timeout_seconds=self.settings.kafka_session_timeout_seconds,
            heartbeat_seconds=self.settings.kafka_heartbeat_seconds,
            buffer_bytes=self.settings.buffer_bytes,
            ledger=self.ledger,
            start=self._choose_starts,
            is_blocked=lambda: self._lanes is None or self._lanes.is_blocked(),
            fatal=self.fatal,
        )
        app = build_app(self.settings, hooks, self._consume)
        self._lanes = self._build_lanes(KafkaLog(app, wall_clock_ms))
        await app.start()
        loops = [asyncio.create_task(self._guard(loop)) for loop in self._lanes.loops()]
        watch = asyncio.create_task(self._watch(app))
        log.info("worker %s is running", self.name)
        await stop.wait()
        watch.cancel()
        await self._leave(app, self._lanes, loops)

    async def _connect(self, stop: asyncio.Event) -> bool:
        """Wait until Kafka and ClickHouse answer; False when told to stop meanwhile."""
        while not stop.is_set():
            try:
                cluster_id = await read_cluster_id(self.settings)
                await asyncio.to_thread(self._open_store, cluster_id)
                return True
            except (KafkaError, SinkUnavailable) as error:
                self.health.sink_outcome(error, wall_clock_ms())
                log.warning("waiting to begin: %s", error or type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), CONNECT_RETRY_SECONDS)
        return False

    def _open_store(self, cluster_id: str) -> None:
        s = self.settings
        store = Store(s.clickhouse_url, cluster_id, s.kafka_topic, self.name, s.clickhouse_insert_timeout_seconds)
        skew_ms = wall_clock_ms() - store.clock_ms()
        if abs(skew_ms) > MAX_CLOCK_SKEW_MS:
            raise WrongClock(
                f"this machine's clock differs from ClickHouse's by {skew_ms} ms, more than {MAX_CLOCK_SKEW_MS} ms; "
                "synchronise both (NTP) and start again"
            )
        self.health.sink_outcome(None, 0)
        self._store = store

    def _build_lanes(self, kafka: KafkaLog) -> Lanes:
        s = self.settings
        return Lanes(
            ledger=self.ledger,
            kafka=kafka,
            perform=Retrying(
                self._store.perform, self._abandon, lambda problem: self.health.sink_outcome(problem, wall_clock_ms())
            ),
            policy=FlushPolicy(s.flush_events, s.flush_bytes, s.flush_seconds),
            rules=Rules(int(s.lateness_seconds * MS_PER_SECOND), int(s.future_skew_seconds * MS_PER_SECOND)),
            retention_days=s.facts_retention_days,
            health=self.health,
            clock_ms=wall_clock_ms,
            report=self._report,
        )

    async def _consume(self, stream: Any) -> None:
        """The Faust agent: every message is a batch."""
        assert self._lanes is not None
        try:
            async for batch in stream:
                await self._lanes.offer(batch)
        except Exception as error:  # an agent that raises would leave a worker that looks alive and reads nothing
            self.fatal(error)
            raise

    def _choose_starts(self, offsets: Mapping[int, Offsets]) -> dict[int, Start]:
        """Where each assigned partition starts. Blocks on ClickHouse; raises LogGap unless gaps are accepted."""
        stored = self._store.read_stored()
        return {p: self._choose_start(p, known, stored.get(p)) for p, known in offsets.items()}

    def _choose_start(self, partition: int, known: Offsets, stored: Stored | None) -> Start:
        choice = choose_start(known.committed, stored, known.log_start, known.log_end)
        if isinstance(choice, Gap):
            if not self.accept_gap:
                raise LogGap(
                    f"partition {partition} of {self.settings.kafka_topic}: offsets {choice.from_offset} to "
                    f"{choice.to_offset - 1} were deleted from the log before they were read; restore them, or start "
                    "the worker with --accept-gap to record the loss and go on"
                )
            self._store.record_gap(partition, choice)
            log.warning("accepted the loss of offsets %d to %d of partition %d", *_span(choice), partition)
            return Start(choice.to_offset, choice.to_offset)
        if choice.recreated and stored is not None:
            log.warning("partition %d ends below the stored progress: the topic was made anew", partition)
            self._store.begin_incarnation(partition, stored.incarnation + 1)
        return choice

    def _report(self, durable: dict[int, int], ends: dict[int, int], pending: int) -> None:
        """Leave a trace for `status`; not being able to is no reason to stop."""
        now_ms = wall_clock_ms()
        rows = [
            (p, "caught up" if offset >= ends.get(p, offset) else "reading", offset, ends.get(p, offset))
            for p, offset in durable.items()
        ]
        try:
            self._store.report_partitions(rows, now_ms)
            self._store.report_worker(self.health.reasons(now_ms), pending, now_ms)
        except SinkUnavailable as error:
            self.health.sink_outcome(error, now_ms)

    async def _watch(self, app: faust.App) -> None:
        """Faust gives up in its own way; make that ours."""
        while not app.crashed:  # noqa: ASYNC110 - Faust has no event for it
            await asyncio.sleep(WATCH_SECONDS)
        self.fatal(app.crash_reason or RuntimeError("the consumer stopped"))

    async def _guard(self, loop: Coroutine[Any, Any, None]) -> None:
        try:
            await loop
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self.fatal(error)

    async def _leave(self, app: faust.App, lanes: Lanes, loops: list[asyncio.Task[None]]) -> None:
        """Flush, commit and leave the group, as far as that goes within LEAVE_SECONDS."""
        log.info("stopping")
        app.consumer.stop_flow()
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                lanes.stop()
                await asyncio.wait(loops)
                await lanes.drain()
                await app.stop()
        except TimeoutError:
            log.warning("could not finish within %g s; what is uncommitted will be delivered again", LEAVE_SECONDS)
        log.info("stopped")


def _span(gap: Gap) -> tuple[int, int]:
    return gap.from_offset, gap.to_offset - 1


def _explain(error: BaseException) -> int:
    """Log why the worker ends, in one line, and return the exit code."""
    if isinstance(error, Stop):
        log.error("%s", error)
        return error.exit_code
    log.error("the worker stops because of an unexpected error: %r", error, exc_info=error)
    return EXIT_UNREACHABLE if isinstance(error, KafkaError | SinkUnavailable) else 1


def run_worker(settings: Settings, *, accept_gap: bool = False) -> int:
    """Run a worker until SIGTERM or SIGINT. Ends the process itself, since a hung insert must not keep it alive."""

    async def main() -> int:
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        code = await Worker(settings, accept_gap=accept_gap).run(stop)
        logging.shutdown()
        os._exit(code)

    return asyncio.run(main())
