"""ClickHouse in memory, at its own granularity: a read is a snapshot of one table, an insert becomes visible row by
row, nothing spans two statements. Passes the same contract tests as the real store (tests/contract/test_store.py).
"""

import zlib
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.core.decode import DeadLetter
from pipeline.core.effects import (
    CloseBuckets,
    Effect,
    InsertDeadLetters,
    InsertFacts,
    LogClosing,
    Progress,
    RaiseState,
    ReadEarliestFact,
    ReadState,
    ReadWatermarks,
    RecomputeLate,
    StageKeys,
    State,
    WriteProgress,
)
from pipeline.core.start import Stored
from schemas.grain import Grain

Fact = tuple[str, str, int, str, str, int, int]
"""(org_id, event_id, type, channel, error_code, cost_micros, occurred_ms)"""
Version = tuple[int, int, int]


def rank_of(fact: Fact) -> int:
    """A hash of the content, as the column ``rank`` is one."""
    return zlib.crc32(repr(fact[2:]).encode())


@dataclass(frozen=True)
class Row:
    """A rollup row, with the very facts it was computed from instead of sums."""

    version: Version
    facts: frozenset[Fact]

    @property
    def generation(self) -> int:
        return self.version[0]


@dataclass
class FakeStore:
    """Tables as dictionaries. ``last_wins`` takes the protection of versions and ranks away."""

    facts: dict[tuple[int, str, str], Fact] = field(default_factory=dict)
    rollups: dict[Grain, dict[tuple[str, int], Row]] = field(default_factory=lambda: {g: {} for g in Grain})
    state: State = field(default_factory=State)
    progress: dict[int, Progress] = field(default_factory=dict)
    letters: dict[tuple[int, int], DeadLetter] = field(default_factory=dict)
    last_wins: bool = False

    def perform(self, effect: Effect) -> Any:
        """Do an effect at once."""
        steps = self.steps(effect)
        try:
            while True:
                next(steps)
        except StopIteration as done:
            return done.value

    def steps(self, effect: Effect) -> Generator[None, None, Any]:
        """Do an effect in steps between which others may act."""
        match effect:
            case InsertFacts(columns=c):
                rows = zip(
                    c.org_id, c.event_id, c.type, c.channel, c.error_code, c.cost_micros, c.occurred_ms, strict=True
                )
                for fact in list(rows):
                    self._insert(fact)
                    yield
            case InsertDeadLetters(letters=letters):
                for letter in letters:
                    self.letters[letter.partition, letter.offset] = letter
                    yield
            case ReadState():
                return self.state
            case RaiseState(state=s):
                old = self.state
                self.state = State(
                    max(old.as_of_ms, s.as_of_ms),
                    max(old.closing_ms, s.closing_ms),
                    max(old.facts_floor_ms, s.facts_floor_ms),
                    max(old.generation, s.generation),
                )
            case WriteProgress(progress=progress):
                for p in progress:
                    old_p = self.progress.get(p.partition, Progress(p.partition, 0))
                    mark, offset = max(old_p.watermark_ms, p.watermark_ms), max(old_p.next_offset, p.next_offset)
                    self.progress[p.partition] = replace(p, watermark_ms=mark, next_offset=offset)
                    yield
            case ReadWatermarks():
                return {p: x.watermark_ms for p, x in self.progress.items() if x.watermark_ms}
            case ReadEarliestFact():
                return min((minute for minute, _, _ in self.facts), default=None)
            case CloseBuckets(grain=grain, start=start, end=end, generation=generation):
                wanted = [(org, b) for org, b in self._sources(grain) if start <= b < end]
                yield from self._compute(grain, wanted, generation)
            case RecomputeLate(grain=grain, keys=keys, closing_ms=closing_ms, generation=generation):
                late = {(org, grain.floor(minute * Grain.MINUTE.seconds)) for minute, org in keys}
                wanted = [(org, b) for org, b in late if grain.is_closed(b, closing_ms)]
                yield from self._compute(grain, wanted, generation)
            case StageKeys() | LogClosing():
                pass
        return None

    def _insert(self, fact: Fact) -> None:
        key = (Grain.MINUTE.floor_ms(fact[6]), fact[0], fact[1])
        old = self.facts.get(key)
        if old is None or self.last_wins or rank_of(fact) >= rank_of(old):
            self.facts[key] = fact

    def _sources(self, grain: Grain) -> set[tuple[str, int]]:
        """(organization, bucket) of the grain for everything it is computed from."""
        if grain.source is None:
            return {(org, minute) for minute, org, _ in self.facts}
        return {(org, grain.floor(bucket)) for org, bucket in self.rollups[grain.source]}

    def _compute(self, grain: Grain, wanted: Iterable[tuple[str, int]], generation: int) -> Generator[None, None, None]:
        """One INSERT SELECT: everything is read first, then rows become visible one by one."""
        rows = [(key, self._row(grain, key, generation)) for key in sorted(wanted)]
        yield
        for key, row in rows:
            if row is None:
                continue
            old = self.rollups[grain].get(key)
            if old is None or self.last_wins or row.version >= old.version:
                self.rollups[grain][key] = row
            yield

    def _row(self, grain: Grain, key: tuple[str, int], generation: int) -> Row | None:
        org, bucket = key
        if grain.source is None:
            facts = frozenset(f for (minute, o, _), f in self.facts.items() if (o, minute) == key)
        else:
            finer = [r for (o, b), r in self.rollups[grain.source].items() if o == org and grain.floor(b) == bucket]
            facts = frozenset().union(*(r.facts for r in finer))
            generation = min((r.generation for r in finer), default=generation)
        return Row((generation, len(facts), sum(map(rank_of, facts))), facts) if facts else None

    def read_stored(self) -> dict[int, Stored]:
        return {p: Stored(x.next_offset) for p, x in self.progress.items()}
