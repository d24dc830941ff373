"""Periods that are billed: calendar months of UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime

from schemas.grain import MS_PER_SECOND
from schemas.instant import epoch_seconds
from schemas.message_event import FIRST_YEAR, LAST_YEAR

PERIOD_RULE = f"a period is a month like 2026-10, in the years {FIRST_YEAR} to {LAST_YEAR}"
DECEMBER = 12
_MONTH = re.compile(r"(\d{4})-(\d{2})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A month by its name, like 2026-10, and its span [start, end) in epoch seconds."""

    name: str
    start: int
    end: int

    @property
    def start_ms(self) -> int:
        return self.start * MS_PER_SECOND

    @property
    def end_ms(self) -> int:
        return self.end * MS_PER_SECOND

    @property
    def before(self) -> "Period":
        """The month before this one."""
        return month_of(self.start - 1)

    @property
    def after(self) -> "Period":
        """The month after this one."""
        return month_of(self.end)


def month_of(seconds: int) -> Period:
    """The month that contains an instant in epoch seconds."""
    at = datetime.fromtimestamp(seconds, UTC)
    return _month(at.year, at.month)


def _month(year: int, month: int) -> Period:
    next_year, next_month = (year + 1, 1) if month == DECEMBER else (year, month + 1)
    start, end = datetime(year, month, 1, tzinfo=UTC), datetime(next_year, next_month, 1, tzinfo=UTC)
    return Period(f"{year:04}-{month:02}", epoch_seconds(start), epoch_seconds(end))


def parse_period(text: str) -> Period:
    """The month of a name like 2026-10. Raises ValueError with the rule."""
    match = _MONTH.fullmatch(text)
    if match is None or not FIRST_YEAR <= int(match[1]) <= LAST_YEAR or not 1 <= int(match[2]) <= DECEMBER:
        raise ValueError(PERIOD_RULE)
    return _month(int(match[1]), int(match[2]))


def day_name(seconds: int) -> str:
    """The day that contains an instant in epoch seconds, like 2026-10-01."""
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def day_start(name: str) -> int:
    """The start, in epoch seconds, of the day of a name like 2026-10-01. Raises ValueError for any other text."""
    day = date.fromisoformat(name)
    if day.isoformat() != name:
        raise ValueError(name)
    return epoch_seconds(datetime(day.year, day.month, day.day, tzinfo=UTC))
