"""The driver: effects are repeated until they are taken, and nothing else is."""

import threading
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, DataError

from pipeline.clickhouse.errors import sink_error
from pipeline.core.effects import RaiseState, ReadState, State, Steps
from pipeline.errors import SinkRefuses, SinkUnavailable
from pipeline.runner import Retrying, drive


def read_then_write() -> Steps[int]:
    state = yield ReadState()
    yield RaiseState(state)
    return int(state.generation)


class Flaky:
    """Fails a few times, then works."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    def __call__(self, effect: Any) -> Any:
        self.calls += 1
        if self.failures:
            self.failures -= 1
            raise self.error
        return State(generation=7)


def test_what_is_unavailable_is_asked_again_and_the_outcome_is_told() -> None:
    outcomes: list[Exception | None] = []
    flaky = Flaky(2, SinkUnavailable("away"))
    assert drive(read_then_write(), Retrying(flaky, threading.Event(), outcomes.append)) == 7
    assert flaky.calls == 4
    assert [type(outcome) for outcome in outcomes] == [SinkUnavailable, SinkUnavailable, type(None), type(None)]


def test_what_is_refused_stops_at_once() -> None:
    flaky = Flaky(9, SinkRefuses("no such column"))
    with pytest.raises(SinkRefuses):
        drive(read_then_write(), Retrying(flaky, threading.Event(), lambda _: None))
    assert flaky.calls == 1


def test_an_abandoned_worker_does_not_retry_for_ever() -> None:
    abandon = threading.Event()
    abandon.set()
    with pytest.raises(SinkUnavailable):
        drive(read_then_write(), Retrying(Flaky(99, SinkUnavailable("away")), abandon, lambda _: None))


class Coded(Exception):
    def __init__(self, code: int | None, text: str = "x") -> None:
        super().__init__(text)
        self.code = code


@pytest.mark.parametrize("code", [3, 159, 164, 202, 203, 209, 210, 242, 243, 252, 285, 286, 289, 319, 425, 999, 1002])
def test_passing_troubles_are_retried(code: int) -> None:
    assert isinstance(sink_error(Coded(code), "x"), SinkUnavailable)


def test_too_many_partitions_is_not_a_passing_trouble() -> None:
    assert isinstance(sink_error(Coded(252, "Too many partitions for single INSERT block"), "x"), SinkRefuses)


def test_a_broken_connection_is_retried() -> None:
    assert isinstance(sink_error(ConnectionResetError("reset"), "x"), SinkUnavailable)


def test_a_missing_table_or_a_value_that_does_not_fit_is_refused() -> None:
    assert isinstance(sink_error(DatabaseError("Unknown table", code=60), "x"), SinkRefuses)
    assert isinstance(sink_error(DataError("not a number"), "x"), SinkRefuses)
