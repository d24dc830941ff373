"""When a chunk is flushed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlushPolicy:
    """A flush is due by events, by bytes or by the age of the oldest record (seconds)."""

    events: int
    size_bytes: int
    seconds: float

    def is_due(self, events: int, size_bytes: int, opened_at: float | None, now: float) -> bool:
        """Whether what has been collected since ``opened_at`` (monotonic) should be written now."""
        if opened_at is None:
            return False
        return events >= self.events or size_bytes >= self.size_bytes or now - opened_at >= self.seconds
