"""A lease that lets one maintenance command run at a time. Two would be safe, and do their work twice.

A claim is a row that expires unless its holder renews it; the earliest claim that has not expired holds the lease. A
command claims first and then reads who holds it, so of two that claim at once one gives way.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

from pipeline.clickhouse.client import ClickHouse, sql
from pipeline.clickhouse.store import Store
from pipeline.core.effects import Effect, ReadState, Steps
from pipeline.errors import PipelineError, Stop
from pipeline.peer import Peer
from pipeline.runner import Retrying, drive
from schemas.limits import LONGEST_STATEMENT_SECONDS

RENEW_SECONDS = 10.0
LEASE_SECONDS = int(RENEW_SECONDS) + 2 * LONGEST_STATEMENT_SECONDS
"""Outlasts a statement that begins just before a renewal is due, and the renewal itself, each taking its longest."""
GIVE_BACK_SECONDS = 5.0
"""A command that ends waits for ClickHouse no longer than this: for a renewal under way, and to give the lease back."""


class LeaseTaken(Stop):
    """Another maintenance command is running."""


class Statements(Protocol):
    """Runs statements, as ``pipeline.clickhouse.client.ClickHouse`` does."""

    def rows(self, doing: str, statement: str, /, **parameters: Any) -> Sequence[Sequence[Any]]: ...
    def write(self, doing: str, statement: str, /, **parameters: Any) -> None: ...


class Lease:
    """The lease of one command. ``renew`` may be called at any rate; ``quick`` has little patience with ClickHouse."""

    def __init__(self, store: Statements, quick: Statements, command: str) -> None:
        self._store, self._quick, self._command, self._holder = store, quick, command, str(uuid.uuid4())
        self._renewed_at = time.monotonic()

    def renew(self) -> None:
        """Renew the claim where it is due."""
        if time.monotonic() - self._renewed_at > RENEW_SECONDS:
            self._claim(LEASE_SECONDS)

    def _claim(self, seconds: int) -> None:
        began = time.monotonic()  # the claim lasts from some moment after this one
        self._write(self._store, seconds)
        self._renewed_at = began

    def _write(self, store: Statements, seconds: int) -> None:
        store.write(
            "claiming the maintenance lease",
            sql("lease/claim"),
            holder=self._holder,
            command=self._command,
            seconds=seconds,
        )

    def take(self) -> None:
        """Claim the lease. Raises LeaseTaken where another command holds it."""
        self._claim(LEASE_SECONDS)
        ((holder, command, seconds),) = self._store.rows("reading the maintenance lease", sql("lease/holder"))
        if holder != self._holder:
            self.give_back()
            raise LeaseTaken(
                f"`{command}` is running, one maintenance command at a time; wait for it. If it was killed, its claim "
                f"ends by itself in {seconds} s"
            )

    def give_back(self) -> None:
        """Let the claim expire now; by itself later, where ClickHouse does not take that soon.

        An error here would hide why the work ended, and a patient wait would look as if Ctrl-C had been ignored.
        """
        with suppress(PipelineError):
            self._write(self._quick, 0)


@contextmanager
def leased(store: Statements, command: str, quick: Statements | None = None) -> Iterator[Lease]:
    """Hold the lease for a command. ``quick`` gives it back, by default the store. Raises LeaseTaken."""
    lease = Lease(store, quick or store, command)
    lease.take()
    try:
        yield lease
    finally:
        lease.give_back()


@contextmanager
def _renewed(lease: Lease) -> Iterator[None]:
    """Renew a lease beside the work: a statement of that may be refused for longer than any claim lasts."""
    is_over = threading.Event()

    def renew() -> None:
        while not is_over.wait(RENEW_SECONDS):
            with suppress(PipelineError):  # a claim outlasts several attempts, and the work has its own errors
                lease.renew()

    beside = threading.Thread(target=renew, name="lease", daemon=True)
    beside.start()
    try:
        yield
    finally:
        is_over.set()
        beside.join(GIVE_BACK_SECONDS)


T = TypeVar("T")


def run_leased(
    store: Store, command: str, steps: Steps[T], on_effect: Callable[[Effect], None], warn: Callable[[str], None]
) -> T:
    """Run a protocol under the maintenance lease. Raises LeaseTaken or Stop.

    ``on_effect`` is told of every effect that is done. ClickHouse may be away for a while: ``warn`` is told, and the
    effect is repeated until it is taken.
    """
    retrying = Retrying(store.perform, Peer("ClickHouse"), warn=warn)
    with leased(store, command, ClickHouse(store.endpoint, GIVE_BACK_SECONDS)) as lease, _renewed(lease):
        store.perform(ReadState())  # raises for a database of another version; `migrate` holds the lease as well

        def perform(effect: Effect) -> Any:
            answer = retrying(effect)
            on_effect(effect)
            return answer

        return drive(steps, perform)
