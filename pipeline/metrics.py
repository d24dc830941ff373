"""The worker's Prometheus metrics: one list of names with help texts.

Everything is counted per batch, flush or report, never per event. Names end up in alert rules and dashboards (deploy/),
which a test holds against this list.
"""

import math
from collections.abc import Collection, Mapping
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, Summary

from pipeline.core.place import Place
from schemas.message_event import DeadLetterReason


class Stage(StrEnum):
    """Stages that a worker spends its time in. They overlap, since they run in threads of their own."""

    WAIT = "wait"
    POLL = "poll"
    DECODE = "decode"
    FLUSH = "flush"
    BUILD = "build"
    INSERT = "insert"
    PROGRESS = "progress"
    COMMIT = "commit"
    RECOMPUTE = "recompute"
    ROLL = "roll"
    SWEEP = "sweep"


REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PREFIX = "msgmetrics_worker_"
FLUSH_EVENTS_BUCKETS = (1, 10, 100, 1_000, 5_000, 10_000, 20_000, 50_000, 100_000)
FLUSH_BYTES_BUCKETS = tuple(1 << n for n in range(10, 28, 3))

EVENTS = Counter(PREFIX + "events", "Events made durable, repetitions included", registry=REGISTRY)
ERASED = Counter(PREFIX + "erased_records", "Records dropped since their organization was erased", registry=REGISTRY)
DEAD = Counter(PREFIX + "dead_letters", "Dead letters written, by reason", ["reason"], registry=REGISTRY)
LATE = Counter(PREFIX + "late_keys", "(minute, organization) keys found late", registry=REGISTRY)
RECOMPUTED = Counter(PREFIX + "recomputed_keys", "(minute, organization) keys recomputed", registry=REGISTRY)
PENDING = Gauge(
    PREFIX + "pending_recomputes", "(minute, organization) keys that wait to be recomputed", registry=REGISTRY
)
FLUSH_EVENTS = Histogram(PREFIX + "flush_events", "Records of a flush", buckets=FLUSH_EVENTS_BUCKETS, registry=REGISTRY)
FLUSH_BYTES = Histogram(
    PREFIX + "flush_bytes", "Bytes of the records of a flush", buckets=FLUSH_BYTES_BUCKETS, registry=REGISTRY
)
SINK_RETRIES = Counter(PREFIX + "sink_retries", "Statements that ClickHouse did not take at once", registry=REGISTRY)
AS_OF = Gauge(PREFIX + "as_of_seconds", "as_of in epoch seconds, as last seen; 0 before the first", registry=REGISTRY)
AS_OF_AGE = Gauge(
    PREFIX + "as_of_age_seconds", "How far as_of is behind the clock; NaN before the first", registry=REGISTRY
)
CLOCK_SKEW = Gauge(
    PREFIX + "clock_skew_seconds",
    "How far this machine's clock is ahead of ClickHouse's: the largest skew of the last minute, by any server; NaN "
    "before the first reading",
    registry=REGISTRY,
)
CLOCK_SKEW.set(math.nan)
READY = Gauge(PREFIX + "ready", "1 when /readyz says ready", registry=REGISTRY)
OF_PARTITION = ("topic", "partition")
LAG = Gauge(
    PREFIX + "partition_lag_records", "Records in the log that are not durable", OF_PARTITION, registry=REGISTRY
)
POSITION = Gauge(PREFIX + "partition_next_offset", "The next offset to make durable", OF_PARTITION, registry=REGISTRY)
LOG_END = Gauge(PREFIX + "partition_log_end_offset", "Where the log ends", OF_PARTITION, registry=REGISTRY)
WAITING = Gauge(PREFIX + "partition_waiting", "1 while a partition cannot go on", OF_PARTITION, registry=REGISTRY)
VIOLATIONS = Gauge(
    PREFIX + "violations",
    "Events, by id and type, that were sent for more than one minute, in the newest hour that is closed or as much of "
    "it as can be looked at; NaN where another worker looks",
    registry=REGISTRY,
)
VIOLATIONS.set(math.nan)
DIFFERING = Gauge(
    PREFIX + "statements_differing",
    "Organizations of which a month was stated with other numbers than the rollups have by now; no series where "
    "another worker looks",
    ["period"],
    registry=REGISTRY,
)
UNSTATED = Gauge(
    PREFIX + "statements_missing",
    "Organizations with numbers of a month that has ended, and without a statement of it, where any month was stated; "
    "no series where another worker looks",
    ["period"],
    registry=REGISTRY,
)
STAGE_SECONDS = Summary(PREFIX + "stage_seconds", "Time spent: " + ", ".join(Stage), ["stage"], registry=REGISTRY)

# Series exist from the start, at zero: a rate over a series that appears with its first event would miss that event.
for _stage in Stage:
    STAGE_SECONDS.labels(_stage)
for _reason in DeadLetterReason:
    DEAD.labels(_reason)


def partitions(durable: Mapping[Place, int], ends: Mapping[Place, int], waiting: Collection[Place]) -> None:
    """Note where this worker's partitions stand (next offsets); those it has lost disappear.

    A partition whose leader does not tell where its log ends has no lag, rather than none.
    """
    for gauge in (LAG, POSITION, LOG_END, WAITING):
        gauge.clear()
    for place, next_offset in durable.items():
        POSITION.labels(*place).set(next_offset)
        if (end := ends.get(place)) is not None:
            LAG.labels(*place).set(max(0, end - next_offset))
            LOG_END.labels(*place).set(end)
    for place in durable.keys() | set(waiting):
        WAITING.labels(*place).set(place in waiting)


def months(differing: Mapping[str, int], unstated: Mapping[str, int]) -> None:
    """Note how many organizations differ, by month that was stated, and lack a statement, by month that has ended.

    Other months disappear.
    """
    for gauge, numbers in ((DIFFERING, differing), (UNSTATED, unstated)):
        gauge.clear()
        for period, number in numbers.items():
            gauge.labels(period).set(number)


def stage_seconds() -> dict[str, float]:
    """Seconds spent by stage since the process began."""
    samples = (sample for family in STAGE_SECONDS.collect() for sample in family.samples)
    return {s.labels["stage"]: s.value for s in samples if s.name.endswith("_sum")}


def value(metric: Counter | Gauge) -> float:
    """The value of a counter or gauge, summed over its labels."""
    samples = (sample for family in metric.collect() for sample in family.samples)
    return sum(sample.value for sample in samples if not sample.name.endswith("_created"))
