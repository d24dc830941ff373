"""How cost grows with organizations, the number of facts being the same."""

import tempfile
import time
from pathlib import Path

from pipeline.core.effects import CloseBuckets
from schemas.grain import Grain
from schemas.tables import FACTS, rollup_table
from tests.bench.dataset import Span, days_before_today, disk_bytes, engine_mib, fill, store_of
from tests.bench.figures import Figures
from tests.support.system import System

PART = "growth by organizations"
FACTS_OF_A_DAY = 1_000_000
ORGANIZATIONS = (10, 100, 1_000, 10_000)


def measure(figures: Figures, scale: float) -> None:
    """One day of facts of so many organizations, closed at once."""
    facts = int(FACTS_OF_A_DAY * min(1.0, 5 * scale))
    for orgs in ORGANIZATIONS:
        with tempfile.TemporaryDirectory() as directory, System(Path(directory)) as system:
            _one_day(figures, system, facts, orgs, days_before_today(1))


def _one_day(figures: Figures, system: System, facts: int, orgs: int, span: Span) -> None:
    store, name = store_of(system), f"{orgs:,} organizations"
    filled = fill(system, facts, orgs, span)
    began = time.perf_counter()
    for grain in Grain:
        store.perform(CloseBuckets(grain, span.start, span.end, 0))
    closed = time.perf_counter() - began
    buckets = sum(int(system.query(f"SELECT count() FROM {rollup_table(grain)} FINAL")[0][0]) for grain in Grain)
    rollups = sum(disk_bytes(system, rollup_table(grain)) for grain in Grain)
    figures.add(PART, f"{name}, inserting {facts:,} facts by SQL", filled / facts * 1e6, "µs/fact")
    figures.add(PART, f"{name}, closing all buckets", closed / facts * 1e6, "µs/fact")
    figures.add(PART, f"{name}, closing all buckets", closed / buckets * 1e6, "µs/bucket")
    figures.add(PART, f"{name}, facts on disk", disk_bytes(system, FACTS) / facts, "bytes/fact")
    figures.add(PART, f"{name}, rollups on disk", rollups / buckets, "bytes/bucket")
    figures.add(PART, f"{name}, ClickHouse's peak memory", engine_mib(system), "MiB")
