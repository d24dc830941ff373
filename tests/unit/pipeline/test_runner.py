"""The driver: effects are repeated until they are taken, and nothing that was refused is."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, DataError

from pipeline.clickhouse.errors import sink_error
from pipeline.core.effects import RaiseState, ReadState, State, Steps
from pipeline.errors import SinkRefuses, SinkUnavailable
from pipeline.peer import Peer
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


@dataclass
class Waits:
    """Notes how long is waited, gives up after some times, and lets a clock of whole seconds go on meanwhile."""

    at_most: int = 99
    seconds: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return len(self.seconds) >= self.at_most

    def clock_ms(self) -> int:
        return 1000 * (1 + len(self.seconds))


@dataclass
class Watched(Peer):
    """A peer that notes what it is told, and at which time."""

    told: list[tuple[str | None, int]] = field(default_factory=list)

    def outcome(self, problem: Exception | None, now_ms: int) -> None:
        self.told.append((None if problem is None else str(problem), now_ms))


AWAY = SinkUnavailable("away")


def test_what_is_unavailable_is_asked_again_and_the_peer_is_told() -> None:
    flaky, waits, peer, warnings = Flaky(2, AWAY), Waits(), Watched("ClickHouse"), list[str]()
    retrying = Retrying(flaky, peer, waits, waits.clock_ms, lambda: 1, warnings.append)
    assert drive(read_then_write(), retrying) == 7
    assert flaky.calls == 4
    assert peer.told == [("away", 1000), ("away", 2000), (None, 3000), (None, 3000)]
    assert warnings == ["away", "away"]


def test_delays_double_up_to_a_limit_and_are_cut_by_the_jitter() -> None:
    waits = Waits()
    Retrying(Flaky(8, AWAY), Peer("ClickHouse"), waits, jitter=lambda: 0.5)(ReadState())
    assert waits.seconds == [0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 1.5, 1.5]


def test_a_silent_attempt_is_seen_by_the_peer_while_it_lasts() -> None:
    peer, reasons = Peer("ClickHouse"), list[str | None]()
    perform = lambda _: reasons.append(peer.reason(21_000))  # noqa: E731
    Retrying(perform, peer, clock_ms=lambda: 10_000)(ReadState())
    assert reasons == ["ClickHouse has not answered for 11 s"]
    assert peer.reason(21_000) is None


def test_what_is_refused_stops_at_once() -> None:
    flaky, waits = Flaky(9, SinkRefuses("no such column")), Waits()
    with pytest.raises(SinkRefuses):
        drive(read_then_write(), Retrying(flaky, Peer("ClickHouse"), waits))
    assert flaky.calls == 1
    assert waits.seconds == []


def test_an_abandoned_worker_does_not_retry_for_ever() -> None:
    flaky = Flaky(99, AWAY)
    with pytest.raises(SinkUnavailable):
        drive(read_then_write(), Retrying(flaky, Peer("ClickHouse"), Waits(at_most=3)))
    assert flaky.calls == 3


class Coded(Exception):
    def __init__(self, code: int | None, text: str = "x") -> None:
        super().__init__(text)
        self.code = code


@pytest.mark.parametrize(
    "code", [3, 159, 164, 202, 203, 209, 210, 225, 242, 243, 252, 285, 286, 289, 319, 341, 425, 999, 1002]
)
def test_passing_troubles_are_retried(code: int) -> None:
    assert isinstance(sink_error(Coded(code), "x"), SinkUnavailable)


def test_too_many_partitions_is_not_a_passing_trouble() -> None:
    assert isinstance(sink_error(Coded(252, "Too many partitions for single INSERT block"), "x"), SinkRefuses)


def test_a_broken_connection_is_retried() -> None:
    assert isinstance(sink_error(ConnectionResetError("reset"), "x"), SinkUnavailable)


def test_a_missing_table_or_a_value_that_does_not_fit_is_refused() -> None:
    assert isinstance(sink_error(DatabaseError("Unknown table", code=60), "x"), SinkRefuses)
    assert isinstance(sink_error(DataError("not a number"), "x"), SinkRefuses)
