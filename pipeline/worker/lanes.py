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
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from pipeline import metrics
from pipeline.core.effects import Erasures, Progress, ReadErasures, ReadState, State, Steps
from pipeline.core.flush import Batch, Chunk, FlushPolicy, Rules
from pipeline.core.late import Pace, PendingRecomputes
from pipeline.core.ledger import Ledger
from pipeline.core.protocol import Flushed, flush_steps, progress_steps, recompute_steps, roll_steps, sweep_steps
from pipeline.core.watermark import RETENTION_MARGIN_MS, Idle, partition_watermark, retention_floor
from pipeline.runner import Perform, drive
from pipeline.worker.health import Health
from schemas.grain import Grain
from schemas.message_event import DeadLetterReason

log = logging.getLogger(__name__)
T = TypeVar("T")

THREADS = 8
"""More than the loops together can have under way, decoding included: none waits for another's ClickHouse."""
TICK_SECONDS = 0.25
PATIENCE_SECONDS = 10.0
"""Records that were fetched and did not arrive here within this time are read again."""
REPORT_SECONDS = 2.0
LIVE_FLUSHES = 3
"""Who is behind by no more than so many flushes keeps up: some records are always under way."""
SWEEP_SECONDS = 300.0
"""An erasure that was interrupted is gone on with after this time at the latest."""


class Log(Protocol):
    """What the lanes need of Kafka; ``BatchConsumerThread`` behind a thread boundary."""

    async def caught_up(self) -> dict[int, Idle]: ...
    async def log_ends(self) -> dict[int, int]: ...
    async def commit_offsets(self, offsets: dict[int, int]) -> dict[int, int] | None: ...
    async def restart(self, partition: int, offset: int) -> None: ...
    async def start_forgotten(self) -> None: ...
    async def assigned(self) -> frozenset[int]: ...
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
    erasures: Erasures = field(default_factory=dict)
    pace: Pace = Pace.BACKLOG
    flushes: int = 0
    uncommitted: deque[tuple[int, dict[int, int]]] = field(default_factory=deque)
    committed: dict[int, int] = field(default_factory=dict)
    chunk: Chunk = field(default_factory=Chunk)
    _chunk_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _flushed: asyncio.Event = field(default_factory=asyncio.Event)
    _sweep: asyncio.Event = field(default_factory=asyncio.Event)
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS, "lane"))
    _stopping: threading.Event = field(default_factory=threading.Event)

    async def offer(self, batch: Batch) -> None:
        """Take a batch from Faust: decode it into the growing chunk. Stale and repeated batches are dropped."""
        if not self.ledger.admit(batch, time.monotonic()):
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
        return [
            self._flush_loop(),
            self._tick_loop(),
            self._recompute_loop(),
            self._roll_loop(),
            self._report_loop(),
            self._sweep_loop(),
        ]

    async def _flush_loop(self) -> None:
        self.erasures = await self._thread(self.perform, ReadErasures())
        while not self._stopping.is_set():
            await self._waited(self._wake, TICK_SECONDS)
            if self._flush_due():
                await self.flush()

    async def _tick_loop(self) -> None:
        next_tick = 0.0
        while not self._stopping.is_set():
            await self._waited(self._flushed, TICK_SECONDS)  # behind a flush partitions are most likely to be settled
            if time.monotonic() >= next_tick and not self._stopping.is_set():
                await self._tick()
                next_tick = time.monotonic() + TICK_SECONDS

    @staticmethod
    async def _waited(event: asyncio.Event, seconds: float) -> bool:
        """Wait for an event, that long at the most; whether it came. It is cleared."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)
        came = event.is_set()
        event.clear()
        return came

    async def flush(self) -> None:
        """Make the chunk durable and note what may be committed of it."""
        async with self._chunk_lock:
            chunk, self.chunk = self.chunk, Chunk()
        if not chunk.records:
            return
        steps = flush_steps(chunk, chunk.progress(), self._retention_floor_ms(), self.erasures)
        flushed = await self._drive(steps, "flush")
        self.erasures = flushed.erasures
        if flushed.sweep:
            self._sweep.set()
        self.flushes += 1
        self.pending.add(flushed.late, self.flushes, time.monotonic())
        self.ledger.durable(chunk)
        self.uncommitted.append((self.flushes, {p: e.next_offset for p, e in chunk.ends.items()}))
        count_flush(chunk, flushed)
        self.health.counted(len(chunk.columns), flushed.dead_letters, self.clock_ms())
        self._flushed.set()

    async def _tick(self) -> None:
        """What time brings: caught-up partitions move on, lost batches are read again, offsets are committed.

        Beside the flushes, which would otherwise wait for Kafka's answers. What a flush makes durable meanwhile lies
        beyond what was seen of an idle partition, whose position is therefore put down at once, to be committed first.
        """
        idle = await self.kafka.caught_up()
        if idle:
            self._offer_idle({p: i.position for p, i in idle.items()})
            progress = [Progress(p, i.position, self._idle_mark(i)) for p, i in sorted(idle.items())]
            await self._drive(progress_steps(progress), "progress")
        self.pace = self._pace(is_idle=len(idle) == len(self.ledger.partitions))
        for partition, offset in self.ledger.lost(time.monotonic(), PATIENCE_SECONDS).items():
            log.warning("records of partition %d from %d did not arrive; reading them again", partition, offset)
            await self.kafka.restart(partition, offset)
        await self.kafka.start_forgotten()
        await self._commit()

    def _pace(self, *, is_idle: bool) -> Pace:
        if is_idle:
            return Pace.IDLE
        is_live = self.health.standing and self.health.lag <= LIVE_FLUSHES * self.policy.events
        return Pace.LIVE if is_live else Pace.BACKLOG

    def _idle_mark(self, idle: Idle) -> int:
        """The watermark of a caught-up partition: 0, which changes nothing, while something is hidden behind it."""
        return 0 if idle.hides else partition_watermark(idle.now_ms, idle.now_ms, self.rules.lateness_ms)

    def _offer_idle(self, positions: dict[int, int]) -> None:
        """Have positions committed that lie behind aborted records, which no flush ever sees.

        Left uncommitted, they would look like a gap once retention has taken those records.
        """
        moved = {p: position for p, position in positions.items() if self.committed.get(p) != position}
        if moved and (not self.uncommitted or self.uncommitted[-1] != (self.flushes, moved)):
            self.uncommitted.append((self.flushes, moved))

    async def _commit(self) -> None:
        """Commit what is durable and has nothing pending, in order."""
        settled = self.pending.settled_flush(self.flushes)
        offsets: dict[int, int] = {}
        while self.uncommitted and self.uncommitted[0][0] <= settled:
            offsets |= self.uncommitted.popleft()[1]
        if not offsets:
            return
        with metrics.STAGE_SECONDS.labels("commit").time():
            done = await self.kafka.commit_offsets(offsets)
        if done is None:
            self.uncommitted.appendleft((0, offsets))
        else:
            self.committed |= done

    async def _recompute_loop(self) -> None:
        while not self._stopping.is_set():
            await asyncio.sleep(TICK_SECONDS / 2)
            if self.pending.due(time.monotonic(), self.pace):
                await self.recompute()

    async def recompute(self) -> None:
        """Bring the late keys that wait into the rollups."""
        began = time.monotonic()
        keys = self.pending.take(began)
        if len(keys):
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
        self.health.as_of_ms, self.health.holding = rolled.as_of_ms, rolled.holding
        return rolled.more

    async def _sweep_loop(self) -> None:
        """Go on with interrupted erasures: from time to time who owns partition 0, and at once who sees a reason."""
        while not self._stopping.is_set():
            asked = await self._waited(self._sweep, SWEEP_SECONDS)
            if self._stopping.is_set() or not (asked or 0 in self.ledger.partitions):
                continue
            swept = await self._drive(sweep_steps(self._retention_floor_ms()), "sweep")
            for org in swept:
                log.info("finished the erasure of an organization: %s", org)

    async def _report_loop(self) -> None:
        while not self._stopping.is_set():
            await asyncio.sleep(REPORT_SECONDS)
            state: State = await self._thread(self.perform, ReadState())
            self.health.as_of_ms = state.as_of_ms
            assigned, ends = await self.kafka.assigned(), await self.kafka.log_ends()
            durable = dict(self.ledger.durable_offsets())
            self.health.partitions(assigned, durable, ends, self.clock_ms())
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
        for waited_for in (self._wake, self._flushed, self._sweep):
            waited_for.set()

    async def drain(self) -> None:
        """The last work before leaving, after the loops: flush, recompute what is late, commit."""
        await self.flush()
        await self._commit()  # what has nothing late in it need not wait for what may take long
        await self.recompute()
        await self._commit()


def count_flush(chunk: Chunk, result: Flushed) -> None:
    """Count a flush that is durable."""
    metrics.EVENTS.inc(len(chunk.columns))
    metrics.ERASED.inc(result.erased)
    metrics.FLUSH_EVENTS.observe(chunk.records)
    metrics.FLUSH_BYTES.observe(chunk.size_bytes)
    metrics.LATE.inc(len(result.late))
    for reason, count in Counter(letter.reason for letter in chunk.letters).items():
        metrics.DEAD.labels(reason).inc(count)
    # What turned out to be too late only when it was written is in no chunk.
    metrics.DEAD.labels(DeadLetterReason.TOO_LATE).inc(max(0, result.dead_letters - len(chunk.letters)))
