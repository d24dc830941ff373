"""Computes buckets: in spans of a bounded width, the finer grain before the coarser, in halves where it must be.

A statement over many buckets may need more time or memory than it is given. Repeated unchanged it would fail for ever;
over half of the buckets it needs about half. Every bucket is still computed by one statement, so nothing else changes:
rows are versioned, and all parts carry the generation of the whole::

    09:00                                             10:00
    ├────────────── too much at once ───────────────────┤
    ├──────── too much ────────┼──────── taken ─────────┤
    ├── taken ──┼─── taken ────┤

The first part is done before the second is tried. So where ClickHouse is only slow or stands still, one statement after
another times out until a single bucket is left, which is repeated until it is taken; and when it is back, one statement
for each time that it was halved does the rest. A statement that timed out here may still run there, beside its halves:
it computes the same from no more facts than they do, and loses to them or equals them.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby
from operator import attrgetter

from pipeline.core.effects import Computing, Effect, ReadState, State, Steps, Synchronise, WriteResync
from schemas.grain import Grain

MAX_MINUTES_SECONDS, MAX_HOURS_SECONDS = Grain.HOUR.seconds, 6 * Grain.HOUR.seconds
"""One statement closes minutes, or hours, of at most this span, or one day: so its time and memory are bounded."""


def spans(grain: Grain, start_ms: int, end_ms: int) -> Iterable[tuple[int, int]]:
    """Whole buckets of the grain that end in (start_ms, end_ms], cut into spans of a bounded width (epoch seconds)."""
    first, last = grain.floor_ms(start_ms), grain.floor_ms(end_ms)
    width = {Grain.MINUTE: MAX_MINUTES_SECONDS, Grain.HOUR: MAX_HOURS_SECONDS, Grain.DAY: grain.seconds}[grain]
    while first < last:
        end = min(first - first % width + width, last)
        yield first, end
        first = end


def halves(effect: Effect) -> tuple[Computing, ...]:
    """The same buckets as two effects, the earlier ones first; nothing where there is only one, or none at all."""
    if not isinstance(effect, Computing):
        return ()
    buckets = (effect.end - effect.start) // effect.grain.seconds
    middle = effect.start + buckets // 2 * effect.grain.seconds
    return (replace(effect, end=middle), replace(effect, start=middle)) if buckets > 1 else ()


def read_state_steps() -> Steps[State]:
    """Read the state, as whoever writes rows of rollups does before and behind them.

    A row carries the time by ClickHouse's clock, and by that it is known whether a copy has it. Where the clock fell,
    new rows look older than numbers that were read before: so all copies are to be read anew.
    """
    state: State = yield ReadState()
    if state.clock_fell:
        yield WriteResync()
    return state


def compute_steps(computed: Computing) -> Steps[None]:
    """Compute buckets of one grain, in as many parts as it takes."""
    left = [computed]
    while left:
        part = left.pop()
        is_too_much = yield part
        if is_too_much:
            left += reversed(halves(part) or (part,))


def upward_steps(computed: Iterable[Computing]) -> Steps[State]:
    """Compute buckets, those of a grain only when all can see the finer ones. Returns the state as it is then."""
    for _, of_a_grain in groupby(computed, attrgetter("grain")):
        for each in of_a_grain:
            yield from compute_steps(each)
        yield Synchronise()
    return (yield from read_state_steps())
