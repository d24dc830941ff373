"""Pauses of the loops of a worker."""

from dataclasses import dataclass

PATIENCE_SECONDS = 10.0
"""Records that were fetched and did not arrive here within this time are read again."""

ENDS_A_SECOND = 4_000
"""The most partitions whose ends Kafka is asked for in a second: with more than a thousand, less often."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """Pauses of the loops, in seconds. The defaults are the worker's; the simulation has shorter ones."""

    tick: float = 0.25
    report: float = 2.0
    sweep: float = 300.0  # an interrupted erasure is resumed after at most this time
    patience: float = PATIENCE_SECONDS
    progress: float = 0.0
    """At least so long between two writings of the progress of caught-up partitions."""

    def between_ticks(self, partitions: int) -> float:
        """The pause between two ticks, each of which asks Kafka for the ends of that many partitions."""
        return max(self.tick, partitions / ENDS_A_SECOND)
