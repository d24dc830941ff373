"""Reads around what cannot be read: halves of surrogate pairs, and bytes that are no UTF-8. Only for broken values.

A value is decoded twice, with something else in place of each unreadable piece. A field that differs between the two
contains such a piece; all others are as they were sent.
"""

import re
from codecs import BOM_UTF8
from typing import Any, Final

import msgspec

from pipeline.core.exact import FieldError
from schemas.message_event import MessageEvent

MAX_NAMED_BYTES: Final = 1 << 20
"""Up to this size organization and id are looked for, which takes 2 ms, or 0.6 s of hostile escapes: as long, byte for
byte, as in values of 64 KiB. Topics take hardly more by default."""

_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"  # a half without the other
    rb"|\\.",  # any other escape, the backslash itself among them
    re.DOTALL,
)

_decode_event = msgspec.json.Decoder(MessageEvent).decode
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Named(msgspec.Struct, gc=False):
    """Fields that may be readable in a broken event."""

    org_id: Any = None
    event_id: Any = None
    type: Any = None
    occurred_at: Any = None


_decode_named = msgspec.json.Decoder(_Named).decode


def decode_around_halves(value: bytes) -> MessageEvent | None:
    """The event of a value whose ignored fields have halves of surrogate pairs; None where there is no such half.

    Raises FieldError where a field that is used has one, and msgspec's errors.
    """
    one, other = spellings(value)
    if one == value:
        return None
    event, twin = _decode_event(one), _decode_event(other)
    for field in event.__struct_fields__:
        if getattr(event, field) != getattr(twin, field):
            raise FieldError(field, r"must not contain half of a surrogate pair (like \ud83d without \ude00)")
    return event


def texts_of(value: bytes | None) -> tuple[str, str, str, str]:
    """Organization, id, type and time of a broken event as they were sent, '' where they cannot be read."""
    if not value or len(value) > MAX_NAMED_BYTES:
        return "", "", "", ""
    try:
        one, other = map(_decode_named, spellings(value.removeprefix(BOM_UTF8)))
    except UNREADABLE:
        return "", "", "", ""
    pairs = ((getattr(one, name), getattr(other, name)) for name in _Named.__struct_fields__)
    org_id, event_id, kind, occurred_at = (x if isinstance(x, str) and x == twin else "" for x, twin in pairs)
    return org_id, event_id, kind, occurred_at


def spellings(value: bytes) -> tuple[bytes, bytes]:
    """The value with U+FFFD for each unreadable piece; and with U+FFFE, or nothing for bytes that are no UTF-8."""
    return _spelled(value, "replace", rb"\ufffd"), _spelled(value, "ignore", rb"\ufffe")


def _spelled(value: bytes, errors: str, half: bytes) -> bytes:
    text = value if value.isascii() else value.decode(errors=errors).encode()
    if b"\\u" not in text:
        return text
    return _ESCAPE.sub(lambda escape: half if escape[1] else escape[0], text)
