"""Performs the steps of a protocol, repeating what ClickHouse does not take."""

import asyncio
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from pipeline import metrics
from pipeline.core.effects import Effect, Steps
from pipeline.errors import SinkUnavailable

T = TypeVar("T")

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 3.0

THREADS = 8
"""More than a worker's loops can have under way, decoding included: none waits for another's ClickHouse."""

Perform = Callable[[Effect], Any]


class Runner(Protocol):
    """Where the loops have their work done: live in threads, in the simulation step by step."""

    async def perform_steps(self, steps: Steps[T]) -> T:
        """Run a protocol to its end and return what it returns."""

    async def call(self, work: Callable[..., T], /, *args: Any) -> T:
        """Run something that blocks or computes for long."""


def drive(steps: Steps[T], perform: Perform) -> T:
    """Run a protocol to its end and return what it returns."""
    answer: Any = None
    while True:
        try:
            effect = steps.send(answer)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
        answer = perform(effect)


class Retrying:
    """Performs an effect until ClickHouse takes it, or until ``abandon`` is set: then SinkUnavailable gets through.

    Delays double from 0.1 s to 3 s, each cut by a random part so that workers do not come in step.
    """

    def __init__(
        self, perform: Perform, abandon: threading.Event, on_outcome: Callable[[SinkUnavailable | None], None]
    ) -> None:
        self._perform, self._abandon, self._on_outcome = perform, abandon, on_outcome

    def __call__(self, effect: Effect) -> Any:
        delay = FIRST_DELAY_SECONDS
        while True:
            try:
                answer = self._perform(effect)
            except SinkUnavailable as error:
                metrics.SINK_RETRIES.inc()
                self._on_outcome(error)
                if self._abandon.wait(delay * random.uniform(0.5, 1)):
                    raise
                delay = min(delay * 2, LONGEST_DELAY_SECONDS)
            else:
                self._on_outcome(None)
                return answer


class Threads:
    """Runs protocols and blocking calls each in a thread, so that fetching, decoding and inserting overlap."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform
        self._threads = ThreadPoolExecutor(THREADS, "lane")

    async def perform_steps(self, steps: Steps[T]) -> T:
        """Run a protocol to its end. Raises what ``perform`` raises."""
        return await self.call(drive, steps, self._perform)

    async def call(self, work: Callable[..., T], /, *args: Any) -> T:
        """Run a blocking call."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
