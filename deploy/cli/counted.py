"""Words on an event that is counted: the same wherever a command says that it is, or would be."""

from decimal import Decimal

from schemas.grain import Grain
from schemas.instant import rfc3339, second


def minute_of(occurred_ms: int) -> str:
    """The minute in which an event is counted, as RFC 3339."""
    return second(Grain.MINUTE.floor_ms(occurred_ms))


def counted(kind: str, occurred_ms: int) -> str:
    """The beginning of a sentence on an event that is counted."""
    return f"counted: {kind} at {rfc3339(occurred_ms)}, in minute {minute_of(occurred_ms)}"


def plain_number(value: int | Decimal) -> str:
    """A number in digits, without zeros at its end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
