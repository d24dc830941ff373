"""Reconciling looks only where something is stored, and finds all that looking everywhere would."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.cli.reconcile import as_text
from pipeline.clickhouse.store import Store
from pipeline.core.effects import InsertFacts, RaiseState, State
from pipeline.core.place import Place
from pipeline.repair.reconcile import (
    ASKED_SECONDS,
    FIRST_LOOK_SECONDS,
    STEP_SECONDS,
    Reconciler,
    Reconciliation,
    Step,
    plan,
    settle_seconds,
)
from schemas import tables
from schemas.connection import connect
from schemas.grain import MS_PER_SECOND, Grain
from schemas.limits import LATE_PAUSE_SECONDS
from tests.support.stores import DAY, NOW, Case, close_all, facts

FIRST = 946_684_800  # 2000-01-01, the first instant that an event may name
END = DAY + 2 * Grain.DAY.seconds
YEAR = 365 * Grain.DAY.seconds

MANY_DAYS = 15_000
"""No fact of these tests is too old for it."""


class CountingStore(Store):
    """A store that counts its statements."""

    counted = 0

    def rows(self, doing: str, statement: str, /, **parameters: Any) -> Sequence[Sequence[Any]]:
        self.counted += 1
        return super().rows(doing, statement, **parameters)


class Everywhere(Reconciler):
    """A reconciler that looks at the whole of every span at once, empty or not."""

    def _steps(self, planned: Sequence[Step]) -> Iterator[Step]:
        yield from planned


@pytest.fixture
def store(url: str) -> CountingStore:
    made = CountingStore(url, "cluster", "reconcile", 10, MANY_DAYS)
    made.perform(RaiseState(State(END * MS_PER_SECOND, 0, 0, 0)))
    return made


def reconciled(store: Store, start: int = FIRST, end: int = END, org: str = "", kind: type = Reconciler) -> Any:
    return kind(store, org, lambda _: None).run(start, end)


def differing(result: Reconciliation) -> set[tuple[Grain, str, int]]:
    return {(d.grain, d.org_id, d.bucket_start) for d in result.differences}


def put(client: Client, grain: Grain, org: str, bucket: int) -> None:
    client.insert(tables.rollup_table(grain), [[org, bucket, 1, 1]], column_names=["org_id", "bucket", "sent", "facts"])


def test_years_of_nothing_are_a_few_statements_and_show_how_far_they_are(store: CountingStore) -> None:
    shown: list[tuple[str, int, int]] = []
    result = Reconciler(store, "", lambda _: None, lambda *how: shown.append(how)).run(FIRST, END)
    assert (result.checked, result.differences) == (dict.fromkeys(Grain, 0), [])
    years = (END - FIRST) // YEAR + 1
    assert store.counted < 4 * years, "three grains a year, and a few more"
    comparing = [how for how in shown if how[0] == "comparing"]
    assert comparing[-1][1] == comparing[-1][2] > years * 365 * 24


def test_a_fact_without_rollups_and_rollups_without_facts_are_found_wherever_they_are(
    store: CountingStore, client: Client
) -> None:
    fact, extra = DAY + 3 * 3600 + 60, FIRST + 7 * YEAR // 2 // 86_400 * 86_400
    store.perform(InsertFacts(facts(("a", "1", 1, 0, fact))))
    for n, grain in enumerate(Grain):
        put(client, grain, f"extra {grain}", extra + n * YEAR // 86_400 * 86_400)
    found = differing(reconciled(store))
    assert {(Grain.MINUTE, "a", fact)} <= found
    for n, grain in enumerate(Grain):
        at, org = extra + n * YEAR // 86_400 * 86_400, f"extra {grain}"
        coarser = {Grain.MINUTE: Grain.HOUR, Grain.HOUR: Grain.DAY}.get(grain)
        assert (grain, org, at) in found
        assert coarser is None or (coarser, org, at) in found, "its coarser row is missing"
    assert len(found) == 1 + 2 + 2 + 1
    assert store.counted < 200


def test_one_organization_is_looked_for_where_it_has_something(store: CountingStore, client: Client) -> None:
    for day in range(40):
        put(client, Grain.HOUR, "busy", FIRST + day * 86_400)
    put(client, Grain.HOUR, "quiet", FIRST + 90 * 86_400)
    before = store.counted
    assert differing(reconciled(store, end=FIRST + YEAR, org="quiet")) == {
        (Grain.HOUR, "quiet", FIRST + 90 * 86_400),
        (Grain.DAY, "quiet", FIRST + 90 * 86_400),
    }
    assert store.counted - before < 30


ROW = st.tuples(st.sampled_from([None, *Grain]), st.integers(0, 45 * 1440 - 1))
"""A fact (None) or a row of a rollup, at some minute of 45 days."""


@settings(max_examples=8)
@given(st.lists(ROW, max_size=6), st.integers(0, 2 * 1440), st.integers(1, 45 * 1440))
def test_nothing_is_missed_that_looking_everywhere_would_find(
    module_url: str, rows: list[tuple[Grain | None, int]], start: int, minutes: int
) -> None:
    client, begin = connect(module_url), Grain.DAY.floor(NOW) - 50 * Grain.DAY.seconds
    for table in (tables.FACTS, *map(tables.rollup_table, Grain)):
        client.command(f"TRUNCATE TABLE {table}")
    store = Store(module_url, "cluster", "reconcile", 10, MANY_DAYS)
    store.perform(RaiseState(State((NOW + 60) * MS_PER_SECOND, 0, 0, 0)))
    for grain, minute in rows:
        at = begin + minute * 60
        if grain is None:
            store.perform(InsertFacts(facts(("a", f"{at}", 1, 0, at))))
        else:
            put(client, grain, "a", grain.floor(at))
    span = begin + start * 60, begin + (start + minutes) * 60
    found, everything = reconciled(store, *span), reconciled(store, *span, kind=Everywhere)
    assert Counter(found.differences) == Counter(everything.differences)
    assert (found.checked, found.violations) == (everything.checked, everything.violations)


@given(st.sampled_from(Grain), st.integers(0, 10**7), st.integers(1, 10**7))
def test_steps_tile_a_span_and_what_is_asked_at_once_holds_whole_steps(grain: Grain, start: int, length: int) -> None:
    assert ASKED_SECONDS % STEP_SECONDS[grain] == 0
    for planned, first, last in plan(start, start + length, 10**9, 0):
        assert first <= start
        assert last >= start + length
        assert (first % planned.seconds, last % planned.seconds) == (0, 0)


def test_a_violation_names_the_topic_of_each_of_its_records_and_none_that_was_not_kept(store: CountingStore) -> None:
    columns = facts(*[("a", "dated anew", 1, 0, DAY + 60 * n) for n in range(3)])
    columns.place[:] = Place("b", 3), Place("", 3), Place("a", 3)
    store.perform(InsertFacts(columns))
    (violation,) = reconciled(store, DAY, DAY + 3600).violations
    assert [place.at(offset) for place, offset in violation.places] == ["b/3/0", "?/3/1", "a/3/2"]


class Waits:
    """Notes how long is waited, and does something after some of it."""

    def __init__(self, events: dict[int, Callable[[], object]]) -> None:
        self.seconds, self._events = list[float](), events

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self._events.get(len(self.seconds), lambda: None)()


def test_what_differs_is_looked_at_again_until_every_recompute_has_ended(store: CountingStore, client: Client) -> None:
    put(client, Grain.DAY, "wrong", DAY)
    waits = Waits({})
    assert differing(Reconciler(store, "", waits).run(DAY, END)) == {(Grain.DAY, "wrong", DAY)}
    assert sum(waits.seconds) == settle_seconds(LATE_PAUSE_SECONDS)
    assert waits.seconds[0] == FIRST_LOOK_SECONDS
    assert len(waits.seconds) < 6


@pytest.mark.parametrize("look", [1, 3])
def test_nobody_waits_longer_than_until_the_late_events_are_counted(
    store: CountingStore, client: Client, look: int
) -> None:
    store.perform(InsertFacts(facts(("a", "1", 1, 0, DAY))))
    close_all(Case(store.perform, lambda _: {}, store.read_stored))
    store.perform(InsertFacts(facts(("a", "late", 1, 0, DAY))))
    waits = Waits({look: lambda: close_all(Case(store.perform, lambda _: {}, store.read_stored))})
    assert differing(Reconciler(store, "", waits).run(DAY, END)) == set()
    assert len(waits.seconds) == look


def test_a_number_that_changes_meanwhile_is_not_told_though_another_one_stays(
    store: CountingStore, client: Client
) -> None:
    for org in ("changes", "stays"):
        put(client, Grain.DAY, org, DAY)
    more = [["changes", DAY, 2, 2, 10**9]]
    names = ["org_id", "bucket", "sent", "facts", "generation"]
    waits = Waits({2: lambda: client.insert("rollup_day", more, column_names=names)})
    assert differing(Reconciler(store, "", waits).run(DAY, END)) == {(Grain.DAY, "stays", DAY)}
    assert sum(waits.seconds) == settle_seconds(LATE_PAUSE_SECONDS)


def test_more_differences_than_are_collected_hide_none_that_stays(
    store: CountingStore, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Late events of everybody are just being counted, and a wrong day comes behind them."""
    monkeypatch.setattr("pipeline.repair.reconcile.MAX_DIFFERENCES", 3)
    store.perform(InsertFacts(facts(*((f"late {n}", "1", 1, 0, DAY) for n in range(5)))))
    close_all(Case(store.perform, lambda _: {}, store.read_stored))
    client.command("TRUNCATE TABLE rollup_day")
    put(client, Grain.DAY, "wrong", DAY)
    waits = Waits({1: lambda: close_all(Case(store.perform, lambda _: {}, store.read_stored))})
    result = Reconciler(store, "", waits).compare(DAY, END, (Grain.DAY,))
    assert differing(result) == {(Grain.DAY, "wrong", DAY)}
    assert result.is_complete


def test_where_everything_differs_it_is_said_that_not_all_was_compared(
    store: CountingStore, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.repair.reconcile.MAX_DIFFERENCES", 2)
    for org in "abcd":
        put(client, Grain.DAY, org, DAY)
    result = Reconciler(store, "", lambda _: None).compare(DAY, END, (Grain.DAY,))
    assert not result.is_complete
    assert len(result.differences) >= 2
    assert "more than 10000 numbers differed at once, so not all were compared; run it again" in as_text(result)
