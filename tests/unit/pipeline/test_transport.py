"""What is ours in the transport, without Kafka: bounded batches, careful commits, partitions that were forgotten."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from pipeline.core.ledger import Ledger
from pipeline.kafka import consumer as transport
from pipeline.kafka.consumer import FORGOTTEN_SECONDS, BatchConsumerThread
from pipeline.kafka.fetching import MAX_BYTES_A_BATCH, MAX_RECORDS_A_BATCH, NoReadOffsets, unpack

TP = TopicPartition("message-events", 0)


class Fetched:
    """A fetch with records of one size, as aiokafka holds it."""

    def __init__(self, count: int, size: int | None) -> None:
        value = None if size is None else b"x" * size
        self._partition_records: Any = _Records(iter([SimpleNamespace(value=value)] * count))

    def check_assignment(self, tp: TopicPartition) -> bool:
        return True

    def has_more(self) -> bool:
        return self._partition_records is not None

    def _update_position(self) -> None: ...


class _Records:
    def __init__(self, records: Iterator[Any]) -> None:
        self._records, self._consumer_record = records, None

    def __iter__(self) -> Iterator[Any]:
        return self._records


def test_a_batch_is_bounded_by_number_and_by_bytes() -> None:
    small, large = Fetched(MAX_RECORDS_A_BATCH + 5, 1), Fetched(200, 64 * 1024)
    assert len(unpack(TP, small)[0]) == MAX_RECORDS_A_BATCH
    assert len(unpack(TP, small)[0]) == 5
    records, size = unpack(TP, large)
    assert len(records) < 200
    assert size < MAX_BYTES_A_BATCH + 65 * 1024


def test_records_without_a_value_have_a_size_too() -> None:
    assert unpack(TP, Fetched(1000, None))[1] > 50_000


def test_the_framework_remembers_no_offset_to_drop_messages_by() -> None:
    offsets = NoReadOffsets()
    offsets[TP] = 100
    assert offsets[TP] is None
    offsets.update({TP: None})
    assert offsets[TP] is None


class Joining(BatchConsumerThread):
    """A thread without Kafka: a group that is being joined or not, and an assignment."""

    def __init__(self, *, rebalancing: bool, assigned: set[int]) -> None:
        self.sent: list[Any] = []
        self.began = 0
        subscription = SimpleNamespace(assignment=object())
        self.fake = SimpleNamespace(
            assignment=lambda: {TopicPartition(TP.topic, p) for p in assigned},
            _subscription=SimpleNamespace(reassignment_in_progress=rebalancing, subscription=subscription),
            _coordinator=SimpleNamespace(need_rejoin=lambda _: False, _do_commit_offsets=self._commit),
        )
        self.fake_hooks = SimpleNamespace(topic=TP.topic, ledger=Ledger())

    @property
    def kafka(self) -> Any:
        return self.fake

    @property
    def hooks(self) -> Any:
        return self.fake_hooks

    async def _commit(self, _: Any, offsets: Any) -> None:
        self.sent.append(offsets)

    async def _begin_starting(self) -> None:
        self.began += 1


def test_nothing_is_committed_while_the_group_is_being_joined() -> None:
    thread = Joining(rebalancing=True, assigned={0})
    assert asyncio.run(thread.commit_offsets({0: 5})) is None
    assert thread.sent == []


def test_only_what_is_assigned_is_committed() -> None:
    thread = Joining(rebalancing=False, assigned={0})
    assert asyncio.run(thread.commit_offsets({0: 5, 1: 7})) == {0: 5}
    ((committed,),) = thread.sent
    assert committed == TP


def test_a_partition_that_is_assigned_and_not_read_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    thread = Joining(rebalancing=False, assigned={0, 1})
    thread.hooks.ledger.begin(0, 0, 0, now=0)
    began: list[int] = []
    for now in (0.0, FORGOTTEN_SECONDS - 1, FORGOTTEN_SECONDS + 1):
        monkeypatch.setattr(transport, "time", SimpleNamespace(monotonic=lambda now=now: now))
        asyncio.run(thread.start_forgotten())
        began.append(thread.began)
    assert began == [0, 0, 1]
