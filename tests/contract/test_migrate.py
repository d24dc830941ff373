"""Migrations: once each, in order, and never silently different."""

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.cli.main import run
from deploy.errors import Refused
from deploy.migrations import apply
from deploy.migrations.apply import half_applied, ledger_definition, migrate, pending, read_migrations
from pipeline.clickhouse.store import Store
from pipeline.core.progress import ReadMarks
from schemas.connection import connect
from schemas.settings import Settings


def test_migrations_are_applied_once(empty_url: str) -> None:
    client = connect(empty_url)
    names = [m.name for m in read_migrations()]
    assert pending(client) == names
    assert migrate(client, 35, 90) == names
    assert pending(client) == []
    assert migrate(client, 35, 90) == []


def test_there_is_one_secret_however_often_it_runs(empty_url: str) -> None:
    client = connect(empty_url)
    migrate(client, 35, 90)
    migrate(client, 35, 90)
    ((count, length),) = client.query("SELECT count(), max(length(value)) FROM secrets").result_rows
    assert (count, length) == (1, 64)


def test_an_edited_migration_is_refused_by_name(url: str) -> None:
    client = connect(url)
    client.command("ALTER TABLE schema_migrations UPDATE checksum = 'x' WHERE number = 2 SETTINGS mutations_sync = 2")
    with pytest.raises(Refused, match=r"0002_.*changed"):
        migrate(client, 35, 90)


def test_a_database_of_a_newer_version_is_refused(url: str) -> None:
    client = connect(url)
    client.insert(
        "schema_migrations", [[9999, 0, "9999_x.sql", "c"]], column_names=["number", "statement", "name", "checksum"]
    )
    with pytest.raises(Refused, match="newer version"):
        migrate(client, 35, 90)


@pytest.fixture
def interrupted(empty_url: str) -> str:
    """A database in which the first migration stopped between a statement and its entry in the ledger."""
    client, first = connect(empty_url), read_migrations()[0]
    client.command(ledger_definition()[0])
    for number, statement in enumerate(first.statements[:3]):
        client.command(statement)
        row = [first.number, number, first.name, first.checksum]
        if number < 2:
            client.insert("schema_migrations", [row], column_names=["number", "statement", "name", "checksum"])
    return empty_url


def test_an_interrupted_migration_goes_on(interrupted: str) -> None:
    client = connect(interrupted)
    assert half_applied(client) == [read_migrations()[0].name]
    assert migrate(client, 35, 90) == [m.name for m in read_migrations()]
    assert pending(client) == half_applied(client) == []


def test_a_shorter_retention_raises_the_floor_by_the_old_one_first(url: str) -> None:
    client = connect(url)
    client.command(
        "INSERT INTO facts (org_id, event_id, type, channel, occurred_at) VALUES ('a', '1', 1, 'sms', now64(3))"
    )
    migrate(client, 20, 90)
    ((days_ago, ddl),) = client.query(
        "SELECT dateDiff('day', (SELECT max(facts_floor) FROM watermark), now()), create_table_query "
        "FROM system.tables WHERE database = currentDatabase() AND name = 'facts'"
    ).result_rows
    assert 33 <= days_ago <= 35
    assert "toIntervalDay(20)" in ddl


def test_nothing_is_dropped_silently_by_an_unknown_table(empty_url: str) -> None:
    with pytest.raises(DatabaseError):
        connect(empty_url).query("SELECT 1 FROM facts")


OF_TOPICS = 8
"""The migration that lets what is stored hold `as_of`."""


@pytest.mark.parametrize(("listed", "retired"), [(["read", "added"], {"before"}), (["read", "before"], set())])
def test_what_is_stored_and_not_listed_on_the_day_of_the_upgrade_is_retired(
    listed: list[str], retired: set[str], empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, all_of_them = connect(empty_url), read_migrations()
    with monkeypatch.context() as before:
        before.setattr(apply, "read_migrations", lambda: [m for m in all_of_them if m.number < OF_TOPICS])
        migrate(client, 35, 90)
    rows = [["c", topic, 0, 7] for topic in ("read", "before")]
    client.insert("partition_watermarks", rows, column_names=["cluster_id", "topic", "partition", "next_offset"])
    migrate(client, 35, 90, listed=listed)
    assert Store(empty_url, "c", "w", timeout_seconds=30).perform(ReadMarks()).retired == retired


def test_the_command_tells_the_migrations_and_kafka_of_the_list(
    url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked: list[object] = []

    def applies(*words: object) -> list[str]:
        asked.append(words[-1])
        return []

    def ensures(settings: Settings, partitions: int | None, *, create: bool) -> list[str]:
        asked.append((settings.topics, partitions, create))
        return ["said"]

    monkeypatch.setenv("MSGMETRICS_CLICKHOUSE_URL", url)
    monkeypatch.setenv("MSGMETRICS_KAFKA_TOPIC", "sent,failed")
    monkeypatch.setattr(apply, "migrate", applies)
    monkeypatch.setattr("deploy.cli.migrate.ensure_topics", ensures)
    assert run(["migrate", "--create", "--partitions", "3"]) == 0
    assert asked == [("sent", "failed"), (("sent", "failed"), 3, True)]
    assert capfd.readouterr().out == "ClickHouse is up to date\nsaid\n"
