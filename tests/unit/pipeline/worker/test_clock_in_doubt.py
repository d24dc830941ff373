"""What the loops of a worker leave alone while its clock is in doubt, and what becomes of what it judged by it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pipeline.core.clocks import Moment
from pipeline.core.effects import Effect, FindErased, InsertFacts, RaiseState, ReadState, State
from pipeline.core.flush import FlushPolicy, Rules
from pipeline.core.ledger import Ledger
from pipeline.core.place import Place
from pipeline.core.progress import WriteProgress
from pipeline.core.watermark import Idle
from pipeline.runner import Runner, drive
from pipeline.worker.health import Health
from pipeline.worker.lanes import Lanes
from pipeline.worker.pauses import Pauses
from pipeline.worker.seen import Seen
from tests.support.fake_store import FakeStore
from tests.support.moments import reading
from tests.support.places import P0, P1, TOPIC
from tests.support.record import NOW_MS, Record
from tests.unit.pipeline.core.test_flush import event
from tests.unit.pipeline.worker.test_lanes import Kafka

HOUR_MS = 3_600_000


class Restarts(Kafka):
    def __init__(self, idle: dict[Place, Idle]) -> None:
        super().__init__(idle=idle)
        self.restarted: dict[Place, int] = {}

    async def restart(self, place: Place, offset: int) -> None:
        self.restarted[place] = offset

    async def existing(self, topics: Iterable[str]) -> dict[str, frozenset[Place]]:
        return dict.fromkeys(topics, frozenset({P0, P1}))


@dataclass
class Machine(Runner):
    """A worker whose clock can be set, on ClickHouse whose clock is right. Notes effects."""

    kafka: Restarts = field(default_factory=lambda: Restarts({}))
    set_by_ms: int = 0
    boot_ms: int = 0
    done: list[Effect] = field(default_factory=list)
    store: FakeStore = field(default_factory=FakeStore)

    def __post_init__(self) -> None:
        self.store.clock_ms = lambda: NOW_MS + self.boot_ms
        ledger = Ledger()
        for place in (P0, P1):
            ledger.begin(place, 0, 0.0)
        self.lanes = Lanes(
            ledger=ledger,
            kafka=self.kafka,
            listed=frozenset({TOPIC}),
            runner=self,
            policy=FlushPolicy(100, 10**6, 0.0),
            rules=Rules(10_000, 300_000),
            seen=Seen(Health(10), self.moment),
            monotonic=lambda: self.boot_ms / 1000,
            new_id=lambda: "batch",
            report=lambda *_: None,
            pauses=Pauses(sweep=0.001),
        )
        self.lanes.seen.note(self._perform(ReadState()))

    def moment(self) -> Moment:
        return Moment(NOW_MS + self.boot_ms + self.set_by_ms, self.boot_ms)

    def _perform(self, effect: Effect) -> Any:
        self.done.append(effect)
        if isinstance(effect, ReadState):
            before = self.moment()
            state: State = self.store.perform(effect)
            theirs = reading(state.clock.theirs_ms, before.wall_ms)
            return State(state.as_of_ms, state.closing_ms, 0, 0, type(theirs)("a", theirs.theirs_ms, before, 0))
        return self.store.perform(effect)

    async def perform_steps(self, steps: Any) -> Any:
        await asyncio.sleep(0)
        return drive(steps, self._perform)

    async def call(self, work: Any, /, *args: Any) -> Any:
        return work(*args)

    async def read(self, place: Place, *offsets: int) -> None:
        """Events of this moment arrive, one fetch for each."""
        for offset in offsets:
            at = f"2026-05-05T{12 + self.boot_ms // HOUR_MS:02}:00:00Z"
            batch = self.lanes.ledger.take(place, [Record(offset, event(at))], offset + 1, 100, 0.0)
            assert batch is not None
            await self.lanes.offer(batch)

    def did(self, kind: type[Effect]) -> list[Any]:
        return [effect for effect in self.done if isinstance(effect, kind)]


def test_what_a_wrong_clock_judged_is_read_again_with_what_was_collected_behind_it() -> None:
    machine = Machine()
    lanes = machine.lanes

    async def story() -> None:
        await machine.read(P1, 0)
        await lanes.flush()
        machine.set_by_ms = -HOUR_MS
        await machine.read(P0, 0, 1)
        flushing = asyncio.create_task(lanes.flush())
        await asyncio.sleep(0)  # its chunk is taken; behind that, others arrive
        machine.set_by_ms = 0
        await machine.read(P1, 1)
        await machine.read(P0, 2)
        await flushing
        await lanes.tick()

    asyncio.run(story())
    assert machine.kafka.restarted == {P0: 0, P1: 1}
    assert machine.store.letters == {}
    assert {e.progress[0].place for e in machine.did(WriteProgress)} == {P1}, "nothing is claimed of what was judged"
    assert lanes.ledger.undurable_bytes == 0
    assert len(lanes.chunk.batches) == 0
    assert machine.kafka.committed == [{P1: 1}]


def test_what_does_not_rest_on_the_clock_goes_on_while_it_is_in_doubt() -> None:
    machine = Machine(Restarts({P0: Idle(5, 0), P1: Idle(5, 0)}))
    lanes = machine.lanes

    async def story() -> None:
        await lanes.tick()
        assert [p.watermark_ms for p in machine.did(WriteProgress)[0].progress] == [NOW_MS + 5 - 10_000] * 2
        assert not lanes.is_blocked()
        machine.set_by_ms, machine.boot_ms = HOUR_MS, 60_000
        assert lanes.is_blocked()
        await lanes.tick()
        sweeping = asyncio.create_task(lanes._sweep_loop())
        await asyncio.sleep(0.05)
        await lanes._roll()
        lanes.stop()
        await sweeping

    asyncio.run(story())
    assert len(machine.did(WriteProgress)) == 1
    assert machine.did(FindErased) == []
    assert machine.did(RaiseState)
    assert any("was set by +3600" in reason or "ahead of" in reason for reason in lanes.seen.health.reasons(60_000))


def test_no_idleness_is_claimed_for_a_time_of_the_clock_that_is_ahead() -> None:
    """It was set in an outage, longer ago than the step is held for, and nobody has read ClickHouse's since."""
    machine = Machine(Restarts({P0: Idle(100_000, 0)}))
    machine.set_by_ms = HOUR_MS
    assert machine.lanes.is_blocked()
    machine.boot_ms = 100_000
    asyncio.run(machine.lanes.tick())
    (claimed,) = machine.did(WriteProgress)
    assert claimed.progress[0].watermark_ms == NOW_MS + 100_000 - 10_000
    assert machine.did(InsertFacts) == []
