"""What may be accepted as lost: what cannot be read, and not an offset more."""

import asyncio
from typing import Any

import pytest

from pipeline.core.place import Place
from pipeline.core.start import Gap
from pipeline.repair.loss import Loss, NothingLost, find_loss
from tests.support.fake_broker import Broker, close, consumer_on, tp_of
from tests.support.places import P0
from tests.support.record_batch import BatchSpec, Part

GOOD = BatchSpec(parts=(Part(),) * 3)
BAD = BatchSpec(parts=(Part(),) * 3, checksum=1)


@pytest.mark.parametrize(
    ("end", "last", "gap"),
    [
        (20, None, Gap(10, 20)),
        (20, 19, Gap(10, 20)),
        (20, 10, Gap(10, 11)),
        (None, 12, Gap(10, 13)),
        (20, 20, "what cannot be read ends at offset 19"),
        (20, 9, "the last offset, 9, is before the first, 10"),
        (None, None, "where the loss ends cannot be told"),
    ],
)
def test_a_loss_is_accepted_up_to_its_end_at_most(end: int | None, last: int | None, gap: Gap | str) -> None:
    loss = Loss(P0, 10, end, "why")
    if isinstance(gap, Gap):
        assert loss.gap(last) == gap
        return
    with pytest.raises(NothingLost, match=gap):
        loss.gap(last)


def look(batches: list[bytes], offset: int, place: Place = P0, **state: Any) -> Loss:
    async def run() -> Loss:
        broker = Broker({0: batches})
        for name, value in state.items():
            getattr(broker, name)[0] = value
        consumer = consumer_on(broker, 0)

        async def ends(start: bool) -> dict[Any, int]:
            return {tp_of(0): broker.starts.get(0, 0) if start else broker.end(0)}

        async def nothing() -> None: ...

        consumer.topics, consumer.assign = nothing, lambda tps: None
        consumer.partitions_for_topic = lambda topic: {0}
        consumer.beginning_offsets = lambda tps: ends(True)
        consumer.end_offsets = lambda tps: ends(False)
        try:
            async with asyncio.timeout(10):
                return await find_loss(consumer, place, offset)
        finally:
            await close(consumer)

    return asyncio.run(run())


def test_a_damaged_batch_is_lost_from_the_offset_asked_for_to_its_end() -> None:
    assert look([GOOD.build(), BAD.at(3).build()], 3) == Loss(P0, 3, 6, "its checksum is wrong")
    assert look([GOOD.build(), BAD.at(3).build()], 4) == Loss(P0, 4, 6, "its checksum is wrong")


def test_records_that_were_deleted_are_lost_up_to_the_beginning_of_the_log() -> None:
    assert look([GOOD.at(7).build()], 2, starts=7) == Loss(P0, 2, 7, "deleted from the log")


def test_where_a_brokers_error_ends_is_not_made_up() -> None:
    loss = look([GOOD.build()], 0, errors=29)
    assert (loss.end, loss.why) == (None, "the broker refuses the right to read it")


@pytest.mark.parametrize(
    ("batches", "offset", "place", "sentence"),
    [
        ([GOOD.build(), BAD.at(3).build()], 0, P0, "offset 0 of partition 0 can be read"),
        ([GOOD.build(), BAD.at(3).build()], 2, P0, "offset 2 of partition 0 can be read"),
        ([GOOD.build()], 3, P0, "the log of partition 0 ends at 3"),
        ([GOOD.build()], 0, Place(P0.topic, 7), "has no partition 7"),
    ],
)
def test_what_can_be_read_is_not_lost(batches: list[bytes], offset: int, place: Place, sentence: str) -> None:
    with pytest.raises(NothingLost, match=sentence):
        look(batches, offset, place)
