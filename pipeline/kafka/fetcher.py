"""aiokafka's fetcher with its answers read by us: one partition's trouble is no other's.

aiokafka parses records as they are handed on, ends its generator with the first it cannot parse, and moves the
position by one over a batch that is too large. Here an answer is kept as bytes until it is taken, batch by batch, and
the position moves over nothing but what was handed on. What cannot be read stands in the place of the records until
it is time to try again.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition, errors
from aiokafka.consumer.fetcher import Fetcher

from pipeline.clock import running_ms
from pipeline.core.broker_clocks import BrokerClocks
from pipeline.core.clocks import Moment
from pipeline.core.place import Place
from pipeline.core.records import DeadLetter, RawRecord, time_of
from pipeline.core.waiting import Cause
from pipeline.kafka.batches import BatchRefused, Unpacked, claims_of_first, unpack_fetch
from pipeline.kafka.causes import MOVED, broker_error, unanswered_fetch
from pipeline.kafka.lenient import Unreadable
from pipeline.kafka.transactions import Aborted
from schemas.message_event import DeadLetterReason

log = logging.getLogger(__name__)

PREFETCH_SECONDS = 0.1
"""For so long the other partitions of a broker are not fetched before an answer was taken."""
PREFETCH_BYTES = 64 << 20
"""Compressed bytes of all partitions together that were fetched and not taken: beyond it nothing is fetched."""


@dataclass(slots=True)
class Taken:
    """Consecutive records of one partition from ``start`` on, what of it is no record, and the next offset.

    ``size_bytes`` is uncompressed.
    """

    start: int
    next_offset: int
    records: list[RawRecord] = field(default_factory=list)
    unreadable: list[DeadLetter] = field(default_factory=list)
    size_bytes: int = 0

    @property
    def number(self) -> int:
        """Number of the records and of what is none."""
        return len(self.records) + len(self.unreadable)

    def before(self, offset: int) -> "Taken":
        """The part before an offset."""
        records = [x for x in self.records if x.offset < offset]
        unreadable = [x for x in self.unreadable if x.offset < offset]
        share = self.size_bytes * len(records) // max(len(self.records), 1)
        return Taken(self.start, offset, records, unreadable, share)


class Fetched:
    """A broker's answer for one partition, from which batches are taken. None is unpacked before it is wanted."""

    def __init__(
        self, assignment: Any, tp: TopicPartition, position: int, batches: Iterator[Unpacked], size_bytes: int = 0
    ) -> None:
        self.position, self._place, self.size_bytes = position, Place(*tp), size_bytes
        self.refused: BatchRefused | None = None
        self._state, self._assignment = assignment.state_value(tp), assignment
        self._batches, self._created = batches, time.monotonic()
        self._next: Unpacked | None = None
        self._is_over = False
        self.is_open = False
        """True once anything of it was unpacked."""
        self.is_within_a_batch = False
        """True while it holds the rest of a batch with so many records that it comes in slices."""

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
        """Whether there is anything to take. Unpacks the next batch."""
        if self._next is None and not self._is_over:
            self._advance()
        return self._next is not None

    @property
    def is_done(self) -> bool:
        """Whether everything was taken, as far as that is known without unpacking more."""
        return self._is_over and self._next is None and self.refused is None

    def begins_behind(self, offset: int) -> bool:
        """Whether the first that can be read stands behind an offset."""
        if not self.has_more or self._next is None:
            return False
        found = [r.offset for r in self._next.records[:1]] + [x.offset for x in self._next.unreadable[:1]]
        return min(found, default=offset) > offset

    def take(self, max_records: int, max_bytes: int) -> Taken:
        """The next batches, until one crosses a limit; the position moves behind them."""
        taken = Taken(self.position, self.position)
        while taken.number < max_records and taken.size_bytes < max_bytes and self.has_more:
            part = self._cut(max_records - taken.number)
            taken.records += part.records
            taken.unreadable += [unreadable_letter(self._place, x, part.max_timestamp) for x in part.unreadable]
            taken.size_bytes += part.size_bytes
            taken.next_offset = part.next_offset
        self.position = taken.next_offset
        self._state.consumed_to(taken.next_offset)
        return taken

    def _cut(self, limit: int) -> Unpacked:
        """At most so many records of what is next; the rest stays that."""
        part = self._next
        assert part is not None
        self.is_within_a_batch = not part.is_last
        if len(part.records) <= limit or part.unreadable:
            self._next = None
            return part
        share = part.size_bytes * limit // len(part.records)
        rest = part.records[limit:]
        self._next = part._replace(records=rest, size_bytes=part.size_bytes - share)
        return part._replace(records=part.records[:limit], size_bytes=share, next_offset=rest[0].offset)

    def _advance(self) -> None:
        self.is_open = True
        try:
            self._next = next(self._batches, None)
        except BatchRefused as refused:
            self.refused = refused
        except Exception as error:  # a parser's fault, of which this partition must not die
            log.exception("a batch at or behind offset %d cannot be read", self.position)
            self.refused = BatchRefused(f"reading it failed ({error!r})", None)
        self._is_over = self._next is None


def unreadable_letter(place: Place, unreadable: Unreadable, max_timestamp: int) -> DeadLetter:
    """A dead letter for what is no record, with its bytes as they are framed in the log."""
    sentence = f"the record's framing is broken: {unreadable.why}"
    return DeadLetter(
        place, unreadable.offset, DeadLetterReason.UNREADABLE_RECORD, sentence, time_of(max_timestamp, 0), None,
        unreadable.framed, (),
    )  # fmt: skip


class Standing:
    """Stands in the place of records, so that a partition is not fetched; its neighbours are."""

    __slots__ = ()

    def calculate_backoff(self) -> float:
        """Called by aiokafka: the broker's other partitions are fetched."""
        return 0.0


@dataclass(frozen=True, slots=True)
class Failed(Standing):
    """A fetch of one partition that failed, until somebody takes note of it."""

    error: type[errors.KafkaError]
    cause: Cause


@dataclass(frozen=True, slots=True)
class Recovered(Standing):
    """A broker that failed has answered again, and has nothing to read."""


@dataclass(frozen=True, slots=True)
class Pausing(Standing):
    """Stands for the records of a partition that is not fetched until a time (monotonic seconds)."""

    retry_at: float


class BatchFetcher(Fetcher):  # type: ignore[misc]
    """aiokafka's fetcher, but for what becomes of an answer."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.failing: set[TopicPartition] = set()
        """Partitions whose next answer is worth a note, even if there is nothing to read."""
        self.broker_clocks = BrokerClocks()
        self.now: Callable[[], Moment | None] = lambda: None
        """Gives None where no stamp of a broker can be judged."""
        self._doubted: dict[TopicPartition, int] = {}

    def _get_actions_per_node(self, assignment: Any) -> Any:
        """Decide what to ask brokers for: together no more than there is room for, since all of it is kept.

        Of one partition at least a batch comes from each of them, however large.
        """
        kept = sum(answer.size_bytes for answer in self._records.values() if isinstance(answer, Fetched))
        self._fetch_max_bytes = max(0, PREFETCH_BYTES - kept) // max(1, len(self._client.cluster.brokers()))
        requests, *others = super()._get_actions_per_node(assignment)
        return (requests if self._fetch_max_bytes else [], *others)

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> bool:
        """Ask a broker, and keep its answers. Whether there is anything to take."""
        asked = {TopicPartition(t, p): offset for t, partitions in request.topics for p, offset, _ in partitions}
        asked_ms = running_ms()
        try:
            response = await self._client.send(node_id, request)
        except asyncio.CancelledError:  # closed, or assigned anew
            return False
        except errors.KafkaError as error:
            self._keep(assignment, asked, dict.fromkeys(asked, Failed(type(error), unanswered_fetch(node_id, error))))
            await asyncio.sleep(self._retry_backoff)
            return True
        answers = {
            TopicPartition(topic, number): (code, end, rest)
            for topic, partitions in response.topics
            for number, code, end, *rest in partitions
            if TopicPartition(topic, number) in asked
        }
        self._note_stamps(node_id, asked, asked_ms, answers)
        kept = {tp: self._answer(assignment, tp, asked[tp], *answer) for tp, answer in answers.items()}
        return self._keep(assignment, asked, kept)

    def _answer(
        self, assignment: Any, tp: TopicPartition, position: int, code: int, log_end: int, rest: Sequence[Any]
    ) -> Fetched | Failed | Recovered | None:
        error = errors.for_code(code)
        if error is not errors.NoError:
            if error in MOVED:
                self._client.force_metadata_update()
            return Failed(error, broker_error(error, tp))
        # From version 4 on: the last stable offset, maybe the log's start, the aborted transactions, maybe a better
        # replica to read from, and the records.
        payload = rest[-1]
        if not payload:
            return Recovered() if tp in self.failing else None
        aborted = rest[2 if len(rest) > 4 else -2] if len(rest) > 1 else None
        if claims_of_first(payload)[0] > log_end and self._doubted.get(tp) != position:
            self._doubted[tp] = position
            return None  # asked once more: by then the broker knows of what was appended while it answered
        batches = unpack_fetch(payload, position, log_end, Aborted(aborted))
        return Fetched(assignment, tp, position, batches, len(payload))

    def _note_stamps(
        self, broker: int, asked: Mapping[TopicPartition, int], asked_ms: int, answers: Mapping[TopicPartition, Any]
    ) -> None:
        """Hold a broker's clock against ours, by what it has appended where it had nothing before."""
        now = self.now()
        for tp, (code, log_end, rest) in answers.items():
            if payload := rest[-1]:
                self.broker_clocks.appended(broker, Place(*tp), asked[tp], claims_of_first(payload)[1], now)
            elif not code and log_end <= asked[tp]:  # else something is there, hidden by a transaction that is open
                self.broker_clocks.had_nothing(broker, Place(*tp), asked[tp], asked_ms)

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
