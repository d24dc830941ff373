"""What a clock decides is written only where ClickHouse's agrees, as it was read behind the facts."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pipeline.core.clocks import ClockReading, Moment
from pipeline.core.effects import Effect, InsertDeadLetters, InsertFacts, ReadErasures, ReadState, State, Synchronise
from pipeline.core.flush import Chunk
from pipeline.core.progress import WriteProgress
from pipeline.core.protocol import Flushed, flush_steps
from pipeline.runner import drive
from tests.support.moments import at, reading
from tests.support.record import NOW_MS, Record
from tests.unit.pipeline.core.test_flush import FUTURE, PAST, RULES, batch

HOUR_MS = 3_600_000
NOW, RIGHT = at(NOW_MS), reading(NOW_MS)
ALL = [InsertFacts, Synchronise, ReadState, InsertDeadLetters, Synchronise, ReadErasures, WriteProgress]
DOUBTED = [InsertFacts, Synchronise, ReadState]


def flushed(chunk: Chunk, *clocks: ClockReading, floor_ms: int = 0) -> tuple[Flushed, Sequence[type]]:
    """The outcome of a flush that reads these clocks, one after the other, and what it did."""
    seen: list[type] = []
    states = iter([State(facts_floor_ms=floor_ms, clock=clock) for clock in clocks])

    def perform(effect: Effect) -> object:
        seen.append(type(effect))
        return next(states) if isinstance(effect, ReadState) else {}

    outcome = drive(flush_steps(chunk, chunk.progress(), 0, {}), perform)
    assert next(states, None) is None, "it reads all of them"
    return outcome, seen


def chunk(*values: bytes, now: Moment = NOW) -> Chunk:
    made = Chunk()
    for offset, value in enumerate(values):
        made.add(batch(Record(offset, value)), RULES, now, 0, read_at=1.0)
    return made


@pytest.mark.parametrize("skew_ms", [0, 1000, -1000])
def test_what_is_from_the_future_for_both_clocks_is_a_dead_letter(skew_ms: int) -> None:
    outcome, seen = flushed(chunk(PAST, FUTURE), reading(NOW_MS, NOW_MS + skew_ms))
    assert seen == ALL
    assert (outcome.is_doubtful, outcome.dead_letters) == (False, 1)


@pytest.mark.parametrize("skew_ms", [1001, -1001, HOUR_MS, -HOUR_MS, -40 * 24 * HOUR_MS])
def test_where_the_clocks_differ_it_is_not_and_nothing_is_claimed(skew_ms: int) -> None:
    outcome, seen = flushed(chunk(PAST, FUTURE), reading(NOW_MS, NOW_MS + skew_ms))
    assert seen == DOUBTED
    assert outcome.is_doubtful


def test_a_clock_that_was_set_since_it_judged_is_doubted_too() -> None:
    behind = Moment(NOW_MS - HOUR_MS, NOW_MS)  # for which an event of this moment is from the future
    assert flushed(chunk(PAST, FUTURE, now=behind), RIGHT)[1] == DOUBTED
    judged = chunk(PAST, FUTURE)
    judged.add(batch(Record(2, PAST)), RULES, behind, 0, read_at=1.0)
    judged.add(batch(Record(3, PAST)), RULES, NOW, 0, read_at=1.0)
    assert flushed(judged, RIGHT)[1] == DOUBTED, "one of several batches is enough"


def test_a_clock_that_was_in_doubt_when_it_judged_is_doubted_whatever_it_agrees_with() -> None:
    """All clocks of one machine were set at once."""
    judged = chunk(PAST, FUTURE)
    judged.is_in_doubt = True
    assert flushed(judged, RIGHT)[1] == DOUBTED


def test_a_reading_that_took_too_long_is_repeated_until_one_tells() -> None:
    slow = replace(reading(NOW_MS + HOUR_MS, NOW_MS), took_ms=1001)
    assert flushed(chunk(PAST, FUTURE), slow, slow, RIGHT)[1] == [*DOUBTED, ReadState, *ALL[2:]]


def test_what_no_clock_decides_does_not_depend_on_one() -> None:
    slow_and_wrong = replace(reading(NOW_MS, NOW_MS + HOUR_MS), took_ms=5000)
    outcome, seen = flushed(chunk(PAST, b"broken"), slow_and_wrong)
    assert seen == ALL
    assert not outcome.is_doubtful


def test_what_is_too_late_by_a_server_that_is_ahead_is_not_either() -> None:
    assert flushed(chunk(PAST), reading(NOW_MS + 40 * 24 * HOUR_MS, NOW_MS), floor_ms=NOW_MS)[1] == DOUBTED
    assert flushed(chunk(PAST), RIGHT, floor_ms=NOW_MS)[1] == ALL
