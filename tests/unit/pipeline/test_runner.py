"""The driver: effects are repeated until they are taken, and nothing that was refused is."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, DataError, OperationalError
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError

from pipeline.clickhouse.client import ClickHouse
from pipeline.clickhouse.errors import sink_error
from pipeline.core.computing import compute_steps
from pipeline.core.effects import CloseBuckets, Effect, InsertFacts, RaiseState, ReadState, State, Steps
from pipeline.core.records import Columns
from pipeline.errors import SinkRefuses, SinkUnavailable, TooMuchAtOnce
from pipeline.peer import Peer
from pipeline.runner import Retrying, drive
from schemas.grain import Grain


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


HOUR = CloseBuckets(Grain.MINUTE, 0, Grain.HOUR.seconds, 0)
MINUTE = CloseBuckets(Grain.MINUTE, 0, Grain.MINUTE.seconds, 0)
TOO_MUCH = TooMuchAtOnce("timed out")


def test_of_several_buckets_it_is_answered_that_they_are_too_much_and_the_peer_is_told() -> None:
    flaky, waits, peer, warnings = Flaky(1, TOO_MUCH), Waits(), Watched("ClickHouse"), list[str]()
    assert Retrying(flaky, peer, waits, waits.clock_ms, lambda: 1, warnings.append)(HOUR) is True
    assert (flaky.calls, waits.seconds) == (1, [0.1]), "not repeated, and not at once halved either"
    assert peer.told == [("timed out", 1000)]
    assert warnings == ["timed out"]


@pytest.mark.parametrize(
    ("effect", "error"), [(MINUTE, TOO_MUCH), (ReadState(), TOO_MUCH), (InsertFacts(Columns()), TOO_MUCH), (HOUR, AWAY)]
)
def test_what_cannot_be_halved_or_would_not_profit_from_it_is_repeated(effect: Effect, error: Exception) -> None:
    flaky = Flaky(5, error)
    assert Retrying(flaky, Peer("ClickHouse"), Waits())(effect) == State(generation=7)
    assert flaky.calls == 6


def test_who_gives_up_halves_nothing() -> None:
    with pytest.raises(TooMuchAtOnce):
        Retrying(Flaky(9, TOO_MUCH), Peer("ClickHouse"), Waits(at_most=1))(HOUR)


@pytest.mark.parametrize("failures", [1, 5, 6, 7, 30])
def test_while_clickhouse_stands_still_statements_do_not_multiply(failures: int) -> None:
    """Sixty buckets are halved six times, and the last one is repeated; then one statement is left of each time."""
    taken, frozen = list[CloseBuckets](), Flaky(failures, TOO_MUCH)

    def perform(effect: Any) -> None:
        frozen(effect)
        taken.append(effect)

    drive(compute_steps(HOUR), Retrying(perform, Peer("ClickHouse"), Waits()))
    assert frozen.calls == failures + len(taken)
    assert len(taken) == 1 + min(failures, 5)
    assert sorted(second for part in taken for second in range(part.start, part.end, 60)) == list(range(0, 3600, 60))


class Coded(Exception):
    def __init__(self, code: int | None, text: str = "x") -> None:
        super().__init__(text)
        self.code = code


@pytest.mark.parametrize(
    "code", [3, 159, 164, 202, 203, 209, 210, 225, 242, 243, 252, 285, 286, 289, 319, 341, 425, 999, 1002]
)
def test_passing_troubles_are_retried(code: int) -> None:
    assert isinstance(sink_error(Coded(code), "x"), SinkUnavailable)


@pytest.mark.parametrize("code", [159, 209, 241])
def test_time_and_memory_that_ran_out_are_too_much_at_once(code: int) -> None:
    assert isinstance(sink_error(Coded(code), "x"), TooMuchAtOnce)


def test_an_answer_that_does_not_come_in_time_is_too_much_at_once_and_a_connection_is_not(silent_port: int) -> None:
    """As the driver raises them."""
    with pytest.raises(TooMuchAtOnce, match=r"unavailable while asking: .*Read timed out"):
        ClickHouse(f"http://127.0.0.1:{silent_port}/default", 1).rows("asking", "SELECT 1")
    pool: Any = None
    for cause in (ConnectTimeoutError("connecting"), ConnectionResetError("reset")):
        error = OperationalError("Error executing HTTP request")
        error.__cause__ = MaxRetryError(pool, "/", cause) if isinstance(cause, ConnectTimeoutError) else cause
        assert type(sink_error(error, "x")) is SinkUnavailable


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_too_many_partitions_is_not_a_passing_trouble() -> None:
    assert isinstance(sink_error(Coded(252, "Too many partitions for single INSERT block"), "x"), SinkRefuses)


def test_a_broken_connection_is_retried() -> None:
    assert isinstance(sink_error(ConnectionResetError("reset"), "x"), SinkUnavailable)


def test_a_missing_table_or_a_value_that_does_not_fit_is_refused() -> None:
    assert isinstance(sink_error(DatabaseError("Unknown table", code=60), "x"), SinkRefuses)
    assert isinstance(sink_error(DataError("not a number"), "x"), SinkRefuses)
