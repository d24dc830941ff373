"""The reading side of a replay: the wanted records, their offsets in the log, and their batches."""

import asyncio
import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from aiokafka import TopicPartition

from pipeline.core.clocks import Moment
from pipeline.core.effects import State
from pipeline.core.envelope.frames import Reader, SchemaKey, Schemas, keys_needed
from pipeline.core.flush import Batch, Chunk, FlushPolicy, Rules
from pipeline.core.place import Place
from pipeline.core.records import time_of
from pipeline.core.start import Gap
from pipeline.errors import Stop
from pipeline.kafka.client import connection
from pipeline.kafka.fetcher import Taken
from pipeline.kafka.log_consumer import LogConsumer
from pipeline.kafka.topics import missing_topics, never_create_topics
from schemas.grain import MS_PER_SECOND
from schemas.limits import PARTITION_FETCH_BYTES
from schemas.settings import Settings

log = logging.getLogger(__name__)


class SchemaLacking(Stop):
    """A schema that records need cannot be had before somebody mends a setting."""


class NothingToReplay(Stop):
    """There is no such span, or no such replay."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The records to read again: Kafka timestamp (epoch ms) in [from_ms, to_ms), of some topics, or partitions, or all.

    ``rate`` is records per second at the most, 0 for no limit.
    """

    from_ms: int
    to_ms: int
    places: frozenset[Place] = frozenset()
    topics: frozenset[str] = frozenset()
    rate: float = 0.0

    def is_all_of(self, places: Set[Place]) -> bool:
        """Whether these are the partitions that are named, or are of the topics that are, where any are."""
        topics = {place.topic for place in places}
        return self.places in (frozenset(), places) and self.topics in (frozenset(), topics)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Offsets [start, end) of one partition."""

    start: int
    end: int


POLL_MS = 500
RECORDS_A_POLL = 20_000
SCHEMA_SECONDS = 0.1
"""Between two looks for a schema that is missing."""
EPOCH = 0
"""A replay reads each partition once; the worker counts its readings."""


@dataclass(slots=True)
class Reading:
    """Settings of a reading of the log; the base of a replay and of its dry run."""

    settings: Settings
    wanted: Wanted
    clock: Callable[[], Moment]
    gaps: Mapping[Place, Sequence[Gap]]
    schemas: Schemas | None

    @property
    def topics(self) -> frozenset[str]:
        """The topics of which partitions are looked up."""
        return frozenset(p.topic for p in self.wanted.places) or self.wanted.topics or frozenset(self.settings.topics)

    async def chunks(self, consumer: LogConsumer, bounds: Mapping[Place, Bounds], state: State) -> AsyncIterator[Chunk]:
        """The records of the span, decoded, in chunks of the size of the worker's flushes.

        Time is judged by ClickHouse's clock, as ``state`` had it: this machine's may be anybody's.
        """
        s = self.settings
        policy = FlushPolicy(s.flush_events, s.flush_bytes, s.flush_seconds)
        rules = Rules(0, int(s.future_skew_seconds * MS_PER_SECOND))
        chunk = Chunk(is_second_reading=True)
        async for read in read_batches(consumer, self.wanted, bounds, self.gaps):
            batch = await with_readers(read, self.schemas)
            chunk.add(batch, rules, state.clock.as_theirs(self.clock()), state.facts_floor_ms, time.monotonic())
            if policy.is_due(chunk.records, chunk.size_bytes, chunk.opened_at, time.monotonic()):
                yield chunk
                chunk = Chunk(is_second_reading=True)
        if chunk.ends:
            yield chunk


async def with_readers(batch: Batch, schemas: Schemas | None) -> Batch:
    """The batch with readers for its records. Waits for as long as a registry is away, and says so as a warning.

    Raises SchemaLacking where somebody has to mend a setting first.
    """
    if schemas is None:
        return batch
    readers: dict[SchemaKey, Reader] = {}
    left, told = {key for _, key in keys_needed(batch.records)}, ""
    while left:
        looked = schemas.look(left)
        readers |= looked.readers
        left = {*looked.missing}
        for cause in looked.missing.values():
            sentence = f"a schema cannot be had: {cause.why}; {cause.remedy}"
            if not cause.passes:
                raise SchemaLacking(sentence)
            if sentence != told:
                log.warning("%s", told := sentence)
        await asyncio.sleep(SCHEMA_SECONDS if left else 0)
    return replace(batch, readers=readers)


@contextlib.asynccontextmanager
async def open_consumer(settings: Settings) -> AsyncIterator[LogConsumer]:
    """A consumer without a group. As the worker's, it does not see aborted transactions, and makes no topic."""
    never_create_topics()
    consumer = LogConsumer(
        **connection(settings),
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        with contextlib.suppress(asyncio.CancelledError):  # of aiokafka's own task, where nothing was assigned yet
            await consumer.stop()


async def find_bounds(consumer: LogConsumer, topics: Set[str], wanted: Wanted) -> dict[Place, Bounds]:
    """The offsets to read of each partition of these topics, as the log stands now. Raises NothingToReplay.

    From the first record that is not before the span to the end of the log: producers' clocks differ, so that a record
    of the span may stand behind one that was stamped after it. Where the broker cannot look up times, all is read.
    """
    known = await _places(consumer, topics)
    if missing := wanted.places - known:
        have = Counter(place.topic for place in known)
        has = ", ".join(f"{topic} has {have[topic]}" for topic in sorted({place.topic for place in missing}))
        raise NothingToReplay(f"there is no partition {', '.join(map(str, sorted(missing)))}; {has}")
    tps = [TopicPartition(*place) for place in sorted(wanted.places or known)]
    first, last = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
    since = await consumer.offsets_for_times(dict.fromkeys(tps, wanted.from_ms))
    any_time = await consumer.offsets_for_times(dict.fromkeys(tps, 0))
    bounds = {}
    for tp in tps:
        nothing = last[tp] if any_time[tp] else first[tp]  # where no record has a time, none is before the span
        start = since[tp].offset if since[tp] else nothing
        bounds[Place(*tp)] = Bounds(min(start, last[tp]), last[tp])
    return bounds


async def _places(consumer: LogConsumer, topics: Set[str]) -> frozenset[Place]:
    await consumer._client.force_metadata_update()
    await consumer.topics()
    known = {topic: consumer.partitions_for_topic(topic) or () for topic in sorted(topics)}
    if missing := [topic for topic, numbers in known.items() if not numbers]:
        others = "" if len(missing) == len(topics) else "; or name the others with --topic"
        raise NothingToReplay(missing_topics(missing) + others)
    return frozenset(Place(topic, number) for topic, numbers in known.items() for number in numbers)


async def read_batches(
    consumer: LogConsumer,
    wanted: Wanted,
    bounds: Mapping[Place, Bounds],
    gaps: Mapping[Place, Sequence[Gap]],
) -> AsyncIterator[Batch]:
    """The records of the span as batches, each partition in the order of its log, not faster than wanted.

    Accepted gaps are left out. Raises LogGap where anything else cannot be read.
    """
    left = {TopicPartition(*p): b for p, b in bounds.items() if b.start < b.end}
    if not left:
        return
    consumer.assign(list(left))
    for tp, b in left.items():
        consumer.seek(tp, b.start)
    at_once = min(RECORDS_A_POLL, math.ceil(wanted.rate * POLL_MS / MS_PER_SECOND)) if wanted.rate else RECORDS_A_POLL
    began, read = time.monotonic(), 0
    while left:
        fetched = await consumer.poll(left, POLL_MS / MS_PER_SECOND, RECORDS_A_POLL, gaps)
        for tp, taken in fetched.items():
            for batch in _batches(Place(*tp), taken, left[tp], wanted, at_once):
                yield batch
                if wanted.rate:
                    read += len(batch.records)
                    await asyncio.sleep(max(0.0, read / wanted.rate - (time.monotonic() - began)))
        for tp in list(left):
            if await consumer.position(tp) >= left[tp].end:  # past control records and aborted transactions too
                consumer.pause(tp)
                del left[tp]


def _batches(place: Place, found: Taken, bounds: Bounds, wanted: Wanted, at_once: int) -> Iterator[Batch]:
    """Cut what one poll has brought of a partition into batches of at most ``at_once`` records that are wanted.

    Records outside the span are in none of them: one batch, an empty one, may pass any number of these.
    """
    taken = [r for r in found.records if r.offset < bounds.end and is_wanted(r.timestamp, wanted)]
    letters = [x for x in found.unreadable if x.offset < bounds.end and is_wanted(x.record_ms, wanted)]
    start, end = found.start, min(found.next_offset, bounds.end)
    for first in range(0, max(len(taken), 1), at_once):
        part = taken[first : first + at_once]
        following = part[-1].offset + 1 if first + at_once < len(taken) else end
        size_bytes = sum(len(r.value or b"") for r in part)
        yield Batch(place, EPOCH, start, following, part, size_bytes, letters)
        start, letters = following, []


def is_wanted(timestamp_ms: int | None, wanted: Wanted) -> bool:
    """Whether a record's time lies in the span. One without a time, or with one that is none, lies in every span."""
    return wanted.from_ms <= time_of(timestamp_ms, wanted.from_ms) < wanted.to_ms
