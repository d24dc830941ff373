"""A customer who was erased and came back: only what must go goes, and nobody looks for what stays for ever."""

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.store import Store
from pipeline.core.effects import CloseBuckets, FindErased, InsertFacts, RaiseState, ReadHighestGeneration, State
from pipeline.core.erasure import order_erasure_steps, sweep_steps
from pipeline.core.records import Columns
from pipeline.runner import drive
from schemas.grain import Grain
from tests.support.stores import DAY, NOW, Case, facts

JANUARY, FEBRUARY, NOVEMBER = (DAY - days * Grain.DAY.seconds for days in (20, 10, 0))
FLOOR_MS = NOVEMBER * 1000
"""Facts of January and February have expired by November."""
ERASED_MS = NOW * 1000


@pytest.fixture(autouse=True)
def _nothing_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a cluster inserts are waited for by the clock; here nobody else has any."""
    monkeypatch.setattr("pipeline.clickhouse.inserts.LONGEST_INSERT_SECONDS", 0)


def sent_since(*rows: tuple[str, str, int, int, int]) -> Columns:
    """Facts whose records are younger than the erasure."""
    columns = facts(*rows)
    columns.record_ms[:] = [ERASED_MS + 1] * len(rows)
    return columns


def count(case: Case, columns: Columns, day: int) -> None:
    """Facts of a day arrive, and it is closed."""
    case.perform(InsertFacts(columns))
    for grain in Grain:
        case.perform(CloseBuckets(grain, day, day + Grain.DAY.seconds, case.perform(ReadHighestGeneration())))


def numbers(case: Case, grain: Grain) -> dict[tuple[str, int], int]:
    """Facts of each row, but for rows of nothing."""
    return {key: row[4] for key, row in case.totals(grain).items() if row[4]}


def test_an_old_record_of_a_customer_who_came_back_takes_nothing_else_along(case: Case) -> None:
    case.perform(RaiseState(State(closing_ms=(DAY + Grain.DAY.seconds) * 1000, facts_floor_ms=FLOOR_MS)))
    count(case, facts(("a", "january", 1, 0, JANUARY), ("b", "another's", 1, 0, JANUARY)), JANUARY)
    drive(order_erasure_steps("a", ERASED_MS), case.perform)
    for grain in Grain:
        assert numbers(case, grain) == {("b", JANUARY): 1}, "what cannot be computed again goes as well"
    count(case, sent_since(("a", "february", 1, 0, FEBRUARY), ("a", "too", 1, 0, FEBRUARY)), FEBRUARY)
    count(case, sent_since(("a", "november", 1, 0, NOVEMBER)), NOVEMBER)
    count(case, facts(("a", "old", 1, 0, NOVEMBER)), NOVEMBER)
    assert numbers(case, Grain.DAY)["a", NOVEMBER] == 2
    assert drive(sweep_steps(), case.perform) == ("a",)
    for grain in Grain:
        assert numbers(case, grain) == {("b", JANUARY): 1, ("a", FEBRUARY): 2, ("a", NOVEMBER): 1}


def test_a_sweep_that_has_ended_is_not_begun_again_for_what_it_left(case: Case) -> None:
    case.perform(RaiseState(State(closing_ms=(DAY + Grain.DAY.seconds) * 1000, facts_floor_ms=FLOOR_MS)))
    drive(order_erasure_steps("a", ERASED_MS), case.perform)
    count(case, sent_since(("a", "february", 1, 0, FEBRUARY)), FEBRUARY)
    count(case, sent_since(("a", "november", 1, 0, NOVEMBER)), NOVEMBER)
    case.perform(InsertFacts(facts(("a", "old", 1, 0, NOVEMBER))))
    assert drive(sweep_steps(), case.perform) == ("a",)
    generation = case.perform(ReadHighestGeneration())
    for _ in range(2):
        assert drive(sweep_steps(), case.perform) == ()
    assert case.perform(ReadHighestGeneration()) == generation


# -- what only ClickHouse has ---------------------------------------------------------------------------------------


def add_row(client: Client, table: str, org: str, bucket: int, computed_ms: int) -> None:
    """A row that a statement writes which began at an instant."""
    client.command(
        f"INSERT INTO {table} (org_id, bucket, facts, computed_at) "
        f"SELECT '{org}', toDateTime({bucket}), 1, fromUnixTimestamp64Milli({computed_ms})"
    )


@pytest.mark.parametrize("grain", Grain)
def test_what_an_erasure_did_not_wait_for_is_found_and_swept(url: str, client: Client, grain: Grain) -> None:
    store = Store(url, "cluster", "worker", 10)
    store.perform(RaiseState(State(facts_floor_ms=FLOOR_MS)))
    drive(order_erasure_steps("a", ERASED_MS), store.perform)
    asked = "SELECT toUnixTimestamp64Milli(max(ordered_at)), toUnixTimestamp64Milli(max(announced)) FROM erasures"
    ((ordered_ms, announced_ms),) = client.query(asked).result_rows
    table = f"rollup_{grain}"
    for org, bucket, computed_ms in (
        ("b", NOVEMBER, ordered_ms),
        ("a", FEBRUARY, ordered_ms + 1),  # of after the order, and no longer to be computed
        ("a", NOVEMBER, announced_ms),  # of what came after
    ):
        add_row(client, table, org, bucket, computed_ms)
        assert store.perform(FindErased(FLOOR_MS)) == {}
    for bucket, computed_ms in ((NOVEMBER + 60, ordered_ms + 1), (FEBRUARY + 60, ordered_ms)):
        add_row(client, table, "a", bucket, computed_ms)
        assert drive(sweep_steps(), store.perform) == ("a",)
    left = client.query(f"SELECT org_id, toUnixTimestamp(bucket) FROM {table} FINAL ORDER BY ALL").result_rows
    assert left == [("a", FEBRUARY), ("b", NOVEMBER)], "the row of November had no fact"


@pytest.mark.parametrize(
    ("minutes_ago", "is_found"), [(30, True), (90, False), (-30, False)], ids=["lately", "long ago", "clock ahead"]
)
def test_it_is_looked_for_within_an_hour(url: str, client: Client, minutes_ago: int, is_found: bool) -> None:
    client.command(
        "INSERT INTO erasures (org_id, at, ordered_at, announced, finished) "
        f"WITH now64(6, 'UTC') - toIntervalMinute({minutes_ago}) AS then SELECT 'a', then, then, then, then"
    )
    add_row(client, "rollup_minute", "a", NOVEMBER, (NOW - 3 * Grain.HOUR.seconds) * 1000)
    found = Store(url, "cluster", "worker", 10).perform(FindErased(FLOOR_MS))
    assert set(found) == ({"a"} if is_found else set())
