"""The only bucket arithmetic: which bucket an instant belongs to, for minutes, hours and UTC days.

Instants are integers since the Unix epoch. Unix time has no leap seconds and no zones, so every bucket of a grain has
the same width and flooring is one division; a test holds it against ClickHouse's own ``toStartOf*(…, 'UTC')``.
"""

from enum import StrEnum

MS_PER_SECOND = 1000
SECONDS_PER_DAY = 86_400


class Grain(StrEnum):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def seconds(self) -> int:
        """Width of one bucket in seconds."""
        return _SECONDS[self]

    @property
    def milliseconds(self) -> int:
        """Width of one bucket in milliseconds."""
        return _SECONDS[self] * MS_PER_SECOND

    @property
    def source(self) -> "Grain | None":
        """The grain that this one is computed from; a minute is computed from facts."""
        return {Grain.MINUTE: None, Grain.HOUR: Grain.MINUTE, Grain.DAY: Grain.HOUR}[self]

    def floor(self, seconds: int) -> int:
        """Start of the bucket that contains the instant (epoch seconds in and out)."""
        return seconds - seconds % self.seconds

    def ceil(self, seconds: int) -> int:
        """The first bucket start at or after the instant (epoch seconds in and out)."""
        return -self.floor(-seconds)

    def floor_ms(self, instant_ms: int) -> int:
        """Start of the bucket, in epoch seconds, that contains an instant in epoch milliseconds."""
        return self.floor(instant_ms // MS_PER_SECOND)

    def is_closed(self, bucket_start: int, watermark_ms: int) -> bool:
        """Whether the bucket (start in epoch seconds) ends at or before the watermark (epoch milliseconds)."""
        return (bucket_start + self.seconds) * MS_PER_SECOND <= watermark_ms


_SECONDS = {Grain.MINUTE: 60, Grain.HOUR: 3_600, Grain.DAY: SECONDS_PER_DAY}
