"""A minute in which the real loops of two or three workers run while everything that can go wrong does.

A seed decides all of it: whose step is next, how long each takes, who is killed, frozen or told to leave, when
partitions are dealt out anew, when ClickHouse is away. Then the faults end, and all must come to be exact.
"""

import asyncio

from pipeline.core.effects import FindErased
from pipeline.core.erasure import order_erasure_steps
from pipeline.core.place import Place
from schemas.grain import Grain
from tests.sim.log import milliseconds
from tests.sim.loops.clickhouse import ClickHouse, SteppedRunner
from tests.sim.loops.flaws import Flaw
from tests.sim.loops.laws import Laws
from tests.sim.loops.log import START
from tests.sim.loops.virtual import Process
from tests.sim.loops.worker import Worker
from tests.sim.verdict import verdict
from tests.support.moments import at
from tests.support.places import P2, TOPIC

FAULTY_SECONDS, SETTLING_SECONDS = 60.0, 240.0
SESSION_SECONDS = 3.0
HOUR_MS, DAY_MS = Grain.HOUR.milliseconds, Grain.DAY.milliseconds
DAYS_LATER_MS = 2 * DAY_MS
ERASED = "b"
ADDED = tuple(Place("added-events", number) for number in range(2))
LISTS = frozenset({TOPIC}), frozenset({TOPIC, ADDED[0].topic})
STEPS_MS = tuple(sign * ms for ms in (HOUR_MS, 20 * DAY_MS, 40 * DAY_MS) for sign in (-1, 1))


class World(Laws):
    """Everything outside the workers."""

    def __init__(self, seed: int, flaw: Flaw = Flaw.NONE) -> None:
        super().__init__(seed)
        self.flaw = flaw
        self.clickhouse = ClickHouse(self.loop, self.store, self.pick, self._effect_done)
        self.outside, self.operator = Process("outside"), Process("operator")
        self.workers: list[Worker] = []
        self.killed_at: set[str] = set()
        self.hired = 0
        self.added_at = FAULTY_SECONDS * self.pick.random() if self.pick.random() < 0.5 else None
        if self.added_at is not None:
            self.log.partitions |= {place: [] for place in ADDED[: self.pick.randint(1, 2)]}

    # -- what happens -------------------------------------------------------------------------------------------

    def hire(self, listed: frozenset[str] | None = None) -> Worker:
        self.hired += 1
        may_list_both = self.added_at is not None and self.loop.time() >= self.added_at
        listed = listed or (self.pick.choice(LISTS) if may_list_both else LISTS[0])
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
            listed=listed,
            begun=self._begun,
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
        if self.added_at is not None:
            happenings += [self._lose_topic] * 2
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

    async def _lose_topic(self) -> None:
        """A topic is missing from the metadata of a worker for a while."""
        if worker := self._some_worker():
            topic = self.pick.choice(sorted(LISTS[1]))
            worker.member.lost.add(topic)
            await asyncio.sleep(10.0 * self.pick.random())
            worker.member.lost.discard(topic)

    async def _set_clock(self) -> None:
        """Somebody sets a machine's clock, and later sets it right."""
        if worker := self._some_worker():
            worker.set_by_ms = self.pick.choice(STEPS_MS)
            await asyncio.sleep(10.0 * self.pick.random())
            worker.set_by_ms = 0

    async def _add_partition(self) -> None:
        if P2 not in self.log.partitions:
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
        if self.added_at is not None:
            self.loop.spawn(self.outside, self._list_both())
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

    async def _list_both(self) -> None:
        """Some worker reads all topics in the end."""
        self.hire(LISTS[1])

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
