"""A minute in which the real loops of two or three workers run while everything that can go wrong does.

A seed decides all of it: whose step is next, how long each takes, who is killed, frozen or told to leave, when
partitions are dealt out anew, when ClickHouse is away. Then the faults end, and all must come to be exact.
"""

import asyncio
import random

from pipeline.core.effects import Effect, FindErased, WriteProgress
from pipeline.core.erasure import order_erasure_steps
from pipeline.core.place import Place
from pipeline.worker.lanes import Lanes
from schemas.grain import Grain
from tests.sim.log import Record, milliseconds
from tests.sim.loops.clickhouse import ClickHouse, SteppedRunner
from tests.sim.loops.flaws import Flaw
from tests.sim.loops.kafka import Group, Member
from tests.sim.loops.log import START, WALL_SECONDS, Log
from tests.sim.loops.virtual import Process, VirtualLoop
from tests.sim.loops.worker import Worker
from tests.sim.verdict import verdict
from tests.support.fake_store import FakeStore
from tests.support.moments import at
from tests.support.places import P2

FAULTY_SECONDS, SETTLING_SECONDS = 60.0, 240.0
SESSION_SECONDS = 3.0
HOUR_MS, DAY_MS = Grain.HOUR.milliseconds, Grain.DAY.milliseconds
DAYS_LATER_MS = 2 * DAY_MS
ERASED = "b"
STEPS_MS = tuple(sign * ms for ms in (HOUR_MS, 20 * DAY_MS, 40 * DAY_MS) for sign in (-1, 1))


class World:
    """Everything outside the workers, and what must hold at every moment."""

    def __init__(self, seed: int, flaw: Flaw = Flaw.NONE) -> None:
        self.pick, self.flaw = random.Random(seed), flaw
        self.loop = VirtualLoop(self.pick)  # type: ignore[abstract]  # it has what these tasks need
        self.store, self.log = FakeStore(clock_ms=self.clock_ms), Log(self.pick)
        self.clickhouse = ClickHouse(self.loop, self.store, self.pick, self._effect_done)
        self.group = Group(self.log, self._sending, self._committing)
        self.outside, self.operator = Process("outside"), Process("operator")
        self.workers: list[Worker] = []
        self.lanes: dict[Member, Lanes] = {}
        self.killed_at: set[str] = set()
        self.hired = 0
        self.history: list[tuple[float, str]] = []
        self.problem: str | None = None
        self._later_ms = self._as_of_seen = 0
        self._checked: dict[Place, int] = {}
        self._sent: dict[tuple[Member, int, Place], int] = {}

    def clock_ms(self) -> int:
        return milliseconds(START) + int(self.loop.time() * WALL_SECONDS * 1000) + self._later_ms

    # -- what must hold at every moment -------------------------------------------------------------------------

    def note(self, what: str) -> None:
        self.history.append((self.loop.time(), what))

    def blame(self, problem: str) -> None:
        self.problem = self.problem or f"{problem} (at {self.loop.time():.2f})"

    def _effect_done(self, effect: Effect) -> None:
        self.note(type(effect).__name__)
        if self.store.state.as_of_ms < self._as_of_seen:
            self.blame("as_of went back")
        self._as_of_seen = self.store.state.as_of_ms
        if isinstance(effect, WriteProgress):
            for p in effect.progress:
                if not all(map(self._is_stored, self._below(p.place, p.next_offset))):
                    self.blame(f"progress of {p.place} speaks for records that are not stored")
                reached_ms = min(p.watermark_ms + effect.lateness_ms, self.clock_ms()) if p.watermark_ms else 0
                behind = self.log.partitions[p.place][p.next_offset :]
                if any(record.timestamp < reached_ms for record in behind if record is not None):
                    self.blame(f"the watermark of {p.place} passes records that nobody has read")

    def _sending(self, member: Member, offsets: dict[Place, int]) -> None:
        """Where nothing late is pending, all that is durable is committed."""
        lanes = self.lanes[member]
        durable = {} if len(lanes.commits.pending) else lanes.ledger.durable_offsets()
        if any(offset < durable.get(p, 0) for p, offset in offsets.items()):
            self.blame(f"{offsets} is committed where {dict(durable)} is durable and nothing is pending")

    def _committing(self, member: Member, offsets: dict[Place, int]) -> None:
        """What is committed is never read again: so it must be in, also in every bucket that is closed."""
        self.note(f"commit {sorted(offsets.items())}")
        for p, offset in offsets.items():
            reading = (member, self.group.generation, p)
            if offset < self._sent.get(reading, 0):
                self.blame(f"a worker's commits of {p} go back")
            self._sent[reading] = offset
            for record in self._below(p, offset)[self._checked.get(p, 0) :]:
                if not (self._is_stored(record) and self._is_counted(record)):
                    self.blame(f"committed {offset} of {p} before it was in")
            self._checked[p] = max(offset, self._checked.get(p, 0))

    def _below(self, place: Place, offset: int) -> list[tuple[Place, Record | None]]:
        return [(place, record) for record in self.log.partitions[place][:offset]]

    def _is_stored(self, placed: tuple[Place, Record | None]) -> bool:
        place, record = placed
        if record is None:
            return True
        if record.identity is None:
            return (place, record.offset) in self.store.letters
        is_erased = record.timestamp <= self.store.erasures.get(record.identity[1], -1)
        return is_erased or record.identity in self.store.facts

    def _is_counted(self, placed: tuple[Place, Record | None]) -> bool:
        """Whether a record's fact is in every bucket that readers may see; of what is being erased nothing is said."""
        record = placed[1]
        if record is None or record.identity is None or record.identity[1] in self.store.erasures:
            return True
        minute, org, *_ = record.identity
        fact = self.store.facts[record.identity]
        for grain in Grain:
            bucket = grain.floor(minute)
            if grain.is_closed(bucket, self.store.state.as_of_ms):
                row = self.store.rollups[grain].get((org, bucket))
                if row is None or fact not in row.facts:
                    return False
        return True

    # -- what happens -------------------------------------------------------------------------------------------

    def hire(self) -> Worker:
        self.hired += 1
        worker = Worker(
            name=f"w{self.hired}",
            loop=self.loop,
            group=self.group,
            clickhouse=self.clickhouse,
            pick=self.pick,
            clock_ms=self.clock_ms,
            flaw=self.flaw,
            note=self.note,
            blame=self.blame,
        )
        self.workers.append(worker)
        self.lanes[worker.member] = worker.lanes
        worker.start()
        return worker

    async def produce(self) -> None:
        while True:
            await asyncio.sleep(3.0 * self.pick.random())
            self.log.publish(self.clock_ms())

    async def faults(self) -> None:
        happenings = [self._kill, self._kill, self._freeze, self._freeze, self._replace, self._rebalance]
        happenings += [self._outage, self._add_partition, self._stick, self._set_clock]
        if self.pick.random() < 0.3:
            happenings.append(self._erase)
        while True:
            await asyncio.sleep(6.0 * self.pick.random())
            happening = happenings[self.pick.randrange(len(happenings))]
            self.note(happening.__name__)
            self.loop.spawn(self.outside, happening())

    def _some_worker(self) -> Worker | None:
        return self.workers[self.pick.randrange(len(self.workers))] if self.workers else None

    async def _kill(self) -> None:
        if worker := self._some_worker():
            self.workers.remove(worker)
            self.killed_at |= worker.under_way
            worker.kill()
            await asyncio.sleep(SESSION_SECONDS * self.pick.random())
            self.group.leave(worker.member)
            await asyncio.sleep(3.0 * self.pick.random())
            self.hire()

    async def _freeze(self) -> None:
        """A machine stands still. For longer than a session it goes on as a zombie, until it joins again."""
        if worker := self._some_worker():
            seconds = 4 * SESSION_SECONDS * self.pick.random() ** 2
            for process in (worker.process, worker.thread):
                process.frozen_until = self.loop.time() + seconds
            if seconds > SESSION_SECONDS:
                await asyncio.sleep(SESSION_SECONDS)
                self.group.leave(worker.member)
                await asyncio.sleep(seconds - SESSION_SECONDS + 2.0 * self.pick.random())
                if worker in self.workers:
                    self.group.join(worker.member)

    async def _replace(self) -> None:
        if worker := self._some_worker():
            self.workers.remove(worker)
            await asyncio.wait([worker.leave()])
            self.hire()

    async def _rebalance(self) -> None:
        self.group.rebalance()

    async def _outage(self) -> None:
        self.clickhouse.go_away(5.0 * self.pick.random())

    async def _stick(self) -> None:
        """A partition cannot be read, for shorter or longer than a session."""
        place = self.pick.choice(list(self.log.partitions))
        self.log.stuck.add(place)
        await asyncio.sleep(4 * SESSION_SECONDS * self.pick.random())
        self.log.stuck.discard(place)

    async def _set_clock(self) -> None:
        """Somebody sets a machine's clock, and later sets it right."""
        if worker := self._some_worker():
            worker.set_by_ms = self.pick.choice(STEPS_MS)
            await asyncio.sleep(10.0 * self.pick.random())
            worker.set_by_ms = 0

    async def _add_partition(self) -> None:
        if len(self.log.partitions) == 2:
            self.log.partitions[P2] = []
            await asyncio.sleep(2.0 * self.pick.random())
            self.group.rebalance()

    async def _erase(self) -> None:
        """An operator erases an organization, and may be interrupted."""
        if not self.log.erased:
            self.log.erased.add(ERASED)
            erasing = order_erasure_steps(ERASED, self.clock_ms())
            self.loop.spawn(
                self.operator,
                SteppedRunner(self.clickhouse, self.pick, lambda: at(self.clock_ms())).perform_steps(erasing),
            )
            await asyncio.sleep(self.pick.random())
            if self.pick.random() < 0.7:
                self.loop.kill(self.operator)

    # -- from the beginning to the end --------------------------------------------------------------------------

    def play(self) -> "World":
        producing = Process("producer")
        self.loop.spawn(producing, self.produce())
        self.loop.spawn(self.operator, self._start())
        weather = Process("weather")
        self.loop.spawn(weather, self.faults())
        self.loop.run(FAULTY_SECONDS, lambda: self.problem is not None)
        self.loop.kill(producing)
        self.loop.kill(weather)
        self.loop.run(FAULTY_SECONDS + 4 * SESSION_SECONDS + 5.0, lambda: self.problem is not None)
        self.clickhouse.is_calm = True
        for worker in self.workers:
            worker.member.is_calm = True
        self._later_ms = DAYS_LATER_MS
        self.loop.run(FAULTY_SECONDS + SETTLING_SECONDS, lambda: self.problem is not None or self.is_done())
        if self.is_done():
            self.loop.run(self.loop.time() + 3.0)
        self.loop.close()
        return self

    async def _start(self) -> None:
        for _ in range(self.pick.randint(2, 3)):
            self.hire()

    def is_done(self) -> bool:
        """Whether everything is committed and closed, and no erasure is left in the middle."""
        ends = {p: len(log) for p, log in self.log.partitions.items() if log}
        is_closed = self.store.state.as_of_ms >= milliseconds(START) + DAYS_LATER_MS
        return is_closed and self.group.committed.items() >= ends.items() and not self.store.perform(FindErased())

    def verdict(self) -> str | None:
        """What is wrong, or None when all is exact."""
        if self.problem:
            return self.problem
        if failures := self.loop.failures():
            return f"something raised: {failures[0]!r}"
        if not self.is_done():
            ends = [len(log) for log in self.log.partitions.values()]
            return f"unfinished: committed {self.group.committed} of {ends}, as_of {self.store.state.as_of_ms}"
        return verdict(self.log.truth(self.store.erasures), self.log.broken, self.store)


def run(seed: int, flaw: Flaw = Flaw.NONE) -> str | None:
    """Play one world and say what is wrong in the end; None when all is exact."""
    return World(seed, flaw).play().verdict()
