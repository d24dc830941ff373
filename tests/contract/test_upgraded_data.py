"""A database of the version before, full of data, becomes one of this version: nothing is lost, wherever it stops."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError

import deploy.migrations.apply
import deploy.migrations.rewrite
import deploy.migrations.stop
from deploy.cli.backup import create
from deploy.cli.clickhouse import open_store
from deploy.cli.letters import Filter, read_letters
from deploy.errors import Refused
from deploy.migrations.apply import half_applied, migrate, pending, read_migrations
from deploy.migrations.rewrite import slices
from deploy.migrations.stop import reporting, stopped
from pipeline.clickhouse.store import Store
from pipeline.core.erasure import order_erasure_steps, sweep_steps
from pipeline.core.protocol import rebuild_steps
from pipeline.errors import NotMigrated
from pipeline.runner import drive
from schemas.connection import connect_writer
from schemas.endpoint import Endpoint
from schemas.settings import read_settings
from tests.support.cluster import CLUSTER, migrate_cluster
from tests.support.dying import Dying

BEFORE = 6
"""The number of the last migration of the version before."""
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TYPES = ("message.sent", "message.delivered", "message.failed")
FACTS = "org_id, event_id, type, channel, error_code, cost_cents, occurred_at, record_at, partition, offset"
LETTERS = (
    "cluster_id, topic, partition, offset, reason, detail, org_id, event_id, occurred_at, record_at, key, has_key, "
    "value, has_value, headers.name, headers.value, headers.is_null, seen_at"
)


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody works on these databases, unless a test says so."""
    monkeypatch.setattr(deploy.migrations.stop, "WATCH_SECONDS", 0.0)


@pytest.fixture
def as_before(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """`migrate` knows the migrations of the version before, until what is yielded is called."""
    monkeypatch.setattr(
        deploy.migrations.apply, "read_migrations", lambda: [m for m in read_migrations() if m.number <= BEFORE]
    )
    return lambda: monkeypatch.setattr(deploy.migrations.apply, "read_migrations", read_migrations)


@pytest.fixture
def old(empty_url: str, as_before: Callable[[], None]) -> Client:
    """A database of the version before, full of data."""
    client = connect_writer(empty_url)
    migrate(client, 35, 90)
    fill(client)
    as_before()
    return client


def fill(client: Client) -> None:
    """Facts of six days, some sent twice and some under one id; dead letters; losses; rollups; an erasure."""
    facts = [
        (f"org-{n % 7}", f"id-{n // 2}", TYPES[n % 3], "sms", "", n, at, at + timedelta(seconds=1), n % 4, n)
        for n in range(6000)
        for at in [NOON + timedelta(minutes=(n // 6) * 7 % 8640)]
    ]
    for first in range(0, 6000, 1500):
        client.insert("facts", [*facts[first : first + 1500], *facts[:50]], column_names=FACTS.split(", "))
    letters = [
        ("k", "t", n % 4, n, "malformed_json", f"why {n}", "", "", NOON, datetime(1970 + n % 30, 3, 1, tzinfo=UTC),
         b"\xff", 1, value_of(n), n % 2, ["a", "a"], ["", "\xe9"], [1, 0], NOON + timedelta(days=n % 40))
        for n in range(300)
    ]  # fmt: skip
    client.insert("dead_letters", letters, column_names=LETTERS.split(", "))
    marks = [("k", "t", 1, 5), ("k", "t", 1, 5), ("k", "t", 2, 6), ("k", "of before", 1, 5)]
    client.insert("redrives", marks, column_names=["cluster_id", "topic", "partition", "offset"])
    lives = [("k", "t", 1, 3), ("k", "t", 1, 2), ("k", "t", 2, 0), ("another", "t", 2, 7), ("k", "another", 3, 7)]
    client.insert(
        "partition_watermarks", [(*life, 9) for life in lives],
        column_names=["cluster_id", "topic", "partition", "incarnation", "next_offset"],
    )  # fmt: skip
    client.command(
        "INSERT INTO accepted_gaps (cluster_id, topic, partition, from_offset, to_offset) VALUES ('k', 't', 1, 2, 9)"
    )
    client.command("INSERT INTO erasures (org_id, at, announced) VALUES ('gone', now64(3), now64(6))")
    client.command(
        "INSERT INTO rollup_minute (org_id, bucket, sent, facts, groups.channel, groups.error_code, groups.sent, "
        "groups.delivered, groups.failed, groups.cost_cents) "
        "VALUES ('org-1', '2026-11-20 12:00:00', 5, 5, ['sms', 'mail'], ['', ''], [2, 3], [0, 0], [0, 0], [1, 2])"
    )


def value_of(n: int) -> bytes:
    """What the nth dead letter holds: of every third an event that tells a type, ours or another's."""
    told = [*TYPES, "message.read"][n % 4]
    return json.dumps({"type": told, "id": n}).encode() if n % 3 == 0 else bytes([n % 256]) * n


def check_letters(client: Client, target: str | Endpoint) -> None:
    """Letters and marks belong to the topic as it is, each mark once; letters have the type that their bytes tell."""
    rows = client.query("SELECT partition, incarnation, offset, type FROM dead_letters FINAL").result_rows
    assert {(partition, life) for partition, life, _, _ in rows} == {(0, 0), (1, 3), (2, 0), (3, 0)}
    types = {offset: kind for _, _, offset, kind in rows}
    assert types == {n: TYPES[n % 4] if n % 3 == 0 and n % 4 < 3 else "" for n in range(300)}
    store = Store(target, "k", "worker", 10)
    assert {x.offset: x.redrives for x in read_letters(store, Filter()) if x.redrives} == {5: 2, 6: 1}


def facts_of(client: Client, table: str = "facts") -> list[Any]:
    """All rows as they are stored, in the order of their content."""
    return sorted(map(tuple, client.query(f"SELECT {FACTS}, toUnixTimestamp(minute), rank FROM {table}").result_rows))


def letters_of(client: Client) -> list[Any]:
    asked = LETTERS.replace(" key,", " hex(key),").replace(" value,", " hex(value),")
    return sorted(map(tuple, client.query(f"SELECT {asked} FROM dead_letters FINAL").result_rows))


def identities(rows: list[Any]) -> dict[Any, Any]:
    """The facts that rows are, counted naively: of one identity the highest rank decides."""
    found: dict[Any, Any] = {}
    for row in rows:
        identity = (row[-2], *row[:3])
        if identity not in found or found[identity][-1] < row[-1]:
            found[identity] = row
    return found


def test_everything_is_there_afterwards_and_what_was_one_fact_is_two(old: Client, empty_url: str) -> None:
    old.command("SYSTEM STOP MERGES facts")
    before, letters = facts_of(old), letters_of(old)
    told: list[str] = []
    assert migrate(old, 35, 90, tell=told.append) == [m.name for m in read_migrations() if m.number > BEFORE]
    after = {(row[-2], *row[:3]): row for row in facts_of(old, "facts FINAL")}
    assert after == identities(before)
    assert letters_of(old) == letters
    assert sum("facts" in sentence for sentence in told) == len({row[-2] // 86400 for row in before})
    assert pending(old) == []
    tables = {name for (name,) in old.query("SHOW TABLES").result_rows}
    assert not {name for name in tables if name.endswith("_0007") and "_before_" not in name}
    ((groups, charged),) = old.query("SELECT groups.charged, charged FROM rollup_minute FINAL").result_rows
    assert (list(groups), charged) == ([0, 0], 0)
    assert old.query("SELECT ordered_at = toDateTime64(announced, 3) FROM erasures FINAL").result_rows == [(1,)]
    check_letters(old, empty_url)
    (marks,) = (s for m in read_migrations() for s in m.statements if s.startswith("INSERT INTO redrives"))
    old.command(marks)  # as where it was interrupted before it was noted
    check_letters(old, empty_url)


def test_what_the_old_retention_kept_is_kept(empty_url: str, as_before: Callable[[], None]) -> None:
    client = connect_writer(empty_url)
    migrate(client, 4000, 3000)
    at = datetime.now(UTC) - timedelta(days=3000)
    client.insert("facts", [("a", "1", TYPES[0], "sms", "", 1, at, at, 0, 0)], column_names=FACTS.split(", "))
    as_before()
    migrate(client, 4000, 3000)
    client.command("OPTIMIZE TABLE facts FINAL")
    assert client.query("SELECT count() FROM facts").result_rows == [(1,)]
    assert client.query("SELECT max(facts_floor) = toDateTime64(0, 3) FROM watermark").result_rows == [(1,)]


def test_interrupted_anywhere_it_goes_on(old: Client, empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run comes one write further than the one before, so that it dies in another place every time."""
    monkeypatch.setattr(deploy.migrations.rewrite, "SLICE_ROWS", 700)
    old.command("SYSTEM STOP MERGES facts")
    expected, letters, deaths = identities(facts_of(old)), letters_of(old), 0
    while pending(old):
        try:
            migrate(Dying(old, 4 + deaths), 35, 90)  # type: ignore[arg-type]
        except KeyboardInterrupt:
            deaths += 1
            assert deaths < 100
            old.command("TRUNCATE TABLE leases")  # its claim would end by itself, later
    assert deaths > 8
    assert identities(facts_of(old)) == expected
    assert letters_of(old) == letters
    check_letters(old, empty_url)


def test_a_column_of_ones_own_is_not_lost_in_silence(old: Client) -> None:
    old.command("ALTER TABLE facts ADD COLUMN region String")
    before = facts_of(old)
    with pytest.raises(Refused, match=r"facts has columns that are not ours \(region\)"):
        migrate(old, 35, 90)
    assert facts_of(old) == before
    old.command("ALTER TABLE facts DROP COLUMN region")
    migrate(old, 35, 90)
    assert pending(old) == []


def test_a_first_run_that_died_early_is_no_reason_to_look_for_workers(empty_url: str) -> None:
    client = connect_writer(empty_url)
    with pytest.raises(KeyboardInterrupt):
        migrate(Dying(client, 5), 35, 90)  # type: ignore[arg-type]
    migrate(client, 35, 90)
    assert pending(client) == []


def test_a_worker_at_work_is_a_reason_not_to_begin(old: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    report = "INSERT INTO worker_status (worker, updated_at) VALUES ('w-1', now64(3))"
    old.command(report)
    monkeypatch.setattr(deploy.migrations.stop, "sleep", lambda _: old.command(report))
    with pytest.raises(Refused, match=r"needs a stop, and a worker is running \(w-1\)"):
        migrate(old, 35, 90)
    assert pending(old)
    monkeypatch.setattr(deploy.migrations.stop, "sleep", lambda _: None)
    assert migrate(old, 35, 90)


def test_nobody_works_on_a_database_whose_migration_has_not_ended(old: Client, empty_url: str) -> None:
    """An erasure would find no facts where they are not yet, and a backup save half of them."""
    with pytest.raises(KeyboardInterrupt):
        migrate(Dying(old, 8), 35, 90)  # type: ignore[arg-type]
    assert half_applied(old) == ["0007_identity.sql"]
    store = Store(empty_url, "k", "worker", 10)
    for steps in (order_erasure_steps("org-1", 10**13), sweep_steps(), rebuild_steps(0, 86400)):
        with pytest.raises(NotMigrated, match="run `msgmetrics migrate`"):
            drive(steps, store.perform)
    with pytest.raises(NotMigrated, match="run `msgmetrics migrate`"):
        open_store(read_settings({"MSGMETRICS_CLICKHOUSE_URL": empty_url}), "k")
    with pytest.raises(Refused, match="has begun and not ended"):
        create(old, read_settings({}), "name", "File('{}')", print)


def test_reports_are_those_that_changed() -> None:
    assert reporting({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 9}) == ["b", "c"]


def test_so_is_another_maintenance_command(old: Client) -> None:
    old.command(
        "INSERT INTO leases (holder, command, claimed_at, expires_at, version) "
        "VALUES ('x', 'erase acme', now64(6), now64(6) + toIntervalMinute(1), 1)"
    )
    with pytest.raises(Refused, match="`erase acme` is running"):
        migrate(old, 35, 90)


def test_a_lease_that_cannot_be_given_back_does_not_hide_why_the_work_ended(
    old: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = old.command

    def command(statement: str, **named: Any) -> Any:
        if named.get("parameters", {}).get("seconds") == 0:
            raise OperationalError("gone")
        return write(statement, **named)

    monkeypatch.setattr(old, "command", command)
    with pytest.raises(ZeroDivisionError), stopped(old, "0007", ""):
        raise ZeroDivisionError


def test_on_a_cluster_every_shard_rewrites_its_part(
    empty_cluster_url: str, as_before: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.clickhouse.inserts.LONGEST_INSERT_SECONDS", 0)  # there, waited for to its end
    migrate_cluster(empty_cluster_url)
    endpoint = Endpoint(empty_cluster_url, cluster=CLUSTER)
    client = connect_writer(endpoint)
    monkeypatch.setattr(  # as if each had more rows than one statement may move
        deploy.migrations.rewrite, "slices", lambda steps, most: [(a, b, 3) for a, b, _ in slices(steps, most)]
    )
    fill(client)
    client.command(f"SYSTEM STOP MERGES ON CLUSTER {CLUSTER}")
    expected, letters = identities(facts_of(client)), letters_of(client)
    as_before()
    migrate(client, 35, 90, CLUSTER)
    assert identities(facts_of(client)) == expected
    assert letters_of(client) == letters
    check_letters(client, endpoint)
    client.command(f"SYSTEM START MERGES ON CLUSTER {CLUSTER}")
