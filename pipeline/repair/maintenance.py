"""Runs the protocol's long works for an operator: one at a time, with progress, through outages of ClickHouse."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from pipeline.clickhouse.store import Store
from pipeline.core.effects import Effect, Steps
from pipeline.errors import SinkUnavailable
from pipeline.repair.lease import leased
from pipeline.runner import Retrying, drive

T = TypeVar("T")

Progress = Callable[[Effect], None]
"""Told of every effect that is done."""


def run_leased(store: Store, command: str, steps: Steps[T], progress: Progress, warn: Callable[[str], None]) -> T:
    """Run a protocol under the maintenance lease. Raises LeaseTaken or Stop.

    ClickHouse may be away for a while: ``warn`` is told, and the effect is repeated until it is taken.
    """

    def outcome(problem: SinkUnavailable | None) -> None:
        if problem is not None:
            warn(str(problem))

    retrying = Retrying(store.perform, threading.Event(), outcome)
    with leased(store, command) as lease:

        def perform(effect: Effect) -> Any:
            answer = retrying(effect)
            lease.renew()
            progress(effect)
            return answer

        return drive(steps, perform)
