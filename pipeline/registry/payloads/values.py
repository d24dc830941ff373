"""Exact values: instants and decimals go from integers to text, never through a float."""

import re
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import Final

from pipeline.core.exact import SECOND_CHARACTERS, FieldError
from pipeline.registry.payloads.fields import COST
from schemas.grain import MS_PER_SECOND
from schemas.instant import EPOCH
from schemas.message_event import FIELD_RULES

MAX_DIGITS: Final = 100
"""Far beyond any cost; it bounds the work for a hostile one."""

NANOS_PER_MS: Final = 10**6
NANOS_PER_SECOND: Final = NANOS_PER_MS * MS_PER_SECOND

_LIMIT: Final = 10**MAX_DIGITS
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?", re.ASCII)


@lru_cache(maxsize=1 << 12)
def _second_text(seconds: int) -> str | None:
    """``2026-05-05T12:00:00``; None outside the years 1 to 9999. Seconds repeat, so they are cached."""
    try:
        return (EPOCH + timedelta(seconds=seconds)).isoformat()[:SECOND_CHARACTERS]
    except OverflowError:
        return None


def time_text(field: str, instant_ms: int) -> str:
    """Epoch milliseconds as RFC 3339. Raises FieldError for years that it cannot write."""
    seconds, ms = divmod(instant_ms, MS_PER_SECOND)
    text = _second_text(seconds)
    if text is None:
        raise FieldError(field, "must lie in the years 1 to 9999; perhaps its unit is not that of its type")
    return f"{text}.{ms:03}Z"


def decimal_text(unscaled: int, scale: int, precision: int = MAX_DIGITS) -> str:
    """``unscaled * 10**-scale`` in plain notation, without zeros at its end. Raises FieldError for giants.

    More digits than the precision refuse it: the value is not one that its schema allows.
    """
    if precision < MAX_DIGITS and abs(unscaled) >= 10**precision:
        raise FieldError(COST, f"must have at most the {precision} digits of its type's precision")
    if not unscaled:
        return "0"
    if abs(unscaled) >= _LIMIT or abs(scale) > MAX_DIGITS:
        raise FieldError(COST, FIELD_RULES[COST])
    if scale <= 0:
        return str(unscaled * 10**-scale)
    digits = str(abs(unscaled)).rjust(scale + 1, "0")
    whole, decimals = digits[:-scale], digits[-scale:].rstrip("0")
    return ("-" if unscaled < 0 else "") + whole + ("." + decimals if decimals else "")


def plain_decimal(text: str) -> str:
    """A decimal that may have an exponent, in plain notation; an empty one is zero, as google.type.Decimal has it."""
    if not text:
        return "0"
    if len(text) > MAX_DIGITS or _DECIMAL.fullmatch(text) is None:
        raise FieldError(COST, FIELD_RULES[COST])
    sign, digits, exponent = Decimal(text).as_tuple()
    assert isinstance(exponent, int)
    unscaled = int("".join(map(str, digits)))
    return decimal_text(-unscaled if sign else unscaled, -exponent)


def signed_integer(field: str, data: bytes) -> int:
    """Big-endian two's complement, as decimals have it. No byte at all is no number, in Java neither."""
    if not data:
        raise FieldError(field, "must be a decimal of one byte or more, not of none")
    return int.from_bytes(data, "big", signed=True)


def uuid_text(field: str, text: str) -> str:
    """A UUID in lower case. Raises FieldError for a text that is none."""
    if _UUID.fullmatch(text) is None:
        raise FieldError(field, "must be a UUID like 0b29d2f4-8a37-4c4a-a4c0-5c1d8e3f1a77, as its schema says")
    return text.lower()


def finite(field: str, number: float) -> float:
    """The number, for which JSON has a text. Raises FieldError for infinities and NaN."""
    if not isfinite(number):
        raise FieldError(field, f"must be a finite number, not {number}")
    return number
