"""aiokafka's consumer with the answers to fetches read by us: one partition's trouble is no other's.

aiokafka parses records as they are handed on, ends its generator with the first it cannot parse, and moves the
position by one over a batch that is too large. Here an answer is kept as bytes until it is taken, batch by batch, and
the position moves over nothing but what was handed on. What cannot be read stands in the place of the records until
it is time to try again.
"""

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition, errors
from aiokafka.consumer.fetcher import Fetcher

from pipeline.core.records import RawRecord
from pipeline.core.waiting import Cause
from pipeline.kafka.batches import Aborted, BatchRefused, Unpacked, unpack_fetch
from pipeline.kafka.lenient import Unreadable

log = logging.getLogger(__name__)

PREFETCH_SECONDS = 0.1
"""For so long the other partitions of a broker are not fetched before an answer was taken."""
MOVED = frozenset({
    errors.NotLeaderForPartitionError, errors.UnknownTopicOrPartitionError, errors.LeaderNotAvailableError,
    errors.ReplicaNotAvailableError,
})  # fmt: skip
"""Errors of a broker that is not, or no longer, the one to ask."""


@dataclass(slots=True)
class Taken:
    """Consecutive records of one partition, what of it is no record, and the next offset. Sizes are uncompressed."""

    records: list[RawRecord]
    unreadable: list[tuple[Unreadable, int]]
    size_bytes: int
    next_offset: int


class Fetched:
    """A broker's answer for one partition, from which batches are taken."""

    def __init__(self, assignment: Any, tp: TopicPartition, position: int, batches: Iterator[Unpacked]) -> None:
        self.position = position
        self.refused: BatchRefused | None = None
        self._state, self._assignment = assignment.state_value(tp), assignment
        self._batches, self._created = batches, time.monotonic()
        self._next: Unpacked | None = None
        self._advance()

    def calculate_backoff(self) -> float:
        """Called by aiokafka: seconds for which the broker's other partitions are not fetched."""
        return max(0.0, self._created + PREFETCH_SECONDS - time.monotonic())

    @property
    def is_stale(self) -> bool:
        """Whether a seek, a pause or a rebalance came in between."""
        state = self._state
        return not self._assignment.active or bool(state.paused) or state.position != self.position

    @property
    def has_more(self) -> bool:
        return self._next is not None

    def take(self, max_records: int, max_bytes: int) -> Taken:
        """The next batches, until one crosses a limit; the position moves behind them."""
        taken = Taken([], [], 0, self.position)
        while (part := self._next) is not None and len(taken.records) < max_records and taken.size_bytes < max_bytes:
            part = self._cut(part, max_records - len(taken.records))
            taken.records += part.records
            taken.unreadable += [(unreadable, part.max_timestamp) for unreadable in part.unreadable]
            taken.size_bytes += part.size_bytes
            taken.next_offset = part.next_offset
        self.position = taken.next_offset
        self._state.consumed_to(taken.next_offset)
        return taken

    def _cut(self, part: Unpacked, limit: int) -> Unpacked:
        """At most so many records of a batch; the rest is next."""
        if len(part.records) <= limit or part.unreadable:
            self._advance()
            return part
        share = part.size_bytes * limit // len(part.records)
        rest = part.records[limit:]
        self._next = part._replace(records=rest, size_bytes=part.size_bytes - share)
        return part._replace(records=part.records[:limit], size_bytes=share, next_offset=rest[0].offset)

    def _advance(self) -> None:
        self._next = None
        try:
            self._next = next(self._batches, None)
        except BatchRefused as refused:
            self.refused = refused
        except Exception as error:  # a parser's fault, of which this partition must not die
            log.exception("a batch at or behind offset %d cannot be read", self.position)
            self.refused = BatchRefused(f"reading it failed ({error!r})", None)


@dataclass(frozen=True, slots=True)
class Failed:
    """A fetch of one partition that failed, until somebody takes note of it."""

    error: type[errors.KafkaError]
    cause: Cause

    def calculate_backoff(self) -> float:
        """Called by aiokafka: the broker's other partitions are fetched."""
        return 0.0


@dataclass(frozen=True, slots=True)
class Recovered:
    """A broker that failed has answered again, and has nothing to read."""

    def calculate_backoff(self) -> float:
        """Called by aiokafka: the broker's other partitions are fetched."""
        return 0.0


@dataclass(frozen=True, slots=True)
class Pausing:
    """Stands for the records of a partition that is not fetched until a time (monotonic seconds)."""

    retry_at: float

    def calculate_backoff(self) -> float:
        """Called by aiokafka: the broker's other partitions are fetched."""
        return 0.0


class BatchFetcher(Fetcher):  # type: ignore[misc]
    """aiokafka's fetcher, but for what becomes of an answer."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.failing: set[TopicPartition] = set()
        """Partitions whose next answer is worth a note, even if there is nothing to read."""

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> bool:
        """Ask a broker, and keep its answers. Whether there is anything to take."""
        asked = {TopicPartition(t, p): offset for t, partitions in request.topics for p, offset, _ in partitions}
        try:
            response = await self._client.send(node_id, request)
        except asyncio.CancelledError:  # closed, or assigned anew
            return False
        except errors.KafkaError as error:
            self._keep(assignment, asked, dict.fromkeys(asked, _unanswered(node_id, error)))
            await asyncio.sleep(self._retry_backoff)
            return True
        answers = {
            TopicPartition(topic, number): (code, end, rest)
            for topic, partitions in response.topics
            for number, code, end, *rest in partitions
        }
        kept = {tp: self._answer(assignment, tp, asked[tp], *answer) for tp, answer in answers.items() if tp in asked}
        return self._keep(assignment, asked, kept)

    def _answer(
        self, assignment: Any, tp: TopicPartition, position: int, code: int, log_end: int, rest: Sequence[Any]
    ) -> Fetched | Failed | Recovered | None:
        error = errors.for_code(code)
        if error is not errors.NoError:
            if error in MOVED:
                self._client.force_metadata_update()
            return Failed(error, _cause(error, tp))
        # From version 4 on: the last stable offset, maybe the log's start, the aborted transactions, maybe a better
        # replica to read from, and the records.
        payload = rest[-1]
        if not payload:
            return Recovered() if tp in self.failing else None
        aborted = rest[2 if len(rest) > 4 else -2] if len(rest) > 1 else None
        return Fetched(assignment, tp, position, unpack_fetch(payload, position, log_end, Aborted(aborted)))

    def _keep(self, assignment: Any, asked: Any, answers: Any) -> bool:
        """Keep what was answered, unless the partition was sought or taken away meanwhile."""
        found = False
        for tp, answer in answers.items():
            if not assignment.active:
                break
            state = assignment.state_value(tp)
            if answer is None or not state.has_valid_position or state.position != asked[tp]:
                continue
            self._records[tp] = answer
            found = True
            (self.failing.add if isinstance(answer, Failed) else self.failing.discard)(tp)
        return found


def _unanswered(node_id: int, error: errors.KafkaError) -> Failed:
    why = f"broker {node_id}, its leader, does not answer ({type(error).__name__})"
    return Failed(type(error), Cause(why, "it is asked again until it does", passes=True))


def _cause(error: type[errors.KafkaError], tp: TopicPartition) -> Cause:
    if error is errors.TopicAuthorizationFailedError:
        return Cause("the broker refuses the right to read it", f"grant READ on the topic {tp.topic}")
    if error in MOVED:
        return Cause(f"no broker is its leader ({error.__name__})", "bring its brokers back", passes=True)
    return Cause(
        f"the broker cannot read it ({error.__name__}: {error.description})",
        "look at the broker's log; what is lost there for good is accepted with `msgmetrics skip`",
        passes=bool(error.retriable),
    )


class LogConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """aiokafka's consumer with a BatchFetcher. It must be given its topics or partitions after its start."""

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

    def kept(self) -> dict[TopicPartition, Any]:
        """What was fetched, or stands for it, by partition."""
        kept: dict[TopicPartition, Any] = self._fetcher._records
        return kept

    def drop(self, tp: TopicPartition) -> None:
        """Make room for the next fetch of a partition, and wake up the fetcher to send it."""
        del self._fetcher._records[tp]
        self._fetcher._notify(self._fetcher._wait_consume_future)

    def pause_until(self, tp: TopicPartition, retry_at: float) -> None:
        """Do not fetch a partition until a time (monotonic seconds); the others are."""
        self._fetcher._records[tp] = Pausing(retry_at)

    def tell_when_answered(self, tp: TopicPartition) -> None:
        """Have the next answer for a partition kept as Recovered, even if there is nothing to read."""
        self._fetcher.failing.add(tp)

    def kept_position(self, tp: TopicPartition) -> int:
        """The offset that a partition is fetched from."""
        return int(self._subscription.subscription.assignment.state_value(tp).position)

    def skip_to(self, tp: TopicPartition, offset: int) -> None:
        """Move the position over what is not to be read, within the same reading."""
        self._subscription.subscription.assignment.state_value(tp).consumed_to(offset)
