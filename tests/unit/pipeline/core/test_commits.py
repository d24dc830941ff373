"""What may be committed to Kafka, and in which order."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.commits import Commits, Reached
from pipeline.core.late_keys import NO_KEYS, LateKeys
from pipeline.core.pending import Pace
from pipeline.core.place import Place
from tests.support.places import P0, P1

LATE = LateKeys.listed((7, "a"))
READINGS = {P0: 1, P1: 1}


def reached(p0: int | None = None, p1: int | None = None, epoch: int = 1) -> dict[Place, Reached]:
    """How far partitions 0 and 1 have come."""
    return {p: Reached(epoch, offset) for p, offset in ((P0, p0), (P1, p1)) if offset is not None}


def recomputed(commits: Commits, now: float) -> None:
    """All late keys that wait are brought into the rollups."""
    commits.pending.take(now, hot_too=True)
    commits.pending.done(now, 0.0, 0)


def test_nothing_is_committed_of_an_empty_queue() -> None:
    assert Commits().take(READINGS) == {}


def test_a_flush_without_late_events_may_be_committed_at_once() -> None:
    commits = Commits()
    commits.flushed(NO_KEYS, reached(p0=5, p1=7), 0.0)
    assert commits.take(READINGS) == reached(p0=5, p1=7)
    assert commits.take(READINGS) == {}


def test_a_flush_with_late_events_and_all_after_it_wait_for_the_recompute() -> None:
    commits = Commits()
    commits.flushed(NO_KEYS, reached(p0=5), 0.0)
    commits.flushed(LATE, reached(p0=6), 0.0)
    commits.flushed(NO_KEYS, reached(p0=7), 0.0)
    assert commits.take(READINGS) == reached(p0=5)
    commits.pending.take(1.0)
    assert commits.take(READINGS) == {}, "it is under way, not done"
    commits.pending.done(2.0, 1.0, 0)
    assert commits.take(READINGS) == reached(p0=7)


def test_what_is_refused_is_tried_again_and_never_overtakes_what_came_since() -> None:
    commits = Commits()
    commits.flushed(NO_KEYS, reached(p0=5, p1=3), 0.0)
    commits.refused(commits.take(READINGS))
    commits.flushed(NO_KEYS, reached(p0=6), 0.0)
    assert commits.take(READINGS) == reached(p0=6, p1=3)


def test_what_is_refused_waits_for_no_recompute_of_a_later_flush() -> None:
    commits = Commits()
    commits.flushed(NO_KEYS, reached(p0=5), 0.0)
    commits.refused(commits.take(READINGS))
    commits.flushed(LATE, reached(p0=6), 0.0)
    assert commits.take(READINGS) == reached(p0=5)


def test_what_a_reading_reached_that_has_ended_is_dropped() -> None:
    commits = Commits()
    commits.flushed(NO_KEYS, reached(p0=15, p1=7), 0.0)
    commits.flushed(NO_KEYS, reached(p0=12, epoch=2), 0.0)
    assert commits.take({P0: 2, P1: 1}) == reached(p0=12, epoch=2) | reached(p1=7)
    assert commits.take(READINGS) == {}, "dropped for good"


def test_an_idle_position_is_committed_again_for_a_new_reading() -> None:
    """Another worker may have committed less in between."""
    commits = Commits()
    commits.committed(reached(p0=16))
    commits.idle(reached(p0=16, epoch=2))
    assert commits.take({P0: 2}) == reached(p0=16, epoch=2)


def test_an_idle_position_is_queued_once_and_not_again_when_it_is_committed() -> None:
    commits = Commits()
    commits.idle(reached(p0=9))
    commits.idle(reached(p0=9))
    offsets = commits.take(READINGS)
    assert offsets == reached(p0=9)
    assert commits.take(READINGS) == {}
    commits.committed(offsets)
    commits.idle(reached(p0=9))
    assert commits.take(READINGS) == {}
    commits.idle(reached(p0=10))
    assert commits.take(READINGS) == reached(p0=10)


def test_an_idle_position_waits_for_late_events_like_a_flush() -> None:
    commits = Commits()
    commits.flushed(LATE, reached(p0=6), 0.0)
    commits.idle(reached(p0=8))
    assert commits.take(READINGS) == {}
    recomputed(commits, 1.0)
    assert commits.take(READINGS) == reached(p0=8)


@given(st.lists(st.sampled_from(["flush", "late", "idle", "recompute", "refuse", "commit"]), max_size=40))
def test_commits_of_a_partition_never_go_back_and_never_pass_what_is_pending(story: list[str]) -> None:
    commits, position, seen, durable = Commits(), 0, 0, []
    for now, event in enumerate(story, 1):
        if event in {"flush", "late"}:
            position += 1
            commits.flushed(LATE if event == "late" else NO_KEYS, reached(p0=position), float(now))
            durable.append((position, event == "late"))
        elif event == "idle":
            commits.idle(reached(p0=position))
        elif event == "recompute":
            recomputed(commits, float(now))
            durable = [(offset, False) for offset, _ in durable]
        elif offsets := commits.take(READINGS):
            pending_from = min((offset for offset, is_late in durable if is_late), default=position + 1)
            assert seen <= offsets[P0].next_offset < pending_from
            seen = offsets[P0].next_offset
            if event == "refuse":
                commits.refused(offsets)
            else:
                commits.committed(offsets)
    recomputed(commits, len(story) + 1.0)
    assert not commits.pending.due(1e9, Pace.IDLE)
    assert commits.take(READINGS).get(P0, Reached(1, seen)).next_offset in {seen, position}
