"""The servers of a cluster are synchronised, as far as they can be reached."""

import pytest

from deploy.cli.doctor import Verdict, synchronised
from deploy.migrations.apply import migrate
from pipeline.clickhouse.store import Store
from pipeline.core.effects import Synchronise
from pipeline.errors import NotMigrated
from schemas.connection import connect
from schemas.endpoint import Endpoint
from tests.support.cluster import CLUSTER
from tests.support.places import TOPIC


def store(endpoint: str | Endpoint) -> Store:
    return Store(endpoint, "cluster", TOPIC, "worker", 10)


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
