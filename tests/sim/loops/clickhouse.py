"""ClickHouse for simulated workers: statements that take their time, fail, or are taken after their sender has gone."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from pipeline.core.clocks import Moment
from pipeline.core.computing import halves
from pipeline.core.effects import Effect, State, Steps
from tests.sim.loops.virtual import Process, VirtualLoop
from tests.support.fake_store import FakeStore

T = TypeVar("T")

REFUSED, ANSWER_LOST, TIMED_OUT = 0.02, 0.02, 0.01
"""How often a statement never arrives, is done without an answer, or is answered long after its sender gave up."""
SLOW = 0.02
RETRY_SECONDS, TIMEOUT_SECONDS = 0.5, 5.0


class ClickHouse:
    """The fake store behind a network. ``on_done`` sees every effect that has been done."""

    def __init__(
        self, loop: VirtualLoop, store: FakeStore, pick: random.Random, on_done: Callable[[Effect], None]
    ) -> None:
        self.store, self.process = store, Process("clickhouse")
        self.is_calm = False
        self._loop, self._pick, self._on_done = loop, pick, on_done
        self._away_until = 0.0

    def go_away(self, seconds: float) -> None:
        """Take no statement for so long."""
        self._away_until = self._loop.time() + seconds

    async def ask(self, effect: Effect) -> Any:
        """Have an effect done, again until there is an answer, as ``Retrying`` does: that several buckets are too much
        is one."""
        while True:
            luck = 1.0 if self.is_calm else self._pick.random()
            if self._loop.time() < self._away_until or luck < REFUSED:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            statement = self._loop.spawn(self.process, self._do(effect, is_late=luck < REFUSED + TIMED_OUT))
            if luck < REFUSED + TIMED_OUT:
                await asyncio.sleep(TIMEOUT_SECONDS)
                if halves(effect):
                    return True
                continue
            answer = await asyncio.shield(statement)
            if luck < REFUSED + TIMED_OUT + ANSWER_LOST:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            return answer

    async def _do(self, effect: Effect, *, is_late: bool) -> Any:
        """A statement under way: it belongs to no worker, so it goes on when its sender is killed."""
        luck = 1.0 if self.is_calm else self._pick.random()
        await asyncio.sleep(
            2 * TIMEOUT_SECONDS * luck if is_late else 4.0 * luck / SLOW if luck < SLOW else 0.01 * luck
        )
        is_piecemeal = luck < 0.2
        steps = self.store.steps(effect)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                self._on_done(effect)
                return done.value
            if is_piecemeal:  # others act between its rows
                await asyncio.sleep(0.02 + luck)


class SteppedRunner:
    """Does a worker's work effect by effect, so that anything may happen in between."""

    def __init__(self, clickhouse: ClickHouse, pick: random.Random, clock: Callable[[], Moment]) -> None:
        self._clickhouse, self._pick, self._clock = clickhouse, pick, clock
        self.under_way: Counter[str] = Counter()
        """Names of the effects that are waited for."""

    async def perform_steps(self, steps: Steps[T]) -> T:
        """Run a protocol to its end and return what it returns."""
        answer: Any = None
        while True:
            try:
                effect = steps.send(answer)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]
            name = type(effect).__name__
            self.under_way[name] += 1
            before = self._clock()
            answer = await self._clickhouse.ask(effect)
            if isinstance(answer, State):
                took_ms = self._clock().boot_ms - before.boot_ms
                clock = replace(answer.clock, before=before, took_ms=took_ms)
                answer = replace(answer, clock=clock)
            self.under_way[name] -= 1

    async def call(self, work: Callable[..., T], /, *args: Any) -> T:
        """Do something that would run in a thread, at some moment."""
        await asyncio.sleep(0.02 * self._pick.random())
        return work(*args)
