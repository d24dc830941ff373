"""A table gets another sort key: every row is there afterwards, whatever interrupts it and whoever is at work."""

import threading
from collections.abc import Callable
from itertools import pairwise
from time import monotonic
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

import deploy.migrations.rewrite
from deploy.errors import Refused
from deploy.migrations.retention import definition_of
from deploy.migrations.rewrite import Rewrite, rewriting_of, slices
from deploy.migrations.stop import Stopped, Unguarded
from pipeline.clickhouse.client import ClickHouse
from schemas.connection import connect_writer
from tests.support.dying import Dying

PIECE = rewriting_of(
    "REWRITE TABLE small BY at (at DateTime('UTC'), id UInt32, kind UInt8) ENGINE = ReplacingMergeTree\n"
    "PARTITION BY toYYYYMM(at) ORDER BY (id, kind) SETTINGS index_granularity = 8192"
)


def small(client: Client) -> list[Any]:
    """A table with three partitions; returns its rows."""
    for name in ("small", "small_before_0007", "small_0007"):
        client.command(f"DROP TABLE IF EXISTS {name}")
    client.command(
        "CREATE TABLE small (at DateTime('UTC'), id UInt32, kind UInt8) ENGINE = ReplacingMergeTree "
        "PARTITION BY toYYYYMM(at) ORDER BY (id, at)"
    )
    client.command(
        "INSERT INTO small SELECT toDateTime('2026-01-31 00:00:00', 'UTC') + number * 86400, number, 1 FROM numbers(40)"
    )
    return list(client.query("SELECT * FROM small ORDER BY id").result_rows)


def test_a_rewriting_that_dies_after_any_of_its_writes_is_finished_by_the_next(empty_url: str) -> None:
    client, deaths = connect_writer(empty_url), 0
    assert PIECE is not None
    while True:
        rows = small(client)
        try:
            Rewrite(Dying(client, deaths), PIECE, 7, "", Unguarded(), lambda _: None).run()  # type: ignore[arg-type]
            break
        except KeyboardInterrupt:
            deaths += 1
        Rewrite(client, PIECE, 7, "", Unguarded(), lambda _: None).run()
        assert client.query("SELECT * FROM small FINAL ORDER BY id").result_rows == rows
        assert client.query("SHOW TABLES").result_rows == [("small",), ("small_before_0007",)]
        assert client.query("SELECT count() FROM small_before_0007").result_rows == [(0,)]
    assert deaths >= 10


def test_one_that_is_done_and_was_not_noted_changes_nothing(empty_url: str) -> None:
    client = connect_writer(empty_url)
    assert PIECE is not None
    rows, told = small(client), list[str]()
    for _ in range(2):
        Rewrite(client, PIECE, 7, "", Unguarded(), told.append).run()
    assert len(told) == 3
    assert client.query("SELECT * FROM small ORDER BY id").result_rows == rows


def settings_of(client: Client, table: str) -> str:
    """What stands behind SETTINGS in a table's definition."""
    return definition_of(client, table).split("SETTINGS")[1]


def test_rows_are_on_the_disk_before_what_they_were_copied_from_is_dropped(empty_url: str) -> None:
    client, seen = connect_writer(empty_url), list[str]()
    assert PIECE is not None
    small(client)
    Rewrite(client, PIECE, 7, "", Unguarded(), lambda _: seen.append(settings_of(client, "small"))).run()
    assert {"fsync_after_insert = 1" in s and "fsync_part_directory = 1" in s for s in seen} == {True}
    assert "fsync" not in settings_of(client, "small")


def test_a_partition_is_dropped_whatever_its_size(empty_url: str) -> None:
    client = connect_writer(empty_url)
    assert PIECE is not None
    rows = small(client)
    client.set_client_setting("max_partition_size_to_drop", 1)
    with pytest.raises(DatabaseError, match="TABLE_SIZE_EXCEEDS"):
        client.command("ALTER TABLE small DROP PARTITION ID '202601'")
    Rewrite(client, PIECE, 7, "", Unguarded(), lambda _: None).run()
    assert client.query("SELECT * FROM small ORDER BY id").result_rows == rows


def test_a_second_with_more_rows_than_a_slice_is_moved_in_parts(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy.migrations.rewrite, "SLICE_ROWS", 7)
    client = connect_writer(empty_url)
    assert PIECE is not None
    small(client)
    client.command(
        "INSERT INTO small SELECT toDateTime('2026-02-05 00:00:00', 'UTC'), 100 + number, 1 FROM numbers(90)"
    )
    rows, watched = client.query("SELECT * FROM small ORDER BY id").result_rows, Watched(client)
    Rewrite(watched, PIECE, 7, "", Unguarded(), lambda _: None).run()  # type: ignore[arg-type]
    assert client.query("SELECT * FROM small ORDER BY id").result_rows == rows
    assert sum(s.startswith("-- Copies") for s in watched.noted) > 13


class Watched:
    """A client, and the guard of who works with it: every statement and every renewal is noted, in order."""

    def __init__(self, client: Client) -> None:
        self._client, self.noted = client, list[str]()

    def renew(self) -> None:
        self.noted.append("renewed")

    def await_inserts(self, table: str) -> None: ...

    def query(self, statement: str, **named: Any) -> Any:
        self.noted.append(statement)
        return self._client.query(statement, **named)

    def command(self, statement: str, **named: Any) -> Any:
        self.noted.append(statement)
        return self._client.command(statement, **named)


def test_the_lease_is_renewed_before_each_statement_where_it_is_due(empty_url: str) -> None:
    client = connect_writer(empty_url)
    assert PIECE is not None
    small(client)
    watched = Watched(client)
    Rewrite(watched, PIECE, 7, "", watched, lambda _: None).run()  # type: ignore[arg-type]
    long = [(before, s) for before, s in pairwise(watched.noted) if s.startswith(("-- Copies", "-- How many", "ALTER"))]
    assert len(long) == 10, "three partitions, each counted, copied and dropped, and the settings"
    assert {before for before, _ in long} == {"renewed"}


class Overtaken(Watched):
    """A client that another `migrate` overtakes at a renaming, the first or a later one."""

    def __init__(self, client: Client, overtake: Callable[[], None], at: int) -> None:
        super().__init__(client)
        self._overtake, self._left = overtake, at

    def command(self, statement: str, **named: Any) -> Any:
        if statement.startswith("RENAME"):
            self._left -= 1
            if self._left < 0:
                self._overtake()
        return super().command(statement, **named)


@pytest.mark.parametrize("at", [0, 1])
def test_the_slower_of_two_is_refused_and_the_rows_are_there(empty_url: str, at: int) -> None:
    client = connect_writer(empty_url)
    piece = PIECE
    assert piece is not None
    rows = small(client)

    def overtake() -> None:
        Rewrite(client, piece, 7, "", Unguarded(), lambda _: None).run()

    slower = Overtaken(client, overtake, at)
    with pytest.raises(Refused, match="another `migrate` moves the rows of small as well"):
        Rewrite(slower, piece, 7, "", Unguarded(), lambda _: None).run()  # type: ignore[arg-type]
    assert client.query("SELECT * FROM small ORDER BY id").result_rows == rows


def test_what_is_inserted_meanwhile_under_the_name_is_not_lost(empty_url: str) -> None:
    """A worker that was cut off and comes back: by name it reaches the new table."""
    client = connect_writer(empty_url)
    assert PIECE is not None
    rows = small(client)

    def insert(_: str) -> None:
        client.command("INSERT INTO small (at, id, kind) VALUES ('2026-02-03 00:00:00', 1000, 2)")

    Rewrite(client, PIECE, 7, "", Unguarded(), insert).run()
    found = client.query("SELECT id FROM small FINAL ORDER BY id").result_rows
    assert found == [*((row[1],) for row in rows), (1000,)]


def test_an_insert_that_is_under_way_when_the_table_is_renamed_is_waited_for(empty_url: str) -> None:
    client, other = connect_writer(empty_url), connect_writer(empty_url)
    assert PIECE is not None
    rows = small(client)
    slow = (
        "INSERT INTO small SELECT '2026-02-03 00:00:00', 1000 + number, sleepEachRow(0.5) FROM numbers(4) "
        "SETTINGS max_block_size = 1"
    )
    inserting = threading.Thread(target=other.command, args=(slow,))
    inserting.start()
    asked = "SELECT count() FROM system.processes WHERE query LIKE '%sleepEach%' AND query_id != queryID()"
    until = monotonic() + 30
    while not client.query(asked).result_rows[0][0]:
        assert monotonic() < until, "the insert has not begun"
    Rewrite(client, PIECE, 7, "", Stopped(ClickHouse(empty_url, 10).rows, "", lambda: None), lambda _: None).run()
    inserting.join()
    assert client.query("SELECT count() FROM small").result_rows == [(len(rows) + 4,)]


def test_slices_are_cut_where_they_are_full_and_leave_nothing_out() -> None:
    steps = [(100, 5), (110, 5), (120, 20), (500, 1), (510, 9)]
    assert list(slices(steps, 10)) == [(100, 120, 1), (120, 130, 2), (500, 520, 1)]
    assert list(slices([], 10)) == []
