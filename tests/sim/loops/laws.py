"""What must hold at every moment of a world of loops, not only in the end."""

import random
from collections.abc import Sequence

from pipeline.core.effects import Effect
from pipeline.core.place import Place
from pipeline.core.progress import Started, WriteProgress
from pipeline.worker.lanes import Lanes
from schemas.grain import Grain
from tests.sim.log import Record, milliseconds
from tests.sim.loops.kafka import Group, Member
from tests.sim.loops.log import START, WALL_SECONDS, Log
from tests.sim.loops.virtual import VirtualLoop
from tests.support.fake_store import FakeStore


class Laws:
    """Sees what is done, and says what is wrong with it."""

    def __init__(self, seed: int) -> None:
        self.pick = random.Random(seed)
        self.loop = VirtualLoop(self.pick)  # type: ignore[abstract]  # it has what these tasks need
        self.store, self.log = FakeStore(clock_ms=self.clock_ms), Log(self.pick)
        self.group = Group(self.log, self._sending, self._committing)
        self.lanes: dict[Member, Lanes] = {}
        self.history: list[tuple[float, str]] = []
        self.problem: str | None = None
        self._later_ms = self._as_of_seen = 0
        self._checked: dict[Place, int] = {}
        self._sent: dict[tuple[Member, int, Place], int] = {}
        self._held_since: dict[Place, int] = {}

    def clock_ms(self) -> int:
        return milliseconds(START) + int(self.loop.time() * WALL_SECONDS * 1000) + self._later_ms

    def note(self, what: str) -> None:
        self.history.append((self.loop.time(), what))

    def blame(self, problem: str) -> None:
        self.problem = self.problem or f"{problem} (at {self.loop.time():.2f})"

    def _effect_done(self, effect: Effect) -> None:
        self.note(type(effect).__name__)
        if self.store.state.as_of_ms < self._as_of_seen:
            self.blame("as_of went back")
        if self.store.state.as_of_ms > self._as_of_seen:
            self._as_of_rises()
        self._as_of_seen = self.store.state.as_of_ms
        if isinstance(effect, WriteProgress):
            for p in effect.progress:
                if not all(map(self._is_stored, self._below(p.place, p.next_offset))):
                    self.blame(f"progress of {p.place} speaks for records that are not stored")
                reached_ms = min(p.watermark_ms + effect.lateness_ms, self.clock_ms()) if p.watermark_ms else 0
                behind = self.log.partitions[p.place][p.next_offset :]
                if any(record.timestamp < reached_ms for record in behind if record is not None):
                    self.blame(f"the watermark of {p.place} passes records that nobody has read")

    def _begun(self, starts: Sequence[Started]) -> None:
        """From now on all partitions of these topics hold, and those that were added to them."""
        for topic in {start.place.topic for start in starts}:
            holds = any(place.topic == topic for place in self._held_since)
            for place in self.log.partitions:
                if place.topic == topic and (not holds or any(start.place == place for start in starts)):
                    self._held_since.setdefault(place, self.clock_ms())

    def _as_of_rises(self) -> None:
        """What was published since its partition holds, and before `as_of`, is stored."""
        for place, since_ms in self._held_since.items():
            for record in self.log.partitions[place]:
                is_passed = record is not None and since_ms <= record.timestamp < self.store.state.as_of_ms
                if is_passed and not self._is_stored((place, record)):
                    self.blame(f"as_of has passed a record of {place} that nobody has read")

    def _sending(self, member: Member, offsets: dict[Place, int]) -> None:
        """Where nothing late is pending, all that is durable is committed."""
        lanes = self.lanes[member]
        durable = {} if len(lanes.commits.pending) else lanes.ledger.durable_offsets()
        if any(offset < durable.get(p, 0) for p, offset in offsets.items()):
            self.blame(f"{offsets} is committed where {dict(durable)} is durable and nothing is pending")

    def _committing(self, member: Member, offsets: dict[Place, int]) -> None:
        """What is committed is never read again: so it must be in, also in every bucket that is closed."""
        self.note(f"commit {sorted(offsets.items())}")
        for p, offset in offsets.items():
            reading = (member, self.group.generation, p)
            if offset < self._sent.get(reading, 0):
                self.blame(f"a worker's commits of {p} go back")
            self._sent[reading] = offset
            for record in self._below(p, offset)[self._checked.get(p, 0) :]:
                if not (self._is_stored(record) and self._is_counted(record)):
                    self.blame(f"committed {offset} of {p} before it was in")
            self._checked[p] = max(offset, self._checked.get(p, 0))

    def _below(self, place: Place, offset: int) -> list[tuple[Place, Record | None]]:
        return [(place, record) for record in self.log.partitions[place][:offset]]

    def _is_stored(self, placed: tuple[Place, Record | None]) -> bool:
        place, record = placed
        if record is None:
            return True
        if record.identity is None:
            return (place, 0, record.offset) in self.store.letters
        is_erased = record.timestamp <= self.store.erasures.get(record.identity[1], -1)
        return is_erased or record.identity in self.store.facts

    def _is_counted(self, placed: tuple[Place, Record | None]) -> bool:
        """Whether a record's fact is in every bucket that readers may see; of what is being erased nothing is said."""
        record = placed[1]
        if record is None or record.identity is None or record.identity[1] in self.store.erasures:
            return True
        minute, org, *_ = record.identity
        fact = self.store.facts[record.identity]
        for grain in Grain:
            bucket = grain.floor(minute)
            if grain.is_closed(bucket, self.store.state.as_of_ms):
                row = self.store.rollups[grain].get((org, bucket))
                if row is None or fact not in row.facts:
                    return False
        return True
