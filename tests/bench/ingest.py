"""Ingest: Kafka to durable facts with watermark and commit, beside what else consumes the same topic."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from tests.bench.events import send
from tests.bench.figures import Figures
from tests.bench.peers import PEERS, run_peer
from tests.bench.watching import Run, last_json, run_of
from tests.support.places import TOPIC
from tests.support.system import ROOT, System
from tests.support.system_log import GROUP

PART = "ingest"
EVENTS = 5_000_000
SLOW_SHARE = 10
"""Faust's own ways get a tenth of the events: they are that much slower."""
EMBEDDED_GROUP = "bench-embedded"
TOPICS = ("message-sent", "message-delivered", "message-failed")
LEAST_SHARE = 0.9
"""Several topics may cost so much: nothing of the work is by topic, and runs differ by some percent."""
TARGETS = {"embedded": 150_000.0, "over HTTP": 110_000.0}


def measure(figures: Figures, scale: float, peers: Sequence[str]) -> None:
    """Everything on one topic of one broker, one after the other."""
    count = max(100_000, int(EVENTS * scale))
    with tempfile.TemporaryDirectory() as directory, System(Path(directory)) as system:
        send(system, count, timedelta(hours=1))
        http = _over_http(system, count)
        _add_run(figures, "over HTTP", http, count, at_most_mib=600)
        embedded = _embedded(system, Path(directory), count)
        _add_run(figures, "embedded", embedded, count)
        ours = {"over HTTP": count / http.seconds, "embedded": count / embedded.seconds}
        url = system.environment["MSGMETRICS_CLICKHOUSE_URL"]
        bootstrap, slow = system.broker.bootstrap, str(max(20_000, count // SLOW_SHARE // 2))
        ceiling = _child("tests.bench.ceiling", bootstrap, TOPIC, str(count), url)
        table = _child("tests.bench.faust_agents", bootstrap, TOPIC, slow, "table")
        event = _child("tests.bench.faust_agents", bootstrap, TOPIC, slow, "event")
        rates: dict[str, dict[str, float] | None] = {
            "ceiling: aiokafka + decode + insert, no guarantees": ceiling,
            "Faust agent with a windowed Table": table,
            "Faust, event by event, no state": event,
        }
        for name in peers:
            rates[PEERS[name].title] = run_peer(name, bootstrap, TOPIC, count, figures)
        for name, measured in rates.items():
            if measured is not None:
                figures.add(PART, name, measured["rate"], "events/s")
                figures.add(PART, f"{name}, CPU", measured["cpu_us"], "µs/event")
        _add_ratios(figures, ours["over HTTP"], {name: m["rate"] for name, m in rates.items() if m is not None})
    _several_topics(figures, count, ours["over HTTP"])


def _several_topics(figures: Figures, count: int, of_one: float) -> None:
    """The same events on a topic for each type, with about as many partitions in all."""
    with tempfile.TemporaryDirectory() as directory, System(Path(directory), 3, topics=TOPICS) as system:
        send(system, count, timedelta(hours=1))
        run = _over_http(system, count)
    rate = count / run.seconds
    figures.add(PART, "this worker, over HTTP, three topics", rate, "events/s", at_least=TARGETS["over HTTP"])
    figures.add(PART, "three topics, compared with one", rate / of_one, "times", at_least=LEAST_SHARE)


def _add_run(figures: Figures, name: str, run: Run, count: int, at_most_mib: float | None = None) -> None:
    figures.add(PART, f"this worker, {name}", count / run.seconds, "events/s", at_least=TARGETS[name])
    figures.add(PART, f"this worker, {name}, CPU", run.cpu_seconds / count * 1e6, "µs/event")
    figures.add(PART, f"this worker, {name}, peak memory", run.peak_mib, "MiB", at_most=at_most_mib)
    for stage, seconds in sorted(run.stages.items(), key=lambda item: -item[1]):
        figures.add(PART, f"this worker, {name}, time in {stage}", seconds / run.seconds * 100, "% of time")


def _add_ratios(figures: Figures, ours: float, rates: dict[str, float]) -> None:
    targets = {"ceiling": 0.6, "Faust agent": 50.0, "Bytewax": 3.0, "Flink": 1.0}
    for name, rate in rates.items():
        least = next((target for start, target in targets.items() if name.startswith(start)), None)
        figures.add(PART, f"over HTTP, compared with {name}", ours / rate, "times", at_least=least)


def _over_http(system: System, count: int) -> Run:
    worker = system.start_worker("bench-http")
    run = run_of(system, worker, GROUP, 60 + count / 5_000)
    assert system.query("SELECT count() FROM facts")[0][0] >= count
    assert worker.end(signal.SIGTERM) == 0
    return run


def _embedded(system: System, directory: Path, count: int) -> Run:
    """The engine in the worker's own process."""
    url = f"chdb://{directory / 'embedded'}"
    environment = {**system.environment, "MSGMETRICS_CLICKHOUSE_URL": url}
    subprocess.run([sys.executable, "-m", "deploy.cli", "migrate"], env=environment, cwd=ROOT, check=True)
    worker = system.start_worker("bench-embedded", clickhouse_url=url, kafka_group=EMBEDDED_GROUP)
    run = run_of(system, worker, EMBEDDED_GROUP, 60 + count / 5_000)
    worker.end(signal.SIGTERM)
    return run


def _child(module: str, *words: str) -> dict[str, float]:
    """What a benchmark in a process of its own says."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MSGMETRICS_")}
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    measured = last_json(done.stdout)
    if measured is None:
        raise SystemExit(f"{module} measured nothing:\n{done.stderr[-2000:]}")
    return measured
