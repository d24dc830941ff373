"""Readiness is progress: each reason comes and goes with what causes it."""

from pipeline.core.flush import Chunk
from pipeline.core.late_keys import NO_KEYS
from pipeline.core.place import Place
from pipeline.core.protocol import Flushed
from pipeline.core.records import DeadLetter
from pipeline.worker.health import FLOOD_LETTERS, STALLED_SECONDS, Health, broken
from schemas.message_event import DeadLetterReason
from tests.support.moments import at
from tests.support.places import P0, P1, place

NOW = 1_778_000_000_000


def healthy() -> Health:
    return Health(lateness_seconds=10, as_of_ms=NOW - 11_000)


def test_a_worker_that_keeps_up_is_ready() -> None:
    assert healthy().reasons(NOW) == []


def test_nothing_aggregated_is_not_ready() -> None:
    (reason,) = Health(lateness_seconds=10, holding=(place(2), place(5))).reasons(NOW)
    assert f"{place(2)}, {place(5)}" in reason


def test_an_old_as_of_is_not_ready() -> None:
    health = healthy()
    assert health.reasons(NOW + 9_000) == []
    (reason,) = health.reasons(NOW + 10_000)
    assert "as_of is 21 s old" in reason


def test_a_sink_that_fails_for_five_seconds_is_named_until_it_answers() -> None:
    health = healthy()
    health.sink.outcome(OSError("refused"), NOW - 6_000)
    health.sink.outcome(OSError("still"), NOW - 1_000)
    (reason,) = health.reasons(NOW)
    assert "sink unavailable for 6 s: still" in reason
    health.sink.outcome(None, NOW)
    assert health.reasons(NOW) == []


def test_a_sink_that_refuses_one_part_and_takes_the_others_is_named_beside_what_comes_of_it() -> None:
    """One shard of two is away: progress is stored, facts of its organizations are not."""
    health = healthy()
    for ago in range(30_000, 0, -1_000):
        health.sink.outcome(OSError("no shard 2"), NOW - ago)
        health.sink.outcome(None, NOW - ago + 500)
    assert health.reasons(NOW) == [], "by itself that keeps nobody from being ready"
    health.as_of_ms = NOW - 40_000
    stale, refused = health.reasons(NOW)
    assert "as_of is 40 s old" in stale
    assert refused == "sink refused a part 1 s ago: no shard 2"
    health.as_of_ms = NOW - 20_000
    assert len(health.reasons(NOW + 10_000)) == 1, "what is long ago is nobody's reason"


def test_tombstones_are_no_flood() -> None:
    letters = [
        DeadLetter(P0, offset, reason, "", 0, None, None, ())
        for offset, reason in enumerate([DeadLetterReason.EMPTY] * 5 + [DeadLetterReason.INVALID_FIELD] * 2)
    ]
    flushed = Flushed(NO_KEYS, dead_letters=8, erased=0, erasures={}, sweep=False)  # one of them too late
    assert broken(Chunk(letters=letters), flushed) == 3


def test_a_flood_of_dead_letters_is_not_ready_and_passes() -> None:
    health = healthy()
    health.counted(10_000, FLOOD_LETTERS, NOW)
    assert health.reasons(NOW) == [], "a small share is no flood"
    health.counted(0, 5_000, NOW)
    (reason,) = health.reasons(NOW)
    assert "5100 of 15100 records" in reason
    health.as_of_ms = NOW + 61_000
    assert health.reasons(NOW + 61_000) == []


def test_flushes_that_end_while_somebody_asks_do_not_disturb_the_answer() -> None:
    """Health is asked on a thread of its own. Here it is the sum over the flushes that another one falls into."""
    health = healthy()

    class Meanwhile(int):
        def __radd__(self, other: int) -> int:
            health.counted(1, 0, NOW)
            return other + int(self)

    for _ in range(2):
        health.counted(Meanwhile(5), FLOOD_LETTERS, NOW)
    (reason,) = health.reasons(NOW)
    assert f"{2 * FLOOD_LETTERS} of {2 * FLOOD_LETTERS + 10} records" in reason


def test_a_statement_that_is_not_answered_is_named() -> None:
    health = healthy()
    with health.kafka.asked(lambda: NOW - 11_000):
        (reason,) = health.reasons(NOW)
        assert "Kafka has not answered for 11 s" in reason
    assert health.reasons(NOW) == []


def standing(durable: dict[Place, int], seconds: float, health: Health) -> None:
    """Ten records in each log, as seen so many seconds after NOW."""
    health.as_of_ms = NOW + int(seconds * 1000) - 11_000
    health.partitions(frozenset({P0, P1}), durable, dict.fromkeys(durable, 10), NOW + int(seconds * 1000))


def test_a_partition_that_stands_still_is_named_and_ends_the_worker_unless_somebody_is_to_blame() -> None:
    health = healthy()
    standing({P0: 4, P1: 5}, 0, health)
    standing({P0: 4, P1: 6}, 11, health)
    later = NOW + 11_000
    (reason,) = health.reasons(later)
    assert "partition message-events/0 has stood at offset 4 for 11 s" in reason
    assert health.stalled(later, may_pause=False) is None

    ends = ask_every_second(health, 11, 2 * STALLED_SECONDS)
    assert STALLED_SECONDS - 1 <= ends <= STALLED_SECONDS + 12
    assert health.stalled(NOW + int(ends * 1000), may_pause=True) is None


def test_a_long_outage_or_a_long_sleep_does_not_end_a_worker_when_it_is_over() -> None:
    health = healthy()
    standing({P0: 4, P1: 10}, 0, health)
    health.sink.outcome(OSError("gone"), NOW)
    assert ask_every_second(health, 0, 3 * STALLED_SECONDS) == 0
    health.sink.outcome(None, NOW)
    began = 3 * STALLED_SECONDS
    assert ask_every_second(health, began, began + STALLED_SECONDS - 1) == 0, "from here on nobody is to blame"
    assert health.stalled(NOW + int(9 * STALLED_SECONDS * 1000), may_pause=False) is None, "it was asleep itself"


def ask_every_second(health: Health, begin: float, end: float) -> float:
    """The second after NOW at which the worker is found to be stalled; 0 when it is not."""
    for second in range(int(begin), int(end)):
        if health.stalled(NOW + second * 1000, may_pause=False):
            return second
    return 0


def test_a_partition_that_goes_on_is_ready_again() -> None:
    health = healthy()
    standing({P0: 4, P1: 10}, 0, health)
    standing({P0: 5, P1: 10}, STALLED_SECONDS + 2, health)
    assert health.reasons(NOW + int((STALLED_SECONDS + 2) * 1000)) == []


def test_a_partition_that_is_assigned_and_never_begun_is_named() -> None:
    health = healthy()
    standing({P0: 10}, 0, health)
    standing({P0: 10}, 12, health)
    (reason,) = health.reasons(NOW + 12_000)
    assert "partition message-events/1 is assigned to this worker, which has not begun to read it for 12 s" in reason


def test_a_partition_that_waits_is_a_reason_and_no_fault_of_this_process() -> None:
    health = healthy()
    health.waiting = {P0: "partition 0 waits for its leader"}
    for second in range(int(3 * STALLED_SECONDS)):
        standing({P0: 5, P1: 10}, second, health)
        assert health.stalled(NOW + second * 1000, may_pause=False) is None
    health.as_of_ms = NOW + int(3 * STALLED_SECONDS) * 1000
    assert health.reasons(health.as_of_ms) == ["partition 0 waits for its leader"], "and is not called still besides"
    health.waiting = {}
    assert health.stalled(health.as_of_ms, may_pause=False) is None, "nor just when it is over, before the next flush"
    for second in range(int(3 * STALLED_SECONDS), int(4 * STALLED_SECONDS) + 2):
        standing({P0: 5, P1: 10}, second, health)
        stalled = health.stalled(NOW + second * 1000, may_pause=False)
    assert stalled is not None
    assert "partition message-events/0 has stood at offset 5" in stalled


def test_a_broker_whose_clock_is_wrong_is_named_unless_our_own_is_in_doubt() -> None:
    health = healthy()
    health.broker_clocks.had_nothing(1, P0, 5, NOW)
    health.broker_clocks.appended(1, P0, 5, NOW - 3_600_000, at(NOW))
    (reason,) = health.reasons(NOW)
    assert "broker 1's clock" in reason
    health.clock_problem = "it was set"
    assert health.reasons(NOW) == ["it was set"]
