"""The roller's part of a worker: which topics it asks for, and what it tells health."""

import asyncio
from collections.abc import Iterable

import pytest

from pipeline.core.effects import State
from pipeline.core.place import Place
from pipeline.core.progress import Progress, Started, WriteProgress, WriteStarts
from pipeline.runner import drive
from pipeline.worker.health import MISSING_SECONDS, NAMED, Health
from pipeline.worker.rolling import Rolling
from tests.support.fake_store import FakeStore
from tests.support.record import NOW_MS

OURS, THEIRS = "a-events", "b-events"
A0, B0 = Place(OURS, 0), Place(THEIRS, 0)


class Kafka:
    """Metadata that a test changes, and what is asked of them."""

    def __init__(self) -> None:
        self.there = {OURS: frozenset({A0}), THEIRS: frozenset({B0})}
        self.mine = frozenset({A0})
        self.asked: list[frozenset[str]] = []
        self.ends = {A0: 9, B0: 120}

    async def existing(self, topics: Iterable[str]) -> dict[str, frozenset[Place]]:
        self.asked.append(frozenset(topics))
        return {topic: self.there.get(topic, frozenset()) for topic in topics}

    async def assigned(self) -> frozenset[Place]:
        return self.mine

    async def ends_of(self, places: Iterable[Place]) -> dict[Place, int]:
        return {place: self.ends[place] for place in places if place in self.ends}


class Worker:
    def __init__(self) -> None:
        self.kafka, self.health = Kafka(), Health(10)
        self.store = FakeStore(clock_ms=lambda: NOW_MS, state=State(as_of_ms=NOW_MS - 60_000))
        self.rolling = Rolling(frozenset({OURS}), self.kafka, self.health)  # type: ignore[arg-type]

    async def roll(self) -> bool:
        rolled = drive(await self.rolling.steps(), self.store.perform)
        self.rolling.rolled(rolled)
        return rolled.more


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_what_somebody_else_has_begun_is_asked_for_from_the_next_roll_on(worker: Worker) -> None:
    async def play() -> None:
        worker.store.perform(WriteProgress((Progress(A0, 9, NOW_MS), Progress(B0, 5, NOW_MS))))
        assert await worker.roll()
        assert worker.store.state.as_of_ms == NOW_MS - 60_000
        await worker.roll()
        assert worker.kafka.asked == [{OURS}, {OURS, THEIRS}]
        assert worker.store.state.as_of_ms == NOW_MS

    asyncio.run(play())


def test_history_that_holds_as_of_is_a_reason_with_how_much_is_left_until_somebody_else_leads(worker: Worker) -> None:
    async def play() -> None:
        worker.store.perform(WriteProgress((Progress(A0, 9, NOW_MS),)))
        worker.store.perform(WriteStarts((Started(B0, 20, 1),)))
        await worker.roll()
        await worker.roll()
        assert await worker.rolling.leads()
        await worker.rolling.look(0)
        assert worker.health.history == {THEIRS: 100}
        assert worker.health.holding == (B0,)
        assert any("history of the topic b-events" in reason and "100" in reason for reason in worker.health.reasons(0))
        worker.kafka.mine = frozenset()
        assert not await worker.rolling.leads()
        await worker.rolling.look(0)
        assert not worker.health.history
        assert not worker.health.holding

    asyncio.run(play())


def test_a_topic_on_the_list_that_stays_missing_is_a_reason(worker: Worker) -> None:
    async def play() -> None:
        del worker.kafka.there[OURS]
        later_ms = int(MISSING_SECONDS * 1000) + 2
        for now_ms in (1, later_ms - 1):
            await worker.rolling.look(now_ms)
        assert not any("does not exist" in reason for reason in worker.health.reasons(later_ms - 1))
        assert any("a-events does not exist" in reason for reason in worker.health.reasons(later_ms))
        worker.kafka.there[OURS] = frozenset({A0})
        await worker.rolling.look(later_ms)
        assert worker.health.missing == {}

    asyncio.run(play())


def test_of_thousands_of_partitions_a_few_are_named() -> None:
    (reason,) = Health(10, holding=tuple(Place(OURS, n) for n in range(3000))).reasons(0)
    assert f"{OURS}/{NAMED - 1} and {3000 - NAMED} more" in reason
    assert len(reason) < 300
