"""Freshness: how far ``as_of`` is behind the clock while events come at a steady rate."""

import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.figures import Figures
from tests.bench.watching import last_json, wait_for
from tests.support.places import TOPIC
from tests.support.system import ROOT, System
from tests.support.usage import cpu_seconds

PART = "freshness"
RATES = (5_000, 20_000, 50_000)
SECONDS, SETTLE_SECONDS, SAMPLE_SECONDS = 60.0, 14.0, 0.1
LATENESS_SECONDS = 10.0
TARGET_RATE, TARGET_SECONDS = 20_000, LATENESS_SECONDS + 2
MOST_MISSING = 0.98


def measure(figures: Figures, scale: float) -> None:
    """Each rate in turn, at the default lateness; what came before is settled first."""
    seconds = max(10.0, min(SECONDS, SECONDS * 5 * scale))
    with tempfile.TemporaryDirectory() as directory, System(Path(directory)) as system:
        worker = system.start_worker("fresh")
        wait_for("the first as_of", lambda: system.as_of_ms() > 0, 60)
        for rate in RATES:
            words = [system.broker.bootstrap, TOPIC, str(rate), str(seconds + SETTLE_SECONDS)]
            producer = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.steady", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
            )
            time.sleep(SETTLE_SECONDS)
            cpu, ages = cpu_seconds(worker.pid), ages_of(system, seconds)
            used = cpu_seconds(worker.pid) - cpu
            said = last_json(producer.communicate(timeout=120)[0]) or {"rate": 0.0}
            at_most = TARGET_SECONDS if rate == TARGET_RATE else None
            figures.add(PART, f"now - as_of at {rate:,} events/s, p50", statistics.median(ages), "s")
            figures.add(PART, f"now - as_of at {rate:,} events/s, p99", quantile(ages, 0.99), "s", at_most=at_most)
            figures.add(PART, f"worker at {rate:,} events/s", used / seconds * 100, "% of a core")
            if said["rate"] < rate * MOST_MISSING:
                figures.remark(f"the producer reached {said['rate']:,.0f} of {rate:,} events/s on this machine")
        assert worker.end(signal.SIGTERM) == 0


def ages_of(system: System, seconds: float) -> list[float]:
    """The age of ``as_of`` in seconds, looked at for a while."""
    ages, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        as_of_ms = system.as_of_ms()
        ages.append(time.time() - as_of_ms / 1000)
        time.sleep(SAMPLE_SECONDS)
    return ages


def quantile(values: list[float], share: float) -> float:
    """The value below which that share of the values is."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
