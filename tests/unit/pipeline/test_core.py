"""Watermarks, late keys, the ledger of offsets, and where reading starts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.chunk import Batch, Chunk, End
from pipeline.core.flush import FlushPolicy
from pipeline.core.late import AGE_WHEN_IDLE_SECONDS, HOT_KEY_SECONDS, PendingRecomputes, late_keys
from pipeline.core.ledger import Ledger
from pipeline.core.start import Gap, Start, Stored, choose_start
from pipeline.core.watermark import frontier, partition_watermark, retention_floor

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
    assert late_keys(times, orgs, 59_999) == set()
    assert late_keys(times, orgs, 60_000) == {(0, "a"), (0, "b")}
    assert late_keys(times, orgs, 10 * MINUTE_MS) == {(0, "a"), (0, "b"), (1, "a"), (1, "b")}


def test_a_flush_with_pending_keys_and_all_after_it_are_not_settled() -> None:
    pending = PendingRecomputes()
    pending.add({(1, "a")}, flush=3, now=0)
    assert pending.settled_flush(newest=5) == 2
    assert pending.take(now=9) == {(1, "a")}
    assert pending.settled_flush(newest=5) == 2, "running is not done"
    pending.done(now=9, took_seconds=0)
    assert pending.settled_flush(newest=5) == 5


def test_a_recompute_waits_for_its_age_and_leaves_time_to_the_flushes() -> None:
    pending = PendingRecomputes()
    pending.add({(1, "a")}, flush=1, now=100)
    assert not pending.due(100.1, backlog=False)
    assert pending.due(100 + AGE_WHEN_IDLE_SECONDS, backlog=False)
    assert not pending.due(100 + AGE_WHEN_IDLE_SECONDS, backlog=True)
    pending.take(101)
    pending.done(102, took_seconds=4)
    pending.add({(2, "a")}, flush=2, now=102)
    assert not pending.due(105.9, backlog=False)
    assert pending.due(106, backlog=False)


def test_a_hot_key_is_not_recomputed_all_the_time_but_is_in_the_end() -> None:
    pending = PendingRecomputes()
    pending.add({(1, "hot")}, flush=1, now=0)
    pending.take(1)
    pending.done(1, 0)
    pending.add({(1, "hot"), (1, "cold")}, flush=2, now=2)
    assert pending.take(2) == {(1, "cold")}
    pending.done(2, 0)
    assert pending.settled_flush(newest=2) == 1
    assert pending.take(1 + HOT_KEY_SECONDS) == {(1, "hot")}


def batch(ledger: Ledger, next_offset: int, size: int = 10) -> Batch:
    made = ledger.take(0, [], next_offset, size, now=0.0)
    assert made is not None
    return made


def chunk_of(*batches: Batch) -> Chunk:
    last = batches[-1]
    return Chunk(ends={0: End(last.epoch, last.next_offset, sum(b.size_bytes for b in batches), 0)})


def test_only_what_is_flushed_is_durable() -> None:
    ledger = Ledger()
    ledger.begin(0, 5, 5, now=0)
    assert ledger.is_settled(0)
    first, second = batch(ledger, 8), batch(ledger, 9)
    assert not ledger.is_settled(0)
    assert ledger.admit(first)
    assert ledger.admit(second)
    ledger.durable(chunk_of(first))
    assert ledger.durable_offsets() == {0: 8}
    assert ledger.undurable_bytes == 10
    ledger.durable(chunk_of(second))
    assert ledger.is_settled(0)


def test_a_batch_after_a_lost_one_is_not_admitted_and_the_loss_is_reported() -> None:
    ledger = Ledger()
    ledger.begin(0, 0, 0, now=0)
    batch(ledger, 4)  # never arrives
    assert not ledger.admit(batch(ledger, 9))
    assert ledger.lost(now=100.0, patience_seconds=10) == {0: 0}
    assert ledger.lost(now=5.0, patience_seconds=10) == {}


def test_what_was_read_before_a_seek_counts_for_nothing() -> None:
    ledger = Ledger()
    ledger.begin(0, 0, 0, now=0)
    stale = batch(ledger, 4)
    ledger.begin(0, 2, 2, now=1)
    assert not ledger.admit(stale)
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
