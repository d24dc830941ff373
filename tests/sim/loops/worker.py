"""A simulated worker: the real loops and the real ledger, in a process of its own that can be killed or frozen."""

import asyncio
import random
from collections.abc import Callable, Sequence

from pipeline.core.clocks import Clocks, Moment
from pipeline.core.commits import Commits
from pipeline.core.flush import Batch, FlushPolicy, Rules
from pipeline.core.ledger import Ledger
from pipeline.core.place import Place
from pipeline.core.progress import Started
from pipeline.core.protocol import start_steps
from pipeline.core.start import Stored
from pipeline.worker.health import Health
from pipeline.worker.lanes import Lanes
from pipeline.worker.pauses import Pauses
from pipeline.worker.seen import Seen
from tests.sim.loops.clickhouse import ClickHouse, SteppedRunner
from tests.sim.loops.flaws import COMMITS, LANES, LEDGERS, SEENS, Flaw
from tests.sim.loops.kafka import Group, Member
from tests.sim.loops.virtual import Process, VirtualLoop

RULES = Rules(lateness_ms=60_000, future_skew_ms=300_000)
OLD_BATCH, REPEATED_BATCH, BATCH_BEHIND_A_HOLE = "an old batch", "a repeated batch", "a batch behind a hole"
PAUSES = Pauses(tick=0.5, report=5.0, sweep=15.0, patience=4.0)
HEARD_MS = 30 * 60_000
POLICY = FlushPolicy(events=6, size_bytes=10**6, seconds=0.5)
BUSY, BUSY_SECONDS = 0.04, 12.0
"""How often, and for how long, the agent keeps what arrives waiting: also over a rebalance, or until all is read again.
"""


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
        note: Callable[[str], None],
        blame: Callable[[str], None],
        listed: frozenset[str],
        begun: Callable[[Sequence[Started]], None],
    ) -> None:
        self._flaw, self._pick, self._note, self._blame = flaw, pick, note, blame
        self.name, self.process, self.thread = name, Process(name), Process(f"{name}'s thread")
        self._loop, self._group = loop, group
        self._ids = 0
        ledger = LEDGERS.get(flaw, Ledger)()
        self._true_ms, self.set_by_ms = clock_ms, 0
        self._begun = begun
        self._clickhouse = clickhouse
        self.member = Member(
            loop, group, ledger, self.thread, pick, clock_ms, self._read_stored, listed, self._starting
        )
        self._runner = SteppedRunner(clickhouse, pick, self.moment)
        self.lanes = LANES.get(flaw, Lanes)(
            ledger=ledger,
            kafka=self.member,
            listed=listed,
            runner=self._runner,
            policy=POLICY,
            rules=RULES,
            seen=SEENS.get(flaw, Seen)(Health(0.0), self.moment, Clocks(HEARD_MS)),
            monotonic=loop.time,
            new_id=self._new_id,
            report=lambda *_: None,
            pauses=PAUSES,
            commits=COMMITS.get(flaw, Commits)(),
        )
        self.member.is_blocked = self.lanes.is_blocked
        self._loops: list[asyncio.Task[None]] = []

    def moment(self) -> Moment:
        """Now, by its machine's clocks: the wall clock is what somebody set it to."""
        now_ms = self._true_ms()
        return Moment(now_ms + self.set_by_ms, now_ms)

    def _new_id(self) -> str:
        self._ids += 1
        return f"{self.name}-{self._ids}"

    def _read_stored(self) -> "asyncio.Task[dict[Place, Stored]]":
        async def read() -> dict[Place, Stored]:
            await asyncio.sleep(0.01)
            return self._clickhouse.store.read_stored()

        return self._loop.spawn(self._clickhouse.process, read())

    async def _starting(self, starts: Sequence[Started]) -> None:
        """Have it stored that reading begins."""
        if starts:
            await self._runner.perform_steps(start_steps(starts))
        self._begun(starts)

    def start(self) -> None:
        self._loops = [self._loop.spawn(self.process, loop) for loop in self.lanes.loops()]
        self._loop.spawn(self.process, self._consume())
        self._loop.spawn(self.thread, self.member.fetch())
        self._group.join(self.member)

    async def _consume(self) -> None:
        """The Faust agent: a batch after the other."""
        nexts: dict[tuple[Place, int], int] = {}
        while True:
            await self.member.arrived.wait()
            self.member.arrived.clear()
            while self.member.batches:
                if not self.member.is_calm and self._pick.random() < BUSY:
                    await asyncio.sleep(BUSY_SECONDS * self._pick.random())
                    continue
                batch = self.member.batches.pop(0)
                if verdict := self._unfit(batch, nexts):
                    self._note(verdict)
                await self.lanes.offer(batch)

    def _unfit(self, batch: Batch, nexts: dict[tuple[Place, int], int]) -> str | None:
        """What is wrong with a batch, by a count of its own; ``nexts`` holds where each reading goes on."""
        reading = batch.place, batch.epoch
        if self.lanes.ledger.readings().get(batch.place) != batch.epoch:
            return OLD_BATCH
        expected = nexts.setdefault(reading, batch.start)
        if batch.start == expected:
            nexts[reading] = batch.next_offset
            return None
        return REPEATED_BATCH if batch.start < expected else BATCH_BEHIND_A_HOLE

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
        """Flush and commit. All that was collected is committed, where the group takes it and no answer is lost."""
        member, readings = self.member, self.lanes.ledger.readings()
        before = member.standing()
        member.is_over = self._flaw is not Flaw.SEEKS_AT_THE_END
        member.seek_once_more()
        self.lanes.stop()
        await asyncio.wait(self._loops)
        collected = self.lanes.chunk.reached()
        await self.lanes.drain()
        given_back = self.lanes.ledger.lost(self._loop.time(), PAUSES.patience)  # since a clock was set
        collected = {p: r for p, r in collected.items() if given_back.get(p, r.next_offset) >= r.next_offset}
        if member.is_current() and member.standing() == before:
            for p, reached in collected.items():
                if readings.get(p) == reached.epoch and self._group.committed.get(p, 0) < reached.next_offset:
                    self._blame(f"{self.name} left without committing {reached.next_offset} of {p}")
        self._group.leave(self.member)
        self.kill()
