"""Readiness is progress: each reason comes and goes with what causes it."""

from pipeline.health import FLOOD_LETTERS, Health

NOW = 1_778_000_000_000


def healthy() -> Health:
    return Health(lateness_seconds=10, as_of_ms=NOW - 11_000)


def test_a_worker_that_keeps_up_is_ready() -> None:
    assert healthy().reasons(NOW) == []


def test_nothing_aggregated_is_not_ready() -> None:
    (reason,) = Health(lateness_seconds=10, blocked_partitions=(2, 5)).reasons(NOW)
    assert "2, 5" in reason


def test_an_old_as_of_is_not_ready() -> None:
    health = healthy()
    assert health.reasons(NOW + 9_000) == []
    (reason,) = health.reasons(NOW + 10_000)
    assert "as_of is 21 s old" in reason


def test_a_sink_that_fails_for_five_seconds_is_named_until_it_answers() -> None:
    health = healthy()
    health.sink_outcome(OSError("refused"), NOW - 6_000)
    health.sink_outcome(OSError("still"), NOW - 1_000)
    (reason,) = health.reasons(NOW)
    assert "sink unavailable for 6 s: refused" in reason
    health.sink_outcome(None, NOW)
    assert health.reasons(NOW) == []


def test_a_flood_of_dead_letters_is_not_ready_and_passes() -> None:
    health = healthy()
    health.counted(10_000, FLOOD_LETTERS, NOW)
    assert health.reasons(NOW) == [], "a small share is no flood"
    health.counted(0, 5_000, NOW)
    (reason,) = health.reasons(NOW)
    assert "5100 of 15100 records" in reason
    health.as_of_ms = NOW + 61_000
    assert health.reasons(NOW + 61_000) == []
