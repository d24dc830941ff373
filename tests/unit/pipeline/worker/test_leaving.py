"""What a worker still does once it is told to stop."""

import asyncio
from collections.abc import Coroutine
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest

from pipeline.core.effects import Effect, RecomputeLate
from pipeline.errors import NewerSchema
from pipeline.worker.lanes import Lanes
from pipeline.worker.worker import Worker
from schemas.settings import read_settings
from tests.support.places import P0
from tests.unit.pipeline.worker.test_lanes import BEGIN, CLOSED, ClickHouse, Kafka, lanes_on, read


class Migrated(ClickHouse):
    """A ClickHouse in which a migration begins while late keys are recomputed."""

    def __call__(self, effect: Effect) -> Any:
        if isinstance(effect, RecomputeLate):
            self._wait()
            raise NewerSchema("migrated for a newer version")
        return super().__call__(effect)


async def leave(lanes: Lanes, loop: Coroutine[Any, Any, None], *, until: ClickHouse) -> BaseException | None:
    """Stop a worker with one loop, which goes on meanwhile, and leaves the group; returns what has ended it."""
    worker = Worker(read_settings({}))
    worker._loop = asyncio.get_running_loop()
    worker._fatal = worker._loop.create_future()
    loops = [worker._guarded(loop)]
    assert await asyncio.to_thread(until.waits.wait, 10)
    until.let.set()
    app = MagicMock(stop=AsyncMock())
    await worker._leave(app, lanes, loops)
    app.stop.assert_awaited_once()
    return worker._fatal.result() if worker._fatal.done() else None


@pytest.mark.parametrize("clickhouse", [ClickHouse(state=CLOSED), Migrated(state=CLOSED)])
def test_who_leaves_commits_nothing_whose_late_keys_were_not_recomputed(clickhouse: ClickHouse) -> None:
    async def story() -> BaseException | None:
        lanes = lanes_on(kafka, clickhouse)
        await read(lanes, BEGIN)
        await lanes.flush()
        return await leave(lanes, lanes.recompute(), until=clickhouse)

    kafka = Kafka()
    error = asyncio.run(story())
    assert isinstance(error, NewerSchema) is isinstance(clickhouse, Migrated)
    assert kafka.committed == ([] if error else [{P0: BEGIN + 1}])
