"""Watermarks, late keys, the ledger of offsets, and where reading starts."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import late
from pipeline.core.flush import Batch, Chunk, End, FlushPolicy
from pipeline.core.late import HOT_KEY_SECONDS, Pace, PendingRecomputes, late_keys, late_spans
from pipeline.core.late_keys import Key, LateKeys, split
from pipeline.core.ledger import Ledger
from pipeline.core.start import Gap, Start, Stored, choose_start
from pipeline.core.watermark import frontier, partition_watermark, retention_floor
from schemas.grain import Grain

DAY_MS, MINUTE_MS = 86_400_000, 60_000
INSTANTS = st.integers(0, 4 * 10**12)


@given(INSTANTS, INSTANTS, st.integers(0, 3_600_000))
def test_a_watermark_is_never_ahead_of_the_clock(candidate: int, now: int, lateness: int) -> None:
    assert partition_watermark(candidate, now, lateness) <= max(0, now - lateness)


@given(INSTANTS, INSTANTS, INSTANTS)
def test_a_watermark_rises_with_its_candidate(first: int, second: int, now: int) -> None:
    low, high = sorted((first, second))
    assert partition_watermark(low, now, 10) <= partition_watermark(high, now, 10)


def test_the_frontier_is_the_slowest_partition() -> None:
    assert frontier({0: 50, 1: 40, 2: 60}, [0, 1, 2]) == 40


def test_a_partition_without_a_watermark_holds_the_frontier() -> None:
    assert frontier({0: 50}, [0, 1]) is None
    assert frontier({0: 50}, []) is None


def test_the_retention_floor_is_after_everything_that_may_have_been_dropped() -> None:
    now = 100 * DAY_MS + 5
    assert retention_floor(now, 35, DAY_MS, 0) == 66 * DAY_MS
    assert retention_floor(now + DAY_MS - 5 - 10, 35, DAY_MS, 3_600_000) == 67 * DAY_MS


def test_an_event_is_late_when_its_minute_has_ended_at_closing() -> None:
    times, orgs = [0, 59_999, 60_000, 119_999], ["a", "b", "a", "b"]
    assert not len(late_keys(times, orgs, 59_999))
    assert set(late_keys(times, orgs, 60_000)) == {(0, "a"), (0, "b")}
    assert set(late_keys(times, orgs, 10 * MINUTE_MS)) == {(0, "a"), (0, "b"), (1, "a"), (1, "b")}


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


KEYS = st.lists(st.tuples(st.integers(0, 10**8), st.sampled_from(["", "a", "b", "é"])), max_size=8)


@given(st.lists(KEYS, max_size=4), KEYS)
def test_keys_in_columns_are_sets_of_pairs(several: list[list[Key]], other: list[Key]) -> None:
    columns = [LateKeys.listed(*keys) for keys in several]
    union = LateKeys.union(columns)
    assert list(union) == list(dict.fromkeys(union)), "distinct"
    assert set(union) == {key for keys in several for key in keys}
    ((shared, rest),) = split([union], [LateKeys.listed(*other), *columns[:1]])
    known = {*other, *(several[0] if several else [])}
    assert set(shared) == set(union) & known
    assert set(rest) == set(union) - known
    assert len(shared) + len(rest) == len(union)
    assert [key for part in union.parts(2) for key in part] == list(union)
    assert [int(minute) for minute in union.minutes] == [minute for minute, _ in union]
    assert [union.orgs[place] for place in union.places] == [org for _, org in union]


def batch(ledger: Ledger, next_offset: int, size: int = 10) -> Batch:
    made = ledger.take(0, [], next_offset, size, now=0.0)
    assert made is not None
    return made


def chunk_of(*batches: Batch) -> Chunk:
    last = batches[-1]
    size = sum(b.size_bytes for b in batches)
    return Chunk(ends={0: End(last.epoch, last.next_offset, 0)}, size_bytes=size)


def test_only_what_is_flushed_is_durable() -> None:
    ledger = Ledger()
    ledger.begin(0, 5, 5, now=0)
    assert ledger.is_settled(0)
    first, second = batch(ledger, 8), batch(ledger, 9)
    assert not ledger.is_settled(0)
    assert ledger.admit(first, now=1)
    assert ledger.admit(second, now=1)
    ledger.durable(chunk_of(first))
    assert ledger.durable_offsets() == {0: 8}
    assert ledger.undurable_bytes == 10
    ledger.durable(chunk_of(second))
    assert ledger.is_settled(0)


def test_a_batch_after_a_lost_one_is_not_admitted_and_the_loss_is_reported() -> None:
    ledger = Ledger()
    ledger.begin(0, 0, 0, now=0)
    batch(ledger, 4)  # never arrives
    assert ledger.lost(now=5.0, patience_seconds=10) == {}
    assert ledger.lost(now=100.0, patience_seconds=10) == {0: 0}
    assert not ledger.admit(batch(ledger, 9), now=5)
    assert ledger.lost(now=5.0, patience_seconds=10) == {0: 0}, "a later one came: the first will never"


def test_a_steady_flow_does_not_hide_that_nothing_arrives() -> None:
    ledger = Ledger()
    ledger.begin(0, 0, 0, now=0)
    for second in range(1, 12):
        ledger.take(0, [], second, 10, now=float(second))
    assert ledger.lost(now=12.0, patience_seconds=10) == {0: 0}


def test_what_is_in_a_chunk_counts_until_it_is_durable_even_after_a_seek() -> None:
    ledger = Ledger()
    for start in range(3):  # a blocked sink, and one rebalance after the other
        ledger.begin(0, 0, 0, now=start)
        assert ledger.admit(batch(ledger, 4), now=start)
    batch(ledger, 6)
    assert ledger.undurable_bytes == 40
    ledger.begin(0, 0, 0, now=9)
    assert ledger.undurable_bytes == 30, "what was only under way is forgotten"
    ledger.durable(Chunk(size_bytes=30))
    assert ledger.undurable_bytes == 0


def test_what_was_read_before_a_seek_counts_for_nothing() -> None:
    ledger = Ledger()
    ledger.begin(0, 0, 0, now=0)
    stale = batch(ledger, 4)
    ledger.begin(0, 2, 2, now=1)
    assert not ledger.admit(stale, now=1)
    ledger.durable(chunk_of(stale))
    assert ledger.durable_offsets() == {0: 2}
    assert ledger.is_settled(0)


@pytest.mark.parametrize(
    ("committed", "stored", "log", "choice"),
    [
        (None, None, (0, 10), Start(0, 0)),
        (None, None, (4, 10), Start(4, 0)),
        (7, None, (0, 10), Start(0, 0)),  # an emptied ClickHouse is refilled
        (7, 9, (0, 10), Start(7, 9)),  # recomputes were pending
        (9, 7, (0, 10), Start(7, 7)),  # a ClickHouse restored from a backup
        (None, 7, (2, 10), Start(2, 7)),  # nothing was ever committed
        (7, 7, (8, 10), Gap(7, 8)),
        (9, 7, (8, 10), Gap(7, 8)),
        (None, 7, (8, 10), Gap(7, 8)),
        (7, 50, (0, 10), Start(0, 0, recreated=True)),
        (50, 7, (0, 10), Start(0, 0, recreated=True)),
        (10, 10, (10, 10), Start(10, 10)),
    ],
)
def test_reading_starts_where_nothing_can_be_missed(
    committed: int | None, stored: int | None, log: tuple[int, int], choice: Start | Gap
) -> None:
    assert choose_start(committed, None if stored is None else Stored(stored), *log) == choice


def test_a_flush_is_due_by_events_by_bytes_or_by_age() -> None:
    policy = FlushPolicy(events=10, size_bytes=100, seconds=1)
    assert not policy.is_due(9, 99, 5.0, 5.9)
    assert policy.is_due(10, 0, 5.0, 5.0)
    assert policy.is_due(0, 100, 5.0, 5.0)
    assert policy.is_due(1, 1, 5.0, 6.0)
    assert not policy.is_due(0, 0, None, 99.0)
