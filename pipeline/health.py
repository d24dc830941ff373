"""Readiness of a worker: progress within limits, not "the process answers"."""

from dataclasses import dataclass, field

STALE_SECONDS = 10.0
"""`as_of` may be this much older than the lateness explains."""
SINK_PATIENCE_SECONDS = 5.0


@dataclass(slots=True)
class Health:
    """What the worker's loops report, and the verdict. Times are epoch milliseconds unless named otherwise."""

    lateness_seconds: float
    as_of_ms: int = 0
    sink_failing_since_ms: int = 0
    sink_problem: str = ""
    partitions: int = 0
    lag: int = 0
    blocked_partitions: tuple[int, ...] = field(default=())

    def sink_outcome(self, problem: Exception | None, now_ms: int) -> None:
        """A statement was taken by ClickHouse (None) or not."""
        if problem is None:
            self.sink_failing_since_ms, self.sink_problem = 0, ""
        elif not self.sink_failing_since_ms:
            self.sink_failing_since_ms, self.sink_problem = now_ms, str(problem)

    def reasons(self, now_ms: int) -> list[str]:
        """Why this worker is not ready, as sentences; empty when it is."""
        found = []
        if self.sink_failing_since_ms and now_ms - self.sink_failing_since_ms > SINK_PATIENCE_SECONDS * 1000:
            seconds = (now_ms - self.sink_failing_since_ms) // 1000
            found.append(f"sink unavailable for {seconds} s: {self.sink_problem}")
        limit_ms = (self.lateness_seconds + STALE_SECONDS) * 1000
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
