"""The cluster of `make cluster`, of which nothing can be started here but one server with its configuration."""

import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path
from typing import Any

from schemas.connection import connect
from tests.support.clickhouse_node import Node, clickhouse_node
from tests.support.cluster import CLUSTER
from tests.support.compose import services as services_of
from tests.support.engine import ROOT
from tests.support.kafka_broker import free_port

FOLDER = ROOT / "deploy" / "cluster"
FILE = "deploy/cluster/docker-compose.yml"
KEEPERS = ["keeper1", "keeper2", "keeper3"]


def services() -> dict[str, dict[str, Any]]:
    return services_of(FILE)


def servers() -> dict[str, dict[str, Any]]:
    """Without the keepers."""
    return {name: service for name, service in services().items() if name not in KEEPERS}


def test_the_engine_finds_two_shards_of_two_replicas_under_the_names_that_compose_gives(tmp_path: Path) -> None:
    read = ET.parse(FOLDER / "cluster.xml").getroot()
    more = "".join(ET.tostring(part, "unicode") for part in read if part.tag != "listen_host")
    expected = defaultdict(set)
    for name, service in servers().items():
        assert service["hostname"] == name
        expected[int(service["environment"]["SHARD"])].add(name)
    assert [len(replicas) for replicas in expected.values()] == [2, 2]
    node, environment = Node(free_port(), free_port()), servers()["s2r1"]["environment"]
    with clickhouse_node(tmp_path / "node", node, re.sub(r"keeper\d", "127.0.0.1", more), environment):
        client = connect(f"{node.url}/default")
        named = "SELECT shard_num, host_name, port FROM system.clusters WHERE cluster = {name:String}"
        found = defaultdict(set)
        for shard, host, port in client.query(named, parameters={"name": CLUSTER}).result_rows:
            found[shard].add(host)
            assert port == 9000
        macros = client.query("SELECT getMacro('shard'), getMacro('replica')").result_rows
    assert found == expected
    assert macros == [("2", "1")]


def test_each_replica_of_a_shard_has_another_number() -> None:
    macros = {(s["environment"]["SHARD"], s["environment"]["REPLICA"]) for s in servers().values()}
    assert len(macros) == len(servers()) == 4


def test_all_know_where_the_keepers_listen_and_wait_for_them() -> None:
    keeper, known = (ET.parse(FOLDER / f"{name}.xml").getroot() for name in ("keeper", "cluster"))
    asked = [(node.findtext("host"), node.findtext("port")) for node in known.findall("zookeeper/node")]
    assert asked == [(name, keeper.findtext("keeper_server/tcp_port")) for name in KEEPERS]
    voters = keeper.findall("keeper_server/raft_configuration/server")
    assert [(v.findtext("id"), v.findtext("hostname")) for v in voters] == [
        (str(services()[name]["environment"]["KEEPER"]), services()[name]["hostname"]) for name in KEEPERS
    ]
    assert keeper.find("keeper_server/server_id[@from_env='KEEPER']") is not None
    assert keeper.findtext("keeper_server/coordination_settings/quorum_reads") == "true"
    assert keeper.findtext("listen_host") == known.findtext("listen_host") == "0.0.0.0"
    for service in servers().values():
        assert {name: service["depends_on"][name]["condition"] for name in KEEPERS} == dict.fromkeys(
            KEEPERS, "service_healthy"
        )
        assert [Path(mount["source"]) for mount in service["volumes"]] == [FOLDER / "cluster.xml"]
    for name in KEEPERS:
        assert [Path(mount["source"]) for mount in services()[name]["volumes"]] == [FOLDER / "keeper.xml"]


def test_servers_know_each_other_by_a_secret() -> None:
    secret = ET.parse(FOLDER / "cluster.xml").getroot().find("remote_servers/metrics/secret")
    assert secret is not None
    assert secret.get("from_env") == "CLUSTER_SECRET"
    assert len({service["environment"]["CLUSTER_SECRET"] for service in servers().values()}) == 1


def test_the_version_is_the_one_of_production_and_one_server_is_published_where_make_asks() -> None:
    assert {service["image"] for service in services().values()} == {services_of()["clickhouse"]["image"]}
    published = {
        (name, p["host_ip"], p["published"], p["target"]) for name, s in services().items() for p in s.get("ports", [])
    }
    ((_, address, port, target),) = published
    assert (address, target) == ("127.0.0.1", 8123)
    assert re.findall(r"MSGMETRICS_TEST_CLUSTER_URL=(\S+)", (ROOT / "Makefile").read_text()) == [
        f"http://default@{address}:{port}"
    ]


def test_the_files_that_make_runs_exist() -> None:
    (names,) = re.findall(r"^CLUSTER_TESTS := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert all((ROOT / name).exists() for name in names.split())
    assert FILE in (ROOT / "Makefile").read_text()
