"""One flush: the rows, dead letters and progress it will make durable, and when it is due."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from pipeline.core.clocks import ClockReading, Moment
from pipeline.core.commits import Reached
from pipeline.core.decode import decode_batch, untimely
from pipeline.core.effects import Erasures
from pipeline.core.envelope.frames import Readers
from pipeline.core.place import Place
from pipeline.core.progress import Progress
from pipeline.core.records import Columns, DeadLetter, RawRecord, Told
from pipeline.core.watermark import partition_watermark
from schemas.message_event import OF_ONE_READING, SENT, TIME_BASED, TYPES, DeadLetterReason


@dataclass(frozen=True, slots=True)
class FlushPolicy:
    """A flush is due by events, by bytes or by the age of the oldest record (seconds)."""

    events: int
    size_bytes: int
    seconds: float

    def is_due(self, events: int, size_bytes: int, opened_at: float | None, now: float) -> bool:
        """Whether what has been collected since ``opened_at`` (monotonic) should be written now."""
        if opened_at is None:
            return False
        return events >= self.events or size_bytes >= self.size_bytes or now - opened_at >= self.seconds


NEVER_ERASED = -1
"""Before every record's time."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of one partition, as one fetch brought them.

    ``start`` is where the batch begins in the log and ``next_offset`` where the next one will (offsets between may be
    missing: aborted transactions, compaction). ``epoch`` tells which reading of the partition it belongs to: every
    seek begins a new one.
    """

    place: Place
    epoch: int
    start: int
    next_offset: int
    records: Sequence[RawRecord]
    size_bytes: int
    unreadable: Sequence[DeadLetter] = ()
    """Bytes in between that are no records."""
    readers: Readers | None = None
    """Readers of the schemas that its records need; None where there is no schema registry."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that decide verdicts and watermarks, in milliseconds."""

    lateness_ms: int
    future_skew_ms: int


@dataclass(slots=True)
class End:
    """The position of one partition after the chunk."""

    epoch: int
    next_offset: int
    watermark_ms: int


@dataclass(slots=True)
class Chunk:
    """A growing flush. ``opened_at`` (monotonic seconds) is when its first batch was read; None while empty.

    A second reading, as a replay is one, does not judge again what the first may have judged otherwise: records that a
    clock refuses (too late, or in the future) are counted, as ``out_of_time``, those whose schema is unknown as
    ``without_schema``, and neither get a dead letter. ``offsets_ms`` are the least and the most that the
    wall clock was set to when it judged, ``is_in_doubt`` that it was not to be believed.
    """

    is_second_reading: bool = False
    columns: Columns = field(default_factory=Columns)
    letters: list[DeadLetter] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    ends: dict[Place, End] = field(default_factory=dict)
    size_bytes: int = 0
    records: int = 0
    out_of_time: int = 0
    without_schema: int = 0
    opened_at: float | None = None
    offsets_ms: tuple[int, ...] = ()
    is_in_doubt: bool = False

    def add(self, batch: Batch, rules: Rules, now: Moment, facts_floor_ms: int, read_at: float) -> None:
        """Decode a batch into the chunk. Batches of a partition arrive in the order of its log."""
        now_ms, offsets_ms = now.wall_ms, (now.offset_ms, *self.offsets_ms)
        self.offsets_ms = min(offsets_ms), max(offsets_ms)
        decoded = decode_batch(
            batch.place, batch.records, now_ms, rules.future_skew_ms, facts_floor_ms, self.columns, batch.readers
        )
        letters = decoded.letters
        if self.is_second_reading:
            letters = [x for x in decoded.letters if x.reason not in OF_ONE_READING]
            out_of_time = sum(x.reason in TIME_BASED for x in decoded.letters)
            self.out_of_time += out_of_time
            self.without_schema += len(decoded.letters) - len(letters) - out_of_time
        self.letters += letters
        self.letters += batch.unreadable
        self.batches.append(batch)
        self.size_bytes += batch.size_bytes
        self.records += len(batch.records) + len(batch.unreadable)
        self.opened_at = read_at if self.opened_at is None else self.opened_at
        mark = 0
        if decoded.candidate_ms is not None:
            mark = partition_watermark(decoded.candidate_ms, now_ms, rules.lateness_ms)
        self._advance(batch, mark)

    def forget(self, erasures: Erasures) -> int:
        """Drop rows and dead letters of erased organizations; returns how many."""
        if not self.touches(erasures):
            return 0
        before = len(self.columns) + len(self.letters)
        rows = zip(self.columns.org_id, self.columns.record_ms, strict=True)
        self.columns = self.columns.only([not _is_erased(erasures, org, at) for org, at in rows])
        self.letters = [x for x in self.letters if not _is_erased(erasures, x.org_id, x.record_ms)]
        return before - len(self.columns) - len(self.letters)

    def touches(self, erasures: Erasures) -> bool:
        """Whether it holds anything of an erased organization."""
        rows = zip(self.columns.org_id, self.columns.record_ms, strict=True)
        letters = ((x.org_id, x.record_ms) for x in self.letters)
        return bool(erasures) and any(_is_erased(erasures, org, at) for org, at in chain(rows, letters))

    def was_judged_by(self, clock: ClockReading) -> bool:
        """Whether the clock that judged its records could be believed, and agreed with this one."""
        return not self.is_in_doubt and clock.agrees(*self.offsets_ms)

    def _advance(self, batch: Batch, watermark_ms: int) -> None:
        end = self.ends.get(batch.place)
        if end is None or end.epoch != batch.epoch:
            self.ends[batch.place] = End(batch.epoch, batch.next_offset, watermark_ms)
        else:
            end.next_offset = batch.next_offset
            end.watermark_ms = max(end.watermark_ms, watermark_ms)

    def reached(self) -> dict[Place, Reached]:
        """The offset that the chunk reaches in each partition."""
        return {p: Reached(end.epoch, end.next_offset) for p, end in self.ends.items()}

    def progress(self) -> tuple[Progress, ...]:
        """The progress to claim once the rows are durable."""
        return tuple(Progress(p, end.next_offset, end.watermark_ms) for p, end in sorted(self.ends.items()))


def _is_erased(erasures: Erasures, org_id: str, record_ms: int) -> bool:
    """Whether a record is not younger than its organization's erasure; without a time of its own, its event."""
    return record_ms <= erasures.get(org_id, NEVER_ERASED)


def too_late(chunk: Chunk, facts_floor_ms: int) -> list[DeadLetter]:
    """Dead letters for rows that turned out to lie before the floor, raised since they were decoded.

    Their facts are in, and harmless: below the floor nothing is computed from facts any more.
    """
    if chunk.is_second_reading or not len(chunk.columns) or min(chunk.columns.occurred_ms) >= facts_floor_ms:
        return []
    rows = chunk.columns
    below = {
        (place, offset): Told(org_id, event_id, TYPES[kind - SENT], at)
        for place, offset, org_id, event_id, kind, at in zip(
            rows.place, rows.offset, rows.org_id, rows.event_id, rows.type, rows.occurred_ms, strict=True
        )
        if at < facts_floor_ms
    }
    return [
        untimely(batch.place, record, DeadLetterReason.TOO_LATE, facts_floor_ms, below[batch.place, record.offset])
        for batch in chunk.batches
        for record in batch.records
        if (batch.place, record.offset) in below
    ]
