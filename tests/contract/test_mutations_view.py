"""On a cluster workers and operators look at the mutations of all servers, with no right to reach any other server.

A server alone stands for the cluster: unlike the embedded engine it has several users, and guards its system tables.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.clickhouse_server.make_users import DATABASE
from deploy.migrations.cluster_ddl import mutations_view
from schemas.connection import connect
from tests.support.clickhouse_node import Node, clickhouse_node
from tests.support.cluster import CLUSTER
from tests.support.engine import ROOT
from tests.support.kafka_broker import free_port

USERS = ROOT / "deploy" / "clickhouse_server" / "users.xml"
ACCESS_DENIED = 497
REMOTE = """<remote_servers><metrics><secret>of the test</secret><shard><replica>
  <host>127.0.0.1</host><port>{port}</port></replica></shard></metrics></remote_servers>"""


def users_without_passwords() -> str:
    tree = ET.parse(USERS).getroot()
    for user in tree.find("users") or ():
        if user.find("password") is None:
            ET.SubElement(user, "password")
    ET.SubElement(tree.find("profiles") or tree, "default")
    ET.SubElement(tree.find("quotas") or tree, "default")
    return ET.tostring(tree, "unicode")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node, directory = Node(free_port(), free_port()), Path(tmp_path_factory.mktemp("view")) / "node"
    with clickhouse_node(directory, node, REMOTE.format(port=node.native_port), users=users_without_passwords()):
        as_user(node, "migrate", "default").command(f"CREATE DATABASE {DATABASE}")
        view = mutations_view(CLUSTER).replace(f" ON CLUSTER {CLUSTER}", "")  # for which it has no queue
        for _ in range(2):
            as_user(node, "migrate").command(view)
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


def test_the_api_does_not_see_them(node: Node) -> None:
    for source in ("mutations", "system.mutations"):
        with pytest.raises(DatabaseError) as refused:
            as_user(node, "api").query(f"SELECT count() FROM {source}")
        assert refused.value.code == ACCESS_DENIED
