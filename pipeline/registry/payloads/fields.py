"""The fields that are converted, and how a type is refused that a field may not have."""

from collections.abc import Callable, Container
from typing import Any, Final, NoReturn

from pipeline.core.exact import FieldError
from schemas.message_event import FIELD_RULES

JsonValue = str | int | float | dict[str, Any]

EVENT_FIELDS: Final = frozenset(FIELD_RULES)
CLOUD_MARK: Final = "specversion"
"""A record with this field is a CloudEvent, and its attributes are converted too."""

CLOUD_FIELDS: Final = EVENT_FIELDS | {CLOUD_MARK, "id", "source", "time", "datacontenttype", "data"}
TIME_FIELDS: Final = frozenset({"occurred_at", "time"})
COST: Final = "cost_cents"
DATA: Final = "data"

_SPELLINGS: Final[dict[str, Callable[[str], str]]] = {
    "type": lambda symbol: symbol.lower().replace("_", "."),
    "channel": str.lower,
}
"""The symbols of an enum are upper case by convention, and have no dots by grammar."""

_NO_OFFSET: Final = "a local time does not tell its offset from UTC"
_REASONS: Final = {
    "date": "a date has no time of day",
    "time-millis": "a time of day has no date",
    "time-micros": "a time of day has no date",
    "local-timestamp-millis": _NO_OFFSET,
    "local-timestamp-micros": _NO_OFFSET,
    "local-timestamp-nanos": _NO_OFFSET,
    "float": "32 bits hold hardly any decimal exactly",
}
_TIME_REASONS: Final = dict.fromkeys(
    (
        "int",
        "long",
        *(f"{sign}{kind}{bits}" for kind in ("int", "fixed") for bits in (32, 64) for sign in ("", "s", "u")),
    ),
    "a number does not tell its unit",
)
_COST_REASONS: Final = {"bytes": "bytes without the logical type decimal do not tell their scale"}


def converted_fields(names: Container[str]) -> frozenset[str]:
    """The fields of a record that are converted, given the names of all it has."""
    return CLOUD_FIELDS if CLOUD_MARK in names else EVENT_FIELDS


def symbol_text(field: str, symbol: str) -> str:
    """The symbol of an enum as the event contract writes it."""
    spell = _SPELLINGS.get(field)
    return spell(symbol) if spell else symbol


def wrong_type(field: str, wanted: str, given: str) -> FieldError:
    """The refusal of a type, with the types that are read instead and the reason where there is one."""
    reason = _REASONS.get(given)
    if field in TIME_FIELDS:
        reason = reason or _TIME_REASONS.get(given)
    if field == COST:
        reason = reason or _COST_REASONS.get(given)
    return FieldError(field, f"must be {wanted}, not {given}" + (f": {reason}" if reason else ""))


def refuse_type(field: str, wanted: str, given: str) -> Callable[..., NoReturn]:
    """A function that refuses whatever value the field has. A field that is absent never comes to it."""

    def refuse(*_value: Any) -> NoReturn:
        raise wrong_type(field, wanted, given)

    return refuse
