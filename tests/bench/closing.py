"""Closing buckets, recomputing late ones, and a backfill into a system that is otherwise caught up."""

import random
import signal
import tempfile
import time
import uuid
from datetime import timedelta
from pathlib import Path

from pipeline.clickhouse.store import Store
from pipeline.core.effects import CloseBuckets
from pipeline.core.late_keys import LateKeys
from pipeline.core.protocol import recompute_steps
from pipeline.runner import drive
from schemas.grain import Grain
from tests.bench.dataset import DAYS, Span, close, days_before_today, fill, store_of
from tests.bench.events import ORGANIZATIONS, send
from tests.bench.figures import Figures
from tests.bench.watching import run_of, wait_for
from tests.support.system import Process, System
from tests.support.system_log import GROUP

PART = "closing"
FACTS, BACKFILL = 20_000_000, 5_000_000
LATE_KEYS = (1_000, 50_000)
CAUGHT_UP_MS = 60_000


def measure(figures: Figures, scale: float) -> None:
    """Closing and recomputing by the pipeline's own statements, then the backfill through a worker."""
    facts, backfill = int(FACTS * scale), int(BACKFILL * scale)
    with tempfile.TemporaryDirectory() as directory, System(Path(directory)) as system:
        span, store = days_before_today(), store_of(system)
        fill(system, facts, ORGANIZATIONS, span)
        took = close(store, span)
        figures.add(PART, f"{facts:,} facts of {DAYS} days, all grains", facts / took, "facts/s")
        _by_grain(figures, store, span, facts)
        for keys in LATE_KEYS:
            _late(figures, store, span, keys)
        _backfill(figures, system, backfill)


def _by_grain(figures: Figures, store: Store, span: Span, facts: int) -> None:
    last_day = span.end - Grain.DAY.seconds
    for grain, per_grain in ((Grain.MINUTE, 30), (Grain.HOUR, 12), (Grain.DAY, 3)):
        began = time.perf_counter()
        for number in range(per_grain):
            start = last_day - number * grain.seconds
            for source in (g for g in (Grain.MINUTE, Grain.HOUR, Grain.DAY) if g.seconds <= grain.seconds):
                store.perform(CloseBuckets(source, start, start + grain.seconds, 0))
        took = (time.perf_counter() - began) / per_grain
        inside = facts * grain.seconds / (span.end - span.start)
        figures.add(PART, f"closing one {grain} of {inside:,.0f} facts", took * 1000, "ms")
        figures.add(PART, f"closing one {grain}", inside / took, "facts/s")


def _late(figures: Figures, store: Store, span: Span, count: int) -> None:
    pick, width = random.Random(count), Grain.MINUTE.seconds
    minutes = range(span.start // width, span.end // width)
    keys = LateKeys.listed(*((pick.choice(minutes), f"org-{pick.randrange(ORGANIZATIONS)}") for _ in range(count)))
    began = time.perf_counter()
    drive(recompute_steps(str(uuid.uuid4()), keys), store.perform)
    took = time.perf_counter() - began
    figures.add(PART, f"late recompute of {count:,} random minutes, all grains", took / len(keys) * 1e6, "µs/bucket")


def _backfill(figures: Figures, system: System, count: int) -> None:
    """Every event of both is late: the system is caught up with the present when they come."""
    for order, target in (("random order", 30_000.0), ("time order", 80_000.0)):
        caught_up = system.start_worker(f"caught-up-{order[:4]}")
        _wait_until_reading(caught_up)
        system.wait_for_as_of(int(time.time() * 1000) - CAUGHT_UP_MS, 300)
        assert caught_up.end(signal.SIGTERM) == 0
        send(system, count, timedelta(days=DAYS), shuffled=order == "random order", seed=len(order))
        worker = system.start_worker(f"backfill-{order[:4]}")
        run = run_of(system, worker, GROUP, 120 + count / 2_000)
        assert worker.end(signal.SIGTERM) == 0
        name = f"backfill of {count:,} late events, {order}"
        figures.add(PART, name, count / run.seconds, "events/s", at_least=target)
        figures.add(PART, f"backfill in {order}, peak memory", run.peak_mib, "MiB")
        for stage in ("decode", "insert", "flush", "recompute"):
            figures.add(
                PART, f"backfill in {order}, time in {stage}", run.stages[stage] / run.seconds * 100, "% of time"
            )


def _wait_until_reading(worker: Process) -> None:
    wait_for(f"{worker.name} to begin", lambda: "reading {" in worker.log.read_text(), 60)
