"""The cluster's own DDL, replication and all, against a real ZooKeeper."""

from pathlib import Path

from deploy.migrations.apply import ledger_definition, read_migrations
from deploy.migrations.cluster_ddl import statements_for
from deploy.sql import sql
from schemas.connection import connect
from schemas.sharding import LOCAL, SHARDED
from tests.support.clickhouse_node import Node, clickhouse_node
from tests.support.kafka_broker import free_port
from tests.support.system import require_kafka
from tests.support.zookeeper import zookeeper

CLUSTER = "metrics"
MACROS = """<macros><shard>1</shard><replica>one</replica></macros>
<remote_servers><metrics><shard><replica><host>127.0.0.1</host><port>1</port></replica></shard></metrics></remote_servers>
"""


def test_every_table_registers_with_zookeeper_under_its_shard_or_for_all(tmp_path: Path) -> None:
    """What the embedded engine cannot do is not claimed: its tables stay read-only, so no row travels and none is
    altered; of changes to tables only the grammar is checked.
    """
    require_kafka()  # the same needs: Java and Maven
    with zookeeper(tmp_path) as port:
        more = f"<zookeeper><node><host>127.0.0.1</host><port>{port}</port></node></zookeeper>{MACROS}"
        node = Node(free_port(), free_port())
        with clickhouse_node(tmp_path / "node", node, more):
            connect(f"{node.url}/default").command("CREATE DATABASE metrics")
            client = connect(f"{node.url}/metrics")
            originals = [*ledger_definition(), *(s for m in read_migrations() for s in m.statements)]
            for statement in (derived for original in originals for derived in statements_for(original, CLUSTER)):
                client.query("SELECT formatQuery({s:String})", parameters={"s": statement})
                if statement.startswith("CREATE"):
                    client.command(statement.replace(f" ON CLUSTER {CLUSTER}", ""))
            replicas = client.query("SELECT table, zookeeper_path, replica_name FROM system.replicas").result_rows
            ((shared,),) = client.query(sql("cli/replicated_tables")).result_rows
            spanning = client.query(
                "SELECT name, engine_full FROM system.tables WHERE database = 'metrics' AND engine = 'Distributed'"
            ).result_rows
    assert shared == len(replicas)
    assert len(replicas) == sum(original.startswith("CREATE") for original in originals)
    for table, path, replica in replicas:
        is_sharded = table.removesuffix(LOCAL) in SHARDED
        assert path == f"/clickhouse/tables/{'1' if is_sharded else 'all'}/metrics/{table}"
        assert replica == ("one" if is_sharded else "1-one")
    assert {name for name, _ in spanning} == set(SHARDED)
    for name, engine in spanning:
        assert engine == f"Distributed('{CLUSTER}', 'metrics', '{name}{LOCAL}', {SHARDED[name]})"
