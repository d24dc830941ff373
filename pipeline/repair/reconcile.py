"""Compares rollups with what they were computed from: minutes with facts, hours with minutes, days with hours.

Only below `as_of`, and minutes only where facts are complete. A span is compared in steps, so that memory is bounded
however long it is; in which of them anything is stored is asked first, and the others are left out. A difference may be
a late event that is not recomputed yet: so it is read again, now and then, until every recompute that was under way has
ended, and counts only if the number found is the same all the while.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pipeline.clickhouse.client import sql
from pipeline.clickhouse.store import Store
from pipeline.core.effects import ReadState, State
from pipeline.core.pending import Pace
from pipeline.core.place import Place, stored_place
from schemas import tables
from schemas.grain import MS_PER_SECOND, Grain
from schemas.limits import LATE_PAUSE_SECONDS
from schemas.message_event import OTHER_KEY

MAX_DIFFERENCES = 10_000
"""More are not collected: by then everything is wrong, and a rebuild is due."""
LOOKS = 3
FACTS_A_PORTION = 1_000_000
STATEMENTS_SECONDS = 5.0
"""Time that the statements of a recompute take, about."""


def settle_seconds(late_pause_seconds: float) -> float:
    """The time by which a late event is counted, though its bucket was recomputed a moment ago, under a backlog."""
    return late_pause_seconds + max(pace.value for pace in Pace) + STATEMENTS_SECONDS


FIRST_LOOK_SECONDS = 5.0
"""After so long it is looked again, and then each time after twice as long as before: most late events take seconds."""
STEP_SECONDS = {
    Grain.MINUTE: Grain.HOUR.seconds,
    Grain.HOUR: Grain.DAY.seconds,
    Grain.DAY: 31 * Grain.DAY.seconds,
}
ASKED_SECONDS = 12 * STEP_SECONDS[Grain.DAY]
"""Which steps have rows is asked for about a year at a time. Every step's width divides it."""
TOTALS = ("sent", "delivered", "failed", "charged", "cost_cents", "facts", "rank_sum")
GROUPED = TOTALS[:5]

Number = int | Decimal
Step = tuple[Grain, int, int]
"""A grain, and the span [start, end) in epoch seconds of its buckets that one statement compares."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A wrong number of a rollup, beside the number that its source gives. ``bucket_start`` is epoch seconds.

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
    """The wrong number and its place. The same twice means that no writer has changed it in between."""
    d = difference
    return d.grain, d.org_id, d.bucket_start, d.field, d.found


@dataclass(frozen=True, slots=True)
class Violation:
    """One event at several times (epoch ms), and where its records are: a place and an offset."""

    org_id: str
    event_id: str
    type: str
    times_ms: tuple[int, ...]
    places: tuple[tuple[Place, int], ...]


@dataclass(slots=True)
class Reconciliation:
    """The result: how many rollup rows were compared, by grain, and what is wrong with them.

    Where too many differed at once it is not complete: not all were compared.
    """

    start: int
    end: int
    checked: dict[Grain, int] = field(default_factory=lambda: dict.fromkeys(Grain, 0))
    differences: list[Difference] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Compares through a store. ``wait`` sleeps for some seconds, in which recomputes that are under way may end.

    ``on_progress`` is told of the kind of work, how much of it is done, and how much there is.
    """

    store: Store
    org_id: str
    wait: Callable[[float], None]
    on_progress: Callable[[str, int, int], None] = lambda *_: None
    late_pause_seconds: float = LATE_PAUSE_SECONDS

    def run(self, start: int, end: int) -> Reconciliation:
        """Compare the whole, closed buckets that [start, end) touches. Raises SinkUnavailable or Stop."""
        result = self.compare(start, end)
        floor = self._state().facts_floor_ms // MS_PER_SECOND
        result.violations = list(self._violations(max(start, floor), end))
        return result

    def compare(self, start: int, end: int, grains: Collection[Grain] = tuple(Grain)) -> Reconciliation:
        """Compare without looking for violations: buckets of these grains. Raises SinkUnavailable or Stop.

        Where more differ at once than are collected, it is looked again when these have settled, some times: it may be
        late events of everybody.
        """
        for _ in range(LOOKS):
            result = self._compared(start, end, grains)
            if result.is_complete or len(result.differences) >= MAX_DIFFERENCES:
                break
        return result

    def _compared(self, start: int, end: int, grains: Collection[Grain]) -> Reconciliation:
        state, result = self._state(), Reconciliation(start, end)
        planned = plan(start, end, state.as_of_ms // MS_PER_SECOND, state.facts_floor_ms // MS_PER_SECOND)
        suspects: dict[Step, set[Found]] = {}
        for step in self._steps([span for span in planned if span[0] in grains]):
            result.checked[step[0]] += self._count(step)
            if found := {_found(d) for d in self._differences(step)}:
                suspects[step] = found
            if sum(map(len, suspects.values())) >= MAX_DIFFERENCES:
                result.is_complete = False
                break
        result.differences = self._settled(suspects)
        return result

    def _state(self) -> State:
        state: State = self.store.perform(ReadState())
        return state

    def _settled(self, suspects: dict[Step, set[Found]]) -> list[Difference]:
        """Those of these wrong numbers that stay as they are, found again until what was under way has ended."""
        waited, pause, left = 0.0, FIRST_LOOK_SECONDS, list[Difference]()
        longest = settle_seconds(self.late_pause_seconds)
        while suspects and waited < longest:
            pause = min(pause, longest - waited)
            self.wait(pause)
            waited, pause, left = waited + pause, 2 * pause, []
            for step, before in list(suspects.items()):
                same = [d for d in self._differences(step) if _found(d) in before]
                suspects[step] = set(map(_found, same))
                left += same
            suspects = {step: found for step, found in suspects.items() if found}
        return left

    def _rows(self, name: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        return self.store.rows("reconciling", sql(f"reconcile/{name}"), org=self.org_id, **parameters)

    def _steps(self, planned: Sequence[Step]) -> Iterator[Step]:
        """The steps of planned spans in which the grain or its source has a row."""
        total, passed = sum(map(_steps_of, planned)), 0
        for span in planned:
            grain, start, end = span
            for number in self._occupied(span):
                self.on_progress("comparing", passed + number, total)
                first = start + number * STEP_SECONDS[grain]
                yield grain, first, min(first + STEP_SECONDS[grain], end)
            passed += _steps_of(span)
        self.on_progress("comparing", passed, total)

    def _occupied(self, span: Step) -> Iterator[int]:
        """Numbers of the span's steps, counted from 0, in which the grain or its source has a row."""
        grain, start, end = span
        source, column = (tables.rollup_table(grain.source), "bucket") if grain.source else (tables.FACTS, "minute")
        asked = {"target": tables.rollup_table(grain), "source": source, "column": column}
        for first in range(start, end, ASKED_SECONDS):
            last, step = min(first + ASKED_SECONDS, end), STEP_SECONDS[grain]
            for (number,) in self._rows("occupied", start=first, end=last, step=step, **asked):
                yield (first - start) // step + int(number)

    def _count(self, step: Step) -> int:
        grain, start, end = step
        return int(self._rows("count_rows", target=tables.rollup_table(grain), start=start, end=end)[0][0])

    def _differences(self, step: Step) -> Iterator[Difference]:
        grain, start, end = step
        target = tables.rollup_table(grain)
        where: dict[str, Any] = {"target": target, "start": start, "end": end, "limit": MAX_DIFFERENCES}
        statement = "minute"
        if grain.source is not None:
            statement = "coarser"
            where |= {"source": tables.rollup_table(grain.source), "width": grain.seconds}
        for org, bucket, *numbers in self._rows(statement, **where):
            yield from _expand(grain, org, bucket, numbers, dict(zip(TOTALS, TOTALS, strict=True)))
        for org, bucket, *numbers, channel, code in self._rows(f"{statement}_groups", other=OTHER_KEY, **where):
            names = {name: f"groups[{channel},{code}].{name}" for name in GROUPED}
            yield from _expand(grain, org, bucket, numbers, names)

    def _violations(self, start: int, end: int) -> Iterator[Violation]:
        """Find them in portions of the identities that fit into memory."""
        where = {"start": start, "end": end}
        parts = 1 + int(self._rows("count_facts", **where)[0][0]) // FACTS_A_PORTION
        for part in range(parts):
            self.on_progress("looking for repeated ids", part, parts)
            found = self._rows("violations", parts=parts, part=part, limit=MAX_DIFFERENCES, **where)
            for org, event, kind, times, places in found:
                read = tuple((stored_place(topic, int(n)), int(offset)) for topic, n, offset in places)
                yield Violation(org, event, kind, tuple(times), read)


def plan(start: int, end: int, as_of: int, facts_floor: int) -> list[Step]:
    """By grain the closed buckets that [start, end) touches and that can be compared (all epoch seconds)."""
    planned = []
    for grain in Grain:
        first = grain.floor(start)
        if grain.source is None:
            first = max(first, facts_floor)
        last = min(grain.ceil(end), grain.floor(as_of))
        if first < last:
            planned.append((grain, first, last))
    return planned


def _steps_of(span: Step) -> int:
    """The number of steps in which a span is compared."""
    grain, start, end = span
    return -(-(end - start) // STEP_SECONDS[grain])


def _expand(
    grain: Grain, org_id: str, bucket: int, numbers: Sequence[Number], names: Mapping[str, str]
) -> Iterator[Difference]:
    """The numbers of a row that differ; the row has both sides of each, the expected one first."""
    for name, expected, found in zip(names.values(), numbers[::2], numbers[1::2], strict=True):
        if expected != found:
            yield Difference(grain, org_id, int(bucket), name, expected, found)
