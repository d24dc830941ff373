"""Late keys: which events make one, when it is recomputed, and in which spans of time."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import late
from pipeline.core.late import HOT_KEY_SECONDS, Pace, PendingRecomputes, late_keys, late_spans
from pipeline.core.late_keys import Key, LateKeys
from schemas.grain import Grain

MINUTE_MS = 60_000


def test_an_event_is_late_when_its_minute_has_ended_at_closing() -> None:
    times, orgs = [0, 59_999, 60_000, 119_999], ["a", "b", "a", "b"]
    assert not len(late_keys(times, orgs, 0, 59_999))
    assert set(late_keys(times, orgs, 0, 60_000)) == {(0, "a"), (0, "b")}
    assert set(late_keys(times, orgs, 0, 10 * MINUTE_MS)) == {(0, "a"), (0, "b"), (1, "a"), (1, "b")}
    after_the_floor = late_keys(times, orgs, MINUTE_MS, 10 * MINUTE_MS)
    assert set(after_the_floor) == {(1, "a"), (1, "b")}, "before it nothing can be computed any more"


def test_a_recompute_goes_through_the_weeks_that_it_touches_in_bounded_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late, "KEYS_A_STATEMENT", 2)
    minute, other = (int(datetime(2026, 11, day, tzinfo=UTC).timestamp()) // 60 for day in (23, 9))
    keys = LateKeys.listed((minute - 1, "a"), (minute, "b"), (minute, "a"), (minute + 5, "b"), (other + 61, "a"))
    assert [_times(span) for span in late_spans(Grain.MINUTE, keys)] == [
        "09 01:01 to 09 01:02", "22 23:59 to 23 00:00", "23 00:00 to 23 00:01", "23 00:05 to 23 00:06",
    ]  # fmt: skip
    assert _times(late_spans(Grain.HOUR, keys)[0]) == "09 01:00 to 09 02:00"
    assert _times(late_spans(Grain.DAY, keys)[-1]) == "23 00:00 to 24 00:00"


@given(st.lists(st.tuples(st.integers(0, 40_000), st.sampled_from("ab")), min_size=1, max_size=30), st.integers(1, 5))
def test_every_late_bucket_is_in_a_span_and_no_span_leaves_its_week(keys: list[Key], at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(late, "KEYS_A_STATEMENT", at_once)
        for grain in Grain:
            spans = late_spans(grain, LateKeys.listed(*keys))
            for minute, _ in keys:
                assert any(start <= minute * 60 < end for start, end in spans)
            for start, end in spans:
                assert start == grain.floor(start)
                assert end == grain.floor(end)
                first, last = (datetime.fromtimestamp(second, UTC).isocalendar() for second in (start, end - 1))
                assert first[:2] == last[:2]


def _times(span: tuple[int, int]) -> str:
    start, end = (datetime.fromtimestamp(edge, UTC).strftime("%d %H:%M") for edge in span)
    return f"{start} to {end}"


def test_a_flush_with_pending_keys_and_all_after_it_are_not_settled() -> None:
    pending = PendingRecomputes()
    pending.add(LateKeys.listed((1, "a")), flush=3, now=0)
    assert pending.settled_flush(newest=5) == 2
    assert set(pending.take(now=9)) == {(1, "a")}
    assert pending.settled_flush(newest=5) == 2, "running is not done"
    pending.done(now=9, took_seconds=0)
    assert pending.settled_flush(newest=5) == 5


def test_a_recompute_waits_for_its_age_and_leaves_time_to_the_flushes() -> None:
    pending = PendingRecomputes()
    pending.add(LateKeys.listed((1, "a")), flush=1, now=100)
    for pace, seconds in ((Pace.IDLE, 1), (Pace.LIVE, 3), (Pace.BACKLOG, 10)):
        assert not pending.due(99.9 + seconds, pace)
        assert pending.due(100 + seconds, pace)
    pending.take(101)
    pending.done(102, took_seconds=4)
    pending.add(LateKeys.listed((2, "a")), flush=2, now=90)
    for pace in (Pace.LIVE, Pace.BACKLOG):
        assert not pending.due(105.9, pace)
        assert pending.due(106, pace)
    assert pending.due(102, Pace.IDLE), "no flush needs the time"


def test_a_hot_key_is_not_recomputed_all_the_time_but_is_in_the_end() -> None:
    pending = PendingRecomputes()
    pending.add(LateKeys.listed((1, "hot")), flush=1, now=0)
    pending.take(1)
    pending.done(1, 0)
    pending.add(LateKeys.listed((1, "hot"), (1, "cold")), flush=2, now=2)
    assert set(pending.take(2)) == {(1, "cold")}
    pending.done(2, 0)
    assert pending.settled_flush(newest=2) == 1
    assert pending.due(4, Pace.IDLE)
    assert not len(pending.take(4)), "all that waits is hot"
    pending.done(4, 0)
    assert not pending.due(4, Pace.IDLE), "looking again before one has cooled down would find nothing either"
    assert set(pending.take(1 + HOT_KEY_SECONDS)) == {(1, "hot")}


def test_a_recompute_does_not_wait_once_nothing_is_fetched_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late, "MAX_PENDING_KEYS", 2)
    pending = PendingRecomputes()
    pending.add(LateKeys.listed((1, "a")), flush=1, now=0)
    pending.take(1)
    pending.done(2, took_seconds=100)
    pending.add(LateKeys.listed((2, "a"), (3, "a")), flush=2, now=2)
    assert pending.is_full
    assert pending.due(2, Pace.BACKLOG)
