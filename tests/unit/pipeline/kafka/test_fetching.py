"""What is handed on, with the real fetcher and no Kafka: bounded batches whose position the ledger knows.

A partition that cannot go on waits, says why, and keeps no other from being read.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaConnectionError, KafkaError

from pipeline.core import waiting
from pipeline.core.flush import Batch
from pipeline.core.ledger import Ledger
from pipeline.core.place import Place
from pipeline.core.records import DeadLetter
from pipeline.core.start import Gap
from pipeline.core.waiting import Waiting
from pipeline.errors import SinkUnavailable
from pipeline.kafka import fetcher
from pipeline.kafka.accepted import Accepted
from pipeline.kafka.fetching import MAX_RECORDS_A_BATCH, Fetching
from pipeline.kafka.log_consumer import MAX_BYTES_A_TAKE, LogConsumer
from tests.support.fake_broker import Broker, close, consumer_on, tp_of
from tests.support.places import P0, P1
from tests.support.record_batch import BatchSpec, Part

TP = tp_of(0)
SECONDS = 10.0
TOPIC_AUTHORIZATION_FAILED, NOT_LEADER, STORAGE_ERROR, CORRUPT_MESSAGE = 29, 6, 56, 2


def batch(*values: bytes, at: int = 0, **changes: Any) -> bytes:
    return BatchSpec(parts=[Part(value) for value in values], **changes).at(at).build()


@dataclass
class Reader:
    """A consumer of partitions of a broker, and what was handed on of them."""

    broker: Broker
    consumer: LogConsumer
    ours: Fetching
    began_again: list[Place]
    gaps: dict[Place, list[Gap]] = field(default_factory=dict)
    offsets: dict[int, list[int]] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)

    async def once(self) -> dict[TopicPartition, list[Batch]]:
        found = await self.ours.fetch(self.consumer, {tp_of(n) for n in range(9)}, 0.1, lambda: True)
        for tp, batches in found.items():
            for taken in batches:
                self.offsets.setdefault(tp.partition, []).extend(r.offset for r in taken.records)
                self.letters += taken.unreadable
        return found

    async def until(self, wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not wanted():
                await self.once()

    def reasons(self) -> list[str]:
        return list(self.ours.waiting.sentences(self.ours.monotonic() + waiting.PASSING_SECONDS).values())

    def position(self, number: int = 0) -> int:
        return self.consumer.kept_position(tp_of(number))


def reading(broker: Broker, *numbers: int, ledger: Ledger | None = None, buffer_bytes: int = 1 << 30) -> Reader:
    ledger = ledger or Ledger()
    for number in numbers:
        ledger.begin(Place(*tp_of(number)), 0, 0, now=0.0)
    gaps: dict[Place, list[Gap]] = {}
    began: list[Place] = []
    clock = asyncio.get_running_loop().time
    ours = Fetching(ledger, buffer_bytes, lambda: False, Waiting(), Accepted(lambda: dict(gaps)), began.append, clock)
    return Reader(broker, consumer_on(broker, *numbers), ours, began, gaps)


async def kept(reader: Reader) -> None:
    """Until something was fetched that nobody has taken."""
    while not reader.consumer.kept():  # noqa: ASYNC110 - aiokafka has no event for it
        await asyncio.sleep(0)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def on(batches: dict[int, list[bytes]]) -> Callable[[Callable[[Reader], Coroutine[Any, Any, None]]], None]:
    """Run a test with a reader of these partitions."""

    def perform(test: Callable[[Reader], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            reader = reading(Broker(batches), *batches)
            try:
                await test(reader)
            finally:
                await close(reader.consumer)

        asyncio.run(main())

    return perform


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(waiting, "LONGEST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(fetcher, "PREFETCH_SECONDS", 0.001)


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
    ) -> Batch | None:
        self.look(next_offset)
        return super().take(place, records, next_offset, size_bytes, now, unreadable)


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


# -- what keeps a partition -------------------------------------------------------------------------------------


def test_a_record_that_is_none_is_a_letter_with_its_bytes_and_the_others_are_read() -> None:
    broken = BatchSpec(parts=(Part(),) * 2, content=b"\x02\x00" + b"\x0e\x00\x00\x02\x01\x02b\x00").build()

    async def test(reader: Reader) -> None:
        await reader.until(lambda: reader.position() == 3)
        assert reader.offsets == {0: [1, 2]}
        ((letter),) = reader.letters
        assert (letter.place, letter.offset, letter.reason, letter.value) == (P0, 0, "unreadable_record", b"\0")
        assert "framing is broken" in letter.detail
        assert reader.reasons() == []

    on({0: [broken, batch(b"c", at=2)]})(test)


BAD = batch(b"b", b"c", at=1, checksum=1)


def test_a_bad_batch_keeps_its_partition_alone_and_is_read_when_it_is_healed() -> None:
    batches = {0: [batch(b"a"), BAD, batch(b"d", at=3)], 1: [batch(b"x")]}

    async def test(reader: Reader) -> None:
        await reader.until(lambda: bool(reader.reasons()))
        asked = len([a for a in reader.broker.asked if 0 in a])
        batches[1].append(batch(b"y", at=1))
        await reader.until(lambda: reader.offsets.get(1) == [0, 1])
        await reader.until(lambda: len([a for a in reader.broker.asked if 0 in a]) > asked + 2)
        assert (reader.offsets[0], reader.position()) == ([0], 1)
        (reason,) = reader.reasons()
        assert (
            "partition 0 of message-events waits at offset 1: the batch there cannot be read: its checksum is" in reason
        )
        assert "`msgmetrics skip message-events/0/1-2`" in reason
        batches[0][1] = batch(b"b", b"c", at=1)  # a new leader has a better copy
        await reader.until(lambda: reader.position() == 4)
        assert (reader.offsets[0], reader.reasons()) == ([0, 1, 2, 3], [])

    on(batches)(test)


def test_a_bad_batch_is_left_out_once_its_loss_is_accepted_and_nothing_else_is() -> None:
    batches = {0: [batch(b"a"), BAD, batch(b"d", at=3), batch(b"e", at=4, checksum=1)]}

    async def test(reader: Reader) -> None:
        reader.gaps[P0] = [Gap(2, 3)]
        await reader.until(lambda: bool(reader.reasons()))
        for _ in range(5):
            await reader.once()
        assert reader.position() == 1, "another gap is accepted, not this one"
        reader.gaps[P0] = [Gap(1, 3)]
        await reader.until(lambda: any("offset 4" in reason for reason in reader.reasons()))
        assert (reader.offsets[0], reader.position()) == ([0, 3], 4)

    on(batches)(test)


def test_what_is_accepted_is_asked_for_again_where_clickhouse_was_away() -> None:
    async def test(reader: Reader) -> None:
        answers: list[Any] = [SinkUnavailable("away"), {P0: [Gap(0, 2)]}]

        def read() -> Any:
            answer = answers[0] if len(answers) == 1 else answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        reader.ours.accepted = Accepted(read)
        await reader.until(lambda: reader.position() == 2)

    on({0: [batch(b"a", b"b", checksum=1)]})(test)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (TOPIC_AUTHORIZATION_FAILED, "the broker refuses the right to read it"),
        (NOT_LEADER, "no broker is its leader"),
        (STORAGE_ERROR, "the broker cannot read it"),
        (CORRUPT_MESSAGE, "the broker cannot read it (CorruptRecordException"),
        (9999, "the broker cannot read it (UnknownError"),
    ],
)
def test_a_brokers_error_keeps_one_partition_and_is_over_when_it_is_over(code: int, why: str) -> None:
    batches = {0: [batch(b"a")], 1: [batch(b"x")]}

    async def test(reader: Reader) -> None:
        await reader.until(lambda: reader.position() == 1)
        reader.broker.errors[0] = code
        await reader.until(lambda: bool(reader.reasons()))
        batches[1].append(batch(b"y", at=1))
        await reader.until(lambda: reader.offsets.get(1) == [0, 1])
        (reason,) = reader.reasons()
        assert why in reason
        assert "waits at offset 1" in reason
        del reader.broker.errors[0]
        await reader.until(lambda: not reader.reasons())  # with nothing to read
        batches[0].append(batch(b"b", at=1))
        await reader.until(lambda: reader.offsets[0] == [0, 1])

    on(batches)(test)


def test_a_broker_that_does_not_answer_is_a_reason_for_each_of_its_partitions() -> None:
    async def test(reader: Reader) -> None:
        reader.broker.problem = KafkaConnectionError("refused")
        await reader.until(lambda: len(reader.reasons()) == 2)
        assert "broker 1, its leader, does not answer (KafkaConnectionError)" in reader.reasons()[0]
        reader.broker.problem = None
        await reader.until(lambda: not reader.reasons())

    on({0: [], 1: []})(test)


def test_a_partition_without_a_leader_is_a_reason_until_it_has_one() -> None:
    async def test(reader: Reader) -> None:
        reader.broker.leaderless.add(0)
        reader.ours.note_leaders(reader.consumer)
        (reason,) = reader.reasons()
        assert "no broker is its leader" in reason
        await reader.until(lambda: reader.offsets.get(1) == [0])
        reader.broker.leaderless.clear()
        await reader.until(lambda: not reader.reasons())

    on({0: [], 1: [batch(b"x")]})(test)


def test_records_that_were_deleted_unread_have_their_partition_started_anew() -> None:
    async def test(reader: Reader) -> None:
        reader.broker.starts[0] = 5
        await reader.until(lambda: bool(reader.began_again))
        assert set(reader.began_again) == {P0}
        assert reader.position() == 0

    on({0: [batch(b"a", at=5)], 1: []})(test)


def test_the_position_does_not_move_over_a_batch_that_is_larger_than_a_fetch() -> None:
    async def test(reader: Reader) -> None:
        await reader.until(lambda: bool(reader.reasons()))
        assert reader.position() == 0
        assert "larger than a fetch" in reader.reasons()[0]

    on({0: [batch(b"a" * 1000)[:500]]})(test)


def test_a_fault_of_a_parser_keeps_the_partition_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.kafka.batches._parsed_at_once", lambda *_: 1 // 0)

    async def test(reader: Reader) -> None:
        await reader.until(lambda: bool(reader.reasons()))
        assert "reading it failed (ZeroDivisionError" in reader.reasons()[0]
        assert P1 not in reader.ours.waiting.places

    on({0: [batch(b"a")], 1: []})(test)


def test_pauses_grow_and_a_wait_that_is_over_begins_again_with_a_short_one() -> None:
    waits, cause = Waiting(), waiting.Cause("why", "what helps")
    pauses = [waits.note(P0, 5, cause, now).retry_at - now for now in (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)]
    assert pauses == pytest.approx([0.001, 0.002, 0.004, 0.008, 0.01, 0.01])
    assert waits.sentences(65.0)[P0] == ("partition 0 of message-events waits at offset 5: why (for 65 s); what helps")
    waits.over(P0)
    assert waits.note(P0, 5, cause, 9.0).retry_at - 9.0 == pytest.approx(waiting.FIRST_PAUSE_SECONDS)


def test_a_cause_that_usually_passes_is_a_reason_only_after_a_while() -> None:
    waits = Waiting()
    waits.note(P0, None, waiting.Cause("why", "what helps", passes=True), 0.0)
    assert waits.sentences(waiting.PASSING_SECONDS - 1) == {}
    assert "cannot begin" in waits.sentences(waiting.PASSING_SECONDS)[P0]
    waits.only(frozenset({P1}))
    assert waits.places == frozenset()
