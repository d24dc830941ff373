"""Moments of a machine whose clock is right and was never set."""

from pipeline.core.clocks import ClockReading, Moment


def at(wall_ms: int) -> Moment:
    """A moment by both clocks, which agree."""
    return Moment(wall_ms, wall_ms)


def reading(theirs_ms: int, ours_ms: int | None = None, server: str = "server") -> ClockReading:
    """ClickHouse's clock as it was read at once, when ours showed that, or the same."""
    return ClockReading(server, theirs_ms, at(theirs_ms if ours_ms is None else ours_ms), 0)
