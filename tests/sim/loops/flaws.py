"""The safeguards of the loops, and workers that lack one of them.

Not among them: that a repeated batch is dropped, since taken again it changes nothing, as every record may be.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar

from pipeline.core.commits import Commits, Reached
from pipeline.core.effects import State, Steps
from pipeline.core.flush import Batch, Chunk
from pipeline.core.holding import Marks
from pipeline.core.ledger import Ledger
from pipeline.core.place import Place
from pipeline.core.protocol import Rolled, roll_steps
from pipeline.worker.lanes import Lanes
from pipeline.worker.rolling import Rolling
from pipeline.worker.seen import Seen
from tests.sim.stage import EarlyCommits
from tests.sim.topics.actors import bent

T = TypeVar("T")


class Flaw(StrEnum):
    """A safeguard that is missing."""

    NONE = "as designed"
    LATE_IDLE = "the position of an idle partition is queued after its progress is written"
    ANY_READING = "offsets of a reading that has ended are committed"
    NO_IDLE = "positions behind aborted records are not committed"
    COMMIT_EARLY = "offsets are committed before what was late in them is recomputed"
    LOST_IGNORED = "batches that were lost on the way are not read again"
    OLD_BATCHES = "batches of an earlier reading are taken"
    HOLES = "batches behind a lost one are taken"
    OLD_EPOCHS = "a flush of an earlier reading counts for the one after it"
    UNSETTLED = "a partition counts as idle while records of it are not durable"
    NO_RECOMPUTE = "late keys are never recomputed"
    SEEKS_AT_THE_END = "Faust's last seek ends the readings of a worker that leaves, before it has committed"
    HOT_LEFT = "a worker leaves without recomputing late keys that it recomputed a moment ago"
    RAISES = "a loop raises, which ends a worker"
    NO_SWEEP = "nobody resumes an interrupted erasure"
    LISTED_ALONE = "the list of who rolls is what holds as_of"
    MISSING_IGNORED = "a topic that is missing from the metadata holds nothing"
    NOT_COMPARED = "a machine's clock is never held against ClickHouse's"


@dataclass(slots=True)
class LateIdle(Commits):
    """Queues idle positions when somebody asks what to commit, which is after their progress was written."""

    _noted: dict[Place, Reached] = field(default_factory=dict)

    def idle(self, reached: Mapping[Place, Reached]) -> None:
        self._noted |= reached

    def take(self, readings: Mapping[Place, int]) -> dict[Place, Reached]:
        noted, self._noted = self._noted, {}
        Commits.idle(self, noted)
        return Commits.take(self, readings)


class AnyReading(Commits):
    def take(self, readings: Mapping[Place, int]) -> dict[Place, Reached]:
        return Commits.take(self, {p: r.epoch for _, reached in self._waiting for p, r in reached.items()})


class NoIdle(Commits):
    def idle(self, reached: Mapping[Place, Reached]) -> None:
        """Forget them."""


class LostIgnored(Ledger):
    def lost(self, now: float, patience_seconds: float) -> Mapping[Place, int]:
        return {}


class OldBatches(Ledger):
    def admit(self, batch: Batch, now: float) -> bool:
        reading = self._readings.get(batch.place)
        is_old = reading is not None and reading.epoch != batch.epoch
        return Ledger.admit(self, batch, now) or is_old


class Holes(Ledger):
    def admit(self, batch: Batch, now: float) -> bool:
        reading = self._readings.get(batch.place)
        if reading is not None and reading.epoch == batch.epoch:
            reading.admitted = max(reading.admitted, batch.start)
        return Ledger.admit(self, batch, now)


class OldEpochs(Ledger):
    def durable(self, chunk: Chunk) -> None:
        for place, end in chunk.ends.items():
            if reading := self._readings.get(place):
                end.epoch = reading.epoch
        Ledger.durable(self, chunk)


class Unsettled(Ledger):
    def is_settled(self, place: Place) -> bool:
        return place in self.partitions


class NoRecompute(Lanes):
    async def recompute(self, *, hot_too: bool = False) -> None:
        """Leave them waiting."""


class HotLeft(Lanes):
    async def recompute(self, *, hot_too: bool = False) -> None:
        await Lanes.recompute(self)


class Raises(Lanes):
    async def _report_loop(self) -> None:
        raise RuntimeError("a bug")


class NoSweep(Lanes):
    async def _sweep_loop(self) -> None:
        """End at once."""


class RollingByList(Rolling):
    async def steps(self) -> Steps[Rolled]:
        def listed_alone(marks: Marks) -> Marks:
            return replace(
                marks, watermarks={p: mark for p, mark in marks.watermarks.items() if p.topic in self.listed}
            )

        return bent(roll_steps(self.listed, await self.kafka.existing(self.listed)), listed_alone)


class RollingByMetadata(Rolling):
    async def steps(self) -> Steps[Rolled]:
        existing = await self.kafka.existing(self.listed | self._topics)

        def named_alone(marks: Marks) -> Marks:
            named = {p: mark for p, mark in marks.watermarks.items() if existing.get(p.topic, {p})}
            return replace(marks, watermarks=named, partitions={})

        return bent(roll_steps(self.listed, existing), named_alone)


class MissingIgnored(Lanes):
    def __post_init__(self) -> None:
        self._rolling = RollingByMetadata(self.listed, self.kafka, self.seen.health)


class ListedAlone(Lanes):
    def __post_init__(self) -> None:
        self._rolling = RollingByList(self.listed, self.kafka, self.seen.health)


class NotCompared(Seen):
    def noting(self, steps: Steps[T]) -> Steps[T]:
        """As if every clock that is read were this machine's."""
        answer: Any = None
        while True:
            try:
                effect = steps.send(answer)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]
            answer = yield effect
            if isinstance(answer, State):
                answer = replace(answer, clock=replace(answer.clock, theirs_ms=answer.clock.before.wall_ms))
                self.note(answer)


COMMITS: Mapping[Flaw, type[Commits]] = {
    Flaw.LATE_IDLE: LateIdle,
    Flaw.ANY_READING: AnyReading,
    Flaw.NO_IDLE: NoIdle,
    Flaw.COMMIT_EARLY: EarlyCommits,
}
LEDGERS: Mapping[Flaw, type[Ledger]] = {
    Flaw.LOST_IGNORED: LostIgnored,
    Flaw.OLD_BATCHES: OldBatches,
    Flaw.HOLES: Holes,
    Flaw.OLD_EPOCHS: OldEpochs,
    Flaw.UNSETTLED: Unsettled,
}
SEENS: Mapping[Flaw, type[Seen]] = {Flaw.NOT_COMPARED: NotCompared}
LANES: Mapping[Flaw, type[Lanes]] = {
    Flaw.NO_RECOMPUTE: NoRecompute,
    Flaw.HOT_LEFT: HotLeft,
    Flaw.RAISES: Raises,
    Flaw.NO_SWEEP: NoSweep,
    Flaw.LISTED_ALONE: ListedAlone,
    Flaw.MISSING_IGNORED: MissingIgnored,
}
