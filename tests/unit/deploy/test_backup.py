"""Backups: names and places, and whether Kafka's commits have passed what is stored."""

from types import SimpleNamespace
from typing import cast

import pytest
from clickhouse_connect.driver.client import Client

from deploy.cli import backup
from deploy.cli.backup import PROGRESS, _behind, _destination, check_cluster
from deploy.errors import Refused, Usage
from schemas import tables
from schemas.settings import read_settings
from tests.support.places import P0, P1, P2


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


def test_progress_is_what_readers_and_starts_rest_on() -> None:
    assert set(PROGRESS) == {tables.PARTITION_WATERMARKS, tables.WATERMARK}


def test_a_migration_that_ran_meanwhile_makes_the_backup_one_of_two_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    client = SimpleNamespace(
        query=lambda _, **__: SimpleNamespace(result_rows=[(name,) for name in (*PROGRESS, tables.FACTS)]),
        command=ran.append,
    )
    monkeypatch.setattr(backup, "half_applied", lambda _: [])
    monkeypatch.setattr(backup, "cluster_id", lambda _: "ours")
    monkeypatch.setattr(backup, "stored_offsets", lambda *_: {})
    monkeypatch.setattr(backup, "wait_until_committed", lambda *_: None)
    monkeypatch.setattr(backup, "ledger", lambda _: len(ran))
    with pytest.raises(Refused, match="a migration ran meanwhile, so that x is of two versions"):
        backup.create(cast(Client, client), read_settings({}), "x", "File('{}')", lambda _: None)
    assert len(ran) == 2
    monkeypatch.setattr(backup, "ledger", lambda _: 0)
    backup.create(cast(Client, client), read_settings({}), "x", "File('{}')", lambda _: None)


def test_progress_of_other_clusters_alone_says_nothing_of_this_one() -> None:
    settings = read_settings({"MSGMETRICS_KAFKA_BOOTSTRAP": "broker:9092"})
    with pytest.raises(Refused, match=r"cluster a, b, and none of ours, which answers at broker:9092; start a worker"):
        check_cluster({"b": 1, "a": 2}, "ours", settings)
    check_cluster({}, "ours", settings)
    check_cluster({"a": 2, "ours": 1}, "ours", settings)
