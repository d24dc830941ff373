"""The worker: composes Faust, the lanes and ClickHouse, runs until told to stop, and leaves in order."""

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

from pipeline import metrics
from pipeline.clickhouse.store import Store
from pipeline.clock import running_ms, this_moment
from pipeline.core.commits import Commits
from pipeline.core.effects import ReadState, Synchronise
from pipeline.core.flush import FlushPolicy, Rules
from pipeline.core.ledger import Ledger
from pipeline.core.pending import PendingRecomputes
from pipeline.core.place import Place
from pipeline.core.start import Gap, Offsets, Start
from pipeline.core.waiting import Waiting
from pipeline.core.watermark import reading_status
from pipeline.errors import EXIT_UNREACHABLE, KafkaUnavailable, NotMigrated, SinkUnavailable, Stalled, Stop
from pipeline.kafka.accepted import Gaps
from pipeline.kafka.client import read_cluster_id
from pipeline.kafka.consumer import Hooks
from pipeline.kafka.faust_app import App, build_app
from pipeline.kafka.log import KafkaLog
from pipeline.kafka.topics import require_topics
from pipeline.registry.schemas import open_schemas
from pipeline.runner import Retrying, Threads
from pipeline.worker.admin import AdminServer, admin_app
from pipeline.worker.health import Health, show_health
from pipeline.worker.lanes import Lanes
from pipeline.worker.months import watch_months
from pipeline.worker.operations import Operations
from pipeline.worker.pauses import Pauses
from pipeline.worker.seen import Seen
from pipeline.worker.starts import Starts
from pipeline.worker.violations import watch_violations
from schemas.grain import MS_PER_SECOND
from schemas.settings import WORKER_ADMIN_PORT, Settings

log = logging.getLogger(__name__)
T = TypeVar("T")

LEAVE_SECONDS = 8.0
"""After this the process ends as it stands; what is uncommitted will be delivered again."""
LEAVE_MARGIN_SECONDS = 0.5
CONNECT_RETRY_SECONDS = 1.0
WATCH_SECONDS = 0.5
CLUSTER_PROGRESS_SECONDS = 1.0
"""On a cluster workers write progress one after the other (`insert_quorum_parallel=0`), each waiting for a quorum."""


class Worker:
    """One worker process (or, in ``dev``, a part of one)."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self.ledger, self.waiting = Ledger(), Waiting()
        self.health = Health(settings.lateness_seconds)
        self.seen = Seen(self.health, this_moment)
        self.operations = Operations(self.name, self.health, this_moment)
        show_health(self.health, running_ms)
        self.admin = AdminServer(
            admin_app(lambda: self.health.reasons(running_ms()), metrics.REGISTRY, self.operations),
            settings.admin_host,
            settings.admin_port or WORKER_ADMIN_PORT,
        )
        self._abandon = threading.Event()
        self._leaving = False
        self.ended_by: BaseException | None = None
        self._fatal: asyncio.Future[BaseException]
        self._loop: asyncio.AbstractEventLoop
        self._store: Store
        self._lanes: Lanes | None = None

    async def run(self, stop: asyncio.Event) -> int:
        """Work until ``stop`` is set or something fatal happens. Returns the exit code and has logged the reason.

        Once ``stop`` is set it takes LEAVE_SECONDS and a little at most, whatever hangs.
        """
        self._loop = asyncio.get_running_loop()
        self._fatal = self._loop.create_future()
        admin = asyncio.create_task(self._serve_admin())
        work = asyncio.create_task(self._work(stop))
        last = asyncio.create_task(_last_moment(stop))
        ends: list[asyncio.Future[Any]] = [work, self._fatal, last]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        error = self._fatal.result() if self._fatal.done() else work.exception() if work.done() else None
        self.ended_by = error
        self._abandon.set()
        work.cancel()
        self.admin.should_exit = True
        await asyncio.wait({admin, work}, timeout=1)
        return _explain(error) if error else 0

    async def _serve_admin(self) -> None:
        try:
            await self.admin.serve()
        except SystemExit:  # uvicorn's way to say that it cannot listen
            at = f"{self.admin.config.host}:{self.admin.config.port}"
            self._set_fatal(Stop(f"cannot serve health and metrics at {at}; set MSGMETRICS_ADMIN_PORT to a free port"))

    def fatal(self, error: BaseException) -> None:
        """End the worker because of an error; may be called from any thread."""
        self._loop.call_soon_threadsafe(self._set_fatal, error)

    def _set_fatal(self, error: BaseException) -> None:
        if not self._fatal.done():
            self._fatal.set_result(error)

    async def _work(self, stop: asyncio.Event) -> None:
        schemas = open_schemas(self.settings, time.monotonic)
        connected = await self._connect(stop)
        if not connected:
            return
        hooks = Hooks(
            buffer_bytes=self.settings.buffer_bytes,
            ledger=self.ledger,
            waiting=self.waiting,
            broker_clocks=self.health.broker_clocks,
            now=self.seen.now,
            start=self._choose_starts,
            read_gaps=self._read_gaps,
            schemas=schemas,
            is_blocked=lambda: self._lanes is None or self._lanes.is_blocked(),
            fatal=self.fatal,
        )
        app = build_app(self.settings, hooks, self._consume)
        self._lanes = self._build_lanes(KafkaLog(app.kafka_thread, self.health.kafka, running_ms, time.monotonic))
        try:
            await app.start()
        except KafkaError as error:
            raise KafkaUnavailable(f"Kafka went away while the worker was starting: {error}") from error
        loops = [self._guarded(loop) for loop in self._lanes.loops()]
        violations = watch_violations(lambda: self.health.is_leading, lambda: self.health.as_of_ms, self._store.look)
        months = watch_months(lambda: self.health.is_leading, lambda: self.operations.months(self._store.look))
        watches = [asyncio.create_task(self._watch(app)), self._guarded(violations), self._guarded(months)]
        log.info("worker %s is running", self.name)
        await stop.wait()
        for watch in watches:
            watch.cancel()
        await self._leave(app, self._lanes, loops)

    async def _connect(self, stop: asyncio.Event) -> bool:
        """Wait until Kafka and ClickHouse answer and `migrate` has run; False when told to stop meanwhile."""
        while not stop.is_set():
            try:
                cluster_id = await read_cluster_id(self.settings)
                await require_topics(self.settings)
                self.health.kafka.outcome(None, running_ms())
                await asyncio.to_thread(self._open_store, cluster_id)
                return True
            except (KafkaError, SinkUnavailable, NotMigrated) as error:
                peer = self.health.kafka if isinstance(error, KafkaError) else self.health.sink
                peer.outcome(error, running_ms())
                log.warning("waiting to begin: %s", error or type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), CONNECT_RETRY_SECONDS)
        return False

    def _open_store(self, cluster_id: str) -> None:
        s = self.settings
        store = Store(
            s.clickhouse,
            cluster_id,
            self.name,
            timeout_seconds=s.clickhouse_insert_timeout_seconds,
            retention_days=s.facts_retention_days,
        )
        store.perform(Synchronise())  # raises where a cluster was not migrated for it
        self.seen.note(store.perform(ReadState()))  # raises for a database of another version
        self.health.sink.outcome(None, 0)
        self._store = store
        self.operations.look, self.operations.listed = store.look, frozenset(s.topics)
        self.operations.retention_days = s.facts_retention_days

    def _build_lanes(self, kafka: KafkaLog) -> Lanes:
        s = self.settings
        return Lanes(
            ledger=self.ledger,
            commits=Commits(PendingRecomputes(s.late_pause_seconds)),
            kafka=kafka,
            listed=frozenset(s.topics),
            runner=Threads(Retrying(self._store.perform, self.health.sink, self._abandon.wait)),
            policy=FlushPolicy(s.flush_events, s.flush_bytes, s.flush_seconds),
            rules=Rules(int(s.lateness_seconds * MS_PER_SECOND), int(s.future_skew_seconds * MS_PER_SECOND)),
            seen=self.seen,
            monotonic=time.monotonic,
            new_id=lambda: str(uuid.uuid4()),
            report=self._report,
            pauses=Pauses(progress=CLUSTER_PROGRESS_SECONDS if s.clickhouse_cluster else 0.0),
        )

    async def _consume(self, stream: Any) -> None:
        """The Faust agent: every message is a batch."""
        assert self._lanes is not None
        try:
            async for batch in stream:
                await self._lanes.offer(batch)
            if not self._leaving:
                self.fatal(RuntimeError("the stream of records has ended"))
        except Exception as error:  # an agent that raises would leave a worker that looks alive and reads nothing
            self.fatal(error)
            raise

    def _choose_starts(self, offsets: Mapping[Place, Offsets]) -> dict[Place, Start | Gap]:
        """Choose the start of assigned partitions. Blocks; raises SinkUnavailable or Stop, and tells health."""
        return self._asked(lambda: Starts(self._store).choose(offsets))

    def _read_gaps(self) -> Gaps:
        """The losses that operators have accepted. Blocks; raises SinkUnavailable or Stop, and tells health."""
        return self._asked(self._store.read_gaps)

    def _asked(self, question: Callable[[], T]) -> T:
        try:
            with self.health.sink.asked(running_ms):
                return question()
        except SinkUnavailable as error:
            self.health.sink.outcome(error, running_ms())
            raise

    def _report(self, durable: dict[Place, int], ends: dict[Place, int], pending: int) -> None:
        """Leave a trace for `status`. Asked once, and not told to health: an outage is seen by the effects."""
        metrics.partitions(durable, ends, self.health.waiting)
        metrics.PENDING.set(pending)
        self.operations.note()
        rows = [(p, self._status(p, offset, ends), offset, ends.get(p, offset)) for p, offset in durable.items()]
        rows += [(p, "waiting", 0, 0) for p in self.health.waiting.keys() - durable.keys()]  # it has not begun
        try:
            self._store.report_partitions(rows)
            self._store.report_worker(self.settings.kafka_group, self.health.reasons(running_ms()), pending)
        except SinkUnavailable as error:
            log.info("this worker's report was not stored: %s", error)

    def _status(self, place: Place, durable: int, ends: Mapping[Place, int]) -> str:
        if place in self.health.waiting:
            return "waiting"
        hidden = self._lanes.hidden if self._lanes else {}
        return reading_status(durable, ends.get(place, durable), hidden.get(place, 0))

    async def _watch(self, app: App) -> None:
        """End the worker when Faust has crashed, or when a partition stands still for no reason."""
        while not app.crashed:
            await asyncio.sleep(WATCH_SECONDS)
            may_pause = self._lanes is None or self._lanes.is_blocked()
            if problem := self.health.stalled(running_ms(), may_pause=may_pause):
                self.fatal(Stalled(f"{problem}, although Kafka and ClickHouse answer; ending, to be started anew"))
                return
        self.fatal(app.crash_reason or RuntimeError("the consumer stopped"))

    def _guarded(self, loop: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that ends the worker if it raises."""
        task = asyncio.create_task(loop)
        task.add_done_callback(self._look_at)
        return task

    def _look_at(self, ended: asyncio.Task[None]) -> None:
        if not ended.cancelled() and (error := ended.exception()) is not None:
            self._set_fatal(error)

    async def _leave(self, app: App, lanes: Lanes, loops: list[asyncio.Task[None]]) -> None:
        """Flush, commit and leave the group, as far as that goes within LEAVE_SECONDS."""
        log.info("stopping")
        self._leaving = True
        app.kafka_thread.starting.is_over = True
        app.consumer.stop_flow()
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                lanes.stop()
                ended, _ = await asyncio.wait(loops)
                if not any(loop.exception() for loop in ended):  # else the last commit passed over what it left undone
                    await lanes.drain()
                await app.stop()
        except TimeoutError:
            log.warning("could not finish within %g s; what is uncommitted will be delivered again", LEAVE_SECONDS)
        log.info("stopped")


async def _last_moment(stop: asyncio.Event) -> None:
    """Return when a stopping worker must be gone: what hangs, connecting too, does not keep it."""
    await stop.wait()
    await asyncio.sleep(LEAVE_SECONDS + LEAVE_MARGIN_SECONDS)


def _explain(error: BaseException) -> int:
    """Log why the worker ends, in one line, and return the exit code."""
    if isinstance(error, Stop):
        log.error("%s", error)
        return error.exit_code
    log.error("the worker stops because of an unexpected error: %r", error, exc_info=error)
    return EXIT_UNREACHABLE if isinstance(error, KafkaError | SinkUnavailable) else 1
