"""``make bench``: events per second from Kafka to durable facts, beside Faust's own ways, all in one run."""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.ledger import Produced
from tests.support.system import ROOT, TOPIC, System

SLOW_SHARE = 10
"""Faust's own ways get a tenth of the events: they are that much slower."""


def events(count: int) -> Iterator[Produced]:
    """Plain events of the last hour in order, 50 organizations, about 214 bytes each."""
    pick, now = random.Random(1), datetime.now(UTC)
    for number in range(count):
        at = now - timedelta(hours=1) * (1 - number / count)
        event = {
            "event_id": str(uuid.UUID(int=pick.getrandbits(128))),
            "type": pick.choice(["message.sent", "message.delivered"]),
            "org_id": f"org-{pick.randrange(50)}",
            "channel": pick.choice(["sms", "email", "whatsapp"]),
            "cost_cents": pick.choice(["0.75", "0.02", "1.2"]),
            "occurred_at": at.isoformat(timespec="milliseconds"),
        }
        yield Produced(None, json.dumps(event).encode())


def child(module: str, *words: str) -> float:
    """What a benchmark in a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-m", module, *words], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.replace(".", "", 1).isdigit()]
    if not lines:
        raise SystemExit(f"{module} measured nothing:\n{done.stderr[-2000:]}")
    return float(lines[-1])


def worker_rate(system: System, count: int) -> tuple[float, int]:
    """Events/s of our worker from its first fetch to its last durable fact, and its peak memory in MiB."""
    worker = system.start_worker("bench-worker")
    while system.query("SELECT count() FROM facts")[0][0] < count:
        time.sleep(0.02)
    took = (datetime.now(UTC) - _began_reading(worker.log)).total_seconds()
    system.wait_until_done(60)
    peak = _peak_mib(worker._popen.pid)
    assert worker.end(signal.SIGTERM) == 0
    return count / took, peak


def _began_reading(log: Path) -> datetime:
    """When the worker was given its starting points, by its own log."""
    entries = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
    return next(datetime.fromisoformat(e["at"]) for e in entries if e["message"].startswith("reading {"))


def _peak_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    count = parser.parse_args().events
    with tempfile.TemporaryDirectory() as directory, System(Path(directory)) as system:
        system.produce(events(count), **{"compression.type": "lz4", "linger.ms": 50})
        ours, peak = worker_rate(system, count)
        bootstrap, url = system.broker.bootstrap, system.environment["MSGMETRICS_CLICKHOUSE_URL"]
        rates = {"this worker, over HTTP": ours}
        rates["ceiling: aiokafka + decode + insert"] = child("tests.bench.ceiling", bootstrap, TOPIC, str(count), url)
        for how, name in (("event", "Faust, event by event, no state"), ("table", "Faust agent with a windowed Table")):
            rates[name] = child("tests.bench.faust_agents", bootstrap, TOPIC, str(count // SLOW_SHARE), how)
    print(f"{count} events, 8 partitions, broker and ClickHouse on this machine; worker's peak memory {peak} MiB\n")
    print(f"{'':<40} {'events/s':>10} {'ratio':>8}")
    for name, rate in rates.items():
        print(f"{name:<40} {rate:>10,.0f} {ours / rate:>7.1f}x")


if __name__ == "__main__":
    main()
