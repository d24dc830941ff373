"""What may be committed to Kafka, and in which order."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.commits import Commits
from pipeline.core.late import Pace
from pipeline.core.late_keys import NO_KEYS, LateKeys

LATE = LateKeys.listed((7, "a"))


def recomputed(commits: Commits, now: float) -> None:
    """All late keys that wait are brought into the rollups."""
    commits.pending.take(now, hot_too=True)
    commits.pending.done(now, 0.0)


def test_nothing_is_committed_of_an_empty_queue() -> None:
    assert Commits().take() == {}


def test_a_flush_without_late_events_may_be_committed_at_once() -> None:
    commits = Commits()
    commits.flushed(NO_KEYS, {0: 5, 1: 7}, 0.0)
    assert commits.take() == {0: 5, 1: 7}
    assert commits.take() == {}


def test_a_flush_with_late_events_and_all_after_it_wait_for_the_recompute() -> None:
    commits = Commits()
    commits.flushed(NO_KEYS, {0: 5}, 0.0)
    commits.flushed(LATE, {0: 6}, 0.0)
    commits.flushed(NO_KEYS, {0: 7}, 0.0)
    assert commits.take() == {0: 5}
    commits.pending.take(1.0)
    assert commits.take() == {}, "it is under way, not done"
    commits.pending.done(2.0, 1.0)
    assert commits.take() == {0: 7}


def test_what_is_refused_is_tried_again_and_never_overtakes_what_came_since() -> None:
    commits = Commits()
    commits.flushed(NO_KEYS, {0: 5, 1: 3}, 0.0)
    commits.refused(commits.take())
    commits.flushed(NO_KEYS, {0: 6}, 0.0)
    assert commits.take() == {0: 6, 1: 3}


def test_what_is_refused_waits_for_no_recompute_of_a_later_flush() -> None:
    commits = Commits()
    commits.flushed(NO_KEYS, {0: 5}, 0.0)
    commits.refused(commits.take())
    commits.flushed(LATE, {0: 6}, 0.0)
    assert commits.take() == {0: 5}


def test_an_idle_position_is_queued_once_and_not_again_when_it_is_committed() -> None:
    commits = Commits()
    commits.idle({0: 9})
    commits.idle({0: 9})
    offsets = commits.take()
    assert offsets == {0: 9}
    assert commits.take() == {}
    commits.committed(offsets)
    commits.idle({0: 9})
    assert commits.take() == {}
    commits.idle({0: 10})
    assert commits.take() == {0: 10}


def test_an_idle_position_waits_for_late_events_like_a_flush() -> None:
    commits = Commits()
    commits.flushed(LATE, {0: 6}, 0.0)
    commits.idle({0: 8})
    assert commits.take() == {}
    recomputed(commits, 1.0)
    assert commits.take() == {0: 8}


@given(st.lists(st.sampled_from(["flush", "late", "idle", "recompute", "refuse", "commit"]), max_size=40))
def test_commits_of_a_partition_never_go_back_and_never_pass_what_is_pending(story: list[str]) -> None:
    commits, position, seen, durable = Commits(), 0, 0, []
    for now, event in enumerate(story, 1):
        if event in {"flush", "late"}:
            position += 1
            commits.flushed(LATE if event == "late" else NO_KEYS, {0: position}, float(now))
            durable.append((position, event == "late"))
        elif event == "idle":
            commits.idle({0: position})
        elif event == "recompute":
            recomputed(commits, float(now))
            durable = [(offset, False) for offset, _ in durable]
        elif offsets := commits.take():
            pending_from = min((offset for offset, is_late in durable if is_late), default=position + 1)
            assert seen <= offsets[0] < pending_from
            seen = offsets[0]
            if event == "refuse":
                commits.refused(offsets)
            else:
                commits.committed(offsets)
    recomputed(commits, len(story) + 1.0)
    assert not commits.pending.due(1e9, Pace.IDLE)
    assert commits.take().get(0, seen) in {seen, position}
