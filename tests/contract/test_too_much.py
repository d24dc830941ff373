"""A statement that runs out of its time or memory on the engine is done in halves, and every bucket is right."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.store import Store
from pipeline.core.computing import compute_steps
from pipeline.core.effects import CloseBuckets, RaiseState, State, Steps
from pipeline.core.late_keys import LateKeys
from pipeline.core.protocol import rebuild_steps, recompute_steps
from pipeline.errors import TooMuchAtOnce
from pipeline.peer import Peer
from pipeline.runner import Retrying, drive
from schemas.connection import Connections
from schemas.grain import Grain
from schemas.tables import WRITE_SETTINGS
from tests.support.stores import DAY

BATCH = "0f2f3c1e-0000-4000-8000-000000000002"
MINUTES, NEXT_DAY = 8, DAY + Grain.DAY.seconds
CLOSING = CloseBuckets(Grain.MINUTE, DAY, DAY + MINUTES * 60, 0)
ORGS = 10_000
KEYS = LateKeys.of(
    np.repeat(np.arange(DAY // 60, DAY // 60 + MINUTES), ORGS), [f"org-{n}" for n in range(ORGS)] * MINUTES
)
LITTLE_MEMORY = {"max_memory_usage": 32 << 20}
SLOW = {"max_execution_speed": 5 * ORGS, "timeout_before_checking_execution_speed": 0, "max_block_size": 500}
"""So many rows are read in a second: eight minutes take more than that, and one a fraction of it."""


class Limited:
    """A store whose statements have little to run with. Counts those that it was too little for."""

    def __init__(self, url: str, timeout_seconds: float, settings: dict[str, Any]) -> None:
        store, self.exceeded = Store(url, "cluster", "worker", timeout_seconds), list[str]()
        settings = {**WRITE_SETTINGS, "max_threads": 1, **settings}
        store._connections = Connections(store.endpoint, timeout_seconds=timeout_seconds, settings=settings)
        self._perform = store.perform

    def run(self, steps: Steps[Any]) -> None:
        drive(steps, Retrying(self._try, Peer("ClickHouse"), lambda _: False))

    def _try(self, effect: Any) -> Any:
        try:
            return self._perform(effect)
        except TooMuchAtOnce as error:
            self.exceeded.append(str(error))
            raise


def put(client: Client, orgs: int) -> None:
    """One event of each organization in each minute."""
    client.command(
        "INSERT INTO facts (org_id, event_id, type, channel, occurred_at, record_at) "
        "WITH toDateTime({day:UInt32} + 60 * intDiv(number, {orgs:UInt32}), 'UTC') AS at "
        "SELECT concat('org-', toString(number % {orgs:UInt32})), toString(number), 'message.sent', 'sms', at, at "
        "FROM numbers({rows:UInt32})",
        parameters={"day": DAY, "orgs": orgs, "rows": orgs * MINUTES},
    )


def check(client: Client, orgs: int, grain: Grain = Grain.MINUTE) -> None:
    """Every organization has its one event in each bucket of a minute, and all of them in a coarser one."""
    asked = f"SELECT toUnixTimestamp(bucket), count(), sum(sent), uniqExact(org_id) FROM rollup_{grain} FINAL "
    found = client.query(asked + "GROUP BY bucket ORDER BY bucket").result_rows
    minutes = [(DAY + 60 * minute, orgs, orgs, orgs) for minute in range(MINUTES)]
    assert found == (minutes if grain is Grain.MINUTE else [(DAY, orgs, orgs * MINUTES, orgs)])


@pytest.mark.parametrize(
    ("timeout_seconds", "settings", "error"),
    [
        (10, {**SLOW, "max_execution_time": 1}, "TIMEOUT_EXCEEDED"),
        (1, {**SLOW, "max_execution_time": 10}, "Read timed out"),  # and runs on, beside its halves
    ],
    ids=["the server's limit", "the client's limit"],
)
def test_minutes_that_take_too_long_are_closed_in_halves(
    url: str, client: Client, timeout_seconds: float, settings: dict[str, Any], error: str
) -> None:
    put(client, ORGS)
    limited = Limited(url, timeout_seconds, settings)
    limited.run(compute_steps(CLOSING))
    assert limited.exceeded
    assert all(error in told for told in limited.exceeded)
    check(client, ORGS)


@pytest.mark.parametrize(
    ("steps", "grains"),
    [
        (lambda: compute_steps(CLOSING), [Grain.MINUTE]),
        (lambda: rebuild_steps(DAY, DAY + 60), list(Grain)),
        (lambda: recompute_steps(BATCH, KEYS), list(Grain)),
    ],
    ids=["closing", "rebuild", "recompute"],
)
def test_minutes_that_need_too_much_memory_are_computed_in_halves(
    url: str, client: Client, steps: Callable[[], Steps[Any]], grains: list[Grain]
) -> None:
    put(client, ORGS)
    Store(url, "cluster", "worker", 10).perform(RaiseState(State(closing_ms=NEXT_DAY * 1000)))
    limited = Limited(url, 30, LITTLE_MEMORY)
    limited.run(steps())
    assert limited.exceeded
    assert all("MEMORY_LIMIT_EXCEEDED" in told for told in limited.exceeded)
    for grain in grains:
        check(client, ORGS, grain)
