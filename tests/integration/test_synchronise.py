"""Reads on a cluster see what was acknowledged before, against real ZooKeepers that lag."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from deploy.migrations.cluster_ddl import views
from pipeline.clickhouse.store import Store
from pipeline.core.effects import Synchronise
from schemas.connection import connect
from schemas.endpoint import Endpoint
from tests.support.clickhouse_node import Node, clickhouse_node
from tests.support.cluster import CLUSTER, on_one_server
from tests.support.kafka_broker import free_port
from tests.support.system import require_kafka
from tests.support.zookeeper.ensemble import Ensemble, ensemble

CONFIG = """<zookeeper><node><host>127.0.0.1</host><port>{port}</port></node>
  <sessions_path>/clickhouse/sessions/{name}</sessions_path></zookeeper>
<remote_servers><metrics><secret>of the test</secret><shard>{replicas}</shard></metrics></remote_servers>"""
REPLICA = "<replica><host>127.0.0.1</host><port>{port}</port></replica>"
WAITS_SECONDS = 1.0


@contextmanager
def replicas_of(members: Ensemble, directory: Path) -> Iterator[list[Node]]:
    """Two servers of one shard: the first with the first member of the ensemble, the other with the last one."""
    nodes = [Node(free_port(), free_port()) for _ in range(2)]
    replicas = "".join(REPLICA.format(port=node.native_port) for node in nodes)
    with ExitStack() as running:
        for node, port in zip(nodes, (members.ports[0], members.ports[-1]), strict=True):
            config = CONFIG.format(port=port, name=port, replicas=replicas)
            running.enter_context(clickhouse_node(directory / f"node-{port}", node, config))
        yield nodes


def register(client: Client, name: str, table: str = "events") -> None:
    """Write to the coordination service, as an insert does: these servers' replicated tables take no rows."""
    path = "/clickhouse/tables/events"
    client.command(f"CREATE TABLE {table} (x UInt8) ENGINE = ReplicatedMergeTree('{path}', '{name}') ORDER BY x")


def seen(client: Client) -> int:
    """How many replicas the server's member of the coordination service knows."""
    return int(client.command("SELECT total_replicas FROM system.replicas WHERE table = 'events'"))  # type: ignore[arg-type]


def test_when_servers_are_synchronised_one_sees_what_its_member_had_not_heard_of(tmp_path: Path) -> None:
    require_kafka()  # the same needs: Java and Maven
    with ensemble(tmp_path) as members, replicas_of(members, tmp_path) as nodes, ThreadPoolExecutor(1) as thread:
        here, there = (connect(f"{node.url}/default") for node in nodes)
        for view in views(CLUSTER):
            here.command(on_one_server(view))
        register(here, "one")
        register(there, "two")
        members.cut()
        register(here, "three", "more")
        assert (seen(here), seen(there)) == (3, 2), "it does not lag, and what follows shows nothing"
        store = Store(Endpoint(f"{nodes[0].url}/default", cluster=CLUSTER), "cluster", "worker", 15)
        doing = thread.submit(store.perform, Synchronise())
        with pytest.raises(TimeoutError):
            doing.result(WAITS_SECONDS)
        members.heal()
        doing.result(15)
        assert seen(there) == 3
