"""Reads a span of the topics once more, through the code of the worker, beside the live ones.

A replay has a consumer of its own and no group, so that the live offsets stay untouched, and writes no watermark and no
progress of partitions. Its facts are repetitions or were missing; late ones are recomputed as ever. Its own progress is
stored once the facts are durable *and* recomputed, so that an interrupted replay can be resumed there.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipeline.core.commits import Commits
from pipeline.core.effects import Erasures, ReadErasures, ReadState, State
from pipeline.core.erasure import sweep_steps
from pipeline.core.flush import Chunk
from pipeline.core.pending import Pace
from pipeline.core.place import Place
from pipeline.core.protocol import flush_steps, recompute_steps
from pipeline.kafka.log_consumer import LogConsumer
from pipeline.repair.replay_progress import Replays
from pipeline.repair.replay_reading import EPOCH, Bounds, Reading, find_bounds, open_consumer
from pipeline.runner import Perform, drive


@dataclass(slots=True)
class Replayed:
    """Counts of a replay so far."""

    records: int = 0
    facts: int = 0
    dead_letters: int = 0
    erased: int = 0
    out_of_time: int = 0
    without_schema: int = 0


@dataclass(slots=True)
class Replay(Reading):
    """One replay. ``perform`` repeats what ClickHouse does not take; ``on_progress`` is told the offsets passed."""

    perform: Perform
    replays: Replays
    on_start: Callable[[int], None] = lambda _: None
    on_progress: Callable[[int], None] = lambda _: None
    done: Replayed = field(default_factory=Replayed)
    _commits: Commits = field(default_factory=Commits)
    _readings: Mapping[Place, int] = field(default_factory=dict)

    async def run(self, *, resume: bool) -> Replayed:
        """Read, flush and recompute to the end. Raises KafkaError, SinkUnavailable or Stop."""
        state: State = await asyncio.to_thread(self.perform, ReadState())  # raises for a database of another version
        async with open_consumer(self.settings) as consumer:
            bounds = await (asyncio.to_thread(self.replays.resume, self.wanted) if resume else self._begin(consumer))
            self.on_start(sum(b.end - b.start for b in bounds.values()))
            await self._read(consumer, bounds, state)
        return self.done

    async def _begin(self, consumer: LogConsumer) -> dict[Place, Bounds]:
        bounds = await find_bounds(consumer, self.topics, self.wanted)
        await asyncio.to_thread(self.replays.begin, uuid.uuid4(), self.wanted, bounds)
        return bounds

    async def _read(self, consumer: LogConsumer, bounds: Mapping[Place, Bounds], state: State) -> None:
        self._readings = dict.fromkeys(bounds, EPOCH)
        erasures: Erasures = await asyncio.to_thread(self.perform, ReadErasures())
        async for chunk in self.chunks(consumer, bounds, state):
            erasures = await self._make_durable(chunk, erasures)
        await self._recompute(hot_too=True)
        await asyncio.to_thread(self._store_progress)
        await asyncio.to_thread(self.replays.finish)

    async def _make_durable(self, chunk: Chunk, erasures: Erasures) -> Erasures:
        """Flush, recompute late keys when that is due, and store the progress."""
        flushed = await asyncio.to_thread(drive, flush_steps(chunk, (), 0, erasures), self.perform)
        if flushed.sweep:
            await asyncio.to_thread(drive, sweep_steps(), self.perform)
        self._commits.flushed(flushed.late, chunk.reached(), time.monotonic())
        self.done.records += chunk.records
        self.done.facts += len(chunk.columns)
        self.done.dead_letters += flushed.dead_letters
        self.done.erased += flushed.erased
        self.done.out_of_time += chunk.out_of_time
        self.done.without_schema += chunk.without_schema
        pending = self._commits.pending
        if pending.is_full or pending.due(time.monotonic(), Pace.BACKLOG):
            await self._recompute(hot_too=pending.is_full)  # a replay has nothing else that keeps their number down
        await asyncio.to_thread(self._store_progress)
        return flushed.erasures

    async def _recompute(self, *, hot_too: bool) -> None:
        began, pending = time.monotonic(), self._commits.pending
        keys = pending.take(began, hot_too=hot_too)
        if len(keys):
            await asyncio.to_thread(drive, recompute_steps(str(uuid.uuid4()), keys), self.perform)
        ended = time.monotonic()
        pending.done(ended, ended - began, self.clock().wall_ms)

    def _store_progress(self) -> None:
        passed = self._commits.take(self._readings)
        self.on_progress(self.replays.advance({p: reached.next_offset for p, reached in passed.items()}))
