"""The servers of a cluster are synchronised, as far as they can be reached."""

from pathlib import Path

import pytest

from deploy.cli.doctor import Verdict, synchronised
from deploy.errors import Refused
from deploy.migrations import apply
from deploy.migrations.apply import make_views, migrate
from deploy.migrations.cluster_ddl import views
from pipeline.clickhouse.store import Store
from pipeline.core.effects import Synchronise
from pipeline.errors import NotMigrated
from schemas.connection import connect
from schemas.endpoint import Endpoint
from tests.support.clickhouse_node import Node, clickhouse_node
from tests.support.cluster import CLUSTER, on_one_server
from tests.support.kafka_broker import free_port


def store(endpoint: str | Endpoint) -> Store:
    return Store(endpoint, "cluster", "worker", 10)


def test_one_server_has_nothing_to_catch_up_with(url: str) -> None:
    store(url).perform(Synchronise())


def test_all_servers_that_can_be_reached_take_part(cluster: Endpoint, pair: Endpoint) -> None:
    for endpoint, servers in ((cluster, 2), (pair, 1)):
        store(endpoint).perform(Synchronise())
        assert synchronised(connect(endpoint), endpoint.cluster).text.startswith(f"{servers} servers")


def test_without_the_view_a_worker_does_not_go_on_and_migrate_makes_it(cluster: Endpoint) -> None:
    client = connect(cluster)
    client.command("DROP VIEW synchronised")
    with pytest.raises(NotMigrated, match="msgmetrics migrate"):
        store(cluster).perform(Synchronise())
    assert (found := synchronised(client, CLUSTER)).verdict is Verdict.FAIL
    assert "msgmetrics migrate" in found.text
    migrate(client, 35, 90, CLUSTER)
    store(cluster).perform(Synchronise())


def test_migrate_says_what_is_missing_where_a_server_has_no_keeper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "views", lambda cluster: map(on_one_server, views(cluster)))
    node = Node(free_port(), free_port())
    host = f"<host>127.0.0.1</host><port>{node.native_port}</port>"
    alone = f"<remote_servers><metrics><shard><replica>{host}</replica></shard></metrics></remote_servers>"
    with clickhouse_node(tmp_path / "node", node, alone), pytest.raises(Refused, match="connection of each to Keeper"):
        make_views(connect(f"{node.url}/default"), CLUSTER)
