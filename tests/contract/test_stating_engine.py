"""Statements on ClickHouse alone: how it tells when an insert began, and which months differ from theirs."""

import threading
from decimal import Decimal

import pytest

from pipeline.clickhouse.client import sql
from pipeline.clickhouse.store import Store
from pipeline.core.effects import InsertFacts, ReadInserts, UnderWay
from pipeline.core.erasure import order_erasure_steps
from pipeline.core.statements.document import Cell, Numbers
from pipeline.core.statements.history import ReadLines, ReadStatements, ReadStating
from pipeline.core.statements.standing import looked_at
from pipeline.runner import drive
from schemas.connection import connect
from schemas.endpoint import Endpoint
from tests.contract.test_stating import DAY, MONTH, NAME, aggregate, count, state
from tests.docs.blocks import blocks
from tests.support.stores import NOW, facts, real


@pytest.fixture(autouse=True)
def _nothing_is_awaited_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a cluster inserts are waited for by the clock; here nobody else has any."""
    monkeypatch.setattr("pipeline.clickhouse.inserts.LONGEST_INSERT_SECONDS", 0)
    monkeypatch.setattr("pipeline.clickhouse.stating.SURELY_SEEN_SECONDS", 0)


def test_an_insert_of_a_statement_that_is_under_way_is_waited_for(url: str) -> None:
    store, client = Store(url, "cluster", "worker", 10), connect(url, settings={"max_execution_time": 30})
    slow = (
        "INSERT INTO statements (org_id, period, revision, sha256) "
        "SELECT 'a', '2026-10', 1, toString(sleepEachRow(1)) FROM numbers(2)"
    )
    thread = threading.Thread(target=client.command, args=(slow,))
    thread.start()
    found = UnderWay()
    while not found.ids:
        found = store.perform(ReadStating(0))
    assert found.ids <= store.perform(ReadInserts()).ids, "an erasure waits for it as well"
    thread.join()
    assert store.perform(ReadStating(0)) == UnderWay()
    (stated,) = {s.stated_at_us for s in store.perform(ReadStatements())}
    seen = int(connect(url).query("SELECT toUnixTimestamp64Micro(now64(6))").result_rows[0][0])
    assert seen - stated > 1_500_000, "its time is when it began"


def test_on_a_cluster_what_is_new_is_waited_for_by_the_clock(
    cluster: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(cluster, "cluster", "worker", 10)
    now_us = store.clock_ms() * 1000
    monkeypatch.setattr("pipeline.clickhouse.stating.SURELY_SEEN_SECONDS", 600)
    assert store.perform(ReadStating(now_us - 601_000_000)) == UnderWay()
    assert store.perform(ReadStating(now_us - 590_000_000)).ended_at > 0
    assert store.perform(ReadStating(0)) == UnderWay()


@pytest.mark.parametrize("where", ["url", "cluster"])
def test_months_that_differ_are_found_without_reading_a_document(where: str, request: pytest.FixtureRequest) -> None:
    target = request.getfixturevalue(where)
    case, store = real(target), Store(target, "cluster", "worker", 10)

    def standing() -> dict[str, tuple[bool, bool]]:
        rows = store.rows("looking", sql("statements/standing"), org="", **looked_at(NOW * 1000, MONTH.start_ms))
        return {org: (bool(is_open), bool(differs)) for org, period, is_open, differs in rows if period == MONTH.name}

    def months() -> list[tuple[int, int, int]]:
        rows = store.look("look/statements", **looked_at(NOW * 1000, MONTH.start_ms))
        return [(stated, is_open, differing) for name, stated, is_open, differing in rows if name == MONTH.name]

    case.perform(InsertFacts(codes := facts(("a", "1", 1, 500_000, DAY), ("a", "2", 3, 10**30 // 10**18, DAY + 60))))
    codes.error_code[:] = ["", 'é"\\\n']
    case.perform(InsertFacts(codes))
    count(case, ("b", "1", 4, -1, DAY))
    assert standing() == {"a": (True, False), "b": (True, False)}
    state(case)
    assert (standing(), months()) == ({"a": (False, False), "b": (False, False)}, [(2, 0, 0)])
    count(case, ("b", "late", 1, 0, DAY), ("c", "new", 1, 0, DAY))
    assert standing() == {"a": (False, False), "b": (False, True), "c": (True, False)}
    assert months() == [(2, 1, 1)]
    state(case, adjusts=True)
    assert months() == [(3, 0, 0)]
    drive(order_erasure_steps("b", NOW * 1000), case.perform)
    assert standing()["b"] == (False, False), "it is not adjusted any more"


def test_the_guides_statement_lists_the_facts_that_a_line_is_the_sum_of(url: str) -> None:
    case, client = real(url), connect(url)
    count(case, ("northwind", "1", 1, 500_000, DAY), ("northwind", "2", 4, -1, DAY + 60), ("b", "1", 1, 7, DAY))
    failed = facts(("northwind", "3", 3, 9, DAY))
    failed.error_code[:] = ["30005"]
    case.perform(InsertFacts(failed))
    aggregate(case)
    (statement,) = [b.text for b in blocks("docs/money.md") if b.text.startswith("SELECT event_id")]
    rows = client.query(statement.replace("2026-10-31", NAME)).result_rows
    assert [(row[0], row[1]) for row in rows] == [("1", "message.sent"), ("2", "message.charged")]
    line = case.perform(ReadLines(MONTH, ("northwind",)))["northwind"][Cell(NAME, "sms", None)]
    assert line == Numbers(1, 0, 0, 1, sum((row[2] for row in rows), Decimal(0)))
