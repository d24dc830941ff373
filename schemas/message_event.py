"""The event that producers publish: its type, its rules, and why a record is refused.

The published JSON Schema and AsyncAPI document (``schemas/published``) are generated from this type by
``schemas/publish.py``; the decoder (``pipeline/core/decode.py``) decodes straight into it.
"""

import re
from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec

MAX_EVENT_BYTES: Final = 64 * 1024
MAX_RECORD_BYTES: Final = 1 << 20
"""Of an envelope with an event in it. Up to this size a refused record is searched for its organization and id, too."""
MAX_EVENT_ID_CHARACTERS: Final = 128
MAX_ORG_CHARACTERS: Final = 64
MAX_ERROR_CODE_CHARACTERS: Final = 64
TYPES: Final = ("message.sent", "message.delivered", "message.failed", "message.charged")
SENT, DELIVERED, FAILED, CHARGED = 1, 2, 3, 4
TYPE_CODES: Final = dict(zip(TYPES, (SENT, DELIVERED, FAILED, CHARGED), strict=True))
"""The numbers of the types in the table ``facts``."""

CHANNEL_PATTERN: Final = re.compile(r"[a-z0-9_.-]{1,32}", re.ASCII)
COST_PATTERN: Final = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)
MICROS_PER_CENT: Final = 10**6
COST_LIMIT_MICROS: Final = 10**12 * MICROS_PER_CENT
FIRST_YEAR, LAST_YEAR = 2000, 2100
OTHER_KEY: Final = "__other__"
"""The key that small groups are folded into; no event may use it as channel or error code."""

FIELD_RULES: Final = {
    "event_id": f"must be a string of 1 to {MAX_EVENT_ID_CHARACTERS} characters",
    "type": f"must be one of {', '.join(TYPES)}",
    "org_id": f"must be a string of 1 to {MAX_ORG_CHARACTERS} characters",
    "channel": f"must be 1 to 32 of [a-z0-9_.-] and not {OTHER_KEY}",
    "occurred_at": "must be an RFC 3339 date-time with offset, like 2026-05-05T12:00:00.123Z",
    "error_code": f"must be null or a string of 1 to {MAX_ERROR_CODE_CHARACTERS} characters",
    "cost_cents": "must be a decimal of at most 12 digits and at most 6 decimals, "
    'as a string like "0.75" or as a JSON number',
}
"""The rule of each field, as a sentence goes on after the field's name."""


class DeadLetterReason(StrEnum):
    """Reasons for which a record is not a fact."""

    MALFORMED_JSON = "malformed_json"
    INVALID_FIELD = "invalid_field"
    TOO_LARGE = "too_large"
    EMPTY = "empty"
    FUTURE_TIMESTAMP = "future_timestamp"
    TOO_LATE = "too_late"
    UNREADABLE_RECORD = "unreadable_record"
    UNKNOWN_SCHEMA = "unknown_schema"


TIME_BASED: Final = frozenset({DeadLetterReason.FUTURE_TIMESTAMP, DeadLetterReason.TOO_LATE})
"""Verdicts that depend on when the record is looked at, not only on its bytes."""
OF_ONE_READING: Final = TIME_BASED | {DeadLetterReason.UNKNOWN_SCHEMA}
"""Verdicts that another reading may not come to: by then it is later, or the registry has the schema."""

_COST_SCHEMA: Final = {
    "description": "Cost in cents, exact: a decimal string, or a JSON number of such a value. The metric sums the cost "
    "of every event of every type, so put it on one of them. Required on message.charged, where a credit is negative; "
    "on any other type never negative.",
    "default": "0",
    "oneOf": [
        {"type": "string", "pattern": f"^{COST_PATTERN.pattern}$"},
        {"type": "number", "exclusiveMinimum": -(10**12), "exclusiveMaximum": 10**12},
        {"type": "null"},
    ],
    "examples": ["0.75", "12", 0.5],
}
AMOUNT_SCHEMA: Final = {"oneOf": _COST_SCHEMA["oneOf"][:2]}
"""A cost that is there, of either sign."""
NOT_NEGATIVE_SCHEMA: Final = {
    "not": {"anyOf": [{"type": "string", "pattern": "^-.*[1-9]"}, {"type": "number", "exclusiveMaximum": 0}]}
}
"""A rule for a cost that must not be negative, beside that of any cost. Minus zero is zero."""
_CHANNEL_SCHEMA: Final = {
    "pattern": "^[a-z0-9_.-]{1,32}$",
    "not": {"const": OTHER_KEY},
    "minLength": 1,
    "maxLength": 32,
}
_TIME_SCHEMA: Final = {"format": "date-time"}

Identifier128 = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=MAX_EVENT_ID_CHARACTERS,
        description="With org_id and type the identity of the event: unique per organization and type. Sent again it "
        "counts once, and every field of an event is immutable.",
    ),
]
Organization = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=MAX_ORG_CHARACTERS, description="The organization that the event is counted for."
    ),
]
Channel = Annotated[
    str,
    msgspec.Meta(description="Open set: sms, mms, email, whatsapp, …", extra_json_schema=_CHANNEL_SCHEMA),
]
ErrorCode = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=MAX_ERROR_CODE_CHARACTERS,
        description="Why the message failed; only on message.failed.",
    ),
]
Instant = Annotated[
    str,
    msgspec.Meta(
        description="RFC 3339 date-time with offset. The bucket is chosen by it, in UTC; digits beyond milliseconds "
        "are cut, never rounded. Years 2000 to 2100.",
        extra_json_schema=_TIME_SCHEMA,
    ),
]
Cost = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema=_COST_SCHEMA)]


ABSENT: Final = b"null"
_NO_COST = msgspec.Raw(ABSENT)


def _no_cost() -> msgspec.Raw:
    """A factory, since a Raw default cannot be written into a JSON Schema; the schema says it itself."""
    return _NO_COST


class MessageEvent(msgspec.Struct, gc=False):
    """One thing that happened to a message, or a charge for it. Unknown fields are ignored; null means absent."""

    event_id: Identifier128
    type: Literal["message.sent", "message.delivered", "message.failed", "message.charged"]
    org_id: Organization
    channel: Channel
    occurred_at: Instant
    error_code: ErrorCode | None = None
    cost_cents: Cost = msgspec.field(default_factory=_no_cost)
