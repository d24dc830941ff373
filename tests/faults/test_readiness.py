"""Health is progress, on real processes: not ready soon after something stands still, with the reason; ready again
soon after it goes on; gone, with an exit code, when it cannot."""

import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.faults.rig import SETTINGS
from tests.support.ledger import Ledger
from tests.support.places import TOPIC
from tests.support.system import Process, System, require_kafka, wait_until

WITHIN_SECONDS = 15
START_SECONDS = 60
"""No promise: how long a process may take to start on a busy machine before the test gives up."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system with a steady trickle of events, so that a partition that stands still has records to read."""
    require_kafka()
    with System(tmp_path_factory.mktemp("readiness"), partitions=2, **SETTINGS) as system:
        stop, ledger = threading.Event(), Ledger(seed=31)

        def trickle() -> None:
            producer = system.producer(**{"message.timeout.ms": 600_000})
            while not stop.wait(0.2):
                for partition in (0, 1):
                    producer.produce(TOPIC, ledger.produced(ledger.event(datetime.now(UTC))).value, partition=partition)
                producer.poll(0)

        thread = threading.Thread(target=trickle)
        thread.start()
        yield system
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def worker(system: System) -> Process:
    """A worker that is ready."""
    worker = system.start_worker("worker")
    wait_until("readiness", lambda: worker.readiness() == (200, []), START_SECONDS)
    return worker


def not_ready_soon(worker: Process, because: str) -> None:
    """Await 503 with a reason that has these words in it."""
    wait_until(f"503 with {because!r}", lambda: _says(worker, because), WITHIN_SECONDS)


def _says(worker: Process, because: str) -> bool:
    status, reasons = worker.readiness()
    return status == 503 and any(because in reason for reason in reasons)


def ready_soon(worker: Process) -> None:
    wait_until("readiness again", lambda: worker.readiness() == (200, []), WITHIN_SECONDS)


def test_clickhouse_hung(system: System, worker: Process) -> None:
    system.clickhouse.send(signal.SIGSTOP)
    try:
        starting = system.start_worker("starting")
        not_ready_soon(worker, "sink ")
        assert worker.is_alive
        wait_until("a start that tells its health", lambda: starting.readiness()[0] == 503, START_SECONDS)
        assert starting.end(seconds=11) == 0, "SIGTERM ends it though it hangs in its first question"
    finally:
        system.clickhouse.send(signal.SIGCONT)
    ready_soon(worker)


def test_clickhouse_away(system: System, worker: Process) -> None:
    system.clickhouse.end(signal.SIGKILL)
    not_ready_soon(worker, "sink unavailable for")
    system.start_clickhouse()
    ready_soon(worker)


def test_kafka_away(system: System, worker: Process) -> None:
    system.broker.stop()
    not_ready_soon(worker, "Kafka ")
    system.broker.start()
    ready_soon(worker)


def test_a_stale_as_of(system: System, worker: Process) -> None:
    """A worker that keeps its partition and stands still holds `as_of`; every worker says that it is old."""
    other = system.start_worker("other", kafka_session_timeout_seconds="60")
    shared = "SELECT uniqExact(owner) FROM partition_status FINAL WHERE updated_at > now() - 6"
    wait_until("both to have a partition", lambda: system.query(shared) == [(2,)], START_SECONDS)
    ready_soon(worker)
    other.send(signal.SIGSTOP)
    try:
        not_ready_soon(worker, "as_of is ")
    finally:
        other.send(signal.SIGCONT)
    ready_soon(worker)
    assert other.end() == 0
    ready_soon(worker)


def test_a_worker_that_cannot_tell_its_health_ends(system: System, worker: Process) -> None:
    taken = system.start("taken", "-m", "deploy.cli", "worker", admin_port=worker.admin_url.rsplit(":", 1)[1])
    assert taken.wait(20) == 4
    assert "set MSGMETRICS_ADMIN_PORT to a free port" in taken.log.read_text()


def test_a_partition_that_stands_still(system: System, worker: Process) -> None:
    """The framework stops to hand on what it reads, and nobody tells: not ready, and gone after a while."""
    assert worker.end() == 0
    stalling = system.start_worker("stalling", module="tests.faults.stalling")
    wait_until("readiness", lambda: stalling.readiness() == (200, []), START_SECONDS)
    stalling.send(signal.SIGUSR1)
    not_ready_soon(stalling, "has stood at offset")
    assert stalling.wait(40) == 1
    assert "although Kafka and ClickHouse answer" in stalling.log.read_text()
