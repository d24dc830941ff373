"""A simulated worker: the real loops and the real ledger, in a process of its own that can be killed or frozen."""

import asyncio
import random
from collections.abc import Callable

from pipeline.core.commits import Commits
from pipeline.core.flush import FlushPolicy, Rules
from pipeline.core.ledger import Ledger
from pipeline.core.place import Place
from pipeline.core.start import Stored
from pipeline.worker.health import Health
from pipeline.worker.lanes import Lanes, Pauses
from tests.sim.loops.clickhouse import ClickHouse, SteppedRunner
from tests.sim.loops.flaws import COMMITS, LANES, LEDGERS, Flaw
from tests.sim.loops.kafka import Group, Member
from tests.sim.loops.virtual import Process, VirtualLoop

RULES = Rules(lateness_ms=60_000, future_skew_ms=10**12)
PAUSES = Pauses(tick=0.5, report=5.0, sweep=15.0, patience=4.0)
POLICY = FlushPolicy(events=6, size_bytes=10**6, seconds=0.5)
RETENTION_DAYS = 35


class Worker:
    """One worker from its start to its end."""

    def __init__(
        self,
        name: str,
        loop: VirtualLoop,
        group: Group,
        clickhouse: ClickHouse,
        pick: random.Random,
        clock_ms: Callable[[], int],
        flaw: Flaw,
    ) -> None:
        self.name, self.process, self.thread = name, Process(name), Process(f"{name}'s thread")
        self._loop, self._group = loop, group
        self._ids = 0
        ledger = LEDGERS.get(flaw, Ledger)()
        self.member = Member(loop, group, ledger, self.thread, pick, clock_ms, lambda: self._read_stored(clickhouse))
        self._runner = SteppedRunner(clickhouse, pick)
        self.lanes = LANES.get(flaw, Lanes)(
            ledger=ledger,
            kafka=self.member,
            runner=self._runner,
            policy=POLICY,
            rules=RULES,
            retention_days=RETENTION_DAYS,
            health=Health(0.0),
            clock_ms=clock_ms,
            monotonic=loop.time,
            new_id=self._new_id,
            report=lambda *_: None,
            pauses=PAUSES,
            commits=COMMITS.get(flaw, Commits)(),
        )
        self.member.is_blocked = self.lanes.is_blocked
        self._loops: list[asyncio.Task[None]] = []

    def _new_id(self) -> str:
        self._ids += 1
        return f"{self.name}-{self._ids}"

    def _read_stored(self, clickhouse: ClickHouse) -> "asyncio.Task[dict[Place, Stored]]":
        async def read() -> dict[Place, Stored]:
            await asyncio.sleep(0.01)
            return clickhouse.store.read_stored()

        return self._loop.spawn(clickhouse.process, read())

    def start(self) -> None:
        self._loops = [self._loop.spawn(self.process, loop) for loop in self.lanes.loops()]
        self._loop.spawn(self.process, self._consume())
        self._loop.spawn(self.thread, self.member.fetch())
        self._group.join(self.member)

    async def _consume(self) -> None:
        """The Faust agent: a batch after the other."""
        while True:
            await self.member.arrived.wait()
            self.member.arrived.clear()
            while self.member.batches:
                await self.lanes.offer(self.member.batches.pop(0))

    @property
    def under_way(self) -> set[str]:
        """The effects that it waits for."""
        return set(+self._runner.under_way)

    def kill(self) -> None:
        """Gone in the middle of whatever it did. The group notices later."""
        for process in (self.process, self.thread):
            self._loop.kill(process)

    def leave(self) -> "asyncio.Task[None]":
        """Stop as a worker stops that is told to."""
        return self._loop.spawn(self.process, self._leave())

    async def _leave(self) -> None:
        self.lanes.stop()
        await asyncio.wait(self._loops)
        await self.lanes.drain()
        self._group.leave(self.member)
        self.kill()
