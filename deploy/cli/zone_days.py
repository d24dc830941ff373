"""Days of a zone as spans of UTC: of 24 hours mostly, of 23, 25 or others where its clocks are set.

A day begins with the first instant that has its date in the zone, which is not always at 00:00: where clocks are put
forward at midnight it begins at 01:00. A date that a zone left out altogether is no day.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from schemas.grain import Grain
from schemas.instant import Span, epoch_seconds


@dataclass(frozen=True, slots=True, order=True)
class Day:
    """A date and its span [start, end) in epoch seconds."""

    date: date
    start: int
    end: int

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)


@dataclass(frozen=True)
class Days:
    """All days of a span, one after the other; none is empty."""

    zone: ZoneInfo
    all: tuple[Day, ...]

    @cached_property
    def by_date(self) -> Mapping[date, Day]:
        return {day.date: day for day in self.all}

    @cached_property
    def starts(self) -> list[int]:
        """The days' starts, in order."""
        return [day.start for day in self.all]

    @property
    def end(self) -> int:
        return self.all[-1].end

    @property
    def grain(self) -> Grain:
        """The coarsest grain, hours or minutes, of which each day is made up."""
        whole = all(Grain.HOUR.floor(edge) == edge for edge in (*self.starts, self.end))
        return Grain.HOUR if whole else Grain.MINUTE

    def at(self, instant: int) -> Day | None:
        """The day that contains an instant (epoch seconds), or None."""
        if not self.all[0].start <= instant < self.end:
            return None
        return self.all[bisect_right(self.starts, instant) - 1]


def days_of(zone: ZoneInfo, start: int, end: int) -> Days:
    """The days of [start, end) (epoch seconds). Raises ValueError, a sentence, unless both are midnights there."""
    for name, instant in (("--from", start), ("--to", end)):
        before, after = _midnights_around(zone, instant)
        if before != instant:
            raise ValueError(
                f"{name} must be a midnight of {zone.key}, and {local(zone, instant)} is none; the nearest are "
                f"{local(zone, before)} and {local(zone, after)}"
            )
    dates = [date_at(zone, start)]
    while (midnight := midnight_of(zone, dates[-1] + timedelta(days=1))) < end:
        dates.append(date_at(zone, midnight))
    starts = [midnight_of(zone, day) for day in dates]
    spans = zip(dates, starts, [*starts[1:], end], strict=True)
    return Days(zone, tuple(Day(*span) for span in spans))


def date_at(zone: ZoneInfo, instant: int) -> date:
    """The date that a zone has at an instant (epoch seconds)."""
    return datetime.fromtimestamp(instant, zone).date()


def local(zone: ZoneInfo, instant: int) -> str:
    """An instant (epoch seconds) as RFC 3339 with the zone's offset."""
    return datetime.fromtimestamp(instant, zone).isoformat()


def midnight_of(zone: ZoneInfo, day: date) -> int:
    """The first instant (epoch seconds) of a date in a zone; of a date left out there, that of the next one.

    Python reads a midnight that is left out with the offset of before, which is when the clocks are set, and of one
    that is there twice the first: a test holds this against the dates of all zones.
    """
    return epoch_seconds(datetime.combine(day, time(), zone))


def _midnights_around(zone: ZoneInfo, instant: int) -> tuple[int, int]:
    """The last midnight at or before an instant, and the first one after it."""
    today = date_at(zone, instant)
    around = [midnight_of(zone, today + timedelta(days=n)) for n in (-1, 0, 1, 2)]
    return max(m for m in around if m <= instant), min(m for m in around if m > instant)
