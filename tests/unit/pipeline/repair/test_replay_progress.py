"""A replay's progress: it survives an outage, and is never written or read on the event loop."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pipeline.clickhouse.store import Store
from pipeline.core.place import Place
from pipeline.errors import SinkUnavailable
from pipeline.peer import Peer
from pipeline.repair import replay
from pipeline.repair.replay import Replay
from pipeline.repair.replay_progress import Replays
from pipeline.repair.replay_reading import Bounds, NothingToReplay, Wanted
from pipeline.runner import Retrying
from schemas import tables
from schemas.settings import read_settings
from tests.support.moments import at
from tests.support.places import P0, P1, TOPIC

SPAN, B0 = Wanted(1_000, 2_000), Place("b", 0)
BOUNDS = {P0: Bounds(10, 20), P1: Bounds(5, 5)}


class Flaky(Store):
    """Is away for every other statement, and keeps (partition, next offset) of what is inserted."""

    def __init__(self) -> None:
        super().__init__("http://nowhere/default", "cluster", "replay", 10)
        self.calls, self.stored, self.life = 0, list[tuple[int, int]](), 0
        self.of: tuple[Place, ...] = (P0,)

    def _fail(self) -> None:
        self.calls += 1
        if self.calls % 2:
            raise SinkUnavailable("away")

    def insert(self, doing: str, table: str, names: Any, rows: Any) -> None:
        self._fail()
        assert table == tables.REPLAYS
        at, offset = names.index("partition"), names.index("next_offset")
        self.stored += [(row[at], row[offset]) for row in rows]

    def rows(self, doing: str, statement: str, /, **parameters: Any) -> Any:
        self._fail()
        return [(str(uuid.UUID(int=7)), *place, 14, 20, self.life) for place in self.of]


def retrying() -> Retrying:
    return Retrying(lambda _: {}, Peer("ClickHouse"), lambda _: False)


def test_an_outage_between_flush_and_progress_is_survived() -> None:
    store = Flaky()
    replays = Replays(store, retrying().call)
    replays.begin(uuid.uuid4(), SPAN, BOUNDS)
    assert replays.advance({P0: 14}) == 4
    replays.finish()
    assert store.stored == [(0, 10), (1, 5), (0, 14), (0, 20), (1, 5)]
    assert Replays(store, retrying().call).resume(SPAN) == {P0: Bounds(14, 20)}
    assert store.calls == 8, "each was asked twice"


def test_a_replay_does_not_go_on_in_a_topic_that_was_made_anew() -> None:
    store = Flaky()
    store.life = 1
    with pytest.raises(NothingToReplay, match="made anew"):
        Replays(store, retrying().call).resume(SPAN)
    store.incarnations[P0] = 1
    assert Replays(store, retrying().call).resume(SPAN) == {P0: Bounds(14, 20)}


@pytest.mark.parametrize(
    ("wanted", "is_it"),
    [
        (Wanted(0, 1), True),
        (Wanted(0, 1, places=frozenset({P0, B0})), True),
        (Wanted(0, 1, places=frozenset({P0})), False),
        (Wanted(0, 1, places=frozenset({P0, P1, B0})), False),
        (Wanted(0, 1, topics=frozenset({TOPIC, "b"})), True),
        (Wanted(0, 1, topics=frozenset({"b"})), False),
        (Wanted(0, 1, topics=frozenset({TOPIC, "b", "c"})), False),
        (Wanted(0, 1, places=frozenset({P0, B0}), topics=frozenset({TOPIC})), False),
    ],
)
def test_only_the_interrupted_replay_goes_on_whatever_is_named(wanted: Wanted, is_it: bool) -> None:
    store = Flaky()
    store.of = (P0, B0)
    if is_it:
        assert Replays(store, retrying().call).resume(wanted) == dict.fromkeys((P0, B0), Bounds(14, 20))
        return
    with pytest.raises(NothingToReplay, match=f"is of partitions b/0, {P0}; name these, or none"):
        Replays(store, retrying().call).resume(wanted)


def test_a_topic_that_was_made_anew_among_others_is_named() -> None:
    store = Flaky()
    store.of, store.incarnations[B0] = (P0, B0), 2
    with pytest.raises(NothingToReplay, match="made anew since that replay was interrupted: b; run it"):
        Replays(store, retrying().call).resume(SPAN)


class OffTheLoop(Replays):
    """Refuses to be called by the thread of an event loop."""

    def __init__(self) -> None:
        super().__init__(Flaky(), self._repeat_off_the_loop)
        self.calls = 0

    def _repeat_off_the_loop(self, work: Any, /, *args: Any) -> Any:
        self.calls += 1
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return retrying().call(work, *args)


@pytest.mark.parametrize("resume", [False, True])
def test_the_event_loop_is_not_blocked_by_progress(resume: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def open_consumer(_: Any) -> AsyncIterator[None]:
        yield None

    async def find_bounds(*_: Any) -> Mapping[Place, Bounds]:
        return {P0: Bounds(10, 10)}

    async def chunks(*_: Any) -> AsyncIterator[Any]:
        return
        yield

    monkeypatch.setattr(replay, "open_consumer", open_consumer)
    monkeypatch.setattr(replay, "find_bounds", find_bounds)
    monkeypatch.setattr(Replay, "chunks", chunks)
    replays = OffTheLoop()
    work = Replay(
        settings=read_settings({}),
        wanted=SPAN,
        clock=lambda: at(0),
        gaps={},
        schemas=None,
        perform=retrying(),
        replays=replays,
    )
    asyncio.run(work.run(resume=resume))
    assert replays.calls == 2, "at the beginning and at the end"
