"""Where the simulated world is played: the store and its servers, the clock, who owns what; how a protocol is driven.

Every actor is a generator that stops between any two effects, and inside those that are not atomic. ``Flaw`` takes one
safeguard away.
"""

import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import Any

from pipeline.core.commits import Commits, Reached
from pipeline.core.computing import halves
from pipeline.core.effects import (
    Computing,
    CountStaged,
    Effect,
    RaiseState,
    ReadErasures,
    ReadState,
    State,
    Steps,
    Synchronise,
    WriteResync,
)
from pipeline.core.flush import Rules
from pipeline.core.late_keys import LateKeys
from pipeline.core.pending import MAX_PENDING_KEYS, RUNS, Pace, PendingRecomputes
from pipeline.core.place import Place
from pipeline.core.protocol import recompute_steps
from schemas.grain import MS_PER_SECOND
from schemas.limits import LONGEST_INSERT_SECONDS
from tests.sim.lag import LAG, LAGGING, Server
from tests.sim.log import START, milliseconds
from tests.support.fake_progress import ONE_LIFE, Lives
from tests.support.fake_store import FakeStore

RULES = Rules(lateness_ms=0, future_skew_ms=10**12)
EPOCH = 1
"""A worker here reads its partition once; the next owner is another worker."""
TOO_MUCH = 0.1
"""Share of statements over several buckets that are too much at once."""
BRISK, OF_WORLDS = 4, 8
"""Of so many worlds one is brisk: `as_of` keeps up with the time, statements hang, and clients ask often. Elsewhere it
stays behind so far that what a client has not seen yet is always listed, whatever is forgotten."""
HANGING, HANGS_MOVES = 0.2, 60
"""In a brisk world such a share of statements takes so many moves more, which is no longer than any may take."""
CLOCK_SECONDS = 20.0
"""A worker's clock goes on so far with each of its rounds: a late key rests for a few of them."""
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
    HALF_LOST = "of buckets that were too much at once the later half is not computed"
    RUNNING_SKIPPED = "a late key does not wait again for a fact that came while it ran"
    ERASURES_UNTOLD = "an erasure does not have copies read anew"
    PAGES_SHRINK = "a page that sees less than the first one promised is answered"
    ERASE_UNSEEN = "who inserts does not look for erasures, and nobody sweeps"


class EarlyCommits(Commits):
    """Does not wait for recomputes: the rule of ``Flaw.COMMIT_EARLY``."""

    def take(self, readings: Mapping[Place, int]) -> dict[Place, Reached]:
        taken: dict[Place, Reached] = {}
        while self._waiting:
            taken |= {p: r for p, r in self._waiting.popleft()[1].items() if readings.get(p) == r.epoch}
        return taken


class RunningSkipped(PendingRecomputes):
    """Does not have keys wait again that run: ``Flaw.RUNNING_SKIPPED``."""

    def add(self, keys: LateKeys, flush: int, now: float) -> None:
        super().add(keys, flush, now)
        for table in self._tables:
            table.flushes[table.ready == RUNS] = 0
        self._look()


@dataclass
class Desk:
    """What the two halves of a worker share. ``clock`` counts monotonic seconds."""

    commits: Commits = field(default_factory=Commits)
    clock: float = 0.0


class Stage:
    """What all actors share."""

    def __init__(self, seed: int, flaw: Flaw) -> None:
        self.random, self.flaw = random.Random(seed), flaw
        self._limits, self._lost = random.Random(f"limits of {seed}"), set[Computing]()
        self.is_brisk, self.whims = seed % OF_WORLDS == BRISK, random.Random(f"whims of {seed}")
        self.store = FakeStore(
            last_wins=flaw is Flaw.LAST_WINS,
            content_ignored=flaw is Flaw.CONTENT_IGNORED,
            scalars_fall=flaw is Flaw.SCALARS_FALL,
            bare_generation=flaw is Flaw.BARE_GENERATION,
            clock_ms=lambda: self.now_ms,
        )
        self.now_ms = milliseconds(START)
        self.servers = [Server(self.store) for _ in range(2)]
        self.strays: list[Moves] = []
        self.committed: dict[Place, int | None] = {}
        self.owner: dict[Place, int] = {}
        self._ids = 0

    def new_id(self) -> str:
        self._ids += 1
        return f"batch-{self._ids}"

    def perform(self, steps: Steps[Any], lives: Lives = ONE_LIFE) -> Moves:
        """Drive a protocol, stopping between and inside its effects; flaws bend what it reads and writes.

        ``lives`` are those of its topics, as who performs it knows them.
        """
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
            if isinstance(effect, WriteResync) and effect.org_id and self.flaw is Flaw.ERASURES_UNTOLD:
                continue
            if isinstance(effect, Synchronise) and self.flaw is not Flaw.UNSYNCHRONISED:
                yield from self._synchronise()
            lags = isinstance(effect, LAGGING) and self.random.random() < LAG
            source = self.random.choice(self.servers) if lags else self.store
            answer = yield from self._timely(effect, partial(source.steps, effect, lives))
            if isinstance(effect, ReadState) and self.flaw is Flaw.OLD_CLOSING:
                answer = early
            if isinstance(effect, Computing):
                generation = effect.generation if generation is None else generation
            if isinstance(effect, ReadState) and self.flaw is Flaw.STALE_GENERATION and generation is not None:
                answer = replace(answer, generation=generation)
            if isinstance(effect, CountStaged) and self.flaw is Flaw.KEYS_UNCOUNTED:
                answer = MAX_PENDING_KEYS

    def _timely(self, effect: Effect, ask: Callable[[], Moves]) -> Moves:
        """Have an effect done. A statement that took longer than any may is too much at once, or done again."""
        while True:
            began_ms = self.now_ms
            answer = yield from self._asked(effect, ask())
            is_slow = self.now_ms - began_ms > LONGEST_INSERT_SECONDS * MS_PER_SECOND
            if answer or not is_slow or not isinstance(effect, Computing):
                return answer
            if halves(effect):
                return True

    def _asked(self, effect: Effect, steps: Moves) -> Moves:
        """Have an effect done. Where it is too much at once, some of it is, then or later, or nothing."""
        self.stray()
        if isinstance(effect, Computing) and effect in self._lost:
            self._lost.discard(effect)
            return False
        if self.is_brisk and isinstance(effect, Computing) and self.whims.random() < HANGING:
            next(steps)
            for _ in range(HANGS_MOVES):
                yield
        if not halves(effect) or self._limits.random() > TOO_MUCH:
            return (yield from steps)
        for _ in range(self._limits.randint(1, 4)):  # it was sent: whoever looks for statements finds it
            next(steps, None)
            yield
        if self._limits.random() < 0.5:
            self.strays.append(steps)
        else:
            steps.close()
        if self.flaw is Flaw.HALF_LOST:
            self._lost.add(halves(effect)[1])
        return True

    def stray(self) -> None:
        """One of the statements whose senders have given up goes on."""
        if self.strays and self._limits.random() < 0.5:
            steps = self._limits.choice(self.strays)
            try:
                next(steps)
            except StopIteration:
                self.strays.remove(steps)

    def _synchronise(self) -> Moves:
        """One server catches up after the other."""
        for server in self.random.sample(self.servers, len(self.servers)):
            server.catch_up()
            for _ in range(self.random.randint(1, 3)):
                yield

    def recomputer(self, desk: Desk) -> Moves:
        """What brings a worker's late keys into the rollups, beside its flushes."""
        while True:
            pending = desk.commits.pending
            if pending.due(desk.clock, Pace.IDLE) and self.random.random() < 0.5:
                keys = pending.take(desk.clock)
                if len(keys):
                    yield from self.perform(recompute_steps(self.new_id(), keys))
                pending.done(desk.clock, 0.0, self.now_ms)
            yield

    def commit(self, place: Place, mine: int, offset: int) -> None:
        """Kafka takes commits from the current owner only."""
        if self.owner[place] == mine:
            self.committed[place] = max(self.committed.get(place) or 0, offset)


def read_erasures() -> Steps[Any]:
    erasures = yield ReadErasures()
    return erasures
