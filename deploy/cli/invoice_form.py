"""The form of a provider's invoice: its columns, numbers and dates, and how one cell of each is read.

Nothing is guessed. A cell is what its form says, or a ValueError whose text is the rule and the remedy, as a sentence
goes on after the column's name.
"""

import re
import time
from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property

from deploy.cli.zone_days import Day, Days
from schemas.instant import parse_instant

ROLES = ("date", "channel", "count", "cost")
BLANKS = " \u00a0\u202f\u2009"
"""Space, no-break space, narrow no-break space and thin space: nobody who looks at a file can tell them apart."""
MOST_CHARACTERS = 60
"""Of a number: our own have 38 digits at most."""
MICRO_DECIMALS = {"cents": 6, "units": 8}
"""Decimals of a unit that a millionth of a cent has; a unit is a hundred cents."""
_PROBES = (datetime(2031, 11, 23, 21, 58, 47, tzinfo=UTC), datetime(2026, 2, 1, 3, 4, 5, tzinfo=UTC))
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Columns:
    """The cells of the file's header, '' for a column that it has not."""

    date: str
    channel: str = ""
    count: str = ""
    cost: str = ""

    def named(self) -> Mapping[str, str]:
        """Role to header cell, of the columns that are there."""
        return {role: name for role in ROLES if (name := getattr(self, role))}


@dataclass(frozen=True)
class Form:
    """The form of a provider's file."""

    columns: Columns
    encoding: str = "utf-8"
    separator: str = ","
    decimal: str = "."
    thousands: str = ""
    date_format: str = ""
    cost_unit: str = "cents"
    negate: bool = False
    skip: tuple[re.Pattern[str], ...] = ()
    channels: Mapping[str, str] = field(default_factory=dict)
    """Channels that have another name with us: theirs to ours."""

    @cached_property
    def number(self) -> re.Pattern[str]:
        """A number as the file writes it: sign, whole and fraction."""
        grouped = f"|[0-9]{{1,3}}(?:{one_of(self.thousands)}[0-9]{{3}})+" if self.thousands else ""
        return re.compile(
            rf"(?P<sign>[+-]?)(?P<whole>[0-9]+{grouped}|)(?:{re.escape(self.decimal)}(?P<fraction>[0-9]+))?"
        )

    def channel(self, text: str) -> str:
        """Our name of a channel of theirs. Raises ValueError."""
        if not text:
            raise ValueError("is empty; --skip leaves out lines that belong to no channel")
        return self.channels.get(text, text)

    def count(self, text: str) -> int:
        """A count, which may be negative: a line may take back what another one has. Raises ValueError."""
        sign, whole, fraction = self._parts(text)
        if fraction is not None:
            raise ValueError(
                f"must be a whole number, not {text!r}; --columns names the column of the count, --thousands says how "
                "it writes thousands"
            )
        return sign * int(whole)

    def cost(self, text: str) -> int:
        """A cost in millionths of a cent. Raises ValueError."""
        sign, whole, fraction = self._parts(text)
        decimals, digits = MICRO_DECIMALS[self.cost_unit], (fraction or "").rstrip("0")
        if len(digits) > decimals:
            raise ValueError(
                f"has at most {decimals} decimals in {self.cost_unit}, six of a cent, and {text!r} has {len(digits)}; "
                "--cost-unit says in what the file has it, and nothing is rounded"
            )
        return (-sign if self.negate else sign) * int(whole + digits.ljust(decimals, "0"))

    def _parts(self, text: str) -> tuple[int, str, str | None]:
        """Sign, digits, and digits after the decimal sign, or None where that is not there. Raises ValueError."""
        found = self.number.fullmatch(text) if len(text) <= MOST_CHARACTERS else None
        if found is None or not (found["whole"] or found["fraction"]):
            grouped = f"1{self.thousands}234{self.decimal}5 or " if self.thousands else ""
            raise ValueError(
                f"must be a number like {grouped}-1234{self.decimal}5, not {text[:MOST_CHARACTERS]!r}; --decimal and "
                "--thousands say how the file writes numbers"
            )
        whole = re.sub("[^0-9]", "", found["whole"]) or "0"
        return -1 if found["sign"] == "-" else 1, whole, found["fraction"]

    def day(self, text: str, days: Days) -> Day:
        """The day of a date or a time, which must be one of ``days``. Raises ValueError."""
        when = self._instant_or_date(text)
        found = days.at(when) if isinstance(when, int) else days.by_date.get(when)
        if found is None:
            first, last = days.all[0].date, days.all[-1].date
            raise ValueError(
                f"must lie in the span, {first} to {last} of {days.zone.key}, not {text!r}; --from and --to choose the "
                "span, --skip leaves lines out"
            )
        return found

    def _instant_or_date(self, text: str) -> int | date:
        """Epoch seconds where an offset tells them; else a date in the zone. Raises ValueError."""
        try:
            if self.date_format:
                return _parsed(text, self.date_format)
            return date.fromisoformat(text) if _ISO_DATE.fullmatch(text) else parse_instant(text).seconds
        except (ValueError, OverflowError):
            how = f"a date as {self.date_format!r} has it" if self.date_format else "like 2026-10-31 or RFC 3339"
            raise ValueError(
                f"must be {how}, and a day that there is, not {text!r}; --date-format says how the file writes dates"
            ) from None


def one_of(characters: str) -> str:
    """A pattern for one of some characters; for one blank it is any blank."""
    chosen = BLANKS if characters in BLANKS else characters
    return f"[{re.escape(chosen)}]"


def _parsed(text: str, date_format: str) -> int | date:
    found = time.strptime(text, date_format)
    if found.tm_gmtoff is None:
        return date(found.tm_year, found.tm_mon, found.tm_mday)
    return timegm(found) - found.tm_gmtoff


def date_format_problem(date_format: str) -> str:
    """A sentence on a format that does not say which day it is, or '' for one that does."""
    if "%Z" in date_format.replace("%%", ""):
        return "%Z is a name, which several zones may have; use %z for an offset, or leave the zone to --zone"
    try:
        for probe in _PROBES:
            read = _parsed(probe.strftime(date_format), date_format)
            if probe.date() != (datetime.fromtimestamp(read, UTC).date() if isinstance(read, int) else read):
                return "it must hold year, month and day"
    except (ValueError, OverflowError, re.error) as error:
        return f"Python's strptime does not know it ({error})"
    return ""


def parse_channels(lines: list[tuple[int, str]]) -> dict[str, str]:
    """The channels of a map, theirs to ours, of its numbered lines ``theirs=ours``. Raises ValueError, a sentence."""
    channels: dict[str, str] = {}
    for number, line in lines:
        theirs, equals, ours = (part.strip() for part in line.rpartition("="))
        if not (theirs and equals and ours):
            raise ValueError(f"line {number} must be theirs=ours, as in SMS=sms, not {line!r}")
        if theirs in channels:
            raise ValueError(f"line {number} names {theirs!r} again; one line for each channel of theirs")
        channels[theirs] = ours
    return channels
