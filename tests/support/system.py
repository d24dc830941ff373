"""The production shape on one machine: a Kafka broker, ClickHouse behind HTTP, workers and API, each a process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2
import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from deploy.engines.kafka_broker import KafkaBroker, free_port, java_problem
from schemas.connection import connect
from tests.support.ledger import Produced

ROOT = Path(__file__).parents[2]
TOPIC, GROUP = "message-events", "message-metrics"
NO_SKIP = "MSGMETRICS_TEST_NO_SKIP"
COORDINATOR_MOVES = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
}


def require_kafka() -> None:
    """Skip where no real broker can run; fail where skips are forbidden."""
    if problem := java_problem():
        if os.environ.get(NO_SKIP):
            pytest.fail(problem)
        pytest.skip(problem)


def wait_until(what: str, check: Callable[[], Any], seconds: float) -> Any:
    """Poll other processes until ``check`` is true; fails with what was waited for and the last thing seen."""
    deadline, seen = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        seen = check()
        if seen:
            return seen
        time.sleep(0.2)
    pytest.fail(f"waited {seconds} s for {what}; last seen: {seen!r}")


class Process:
    """A process of ours, with its output in a file."""

    def __init__(self, name: str, words: Iterable[str], environment: Mapping[str, str], directory: Path) -> None:
        self.log = directory / f"{name}.log"
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [sys.executable, *words], stdout=subprocess.PIPE, stderr=log, env=dict(environment), cwd=ROOT, text=True
            )

    def first_line(self) -> str:
        assert self._popen.stdout is not None
        return self._popen.stdout.readline().strip()

    @property
    def is_alive(self) -> bool:
        return self._popen.poll() is None

    def send(self, what: signal.Signals) -> None:
        self._popen.send_signal(what)

    def end(self, what: signal.Signals = signal.SIGTERM, seconds: float = 15) -> int:
        """Send a signal and wait for the exit code."""
        if self.is_alive:
            self.send(what)
        return self._popen.wait(seconds)


class System:
    """Starts what a test asks for; everything ends with the ``with`` block."""

    def __init__(self, directory: Path, partitions: int = 8, **settings: str) -> None:
        self.directory, self.partitions = directory, partitions
        directory.mkdir(parents=True, exist_ok=True)
        self.broker = KafkaBroker(directory / "kafka", ROOT / ".cache").start()
        self.clickhouse_port = free_port()
        self.processes: list[Process] = []
        self.environment = {
            **{
                k: v
                for k, v in os.environ.items()
                if not k.startswith("MSGMETRICS_") or k.startswith("MSGMETRICS_TEST_")
            },
            "MSGMETRICS_KAFKA_BOOTSTRAP": self.broker.bootstrap,
            "MSGMETRICS_CLICKHOUSE_URL": f"http://127.0.0.1:{self.clickhouse_port}/default",
            **{f"MSGMETRICS_{name.upper()}": value for name, value in settings.items()},
        }
        self.start_clickhouse()
        self.run("migrate", "--partitions", str(partitions))
        self.database: Client = connect(self.environment["MSGMETRICS_CLICKHOUSE_URL"])

    def __enter__(self) -> "System":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in reversed(self.processes):
            process.end(signal.SIGKILL)
        self.broker.kill()

    def start(self, name: str, *words: str, **settings: str) -> Process:
        extra = {f"MSGMETRICS_{setting.upper()}": value for setting, value in settings.items()}
        process = Process(name, words, {**self.environment, **extra}, self.directory)
        self.processes.append(process)
        return process

    def start_clickhouse(self) -> None:
        path = str(self.directory / "clickhouse")
        words = ("-m", "deploy.engines.chdb_http", "--path", path, "--port", str(self.clickhouse_port))
        self.clickhouse = self.start("clickhouse", *words)
        assert self.clickhouse.first_line().startswith("http://")

    def start_worker(self, name: str) -> Process:
        return self.start(name, "-m", "deploy.cli", "worker", admin_port=str(free_port()))

    def start_api(self) -> str:
        """Start the API; returns its URL when it answers."""
        port = free_port()
        self.start("api", "-m", "deploy.cli", "api", api_port=str(port), admin_port=str(free_port()))
        url = f"http://127.0.0.1:{port}"
        wait_until("the API", lambda: _answers(url), 20)
        return url

    def run(self, *words: str, code: int = 0) -> str:
        """Run a command to its end and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "deploy.cli", *words],
            env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"msgmetrics {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def query(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.database.query(statement, parameters=parameters).result_rows]

    def producer(self, **settings: Any) -> Producer:
        config = {
            "bootstrap.servers": self.broker.bootstrap,
            "linger.ms": 20,
            "log_level": 0,
            "error_cb": lambda _: None,
        }
        return Producer({**config, "queue.buffering.max.messages": 1_000_000, **settings})

    def produce(self, records: Iterable[Produced], **settings: Any) -> int:
        """Send records and wait until all are acknowledged; returns how many."""
        producer, count = self.producer(**settings), 0
        for count, record in enumerate(records, 1):
            producer.produce(TOPIC, record.value, key=record.key)
            if count % 500 == 0:
                producer.poll(0)
        assert producer.flush(60) == 0
        return count

    def unfinished(self) -> dict[int, tuple[int, int]]:
        """Partitions whose committed offset is not the end of the log: {partition: (committed, end)}."""
        consumer = Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": GROUP, "log_level": 0})
        try:
            tps = [TopicPartition(TOPIC, p) for p in range(self.partitions)]
            committed = {tp.partition: max(tp.offset, 0) for tp in consumer.committed(tps, timeout=10)}
            ends = {tp.partition: consumer.get_watermark_offsets(tp, timeout=10)[1] for tp in tps}
            return {p: (committed[p], end) for p, end in ends.items() if committed[p] != end}
        except KafkaException as error:
            if error.args[0].code() not in COORDINATOR_MOVES:
                raise
            return {-1: (-1, -1)}  # a broker that has just started has no coordinator yet
        finally:
            consumer.close()

    def wait_until_done(self, seconds: float) -> None:
        """Wait until everything in the log is durable, recomputed and committed."""
        last: list[Any] = []

        def done() -> bool:
            last[:] = [self.unfinished()]
            return not last[0]

        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if done():
                return
            time.sleep(0.3)
        pytest.fail(f"not everything was committed within {seconds} s: {last}; logs are in {self.directory}")

    def as_of_ms(self) -> int:
        return int(self.query("SELECT toUnixTimestamp64Milli(max(as_of)) FROM watermark")[0][0])

    def wait_for_as_of(self, instant_ms: int, seconds: float) -> None:
        wait_until(f"as_of >= {instant_ms}", lambda: self.as_of_ms() >= instant_ms, seconds)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url + "/v1/metrics/messages").status_code == 401
    except httpx2.TransportError:
        return False
