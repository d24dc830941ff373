"""One suite for the fake and for ClickHouse: what the protocol relies on must hold on both."""

import random
from typing import Any

from pipeline.clickhouse.store import MAX_PAIRS, Store
from pipeline.core.effects import (
    CloseBuckets,
    InsertDeadLetters,
    InsertFacts,
    LogClosing,
    RaiseState,
    ReadEarliestFact,
    ReadState,
    RecomputeLate,
    StageKeys,
    State,
)
from pipeline.core.generation import stamp
from pipeline.core.late import late_spans
from pipeline.core.late_keys import LateKeys
from pipeline.core.place import Place
from pipeline.core.progress import Progress, ReadMarks, WriteProgress
from pipeline.core.records import DeadLetter
from schemas.connection import connect
from schemas.grain import Grain
from schemas.message_event import OTHER_KEY, DeadLetterReason
from tests.support.places import P0, P1
from tests.support.stores import DAY, NOW, Case, close_all, facts, real

BATCH = "0f2f3c1e-0000-4000-8000-000000000001"


def test_state_only_rises(case: Case) -> None:
    floor_ms, raised_ms = case.perform(ReadState()).facts_floor_ms, NOW * 1000 - 7
    assert case.perform(ReadState()) == State(facts_floor_ms=floor_ms)
    case.perform(RaiseState(State(closing_ms=50_500, facts_floor_ms=raised_ms, generation=2)))
    case.perform(RaiseState(State(as_of_ms=40_123, closing_ms=30_000, facts_floor_ms=7_000)))
    assert case.perform(ReadState()) == State(40_123, 50_500, raised_ms, 2)


def test_progress_only_rises_and_a_missing_watermark_is_none(case: Case) -> None:
    case.perform(WriteProgress((Progress(P0, 10, 5_001), Progress(P1, 4))))
    case.perform(WriteProgress((Progress(P0, 8, 9_000), Progress(P1, 3))))
    marks = case.perform(ReadMarks())
    assert (marks.watermarks, marks.offsets) == ({P0: 9_000, P1: 0}, {P0: 10, P1: 4})
    assert (marks.partitions, marks.retired) == ({}, frozenset())
    assert {p: s.next_offset for p, s in case.read_stored().items()} == {P0: 10, P1: 4}


def test_scalars_stay_the_highest_when_the_engine_merges_them(url: str) -> None:
    """A reader takes the maximum of what is there; merges must not have thrown it away."""
    store, client, merged = Store(url, "cluster", "worker", 10), connect(url), Place("merged", 0)
    highest = State(as_of_ms=NOW * 1000 - 9, closing_ms=NOW * 1000 - 8, facts_floor_ms=NOW * 1000 - 7, generation=6)
    for state in (highest, State(as_of_ms=5000, closing_ms=5000, facts_floor_ms=5000, generation=1)):
        store.perform(RaiseState(state))
    for offset, mark in ((70, 7000), (60, 6000)):
        store.perform(WriteProgress((Progress(merged, offset, mark),)))
    for table in ("watermark", "partition_watermarks"):
        client.command(f"OPTIMIZE TABLE {table} FINAL SETTINGS optimize_throw_if_noop = 1")
    assert store.perform(ReadState()) == highest
    assert store.read_stored()[merged].next_offset == 70
    assert store.perform(ReadMarks()).watermarks == {merged: 7000}


def test_an_event_written_twice_counts_once_in_every_grain(case: Case) -> None:
    rows = facts(("a", "1", 1, 500_000, DAY + 5), ("a", "2", 2, 1, DAY + 65), ("b", "1", 3, 0, DAY + 5))
    for _ in range(3):
        case.perform(InsertFacts(rows))
    close_all(case)
    close_all(case)
    assert case.totals(Grain.MINUTE) == {
        ("a", DAY): (1, 0, 0, 500_000, 1),
        ("a", DAY + 60): (0, 1, 0, 1, 1),
        ("b", DAY): (0, 0, 1, 0, 1),
    }
    for grain in (Grain.HOUR, Grain.DAY):
        assert case.totals(grain) == {("a", DAY): (1, 1, 0, 500_001, 2), ("b", DAY): (0, 0, 1, 0, 1)}


def test_of_two_contents_the_same_one_wins_whatever_the_order(case: Case) -> None:
    one, other = facts(("a", "1", 1, 1, DAY)), facts(("a", "1", 1, 2, DAY))
    for columns in (one, other, one):
        case.perform(InsertFacts(columns))
    close_all(case)
    first = case.totals(Grain.DAY)
    case.perform(InsertFacts(other))
    close_all(case)
    assert case.totals(Grain.DAY) == first
    assert first["a", DAY][4] == 1


def test_only_the_asked_span_is_closed(case: Case) -> None:
    case.perform(InsertFacts(facts(*(("a", str(m), 1, 0, DAY + 60 * m) for m in range(5)))))
    case.perform(CloseBuckets(Grain.MINUTE, DAY + 60, DAY + 180, 0))
    assert sorted(case.totals(Grain.MINUTE)) == [("a", DAY + 60), ("a", DAY + 120)]


def test_a_late_recompute_touches_its_keys_up_to_closing_only(case: Case) -> None:
    case.perform(InsertFacts(facts(*(("a", str(m), 1, 0, DAY + 60 * m) for m in range(3)))))
    close_all(case)
    case.perform(
        InsertFacts(facts(("a", "late", 2, 7, DAY + 1), ("a", "other", 2, 7, DAY + 61), ("b", "x", 1, 0, DAY)))
    )
    keys = LateKeys.listed((DAY // 60, "a"), (DAY // 60, "b"))
    case.perform(StageKeys(BATCH, keys))
    closing_ms = (DAY + Grain.HOUR.seconds) * 1000
    for grain in Grain:
        for start, end in late_spans(grain, keys):
            case.perform(RecomputeLate(grain, BATCH, start, end, closing_ms, 0))
    assert case.totals(Grain.MINUTE)["a", DAY] == (1, 1, 0, 7, 2)
    assert case.totals(Grain.MINUTE)["a", DAY + 60] == (1, 0, 0, 0, 1), "not named, not touched"
    assert case.totals(Grain.HOUR)["a", DAY] == (3, 1, 0, 7, 4)
    assert case.totals(Grain.HOUR)["b", DAY] == (1, 0, 0, 0, 1)
    assert case.totals(Grain.DAY) == {("a", DAY): (3, 0, 0, 0, 3)}, "the day has not ended at closing"


def test_a_row_of_a_lower_generation_never_replaces_a_higher_one(case: Case) -> None:
    case.perform(InsertFacts(facts(("a", "1", 1, 0, DAY))))
    close_all(case, generation=2)
    before = case.totals(Grain.MINUTE)
    case.perform(InsertFacts(facts(("a", "2", 1, 0, DAY))))
    close_all(case, generation=1)
    assert case.totals(Grain.MINUTE) == before
    close_all(case, generation=2)
    assert case.totals(Grain.MINUTE)["a", DAY][4] == 2


def test_the_earliest_fact_is_its_minute(case: Case) -> None:
    assert case.perform(ReadEarliestFact()) is None
    case.perform(InsertFacts(facts(("a", "1", 1, 0, DAY + 125), ("a", "2", 1, 0, DAY + 700))))
    assert case.perform(ReadEarliestFact()) == DAY + 120


# -- what only ClickHouse has ---------------------------------------------------------------------------------------


def test_the_engines_own_floors_agree_with_the_grains(client: Any) -> None:
    pick = random.Random(1)
    for at in [0, 1, DAY, *(pick.randrange(4 * 10**9) for _ in range(300))]:
        row = client.query(
            "WITH toDateTime({at:UInt32}, 'UTC') AS t SELECT toUnixTimestamp(toStartOfMinute(t, 'UTC')), "
            "toUnixTimestamp(toStartOfHour(t, 'UTC')), toUnixTimestamp(toStartOfDay(t, 'UTC'))",
            parameters={"at": at},
        ).result_rows[0]
        assert list(row) == [grain.floor(at) for grain in Grain]


def test_a_version_rises_with_generation_then_facts_then_ranks(url: str) -> None:
    case, client = real(url), connect(url)
    case.perform(InsertFacts(facts(("a", "1", 1, 0, DAY), ("a", "2", 1, 0, DAY))))
    close_all(case, generation=3)
    ranks = client.query("SELECT sum(rank) FROM facts FINAL").result_rows[0][0]
    for grain in Grain:
        (row,) = client.query(f"SELECT version, rank_sum FROM rollup_{grain} FINAL").result_rows
        stamped = stamp(3, {Grain.MINUTE: 0, Grain.HOUR: 1, Grain.DAY: 2}[grain])
        assert row == (stamped * 2**104 + 2 * 2**64 + ranks, ranks)


def test_beyond_a_thousand_pairs_the_smallest_are_folded_and_no_error_stays_apart(url: str) -> None:
    case, client = real(url), connect(url)
    columns = facts(*(("a", f"{n}", 3 if n % 3 else 1, 1, DAY) for n in range(MAX_PAIRS + 200)))
    columns.channel[:] = [f"c{n}" for n in range(len(columns))]
    columns.error_code[:] = [f"e{n}" if n % 3 else "" for n in range(len(columns))]
    case.perform(InsertFacts(columns))
    case.perform(InsertFacts(facts(("a", "big1", 1, 0, DAY), ("a", "big2", 1, 0, DAY))))
    close_all(case)
    for grain in Grain:
        (row,) = client.query(
            "SELECT length(groups.sent), facts, arraySum(groups.sent) + arraySum(groups.failed), sent, failed, "
            "arrayFilter((e, c) -> c = {other:String}, groups.error_code, groups.channel), has(groups.channel, 'sms') "
            f"FROM rollup_{grain} FINAL",
            parameters={"other": OTHER_KEY},
        ).result_rows
        assert row[0] <= MAX_PAIRS + 2
        assert row[1:5] == (MAX_PAIRS + 202, MAX_PAIRS + 202, 402, 800)
        assert sorted(row[5]) == ["", OTHER_KEY]
        assert row[6] == 1, "the largest pair is kept"


def test_a_million_tenths_of_a_cent_are_exact(url: str) -> None:
    case, client = real(url), connect(url)
    count = 200_000
    for part in range(5):
        rows = [("a", f"{part}-{n}", 1, 100_000, DAY + n % 600) for n in range(count)]
        case.perform(InsertFacts(facts(*rows)))
    close_all(case)
    (row,) = client.query("SELECT toString(cost_cents), facts FROM rollup_day FINAL").result_rows
    assert row == ("100000", 1_000_000)


def test_dead_letters_keep_every_byte_and_are_one_per_place_in_the_log(url: str) -> None:
    case, client = real(url), connect(url)
    raw = bytes(range(256))
    letter = DeadLetter(
        P1,
        9,
        DeadLetterReason.MALFORMED_JSON,
        "why",
        NOW * 1000,
        None,
        raw,
        ((b"a\xff", raw), (b"a", None), (b"", b"")),
        occurred_ms=None,
    )
    for _ in range(2):
        case.perform(InsertDeadLetters((letter,)))
    (row,) = client.query(
        "SELECT reason, hex(value), has_key, arrayMap(v -> hex(v), headers.value), "
        "arrayMap(n -> hex(n), headers.name), headers.is_null FROM dead_letters FINAL"
    ).result_rows
    assert row == ("malformed_json", raw.hex().upper(), 0, [raw.hex().upper(), "", ""], ["61FF", "61", ""], [0, 1, 0])


def test_closings_are_logged(url: str) -> None:
    case, client = real(url), connect(url)
    case.perform(LogClosing(1_000, 61_500, 4))
    (row,) = client.query("SELECT toUnixTimestamp64Milli(closed_to), generation, worker FROM closings").result_rows
    assert row == (61_500, 4, "worker")
