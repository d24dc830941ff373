"""Late keys: which events make one, and in which spans of time they are recomputed."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import late
from pipeline.core.late import late_keys, late_spans
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
