"""Inserts that were under way at one moment are waited for: those into our tables alone, and no other moment's."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from time import monotonic
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.clickhouse import inserts
from pipeline.clickhouse.client import ClickHouse
from pipeline.clickhouse.inserts import Inserts
from pipeline.clickhouse.store import Store
from pipeline.core.effects import AwaitInserts, ReadInserts
from pipeline.errors import InsertLasts
from schemas.connection import connect
from tests.support.databases import Databases

SLOW = "toString(sleepEachRow(0.1)) FROM numbers(300) SETTINGS max_block_size = 1"


@contextmanager
def running(client: Client, url: str, statement: str) -> Iterator[None]:
    """A statement that is under way for the length of the block; ``url`` is the database that it is run in."""
    mark = f"mark {monotonic()}"

    def run() -> None:
        with pytest.raises(ClickHouseError):  # it is killed
            connect(url).command(f"/* {mark} */ {statement}")

    thread = threading.Thread(target=run)
    thread.start()
    until = monotonic() + 30
    others = f"query LIKE '%{mark}%' AND query NOT LIKE '%system.processes%'"
    while not client.query(f"SELECT count() FROM system.processes WHERE {others}").result_rows[0][0]:
        assert monotonic() < until, "it has not begun"
    try:
        yield
    finally:
        client.command(f"KILL QUERY WHERE {others} SYNC")
        thread.join()


@pytest.fixture
def waiting(url: str) -> Inserts:
    return Inserts(ClickHouse(url, 10).rows, "")


@pytest.fixture
def elsewhere(databases: Databases) -> Iterator[str]:
    """The URL of another database."""
    with databases.empty() as url:
        connect(url).command("CREATE TABLE facts (x String) ENGINE = Memory")
        yield url


def is_waited_for(waiting: Inserts) -> bool:
    return bool(waiting.under_way().ids)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO rollup_hour (org_id) SELECT",
        "-- a comment\ninsert  into table `rollup_hour` (org_id) SELECT",
        "INSERT INTO rollup_hour(org_id) WITH 1 AS x SELECT",
    ],
)
def test_an_insert_into_our_tables_is_waited_for(url: str, client: Client, waiting: Inserts, statement: str) -> None:
    with running(client, url, f"{statement} {SLOW}"):
        under_way = waiting.under_way()
        assert under_way.ids
        assert not waiting.have_ended(under_way)
    assert waiting.have_ended(under_way)
    assert not is_waited_for(waiting)


def test_so_is_one_that_comes_from_another_database(url: str, client: Client, waiting: Inserts, elsewhere: str) -> None:
    ours = url.rpartition("/")[2]
    for table in (f"{ours}.facts", f'"{ours}".`facts`'):
        with running(client, elsewhere, f"INSERT INTO {table} (org_id) SELECT {SLOW}"):
            assert is_waited_for(waiting)


def test_what_is_no_insert_or_goes_elsewhere_is_not(url: str, client: Client, waiting: Inserts, elsewhere: str) -> None:
    theirs = elsewhere.rpartition("/")[2]
    client.command("CREATE TABLE ours_not (x String) ENGINE = Memory")
    with ExitStack() as stack:
        for place, statement in (
            (url, f"SELECT {SLOW}"),
            (url, f"INSERT INTO FUNCTION null('x String') SELECT {SLOW}"),  # as an export does
            (url, f"INSERT INTO {theirs}.facts SELECT {SLOW}"),
            (url, f"INSERT INTO ours_not SELECT {SLOW}"),
            (elsewhere, f"INSERT INTO facts SELECT {SLOW}"),
        ):
            stack.enter_context(running(client, place, statement))
            assert not is_waited_for(waiting), statement


def test_an_insert_that_begins_later_is_no_matter(url: str, client: Client) -> None:
    """Else there would always be one, and an erasure never end."""
    store, statement = Store(url, "cluster", "worker", 10), f"INSERT INTO facts (org_id) SELECT {SLOW}"
    with ExitStack() as later:
        with running(client, url, statement):
            under_way = store.perform(ReadInserts())
            later.enter_context(running(client, url, statement))
            assert not store.perform(AwaitInserts(under_way))
        assert store.perform(AwaitInserts(under_way))
        assert not store.perform(AwaitInserts(store.perform(ReadInserts())))


def test_one_that_takes_longer_than_any_of_ours_is_named_and_waited_for_all_the_same(
    url: str, client: Client, waiting: Inserts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inserts, "LONGEST_INSERT_SECONDS", 0)
    with running(client, url, f"INSERT INTO facts (org_id) SELECT {SLOW}"):
        under_way = waiting.under_way()
        for _ in range(2):
            with pytest.raises(InsertLasts, match="end it"):
                waiting.have_ended(under_way)
    assert waiting.have_ended(under_way)


@pytest.mark.parametrize("shared", [True, False])
def test_where_servers_list_their_own_it_is_waited_for_as_long_as_ours_may_take(
    url: str, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    """They do on a cluster, and where the tables' engine is of the kind that servers share: here that of facts."""
    monkeypatch.setattr(inserts, "LONGEST_INSERT_SECONDS", 0.3)
    rows = ClickHouse(url, 10).rows

    def ask(doing: str, statement: str, /, **parameters: Any) -> Sequence[Sequence[Any]]:
        return rows(doing, statement.replace("'Shared'", "'Replacing'"), **parameters)

    waiting, began = Inserts(ask, "") if shared else Inserts(rows, "cluster"), monotonic()
    under_way = waiting.under_way()
    while not waiting.have_ended(under_way):
        assert monotonic() - began < 30
    assert monotonic() - began >= 0.3


def test_on_one_server_nothing_is_waited_for_where_nothing_is_under_way(waiting: Inserts) -> None:
    assert waiting.have_ended(waiting.under_way())
