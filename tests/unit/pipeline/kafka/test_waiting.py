"""A partition that cannot go on waits, says why, and keeps no other from being read: the real fetcher, no Kafka."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from pipeline.core import waiting
from pipeline.core.place import Place
from pipeline.core.start import Gap
from pipeline.core.waiting import Waiting
from pipeline.errors import SinkUnavailable
from pipeline.kafka import fetcher
from pipeline.kafka.accepted import Accepted
from tests.support.fake_broker import tp_of
from tests.support.places import P0, P1
from tests.support.reading import Reader, batch, on
from tests.support.record_batch import BatchSpec, Part

TOPIC_AUTHORIZATION_FAILED, NOT_LEADER, STORAGE_ERROR, CORRUPT_MESSAGE = 29, 6, 56, 2


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(waiting, "LONGEST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(fetcher, "PREFETCH_SECONDS", 0.001)


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
        assert "partition message-events/0 waits at offset 1: the batch there cannot be read: its checksum is" in reason
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
        assert P0 in reader.ours.waiting.places, "it is not begun again without a pause"
        assert reader.position() == 0

    on({0: [batch(b"a", at=5)], 1: []})(test)


def test_the_position_does_not_move_over_a_batch_that_is_larger_than_a_fetch() -> None:
    async def test(reader: Reader) -> None:
        await reader.until(lambda: bool(reader.reasons()))
        assert reader.position() == 0
        assert "larger than a fetch" in reader.reasons()[0]

    on({0: [batch(b"a" * 1000)[:500]]})(test)


def test_a_batch_beyond_the_end_of_the_log_is_asked_for_again_once_and_is_then_a_reason() -> None:
    """A broker looks where its log ends before it reads the log."""

    async def test(reader: Reader) -> None:
        answers = iter([1])
        reader.broker.end = lambda number: next(answers, 2)  # type: ignore[method-assign]
        await reader.until(lambda: reader.position() == 2 or bool(reader.ours.waiting.places))
        assert reader.position() == 2
        reader.broker.end = lambda number: 1  # type: ignore[method-assign]
        reader.broker.batches[0].append(batch(b"b", at=2))
        await reader.until(lambda: bool(reader.reasons()))
        assert "it claims the offsets 2 to 2, and the log ends at 1" in reader.reasons()[0]
        assert reader.position() == 2

    on({0: [batch(b"a", b"b")], 1: [batch(b"x")]})(test)


def test_a_flood_of_what_is_no_record_is_handed_on_in_parts() -> None:
    async def test(reader: Reader) -> None:
        sizes = []
        while reader.position() < number:
            (taken,) = [b for batches in (await reader.once()).values() for b in batches] or (None,)
            if taken is not None:
                sizes.append(len(taken.unreadable))
                assert reader.ours.ledger.admit(taken, 0.0)
        assert sizes == [20_000, 20_000, 5]
        assert reader.ours.ledger.undurable_bytes >= number * 100

    number = 40_005
    on({0: [BatchSpec(content=bytes(number), count=number, codec="zstd").build()]})(test)


def test_an_answer_is_not_unpacked_before_there_is_room_for_it() -> None:
    large = batch(bytes(3 << 20), codec="zstd")

    async def test(reader: Reader) -> None:
        reader.ours.buffer_bytes = 1 << 20
        while len(reader.consumer.kept()) < 3:  # noqa: ASYNC110 - aiokafka has no event for it
            await asyncio.sleep(0)
        assert not any(fetched.is_open for fetched in reader.consumer.kept().values())
        await reader.once()
        assert [fetched.is_open for fetched in reader.consumer.kept().values()] in ([False] * 2, [False] * 3)

    on({0: [large], 1: [large], 2: [large]})(test)


def test_of_batches_with_very_many_records_one_is_in_memory_while_its_partition_is_read() -> None:
    many = batch(*[b"v"] * 20_001)

    async def test(reader: Reader) -> None:
        while len(reader.consumer.kept()) < 2:  # noqa: ASYNC110 - aiokafka has no event for it
            await asyncio.sleep(0)
        ((first, _),) = (await reader.once()).items()
        assert [fetched.is_open for fetched in reader.consumer.kept().values()] == [True, False]
        reader.ours.ledger.stop([Place(*first)])  # it waits for its start
        await reader.until(lambda: len(reader.offsets) == 2)
        reader.ours.ledger.begin(Place(*first), 20_000, now=0.0)
        await reader.until(lambda: [len(x) for x in reader.offsets.values()] == [20_001, 20_001])

    on({0: [many], 1: [many]})(test)


@pytest.mark.parametrize("left", [set(), {0}])
def test_an_answer_that_a_rebalance_has_overtaken_ends_nothing(left: set[int]) -> None:
    """The fetcher forgets its answers a moment after the assignment has changed; new partitions have no position."""

    async def test(reader: Reader) -> None:
        reader.broker.errors[0] = NOT_LEADER
        while not isinstance(reader.consumer.kept().get(tp_of(0)), fetcher.Failed):  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0)
        reader.consumer._subscription.assign_from_subscribed({tp_of(n) for n in left})
        assert reader.ours.drain(reader.consumer, {tp_of(0)}) == {}
        assert reader.reasons() == []

    on({0: []})(test)


def test_a_fault_of_a_parser_keeps_the_partition_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.kafka.batches._parsed_at_once", lambda *_: 1 // 0)

    async def test(reader: Reader) -> None:
        await reader.until(lambda: bool(reader.reasons()))
        assert "reading it failed (ZeroDivisionError" in reader.reasons()[0]
        assert P1 not in reader.ours.waiting.places

    on({0: [batch(b"a")], 1: []})(test)


def test_pauses_grow_and_a_wait_that_is_over_begins_again_with_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    waits, cause = Waiting(), waiting.Cause("why", "what helps")
    pauses = [waits.note(P0, 5, cause, now).retry_at - now for now in (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)]
    assert pauses == pytest.approx([0.001, 0.002, 0.004, 0.008, 0.01, 0.01])
    monkeypatch.setattr(waiting, "LONGEST_PASSING_PAUSE_SECONDS", 0.003)
    passing = waiting.Cause("why", "what helps", passes=True)
    assert waits.note(P0, 5, passing, 6.0).retry_at - 6.0 == pytest.approx(0.003), (
        "a leader that is back is not waited for"
    )
    assert waits.sentences(65.0)[P0] == ("partition message-events/0 waits at offset 5: why (for 65 s); what helps")
    waits.over(P0)
    assert waits.note(P0, 5, cause, 9.0).retry_at - 9.0 == pytest.approx(waiting.FIRST_PAUSE_SECONDS)


def test_a_cause_that_usually_passes_is_a_reason_only_after_a_while() -> None:
    waits = Waiting()
    waits.note(P0, None, waiting.Cause("why", "what helps", passes=True), 0.0)
    assert waits.sentences(waiting.PASSING_SECONDS - 1) == {}
    assert "cannot begin" in waits.sentences(waiting.PASSING_SECONDS)[P0]
    waits.only(frozenset({P1}))
    assert waits.places == frozenset()


def test_a_partition_that_waits_is_not_asked_for_before_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FIRST_PAUSE_SECONDS", 1000.0)
    monkeypatch.setattr(waiting, "LONGEST_PAUSE_SECONDS", 1000.0)
    batches = {0: [batch(b"a", checksum=1)], 1: [batch(b"x")]}

    async def test(reader: Reader) -> None:
        await reader.until(lambda: bool(reader.reasons()))
        for number in range(1, 20):
            batches[1].append(batch(b"y", at=number))
            await reader.until(lambda number=number: reader.position(1) == number + 1)  # type: ignore[misc]
        assert len([asked for asked in reader.broker.asked if 0 in asked]) == 1

    on(batches)(test)
