"""What the loops of a worker do to each other: flushes, what is said of idle partitions, and commits."""

import asyncio
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.core.effects import CountStaged, Effect, ReadErasures, ReadState, RecomputeLate, State
from pipeline.core.flush import FlushPolicy, Rules
from pipeline.core.late_keys import LateKeys
from pipeline.core.ledger import Ledger
from pipeline.core.pending import HURRY_SECONDS, MAX_PENDING_KEYS, SHORTEST_PAUSE_SECONDS, Pace
from pipeline.core.place import Place
from pipeline.core.progress import WriteProgress
from pipeline.core.watermark import Idle
from pipeline.runner import Threads
from pipeline.worker.health import Health
from pipeline.worker.lanes import LIVE_FLUSHES, Lanes
from pipeline.worker.seen import Seen
from tests.support.moments import at, reading
from tests.support.places import P0, TOPIC
from tests.support.record import NOW_MS, Record
from tests.unit.pipeline.core.test_flush import RULES, event

BEGIN = 100
CLOSED = State(closing_ms=NOW_MS)
"""All that was before now is closed, so every event of it is late."""


@dataclass
class Kafka:
    """Answers what it is told to, and notes what is committed."""

    idle: dict[Place, Idle] = field(default_factory=dict)
    committed: list[dict[Place, int]] = field(default_factory=list)
    asked: int = 0
    listed: asyncio.Event = field(default_factory=asyncio.Event)
    """Somebody is about to roll."""

    async def caught_up(self) -> dict[Place, Idle]:
        self.asked += 1
        return self.idle

    async def log_ends(self) -> dict[Place, int]:
        return {}

    async def commit_offsets(self, offsets: dict[Place, int]) -> dict[Place, int] | None:
        self.committed.append(dict(offsets))
        return offsets

    async def restart(self, place: Place, offset: int) -> None:
        raise AssertionError

    async def start_forgotten(self) -> None: ...

    async def waiting(self) -> dict[Place, str]:
        return {}

    async def assigned(self) -> frozenset[Place]:
        return frozenset({P0})

    async def existing(self, topics: Iterable[str]) -> dict[str, frozenset[Place]]:
        self.listed.set()
        return dict.fromkeys(topics, frozenset())

    async def ends_of(self, places: Iterable[Place]) -> dict[Place, int]:
        return {}


@dataclass
class ClickHouse:
    """Takes everything; writing of the progress ``held`` and recomputing wait until they are let."""

    state: State = field(default_factory=State)
    held: int = -1
    let: threading.Event = field(default_factory=threading.Event)
    waits: threading.Event = field(default_factory=threading.Event)

    def __call__(self, effect: Effect) -> Any:
        match effect:
            case ReadState():
                return replace(self.state, clock=reading(NOW_MS))
            case ReadErasures():
                return {}
            case WriteProgress(progress) if progress[0].next_offset == self.held:
                self._wait()
            case RecomputeLate():
                self._wait()
            case CountStaged():
                return MAX_PENDING_KEYS
        return None

    def _wait(self) -> None:
        self.waits.set()
        assert self.let.wait(10)


def lanes_on(kafka: Kafka, clickhouse: ClickHouse) -> Lanes:
    ledger = Ledger()
    ledger.begin(P0, BEGIN, time.monotonic())
    seen = Seen(Health(10), lambda: at(NOW_MS))
    seen.note(State(clock=reading(NOW_MS)))
    return Lanes(
        ledger=ledger,
        kafka=kafka,
        listed=frozenset({TOPIC}),
        runner=Threads(clickhouse),
        policy=FlushPolicy(1, 1, 0.0),
        rules=Rules(RULES.lateness_ms, RULES.future_skew_ms),
        seen=seen,
        monotonic=time.monotonic,
        new_id=lambda: "batch",
        report=lambda *_: None,
    )


async def read(lanes: Lanes, offset: int) -> None:
    """One record arrives."""
    record = Record(offset, event("2026-05-05T11:00:00Z", f"e{offset}"))
    batch = lanes.ledger.take(P0, [record], offset + 1, 100, time.monotonic())
    assert batch is not None
    await lanes.offer(batch)


def test_what_a_flush_makes_durable_while_an_idle_partition_is_told_is_committed_after_it() -> None:
    async def story() -> None:
        lanes = lanes_on(kafka, clickhouse)
        tick = asyncio.create_task(lanes.tick())
        assert await asyncio.to_thread(clickhouse.waits.wait, 10)
        await read(lanes, BEGIN)
        await lanes.flush()
        clickhouse.let.set()
        await tick

    kafka, clickhouse = Kafka(idle={P0: Idle(NOW_MS, BEGIN)}), ClickHouse(held=BEGIN)
    asyncio.run(story())
    assert kafka.committed == [{P0: BEGIN + 1}]


def test_a_flush_waits_for_no_answer_of_kafkas_and_is_committed_with_the_next_tick() -> None:
    async def story() -> None:
        lanes = lanes_on(kafka, ClickHouse())
        await read(lanes, BEGIN)
        await lanes.flush()
        assert kafka.committed == []
        await lanes.tick()

    kafka = Kafka()
    asyncio.run(story())
    assert kafka.committed == [{P0: BEGIN + 1}]


def test_a_late_event_is_committed_when_it_is_recomputed_and_not_before() -> None:
    async def story() -> None:
        lanes = lanes_on(kafka, clickhouse)
        await read(lanes, BEGIN)
        await lanes.flush()
        recompute = asyncio.create_task(lanes.recompute())
        assert await asyncio.to_thread(clickhouse.waits.wait, 10)
        await lanes.tick()
        assert kafka.committed == []
        clickhouse.let.set()
        await recompute
        await lanes.tick()

    kafka, clickhouse = Kafka(), ClickHouse(state=CLOSED)
    asyncio.run(story())
    assert kafka.committed == [{P0: BEGIN + 1}]


def test_who_leaves_commits_what_has_nothing_late_in_it_before_recomputing() -> None:
    async def story() -> None:
        lanes = lanes_on(kafka, clickhouse)
        await read(lanes, BEGIN)
        await lanes.flush()
        clickhouse.state = CLOSED
        await read(lanes, BEGIN + 1)
        drained = asyncio.create_task(lanes.drain())
        assert await asyncio.to_thread(clickhouse.waits.wait, 10)
        assert kafka.committed == [{P0: BEGIN + 1}]
        clickhouse.let.set()
        await drained

    kafka, clickhouse = Kafka(), ClickHouse()
    asyncio.run(story())
    assert kafka.committed[-1] == {P0: BEGIN + 2}


def test_who_leaves_recomputes_also_what_was_recomputed_a_moment_ago() -> None:
    async def story() -> None:
        lanes = lanes_on(kafka, clickhouse)
        clickhouse.let.set()
        for offset in (BEGIN, BEGIN + 1):
            await read(lanes, offset)
            await lanes.flush()
            await lanes.recompute()
        await lanes.drain()

    kafka, clickhouse = Kafka(), ClickHouse(state=CLOSED)
    asyncio.run(story())
    assert kafka.committed[-1] == {P0: BEGIN + 2}


def test_who_is_told_to_stop_asks_kafka_nothing_more() -> None:
    async def story() -> None:
        lanes = lanes_on(kafka, ClickHouse())
        ticking = asyncio.create_task(lanes._tick_loop())
        await asyncio.sleep(0)  # it waits for its time now
        lanes.stop()
        await asyncio.wait_for(ticking, 5)

    kafka = Kafka()
    asyncio.run(story())
    assert kafka.asked == 0


def test_some_records_under_way_are_no_backlog() -> None:
    lanes = lanes_on(Kafka(), ClickHouse())
    assert lanes._pace(is_idle=False) is Pace.BACKLOG, "nobody knows yet"
    for behind, pace in ((LIVE_FLUSHES, Pace.LIVE), (LIVE_FLUSHES + 1, Pace.BACKLOG)):  # a flush is of one event here
        lanes.seen.health.partitions(frozenset({P0}), {P0: BEGIN}, {P0: BEGIN + behind}, NOW_MS)
        assert lanes._pace(is_idle=False) is pace
    assert lanes._pace(is_idle=True) is Pace.IDLE


def test_the_worker_that_has_partition_0_rolls_also_while_it_cannot_be_read() -> None:
    async def story() -> None:
        lanes = lanes_on(kafka, clickhouse)
        lanes.ledger.stop([P0])
        rolling = asyncio.create_task(lanes._roll_loop())
        async with asyncio.timeout(10):
            await kafka.listed.wait()
        lanes.stop()
        await asyncio.wait_for(rolling, 10)

    kafka, clickhouse = Kafka(), ClickHouse(state=CLOSED)
    asyncio.run(story())


def test_a_log_that_ends_with_what_is_no_record_is_read_to_its_end() -> None:
    async def story() -> None:
        lanes = lanes_on(Kafka(idle={P0: Idle(NOW_MS, BEGIN + 3)}), ClickHouse())
        await read(lanes, BEGIN)
        await lanes.tick()
        assert lanes.ledger.durable_offsets() == {P0: BEGIN}, "a record is under way"
        await lanes.flush()
        await lanes.tick()  # behind it lies an aborted transaction
        assert lanes.ledger.durable_offsets() == {P0: BEGIN + 3}
        await read(lanes, BEGIN + 3)
        await lanes.flush()
        assert lanes.ledger.durable_offsets() == {P0: BEGIN + 4}

    asyncio.run(story())


def test_after_a_rebalance_no_late_key_rests_for_long() -> None:
    """What was read and not committed is read again with each: offsets wait for keys, and keys must not for long."""

    async def story() -> None:
        now, old = 1000.0, LateKeys.listed((NOW_MS // 60_000 - 360, "a"))
        lanes = lanes_on(Kafka(), ClickHouse())
        lanes.monotonic = lambda: now
        pending = lanes.commits.pending
        await lanes.tick()
        now += HURRY_SECONDS
        pending.add(old, 1, now)
        pending.take(now)
        pending.done(now, 0, NOW_MS)
        pending.add(old, 2, now)
        await lanes.tick()
        now += SHORTEST_PAUSE_SECONDS
        assert not pending.due(now, Pace.IDLE), "it rests"
        lanes.ledger.begin(P0, BEGIN, now)
        await lanes.tick()
        now += Pace.IDLE.value
        assert pending.due(now, Pace.IDLE)

    asyncio.run(story())
