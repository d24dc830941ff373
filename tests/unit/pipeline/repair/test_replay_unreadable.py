"""What a replay cannot read, with the real consumer and a broker in memory."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from pipeline.core import waiting
from pipeline.core.flush import Batch
from pipeline.core.place import Place
from pipeline.core.start import Gap
from pipeline.errors import LogGap
from pipeline.repair.replay_reading import Bounds, Wanted, read_batches
from tests.support.fake_broker import Broker, close, consumer_on, tp_of
from tests.support.places import P0, P1
from tests.support.record_batch import BatchSpec, Part
from tests.support.record_batch import record as record_bytes


def places(batches: Sequence[Batch]) -> list[tuple[Place, int]]:
    return sorted((batch.place, record.offset) for batch in batches for record in batch.records)


def replay(
    batches: dict[int, list[bytes]], gaps: Mapping[Place, Sequence[Gap]], start: int = 0, rate: float = 0
) -> list[Batch]:
    async def run() -> list[Batch]:
        broker = Broker(batches)
        broker.starts[0] = start
        consumer = consumer_on(broker, *batches)
        consumer.assign = lambda tps: None
        bounds = {Place(*tp_of(n)): Bounds(0, broker.end(n)) for n in batches}
        try:
            async with asyncio.timeout(10):
                return [batch async for batch in read_batches(consumer, Wanted(0, 10**13, rate=rate), bounds, gaps)]
        finally:
            await close(consumer)

    return asyncio.run(run())


BAD = BatchSpec(parts=(Part(),) * 2, checksum=1).at(1).build()
BATCHES = {0: [BatchSpec().build(), BAD, BatchSpec().at(3).build()], 1: [BatchSpec().build()]}


def test_a_batch_that_cannot_be_read_ends_a_replay_with_the_remedy() -> None:
    with pytest.raises(LogGap, match=r"at offset 1: .*its checksum is wrong.*`msgmetrics skip message-events/0/1-2`"):
        replay(BATCHES, {})


def test_a_replay_leaves_out_what_was_accepted_as_lost() -> None:
    assert places(replay(BATCHES, {P0: [Gap(1, 3)]})) == [(P0, 0), (P0, 3), (P1, 0)]


def test_records_that_are_deleted_while_they_are_replayed_end_it_unless_the_loss_is_accepted() -> None:
    with pytest.raises(LogGap, match=r"partition message-events/0 .* at offset 0: .*were deleted from the log"):
        replay({0: [BatchSpec().at(3).build()]}, {}, start=3)
    assert places(replay({0: [BatchSpec().at(3).build()]}, {P0: [Gap(0, 3)]}, start=3)) == [(P0, 3)]


def test_a_replay_keeps_what_is_no_record_and_reads_whatever_its_headers_are_named() -> None:
    broken = BatchSpec(parts=(Part(),) * 2, content=b"\x02\x00" + record_bytes(Part(headers=((b"\xff", b""),)), 1))
    (batch,) = replay({0: [broken.build()]}, {})
    assert ([r.offset for r in batch.records], [x.offset for x in batch.unreadable]) == ([1], [0])


def test_what_is_no_record_is_kept_once_however_small_the_batches_are() -> None:
    broken = b"\x02\x00" + b"".join(record_bytes(Part(), n) for n in range(1, 6))
    batches = {0: [BatchSpec(parts=(Part(),) * 6, content=broken).build()]}
    found = replay(batches, {}, rate=8)  # four at a time
    assert [x.offset for batch in found for x in batch.unreadable] == [0]
    assert places(found) == [(P0, n) for n in range(1, 6)]


def test_a_replay_waits_for_a_leader_that_moves_and_does_not_ask_without_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "FIRST_PAUSE_SECONDS", 0.05)

    async def run() -> None:
        broker = Broker({0: [BatchSpec().build()], 1: [BatchSpec().build()]})
        broker.errors[0] = 6  # not the leader
        consumer = consumer_on(broker, 0, 1)
        async with asyncio.timeout(10):
            first = await consumer.poll([tp_of(0), tp_of(1)], 5, 10, {})
            assert set(first) == {tp_of(1)}
            assert await consumer.poll([tp_of(0), tp_of(1)], 0.2, 10, {}) == {}
            assert len([asked for asked in broker.asked if 0 in asked]) < 6
            broker.errors.clear()
            while not (found := await consumer.poll([tp_of(0)], 5, 10, {})):
                pass
        assert [r.offset for r in found[tp_of(0)].records] == [0]
        assert consumer.waiting.places == frozenset()
        await close(consumer)

    asyncio.run(run())
