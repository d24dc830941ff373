"""The production shape on one machine: a Kafka broker, ClickHouse behind HTTP, workers and API, each a process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2
import pytest
from clickhouse_connect.driver.client import Client

from schemas.connection import connect
from tests.support.kafka_broker import KafkaBroker, free_port, java_problem
from tests.support.places import TOPIC
from tests.support.system_log import SystemLog

ROOT = Path(__file__).parents[2]
NO_SKIP = "MSGMETRICS_TEST_NO_SKIP"
LATE_PAUSE = "MSGMETRICS_LATE_PAUSE_SECONDS"


def require_kafka() -> None:
    """Skip where no real broker can run; fail where skips are forbidden."""
    require(java_problem())


def require(problem: str | None) -> None:
    """Skip for this reason, if any; fail where skips are forbidden."""
    if problem:
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


def clean_environment() -> dict[str, str]:
    """The environment without settings of ours, except those for tests."""
    return {k: v for k, v in os.environ.items() if not k.startswith("MSGMETRICS_") or k.startswith("MSGMETRICS_TEST_")}


class Process:
    """A process of ours, with its output in a file."""

    admin_url = ""

    def __init__(
        self, name: str, words: Iterable[str], environment: Mapping[str, str], directory: Path, cwd: Path = ROOT
    ) -> None:
        self.name, self.log = name, directory / f"{name}.log"
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [sys.executable, *words], stdout=subprocess.PIPE, stderr=log, env=dict(environment), cwd=cwd, text=True
            )

    def first_line(self) -> str:
        assert self._popen.stdout is not None
        return self._popen.stdout.readline().strip()

    @property
    def is_alive(self) -> bool:
        return self._popen.poll() is None

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        return self._popen.poll()

    def readiness(self) -> tuple[int, list[str]]:
        """Status and reasons of /readyz; (0, []) when nobody answers."""
        try:
            response = httpx2.get(self.admin_url + "/readyz", timeout=2)
        except httpx2.TransportError:
            return 0, []
        return response.status_code, response.json()["reasons"]

    def send(self, what: signal.Signals) -> None:
        """Send a signal. What it stops stands still from here on; else another thread may run on for a moment."""
        self._popen.send_signal(what)
        if what is signal.SIGSTOP:
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def end(self, what: signal.Signals = signal.SIGTERM, seconds: float = 15) -> int:
        """Send a signal and wait for the exit code."""
        if self.is_alive:
            self.send(what)
        return self.wait(seconds)

    def wait(self, seconds: float) -> int:
        """Wait for the exit code."""
        code = self._popen.wait(seconds)
        if self._popen.stdout:
            self._popen.stdout.close()
        return code


class System(SystemLog):
    """Starts what a test asks for; everything ends with the ``with`` block."""

    def __init__(
        self,
        directory: Path,
        partitions: int = 8,
        *,
        broker: KafkaBroker | None = None,
        clickhouse_config: Path | None = None,
        clickhouse_url: str = "",
        topics: Sequence[str] = (TOPIC,),
        **settings: str,
    ) -> None:
        self.directory, self._clickhouse_config = directory, clickhouse_config
        self.partitions = dict.fromkeys(topics, partitions)
        directory.mkdir(parents=True, exist_ok=True)
        self.clickhouse_port = free_port()
        self.processes: list[Process] = []
        self.environment = {
            **clean_environment(),
            "MSGMETRICS_KAFKA_TOPIC": ",".join(topics),
            LATE_PAUSE: "5",  # else whoever waits for all offsets to be committed waits for a minute
            "MSGMETRICS_CLICKHOUSE_URL": clickhouse_url or f"http://127.0.0.1:{self.clickhouse_port}/default",
            **{f"MSGMETRICS_{name.upper()}": value for name, value in settings.items()},
        }
        if not clickhouse_url:
            self._begin_clickhouse()  # which takes as long as the broker
        self.broker = broker or KafkaBroker(directory / "kafka", ROOT / ".cache").start()
        self.environment.setdefault("MSGMETRICS_KAFKA_BOOTSTRAP", self.broker.bootstrap)
        if not clickhouse_url:
            self._await_clickhouse()
        for topic in topics if len(topics) > 1 else ():  # of several `migrate` makes none unasked
            self.broker.create_topic(topic, partitions)
        self.run("migrate", "--partitions", str(partitions))
        self.database: Client = connect(self.environment["MSGMETRICS_CLICKHOUSE_URL"])

    def __enter__(self) -> "System":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in reversed(self.processes):
            process.end(signal.SIGKILL)
        self.broker.kill()

    def _with(self, settings: Mapping[str, str]) -> dict[str, str]:
        return self.environment | {f"MSGMETRICS_{name.upper()}": value for name, value in settings.items()}

    def start(self, name: str, *words: str, **settings: str) -> Process:
        process = Process(name, words, self._with(settings), self.directory)
        self.processes.append(process)
        return process

    def start_clickhouse(self, data: str = "clickhouse") -> None:
        self._begin_clickhouse(data)
        self._await_clickhouse()

    def _begin_clickhouse(self, data: str = "clickhouse") -> None:
        path = str(self.directory / data)
        words = ["-m", "deploy.engines.chdb_http", "--path", path, "--port", str(self.clickhouse_port)]
        words += ["--config", str(self._clickhouse_config)] if self._clickhouse_config else []
        self.clickhouse = self.start("clickhouse", *words)

    def _await_clickhouse(self) -> None:
        assert self.clickhouse.first_line().startswith("http://")

    def stop_clickhouse(self) -> None:
        self.clickhouse.end(signal.SIGKILL)

    def start_worker(self, name: str, module: str = "deploy.cli", **settings: str) -> Process:
        port = free_port()
        worker = self.start(name, "-m", module, "worker", admin_port=str(port), **settings)
        worker.admin_url = f"http://127.0.0.1:{port}"
        return worker

    def start_api(self) -> str:
        """Start the API; returns its URL when it answers."""
        port = free_port()
        self.start("api", "-m", "deploy.cli", "api", api_port=str(port), admin_port=str(free_port()))
        url = f"http://127.0.0.1:{port}"
        wait_until("the API", lambda: _answers(url), 20)
        return url

    def run(self, *words: str, code: int | None = 0, stderr: bool = False, **settings: str) -> str:
        """Run a command to its end; returns its stdout or ``stderr``. The exit code must be ``code``, None for any."""
        done = subprocess.run(
            [sys.executable, "-m", "deploy.cli", *words],
            env=self._with(settings), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert code in (None, done.returncode), (
            f"msgmetrics {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done.stderr if stderr else done.stdout

    def query(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.database.query(statement, parameters=parameters).result_rows]

    def answer(self, url: str, key: str, metric: str, hour: datetime) -> Any:
        """What the endpoint answers for an hour."""
        query = {"metric": metric, "granularity": "hour", "from": hour.isoformat()}
        query["to"] = (hour + timedelta(hours=1)).isoformat()
        response = httpx2.get(
            f"{url}/v1/metrics/messages", params=query, headers={"Authorization": f"Bearer {key}"}, timeout=30
        )
        return response.json()["data"]["buckets"][0]["value"]

    def as_of_ms(self) -> int:
        return int(self.query("SELECT toUnixTimestamp64Milli(max(as_of)) FROM watermark")[0][0])

    def wait_for_as_of(self, instant_ms: int, seconds: float) -> None:
        wait_until(f"as_of >= {instant_ms}", lambda: self.as_of_ms() >= instant_ms, seconds)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url + "/v1/metrics/messages").status_code == 401
    except httpx2.TransportError:
        return False
