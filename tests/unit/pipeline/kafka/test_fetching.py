"""What is handed on, with the real fetcher and no Kafka: bounded batches whose position the ledger knows."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from aiokafka.errors import ConsumerStoppedError, KafkaError

from pipeline.core.envelope.frames import Readers
from pipeline.core.flush import Batch
from pipeline.core.ledger import Ledger
from pipeline.core.place import Place
from pipeline.core.records import DeadLetter
from pipeline.kafka.fetching import MAX_RECORDS_A_BATCH
from pipeline.kafka.log_consumer import MAX_BYTES_A_TAKE
from tests.support.fake_broker import Broker, close, tp_of
from tests.support.places import P0
from tests.support.reading import SECONDS, Reader, batch, kept, on, reading, run
from tests.support.record_batch import BatchSpec, Part

TP = tp_of(0)


@pytest.mark.parametrize("version", [4, 11])
def test_what_was_fetched_is_one_batch_of_raw_records(version: int) -> None:
    async def test(reader: Reader) -> None:
        reader.broker.version = version
        await reader.until(lambda: reader.position() == 2)
        assert reader.offsets == {0: [0, 1]}
        assert reader.ours.ledger.undurable_bytes > 0
        await reader.until(lambda: {0: 2} in reader.broker.asked)

    on({0: [batch(b"a", b"bc")]})(test)


def test_a_batch_is_bounded_by_number_and_by_bytes() -> None:
    many = [batch(*[b"x"] * 9_000, at=9_000 * n) for n in range(5)]
    large = [batch(*[b"x" * 65_536] * 10, at=10 * n) for n in range(12)]

    async def test(reader: Reader) -> None:
        found: list[Batch] = []
        async with asyncio.timeout(SECONDS):
            while sum(len(taken.records) for taken in found) < 45_000 + 120:
                found += [taken for batches in (await reader.once()).values() for taken in batches]
        assert max(len(taken.records) for taken in found) == MAX_RECORDS_A_BATCH
        assert max(taken.size_bytes for taken in found) < MAX_BYTES_A_TAKE + 11 * 65_536
        for number in (0, 1):
            mine = [taken for taken in found if taken.place.number == number]
            assert [taken.start for taken in mine] == [0, *[taken.next_offset for taken in mine[:-1]]]

    on({0: many, 1: large})(test)


def test_records_without_a_value_have_a_size_too() -> None:
    async def test(reader: Reader) -> None:
        await reader.until(lambda: bool(reader.offsets))
        assert reader.ours.ledger.undurable_bytes > 50_000

    on({0: [BatchSpec(parts=[Part(None)] * 1000).build()]})(test)


class WatchedLedger(Ledger):
    """Calls ``look`` with the next offset when a batch is taken."""

    def __init__(self, look: Callable[[int], None]) -> None:
        super().__init__()
        self.look = look

    def take(
        self,
        place: Place,
        records: Sequence[Any],
        next_offset: int,
        size_bytes: int,
        now: float,
        unreadable: Sequence[DeadLetter] = (),
        *,
        readers: Readers | None = None,
    ) -> Batch | None:
        self.look(next_offset)
        return super().take(place, records, next_offset, size_bytes, now, unreadable, readers=readers)


def test_nothing_runs_between_a_moved_position_and_the_ledger_that_knows_it() -> None:
    async def main() -> None:
        interrupted, taken = list[str](), list[tuple[int, int, list[str]]]()
        reader: Reader

        def look(next_offset: int) -> None:
            taken.append((reader.position(), next_offset, list(interrupted)))

        reader = reading(Broker({0: [batch(b"a", b"b", b"c")]}), 0, ledger=WatchedLedger(look))
        await kept(reader)
        asyncio.get_running_loop().call_soon(interrupted.append, "a seek, say")
        reader.ours.drain(reader.consumer, {TP})
        assert taken == [(3, 3, [])]
        await close(reader.consumer)

    run(main)


def test_nothing_is_taken_of_a_partition_that_is_not_being_read() -> None:
    async def test(reader: Reader) -> None:
        reader.ours.ledger.stop([P0])
        assert await reader.once() == {}
        assert reader.position() == 0

    on({0: [batch(b"a")]})(test)


def test_nothing_is_taken_while_the_buffer_is_full() -> None:
    async def main() -> None:
        reader = reading(Broker({0: [batch(b"a")]}), 0, buffer_bytes=0)
        assert await reader.once() == {}
        assert reader.position() == 0
        await close(reader.consumer)

    run(main)


def test_what_a_seek_has_overtaken_is_dropped_and_fetched_anew() -> None:
    async def test(reader: Reader) -> None:
        await kept(reader)
        reader.consumer._subscription.seek(TP, 1)  # without the clean-up of aiokafka's own
        await reader.until(lambda: bool(reader.offsets))
        assert reader.offsets == {0: [1]}

    on({0: [batch(b"a", b"b")]})(test)


def test_a_closed_consumer_ends_the_reading() -> None:
    async def test(reader: Reader) -> None:
        reader.consumer._closed = True
        with pytest.raises(ConsumerStoppedError):
            await reader.once()

    on({0: [batch(b"a")]})(test)


def test_an_error_that_the_fetcher_cannot_recover_from_is_raised() -> None:
    async def test(reader: Reader) -> None:
        waiter = asyncio.get_running_loop().create_future()
        waiter.set_exception(KafkaError("not authorized"))
        reader.consumer._fetcher._create_fetch_waiter = lambda: waiter
        with pytest.raises(KafkaError, match="not authorized"):
            await reader.once()

    on({0: []})(test)
