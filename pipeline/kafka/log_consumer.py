"""aiokafka's consumer with our fetcher."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition, errors

from pipeline.core.broker_clocks import BrokerClocks
from pipeline.core.clocks import Moment
from pipeline.core.place import Place
from pipeline.core.start import Gap, behind_gaps
from pipeline.core.waiting import Cause, Waiting
from pipeline.errors import LogGap
from pipeline.kafka.causes import bad_batch, deleted, note_wait
from pipeline.kafka.fetcher import BatchFetcher, Failed, Fetched, Pausing, Standing, Taken

MAX_BYTES_A_TAKE = 4 * 1024 * 1024
"""A batch ends with the producers' batch that crosses this: 20,000 records of 64 KiB would be more than a gigabyte."""


class LogConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """aiokafka's consumer with a BatchFetcher. It must be given its topics or partitions after its start."""

    def __init__(self, *topics: str, **options: Any) -> None:
        super().__init__(*topics, **options)
        self.waiting = Waiting()
        """Partitions that ``poll`` tries again later."""
        self.broker_clocks = BrokerClocks()
        self.now: Callable[[], Moment | None] = lambda: None
        """Both go to the fetcher."""
        self._others: set[str] = set()
        """Topics that are not read here, and whose metadata are wanted all the same."""

    async def start(self) -> None:
        """Connect, and put our fetcher in the place of aiokafka's, which has had nothing to do yet."""
        await super().start()
        await self._fetcher.close()  # type: ignore[has-type]
        self._fetcher = BatchFetcher(
            self._client,
            self._subscription,
            fetch_max_wait_ms=self._fetch_max_wait_ms,
            max_partition_fetch_bytes=self._max_partition_fetch_bytes,
            auto_offset_reset="none",
            isolation_level="read_committed",
        )
        self._fetcher.broker_clocks, self._fetcher.now = self.broker_clocks, self.now
        self._keep_others()

    def _keep_others(self) -> None:
        """Have the client keep the topics that are not read here.

        The leader of a group sets the topics of its members at each assignment. Were the others dropped there, a
        question for metadata that is under way would be repeated, and the group would wait for that until the metadata
        are too old.
        """
        set_topics = self._client.set_topics
        self._client.set_topics = lambda topics: set_topics({*topics, *self._others})

    def ask_for(self, topics: Collection[str]) -> "asyncio.Future[Any] | None":
        """Have the metadata of these topics asked for from now on; done when they are there. None: they are asked for.

        Private, since a consumer asks for its own topics, or for all there are. aiokafka compares which topics it has
        asked for with those that it is to ask for when an answer comes, so that they must be another set, not the same
        one with more in it; and it repeats the question at once only if it was woken.
        """
        client = self._client
        if client._topics.issuperset(topics):
            return None
        self._others |= set(topics)
        asked: asyncio.Future[Any] = client.set_topics(client._topics)
        if not client._md_update_waiter.done():
            client._md_update_waiter.set_result(None)
        return asked

    def kept(self) -> dict[TopicPartition, Any]:
        """Answers that were fetched, or stand for one, by partition."""
        kept: dict[TopicPartition, Any] = self._fetcher._records
        return kept

    def drop(self, tp: TopicPartition) -> None:
        """Make room for the next fetch of a partition, and wake up the fetcher to send it."""
        del self._fetcher._records[tp]
        self._fetcher._notify(self._fetcher._wait_consume_future)

    def pause_until(self, tp: TopicPartition, retry_at: float) -> None:
        """Do not fetch a partition until a time (monotonic seconds); the others are."""
        self.keep(tp, Pausing(retry_at))

    def keep(self, tp: TopicPartition, standing: Standing) -> None:
        """Have something stand for what is to be read of a partition, which is not fetched meanwhile."""
        self._fetcher._records[tp] = standing

    def tell_when_answered(self, tp: TopicPartition) -> None:
        """Have the next answer for a partition kept as Recovered, even if there is nothing to read."""
        self._fetcher.failing.add(tp)

    def kept_position(self, tp: TopicPartition) -> int:
        """The offset that a partition is fetched from."""
        return int(self._subscription.subscription.assignment.state_value(tp).position)

    def move_to(self, tp: TopicPartition, offset: int) -> None:
        """Move the position within the same reading: over what is not to be read, or back to what is read later."""
        self._subscription.subscription.assignment.state_value(tp).consumed_to(offset)

    async def poll(
        self, tps: Collection[TopicPartition], seconds: float, max_records: int, gaps: Mapping[Place, Sequence[Gap]]
    ) -> dict[TopicPartition, Taken]:
        """Take a batch of each partition, until they are large together; empty when the time is over. For who can stop.

        Accepted gaps are left behind. Raises LogGap where something else cannot be read.
        """
        deadline = time.monotonic() + seconds
        while True:
            taken: dict[TopicPartition, Taken] = {}
            for tp in [tp for tp in self.kept() if tp in tps]:
                if sum(found.size_bytes for found in taken.values()) >= MAX_BYTES_A_TAKE:
                    break
                if (found := self._poll_one(tp, max_records, gaps.get(Place(*tp), ()))) is not None:
                    taken[tp] = found
            left = deadline - time.monotonic()
            if taken or left <= 0:
                return taken
            waiter = self._fetcher._create_fetch_waiter()
            done, _ = await asyncio.wait([waiter], timeout=left)
            if not done:
                waiter.cancel()

    def _poll_one(self, tp: TopicPartition, max_records: int, gaps: Sequence[Gap]) -> Taken | None:
        match self.kept()[tp]:
            case Fetched() as fetched if not fetched.is_stale:
                taken = fetched.take(max_records, MAX_BYTES_A_TAKE)
                if taken.next_offset > taken.start:
                    self.waiting.over(Place(*tp))
                    if fetched.is_done:
                        self.drop(tp)
                    return taken
                if fetched.refused is not None:
                    self._leave_behind(
                        tp, fetched.position, gaps, bad_batch(Place(*tp), fetched.position, fetched.refused)
                    )
            case Failed(errors.OffsetOutOfRangeError):
                position = self.kept_position(tp)
                self._leave_behind(tp, position, gaps, deleted(Place(*tp)))
            case Failed(_, cause):
                self._try_later(tp, cause)
                return None
            case Pausing(retry_at) if time.monotonic() < retry_at:
                return None
        self.drop(tp)
        return None

    def _try_later(self, tp: TopicPartition, cause: Cause) -> None:
        """Pause a partition whose trouble usually passes, and say so. Raises LogGap for any other."""
        position, now = self.kept_position(tp), time.monotonic()
        if not cause.passes:
            raise _gap(tp, position, cause)
        self.pause_until(tp, note_wait(self.waiting, Place(*tp), position, cause, now).retry_at)

    def _leave_behind(self, tp: TopicPartition, position: int, gaps: Sequence[Gap], cause: Cause) -> None:
        """Move behind the accepted gaps. Raises LogGap where there is none."""
        behind = behind_gaps(position, gaps)
        if behind == position:
            raise _gap(tp, position, cause)
        self.move_to(tp, behind)


def _gap(tp: TopicPartition, position: int, cause: Cause) -> LogGap:
    where = f"partition {Place(*tp)} cannot be read at offset {position}"
    return LogGap(f"{where}: {cause.why}; {cause.remedy}")
