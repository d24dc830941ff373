"""Who acts in the simulated world: workers and their zombies, rollers, replays, a rebuild, an erasure.

Every actor is a generator that stops between any two effects, and inside those that are not atomic. ``Flaw`` takes one
safeguard away.
"""

import random
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from pipeline.core.clocks import Moment
from pipeline.core.commits import Commits, Reached
from pipeline.core.effects import (
    CloseBuckets,
    CountStaged,
    Progress,
    RaiseState,
    ReadErasures,
    ReadState,
    RebuildBuckets,
    RecomputeLate,
    State,
    Steps,
    Synchronise,
)
from pipeline.core.erasure import order_erasure_steps, sweep_steps
from pipeline.core.flush import Batch, Chunk, Rules
from pipeline.core.late import MAX_PENDING_KEYS, Pace
from pipeline.core.late_keys import NO_KEYS
from pipeline.core.place import Place
from pipeline.core.protocol import flush_steps, progress_steps, rebuild_steps, recompute_steps, roll_steps
from pipeline.core.start import Offsets, Start, choose_start
from pipeline.core.watermark import partition_watermark
from tests.sim.lag import LAG, LAGGING, Server
from tests.sim.log import START, STEP, STEPS, Log, milliseconds
from tests.support.fake_store import FakeStore
from tests.support.places import P0

RULES = Rules(lateness_ms=0, future_skew_ms=10**12)
EPOCH = 1
"""A worker here reads its partition once; the next owner is another worker."""
Moves = Generator[None, None, Any]


class Flaw(StrEnum):
    """A safeguard that is missing."""

    NONE = "as designed"
    NO_CLOSING = "the roller does not announce closing"
    OLD_CLOSING = "late is decided by a closing from before the insert"
    UNSYNCHRONISED = "nobody has servers that lag see what was acknowledged"
    NO_RECOMPUTE = "late events are not recomputed"
    COMMIT_EARLY = "the offset is committed while recomputes are pending"
    COMMIT_FIRST = "the offset is committed before the facts are in"
    AS_OF_FIRST = "as_of is written with closing"
    LAST_WINS = "the last writer of a row wins"
    CONTENT_IGNORED = "facts and versions ignore content"
    SCALARS_FALL = "the last writer of a scalar wins"
    WATERMARK_FIRST = "the watermark is written before the facts it speaks for"
    LATE_GENERATION = "a rebuild raises the generation after its work"
    BARE_GENERATION = "an hour does not tell how many of its minutes are of its generation"
    STALE_GENERATION = "who writes rollups does not look whether the generation rose meanwhile"
    KEYS_UNCOUNTED = "who recomputes does not look whether its keys were there all the time"
    ERASE_UNSEEN = "who inserts does not look for erasures, and nobody sweeps"


class EarlyCommits(Commits):
    """Does not wait for recomputes: the rule of ``Flaw.COMMIT_EARLY``."""

    def take(self, readings: Mapping[Place, int]) -> dict[Place, Reached]:
        taken: dict[Place, Reached] = {}
        while self._waiting:
            taken |= {p: r for p, r in self._waiting.popleft()[1].items() if readings.get(p) == r.epoch}
        return taken


@dataclass
class Desk:
    """What the two halves of a worker share. ``clock`` counts monotonic seconds."""

    commits: Commits = field(default_factory=Commits)
    clock: float = 0.0


class Actors:
    """What actors are made of, and all that they share: the store, the log, the clock, who owns what."""

    def __init__(self, seed: int, flaw: Flaw) -> None:
        self.random, self.flaw = random.Random(seed), flaw
        self.store = FakeStore(
            last_wins=flaw is Flaw.LAST_WINS,
            content_ignored=flaw is Flaw.CONTENT_IGNORED,
            scalars_fall=flaw is Flaw.SCALARS_FALL,
            bare_generation=flaw is Flaw.BARE_GENERATION,
            clock_ms=lambda: self.now_ms,
        )
        self.now_ms = milliseconds(START)
        self.log = Log(self.random)
        self.log.write()
        self.servers = [Server(self.store) for _ in range(2)]
        self.visible = dict.fromkeys(self.log.partitions, 0)
        self.committed: dict[Place, int | None] = dict.fromkeys(self.log.partitions)
        self.owner = dict.fromkeys(self.log.partitions, 0)
        self.partitions = [P0]
        self._ids = 0

    def new_id(self) -> str:
        self._ids += 1
        return f"batch-{self._ids}"

    def perform(self, steps: Steps[Any]) -> Moves:
        """Drive a protocol, stopping between and inside its effects; flaws bend what it reads and writes."""
        answer: Any = None
        early, raised, generation = self.store.state, None, None
        while True:
            try:
                effect = steps.send(answer)
            except StopIteration as done:
                if raised is not None:
                    yield from self.store.steps(raised)
                return done.value
            yield
            if isinstance(effect, RaiseState) and effect.state.closing_ms and self.flaw is Flaw.NO_CLOSING:
                continue
            if isinstance(effect, RaiseState) and effect.state.generation and self.flaw is Flaw.LATE_GENERATION:
                raised = effect
                continue
            if isinstance(effect, RaiseState) and effect.state.closing_ms and self.flaw is Flaw.AS_OF_FIRST:
                effect = RaiseState(State(closing_ms=effect.state.closing_ms, as_of_ms=effect.state.closing_ms))
            if isinstance(effect, Synchronise) and self.flaw is not Flaw.UNSYNCHRONISED:
                yield from self._synchronise()
            lags = isinstance(effect, LAGGING) and self.random.random() < LAG
            answer = yield from (self.random.choice(self.servers) if lags else self.store).steps(effect)
            if isinstance(effect, ReadState) and self.flaw is Flaw.OLD_CLOSING:
                answer = early
            if isinstance(effect, CloseBuckets | RecomputeLate | RebuildBuckets):
                generation = effect.generation if generation is None else generation
            if isinstance(effect, ReadState) and self.flaw is Flaw.STALE_GENERATION and generation is not None:
                answer = replace(answer, generation=generation)
            if isinstance(effect, CountStaged) and self.flaw is Flaw.KEYS_UNCOUNTED:
                answer = MAX_PENDING_KEYS

    def _synchronise(self) -> Moves:
        """One server catches up after the other."""
        for server in self.random.sample(self.servers, len(self.servers)):
            server.catch_up()
            for _ in range(self.random.randint(1, 3)):
                yield

    def worker(self, place: Place, mine: int, desk: Desk) -> Moves:
        """The owner of a partition, or its zombie: what flushes and commits."""
        log_end = self.visible[place]
        stored = self.store.read_stored().get(place)
        start = choose_start(
            Offsets(self.committed[place], 0, max(log_end, stored.next_offset if stored else 0)), stored
        )
        assert isinstance(start, Start)
        position = start.offset
        erasures = yield from self.perform(_read_erasures())
        while True:
            now_ms = self.now_ms
            yield
            end = self.visible[place]
            yield
            taken = self.log.partitions[place][position : min(position + self.random.randint(0, 2), end)]
            if taken:
                following = taken[-1].offset + 1
                if self.flaw is Flaw.COMMIT_FIRST:
                    self.commit(place, mine, following)
                    yield
                chunk = Chunk()
                batch = Batch(place, EPOCH, position, following, taken, 0)
                chunk.add(batch, RULES, Moment(now_ms, now_ms), 0, desk.clock)
                if self.flaw is Flaw.WATERMARK_FIRST:
                    yield from self.perform(progress_steps(chunk.progress(), RULES.lateness_ms))
                flushed = yield from self.perform(flush_steps(chunk, chunk.progress(), RULES.lateness_ms, erasures))
                erasures = flushed.erasures
                if flushed.sweep and self.flaw is not Flaw.ERASE_UNSEEN:
                    yield from self.perform(sweep_steps())
                late = NO_KEYS if self.flaw is Flaw.NO_RECOMPUTE else flushed.late
                desk.commits.flushed(late, chunk.reached(), desk.clock)
                position = following
                yield
            if position >= end:
                mark = partition_watermark(now_ms, now_ms, RULES.lateness_ms)
                yield from self.perform(progress_steps([Progress(place, position, mark)], RULES.lateness_ms))
            desk.clock += 2.0
            if may_be := desk.commits.take({place: EPOCH}):
                self.commit(place, mine, may_be[place].next_offset)
            yield

    def recomputer(self, desk: Desk) -> Moves:
        """What brings a worker's late keys into the rollups, beside its flushes."""
        while True:
            pending = desk.commits.pending
            if pending.due(desk.clock, Pace.IDLE) and self.random.random() < 0.5:
                keys = pending.take(desk.clock)
                if len(keys):
                    yield from self.perform(recompute_steps(self.new_id(), keys))
                pending.done(desk.clock, 0.0)
            yield

    def commit(self, place: Place, mine: int, offset: int) -> None:
        """Kafka takes commits from the current owner only."""
        if self.owner[place] == mine:
            self.committed[place] = max(self.committed[place] or 0, offset)

    def roller(self) -> Moves:
        """Rolls, and now and then goes on with erasures."""
        while True:
            yield from self.perform(roll_steps(list(self.partitions)))
            yield
            if self.random.random() < 0.01 and self.flaw is not Flaw.ERASE_UNSEEN:
                yield from self.perform(sweep_steps())

    def replay(self) -> Moves:
        """Everything that is visible of a partition, flushed once more without a claim."""
        place = self.random.choice(self.partitions)
        taken = self.log.partitions[place][: self.visible[place]]
        chunk, commits = Chunk(is_second_reading=True), Commits()
        if taken:
            chunk.add(Batch(place, 0, 0, len(taken), taken, 0), RULES, Moment(self.now_ms, self.now_ms), 0, 0.0)
            erasures = yield from self.perform(_read_erasures())
            flushed = yield from self.perform(flush_steps(chunk, (), 0, erasures))
            if flushed.sweep and self.flaw is not Flaw.ERASE_UNSEEN:
                yield from self.perform(sweep_steps())
            commits.flushed(flushed.late, chunk.reached(), 0.0)
            if len(keys := commits.pending.take(0.0)):
                yield from self.perform(recompute_steps(self.new_id(), keys))

    def rebuild(self) -> Moves:
        """Mends what `corrupt` broke."""
        first, last = milliseconds(START) // 1000, milliseconds(START + STEP * STEPS) // 1000
        yield from self.perform(rebuild_steps(first, last))

    def erase(self) -> Moves:
        """Erases one organization up to now."""
        yield from self.perform(order_erasure_steps("a", self.now_ms))


def _read_erasures() -> Steps[Any]:
    erasures = yield ReadErasures()
    return erasures
