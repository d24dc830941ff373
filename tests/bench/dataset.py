"""Facts by the million, made by ClickHouse itself, and the buckets over them."""

import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.clickhouse.store import Store
from pipeline.core.effects import CloseBuckets, RaiseState, State
from schemas.grain import Grain
from schemas.limits import LONGEST_STATEMENT_SECONDS
from tests.support.system import System
from tests.support.usage import peak_mib

DAYS = 30
FILL = """
INSERT INTO facts (org_id, event_id, type, channel, error_code, cost_cents, occurred_at, record_at, partition, offset)
SELECT
    concat('org-', toString(cityHash64(number, {seed:String}) % {orgs:UInt32})),
    toString(generateUUIDv4()),
    1 + number % 3,
    ['sms', 'email', 'whatsapp'][1 + cityHash64(number) % 3],
    if(number % 3 = 2, ['', 'E1', 'E2'][1 + number % 9 % 3], ''),
    toDecimal64(number % 3, 6),
    fromUnixTimestamp64Milli(toInt64({start_ms:Int64} + intDiv(number * {span_ms:Int64}, {count:UInt64})), 'UTC'),
    now64(3, 'UTC'),
    number % 8,
    number
FROM numbers({count:UInt64})
"""
SIZE = """
SELECT sum(bytes_on_disk) FROM system.parts
WHERE active AND database = currentDatabase() AND table = {table:String}
"""


@dataclass(frozen=True, slots=True)
class Span:
    """Whole days, in epoch seconds."""

    start: int
    end: int


def days_before_today(days: int = DAYS) -> Span:
    """The days that ended with the last midnight."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Span(int((today - timedelta(days=days)).timestamp()), int(today.timestamp()))


def fill(system: System, count: int, orgs: int, span: Span) -> float:
    """Insert facts, evenly over days and organizations; returns the seconds that took."""
    began, days = time.perf_counter(), (span.end - span.start) // Grain.DAY.seconds
    for day in range(days):
        start = span.start + day * Grain.DAY.seconds
        system.database.command(
            FILL,
            parameters={
                "seed": uuid.uuid4().hex,
                "orgs": orgs,
                "start_ms": start * 1000,
                "span_ms": Grain.DAY.milliseconds,
                "count": max(1, count // days),
            },
        )
    return time.perf_counter() - began


def store_of(system: System) -> Store:
    """The pipeline's own store, with the longest time for a statement that there is."""
    url = system.environment["MSGMETRICS_CLICKHOUSE_URL"]
    return Store(url, "bench", "bench", LONGEST_STATEMENT_SECONDS)


def close(store: Store, span: Span) -> float:
    """Close every minute, hour and day of a span, a day at a time; returns the seconds that took."""
    began = time.perf_counter()
    for start in range(span.start, span.end, Grain.DAY.seconds):
        for grain in (Grain.MINUTE, Grain.HOUR, Grain.DAY):
            store.perform(CloseBuckets(grain, start, start + Grain.DAY.seconds, 0))
    store.perform(RaiseState(State(as_of_ms=span.end * 1000, closing_ms=span.end * 1000)))
    return time.perf_counter() - began


def disk_bytes(system: System, table: str) -> int:
    """Bytes of a table's active parts."""
    return int(system.query(SIZE, table=table)[0][0])


def engine_mib(system: System) -> float:
    """Peak memory of ClickHouse."""
    return peak_mib(system.clickhouse.pid)


def fresh(directory: str, name: str) -> Path:
    """A directory of one system among several."""
    return Path(directory) / name
