"""Looks at the offsets of a partition that cannot be read, before an operator accepts that they are lost."""

import asyncio
import contextlib
from dataclasses import dataclass

from aiokafka import TopicPartition, errors

from pipeline.core.place import Place
from pipeline.core.start import Gap
from pipeline.errors import Stop
from pipeline.kafka.fetcher import Failed, Fetched
from pipeline.kafka.log_consumer import LogConsumer

LOOK_SECONDS = 15.0
POLL_SECONDS = 0.05


class NothingLost(Stop):
    """The offsets can be read, or it cannot be told which of them cannot."""


class NothingThere(NothingLost):
    """The log has a hole there, which readers leave behind by themselves."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Offsets [start, end) of a partition that cannot be read, and why. ``end`` is None where nobody can tell it."""

    place: Place
    start: int
    end: int | None
    why: str

    def gap(self, last: int | None) -> Gap:
        """The gap up to ``last``, or up to the end that is known. Raises NothingLost where that is too much."""
        name = self.place.at(self.start)
        if last is None:
            if self.end is None:
                raise NothingLost(
                    f"where the loss ends cannot be told ({self.why}); name the last lost offset with "
                    f"`msgmetrics skip {name}-LAST`, which refuses one that can be read"
                )
            return Gap(self.start, self.end)
        if last < self.start:
            raise NothingLost(f"the last offset, {last}, is before the first, {self.start}")
        if self.end is not None and last >= self.end:
            raise NothingLost(
                f"what cannot be read ends at offset {self.end - 1}; name no more than {name}-{self.end - 1}"
            )
        return Gap(self.start, last + 1)


async def find_loss(consumer: LogConsumer, place: Place, offset: int, last: int | None = None) -> Loss:
    """Try to read a partition at an offset, and at the ``last`` where the loss does not tell its own end.

    Raises NothingLost where that works, KafkaError where nobody answers.
    """
    tp = TopicPartition(*place)
    await consumer._client.force_metadata_update()
    await consumer.topics()
    if place.number not in (consumer.partitions_for_topic(place.topic) or ()):
        raise NothingLost(f"there is no partition {place}")
    (first,), (end,) = (await consumer.beginning_offsets([tp])).values(), (await consumer.end_offsets([tp])).values()
    if offset < first:
        return Loss(place, offset, first, "deleted from the log")
    if offset >= end:
        raise NothingLost(f"the log of partition {place} ends at {end}; nothing is lost there")
    consumer.assign([tp])
    consumer.seek(tp, offset)
    async with asyncio.timeout(LOOK_SECONDS):
        loss = await first_answer(consumer, tp, offset)
    if loss.end is None and last is not None and last > offset:
        with contextlib.suppress(NothingThere):
            await find_loss(consumer, place, last)
    return loss


async def first_answer(consumer: LogConsumer, tp: TopicPartition, offset: int) -> Loss:
    """Look at the broker's answer for the offset that a partition was sought to. Raises NothingLost."""
    place = Place(*tp)
    while True:
        match consumer.kept().get(tp):
            case Fetched() as fetched if fetched.has_more:
                if fetched.begins_behind(offset):
                    raise NothingThere(f"partition {place} has no record at {offset}, and can be read behind it")
                raise NothingLost(f"offset {offset} of partition {place} can be read; nothing is lost there")
            case Fetched() as fetched if fetched.refused is not None:
                return Loss(place, offset, fetched.refused.next_offset, str(fetched.refused))
            case Failed(errors.OffsetOutOfRangeError):
                raise NothingLost(f"the log of partition {place} has just changed; look again")
            case Failed(errors.TopicAuthorizationFailedError, cause):
                raise NothingLost(f"partition {place} cannot be looked at: {cause.why}; {cause.remedy}")
            case Failed(_, cause) if not cause.passes:
                return Loss(place, offset, None, cause.why)
        await asyncio.sleep(POLL_SECONDS)
