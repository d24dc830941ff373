"""Stages: what `make run` starts, the production shape on a real broker, and the same with a schema registry."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from deploy.cli.demo import Traffic
from tests.docs.node import node_modules, node_problem
from tests.docs.stage import Stage
from tests.support.apicurio import Registry
from tests.support.clickhouse_node import USERS
from tests.support.kafka_broker import free_port, jars
from tests.support.ledger import Produced
from tests.support.protoc import protoc
from tests.support.system import ROOT, System, clean_environment, require_kafka, wait_until

CONFIG = """<clickhouse>
  <logger><level>none</level></logger>
  <users_config>{directory}/users.xml</users_config>
  <backups><allowed_path>{directory}/backups/</allowed_path></backups>
</clickhouse>
"""
INVALID = (
    b'{"event_id": "broken-1", "type": "message.sent", "org_id": "acme", "channel": "TEXT MESSAGE", '
    b'"occurred_at": "2026-11-25T19:20:00Z"}'
)
OWN_ADDRESS, OWN_BROKER, OWN_REGISTRY = "http://127.0.0.1:8000", "localhost:9092", "http://localhost:8081"


def _environment(directory: Path, **settings: str) -> dict[str, str]:
    path = f"{directory}/bin:{sys.prefix}/bin:{os.environ['PATH']}"
    return {**clean_environment(), **settings, "PATH": path, "TZ": "America/New_York"}


def _has_history(url: str, key: str) -> bool:
    """Whether every hour of yesterday has numbers, and the hours since are closed."""
    query = {"metric": "sent", "compare_to": "prior_period"}
    answer = httpx2.get(
        f"{url}/v1/metrics/messages", params=query, headers={"Authorization": f"Bearer {key}"}, timeout=30
    )
    if answer.status_code != 200:
        return False
    data = answer.json()["data"]
    hours = [*data["comparison"]["buckets"][1:], *data["buckets"][:-1]]
    return all(hour["value"] for hour in hours)


@pytest.fixture(scope="module")
def dev_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A directory in which `msgmetrics dev --data .data` runs with demo traffic, as after `make run`."""
    directory = tmp_path_factory.mktemp("documents")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = _environment(directory, MSGMETRICS_LATENESS_SECONDS="3")
    stage = Stage(directory, environment, {OWN_ADDRESS: url})
    stage.prepare({"msgmetrics": 'exec .venv/bin/msgmetrics --dev .data "$@"'})
    if node_problem() is None:
        (directory / "node_modules").symlink_to(node_modules(ROOT / ".cache"))
    words = [sys.executable, "-m", "deploy.cli", "dev", "--data", str(directory / ".data"), "--port", str(port)]
    with (
        (directory / "dev.out").open("w") as out,
        subprocess.Popen(words, cwd=ROOT, env=environment, stdout=out) as dev,
    ):
        try:
            file = directory / ".data" / "dev.json"
            wait_until("dev.json", lambda: file.exists() or dev.poll() is not None, 60)
            assert dev.poll() is None, (directory / "dev.out").read_text()
            key = json.loads(file.read_text())["orgs"]["growth"]["api_key"]
            wait_until("the history of the demo", lambda: _has_history(url, key), 120)
            yield stage
        finally:
            dev.send_signal(signal.SIGINT)
            dev.wait(30)


@pytest.fixture(scope="module")
def kafka_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Broker, ClickHouse, a worker and the API, each a process; events of 36 hours, so of yesterday at any time."""
    require_kafka()
    directory = tmp_path_factory.mktemp("operators")
    (directory / "users.xml").write_text(USERS)
    config = directory / "config.xml"
    config.write_text(CONFIG.format(directory=directory))
    with System(directory / "system", 4, clickhouse_config=config, lateness_seconds="3") as system:
        system.start_worker("worker")
        url = system.start_api()
        now = datetime.now(UTC)
        traffic = Traffic(["acme", "globex"], seed=1)
        events = [
            traffic.event(int((now - timedelta(seconds=n)).timestamp() * 1000)) for n in range(36 * 3600, 0, -180)
        ]
        broken = [b"{", INVALID, b""]
        system.produce(Produced(None, value) for value in (*events, *broken))
        settings = {name: value for name, value in system.environment.items() if name.startswith("MSGMETRICS_")}
        stage = Stage(
            directory, _environment(directory, **settings), {OWN_ADDRESS: url, OWN_BROKER: system.broker.bootstrap}
        )
        stage.prepare({})
        system.wait_until_done(60)
        system.wait_for_as_of(int(now.timestamp() * 1000), 60)
        caught_up = "SELECT count() FROM partition_status FINAL WHERE status = 'caught up'"
        wait_until("what status shows to be current", lambda: system.query(caught_up)[0][0] == 4, 30)
        yield stage


@pytest.fixture(scope="module")
def registry_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, Registry]]:
    """Broker, ClickHouse, a schema registry and a worker that reads with it."""
    require_kafka()
    directory = tmp_path_factory.mktemp("registry")
    registry = Registry(directory / "registry", ROOT / ".cache").start()
    try:
        with System(directory / "system", 4, schema_registry_url=registry.url) as system:
            system.start_worker("worker")
            yield system, registry
    finally:
        registry.stop()


@pytest.fixture(scope="module")
def registry_stage(tmp_path_factory: pytest.TempPathFactory, registry_system: tuple[System, Registry]) -> Stage:
    """A directory of a producer, with the jars of Kafka's client and a compiler of Protobuf."""
    system, registry = registry_system
    directory = tmp_path_factory.mktemp("producer")
    settings = {name: value for name, value in system.environment.items() if name.startswith("MSGMETRICS_")}
    environment = _environment(directory, **settings, CLASSPATH=f"{jars(ROOT / '.cache').resolve()}/*")
    stage = Stage(directory, environment, {OWN_REGISTRY: registry.url, OWN_BROKER: system.broker.bootstrap})
    stage.prepare({"protoc": f'exec {protoc(ROOT / ".cache")} "$@"'})
    return stage
