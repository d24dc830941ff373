"""The effects of the pipeline on ClickHouse, as values.

The protocol (``protocol.py``) is written as generators that yield these and receive what each one reads. One runner
performs them on ClickHouse, the simulation performs them on a fake at the engine's own granularity; both run the same
protocol. Every effect may be performed again after a failure, in any order with those of other workers.

Instants are epoch milliseconds, bucket starts epoch seconds; 0 means "not yet".
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pipeline.core.clocks import NOT_READ, ClockReading
from pipeline.core.late_keys import LateKeys
from pipeline.core.progress import ReadMarks, RetireTopic, WriteProgress, WriteStarts
from pipeline.core.records import Columns, DeadLetter
from pipeline.core.statements.history import StatementEffect
from schemas.grain import Grain

Erasures = Mapping[str, int]
"""Organization to the instant (epoch ms) up to which its records were erased."""


FALL_MS = 1000
"""ClickHouse's clock fell if `as_of` is ahead of it by more: its servers may differ by less."""


@dataclass(frozen=True, slots=True)
class State:
    """The scalars of the ``watermark`` table, each only ever rising, and ClickHouse's clock as it was then.

    ``facts_floor_ms`` is where facts are surely complete from on: by what is stored, and by the retention of facts, for
    which the time is that clock's, or `as_of` where that is later, as it is after the clock was set back.
    """

    as_of_ms: int = 0
    closing_ms: int = 0
    facts_floor_ms: int = 0
    generation: int = 0
    clock: ClockReading = field(default=NOT_READ, compare=False)

    @property
    def clock_fell(self) -> bool:
        """Whether ClickHouse's clock was later than it is: `as_of` never gets ahead of it."""
        return self.clock is not NOT_READ and self.as_of_ms - self.clock.theirs_ms > FALL_MS


@dataclass(frozen=True, slots=True)
class InsertFacts:
    columns: Columns


@dataclass(frozen=True, slots=True)
class InsertDeadLetters:
    letters: tuple[DeadLetter, ...]


@dataclass(frozen=True, slots=True)
class ReadState:
    """Answers State. The answer was true at some moment after the effect was asked for."""


@dataclass(frozen=True, slots=True)
class Synchronise:
    """From now on every read sees all that has been acknowledged so far, whichever server answers it.

    On one server every read does anyway, and this does nothing. In a cluster a server knows what its member of the
    coordination service knows, and that may lag.
    """


@dataclass(frozen=True, slots=True)
class RaiseState:
    """Raise scalars of the ``watermark`` table; a zero changes nothing. No instant gets ahead of ClickHouse's clock."""

    state: State


@dataclass(frozen=True, slots=True)
class ReadEarliestFact:
    """Answers the first minute with a fact (of one organization where named) in epoch seconds, or None."""

    org_id: str = ""


@dataclass(frozen=True, slots=True)
class CloseBuckets:
    """Compute every bucket of the grain that starts in [start, end), from one statement."""

    grain: Grain
    start: int
    end: int
    generation: int


@dataclass(frozen=True, slots=True)
class StageKeys:
    """Make the keys of a late recompute available to its statements under ``batch``.

    ClickHouse forgets them in time.
    """

    batch: str
    keys: LateKeys


@dataclass(frozen=True, slots=True)
class RecomputeLate:
    """Compute again those buckets of the grain that start in [start, end), contain a staged key and end at or before
    ``closing_ms``."""

    grain: Grain
    batch: str
    start: int
    end: int
    closing_ms: int
    generation: int


@dataclass(frozen=True, slots=True)
class CountStaged:
    """Answers how many keys of a batch are still there, and will be for longer than any statement takes."""

    batch: str


@dataclass(frozen=True, slots=True)
class LogClosing:
    """Note in the log of closings that everything from one instant to another is closed."""

    from_ms: int
    to_ms: int
    generation: int


@dataclass(frozen=True, slots=True)
class ReadHighestGeneration:
    """Answers the highest generation that any rollup row carries."""


@dataclass(frozen=True, slots=True)
class RebuildBuckets:
    """Write every bucket of the grain that starts in [start, end) anew, of one organization where named.

    A bucket that has a row or something to be computed from gets a row, an empty one where nothing should be.
    """

    grain: Grain
    start: int
    end: int
    generation: int
    org_id: str = ""


@dataclass(frozen=True, slots=True)
class ReadErasures:
    """Answers Erasures."""


@dataclass(frozen=True, slots=True)
class FindErased:
    """Answers Erasures: those that are not finished, or of which rows came back.

    Rows of rollups came back that the last deletion above ``floor_ms`` would have taken, had they been there.
    """

    floor_ms: int = 0


@dataclass(frozen=True, slots=True)
class OrderErasure:
    """Store that an organization's records up to ``at_ms`` are to be erased and when this was ordered; announce it.

    In one: an order that is not announced is not found as unfinished where only rollups are left.
    """

    org_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Erased:
    """The newest announcement, as it was before rows were looked for, and how many were deleted."""

    announcement: int
    rows: int


@dataclass(frozen=True, slots=True)
class EraseRows:
    """Delete an organization's facts and dead letters whose record is not younger than ``at_ms``.

    Answers Erased when they are gone. Where there are any, that is announced first.
    """

    org_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class EraseRollups:
    """Announce, then delete an organization's rows in the rollup of a grain.

    Those of buckets from ``floor_ms`` on, which can be computed again, and those that were computed before the erasure
    was ordered. What is left is older than facts are kept, and counts what the organization has sent since.

    Answers the announcement when they are gone; None, and nothing is done, where another has been made since
    ``announcement``.
    """

    org_id: str
    grain: Grain
    announcement: int
    floor_ms: int = 0


@dataclass(frozen=True, slots=True)
class FinishErasure:
    """Mark an erasure as finished: all that was announced up to ``announcement`` is deleted and rebuilt."""

    org_id: str
    announcement: int


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Inserts that were under way at one moment: their ids, or, where these are not known, when all have ended.

    ``ended_at`` is in monotonic seconds of this process, 0 where the ids are known.
    """

    ids: frozenset[str] = frozenset()
    ended_at: float = 0.0


@dataclass(frozen=True, slots=True)
class ReadInserts:
    """Answers UnderWay: inserts into facts, dead letters and rollups that are under way, of any process."""


@dataclass(frozen=True, slots=True)
class AwaitInserts:
    """Wait for inserts to end, for a moment. Answers whether they have."""

    under_way: UnderWay


@dataclass(frozen=True, slots=True)
class WriteResync:
    """Have whoever keeps a copy of an organization's numbers, or of all where none is named, read every bucket again.

    For what a row does not tell by the time at which it was computed: it was deleted, or that time is wrong.
    """

    org_id: str = ""


Computing = CloseBuckets | RecomputeLate | RebuildBuckets
"""Effects that compute buckets. Of more than one bucket they answer whether that was too much at once for the time or
the memory of a statement: then some of them may be computed, and all are to be computed in smaller parts."""
Effect = (
    InsertFacts
    | InsertDeadLetters
    | ReadState
    | Synchronise
    | WriteProgress
    | WriteStarts
    | RetireTopic
    | ReadMarks
    | RaiseState
    | ReadEarliestFact
    | CloseBuckets
    | StageKeys
    | RecomputeLate
    | CountStaged
    | LogClosing
    | ReadHighestGeneration
    | RebuildBuckets
    | ReadErasures
    | FindErased
    | FinishErasure
    | OrderErasure
    | EraseRows
    | EraseRollups
    | ReadInserts
    | AwaitInserts
    | WriteResync
    | StatementEffect
)

T = TypeVar("T")
Steps = Generator[Effect, Any, T]
"""A protocol under way: yields effects, is sent their answers, returns a T."""
