"""One maintenance command at a time, by courtesy: two would be safe and do their work twice.

A claim is a row with an end that its holder keeps pushing on; the earliest claim that is not over holds. Two that claim
at the same moment may both believe they hold for an instant; each looks once more after its own claim is in.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pipeline.clickhouse.client import ClickHouse, sql
from pipeline.clickhouse.store import Store
from pipeline.core.effects import Effect, Steps
from pipeline.errors import SinkUnavailable, Stop
from pipeline.runner import Retrying, drive

LEASE_SECONDS = 60
RENEW_SECONDS = 10.0


class LeaseTaken(Stop):
    """Another maintenance command is running."""


class Lease:
    """A held lease. ``renew`` may be called as often as one likes."""

    def __init__(self, store: ClickHouse, command: str) -> None:
        self._store, self._command, self._holder = store, command, str(uuid.uuid4())
        self._renewed_at = time.monotonic()

    def renew(self) -> None:
        """Push the end on, where it is time to."""
        if time.monotonic() - self._renewed_at > RENEW_SECONDS:
            self._claim(LEASE_SECONDS)

    def _claim(self, seconds: int) -> None:
        self._renewed_at = time.monotonic()
        self._store.guarded(
            "claiming the maintenance lease",
            lambda: self._store.write(sql("lease/claim"), holder=self._holder, command=self._command, seconds=seconds),
        )

    def take(self) -> None:
        """Claim it. Raises LeaseTaken where another holds it."""
        self._claim(LEASE_SECONDS)
        ((holder, command, seconds),) = self._store.guarded(
            "reading the maintenance lease", lambda: self._store.rows(sql("lease/holder"))
        )
        if holder != self._holder:
            self.give_back()
            raise LeaseTaken(
                f"`{command}` is running, one maintenance command at a time; wait for it. If it was killed, its claim "
                f"ends by itself in {seconds} s"
            )

    def give_back(self) -> None:
        self._claim(0)


@contextmanager
def leased(store: ClickHouse, command: str) -> Iterator[Lease]:
    """Hold the lease for a command. Raises LeaseTaken."""
    lease = Lease(store, command)
    lease.take()
    try:
        yield lease
    finally:
        lease.give_back()


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
