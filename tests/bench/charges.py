"""Charges: one to two messages, each for a message of six hours ago, at a steady rate beside live traffic.

Every one is late, so (minute, organization) keys are recomputed all the time. Measured are the age of ``as_of`` with
and without them, and how many keys wait: no more than there are.
"""

import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2

from schemas.limits import LATE_PAUSE_SECONDS
from tests.bench.events import ORGANIZATIONS
from tests.bench.figures import Figures
from tests.bench.freshness import ages_of, quantile
from tests.bench.steady import SPREAD_MINUTES
from tests.bench.watching import last_json, wait_for
from tests.support.places import TOPIC
from tests.support.system import ROOT, Process, System
from tests.support.usage import cpu_seconds

PART = "charges"
RATE = 5_000
SETTLE_SECONDS = 14.0
HELD_BACK_SECONDS = 1.0
DISTINCT_KEYS = (SPREAD_MINUTES + 1) * ORGANIZATIONS
"""Of minutes and organizations that charges come for; one more minute passes while it is measured."""
_PENDING = re.compile(r"^msgmetrics_worker_pending_recomputes (\S+)$", re.MULTILINE)


def measure(figures: Figures, scale: float) -> None:
    """Live traffic alone, then with a charge to two messages, for longer than the longest pause between recomputes."""
    seconds = max(1.5 * LATE_PAUSE_SECONDS, 600 * scale)
    with (
        tempfile.TemporaryDirectory() as directory,
        System(Path(directory), late_pause_seconds=f"{LATE_PAUSE_SECONDS:g}") as system,
    ):
        worker = system.start_worker("charges")
        wait_for("the first as_of", lambda: system.as_of_ms() > 0, 60)
        alone, _ = _phase(figures, system, worker, 30.0)
        beside, pending = _phase(figures, system, worker, seconds, "charges")
        name = f"now - as_of at {RATE:,} events/s, p99"
        figures.add(PART, f"{name}, messages alone", alone, "s")
        figures.add(PART, f"{name}, a third charges", beside, "s", at_most=alone + HELD_BACK_SECONDS)
        most = 2 * DISTINCT_KEYS  # a key may run, and wait again
        figures.add(PART, f"keys pending at most, of {DISTINCT_KEYS:,} that there are", pending, "keys", at_most=most)
        assert worker.end(signal.SIGTERM, 60) == 0


def _phase(figures: Figures, system: System, worker: Process, seconds: float, *more: str) -> tuple[float, float]:
    """The age of ``as_of`` (p99) and the most pending keys, at a steady rate."""
    words = [system.broker.bootstrap, TOPIC, str(RATE), str(seconds + SETTLE_SECONDS), *more]
    command = [sys.executable, "-m", "tests.bench.steady", *words]
    producer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    time.sleep(SETTLE_SECONDS)
    told = " and ".join(more) or "no charges"
    with ThreadPoolExecutor(1) as beside:
        pids = {"worker": worker.pid, "ClickHouse": system.clickhouse.pid}
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        pending = beside.submit(_most_pending, worker, seconds)
        ages = ages_of(system, seconds)
        for name, pid in pids.items():
            used = (cpu_seconds(pid) - before[name]) / seconds * 100
            figures.add(PART, f"{name} at {RATE:,} events/s, {told}", used, "% of a core")
    said = last_json(producer.communicate(timeout=120)[0]) or {"rate": 0.0}
    if said["rate"] < 0.98 * RATE:
        figures.remark(f"the producer reached {said['rate']:,.0f} of {RATE:,} events/s on this machine")
    return quantile(ages, 0.99), pending.result()


def _most_pending(worker: Process, seconds: float) -> float:
    most, deadline = 0.0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = _PENDING.search(httpx2.get(worker.admin_url + "/metrics", timeout=10).text)
        most = max(most, float(found[1]) if found else 0.0)
        time.sleep(1)
    return most
