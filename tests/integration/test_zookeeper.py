"""The cluster's own DDL, replication and all, against a real ZooKeeper."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from clickhouse_connect.driver.client import Client

from deploy.migrations.apply import ledger_definition, read_migrations
from deploy.migrations.cluster_ddl import statements_for
from deploy.migrations.rewrite import Rewrite, rewriting_of
from deploy.migrations.stop import Unguarded
from deploy.sql import sql
from schemas.connection import connect
from schemas.sharding import LOCAL, SHARDED
from tests.support.clickhouse_node import Node, clickhouse_node
from tests.support.cluster import CLUSTER, on_one_server
from tests.support.kafka_broker import free_port
from tests.support.system import require_kafka
from tests.support.zookeeper import zookeeper

MACROS = """<macros><shard>1</shard><replica>one</replica></macros>
<remote_servers><metrics><shard><replica><host>127.0.0.1</host><port>1</port></replica></shard></metrics></remote_servers>
"""


class _OneServer:
    """A client whose statements reach this server alone, since it has no queue for the others; there are no rows."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def query(self, statement: str, **named: Any) -> Any:
        return (
            SimpleNamespace(result_rows=[]) if "_partition_id" in statement else self._client.query(statement, **named)
        )

    def command(self, statement: str, **named: Any) -> Any:
        if not statement.startswith("ALTER"):
            return self._client.command(on_one_server(statement), **named)
        return self._client.query("SELECT formatQuery({s:String})", parameters={"s": statement})


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
            originals = [(0, s) for s in ledger_definition()]
            originals += [(m.number, s) for m in read_migrations() for s in m.statements]
            for number, original in originals:
                if wanted := rewriting_of(original):
                    Rewrite(_OneServer(client), wanted, number, CLUSTER, Unguarded(), print).run()  # type: ignore[arg-type]
                    continue
                for statement in statements_for(original, CLUSTER):
                    client.query("SELECT formatQuery({s:String})", parameters={"s": statement})
                    if statement.startswith("CREATE"):
                        client.command(on_one_server(statement))
            replicas = client.query("SELECT table, zookeeper_path, replica_name FROM system.replicas").result_rows
            ((shared,),) = client.query(sql("cli/replicated_tables")).result_rows
            spanning = client.query(
                "SELECT name, engine_full FROM system.tables WHERE database = 'metrics' AND engine = 'Distributed'"
            ).result_rows
    rewritten = [wanted.table for _, text in originals if (wanted := rewriting_of(text))]
    assert shared == len(replicas)
    assert len(replicas) == sum(text.startswith(("CREATE", "REWRITE")) for _, text in originals)
    for table, path, replica in replicas:
        name = table.removesuffix(LOCAL)
        made_as = table.replace("_before_0007", "") if "_before_" in name else table
        made_as = f"{name}_0007{LOCAL}" if name in rewritten else made_as  # a renamed table keeps its path
        is_sharded = name.removesuffix("_before_0007") in SHARDED
        assert path == f"/clickhouse/tables/{'1' if is_sharded else 'all'}/metrics/{made_as}"
        assert replica == ("one" if is_sharded else "1-one")
    keys = {**SHARDED, **{f"{name}_before_0007": SHARDED[name] for name in rewritten}}
    assert {name for name, _ in spanning} == set(keys)
    for name, engine in spanning:
        assert engine == f"Distributed('{CLUSTER}', 'metrics', '{name}{LOCAL}', {keys[name]})"
