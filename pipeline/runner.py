"""Performs the steps of a protocol, repeating what ClickHouse does not take."""

import random
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from pipeline import metrics
from pipeline.core.effects import Effect, Steps
from pipeline.errors import SinkUnavailable

T = TypeVar("T")

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 3.0

Perform = Callable[[Effect], Any]


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
