"""How commands write instants, and spans of them."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.grain import MS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Span:
    """An operator's span of time, in epoch seconds: [start, end)."""

    start: int
    end: int


def rfc3339(instant_ms: int) -> str | None:
    """Epoch milliseconds as RFC 3339 in UTC; None for 0."""
    if not instant_ms:
        return None
    at = datetime.fromtimestamp(instant_ms // MS_PER_SECOND, UTC).replace(
        microsecond=instant_ms % MS_PER_SECOND * MS_PER_SECOND
    )
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def second(seconds: int) -> str:
    """Epoch seconds as RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def wall_clock_ms() -> int:
    """The wall clock in epoch milliseconds, for event rules."""
    return time.time_ns() // 1_000_000


def utc(instant_ms: int) -> datetime:
    """Epoch milliseconds as an aware datetime."""
    return datetime.fromtimestamp(instant_ms // MS_PER_SECOND, UTC).replace(
        microsecond=instant_ms % MS_PER_SECOND * MS_PER_SECOND
    )
