"""What is asked of the log and committed, without Kafka: careful commits, limited in time."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED
from aiokafka.errors import KafkaTimeoutError, TopicAuthorizationFailedError
from aiokafka.structs import OffsetAndMetadata

from pipeline.core.ledger import Ledger
from pipeline.core.place import Place
from pipeline.core.start import Offsets
from pipeline.core.watermark import Idle
from pipeline.kafka import offsets
from pipeline.kafka.offsets import caught_up, commit, log_ends, position_of, read_offsets
from tests.support.places import P0, P1, P2, TOPIC

TOPIC_ID = "00000000-0000-0000-0000-000000000007"


def tp(number: int) -> TopicPartition:
    return TopicPartition(TOPIC, number)


class Fetcher:
    """A fetcher that sees other ends at other isolation levels: behind offset 8 is an open transaction."""

    _isolation_level = READ_COMMITTED

    async def end_offsets(self, tps: list[TopicPartition], timeout_ms: int | None) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, 10 if self._isolation_level == READ_UNCOMMITTED else 8)


class Consumer:
    """A consumer without Kafka: a group that is being joined or not, an assignment, and positions."""

    def __init__(self, *, rebalancing: bool = False, assigned: dict[int, int | None]) -> None:
        self.sent: list[Any] = []
        self._assigned, self._fetcher, self.hangs = {tp(p) for p in assigned}, Fetcher(), False
        self.forbidden = set[str]()
        self.silent, self.leaderless = set[TopicPartition](), set[TopicPartition]()
        self._client = SimpleNamespace(
            cluster=SimpleNamespace(leader_for_partition=lambda tp: -1 if tp in self.leaderless else 1),
            get_random_node=lambda: 1,
            send=self._send,
        )
        states = {
            tp(p): SimpleNamespace(has_valid_position=position is not None, position=position)
            for p, position in assigned.items()
        }
        assignment = SimpleNamespace(tps=self._assigned, state_value=states.get)
        self._subscription = SimpleNamespace(
            reassignment_in_progress=rebalancing, subscription=SimpleNamespace(assignment=assignment)
        )
        self._coordinator = SimpleNamespace(
            need_rejoin=lambda _: False, _do_commit_offsets=self._commit, fetch_committed_offsets=self._committed
        )

    async def _send(self, node: int, question: Any) -> Any:
        """What a broker says of topics; it has none but TOPIC."""
        return SimpleNamespace(topics=[(0, TOPIC, 0, 7, False, [])])

    def assignment(self) -> set[TopicPartition]:
        return self._assigned

    async def beginning_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, 3)

    async def end_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        if self.hangs or self.silent & set(tps):
            await asyncio.Event().wait()
        return await self._fetcher.end_offsets(tps, None)

    async def _committed(self, tps: list[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata]:
        return {tps[0]: OffsetAndMetadata(4, "")}

    async def _commit(self, _: Any, wanted: Any) -> None:
        if self.forbidden & {tp.topic for tp in wanted}:
            raise TopicAuthorizationFailedError(*self.forbidden)
        if self.hangs:
            await asyncio.Event().wait()
        self.sent.append(wanted)


def test_nothing_is_committed_while_the_group_is_being_joined() -> None:
    consumer = Consumer(rebalancing=True, assigned={0: 0})
    assert asyncio.run(commit(consumer, {P0: 5})) is None
    assert consumer.sent == []


def test_only_what_is_assigned_is_committed() -> None:
    consumer = Consumer(assigned={0: 0})
    assert asyncio.run(commit(consumer, {P0: 5, P1: 7})) == {P0: 5}
    assert consumer.sent == [{tp(0): OffsetAndMetadata(5, "")}]


def test_a_silent_kafka_is_an_error_of_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offsets, "OFFSETS_SECONDS", 0.01)
    monkeypatch.setattr(offsets, "COMMIT_SECONDS", 0.01)
    consumer = Consumer(assigned={0: 0})
    consumer.hangs = True
    with pytest.raises(KafkaTimeoutError, match="no broker tells where the log ends"):
        asyncio.run(log_ends(consumer, [P0]))
    with pytest.raises(KafkaTimeoutError, match=r"no answer to a commit within 0\.01 s"):
        asyncio.run(commit(consumer, {P0: 5}))


def test_starting_points_are_chosen_from_the_logs_bounds_and_what_is_committed() -> None:
    found = asyncio.run(read_offsets(Consumer(assigned={}), [P1, P0]))
    assert found == ({P0: Offsets(4, 3, 8, TOPIC_ID), P1: Offsets(None, 3, 8, TOPIC_ID)}, {})


def test_a_partition_without_a_leader_or_an_answer_keeps_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offsets, "OFFSETS_SECONDS", 0.01)
    consumer = Consumer(assigned={})
    consumer.silent, consumer.leaderless = {tp(1)}, {tp(2)}
    found, causes = asyncio.run(read_offsets(consumer, [P0, P1, P2]))
    assert found == {P0: Offsets(4, 3, 8, TOPIC_ID)}
    assert "no broker is its leader" in causes[P2].why
    assert "its leader does not tell its offsets" in causes[P1].why
    assert asyncio.run(log_ends(consumer, [P0, P1, P2])) == {P0: 8}


def test_where_the_coordinator_is_away_every_partition_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offsets, "OFFSETS_SECONDS", 0.01)
    consumer = Consumer(assigned={})
    consumer._coordinator.fetch_committed_offsets = lambda tps: asyncio.Event().wait()
    found, causes = asyncio.run(read_offsets(consumer, [P0, P1]))
    assert found == {}
    assert all("what is committed" in causes[p].why for p in (P0, P1))


def test_the_end_with_what_is_hidden_leaves_the_consumers_own_isolation_level_alone() -> None:
    consumer = Consumer(assigned={0: 0})
    assert asyncio.run(log_ends(consumer, [P0], with_hidden=True)) == {P0: 10}
    assert asyncio.run(log_ends(consumer, [P0])) == {P0: 8}


def test_a_partition_without_a_position_has_none() -> None:
    consumer = Consumer(assigned={0: 5, 1: None})
    assert [position_of(consumer, p) for p in (P0, P1, P2)] == [5, None, None]
    consumer._subscription.subscription.assignment = None
    assert position_of(consumer, P0) is None


@pytest.mark.parametrize(
    ("position", "durable", "idle"),
    [
        (7, 7, {}),
        (8, 7, {}),
        (8, 8, {P0: Idle(1000, 8, hidden=2)}),
        (10, 10, {P0: Idle(1000, 10, hidden=0)}),
    ],
)
def test_caught_up_is_what_has_nothing_left_to_read_and_nothing_undurable(
    position: int, durable: int, idle: dict[Place, Idle]
) -> None:
    ledger = Ledger()
    ledger.begin(P0, durable, now=0.0)
    if durable < position:
        ledger.take(P0, [], position, 0, now=0.0)
    assert asyncio.run(caught_up(Consumer(assigned={0: position}), [P0], ledger.is_settled, lambda: 1000)) == idle


def test_a_right_to_one_topic_that_is_missing_keeps_no_other_from_being_committed() -> None:
    consumer, other = Consumer(assigned={0: 5}), Place("other-events", 0)
    consumer._assigned.add(TopicPartition(*other))
    consumer.forbidden = {TOPIC}
    assert asyncio.run(commit(consumer, {P0: 5, other: 7})) == {other: 7}
    with pytest.raises(TopicAuthorizationFailedError):
        asyncio.run(commit(consumer, {P0: 5}))
