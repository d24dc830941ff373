"""Runs protocols: performs their effects one by one, and repeats what ClickHouse does not take."""

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pipeline import metrics
from pipeline.clock import running_ms
from pipeline.core.computing import halves
from pipeline.core.effects import Effect, Steps
from pipeline.errors import SinkUnavailable, TooMuchAtOnce
from pipeline.peer import Peer

T = TypeVar("T")

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 3.0

THREADS = 8
"""More than a worker's loops can have under way, decoding included: none waits for another's ClickHouse."""

Perform = Callable[[Effect], Any]


class Runner(Protocol):
    """Runs the loops' work: live in threads, in the simulation step by step."""

    async def perform_steps(self, steps: Steps[T]) -> T:
        """Run a protocol to its end and return what it returns."""

    async def call(self, work: Callable[..., T], /, *args: Any) -> T:
        """Run a call that blocks or computes for long."""


def drive(steps: Steps[T], perform: Perform) -> T:
    """Run a protocol to its end and return what it returns."""
    answer: Any = None
    while True:
        try:
            effect = steps.send(answer)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
        answer = perform(effect)


def _wait_and_go_on(seconds: float) -> bool:
    time.sleep(seconds)
    return False


@dataclass(frozen=True, slots=True)
class Retrying:
    """Performs an effect until ClickHouse takes it, with exponential backoff, and tells ``peer`` of every attempt.

    ``wait`` blocks for some seconds and returns whether to give up: then SinkUnavailable gets through. ``jitter`` is
    the share of a delay that is waited, so that workers do not come in step. ``warn`` is told of every failure.
    ``clock_ms`` is a clock that only runs.
    """

    perform: Perform
    peer: Peer
    wait: Callable[[float], bool] = _wait_and_go_on
    clock_ms: Callable[[], int] = running_ms
    jitter: Callable[[], float] = lambda: random.uniform(0.5, 1)
    warn: Callable[[str], None] = lambda _: None

    def __call__(self, effect: Effect) -> Any:
        """Do an effect. One that can be halved is not repeated where it was too much at once: that is its answer."""
        return self._repeat(lambda: self.perform(effect), is_divisible=bool(halves(effect)))

    def call(self, work: Callable[..., T], /, *args: Any) -> T:
        """Repeat any call that may raise SinkUnavailable and may be made again."""
        return self._repeat(lambda: work(*args))  # type: ignore[no-any-return]

    def _repeat(self, work: Callable[[], Any], *, is_divisible: bool = False) -> Any:
        delay = FIRST_DELAY_SECONDS
        while True:
            try:
                with self.peer.asked(self.clock_ms):
                    answer = work()
            except SinkUnavailable as error:
                metrics.SINK_RETRIES.inc()
                self.peer.outcome(error, self.clock_ms())
                self.warn(str(error))
                if self.wait(delay * self.jitter()):
                    raise
                if is_divisible and isinstance(error, TooMuchAtOnce):
                    return True
                delay = min(delay * 2, LONGEST_DELAY_SECONDS)
            else:
                self.peer.outcome(None, self.clock_ms())
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
