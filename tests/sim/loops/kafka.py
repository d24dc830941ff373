"""Kafka for simulated workers: a group that deals out partitions, and each worker's side of it.

What Faust and the consumer's thread do is played here in short, with what may go wrong on the way: batches that are
dropped, repeated, or handed on after the partition has gone. Their code (pipeline/kafka) is not played.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.core.flush import Batch
from pipeline.core.ledger import Ledger
from pipeline.core.place import Place
from pipeline.core.progress import Started
from pipeline.core.start import Offsets, Start, Stored, choose_start
from pipeline.core.watermark import Idle
from tests.sim.loops.log import Log
from tests.sim.loops.virtual import Process, VirtualLoop

RECORDS_A_FETCH = 4
DROPPED, REPEATED = 0.02, 0.02
DROPPED_BY_A_REBALANCE = 0.5
COMMIT_LOST = 0.05


@dataclass(eq=False)
class Group:
    """The coordinator: who is a member, who owns what, and what is committed.

    ``on_send`` sees what a member is about to commit, ``on_commit`` what the group takes.
    """

    log: Log
    on_send: Callable[["Member", dict[Place, int]], None]
    on_commit: Callable[["Member", dict[Place, int]], None]
    members: list["Member"] = field(default_factory=list)
    generation: int = 0
    committed: dict[Place, int] = field(default_factory=dict)

    def rebalance(self) -> None:
        """Deal out the partitions anew; each member hears of it when it does."""
        self.generation += 1
        for member in self.members:
            mine = frozenset(p for n, p in enumerate(self.log.partitions) if self._owner_of(n, p) is member)
            member.hear(self.generation, mine)

    def _owner_of(self, number: int, place: Place) -> "Member | None":
        """Who is dealt a partition: one of those that list its topic."""
        those = [member for member in self.members if place.topic in member.listed]
        return those[number % len(those)] if those else None

    def join(self, member: "Member") -> None:
        if member not in self.members:
            self.members.append(member)
            self.rebalance()

    def leave(self, member: "Member") -> None:
        if member in self.members:
            self.members.remove(member)
            self.rebalance()


class Member:
    """A worker's side: what its consumer's thread and Faust do for the loops (``pipeline.worker.lanes.Log``)."""

    def __init__(
        self,
        loop: VirtualLoop,
        group: Group,
        ledger: Ledger,
        thread: Process,
        pick: random.Random,
        running_ms: Callable[[], int],
        read_stored: Callable[[], "asyncio.Task[dict[Place, Stored]]"],
        listed: frozenset[str],
        starting: Callable[[Sequence[Started]], Awaitable[None]],
    ) -> None:
        self.thread, self.listed = thread, listed
        self.lost: set[str] = set()
        """Topics that its metadata do not have for now."""
        self.is_blocked: Callable[[], bool] = lambda: False
        self.arrived = asyncio.Event()
        self.batches: list[Batch] = []
        self.is_calm = False
        self.is_over = False
        self._lost_commits = 0
        self._loop, self._group, self._ledger, self._pick = loop, group, ledger, pick
        self._running_ms, self._read_stored, self._starting = running_ms, read_stored, starting
        self._generation = 0
        self._assigned: frozenset[Place] = frozenset()
        self._positions: dict[Place, int] = {}

    # -- rebalances and fetching, in the thread -----------------------------------------------------------------

    def hear(self, generation: int, partitions: frozenset[Place]) -> None:
        self._loop.spawn(self.thread, self._take_over(generation, partitions))

    def seek_once_more(self) -> None:
        """What Faust does when nothing flows any more, as it is while a worker leaves."""
        self.hear(self._generation, self._assigned)

    async def _take_over(self, generation: int, partitions: frozenset[Place]) -> None:
        """Faust's assignment: forget what was read, find the starting points, begin."""
        await asyncio.sleep(self._pick.random())
        if generation < self._generation:
            return
        self._generation, self._assigned = generation, partitions
        if self.is_over:
            return
        self._ledger.stop(self._ledger.partitions)
        self.batches[:] = [b for b in self.batches if self._pick.random() >= DROPPED_BY_A_REBALANCE]
        committed = {p: self._group.committed.get(p) for p in partitions}
        stored = await self._read_stored()
        await asyncio.sleep(self._pick.random())
        await self._begin(generation, sorted(partitions - self._group.log.stuck), committed, stored)
        if self._generation != generation:
            return
        for p in sorted(partitions - self._ledger.partitions):
            self._loop.spawn(self.thread, self._begin_when_it_can(generation, p))

    async def _begin(
        self,
        generation: int,
        places: Sequence[Place],
        committed: Mapping[Place, int | None],
        stored: Mapping[Place, Stored],
    ) -> None:
        """Choose starting points, have them stored, and only then begin to read."""
        if self._generation != generation:
            return
        starts: dict[Place, int] = {}
        for p in places:
            start = choose_start(Offsets(committed[p], 0, len(self._group.log.partitions[p])), stored.get(p))
            assert isinstance(start, Start)
            assert not start.recreated
            starts[p] = start.offset
        counts = Counter(p.topic for p in self._group.log.partitions)
        await self._starting([Started(p, 0 if p in stored else starts[p], counts[p.topic]) for p in places])
        if self._generation != generation:
            return
        for p in places:
            self._positions[p] = starts[p]
            self._ledger.begin(p, starts[p], self._loop.time())

    async def _begin_when_it_can(self, generation: int, p: Place) -> None:
        """A partition that cannot be read yet is started by itself, as soon as it can be."""
        while p in self._group.log.stuck:  # noqa: ASYNC110 - it is looked at as the worker looks
            await asyncio.sleep(self._pick.random())
        committed, stored = self._group.committed.get(p), await self._read_stored()
        await self._begin(generation, [p], {p: committed}, stored)

    async def fetch(self) -> None:
        """Hand on what there is, a few records of each partition at a time."""
        while True:
            await asyncio.sleep(0.1 + 0.4 * self._pick.random())
            if not self.is_blocked():
                for p in sorted(self._ledger.partitions - self._group.log.stuck):
                    self._fetch(p)

    def _fetch(self, p: Place) -> None:
        position = self._positions[p]
        entries = self._group.log.partitions[p][position : position + self._pick.randint(1, RECORDS_A_FETCH)]
        records = [entry for entry in entries if entry is not None]
        self._positions[p] = position + len(entries)
        if not records:
            return
        batch = self._ledger.take(p, records, self._positions[p], len(records), self._loop.time())
        assert batch is not None
        luck = 1.0 if self.is_calm else self._pick.random()
        if luck >= DROPPED:
            self.batches += [batch] * (2 if luck < DROPPED + REPEATED else 1)
            self.arrived.set()

    # -- what the loops ask for ---------------------------------------------------------------------------------

    async def _hop(self) -> None:
        """To the thread, over the network, and back."""
        await asyncio.sleep(0.02 * self._pick.random())

    def standing(self) -> tuple[int, int]:
        """What changes when it has other partitions, and when a commit of its was lost."""
        return self._generation, self._lost_commits

    def is_current(self) -> bool:
        """Whether the group takes what it commits."""
        return self._generation == self._group.generation and self in self._group.members

    async def caught_up(self) -> dict[Place, Idle]:
        boot_ms = self._running_ms()
        await self._hop()
        ends = self._ends()
        await self._hop()
        return {
            p: Idle(boot_ms, self._positions[p])
            for p, end in ends.items()
            if self._positions[p] >= end and self._ledger.is_settled(p)
        }

    def _ends(self) -> dict[Place, int]:
        log = self._group.log
        return {p: len(log.partitions[p]) for p in sorted(self._ledger.partitions - log.stuck)}

    async def log_ends(self) -> dict[Place, int]:
        await self._hop()
        return self._ends()

    async def commit_offsets(self, offsets: dict[Place, int]) -> dict[Place, int] | None:
        self._group.on_send(self, offsets)
        await self._hop()
        if not self.is_current():
            self._lost_commits += 1
            return None
        ours = {p: offset for p, offset in offsets.items() if p in self._assigned}
        self._group.on_commit(self, ours)
        self._group.committed |= ours
        await self._hop()
        if not self.is_calm and self._pick.random() < COMMIT_LOST:
            self._lost_commits += 1
            return None
        return ours

    async def restart(self, place: Place, offset: int) -> None:
        await self._hop()
        if place in self._assigned & self._ledger.partitions:
            self._positions[place] = offset
            self._ledger.begin(place, offset, self._loop.time())

    async def start_forgotten(self) -> None:
        """An assignment is never forgotten here."""

    async def waiting(self) -> dict[Place, str]:
        return dict.fromkeys(self._assigned & self._group.log.stuck, "it cannot be read")

    async def assigned(self) -> frozenset[Place]:
        return self._assigned

    async def existing(self, topics: Iterable[str]) -> dict[str, frozenset[Place]]:
        await self._hop()
        there = [p for p in self._group.log.partitions if p.topic not in self.lost]
        return {topic: frozenset(p for p in there if p.topic == topic) for topic in topics}

    async def ends_of(self, places: Iterable[Place]) -> dict[Place, int]:
        await self._hop()
        return {p: len(self._group.log.partitions[p]) for p in places if p not in self._group.log.stuck}
