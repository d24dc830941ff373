"""Stores to hold against one contract: the fake and ClickHouse, and what fills and reads them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.clickhouse.store import Store
from pipeline.core.effects import CloseBuckets, Effect
from pipeline.core.place import Place
from pipeline.core.records import Columns
from pipeline.core.start import Stored
from schemas.connection import connect
from schemas.endpoint import Endpoint
from schemas.grain import Grain
from tests.support.fake_store import FakeStore
from tests.support.places import P0

NOW = int(datetime.now(UTC).timestamp())
DAY = Grain.DAY.floor(NOW) - Grain.DAY.seconds  # yesterday: a whole day below the retention
Totals = dict[tuple[str, int], tuple[int, int, int, int, int]]
"""(org, bucket) to (sent, delivered, failed, cost in micros, facts)"""


@dataclass
class Case:
    """A store, and how to read its rollups."""

    perform: Callable[[Effect], Any]
    totals: Callable[[Grain], Totals]
    read_stored: Callable[[], dict[Place, Stored]]


def fake() -> Case:
    store = FakeStore()

    def totals(grain: Grain) -> Totals:
        found = {}
        for key, row in store.rollups[grain].items():
            kinds = [sum(f[2] == kind for f in row.facts) for kind in (1, 2, 3)]
            found[key] = (kinds[0], kinds[1], kinds[2], sum(f[5] for f in row.facts), len(row.facts))
        return found

    return Case(store.perform, totals, store.read_stored)


def real(target: str | Endpoint) -> Case:
    store, client = Store(target, "cluster", "worker", 10), connect(target)

    def totals(grain: Grain) -> Totals:
        rows = client.query(
            "SELECT org_id, toUnixTimestamp(bucket), sent, delivered, failed, toInt64(cost_cents * 1000000), facts "
            f"FROM rollup_{grain} FINAL"
        ).result_rows
        return {(org, bucket): tuple(numbers) for org, bucket, *numbers in rows}

    return Case(store.perform, totals, store.read_stored)


def facts(*rows: tuple[str, str, int, int, int]) -> Columns:
    """Rows of (org, event, type, cost in micros, occurred in epoch seconds)."""
    columns = Columns()
    for offset, (org, event, kind, cost, at) in enumerate(rows):
        for name, value in {
            "org_id": org, "event_id": event, "type": kind, "channel": "sms", "error_code": "",
            "cost_micros": cost, "occurred_ms": at * 1000, "record_ms": NOW * 1000, "place": P0, "offset": offset,
        }.items():  # fmt: skip
            getattr(columns, name).append(value)
    return columns


def close_all(case: Case, generation: int = 0) -> None:
    for grain in Grain:
        case.perform(CloseBuckets(grain, DAY, DAY + Grain.DAY.seconds, generation))
