"""On a cluster workers and operators look at all servers by views, with no right to reach any other server.

A server alone stands for the cluster: unlike the embedded engine it has several users, and guards its system tables.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.clickhouse_server.make_users import DATABASE, USERS
from deploy.migrations.cluster_ddl import views
from pipeline.clickhouse.client import sql
from schemas.connection import connect
from tests.support.clickhouse_node import Node, clickhouse_node
from tests.support.cluster import CLUSTER, on_one_server
from tests.support.engine import ROOT
from tests.support.kafka_broker import free_port
from tests.support.zookeeper import zookeeper

FILE = ROOT / "deploy" / "clickhouse_server" / "users.xml"
ACCESS_DENIED = 497
CONFIG = """<zookeeper><node><host>127.0.0.1</host><port>{zookeeper}</port></node></zookeeper>
  <remote_servers><metrics><secret>of the test</secret><shard><replica>
  <host>127.0.0.1</host><port>{port}</port></replica></shard></metrics></remote_servers>"""


def users_without_passwords() -> str:
    tree = ET.parse(FILE).getroot()
    for user in tree.find("users") or ():
        if user.find("password") is None:
            ET.SubElement(user, "password")
    ET.SubElement(tree.find("profiles") or tree, "default")
    ET.SubElement(tree.find("quotas") or tree, "default")
    return ET.tostring(tree, "unicode")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node, directory = Node(free_port(), free_port()), Path(tmp_path_factory.mktemp("views"))
    with zookeeper(directory) as port:
        config = CONFIG.format(port=node.native_port, zookeeper=port)
        with clickhouse_node(directory / "node", node, config, users=users_without_passwords()):
            as_user(node, "migrate", "default").command(f"CREATE DATABASE {DATABASE}")
            for view in 2 * views(CLUSTER):
                as_user(node, "migrate").command(on_one_server(view))
            yield node


def as_user(node: Node, user: str, database: str = DATABASE) -> Client:
    return connect(node.url.replace("default@", f"{user}@") + f"/{database}", timeout_seconds=5)


@pytest.mark.parametrize("user", ["worker", "operator"])
def test_who_erases_sees_the_mutations_of_all_servers_and_reaches_none_of_them(node: Node, user: str) -> None:
    client = as_user(node, user)
    for source in ("mutations", "system.mutations"):
        assert client.query(f"SELECT count() FROM {source}").result_rows == [(0,)]
    with pytest.raises(DatabaseError) as refused:
        client.query(f"SELECT count() FROM clusterAllReplicas('{CLUSTER}', system.mutations)")
    assert refused.value.code == ACCESS_DENIED


@pytest.mark.parametrize("user", ["worker", "operator"])
def test_who_computes_makes_each_server_take_a_number_every_time(node: Node, user: str) -> None:
    client = as_user(node, user)
    (first,), (second,) = (client.query(sql("state/synchronise")).result_rows for _ in range(2))
    assert second == (first[0], first[1] + 1)


def test_who_reads_them_may_ask_as_much_as_without_them() -> None:
    """The limits of who made a view hold on the servers that it asks."""
    at_once = {user.name: user.fixed["max_concurrent_queries_for_user"] for user in USERS}
    assert at_once["migrate"] >= max(at_once["worker"], at_once["operator"])


def test_the_api_sees_none_of_them(node: Node) -> None:
    for source in ("mutations", "system.mutations", "synchronised"):
        with pytest.raises(DatabaseError) as refused:
            as_user(node, "api").query(f"SELECT count() FROM {source}")
        assert refused.value.code == ACCESS_DENIED
