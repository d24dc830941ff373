"""ClickHouse in memory, at its own granularity: a read is a snapshot of one table, an insert becomes visible row by
row, nothing spans two statements. Passes the same contract tests as the real store (tests/contract/test_store.py).
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.core.clocks import ClockReading, Moment
from pipeline.core.effects import (
    AwaitInserts,
    CloseBuckets,
    CountStaged,
    Effect,
    Erased,
    EraseRollups,
    EraseRows,
    FindErased,
    FinishErasure,
    InsertDeadLetters,
    InsertFacts,
    LogClosing,
    OrderErasure,
    RaiseState,
    ReadEarliestFact,
    ReadErasures,
    ReadHighestGeneration,
    ReadInserts,
    ReadState,
    RebuildBuckets,
    RecomputeLate,
    StageKeys,
    State,
    Synchronise,
    UnderWay,
    WriteResync,
)
from pipeline.core.generation import counted, stamp
from pipeline.core.late_keys import NO_KEYS, LateKeys
from pipeline.core.place import Place
from pipeline.core.progress import ReadMarks, RetireTopic, WriteProgress, WriteStarts
from pipeline.core.records import DeadLetter
from pipeline.core.watermark import retention_floor
from schemas.grain import MS_PER_SECOND, Grain
from schemas.limits import FACTS_RETENTION_DAYS
from tests.support.fake_progress import ONE_LIFE, Life, Lives
from tests.support.fake_rows import Fact, Identity, Row, rank_of
from tests.support.fake_statements import FakeStatements


def to_the_end(steps: Generator[None, None, Any]) -> Any:
    """Take all steps with nobody in between; returns what they answer."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


@dataclass
class FakeStore(FakeStatements):
    """Tables as dictionaries. Each flag takes a protection of the engine away: versions and ranks (``last_wins``), what
    of them comes from content (``content_ignored``), scalars that only rise (``scalars_fall``), the count of finer rows
    in stamps (``bare_generation``).
    """

    facts: dict[Identity, Fact] = field(default_factory=dict)
    state: State = field(default_factory=State)
    letters: dict[tuple[Place, int, int], DeadLetter] = field(default_factory=dict)
    """By partition, incarnation and offset."""
    erasures: dict[str, int] = field(default_factory=dict)
    announced: dict[str, int] = field(default_factory=dict)
    finished: dict[str, int] = field(default_factory=dict)
    ordered_at: dict[str, int] = field(default_factory=dict)
    record_times: dict[Identity, int] = field(default_factory=dict)
    staged: dict[str, LateKeys] = field(default_factory=dict)
    resyncs: dict[str, int] = field(default_factory=dict)
    """By organization, '' for all: epoch milliseconds."""
    last_wins: bool = False
    content_ignored: bool = False
    bare_generation: bool = False

    def perform(self, effect: Effect) -> Any:
        """Do an effect at once."""
        return to_the_end(self.steps(effect))

    def steps(self, effect: Effect, lives: Lives = ONE_LIFE) -> Generator[None, None, Any]:
        """Do an effect in steps between which others may act. ``lives`` are those that its sender writes under."""
        match effect:
            case InsertFacts(columns=c):
                rows = zip(
                    c.org_id, c.event_id, c.type, c.channel, c.error_code, c.cost_micros, c.occurred_ms, strict=True
                )
                with self._statement():
                    for fact, record_ms in list(zip(rows, c.record_ms, strict=True)):
                        self._insert(fact, record_ms)
                        yield
            case InsertDeadLetters(letters=letters):
                for letter in letters:
                    self.letters[letter.place, lives.get(letter.place, Life()).incarnation, letter.offset] = letter
                    yield
            case ReadState():
                now_ms = self.clock_ms()
                floor_ms = max(
                    self.state.facts_floor_ms, retention_floor(max(now_ms, self.state.as_of_ms), FACTS_RETENTION_DAYS)
                )
                clock = ClockReading("fake", now_ms, Moment(now_ms, now_ms), 0)
                return replace(self.state, facts_floor_ms=floor_ms, clock=clock)
            case RaiseState(state=s):
                old, now_ms = self.state, self.clock_ms()
                self.state = State(
                    self._raised(old.as_of_ms, min(s.as_of_ms, now_ms)),
                    self._raised(old.closing_ms, min(s.closing_ms, now_ms)),
                    self._raised(old.facts_floor_ms, s.facts_floor_ms),
                    self._raised(old.generation, s.generation),
                )
            case WriteProgress() | WriteStarts() | RetireTopic() | ReadMarks():
                return (yield from self.steps_of_progress(effect, lives))
            case ReadEarliestFact(org_id=org_id):
                return min((minute for minute, org, *_ in self.facts if org_id in ("", org)), default=None)
            case ReadHighestGeneration():
                return max((row.generation for rows in self.rollups.values() for row in rows.values()), default=0)
            case RebuildBuckets(grain=grain, start=start, end=end, generation=generation, org_id=org_id):
                known = self._sources(grain) | self.rollups[grain].keys()
                wanted = [(org, b) for org, b in known if start <= b < end and org_id in ("", org)]
                yield from self._compute(grain, wanted, generation, empty_rows=True)
            case ReadErasures():
                return dict(self.erasures)
            case FindErased(floor_ms=floor_ms):
                found = [org for org in self.erasures if self._is_unfinished(org) or self._comes_back(org, floor_ms)]
                return {org: self.erasures[org] for org in found}
            case OrderErasure(org_id=org_id, at_ms=at_ms):
                self.erasures[org_id] = max(at_ms, self.erasures.get(org_id, 0))
                self.ordered_at[org_id] = self.announced[org_id] = self._tick()
            case EraseRows(org_id=org_id, at_ms=at_ms):
                before, left = self.announced.get(org_id, 0), self._left(org_id, at_ms)
                if left or not before:
                    self.erasures[org_id] = max(at_ms, self.erasures.get(org_id, 0))
                    self.announced[org_id] = self._tick()
                for key in left:
                    del self.facts[key]
                return Erased(before, len(left))
            case FinishErasure(org_id=org_id, announcement=announcement):
                self.finished[org_id] = max(announcement, self.finished.get(org_id, 0))
            case EraseRollups(org_id=org_id, grain=grain, announcement=announcement, floor_ms=floor_ms):
                if self.announced[org_id] > announcement:
                    return None
                announcement = self.announced[org_id] = self._tick()
                for place in self._erasable(org_id, grain, floor_ms):
                    self.rollups[grain].pop(place, None)
                    yield
                return announcement
            case ReadInserts():
                return UnderWay(frozenset(self.under_way))
            case AwaitInserts(under_way):
                yield
                return not under_way.ids & self.under_way
            case CloseBuckets(grain=grain, start=start, end=end, generation=generation):
                wanted = [(org, b) for org, b in self._sources(grain) if start <= b < end]
                yield from self._compute(grain, wanted, generation)
            case StageKeys(batch, keys):
                self.staged[batch] = keys
            case CountStaged(batch):
                staged = len(self.staged.get(batch, NO_KEYS))
                yield
                return staged
            case RecomputeLate(grain, batch, start, end, closing_ms, generation):
                keys = self.staged.get(batch, NO_KEYS)
                late = {(org, grain.floor(minute * Grain.MINUTE.seconds)) for minute, org in keys}
                wanted = [(org, b) for org, b in late if start <= b < end and grain.is_closed(b, closing_ms)]
                yield from self._compute(grain, wanted, generation)
            case WriteResync(org_id):
                newest = max(self.clock_ms(), self.state.as_of_ms)
                self.resyncs[org_id] = max(newest, self.resyncs.get(org_id, 0))
            case Synchronise() | LogClosing():
                pass
            case _:
                return (yield from self.steps_of_statements(effect))
        return None

    @contextmanager
    def _statement(self) -> Iterator[None]:
        """A statement under way; one whose sender ended is over as well."""
        token = f"insert {self._tick()}"
        self.under_way.add(token)
        try:
            yield
        finally:
            self.under_way.discard(token)

    def _is_unfinished(self, org_id: str) -> bool:
        left = self._left(org_id, self.erasures[org_id])
        return self.finished.get(org_id, 0) < self.announced.get(org_id, 0) or bool(left)

    def _erasable(self, org_id: str, grain: Grain, floor_ms: int) -> list[tuple[str, int]]:
        """Places of an organization's rows of a grain that an erasure deletes."""
        ordered_at = self.ordered_at.get(org_id, 0)
        return [
            (org, bucket)
            for (org, bucket), row in self.rollups[grain].items()
            if org == org_id and (bucket * MS_PER_SECOND >= floor_ms or row.computed_at <= ordered_at)
        ]

    def _comes_back(self, org_id: str, floor_ms: int) -> bool:
        """Whether there are rows that the last deletion would have taken, of before it. No hour ever passes here."""
        return any(
            self.rollups[grain][place].computed_at < self.announced[org_id]
            for grain in Grain
            for place in self._erasable(org_id, grain, floor_ms)
        )

    def _left(self, org_id: str, at: int) -> list[Identity]:
        """Facts of an organization that an erasure up to an instant removes."""
        return [key for key in self.facts if key[1] == org_id and self.record_times[key] <= at]

    def _insert(self, fact: Fact, record_ms: int) -> None:
        key = (Grain.MINUTE.floor_ms(fact[6]), *fact[:3])
        self.record_times[key] = record_ms
        old = self.facts.get(key)
        if old is None or self.last_wins or self.content_ignored or rank_of(fact) >= rank_of(old):
            self.facts[key] = fact

    def _sources(self, grain: Grain) -> set[tuple[str, int]]:
        """(organization, bucket) of the grain for everything it is computed from."""
        if grain.source is None:
            return {(org, minute) for minute, org, *_ in self.facts}
        return {(org, grain.floor(bucket)) for org, bucket in self.rollups[grain.source]}

    def _compute(
        self, grain: Grain, wanted: Iterable[tuple[str, int]], generation: int, *, empty_rows: bool = False
    ) -> Generator[None, None, None]:
        """One INSERT SELECT: everything is read first, then rows become visible one by one."""
        with self._statement():
            began, began_ms = self._tick(), self.clock_ms()
            nothing = Row((stamp(generation), 0, 0), frozenset()) if empty_rows else None
            rows = [(key, self._row(grain, key, generation) or nothing) for key in sorted(wanted)]
            yield
            for key, row in rows:
                if row is None:
                    continue
                row = replace(row, computed_at=began, began_ms=began_ms)
                old = self.rollups[grain].get(key)
                if old is None or self.last_wins or row.version >= old.version:
                    self.rollups[grain][key] = row
                yield

    def _row(self, grain: Grain, key: tuple[str, int], generation: int) -> Row | None:
        """What is computed of a bucket, or None where there is nothing to compute it from."""
        org, bucket = key
        current_below = 0
        if grain.source is None:
            facts = frozenset(f for (minute, o, *_), f in self.facts.items() if (o, minute) == key)
            if not facts:
                return None
        else:
            finer = [r for (o, b), r in self.rollups[grain.source].items() if o == org and grain.floor(b) == bucket]
            if not finer:
                return None
            facts = frozenset().union(*(r.facts for r in finer))
            if not self.bare_generation:
                current_below = sum(counted(r.version[0], generation) for r in finer)
        ranks = 0 if self.content_ignored else sum(map(rank_of, facts))
        return Row((stamp(generation, current_below), len(facts), ranks), facts)
