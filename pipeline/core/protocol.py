"""The protocol that makes every event count exactly once, as steps that can be interrupted between any two.

Nothing here is atomic and no lock is held. What makes it exact is the order of the steps (each function says why),
that every step can be repeated, that a read sees what was acknowledged before it (``Synchronise``, where it might not),
and that stored state only rises: facts by identity and rank, rollup rows by version, scalars by maximum. The simulation
in ``tests/sim`` interleaves these very functions with crashes, zombies and each other.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace

from pipeline.core.computing import compute_steps, read_state_steps, spans, upward_steps
from pipeline.core.effects import (
    CloseBuckets,
    CountStaged,
    Erasures,
    InsertDeadLetters,
    InsertFacts,
    LogClosing,
    RaiseState,
    ReadEarliestFact,
    ReadErasures,
    ReadHighestGeneration,
    ReadState,
    RebuildBuckets,
    RecomputeLate,
    StageKeys,
    State,
    Steps,
    Synchronise,
)
from pipeline.core.flush import Chunk, too_late
from pipeline.core.generation import next_generation
from pipeline.core.holding import Marks
from pipeline.core.late import late_keys, late_spans
from pipeline.core.late_keys import NO_KEYS, LateKeys
from pipeline.core.place import Place
from pipeline.core.progress import Progress, ReadMarks, RetireTopic, Started, WriteProgress, WriteStarts
from pipeline.core.watermark import frontier, holding
from schemas.grain import MS_PER_SECOND, Grain
from schemas.message_event import TIME_BASED

MAX_ROLL_MS = Grain.DAY.milliseconds
"""One roll closes at most this much event time, so that `as_of` moves while a backlog is closed."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """The outcome of a flush: keys to recompute, dead letters written, records dropped since they are erased.

    ``erasures`` is what holds from now on; ``sweep`` says that some of it was announced too late for this flush.
    ``is_doubtful`` says that the clock which judged it is not to be believed: nothing is claimed by it, and its batches
    are to be read again.
    """

    late: LateKeys
    dead_letters: int
    erased: int
    erasures: Erasures
    sweep: bool
    is_doubtful: bool = False


def flush_steps(chunk: Chunk, progress: Iterable[Progress], lateness_ms: int, erasures: Erasures) -> Steps[Flushed]:
    """Make a chunk durable, then say so: ``progress`` is what may be claimed by it (a replay claims nothing).

    The state is read *after* the facts are in: either `closing` covers a fact's minute already, and it is late; or it
    is announced later, and then the roller reads the facts after they were inserted. The watermark is written last,
    since it speaks for the facts. Nothing is committed to Kafka here: that waits for the late keys.

    Erasures are read after the rows are in, for the same reason: either an erasure that was announced meanwhile is
    seen here, or whoever announced it deletes what was inserted before.

    Dead letters that a clock decides are written only if ClickHouse's agrees, as it was read behind the facts: then
    nothing that happened to either clock while the facts were refused is overlooked.
    """
    erased = chunk.forget(erasures)
    if len(chunk.columns):
        yield InsertFacts(chunk.columns)
        yield Synchronise()
    state: State = yield ReadState()
    letters = (*chunk.letters, *too_late(chunk, state.facts_floor_ms))
    if any(letter.reason in TIME_BASED for letter in letters):
        while not state.clock.tells:
            state = yield ReadState()
        if not chunk.was_judged_by(state.clock):
            return Flushed(NO_KEYS, 0, 0, erasures, sweep=False, is_doubtful=True)
    if letters:
        yield InsertDeadLetters(letters)
        yield Synchronise()
    erasures = yield ReadErasures()
    late = late_keys(chunk.columns.occurred_ms, chunk.columns.org_id, state.facts_floor_ms, state.closing_ms)
    claimed = tuple(progress)
    if claimed:
        yield WriteProgress(claimed, lateness_ms)
    return Flushed(late, len(letters), erased, erasures, chunk.touches(erasures))


def recompute_steps(batch: str, keys: LateKeys) -> Steps[None]:
    """Bring late facts into the rollups, grain by grain.

    Before each coarser grain `closing` is read again, after the finer rows are in: an hour that closes in between is
    either seen here, or its roller reads the finer rows after they were written.

    All of it once more where staged keys are gone in the end: a statement may have been refused for longer than
    ClickHouse keeps them, and have found nothing to do when it was taken. Keys that are there after a statement were
    there while it ran, whatever any clock says.
    """
    staged = 0
    while staged < len(keys):
        yield StageKeys(batch, keys)
        yield Synchronise()
        yield from _recompute_staged(batch, keys)
        staged = yield CountStaged(batch)


def _recompute_staged(batch: str, keys: LateKeys) -> Steps[None]:
    """Recompute once, with the keys as they are staged.

    Once more where the generation rose meanwhile, as every writer of rollups does: a row of the old one loses against
    one of the new one that another writer computed without these facts. What was there before the generation rose is
    seen by all who carry the new one.
    """
    state = yield from read_state_steps()
    before = None
    while before != state.generation:
        before = state.generation
        for grain in Grain:
            for start, end in late_spans(grain, keys):
                yield from compute_steps(RecomputeLate(grain, batch, start, end, state.closing_ms, before))
            yield Synchronise()
            state = yield from read_state_steps()


@dataclass(frozen=True, slots=True)
class Rolled:
    """The outcome of a roll: `as_of` after it, whether more can be done at once, and the partitions that hold it.

    ``topics`` are those that hold it. Nothing was rolled where some of them are not among those that were asked for.
    ``history`` are partitions that hold it since they have not come as far as it is, with their next offsets.
    """

    as_of_ms: int
    topics: frozenset[str] = frozenset()
    more: bool = False
    holding: tuple[Place, ...] = ()
    history: Mapping[Place, int] = field(default_factory=dict)


def roll_steps(listed: Set[str], existing: Mapping[str, Set[Place]]) -> Steps[Rolled]:
    """Close what every partition has passed: announce, read, compute, and only then publish `as_of`.

    ``listed`` are the topics on this worker's list, ``existing`` what the metadata name of each that was asked for.

    `closing` is announced before anything is read, so that a fact which arrives too late for this reading sees the
    announcement and is recomputed by its inserter. `as_of` comes last: who sees it sees everything below it.
    Two rollers at once do the same work twice and nothing else. No more is closed than was announced: `closing` gets
    no further than ClickHouse's clock, whatever a watermark says; nor more than `as_of` can be raised to, where that
    clock was set back since.
    """
    marks: Marks = yield ReadMarks()
    topics, watermarks = marks.topics(listed), marks.watermarks
    expected = sorted(marks.holders(topics, existing))
    target = frontier(watermarks, expected)
    state = yield from read_state_steps()
    if not topics <= existing.keys():
        return Rolled(state.as_of_ms, topics, more=True)
    if target is None or target <= state.as_of_ms:
        behind = [p for p in expected if watermarks.get(p, 0) < state.as_of_ms]
        history = {p: marks.offsets[p] for p in behind if p in marks.offsets}
        return Rolled(state.as_of_ms, topics, holding=holding(watermarks, expected), history=history)
    if state.as_of_ms:
        target = min(target, state.as_of_ms + MAX_ROLL_MS)
    if Grain.MINUTE.floor_ms(target) == Grain.MINUTE.floor_ms(state.as_of_ms):
        yield RaiseState(State(closing_ms=target, as_of_ms=target))  # no bucket ends here: nothing to announce or read
        return Rolled(target, topics)
    yield RaiseState(State(closing_ms=target))
    yield Synchronise()
    state = yield ReadState()
    start_ms, target = state.as_of_ms, min(target, state.closing_ms, state.clock.theirs_ms)
    if target <= start_ms:
        return Rolled(start_ms, topics)
    if not start_ms:
        earliest: int | None = yield ReadEarliestFact()
        start_ms = target if earliest is None else min(earliest * MS_PER_SECOND, target)
        target = min(target, start_ms + MAX_ROLL_MS)
    planned = [(grain, start, end) for grain in Grain for start, end in spans(grain, start_ms, target)]
    before = None
    while before != state.generation:  # see _recompute_staged
        before = state.generation
        state = yield from upward_steps([CloseBuckets(*span, before) for span in planned])
    if planned:
        yield LogClosing(start_ms, target, state.generation)
    yield RaiseState(State(as_of_ms=target))
    return Rolled(target, topics, more=min(watermarks[p] for p in expected) > target)


def progress_steps(progress: Iterable[Progress], lateness_ms: int) -> Steps[None]:
    """Say how far partitions are that had nothing to flush: they are caught up.

    The state need not be read: this speaks for what was flushed, under a state that was read, and beyond it claims only
    that there are no records, which is so under the rules of any version.
    """
    yield WriteProgress(tuple(progress), lateness_ms)


def start_steps(starts: Iterable[Started]) -> Steps[None]:
    """Say that reading begins, before a record is read: from then on every roller is held by it.

    Its topic may be on nobody else's list, and may have been retired.
    """
    yield WriteStarts(tuple(starts))
    yield Synchronise()


def marks_steps() -> Steps[Marks]:
    """Read the marks as they are by now, whichever server answers."""
    yield Synchronise()
    marks: Marks = yield ReadMarks()
    return marks


def retire_steps(topic: str, moved: int) -> Steps[bool]:
    """Let a topic no longer hold `as_of`, whose progress was ``moved`` before it was looked whether anybody reads it.

    Returns whether it does not: where somebody has begun to read it since, it does.
    """
    yield RetireTopic(topic, moved)
    marks: Marks = yield from marks_steps()
    return topic in marks.retired


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The outcome of a rebuild: whole buckets in [start, end) (epoch seconds), under a new generation."""

    start: int
    end: int
    generation: int


def rebuild_spans(start: int, end: int, state: State) -> list[tuple[Grain, int, int]]:
    """The steps of a rebuild of [start, end): whole days from the floor of facts to the day that is being closed."""
    start_ms = max(Grain.DAY.floor(start) * MS_PER_SECOND, state.facts_floor_ms)
    end_ms = min(Grain.DAY.ceil(end), Grain.DAY.ceil(state.closing_ms // MS_PER_SECOND)) * MS_PER_SECOND
    return [(grain, first, last) for grain in Grain for first, last in spans(grain, start_ms, end_ms)]


def rebuild_steps(start: int, end: int, org_id: str = "", *, since_ms: int | None = None) -> Steps[Rebuilt]:
    """Write every bucket of the days that [start, end) touches anew from facts, so that nothing outranks it.

    The generation is raised *before* a fact is read. A writer reads it after its own facts are in: so either this
    rebuild sees those facts, or the writer carries the new generation, and no stale row replaces a rebuilt one. Of two
    hours under one generation that with more minutes of it wins, so one computed from a bad minute loses against one
    computed from its repair.

    Whole days, so that every row below a row is new; open buckets too, since a roller may close an hour over a bad
    minute right now. Nobody sees those before `as_of`, and closing them replaces them by fuller ones.

    ``since_ms`` takes the place of the floor of facts: of a moment ago, from which on rows were deleted.
    """
    yield Synchronise()
    state = yield from read_state_steps()
    highest: int = yield ReadHighestGeneration()
    yield RaiseState(State(generation=next_generation(state.generation, highest)))
    yield Synchronise()
    state = yield ReadState()
    if since_ms is not None:
        state = replace(state, facts_floor_ms=since_ms)
    planned = rebuild_spans(start, end, state)
    before = None
    while before != state.generation:  # see _recompute_staged
        before = state.generation
        state = yield from upward_steps([RebuildBuckets(*span, before, org_id) for span in planned])
    days = [(first, last) for grain, first, last in planned if grain is Grain.DAY] or [(start, start)]
    return Rebuilt(days[0][0], days[-1][1], before)
