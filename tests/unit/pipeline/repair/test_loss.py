"""What `skip` takes for lost: nothing that can be read, and nothing that is not there yet."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import TopicPartition

from pipeline.core.start import Gap
from pipeline.kafka.log_consumer import LogConsumer
from pipeline.repair import loss
from pipeline.repair.loss import Loss, NothingLost, find_loss
from tests.support.fake_broker import Broker, close, consumer_on
from tests.support.places import P0
from tests.support.reading import batch
from tests.support.record_batch import BatchSpec, Part

TOPIC_AUTHORIZATION_FAILED, UNKNOWN_SERVER_ERROR = 29, -1
BAD_WITHOUT_END = batch(b"b", b"c", at=1, magic=3)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "POLL_SECONDS", 0.001)


def on_its_own(consumer: Any, broker: Broker) -> LogConsumer:
    """As one that was started without a group: its questions for offsets are answered, it keeps its partition."""

    async def topics() -> set[str]:
        return {P0.topic}

    def answer(offset: Callable[[], int]) -> Any:
        async def ask(tps: list[TopicPartition]) -> dict[TopicPartition, int]:
            return {tp: offset() for tp in tps}

        return ask

    consumer.topics, consumer.assign, consumer.partitions_for_topic = topics, lambda tps: None, lambda topic: {0}
    consumer.beginning_offsets = answer(lambda: broker.starts.get(0, 0))
    consumer.end_offsets = answer(lambda: broker.end(0))
    found: LogConsumer = consumer
    return found


def lost(start: int, last: int | None, *batches: bytes, error: int = 0) -> tuple[int, int]:
    """The gap that would be accepted. Raises NothingLost."""

    async def look() -> tuple[int, int]:
        broker = Broker({0: list(batches)})
        broker.errors[0] = error
        consumer = on_its_own(consumer_on(broker, 0), broker)
        try:
            gap = (await find_loss(consumer, P0, start, last)).gap(last)
            return gap.from_offset, gap.to_offset
        finally:
            await close(consumer)

    return asyncio.run(look())


def test_the_end_of_a_loss_that_nobody_can_tell_is_looked_at_too() -> None:
    log = (batch(b"a"), BAD_WITHOUT_END, batch(b"d", at=5))
    assert lost(1, 2, *log) == (1, 3)
    for last, why in ((5, "can be read"), (6, "ends at 6"), (1 << 40, "ends at 6")):
        with pytest.raises(NothingLost, match=why):
            lost(1, last, *log)
    assert lost(1, 4, *log) == (1, 5), "3 and 4 are not there at all"


def test_where_there_is_nothing_nothing_is_lost() -> None:
    with pytest.raises(NothingLost, match="no record at 3"):
        lost(3, None, batch(b"a"), batch(b"d", at=5))


def test_a_missing_right_is_no_loss_and_a_broker_that_cannot_read_is_one() -> None:
    with pytest.raises(NothingLost, match="refuses the right to read"):
        lost(0, 0, batch(b"a"), error=TOPIC_AUTHORIZATION_FAILED)
    assert lost(0, 0, batch(b"a"), error=UNKNOWN_SERVER_ERROR) == (0, 1)


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


GOOD = BatchSpec(parts=(Part(),) * 3)
BAD = BatchSpec(parts=(Part(),) * 3, checksum=1)


def test_a_damaged_batch_is_lost_from_the_offset_asked_for_to_its_end() -> None:
    for start in (3, 4):
        assert lost(start, None, GOOD.build(), BAD.at(3).build(), GOOD.at(6).build()) == (start, 6)


def test_what_can_be_read_or_is_not_there_yet_is_not_lost() -> None:
    log = (GOOD.build(), BAD.at(3).build())
    for start, why in ((0, "can be read"), (2, "can be read"), (6, "ends at 6")):
        with pytest.raises(NothingLost, match=why):
            lost(start, None, *log)
