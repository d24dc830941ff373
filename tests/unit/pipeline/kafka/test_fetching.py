"""What is handed on, with aiokafka's own fetches and no Kafka: bounded batches whose position the ledger knows."""

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchError, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import ConsumerStoppedError, KafkaError, NotLeaderForPartitionError, OffsetOutOfRangeError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from pipeline.core.flush import Batch
from pipeline.core.ledger import Ledger
from pipeline.core.place import Place
from pipeline.errors import LogGap
from pipeline.kafka.fetching import MAX_BYTES_A_BATCH, MAX_RECORDS_A_BATCH, Fetching, unpack

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


class Kafka:
    """aiokafka's own state of one assigned partition, read up to offset 0, with what has been fetched of it."""

    def __init__(self, values: list[bytes]) -> None:
        self.subscriptions = SubscriptionState()
        self.subscriptions.subscribe({TP.topic})
        self.subscriptions.assign_from_subscribed({TP})
        self.subscriptions.seek(TP, 0)
        self.waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.fetcher = SimpleNamespace(
            _records={TP: self._fetched(values)} if values else {},
            _subscriptions=self.subscriptions,
            _closed=False,
            _wait_consume_future=None,
            _notify=lambda future: None,
            _create_fetch_waiter=lambda: self.waiter,
        )
        self.consumer = SimpleNamespace(_fetcher=self.fetcher, _closed=False)

    def _fetched(self, values: list[bytes]) -> FetchResult:
        builder = DefaultRecordBatchBuilder(
            magic=2, compression_type=0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
            batch_size=1 << 20,
        )  # fmt: skip
        for offset, value in enumerate(values):
            builder.append(offset, timestamp=0, key=None, value=value, headers=[])
        records = PartitionRecords(
            TP, MemoryRecords(bytes(builder.build())), [], 0, None, None, True, READ_COMMITTED
        )  # fmt: skip
        return FetchResult(
            TP, assignment=self.subscriptions.subscription.assignment, partition_records=records, backoff=0
        )

    @property
    def position(self) -> int:
        position: int = self.subscriptions.subscription.assignment.state_value(TP).position
        return position


class WatchedLedger(Ledger):
    """Calls ``look`` with the next offset when a batch is taken."""

    def __init__(self, look: Callable[[int], None]) -> None:
        super().__init__()
        self.look = look

    def take(self, place: Place, records: Any, next_offset: int, size_bytes: int, now: float) -> Batch | None:
        self.look(next_offset)
        return super().take(place, records, next_offset, size_bytes, now)


def reading(ledger: Ledger) -> Ledger:
    ledger.begin(Place(*TP), 0, 0, now=0.0)
    return ledger


def fetching(ledger: Ledger, fatal: Any = None, buffer_bytes: int = 1 << 20) -> Fetching:
    return Fetching(ledger, buffer_bytes, lambda: False, fatal, lambda: 0.0)


async def fetch(kafka: Kafka, ours: Fetching) -> dict[TopicPartition, list[Batch]]:
    return await ours.fetch(kafka.consumer, {TP}, 0.0, lambda: True)


async def _one_batch() -> tuple[Kafka, dict[TopicPartition, list[Batch]]]:
    kafka = Kafka([b"a", b"bc"])
    return kafka, await fetch(kafka, fetching(reading(Ledger())))


def test_what_was_fetched_is_one_batch_of_raw_records() -> None:
    kafka, batches = asyncio.run(_one_batch())
    ((batch,),) = batches.values()
    assert [(r.offset, r.value) for r in batch.records] == [(0, b"a"), (1, b"bc")]
    assert (batch.start, batch.next_offset) == (0, 2)
    assert kafka.fetcher._records == {}, "so that the fetcher asks for more"


def test_nothing_runs_between_a_moved_position_and_the_ledger_that_knows_it() -> None:
    async def run() -> None:
        kafka, interrupted = Kafka([b"a", b"b", b"c"]), list[str]()
        taken: list[tuple[int, int, list[str]]] = []

        def look(next_offset: int) -> None:
            taken.append((kafka.position, next_offset, list(interrupted)))

        ledger = reading(WatchedLedger(look))
        asyncio.get_running_loop().call_soon(interrupted.append, "a seek, say")
        await fetch(kafka, fetching(ledger))
        assert taken == [(3, 3, [])]

    asyncio.run(run())


def test_nothing_is_taken_of_a_partition_that_is_not_being_read() -> None:
    async def run() -> tuple[int, Any]:
        kafka = Kafka([b"a"])
        return kafka.position, await fetch(kafka, fetching(Ledger()))

    assert asyncio.run(run()) == (0, {})


def test_nothing_is_taken_while_the_buffer_is_full() -> None:
    async def run() -> tuple[Any, int]:
        kafka = Kafka([b"a"])
        return await fetch(kafka, fetching(reading(Ledger()), buffer_bytes=0)), kafka.position

    assert asyncio.run(run()) == ({}, 0)


def test_a_closed_consumer_ends_the_reading() -> None:
    async def run() -> None:
        kafka = Kafka([b"a"])
        kafka.consumer._closed = True
        with pytest.raises(ConsumerStoppedError):
            await fetch(kafka, fetching(reading(Ledger())))

    asyncio.run(run())


def test_an_error_that_the_fetcher_cannot_recover_from_is_raised() -> None:
    async def run() -> None:
        kafka = Kafka([])
        kafka.waiter.set_exception(KafkaError("not authorized"))
        with pytest.raises(KafkaError, match="not authorized"):
            await fetching(reading(Ledger())).fetch(kafka.consumer, {TP}, 1.0, lambda: True)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("error", "kinds"), [(OffsetOutOfRangeError({TP: 5}), [LogGap]), (NotLeaderForPartitionError(TP), [])]
)
def test_only_records_that_were_deleted_end_the_worker(error: KafkaError, kinds: list[type]) -> None:
    async def run() -> list[BaseException]:
        kafka, fatal = Kafka([]), list[BaseException]()
        kafka.fetcher._records[TP] = FetchError(error=error, backoff=0)
        assert await fetch(kafka, fetching(reading(Ledger()), fatal.append)) == {}
        assert kafka.fetcher._records == {}, "so that the partition is fetched again"
        return fatal

    assert [type(e) for e in asyncio.run(run())] == kinds
