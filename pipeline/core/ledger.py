"""Ledger of each partition's records: taken from Kafka, admitted to a chunk, durable in ClickHouse.

Shared by the thread that fetches and the one that flushes; every method takes the lock for a few operations. A seek
begins a new *epoch* of a partition, and what belongs to an older one no longer counts: its rows may still be written
(that is harmless), but nothing is committed from it.

::

    log  ──────────┬───────────────┬──────────────┬──────────────► end
               durable          admitted        taken
               in ClickHouse    in the chunk    handed to Faust

What was taken and not admitted may have been dropped by the framework on the way; a seek forgets it. What was admitted
is in a chunk and stays in memory until that is durable, whatever happens to the partition: it is counted apart.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.core.envelope.frames import Readers
from pipeline.core.flush import Batch, Chunk
from pipeline.core.place import Place
from pipeline.core.records import DeadLetter, RawRecord

MOST_DOUBLINGS = 2
"""Of the patience. Longer, a partition that stands still is the watchdog's, who ends the process."""


@dataclass(slots=True)
class _Reading:
    epoch: int
    began: int
    taken: int
    admitted: int
    durable: int
    waiting_since: float
    again: int = 0
    has_hole: bool = False
    under_way_bytes: int = 0

    def is_overdue(self, now: float, patience_seconds: float) -> bool:
        """Whether what was taken has not arrived within the patience, doubled for each time that nothing did."""
        patience_seconds *= 2 ** min(self.again, MOST_DOUBLINGS)
        return self.taken != self.admitted and now - self.waiting_since > patience_seconds


@dataclass(slots=True)
class Ledger:
    """Bookkeeping for the partitions of one consumer. Offsets are next offsets; times are monotonic seconds."""

    _readings: dict[Place, _Reading] = field(default_factory=dict)
    _collected_bytes: int = 0
    _epoch: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, place: Place, offset: int, now: float) -> None:
        """Start reading a partition at an offset; again, where it is being read and nothing has arrived since."""
        with self._lock:
            self._epoch += 1
            before = self._readings.get(place)
            again = before.again + 1 if before and before.admitted == before.began == offset else 0
            self._readings[place] = _Reading(self._epoch, offset, offset, offset, offset, now, again)

    def stop(self, places: Iterable[Place]) -> None:
        """Forget partitions until ``begin`` is called for them again."""
        with self._lock:
            for place in places:
                self._readings.pop(place, None)

    @property
    def partitions(self) -> frozenset[Place]:
        """Partitions that are being read."""
        with self._lock:
            return frozenset(self._readings)

    def readings(self) -> Mapping[Place, int]:
        """Per partition that is being read, the epoch of its reading."""
        with self._lock:
            return {p: r.epoch for p, r in self._readings.items()}

    @property
    def undurable_bytes(self) -> int:
        """Bytes of records that were taken and are not durable yet."""
        with self._lock:
            return self._collected_bytes + sum(r.under_way_bytes for r in self._readings.values())

    def take(
        self,
        place: Place,
        records: Sequence[RawRecord],
        next_offset: int,
        size_bytes: int,
        now: float,
        unreadable: Sequence[DeadLetter] = (),
        *,
        readers: Readers | None = None,
    ) -> Batch | None:
        """Records were fetched: make them a batch. None where the partition is not being read."""
        with self._lock:
            reading = self._readings.get(place)
            if reading is None:
                return None
            if reading.taken == reading.admitted:
                reading.waiting_since = now
            start, reading.taken = reading.taken, next_offset
            reading.under_way_bytes += size_bytes
            return Batch(place, reading.epoch, start, next_offset, records, size_bytes, unreadable, readers)

    def admit(self, batch: Batch, now: float) -> bool:
        """Whether a batch is the next one of its reading. A stale or repeated one is to be dropped.

        One that begins further on tells that something before it was lost: they come in order.
        """
        with self._lock:
            reading = self._readings.get(batch.place)
            if reading is None or reading.epoch != batch.epoch:
                return False
            if reading.admitted != batch.start:
                reading.has_hole |= batch.start > reading.admitted
                return False
            reading.admitted, reading.waiting_since = batch.next_offset, now
            reading.under_way_bytes -= batch.size_bytes
            self._collected_bytes += batch.size_bytes
            return True

    def durable(self, chunk: Chunk) -> None:
        """A chunk is in ClickHouse."""
        with self._lock:
            self._collected_bytes -= chunk.size_bytes
            for place, end in chunk.ends.items():
                reading = self._readings.get(place)
                if reading is not None and reading.epoch == end.epoch:
                    reading.durable = end.next_offset

    def give_back(self, chunk: Chunk) -> None:
        """A chunk will not be made durable: what is in it and behind it counts as lost, and is to be read again.

        In a later reading too, which began behind what was in memory then.
        """
        with self._lock:
            self._collected_bytes -= chunk.size_bytes
            for batch in chunk.batches:
                reading = self._readings.get(batch.place)
                if reading is not None and reading.admitted > batch.start:
                    reading.admitted, reading.has_hole = batch.start, True

    def passed(self, place: Place, epoch: int, position: int) -> None:
        """Nothing between what was taken of a reading and ``position`` is a record: that far is durable too."""
        with self._lock:
            reading = self._readings.get(place)
            if reading is not None and reading.epoch == epoch and reading.taken == reading.durable < position:
                reading.taken = reading.admitted = reading.durable = position

    def is_settled(self, place: Place) -> bool:
        """Whether all that was taken of a partition is durable."""
        with self._lock:
            reading = self._readings.get(place)
            return reading is not None and reading.taken == reading.durable

    def durable_offsets(self) -> Mapping[Place, int]:
        """Per partition the offset below which everything is durable."""
        with self._lock:
            return {p: r.durable for p, r in self._readings.items()}

    def lost(self, now: float, patience_seconds: float) -> Mapping[Place, int]:
        """Partitions whose taken records never arrived at the flush, with the offset to go back to.

        The framework in between may drop what it carries while it rebalances; reading again is always safe. But where
        it is only slow, what is read again is dropped each time just before it arrives: so the patience grows.
        """
        with self._lock:
            return {
                p: r.admitted for p, r in self._readings.items() if r.has_hole or r.is_overdue(now, patience_seconds)
            }
