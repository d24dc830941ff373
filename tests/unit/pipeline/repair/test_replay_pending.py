"""Late keys of a replay: where as many wait as may, those that rest are recomputed as well."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

import pipeline.core.pending
from pipeline.core.flush import Batch, Chunk, Rules
from pipeline.repair.replay import Replay
from pipeline.repair.replay_progress import Replays
from pipeline.repair.replay_reading import Wanted
from schemas.grain import Grain
from schemas.instant import rfc3339
from schemas.settings import read_settings
from tests.sim.log import Record
from tests.sim.test_schedules import HOUR, closed_up_to
from tests.support.fake_store import FakeStore
from tests.support.moments import at
from tests.support.places import P0

NOW = HOUR + 6 * 3600


def chunk_of(offset: int) -> Chunk:
    """One event, whose minute is six hours old."""
    event: dict[str, Any] = {"event_id": f"e{offset}", "org_id": "a", "type": "message.sent", "channel": "sms"}
    value = json.dumps(event | {"occurred_at": rfc3339(HOUR * 1000)}).encode()
    chunk = Chunk(is_second_reading=True)
    batch = Batch(P0, 1, offset, offset + 1, [Record(offset, HOUR * 1000, value)], 0)
    chunk.add(batch, Rules(0, 10**12), at(NOW * 1000), 0, 0.0)
    return chunk


def test_where_as_many_keys_wait_as_may_a_replay_recomputes_those_that_rest_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It reads on at once, so that nothing else would keep down how many there are."""
    monkeypatch.setattr(pipeline.core.pending, "MAX_PENDING_KEYS", 1)
    store = FakeStore(clock_ms=lambda: NOW * 1000)
    closed_up_to(store, NOW)
    replays = cast("Replays", SimpleNamespace(advance=lambda passed: len(passed), finish=lambda: None))
    replay = Replay(read_settings({}), Wanted(0, NOW), lambda: at(NOW * 1000), {}, None, store.perform, replays)

    async def story() -> None:
        for offset in range(3):
            await replay._make_durable(chunk_of(offset), {})
            assert len(store.rollups[Grain.MINUTE]["a", HOUR].facts) == offset + 1

    asyncio.run(story())
