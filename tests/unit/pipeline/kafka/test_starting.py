"""From an assignment to the first fetch, without Kafka: until it works, once, and not forgotten."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from aiokafka import TopicPartition

from pipeline.core import waiting
from pipeline.core.ledger import Ledger
from pipeline.core.place import Place
from pipeline.core.start import Gap, Offsets, Start
from pipeline.core.waiting import Cause, Waiting
from pipeline.errors import SinkUnavailable
from pipeline.kafka import starting
from pipeline.kafka.starting import FORGOTTEN_SECONDS, Starting
from tests.support.places import P0, P1, P2, P3, TOPIC

Choose = Callable[[Mapping[Place, Offsets]], Mapping[Place, Start | Gap]]


class Consumer:
    """A consumer without Kafka: an assignment, and where it was sought to."""

    def __init__(self, *assigned: int) -> None:
        self.assigned, self.sought = set(assigned), dict[int, int]()
        self.leaderless = frozenset[Place]()

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(TOPIC, p) for p in self.assigned}

    def seek(self, tp: TopicPartition, offset: int) -> None:
        assert tp in self.assignment(), "aiokafka raises IllegalStateError"
        self.sought[tp.partition] = offset


def choose(offsets: Mapping[Place, Offsets]) -> Mapping[Place, Start]:
    return {p: Start(5) for p in offsets}


class Failing:
    """A choice that fails as often as it is told to."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def __call__(self, offsets: Mapping[Place, Offsets]) -> Mapping[Place, Start]:
        if self.errors:
            raise self.errors.pop(0)
        return choose(offsets)


@pytest.fixture(autouse=True)
def _offsets_without_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read_offsets(consumer: Any, places: frozenset[Place]) -> tuple[dict[Place, Offsets], dict[Place, Cause]]:
        known = {p: Offsets(None, 0, 10) for p in places - consumer.leaderless}
        return known, {p: Cause("no leader", "wait", passes=True) for p in places & consumer.leaderless}

    monkeypatch.setattr(starting, "read_offsets", read_offsets)
    monkeypatch.setattr(starting, "START_RETRY_SECONDS", 0)
    monkeypatch.setattr(waiting, "FIRST_PAUSE_SECONDS", 0.001)


def raised(error: BaseException) -> None:
    raise error


def new(choice: Choose = choose, fatal: Callable[[BaseException], None] = raised) -> Starting:
    return Starting(Ledger(), Waiting(), choice, fatal, time.monotonic)


async def started(ours: Starting, consumer: Consumer) -> None:
    ours.begin(consumer)
    assert ours._task is not None
    await ours._task


async def waits(ours: Starting) -> None:
    """Until a partition waits for something."""
    while not ours.waiting.places:  # noqa: ASYNC110 - nobody else needs an event for it
        await asyncio.sleep(0)


@pytest.mark.parametrize("errors", [(), (SinkUnavailable("away"), SinkUnavailable("again"))])
def test_what_is_assigned_is_read_from_its_starting_point_as_soon_as_that_is_known(errors: tuple[Exception]) -> None:
    ours, consumer = new(Failing(*errors)), Consumer(0, 1)
    asyncio.run(started(ours, consumer))
    assert consumer.sought == {0: 5, 1: 5}
    assert ours.ledger.durable_offsets() == {P0: 5, P1: 5}


def test_any_other_error_ends_the_worker() -> None:
    problems: list[BaseException] = []
    ours = new(Failing(ValueError("a bug")), problems.append)
    asyncio.run(started(ours, Consumer(0)))
    assert [str(p) for p in problems] == ["a bug"]
    assert ours.ledger.partitions == frozenset()


def test_nothing_is_read_from_the_moment_of_a_new_assignment() -> None:
    async def run() -> frozenset[Place]:
        ours = new()
        ours.ledger.begin(P3, 0, now=0.0)
        ours.begin(Consumer(0))
        return ours.ledger.partitions

    assert asyncio.run(run()) == frozenset()


def test_a_worker_that_leaves_keeps_its_readings_when_faust_seeks_once_more() -> None:
    ours = new()
    ours.ledger.begin(P0, 0, now=0.0)
    before = ours.ledger.readings()
    ours.is_over = True
    ours.begin(Consumer(0))
    assert ours.ledger.readings() == before != {}


def test_a_start_that_a_rebalance_has_overtaken_seeks_nothing() -> None:
    consumer = Consumer(0, 1)

    def rebalance(offsets: Mapping[Place, Offsets]) -> Mapping[Place, Start]:
        consumer.assigned = {1, 2}
        return choose(offsets)

    ours = new(rebalance)
    asyncio.run(started(ours, consumer))
    assert (consumer.sought, ours.ledger.partitions) == ({}, frozenset())


def test_a_newer_start_abandons_the_earlier_one() -> None:
    async def run() -> tuple[dict[int, int], bool]:
        ours, consumer = new(), Consumer(0)
        ours.begin(consumer)
        first = ours._task
        assert first is not None
        consumer.assigned = {1}
        await started(ours, consumer)
        return consumer.sought, first.cancelled()

    assert asyncio.run(run()) == ({1: 5}, True)


def test_a_partition_that_is_assigned_and_not_read_is_started_again() -> None:
    async def run() -> list[bool]:
        ours, consumer = new(), Consumer(0, 1)
        ours.ledger.begin(P0, 0, now=0)
        began: list[bool] = []
        for now in (0.0, FORGOTTEN_SECONDS - 1, FORGOTTEN_SECONDS + 1):
            ours.start_forgotten(consumer, now)
            began.append(ours._task is not None)
        return began

    assert asyncio.run(run()) == [False, False, True]


def test_what_is_being_started_is_not_forgotten() -> None:
    async def run() -> tuple[bool, dict[int, int]]:
        ours, consumer = new(), Consumer(0)
        ours.begin(consumer)
        first = ours._task
        for now in (0.0, FORGOTTEN_SECONDS + 1, 3 * FORGOTTEN_SECONDS):
            ours.start_forgotten(consumer, now)
        assert first is not None
        await first
        return ours._task is first, consumer.sought

    assert asyncio.run(run()) == (True, {0: 5})


def test_partitions_that_are_read_in_between_begin_a_new_wait() -> None:
    async def run() -> bool:
        ours, consumer = new(), Consumer(0)
        ours.start_forgotten(consumer, 0.0)
        ours.ledger.begin(P0, 0, now=0.0)
        ours.start_forgotten(consumer, FORGOTTEN_SECONDS)
        ours.ledger.stop([P0])
        ours.start_forgotten(consumer, FORGOTTEN_SECONDS + 1)
        return ours._task is None

    assert asyncio.run(run())


def test_only_what_is_assigned_and_read_is_read_again_from_an_offset() -> None:
    ours, consumer = new(), Consumer(0, 1)
    for place in (P0, P2):
        ours.ledger.begin(place, 5, now=0.0)
    for place in (P0, P1, P2):
        ours.restart(consumer, place, 3, now=1.0)
    assert consumer.sought == {0: 3}
    assert ours.ledger.durable_offsets() == {P0: 3, P2: 5}


def test_a_partition_that_cannot_start_keeps_no_other_and_starts_when_it_can() -> None:
    async def run() -> None:
        ours, consumer = new(), Consumer(0, 1)
        consumer.leaderless = frozenset({P1})
        ours.begin(consumer)
        assert ours._task is not None
        while not consumer.sought:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert (consumer.sought, ours.waiting.places) == ({0: 5}, frozenset({P1}))
        for now in (0.0, FORGOTTEN_SECONDS + 1, 3 * FORGOTTEN_SECONDS):
            ours.start_forgotten(consumer, now)
        assert ours.ledger.partitions == {P0}, "nothing was started again for it"
        consumer.leaderless = frozenset()
        await ours._task
        assert (consumer.sought, ours.waiting.places) == ({0: 5, 1: 5}, frozenset())

    asyncio.run(run())


def test_a_gap_holds_its_partition_alone_until_somebody_accepts_it() -> None:
    accepted: list[bool] = []

    def choice(offsets: Mapping[Place, Offsets]) -> Mapping[Place, Start | Gap]:
        return {p: Start(9) if p == P0 or accepted else Gap(5, 9) for p in offsets}

    async def run() -> None:
        ours, consumer = new(choice), Consumer(0, 1)
        ours.begin(consumer)
        assert ours._task is not None
        await waits(ours)
        (sentence,) = ours.waiting.sentences(0.0).values()
        assert "partition message-events/1 waits at offset 5: the offsets 5 to 8 were deleted from the log" in sentence
        assert "`msgmetrics skip message-events/1/5-8`" in sentence
        assert consumer.sought == {0: 9}
        accepted.append(True)
        await ours._task
        assert consumer.sought == {0: 9, 1: 9}

    asyncio.run(run())


def test_a_partition_whose_records_are_gone_is_started_anew_by_itself() -> None:
    async def run() -> None:
        ours, consumer = new(), Consumer(0, 1)
        await started(ours, consumer)
        before = ours.ledger.readings()
        ours.begin_one(consumer, P1)
        assert ours.ledger.partitions == {P0}
        assert ours._task is not None
        await ours._task
        assert ours.ledger.readings()[P0] == before[P0]
        assert ours.ledger.readings()[P1] > before[P1]
        ours.begin_one(consumer, P2)
        assert ours.ledger.partitions == {P0, P1}, "it is not assigned"

    asyncio.run(run())
