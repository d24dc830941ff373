"""The worker's lanes: collect and flush, tick, recompute what was late, roll, sweep, report.

Thin loops around the pure core, side by side on one event loop. They have no clock, no thread and no network of their
own: time, ids and where work is done are arguments, so that the simulation plays these very loops (tests/sim). Any
exception that is not understood ends the process: the log and ClickHouse hold all that is needed to go on.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pipeline import metrics
from pipeline.core.clocks import Moment
from pipeline.core.commits import NO_READING, Commits, Reached
from pipeline.core.effects import Effect, Erasures, ReadErasures, ReadState, Steps
from pipeline.core.erasure import sweep_steps
from pipeline.core.flush import Batch, Chunk, FlushPolicy, Rules
from pipeline.core.ledger import Ledger
from pipeline.core.pending import Pace
from pipeline.core.place import Place
from pipeline.core.progress import Progress
from pipeline.core.protocol import flush_steps, progress_steps, recompute_steps
from pipeline.core.watermark import Idle, partition_watermark
from pipeline.runner import Runner
from pipeline.worker.health import broken, count_flush
from pipeline.worker.log import Log
from pipeline.worker.pauses import Pauses
from pipeline.worker.rolling import Rolling
from pipeline.worker.seen import Seen

log = logging.getLogger(__name__)
T = TypeVar("T")

LIVE_FLUSHES = 3
"""A worker that is behind by at most this many flushes keeps up: some records are always under way."""


@dataclass(slots=True)
class Lanes:
    """State of one worker's loops.

    ``listed`` are the topics that it reads. ``seen`` has the clock for event rules, ``monotonic`` (seconds) is for
    intervals; ``new_id`` names the batches of late keys, and must never give the same name twice. ``report`` blocks.

    While the clock is in doubt nothing more is read, no partition is called idle and nobody sweeps. What rests on
    stored marks goes on: rolls, recomputes, commits.
    """

    ledger: Ledger
    kafka: Log
    listed: frozenset[str]
    runner: Runner
    policy: FlushPolicy
    rules: Rules
    seen: Seen
    monotonic: Callable[[], float]
    new_id: Callable[[], str]
    report: Callable[[dict[Place, int], dict[Place, int], int], None]
    pauses: Pauses = field(default_factory=Pauses)
    commits: Commits = field(default_factory=Commits)
    erasures: Erasures = field(default_factory=dict)
    pace: Pace = Pace.BACKLOG
    chunk: Chunk = field(default_factory=Chunk)
    hidden: Mapping[Place, int] = field(default_factory=dict)
    _rolling: Rolling = field(init=False)
    _chunk_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _flushed: asyncio.Event = field(default_factory=asyncio.Event)
    _sweep: asyncio.Event = field(default_factory=asyncio.Event)
    _is_stopping: bool = False
    _next_progress: float = 0.0
    _readings: Mapping[Place, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rolling = Rolling(self.listed, self.kafka, self.seen.health)

    async def offer(self, batch: Batch) -> None:
        """Take a batch from Faust: decode it into the growing chunk. Stale and repeated batches are dropped."""
        async with self._chunk_lock:  # also while it is admitted: what is given back meanwhile is refused
            if not self.ledger.admit(batch, self.monotonic()):
                log.info("dropped a stale batch of partition %s at %d", batch.place, batch.start)
                return
            await self.runner.call(self._decode, batch)
        if self._flush_due():
            self._wake.set()

    def _decode(self, batch: Batch) -> None:
        with metrics.STAGE_SECONDS.labels("decode").time():
            self.chunk.is_in_doubt |= self.seen.is_clock_in_doubt
            self.chunk.add(batch, self.rules, self.seen.clock(), self.seen.facts_floor_ms, self.monotonic())

    def _flush_due(self) -> bool:
        chunk = self.chunk
        return self.policy.is_due(chunk.records, chunk.size_bytes, chunk.opened_at, self.monotonic())

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
        self.erasures = await self.runner.perform_steps(_ask(ReadErasures()))
        while not self._is_stopping:
            await self._waited(self._wake, self.pauses.tick)
            if self._flush_due():
                await self.flush()

    async def _tick_loop(self) -> None:
        next_tick = 0.0
        while not self._is_stopping:
            await self._waited(self._flushed, self.pauses.tick)  # behind a flush most partitions are settled
            if self.monotonic() >= next_tick and not self._is_stopping:
                await self.tick()
                next_tick = self.monotonic() + self.pauses.between_ticks(len(self.ledger.partitions))

    async def _recompute_loop(self) -> None:
        while not self._is_stopping:
            await asyncio.sleep(self.pauses.tick / 2)
            if self.commits.pending.due(self.monotonic(), self.pace):
                await self.recompute()

    async def _roll_loop(self) -> None:
        more = False
        while not self._is_stopping:
            await asyncio.sleep(0 if more else self.pauses.tick)
            more = await self._rolling.leads() and await self._roll()

    async def _sweep_loop(self) -> None:
        """Resume interrupted erasures: from time to time where the roller is, at once where a flush saw one."""
        while not self._is_stopping:
            asked = await self._waited(self._sweep, self.pauses.sweep)
            wanted = asked or await self._rolling.leads()
            if self._is_stopping or not wanted:
                continue
            await self._perform(_ask(ReadState()), "sweep")  # a clock that went wrong just now is in doubt from here on
            if self.seen.is_clock_in_doubt:
                continue
            for org in await self._perform(sweep_steps(), "sweep"):
                log.info("finished the erasure of an organization: %s", org)

    async def _report_loop(self) -> None:
        while not self._is_stopping:
            await asyncio.sleep(self.pauses.report)
            await self.runner.perform_steps(self.seen.noting(_ask(ReadState())))
            self.seen.health.waiting = await self.kafka.waiting()  # first, since an answer may take its time
            assigned, ends = await self.kafka.assigned(), await self.kafka.log_ends()
            durable = dict(self.ledger.durable_offsets())
            now_ms = self.seen.clock().boot_ms
            self.seen.health.partitions(assigned, durable, ends, now_ms)
            await self._rolling.look(now_ms)
            await self.runner.call(self.report, durable, ends, len(self.commits.pending))

    # -- what they do -------------------------------------------------------------------------------------------

    async def flush(self) -> None:
        """Make the chunk durable and queue its offsets to be committed."""
        async with self._chunk_lock:
            chunk, self.chunk = self.chunk, Chunk()
        if not chunk.records:
            return
        steps = flush_steps(chunk, chunk.progress(), self.rules.lateness_ms, self.erasures)
        flushed = await self._perform(steps, "flush")
        if flushed.is_doubtful:
            await self._give_back(chunk)
            return
        self.erasures = flushed.erasures
        if flushed.sweep:
            self._sweep.set()
        self.commits.flushed(flushed.late, chunk.reached(), self.monotonic())
        self.ledger.durable(chunk)
        count_flush(chunk, flushed)
        self.seen.health.counted(len(chunk.columns), broken(chunk, flushed), self.seen.clock().boot_ms)
        self._flushed.set()

    async def _give_back(self, chunk: Chunk) -> None:
        """Have what a clock in doubt judged read again, and what was collected behind it meanwhile."""
        log.warning("the clock that judged %d records is in doubt; reading them again", chunk.records)
        self.ledger.give_back(chunk)
        async with self._chunk_lock:
            behind, self.chunk = self.chunk, Chunk()
        self.ledger.give_back(behind)

    async def tick(self) -> None:
        """Do what time brings: caught-up partitions move on, lost batches are read again, offsets are committed.

        Runs beside the flushes, which would otherwise wait for Kafka's answers.
        """
        readings = self.ledger.readings()  # before Kafka is asked: what begins meanwhile is the next tick's
        if readings != self._readings:
            self._readings = readings
            self.commits.pending.hurry(self.monotonic())
        idle = await self.kafka.caught_up()
        if (now := self.seen.now()) is None:
            idle = {}
        self.hidden = {p: i.hidden for p, i in idle.items() if i.hidden}
        if now and idle and self.monotonic() >= self._next_progress:
            self._next_progress = self.monotonic() + self.pauses.progress
            # Queued before their progress is written: a flush that ends meanwhile reaches further and comes after.
            self.commits.idle({p: Reached(readings.get(p, NO_READING), i.position) for p, i in idle.items()})
            progress = [Progress(p, i.position, self._idle_mark(i, now)) for p, i in sorted(idle.items())]
            await self._perform(progress_steps(progress, self.rules.lateness_ms), "progress")
            for p, i in idle.items():  # else a log that ends with an aborted transaction would never seem read
                self.ledger.passed(p, readings.get(p, NO_READING), i.position)
        self.pace = self._pace(is_idle=len(idle) == len(self.ledger.partitions))
        for place, offset in self.ledger.lost(self.monotonic(), self.pauses.patience).items():
            log.warning("records of partition %s from %d did not arrive; reading them again", place, offset)
            await self.kafka.restart(place, offset)
        await self.kafka.start_forgotten()
        await self._commit()

    def _pace(self, *, is_idle: bool) -> Pace:
        if is_idle:
            return Pace.IDLE
        is_live = self.seen.health.standing and self.seen.health.lag <= LIVE_FLUSHES * self.policy.events
        return Pace.LIVE if is_live else Pace.BACKLOG

    def _idle_mark(self, idle: Idle, now: Moment) -> int:
        """The watermark of a caught-up partition: 0, which changes nothing, while something is hidden behind it."""
        at_ms = self.seen.earliest_ms(now, idle.boot_ms)
        return 0 if idle.hidden else partition_watermark(at_ms, at_ms, self.rules.lateness_ms)

    async def _commit(self) -> None:
        """Commit what is durable and has nothing pending, in order."""
        taken = self.commits.take(self.ledger.readings())
        if not taken:
            return
        with metrics.STAGE_SECONDS.labels("commit").time():
            done = await self.kafka.commit_offsets({p: reached.next_offset for p, reached in taken.items()})
        if done is None:
            self.commits.refused(taken)
        else:
            self.commits.committed({p: taken[p] for p in done})

    async def recompute(self, *, hot_too: bool = False) -> None:
        """Bring the late keys that wait into the rollups: also those of a moment ago, if ``hot_too``."""
        began, pending = self.monotonic(), self.commits.pending
        keys = pending.take(began, hot_too=hot_too)
        if len(keys):
            await self._perform(recompute_steps(self.new_id(), keys), "recompute")
            metrics.RECOMPUTED.inc(len(keys))
        ended = self.monotonic()
        pending.done(ended, ended - began, self.seen.clock().wall_ms)

    async def _roll(self) -> bool:
        rolled = await self._perform(await self._rolling.steps(), "roll")
        self._rolling.rolled(rolled)
        return rolled.more

    # -- helpers ------------------------------------------------------------------------------------------------

    def is_blocked(self) -> bool:
        """Whether fetching must pause because too many recomputes wait, or the clock is in doubt."""
        return self.commits.pending.is_full or self.seen.is_clock_in_doubt

    async def _perform(self, steps: Steps[T], stage: str) -> T:
        with metrics.STAGE_SECONDS.labels(stage).time():
            return await self.runner.perform_steps(self.seen.noting(steps))

    @staticmethod
    async def _waited(event: asyncio.Event, seconds: float) -> bool:
        """Wait for an event, that long at the most; whether it came. It is cleared."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
        came = event.is_set()
        event.clear()
        return came

    def stop(self) -> None:
        """Let the loops end after what they are doing."""
        self._is_stopping = True
        for waited_for in (self._wake, self._flushed, self._sweep):
            waited_for.set()

    async def drain(self) -> None:
        """Do the last work before leaving, after the loops: flush, recompute what is late, commit."""
        await self.flush()
        await self._commit()  # what has nothing late in it need not wait for what may take long
        await self.recompute(hot_too=True)
        await self._commit()


def _ask(effect: Effect) -> Steps[Any]:
    """One effect as a protocol that returns its answer."""
    answer = yield effect
    return answer
