"""Exact parsing of the two fields whose text carries more than a float or a datetime can hold.

Both are memoised in bounded dictionaries: costs repeat, and so do the seconds and the fractions of timestamps.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import TypeVar

from pipeline.core.json_text import text_in
from schemas.grain import MS_PER_SECOND
from schemas.message_event import (
    ABSENT,
    COST_LIMIT_MICROS,
    COST_PATTERN,
    FIELD_RULES,
    FIRST_YEAR,
    LAST_YEAR,
    MAX_EVENT_BYTES,
    MICROS_PER_CENT,
)

K = TypeVar("K", str, bytes)

SECOND_CHARACTERS = 19  # 2026-05-05T12:00:00
MAX_MEMORY = 1 << 16
MAX_KEY = 40

_SECOND = re.compile(r"(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})", re.ASCII)
_SUFFIX = re.compile(r"(?:\.(\d+))?(?:[Zz]|([+-])(\d{2}):(\d{2}))", re.ASCII)
_ZERO = re.compile(rb"-?0(\.0+)?([eE][+-]?\d+)?")
_NUMBER = re.compile(rb"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?0*\d{1,9})?")
_EXACT = Context(prec=MAX_EVENT_BYTES + 100, Emax=10**12, Emin=-(10**12))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

EARLIEST_MS = int((datetime(FIRST_YEAR, 1, 1, tzinfo=UTC) - _EPOCH) / timedelta(milliseconds=1))
LATEST_MS = int((datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC) - _EPOCH) / timedelta(milliseconds=1))
"""Every time of an event and of a record is before it."""


class FieldError(Exception):
    """A field breaks its rule; the text names both, and ``explain`` adds what was given."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field} {rule}")
        self.field = field


def _no_time(why: str = "") -> FieldError:
    rule = FIELD_RULES["occurred_at"]
    return FieldError("occurred_at", f"{rule} ({why})" if why else rule)


class _Memo(dict[K, int]):
    """A dictionary that computes what it lacks and forgets everything when it grows too large."""

    def compute(self, key: K) -> int:
        raise NotImplementedError

    def __missing__(self, key: K) -> int:
        value = self.compute(key)
        if len(key) <= MAX_KEY:
            if len(self) >= MAX_MEMORY:
                self.clear()
            self[key] = value
        return value


class Seconds(_Memo[str]):
    """``2026-05-05T12:00:00`` to milliseconds since the epoch, as if it were UTC."""

    def compute(self, key: str) -> int:
        match = _SECOND.fullmatch(key)
        if match is None:
            raise _no_time()
        if match[6] == "60":
            raise FieldError("occurred_at", "must not name a leap second (:60; use :59 or the next second)")
        try:
            instant = datetime(*(int(part) for part in match.groups()), tzinfo=UTC)  # type: ignore[misc,arg-type]
        except ValueError as error:
            raise _no_time(str(error)) from None
        return (instant - _EPOCH) // timedelta(seconds=1) * MS_PER_SECOND


class Suffixes(_Memo[str]):
    """``.123456+02:00`` to the milliseconds it adds to the second before it; finer digits are cut."""

    def compute(self, key: str) -> int:
        match = _SUFFIX.fullmatch(key)
        if match is None:
            raise _no_time()
        fraction, sign, hours, minutes = match.groups()
        cut_ms = int((fraction or "0")[:3].ljust(3, "0"))
        if sign is None:
            return cut_ms
        if int(hours) > 23 or int(minutes) > 59:
            raise _no_time("its offset goes from -23:59 to +23:59")
        ahead = timedelta(hours=int(hours), minutes=int(minutes)) // timedelta(milliseconds=1)
        return cut_ms - ahead if sign == "+" else cut_ms + ahead


class Costs(_Memo[bytes]):
    """The raw JSON text of ``cost_cents`` to millionths of a cent, exactly. Either sign: the types decide."""

    def compute(self, key: bytes) -> int:
        if key == ABSENT:
            return 0
        micros = _text_micros(key) if key.startswith(b'"') else _number_micros(key)
        if micros is None:
            raise FieldError("cost_cents", FIELD_RULES["cost_cents"])
        return micros


def _text_micros(raw: bytes) -> int | None:
    text = text_in(raw)
    if COST_PATTERN.fullmatch(text) is None:
        return None
    whole, _, decimals = text.removeprefix("-").partition(".")
    micros = int(whole) * MICROS_PER_CENT + int(decimals.ljust(6, "0"))
    return -micros if text.startswith("-") else micros


def _number_micros(raw: bytes) -> int | None:
    if _ZERO.fullmatch(raw):  # also -0.0, and with an exponent that Decimal refuses
        return 0
    if _NUMBER.fullmatch(raw) is None:
        return None
    try:
        micros = Decimal(raw.decode()).scaleb(6, _EXACT)
    except InvalidOperation:
        return None
    is_giant = micros.adjusted() > 18 or abs(micros) >= COST_LIMIT_MICROS
    if is_giant or micros != micros.to_integral_value(context=_EXACT):
        return None
    return int(micros)
