"""Readiness of a worker: progress within limits, not "the process answers"."""

from collections import deque
from dataclasses import dataclass, field

from schemas.grain import MS_PER_SECOND, Grain

STALE_SECONDS = 10.0
"""`as_of` may be this much older than the lateness explains."""
SINK_PATIENCE_SECONDS = 5.0
FLOOD_WINDOW_MS = Grain.MINUTE.milliseconds
FLOOD_LETTERS, FLOOD_SHARE = 100, 0.2
"""So many dead letters, and such a share of all records, are a flood: a producer is broken."""


@dataclass(slots=True)
class Health:
    """What the worker's loops report, and the verdict. Times are epoch milliseconds unless named otherwise."""

    lateness_seconds: float
    as_of_ms: int = 0
    sink_failing_since_ms: int = 0
    sink_problem: str = ""
    partitions: int = 0
    lag: int = 0
    blocked_partitions: tuple[int, ...] = ()
    recent: deque[tuple[int, int, int]] = field(default_factory=deque)

    def sink_outcome(self, problem: Exception | None, now_ms: int) -> None:
        """A statement was taken by ClickHouse (None) or not."""
        if problem is None:
            self.sink_failing_since_ms, self.sink_problem = 0, ""
        elif not self.sink_failing_since_ms:
            self.sink_failing_since_ms, self.sink_problem = now_ms, str(problem)

    def counted(self, events: int, dead_letters: int, now_ms: int) -> None:
        """A flush made that many events and dead letters durable."""
        self.recent.append((now_ms, events, dead_letters))

    def _flood(self, now_ms: int) -> str | None:
        """Why the dead letters of the last minute are a flood, or None."""
        while self.recent and now_ms - self.recent[0][0] > FLOOD_WINDOW_MS:
            self.recent.popleft()
        events, dead = sum(r[1] for r in self.recent), sum(r[2] for r in self.recent)
        if dead < FLOOD_LETTERS or dead < FLOOD_SHARE * (events + dead):
            return None
        return f"{dead} of {events + dead} records of the last minute became dead letters; look at their reasons"

    def reasons(self, now_ms: int) -> list[str]:
        """Why this worker is not ready, as sentences; empty when it is."""
        found = []
        if self.sink_failing_since_ms and now_ms - self.sink_failing_since_ms > SINK_PATIENCE_SECONDS * MS_PER_SECOND:
            seconds = (now_ms - self.sink_failing_since_ms) // MS_PER_SECOND
            found.append(f"sink unavailable for {seconds} s: {self.sink_problem}")
        if flood := self._flood(now_ms):
            found.append(flood)
        limit_ms = (self.lateness_seconds + STALE_SECONDS) * MS_PER_SECOND
        if not self.as_of_ms:
            found.append("nothing is aggregated yet: as_of is not set" + self._waiting())
        elif now_ms - self.as_of_ms > limit_ms:
            found.append(
                f"as_of is {(now_ms - self.as_of_ms) // 1000} s old, more than {limit_ms / 1000:g} s" + self._waiting()
            )
        return found

    def _waiting(self) -> str:
        if not self.blocked_partitions:
            return f"; {self.lag} records behind" if self.lag else ""
        return f"; waiting for partitions {', '.join(map(str, self.blocked_partitions))}, which nobody has read yet"
