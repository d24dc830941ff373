"""The worker's lanes: collect and flush, recompute what was late, roll, commit. Thin loops around the pure core.

Each loop runs blocking work in its own thread, so that fetching, decoding, inserting and recomputing overlap. Any
exception that is not understood ends the process: the log and ClickHouse hold all that is needed to go on.
"""

import asyncio
import contextlib
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from pipeline import metrics
from pipeline.core.chunk import Batch, Chunk, Rules
from pipeline.core.effects import Progress, ReadState, State, Steps
from pipeline.core.flush import FlushPolicy
from pipeline.core.late import PendingRecomputes
from pipeline.core.ledger import Ledger
from pipeline.core.protocol import flush_steps, progress_steps, recompute_steps, roll_steps
from pipeline.core.watermark import partition_watermark, retention_floor
from pipeline.driver import Perform, drive
from pipeline.health import Health
from pipeline.transport import Idle
from schemas.grain import MS_PER_SECOND, Grain

log = logging.getLogger(__name__)
T = TypeVar("T")

TICK_SECONDS = 0.25
PATIENCE_SECONDS = 10.0
"""Records that were fetched and did not arrive here within this time are read again."""
REPORT_SECONDS = 2.0
RETENTION_MARGIN_MS = Grain.HOUR.milliseconds


class Log(Protocol):
    """What the lanes need of Kafka; ``BatchConsumerThread`` behind a thread boundary."""

    async def caught_up(self) -> dict[int, Idle]: ...
    async def log_ends(self) -> dict[int, int]: ...
    async def commit_offsets(self, offsets: dict[int, int]) -> bool: ...
    async def restart(self, partition: int, offset: int) -> None: ...
    async def topic_partition_numbers(self) -> frozenset[int]: ...


@dataclass(slots=True)
class Lanes:
    """State of one worker's loops. ``clock_ms`` is the wall clock for event rules; intervals use the monotonic one."""

    ledger: Ledger
    kafka: Log
    perform: Perform
    policy: FlushPolicy
    rules: Rules
    retention_days: int
    health: Health
    clock_ms: Callable[[], int]
    report: Callable[[dict[int, int], dict[int, int], int], None]
    pending: PendingRecomputes = field(default_factory=PendingRecomputes)
    facts_floor_ms: int = 0
    backlog: bool = True
    flushes: int = 0
    uncommitted: deque[tuple[int, dict[int, int]]] = field(default_factory=deque)
    committed: dict[int, int] = field(default_factory=dict)
    chunk: Chunk = field(default_factory=Chunk)
    _chunk_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(thread_name_prefix="lane"))
    _stopping: threading.Event = field(default_factory=threading.Event)

    async def offer(self, batch: Batch) -> None:
        """Take a batch from Faust: decode it into the growing chunk. Stale and repeated batches are dropped."""
        if not self.ledger.admit(batch):
            log.info("dropped a stale batch of partition %d at %d", batch.partition, batch.start)
            return
        async with self._chunk_lock:
            await self._thread(self._decode, batch)
        if self._flush_due():
            self._wake.set()

    def _decode(self, batch: Batch) -> None:
        with metrics.STAGE_SECONDS.labels("decode").time():
            self.chunk.add(batch, self.rules, self.clock_ms(), self.facts_floor_ms, time.monotonic())

    def _flush_due(self) -> bool:
        chunk = self.chunk
        return self.policy.is_due(chunk.records, chunk.size_bytes, chunk.opened_at, time.monotonic())

    # -- the loops ----------------------------------------------------------------------------------------------

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        """The loops to run side by side until ``stop``."""
        return [self._flush_loop(), self._recompute_loop(), self._roll_loop(), self._report_loop()]

    async def _flush_loop(self) -> None:
        next_tick = 0.0
        while not self._stopping.is_set():
            await self._wait_for_work()
            if self._flush_due():
                await self.flush()
            if time.monotonic() >= next_tick:
                await self._tick()
                next_tick = time.monotonic() + TICK_SECONDS

    async def _wait_for_work(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), TICK_SECONDS)
        self._wake.clear()

    async def flush(self) -> None:
        """Make the chunk durable and note what may be committed of it."""
        async with self._chunk_lock:
            chunk, self.chunk = self.chunk, Chunk()
        if not chunk.records:
            return
        flushed = await self._drive(flush_steps(chunk, self._retention_floor_ms()), "flush")
        self.flushes += 1
        self.pending.add(flushed.late, self.flushes, time.monotonic())
        self.ledger.durable(chunk)
        self.uncommitted.append((self.flushes, {p: e.next_offset for p, e in chunk.ends.items()}))
        metrics.flushed(chunk, flushed)
        self.health.counted(len(chunk.columns), flushed.dead_letters, self.clock_ms())
        await self._commit()

    async def _tick(self) -> None:
        """What time brings: caught-up partitions move on, lost batches are read again, offsets are committed."""
        idle = await self.kafka.caught_up()
        marks = {p: partition_watermark(i.now_ms, i.now_ms, self.rules.lateness_ms) for p, i in idle.items()}
        if idle:
            progress = [Progress(p, i.position, marks[p]) for p, i in sorted(idle.items())]
            await self._drive(progress_steps(progress), "progress")
        self.backlog = len(idle) < len(self.ledger.partitions)
        for partition, offset in self.ledger.lost(time.monotonic(), PATIENCE_SECONDS).items():
            log.warning("records of partition %d from %d did not arrive; reading them again", partition, offset)
            await self.kafka.restart(partition, offset)
        await self._commit()

    async def _commit(self) -> None:
        """Commit what is durable and has nothing pending, in order."""
        settled = self.pending.settled_flush(self.flushes)
        offsets: dict[int, int] = {}
        while self.uncommitted and self.uncommitted[0][0] <= settled:
            offsets |= self.uncommitted.popleft()[1]
        if offsets and not await self.kafka.commit_offsets(offsets):
            self.uncommitted.appendleft((0, offsets))

    async def _recompute_loop(self) -> None:
        while not self._stopping.is_set():
            await asyncio.sleep(TICK_SECONDS / 2)
            if self.pending.due(time.monotonic(), backlog=self.backlog):
                await self.recompute()

    async def recompute(self) -> None:
        """Bring the late keys that wait into the rollups."""
        began = time.monotonic()
        keys = self.pending.take(began)
        if keys:
            await self._drive(recompute_steps(str(uuid.uuid4()), keys), "recompute")
            metrics.RECOMPUTED.inc(len(keys))
        self.pending.done(time.monotonic(), time.monotonic() - began)

    async def _roll_loop(self) -> None:
        more = False
        while not self._stopping.is_set():
            await asyncio.sleep(0 if more else TICK_SECONDS)
            more = 0 in self.ledger.partitions and await self._roll()

    async def _roll(self) -> bool:
        partitions = await self.kafka.topic_partition_numbers()
        if not partitions:
            return False
        rolled = await self._drive(roll_steps(sorted(partitions), self._retention_floor_ms()), "roll")
        self.health.as_of_ms, self.health.blocked_partitions = rolled.as_of_ms, rolled.waiting_for
        metrics.AS_OF.set(rolled.as_of_ms / MS_PER_SECOND)
        return rolled.more

    async def _report_loop(self) -> None:
        while not self._stopping.is_set():
            await asyncio.sleep(REPORT_SECONDS)
            state: State = await self._thread(self.perform, ReadState())
            self.health.as_of_ms = state.as_of_ms
            ends, durable = await self.kafka.log_ends(), dict(self.ledger.durable_offsets())
            self.health.partitions = len(durable)
            self.health.lag = sum(max(0, end - durable.get(p, end)) for p, end in ends.items())
            await self._thread(self.report, durable, ends, len(self.pending))

    # -- helpers ------------------------------------------------------------------------------------------------

    def is_blocked(self) -> bool:
        """Whether fetching must pause because too many recomputes wait."""
        return self.pending.is_full

    def _retention_floor_ms(self) -> int:
        day = Grain.DAY.milliseconds
        self.facts_floor_ms = max(
            self.facts_floor_ms, retention_floor(self.clock_ms(), self.retention_days, day, RETENTION_MARGIN_MS)
        )
        return self.facts_floor_ms

    async def _drive(self, steps: Steps[T], stage: str) -> T:
        with metrics.STAGE_SECONDS.labels(stage).time():
            return await self._thread(drive, steps, self.perform)

    async def _thread(self, call: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)

    def stop(self) -> None:
        """Let the loops end after what they are doing."""
        self._stopping.set()
        self._wake.set()

    async def drain(self) -> None:
        """The last work before leaving, after the loops: flush, recompute what is late, commit."""
        await self.flush()
        await self.recompute()
        await self._commit()
