"""The protocol that makes every event count exactly once, as steps that can be interrupted between any two.

Nothing here is atomic and no lock is held. What makes it exact is the order of the steps (each function says why),
that every step can be repeated, and that stored state only rises: facts by identity and rank, rollup rows by version,
scalars by maximum. The simulation in ``tests/sim`` interleaves these very functions with crashes, zombies and
each other.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.core.chunk import Chunk, too_late
from pipeline.core.effects import (
    CloseBuckets,
    InsertDeadLetters,
    InsertFacts,
    Key,
    LogClosing,
    Progress,
    RaiseState,
    ReadEarliestFact,
    ReadState,
    ReadWatermarks,
    RecomputeLate,
    StageKeys,
    State,
    Steps,
    WriteProgress,
)
from pipeline.core.late import late_keys
from pipeline.core.watermark import frontier
from schemas.grain import MS_PER_SECOND, Grain

MAX_ROLL_MS = Grain.DAY.milliseconds
"""One roll closes at most this much event time, so that `as_of` moves while a backlog is closed."""
MAX_STATEMENT_SECONDS = Grain.HOUR.seconds
"""One statement closes minutes of at most this span, so that its memory is bounded."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """What a flush found out: the keys to recompute, and the dead letters it wrote."""

    late: set[Key]
    dead_letters: int


def flush_steps(chunk: Chunk, retention_floor_ms: int) -> Steps[Flushed]:
    """Make a chunk durable, then say so.

    The state is read *after* the facts are in: either `closing` covers a fact's minute already, and it is late; or it
    is announced later, and then the roller reads the facts after they were inserted. The watermark is written last,
    since it speaks for the facts. Nothing is committed to Kafka here: that waits for the late keys.
    """
    if len(chunk.columns):
        yield InsertFacts(chunk.columns)
    state: State = yield ReadState()
    floor_ms = max(state.facts_floor_ms, retention_floor_ms)
    letters = (*chunk.letters, *too_late(chunk, floor_ms))
    if letters:
        yield InsertDeadLetters(letters)
    late = late_keys(chunk.columns.occurred_ms, chunk.columns.org_id, state.closing_ms)
    yield WriteProgress(chunk.progress())
    return Flushed(late, len(letters))


def recompute_steps(batch: str, keys: frozenset[Key]) -> Steps[None]:
    """Bring late facts into the rollups, grain by grain.

    Before each coarser grain `closing` is read again, after the finer rows are in: an hour that closes in between is
    either seen here, or its roller reads the finer rows after they were written.
    """
    yield StageKeys(batch, keys)
    for grain in Grain:
        state: State = yield ReadState()
        yield RecomputeLate(grain, batch, keys, state.closing_ms, state.generation)


@dataclass(frozen=True, slots=True)
class Rolled:
    """What a roll did: `as_of` after it, and whether more is ready to be closed at once."""

    as_of_ms: int
    more: bool = False
    waiting_for: tuple[int, ...] = ()


def roll_steps(partitions: Iterable[int], retention_floor_ms: int) -> Steps[Rolled]:
    """Close what every partition has passed: announce, read, compute, and only then publish `as_of`.

    `closing` is announced before anything is read, so that a fact which arrives too late for this reading sees the
    announcement and is recomputed by its inserter. `as_of` comes last: who sees it sees everything below it.
    Two rollers at once do the same work twice and nothing else.
    """
    expected = tuple(partitions)
    watermarks: dict[int, int] = yield ReadWatermarks()
    target = frontier(watermarks, expected)
    state: State = yield ReadState()
    if retention_floor_ms > state.facts_floor_ms:
        yield RaiseState(State(facts_floor_ms=retention_floor_ms))
    if target is None or target <= state.as_of_ms:
        return Rolled(state.as_of_ms, waiting_for=tuple(p for p in expected if not watermarks.get(p)))
    if state.as_of_ms:
        target = min(target, state.as_of_ms + MAX_ROLL_MS)
    yield RaiseState(State(closing_ms=target))
    state = yield ReadState()
    start_ms = state.as_of_ms
    if not start_ms:
        earliest: int | None = yield ReadEarliestFact()
        start_ms = target if earliest is None else min(earliest * MS_PER_SECOND, target)
        target = min(target, start_ms + MAX_ROLL_MS)
    spans = [(grain, start, end) for grain in Grain for start, end in _spans(grain, start_ms, target)]
    for grain, start, end in spans:
        yield CloseBuckets(grain, start, end, state.generation)
    if spans:
        yield LogClosing(start_ms, target, state.generation)
    yield RaiseState(State(as_of_ms=target))
    return Rolled(target, more=min(watermarks[p] for p in expected) > target)


def progress_steps(progress: Iterable[Progress]) -> Steps[None]:
    """Say how far partitions are that had nothing to flush: they are caught up."""
    yield WriteProgress(tuple(progress))


def _spans(grain: Grain, start_ms: int, end_ms: int) -> Iterable[tuple[int, int]]:
    """Whole buckets of the grain that end in (start_ms, end_ms], cut into spans of a bounded width (epoch seconds)."""
    first, last = grain.floor_ms(start_ms), grain.floor_ms(end_ms)
    width = max(MAX_STATEMENT_SECONDS, grain.seconds)
    while first < last:
        end = min(first - first % width + width, last)
        yield first, end
        first = end
