"""Instants: RFC 3339 in and out, and epoch arithmetic in integers, never in floats."""

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from schemas.grain import MS_PER_SECOND
from schemas.message_event import FIRST_YEAR, LAST_YEAR

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIME_RULE = "must be an RFC 3339 date-time with offset, like 2026-05-05T00:00:00Z or 2026-05-05T02:00:00+02:00"
YEARS_RULE = f"must lie in the years {FIRST_YEAR} to {LAST_YEAR} (UTC)"
_INSTANT = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:[Zz]|([+-])(\d{2}):(\d{2}))", re.ASCII
)


@dataclass(frozen=True, slots=True, order=True)
class Instant:
    """Epoch seconds and the digits of the fraction, without trailing zeros. Tuples of these order as instants do."""

    seconds: int
    fraction: str = ""

    @classmethod
    def of_ms(cls, instant_ms: int) -> "Instant":
        """Epoch milliseconds as an instant."""
        return cls(instant_ms // MS_PER_SECOND, f"{instant_ms % MS_PER_SECOND:03}".rstrip("0"))


@dataclass(frozen=True, slots=True)
class Span:
    """An operator's span of time, in epoch seconds: [start, end)."""

    start: int
    end: int


def parse_instant(text: str, rule: str = TIME_RULE) -> Instant:
    """Parse an RFC 3339 date-time with offset; no digit of its fraction is lost.

    Raises ValueError with the rule, which says how to write an instant where this one was written.
    """
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise ValueError(rule)
    year, month, day, hour, minute, second, fraction, sign, ahead_hours, ahead_minutes = match.groups()
    if not FIRST_YEAR - 1 <= int(year) <= LAST_YEAR + 1:  # which also keeps the arithmetic below in bounds
        raise ValueError(YEARS_RULE)
    if sign and (int(ahead_hours) > 23 or int(ahead_minutes) > 59):
        raise ValueError(rule)
    try:
        local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"{rule}: {error}") from None
    ahead = timedelta(hours=int(ahead_hours or 0), minutes=int(ahead_minutes or 0))
    instant = local + ahead if sign == "-" else local - ahead
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise ValueError(YEARS_RULE)
    return Instant(epoch_seconds(instant), (fraction or "").rstrip("0"))


def epoch_seconds(at: datetime) -> int:
    """An aware datetime as whole seconds since the epoch."""
    return (at - EPOCH) // timedelta(seconds=1)


def utc(instant_ms: int) -> datetime:
    """Epoch milliseconds as an aware datetime."""
    return EPOCH + timedelta(milliseconds=instant_ms)


def rfc3339(instant_ms: int) -> str | None:
    """Epoch milliseconds as RFC 3339 in UTC; None for 0."""
    return utc(instant_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z") if instant_ms else None


def second(seconds: int) -> str:
    """Epoch seconds as RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def wall_clock_ms() -> int:
    """The wall clock in epoch milliseconds, for event rules."""
    return time.time_ns() // 1_000_000
