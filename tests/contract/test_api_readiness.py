"""The API is ready once ClickHouse has answered its process: not before, and from then on whatever happens."""

from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from api.metrics import READY
from api.server import admin_server
from deploy.migrations.apply import migrate
from schemas.connection import connect
from schemas.settings import read_settings
from tests.support.clickhouse_node import Node, clickhouse_node
from tests.support.kafka_broker import free_port

USER = """<clickhouse><users><api>
  <password>right</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
</api></users></clickhouse>
"""


def admin(node: Node, password: str) -> TestClient:
    """The admin port of an API process."""
    url = f"http://api@127.0.0.1:{node.http_port}/default"
    settings = read_settings({"MSGMETRICS_CLICKHOUSE_URL": url, "MSGMETRICS_CLICKHOUSE_PASSWORD": password})
    app: Any = admin_server(settings).config.app
    return TestClient(app)


def ready(process: TestClient) -> tuple[int, list[str]]:
    """The status of /readyz, and its reasons."""
    answer = process.get("/readyz")
    return answer.status_code, answer.json()["reasons"]


def answers_now(process: TestClient) -> bool:
    """Whether ClickHouse answers, by the metric that alerts go by."""
    assert process.get("/metrics").status_code == 200
    (sample,) = (sample for family in READY.collect() for sample in family.samples)
    return sample.value == 1


def test_a_process_is_ready_once_clickhouse_has_answered_it_and_stays_so(tmp_path: Path) -> None:
    node, not_yet = Node(free_port(), free_port()), (503, ["ClickHouse has not answered this process yet"])
    early, wrong, right = admin(node, "right"), admin(node, "wrong"), admin(node, "right")
    assert ready(early) == not_yet
    (tmp_path / "users.d").mkdir()
    (tmp_path / "users.d" / "api.xml").write_text(USER)
    with clickhouse_node(tmp_path, node):
        migrate(connect(f"{node.url}/default"), 35, 90)
        assert ready(wrong) == not_yet
        assert not answers_now(wrong)
        for process in (early, right):
            assert ready(process) == (200, [])
        assert answers_now(right)
    assert ready(right) == (200, [])
    assert not answers_now(right), "an alert goes by the metric"
    assert ready(wrong) == not_yet
