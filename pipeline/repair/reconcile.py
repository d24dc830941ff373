"""Holds rollups against what they were computed from: minutes against facts, hours against minutes, days against hours.

Only below `as_of`, and minutes only where facts are complete. A span is looked at in steps, so that memory is bounded
however long it is. What differs may just be under way, a late event that is not recomputed yet: so it is read again
after the time within which that ends, and only what still differs by the same number counts.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pipeline.clickhouse.client import sql
from pipeline.clickhouse.store import Store
from pipeline.core.effects import ReadState, State
from schemas import tables
from schemas.grain import MS_PER_SECOND, Grain
from schemas.message_event import OTHER_KEY

MAX_DIFFERENCES = 10_000
"""More are not collected: then everything is wrong, and a rebuild is due."""
FACTS_A_PORTION = 1_000_000
SETTLE_SECONDS = 15.0
"""A late event is in the rollups within 10 s under a backlog, and the statements that put it there take a few more."""
STEP_SECONDS = {
    Grain.MINUTE: Grain.HOUR.seconds,
    Grain.HOUR: Grain.DAY.seconds,
    Grain.DAY: 31 * Grain.DAY.seconds,
}
TOTALS = ("sent", "delivered", "failed", "cost_cents", "facts", "rank_sum")
GROUPED = TOTALS[:4]

Number = int | Decimal
Step = tuple[Grain, int, int]
"""A grain, and the span [start, end) in epoch seconds of its buckets that are looked at in one go."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A number of a rollup that is not what it was computed from says. ``bucket_start`` is epoch seconds.

    ``field`` is a column, or ``groups[channel,error code].column``. rank_sum is the checksum over the facts' content.
    """

    grain: Grain
    org_id: str
    bucket_start: int
    field: str
    expected: Number
    found: Number


Found = tuple[Grain, str, int, str, Number]


def _found(difference: Difference) -> Found:
    """The wrong number and its place: the same twice means that nobody has written it meanwhile."""
    d = difference
    return d.grain, d.org_id, d.bucket_start, d.field, d.found


@dataclass(frozen=True, slots=True)
class Violation:
    """One event id at several times (epoch ms), and where these events are: (partition, offset)."""

    org_id: str
    event_id: str
    times_ms: tuple[int, ...]
    places: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Reconciliation:
    """What was looked at, and what is wrong with it. ``checked`` counts rollup rows by grain."""

    start: int
    end: int
    checked: dict[Grain, int] = field(default_factory=lambda: dict.fromkeys(Grain, 0))
    differences: list[Difference] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Reads through a store; ``wait`` is told the seconds after which what was under way has ended."""

    store: Store
    org_id: str
    wait: Callable[[float], None]
    on_step: Callable[[Step], None] = lambda _: None

    def run(self, start: int, end: int, retention_floor_ms: int) -> Reconciliation:
        """Look at the whole buckets that [start, end) touches and that are closed. Raises SinkUnavailable or Stop."""
        state: State = self.store.perform(ReadState())
        floor = max(state.facts_floor_ms, retention_floor_ms) // MS_PER_SECOND
        result = Reconciliation(start, end)
        suspects: dict[Step, set[Found]] = {}
        for step in plan(start, end, state.as_of_ms // MS_PER_SECOND, floor):
            result.checked[step[0]] += self._count(step)
            if found := {_found(d) for d in self._differences(step)}:
                suspects[step] = found
            self.on_step(step)
            if sum(map(len, suspects.values())) >= MAX_DIFFERENCES:
                break
        if suspects:
            self.wait(SETTLE_SECONDS)
        for step, before in suspects.items():
            result.differences += [d for d in self._differences(step) if _found(d) in before]
        result.violations = list(self._violations(max(start, floor), end))
        return result

    def _rows(self, name: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        ask = {"org": self.org_id, **parameters}
        return self.store.guarded("reconciling", lambda: self.store.rows(sql(name), **ask))

    def _count(self, step: Step) -> int:
        grain, start, end = step
        return int(self._rows("reconcile/count_rows", target=tables.rollup_table(grain), start=start, end=end)[0][0])

    def _differences(self, step: Step) -> Iterator[Difference]:
        grain, start, end = step
        target = tables.rollup_table(grain)
        where: dict[str, Any] = {"target": target, "start": start, "end": end, "limit": MAX_DIFFERENCES}
        source = "minute"
        if grain.source is not None:
            source = "coarser"
            where |= {
                "source": tables.rollup_table(grain.source),
                "width": grain.seconds,
            }
        for org, bucket, *numbers in self._rows(f"reconcile/{source}", **where):
            yield from _expand(grain, org, bucket, numbers, dict(zip(TOTALS, TOTALS, strict=True)))
        for org, bucket, *numbers, channel, code in self._rows(f"reconcile/{source}_groups", other=OTHER_KEY, **where):
            names = {name: f"groups[{channel},{code}].{name}" for name in GROUPED}
            yield from _expand(grain, org, bucket, numbers, names)

    def _violations(self, start: int, end: int) -> Iterator[Violation]:
        """The identities are looked at in portions that fit into memory."""
        where = {"start": start, "end": end}
        parts = 1 + int(self._rows("reconcile/count_facts", **where)[0][0]) // FACTS_A_PORTION
        for part in range(parts):
            for org, event, times, places in self._rows(
                "reconcile/violations", parts=parts, part=part, limit=MAX_DIFFERENCES, **where
            ):
                yield Violation(org, event, tuple(times), tuple((int(p), int(o)) for p, o in places))


def plan(start: int, end: int, as_of: int, facts_floor: int) -> Iterable[Step]:
    """The steps in which the closed buckets that [start, end) touches are looked at (all epoch seconds)."""
    for grain in Grain:
        first = grain.floor(start)
        if grain.source is None:
            first = max(first, facts_floor)
        last = min(grain.ceil(end), grain.floor(as_of))
        while first < last:
            step_end = min(first + STEP_SECONDS[grain], last)
            yield grain, first, step_end
            first = step_end


def _expand(
    grain: Grain, org_id: str, bucket: int, numbers: Sequence[Number], names: Mapping[str, str]
) -> Iterator[Difference]:
    """A row of both sides of every number, as those numbers that differ."""
    for name, expected, found in zip(names.values(), numbers[::2], numbers[1::2], strict=True):
        if expected != found:
            yield Difference(grain, org_id, int(bucket), name, expected, found)
