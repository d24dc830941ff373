"""When a clock is believed, and from when on again."""

from dataclasses import replace

import pytest

from pipeline.core.clocks import ClockReading, Clocks, Moment, clock_skew_ms

NOW_MS, HOUR_MS = 1_790_000_000_000, 3_600_000


class Machine:
    """A worker's machine, whose wall clock can be set, and ClickHouse's servers, whose clocks can be wrong."""

    def __init__(self) -> None:
        self.clocks, self.boot_ms, self.set_by_ms = Clocks(), 5_000, 0

    @property
    def now(self) -> Moment:
        return Moment(NOW_MS + self.boot_ms + self.set_by_ms, self.boot_ms)

    def passes(self, seconds: float) -> None:
        self.boot_ms += int(seconds * 1000)

    def reading(self, server: str = "a", ahead_ms: int = 0, took_ms: int = 10) -> ClockReading:
        return ClockReading(server, NOW_MS + self.boot_ms + ahead_ms, self.now, took_ms)

    def hears(self, server: str = "a", ahead_ms: int = 0, took_ms: int = 10) -> None:
        self.passes(1)
        self.clocks.note(self.reading(server, ahead_ms, took_ms))

    @property
    def problem(self) -> str | None:
        return self.clocks.problem(self.now)


@pytest.fixture
def machine() -> Machine:
    """One that was compared, and agrees."""
    machine = Machine()
    machine.hears()
    assert machine.problem is None
    return machine


def test_a_clock_that_was_compared_with_none_is_not_believed() -> None:
    machine = Machine()
    assert "not been compared" in str(machine.problem)
    machine.hears(took_ms=1001)
    assert "not been compared" in str(machine.problem), "a slow answer tells nothing"
    machine.hears(ahead_ms=900)
    assert machine.problem is None


@pytest.mark.parametrize(("ahead_ms", "words"), [(HOUR_MS, "3599.990 s behind"), (-HOUR_MS, "3600.000 s ahead of")])
def test_a_clock_that_disagrees_is_named_with_the_other(machine: Machine, ahead_ms: int, words: str) -> None:
    machine.hears("ch-1", ahead_ms)
    assert words in str(machine.problem)
    assert "(server ch-1)" in str(machine.problem)
    assert machine.clocks.skew_ms(machine.now) == (10 - ahead_ms if ahead_ms > 0 else -ahead_ms)


def test_doubt_ends_with_the_third_reading_in_a_row_that_agrees_well(machine: Machine) -> None:
    machine.hears(ahead_ms=2000)
    for ahead_ms in (0, 0, 700, 0, 0):
        machine.hears(ahead_ms=ahead_ms)
        assert machine.problem
    machine.hears(took_ms=5000)
    assert machine.problem, "a slow answer does not count"
    machine.hears()
    assert machine.problem is None


def test_a_reading_from_before_the_doubt_does_not_end_it(machine: Machine) -> None:
    """It was answered after the one that began the doubt, by another server or another thread."""
    before = [machine.reading("b") for _ in range(3)]
    machine.hears(ahead_ms=HOUR_MS)
    for reading in before:
        machine.clocks.note(reading)
    for _ in range(3):
        machine.hears()
        assert machine.problem
    for _ in range(3):
        machine.hears("b")
    assert machine.problem is None


def test_less_than_a_second_begins_no_doubt(machine: Machine) -> None:
    for _ in range(5):
        machine.hears(ahead_ms=990)
        assert machine.problem is None


def test_every_server_that_was_heard_has_a_say(machine: Machine) -> None:
    """Behind a balancer sits one whose clock is wrong: the right ones do not outvote it."""
    machine.hears("b", HOUR_MS)
    for _ in range(5):
        machine.hears("a")
        machine.hears("b", HOUR_MS)
        assert machine.problem
    machine.hears("c")
    machine.passes(55)
    for _ in range(3):
        machine.hears("a")
    assert machine.problem, "the wrong one was heard less than a minute ago"
    machine.passes(5)
    assert machine.problem is None, "it answers no more"


def test_what_agreed_before_the_doubt_has_to_do_so_again(machine: Machine) -> None:
    for _ in range(3):
        machine.hears("a")
        machine.hears("b")
    machine.set_by_ms = HOUR_MS
    machine.hears("a")
    machine.set_by_ms = 0
    for _ in range(3):
        machine.hears("a")
        assert machine.problem, "b was not heard since"
    for _ in range(3):
        assert machine.problem
        machine.hears("b")
    machine.passes(30)
    assert machine.problem is None


def test_without_an_answer_doubt_does_not_end(machine: Machine) -> None:
    machine.hears(ahead_ms=HOUR_MS)
    machine.passes(3600)
    assert machine.problem


@pytest.mark.parametrize("step_ms", [HOUR_MS, -HOUR_MS, 600, -600])
def test_a_step_is_noticed_where_all_clocks_of_a_machine_make_it(machine: Machine, step_ms: int) -> None:
    machine.set_by_ms += step_ms
    assert f"set by {step_ms / 1000:+.3f} s" in str(machine.problem)
    machine.passes(29.9)
    machine.hears(ahead_ms=step_ms)
    machine.boot_ms -= 1000
    assert machine.problem
    machine.passes(0.1)
    assert machine.problem is None


def test_slewing_and_sleeping_are_no_step(machine: Machine) -> None:
    for _ in range(100):
        machine.passes(1)
        machine.set_by_ms += 100
        assert machine.problem is None
    machine.passes(40 * 86_400)
    assert machine.problem is None


def test_a_slow_drift_is_noticed_by_the_readings(machine: Machine) -> None:
    seconds = 0
    while machine.problem is None:
        machine.set_by_ms += 50
        machine.hears()
        seconds += 1
    assert seconds == 21


def test_a_reading_judges_what_the_clock_was_set_to_before() -> None:
    machine = Machine()
    judged = machine.now.offset_ms
    machine.passes(600)
    assert machine.reading().agrees(judged)
    machine.set_by_ms = HOUR_MS
    assert not machine.reading().agrees(judged), "it is wrong now"
    assert machine.reading(ahead_ms=HOUR_MS).agrees(), "theirs was set as well"
    assert not machine.reading(ahead_ms=HOUR_MS).agrees(judged), "it was wrong, by what is known now"
    machine.set_by_ms = 0
    assert not machine.reading().agrees(judged - HOUR_MS), "it was wrong and has been set right"
    assert not replace(machine.reading(), took_ms=1001).agrees(judged), "it took too long to tell"


@pytest.mark.parametrize(
    ("before", "theirs", "after", "skew"),
    [
        (1000, 1000, 1000, 0),
        (1000, 1500, 9000, 0),
        (1000, 9000, 9000, 0),
        (1000, 400, 9000, 600),
        (1000, 9700, 9000, -700),
    ],
)
def test_a_slow_answer_is_no_skew(before: int, theirs: int, after: int, skew: int) -> None:
    assert clock_skew_ms(before, theirs, after) == skew
