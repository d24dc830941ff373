"""Availability of ClickHouse or Kafka, as one process sees it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from schemas.grain import MS_PER_SECOND

FAILING_SECONDS = 5.0
"""Failures may go on for this long before the worker is not ready."""
SILENT_SECONDS = 10.0
"""A statement or request may be under way for this long before the worker is not ready."""
SUSPECT_SECONDS = 10.0
"""A failure is named beside other reasons for this long, though requests have succeeded since."""


@dataclass(slots=True)
class Peer:
    """Availability of one of the two. For any thread; times are milliseconds of a clock that only runs."""

    name: str
    problem: str = ""
    failing_since_ms: int = 0
    failed_ms: int = 0
    _under_way: dict[int, int] = field(default_factory=dict)
    _numbers: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def outcome(self, problem: Exception | None, now_ms: int) -> None:
        """Note that an attempt has succeeded (None) or failed."""
        with self._lock:
            if problem is None:
                self.failing_since_ms = 0
            else:
                self.failing_since_ms, self.failed_ms = self.failing_since_ms or now_ms, now_ms
                self.problem = str(problem) or type(problem).__name__

    @contextmanager
    def asked(self, clock_ms: Callable[[], int]) -> Iterator[None]:
        """Note an attempt under way for as long as the block lasts."""
        with self._lock:
            self._numbers += 1
            number = self._numbers
            self._under_way[number] = clock_ms()
        try:
            yield
        finally:
            with self._lock:
                del self._under_way[number]

    def is_troubled(self, now_ms: int) -> bool:
        """Whether the last attempt failed, or one has been under way for too long."""
        return bool(self.failing_since_ms) or self.reason(now_ms) is not None

    def reason(self, now_ms: int) -> str | None:
        """The sentence why this peer keeps the worker from being ready, or None."""
        with self._lock:
            failing_ms = now_ms - self.failing_since_ms if self.failing_since_ms else 0
            silent_ms = now_ms - min(self._under_way.values(), default=now_ms)
        if failing_ms > FAILING_SECONDS * MS_PER_SECOND:
            return f"{self.name} unavailable for {failing_ms // MS_PER_SECOND} s: {self.problem}"
        if silent_ms > SILENT_SECONDS * MS_PER_SECOND:
            return f"{self.name} has not answered for {silent_ms // MS_PER_SECOND} s"
        return None

    def suspicion(self, now_ms: int) -> str | None:
        """A recent failure, to be named beside another reason although attempts have succeeded since; or None.

        With one shard of several away, statements on the others succeed between the failures.
        """
        with self._lock:
            ago_ms = now_ms - self.failed_ms
            if self.failed_ms and ago_ms <= SUSPECT_SECONDS * MS_PER_SECOND:
                return f"{self.name} refused a part {ago_ms // MS_PER_SECOND} s ago: {self.problem}"
        return None
