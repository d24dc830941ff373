"""Late keys that wait: each once, recomputed after every time that it came, and no oftener than its pause allows."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import pending as module
from pipeline.core.commits import Commits, Reached
from pipeline.core.late_keys import Key, LateKeys
from pipeline.core.pending import (
    HURRY_SECONDS,
    PAUSES_OF_AN_AGE,
    SHORTEST_PAUSE_SECONDS,
    Pace,
    PendingRecomputes,
)
from schemas.limits import LATE_PAUSE_SECONDS
from tests.support.places import P0

WALL_MS = 10**12
MINUTE_MS = 60_000
NOW = WALL_MS // MINUTE_MS
OLD, YOUNG = NOW - 2 * 1440, NOW - 1
PACES = st.sampled_from(Pace)


def one(*keys: Key) -> LateKeys:
    return LateKeys.listed(*keys)


def recomputed(pending: PendingRecomputes, now: float, *, wall_ms: int = WALL_MS) -> set[Key]:
    keys = set(pending.take(now))
    pending.done(now, 0, wall_ms)
    return keys


def test_a_flush_with_pending_keys_and_all_after_it_are_not_settled() -> None:
    pending = PendingRecomputes()
    pending.add(one((1, "a")), flush=3, now=0)
    assert pending.settled_flush(newest=5) == 2
    assert set(pending.take(now=9)) == {(1, "a")}
    assert pending.settled_flush(newest=5) == 2, "running is not done"
    pending.done(9, 0, WALL_MS)
    assert pending.settled_flush(newest=5) == 5


def test_a_recompute_waits_for_its_age_and_leaves_time_to_the_flushes() -> None:
    pending = PendingRecomputes()
    pending.add(one((1, "a")), flush=1, now=100)
    for pace, seconds in ((Pace.IDLE, 1), (Pace.LIVE, 3), (Pace.BACKLOG, 10)):
        assert not pending.due(99.9 + seconds, pace)
        assert pending.due(100 + seconds, pace)
    pending.take(101)
    pending.done(102, 4, WALL_MS)
    pending.add(one((2, "a")), flush=2, now=90)
    for pace in (Pace.LIVE, Pace.BACKLOG):
        assert not pending.due(105.9, pace)
        assert pending.due(106, pace)
    assert pending.due(102, Pace.IDLE), "no flush needs the time"


def test_a_recompute_does_not_wait_once_nothing_is_fetched_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PENDING_KEYS", 2)
    pending = PendingRecomputes()
    pending.add(one((1, "a")), flush=1, now=0)
    pending.take(1)
    pending.done(2, 100, WALL_MS)
    pending.add(one((2, "a"), (3, "a")), flush=2, now=2)
    assert pending.is_full
    assert pending.due(2, Pace.BACKLOG)


def test_a_key_that_many_flushes_bring_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PENDING_KEYS", 3)
    pending = PendingRecomputes()
    for flush in range(1, 10):
        pending.add(one((1, "a"), (2, "a")), flush, now=0)
    assert len(pending) == 2
    assert not pending.is_full
    assert len(pending.take(20)) == 2
    pending.add(one((1, "a")), 10, now=21)
    assert len(pending) == 3, "it runs, and waits again"


def test_a_key_that_comes_while_it_runs_is_recomputed_again() -> None:
    pending = PendingRecomputes()
    pending.add(one((YOUNG, "a")), flush=1, now=0)
    pending.take(1)
    pending.add(one((YOUNG, "a")), flush=2, now=2)
    assert not pending.due(1e9, Pace.IDLE), "one at a time"
    pending.done(3, 0, WALL_MS)
    assert pending.settled_flush(newest=2) == 1
    assert not pending.due(3 + SHORTEST_PAUSE_SECONDS, Pace.IDLE), "it rests, and then waits as long as any"
    assert pending.due(3 + SHORTEST_PAUSE_SECONDS + 1, Pace.IDLE)
    assert recomputed(pending, 3 + SHORTEST_PAUSE_SECONDS) == {(YOUNG, "a")}


def test_a_key_that_is_ready_waits_for_none_that_rests() -> None:
    pending = PendingRecomputes()
    pending.add(one((OLD, "a"), (YOUNG, "a")), flush=1, now=0)
    assert len(recomputed(pending, 1)) == 2
    pending.add(one((OLD, "a"), (YOUNG, "a")), flush=2, now=2)
    pending.add(one((OLD, "new")), flush=3, now=3)
    assert pending.due(4, Pace.IDLE)
    assert recomputed(pending, 4) == {(OLD, "new")}
    assert not pending.due(SHORTEST_PAUSE_SECONDS, Pace.IDLE), "all that waits rests: looking would find nothing"
    assert pending.due(2 + SHORTEST_PAUSE_SECONDS, Pace.IDLE)
    assert recomputed(pending, 2 + SHORTEST_PAUSE_SECONDS) == {(YOUNG, "a")}
    assert not pending.due(LATE_PAUSE_SECONDS, Pace.IDLE)
    assert recomputed(pending, 1 + LATE_PAUSE_SECONDS) == {(OLD, "a")}


def test_after_a_rebalance_nothing_rests_for_long_and_later_it_does_again() -> None:
    pending = PendingRecomputes()
    pending.add(one((OLD, "a")), flush=1, now=0)
    pending.take(1)
    pending.add(one((OLD, "a")), flush=2, now=2)
    pending.done(3, 0, WALL_MS)
    pending.hurry(4)
    assert pending.due(5, Pace.IDLE)
    assert recomputed(pending, 5) == {(OLD, "a")}
    pending.add(one((OLD, "a")), flush=3, now=6)
    assert recomputed(pending, 5 + SHORTEST_PAUSE_SECONDS) == {(OLD, "a")}
    pending.add(one((OLD, "a")), flush=4, now=4 + HURRY_SECONDS)
    assert recomputed(pending, 4 + HURRY_SECONDS) == {(OLD, "a")}
    pending.add(one((OLD, "a")), flush=5, now=5 + HURRY_SECONDS)
    assert not recomputed(pending, 4 + HURRY_SECONDS + SHORTEST_PAUSE_SECONDS)


@pytest.mark.parametrize("interval", [15, 45, 60])
def test_what_is_read_is_committed_however_often_there_is_a_rebalance(interval: int) -> None:
    """Each reads again from what was committed; as in the lanes, nothing rests long after one."""
    commits, position, committed, epoch, running = Commits(), 0, 0, 1, False
    for now in range(1, 600):
        if now % interval == 0:
            epoch, position = epoch + 1, committed
            commits.pending.hurry(now)
        if position < now:  # a record a second, each for one of twenty old buckets
            ahead = range(position, min(now, position + 5))
            position = ahead.stop
            commits.flushed(one(*((OLD + n % 20, "a") for n in ahead)), {P0: Reached(epoch, position)}, now)
        if running:
            commits.pending.done(now, 1, WALL_MS)
        running = commits.pending.due(now, Pace.LIVE) and len(commits.pending.take(now)) > 0
        committed = max([committed, *(reached.next_offset for reached in commits.take({P0: epoch}).values())])
    assert committed > 570


def test_who_leaves_takes_also_what_rests() -> None:
    pending = PendingRecomputes()
    pending.add(one((OLD, "a")), flush=1, now=0)
    recomputed(pending, 1)
    pending.add(one((OLD, "a")), flush=2, now=2)
    assert not len(pending.take(3))
    pending.done(3, 0, WALL_MS)
    assert set(pending.take(3, hot_too=True)) == {(OLD, "a")}


@pytest.mark.parametrize(
    ("age_seconds", "pause"),
    [(-(10**9), 5), (0, 5), (1800, 5), (3600, 10), (6 * 3600, 60), (10**9, 60)],
)
def test_a_pause_grows_with_age_and_no_clock_makes_it_longer_than_a_minute(age_seconds: int, pause: float) -> None:
    pending = PendingRecomputes()
    pending.add(one((NOW, "a")), flush=1, now=0)
    pending.take(0)
    pending.done(0, 0, NOW * MINUTE_MS + age_seconds * 1000)
    pending.add(one((NOW, "a")), flush=2, now=0)
    assert not len(pending.take(pause - 0.01))
    pending.done(pause - 0.01, 0, WALL_MS)
    assert len(pending.take(pause)) == 1


def test_organizations_that_no_key_refers_to_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPARE_ORGS", 3)
    pending = PendingRecomputes()
    pending.add(one((5, "stays")), flush=1, now=10**6)
    for number in range(50):
        now = number * 2 * LATE_PAUSE_SECONDS
        pending.add(one((number, f"org-{number}")), flush=number + 1, now=now)
        assert recomputed(pending, now) == {(number, f"org-{number}")}
        assert len(pending._places) <= 3 + 2 * 2 + 1
    assert recomputed(pending, 10**6) == {(5, "stays")}


@dataclass
class Model:
    """What should be, kept naively: by key when it came first since it was last taken, and when it ran last."""

    waiting: dict[Key, tuple[int, float]] = field(default_factory=dict)
    ran: dict[Key, tuple[float, float]] = field(default_factory=dict)
    """When a key's last run ended, and its pause by then."""
    running: dict[Key, int] = field(default_factory=dict)

    def ready(self, key: Key) -> float:
        """When a key that waits may run."""
        ended, pause = self.ran.get(key, (0.0, 0.0))
        return max(self.waiting[key][1], ended + pause)


KEYS = st.lists(st.tuples(st.sampled_from([OLD, NOW - 60, YOUNG]), st.sampled_from("abc")), max_size=4)
EVENTS = st.one_of(
    st.tuples(st.just("add"), KEYS),
    st.tuples(st.just("take"), st.sampled_from([False, False, False, True])),
    st.tuples(st.just("done"), st.just(None)),
    st.tuples(st.just("pass"), st.sampled_from([0.5, 3.0, 11.0, 40.0])),
)


@given(st.lists(EVENTS, max_size=60), st.sampled_from([2, 5, 1000]))
def test_every_key_runs_after_each_time_it_came_never_oftener_than_its_pause_and_no_commit_is_early(
    story: list[tuple[str, object]], keys_a_table: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "KEYS_A_TABLE", keys_a_table)
        patch.setattr(module, "SPARE_ORGS", 0)
        play(story)


def play(story: list[tuple[str, object]]) -> None:
    pending, model, now, flush, is_running = PendingRecomputes(), Model(), 1.0, 0, False
    for event, what in story:
        match event, what:
            case "add", list(keys):
                flush += 1
                pending.add(one(*keys), flush, now)
                for key in keys:
                    model.waiting.setdefault(key, (flush, now))
            case "take", bool(hot_too) if not is_running:
                expected = {key for key in model.waiting if hot_too or model.ready(key) <= now}
                assert set(pending.take(now, hot_too=hot_too)) == expected
                model.running = {key: model.waiting.pop(key)[0] for key in expected}
                is_running = True
            case "done", None if is_running:
                pending.done(now, 0.0, WALL_MS)
                for minute, org in model.running:
                    age_seconds = (NOW - minute) * 60 + WALL_MS % MINUTE_MS / 1000
                    pause = min(LATE_PAUSE_SECONDS, max(SHORTEST_PAUSE_SECONDS, age_seconds / PAUSES_OF_AN_AGE))
                    model.ran[minute, org] = now, pause
                model.running, is_running = {}, False
            case "pass", float(seconds):
                now += seconds
        unsettled = [*(since for since, _ in model.waiting.values()), *model.running.values()]
        assert pending.settled_flush(flush) == min(unsettled, default=flush + 1) - 1
        assert len(pending) == len(model.waiting) + len(model.running)
        first = min((model.ready(key) for key in model.waiting), default=float("inf"))
        for pace in Pace if not model.running else ():
            assert pending.due(now, pace) is (now >= first + pace.value)
