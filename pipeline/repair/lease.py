"""One maintenance command at a time, by courtesy: two would be safe and do their work twice.

A claim is a row with an end that its holder keeps pushing on; the earliest claim that is not over holds. Two that claim
at the same moment may both believe they hold for an instant; each looks once more after its own claim is in.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.clickhouse.client import ClickHouse, sql
from pipeline.errors import Stop

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
            lambda: self._store.write(
                sql("lease/claim_lease"), holder=self._holder, command=self._command, seconds=seconds
            ),
        )

    def take(self) -> None:
        """Claim it. Raises LeaseTaken where another holds it."""
        self._claim(LEASE_SECONDS)
        ((holder, command, seconds),) = self._store.guarded(
            "reading the maintenance lease", lambda: self._store.rows(sql("lease/lease_holder"))
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
