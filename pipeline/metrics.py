"""The worker's Prometheus metrics: one list of names with help texts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Summary

from pipeline.core.chunk import Chunk
from pipeline.core.protocol import Flushed

REGISTRY = CollectorRegistry()
PREFIX = "msgmetrics_worker_"

EVENTS = Counter(PREFIX + "events", "Events made durable, repetitions included", registry=REGISTRY)
DEAD = Counter(PREFIX + "dead_letters", "Dead letters written", registry=REGISTRY)
LATE = Counter(PREFIX + "late_keys", "(minute, organization) keys found late", registry=REGISTRY)
RECOMPUTED = Counter(PREFIX + "recomputed_keys", "(minute, organization) keys recomputed", registry=REGISTRY)
AS_OF = Gauge(PREFIX + "as_of_seconds", "as_of as this worker's roller last wrote or saw it", registry=REGISTRY)
STAGE_SECONDS = Summary(
    PREFIX + "stage_seconds",
    "Time spent by stage: decode, flush, progress, recompute, roll",
    ["stage"],
    registry=REGISTRY,
)


def flushed(chunk: Chunk, result: Flushed) -> None:
    """Count a flush that is durable."""
    EVENTS.inc(len(chunk.columns))
    DEAD.inc(result.dead_letters)
    LATE.inc(len(result.late))
