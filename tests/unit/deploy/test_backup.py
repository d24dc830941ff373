"""Backups: names and places, and whether Kafka's commits have passed what is stored."""

from types import SimpleNamespace
from typing import cast

import pytest
from clickhouse_connect.driver.client import Client

from deploy.cli import backup
from deploy.cli.backup import PROGRESS, STATEMENTS, _behind, _destination, check_cluster, wait_until_committed
from deploy.errors import CommandError, Refused, Usage
from pipeline.core.place import Place
from schemas import tables
from schemas.settings import read_settings
from tests.support.places import P0, P1, P2

TABLES = (*PROGRESS, *STATEMENTS, tables.FACTS)


def test_a_place_is_filled_in_with_the_name() -> None:
    assert _destination("File('{}')", "2026-11-25", "data") == "File('2026-11-25-data')"
    assert _destination("S3(backups, '{}')", "x", "progress") == "S3(backups, 'x-progress')"


@pytest.mark.parametrize("name", ["", "a'b", "../x", "a b", "ä", "-x", "x" * 102])
def test_a_name_cannot_be_anything_but_a_name(name: str) -> None:
    with pytest.raises(Usage, match="a backup's name"):
        _destination("File('{}')", name, "data")


@pytest.mark.parametrize("place", ["File('x')", "File('{}/{}')", ""])
def test_a_place_needs_room_for_the_name(place: str) -> None:
    with pytest.raises(Usage, match="exactly one"):
        _destination(place, "x", "data")


def test_a_partition_is_behind_until_what_is_stored_is_committed() -> None:
    assert _behind({P0: 5, P1: 9}, {P0: 5, P1: 10, P2: 1}) == [P1, P2]
    assert _behind({P0: 6}, {P0: 5}) == []


def test_what_is_not_committed_is_named_by_topic_and_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "committed_offsets", lambda *_: {})
    settings = read_settings({"MSGMETRICS_LATE_PAUSE_SECONDS": "600"})
    asked = list[object]()
    monkeypatch.setattr("deploy.cli.backup.time.sleep", asked.append)
    clock = iter((0.0, 600 + backup.WAIT_SECONDS, 601 + backup.WAIT_SECONDS))
    with pytest.raises(CommandError, match=r"^partitions message-events/1, sent/0 are not committed as far"):
        wait_until_committed(settings, {Place("sent", 0): 1, P1: 4}, lambda: next(clock))
    assert len(asked) == 1, "what a worker keeps back for as long as it may is waited for"


def test_listed_topics_are_waited_for_and_the_others_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    client = SimpleNamespace(
        query=lambda _, **__: SimpleNamespace(result_rows=[(name,) for name in (*PROGRESS, *STATEMENTS)]),
        command=lambda _: None,
    )
    waited, told = list[object](), list[str]()
    other = Place("of-another-group", 0)
    monkeypatch.setattr(backup, "half_applied", lambda _: [])
    monkeypatch.setattr(backup, "ledger", lambda _: 0)
    monkeypatch.setattr(backup, "cluster_id", lambda _: "ours")
    monkeypatch.setattr(backup, "stored_offsets", lambda _: {"ours": {P0: 5, other: 7}, "gone": {P0: 9}})
    monkeypatch.setattr(backup, "unlisted_topics", lambda *_: [other.topic])
    monkeypatch.setattr(backup, "wait_until_committed", lambda _, stored, __: waited.append(stored))
    backup.create(cast(Client, client), read_settings({}), "x", "File('{}')", told.append)
    assert waited == [{P0: 5}]
    assert any("progress of the topic of-another-group is backed up as it stands" in line for line in told)
    assert any("of other Kafka clusters than ours is backed up as it stands: gone" in line for line in told)


def test_progress_is_what_readers_and_starts_rest_on() -> None:
    assert set(PROGRESS) == {tables.PARTITION_WATERMARKS, tables.WATERMARK}


def test_a_migration_that_ran_meanwhile_makes_the_backup_one_of_two_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    client = SimpleNamespace(
        query=lambda _, **__: SimpleNamespace(result_rows=[(name,) for name in TABLES]),
        command=ran.append,
    )
    monkeypatch.setattr(backup, "half_applied", lambda _: [])
    monkeypatch.setattr(backup, "cluster_id", lambda _: "ours")
    monkeypatch.setattr(backup, "stored_offsets", lambda *_: {})
    monkeypatch.setattr(backup, "unlisted_topics", lambda *_: [])
    monkeypatch.setattr(backup, "wait_until_committed", lambda *_: None)
    monkeypatch.setattr(backup, "ledger", lambda _: len(ran))
    with pytest.raises(Refused, match="a migration ran meanwhile, so that x is of two versions"):
        backup.create(cast(Client, client), read_settings({}), "x", "File('{}')", lambda _: None)
    assert len(ran) == 3
    monkeypatch.setattr(backup, "ledger", lambda _: 0)
    backup.create(cast(Client, client), read_settings({}), "x", "File('{}')", lambda _: None)


def test_progress_of_other_clusters_alone_says_nothing_of_this_one() -> None:
    settings = read_settings({"MSGMETRICS_KAFKA_BOOTSTRAP": "broker:9092"})
    with pytest.raises(Refused, match=r"cluster a, b, and none of ours, which answers at broker:9092; start a worker"):
        check_cluster({"b": 1, "a": 2}, "ours", settings)
    check_cluster({}, "ours", settings)
    check_cluster({"a": 2, "ours": 1}, "ours", settings)
