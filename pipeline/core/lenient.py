"""Reads around what cannot be read: halves of surrogate pairs, and bytes that are no UTF-8. Only for broken values.

A value is decoded twice, with something else in place of each unreadable piece. A field that differs between the two
contains such a piece; all others are as they were sent.
"""

import re
from codecs import BOM_UTF8
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from pipeline.core.exact import FieldError
from schemas.message_event import MessageEvent

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_HALF = re.compile(
    rb"(?:[^\\]++"  # anything but an escape
    rb"|\\[^u]"  # the backslash itself, or a short one
    rb"|\\u(?![dD][89a-fA-F])"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})++"  # a pair
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})",  # a half without the other
    re.DOTALL,
)
"""A run of text in one piece, or a half: hostile texts have a million escapes, and each match costs."""

_decode_event = msgspec.json.Decoder(MessageEvent).decode
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Fields(msgspec.Struct, gc=False):
    """Fields that may be readable in a broken event."""

    org_id: Any = None
    event_id: Any = None
    type: Any = None
    occurred_at: Any = None


class Named(NamedTuple):
    """Fields of a broken event as they were sent; '' where they cannot be read."""

    org_id: str = ""
    event_id: str = ""
    type: str = ""
    occurred_at: str = ""


NOBODY: Final = Named()

_decode_fields = msgspec.json.Decoder(_Fields).decode


def decode_around_halves(value: bytes) -> MessageEvent | None:
    """The event of a value whose ignored fields have halves of surrogate pairs; None where there is no such half.

    Raises FieldError where a field that is used has one, and msgspec's errors.
    """
    one, other = spellings(value)
    return None if one == value else agreed(_decode_event(one), _decode_event(other))


def agreed(event: MessageEvent, twin: MessageEvent) -> MessageEvent:
    """An event that was read in two spellings. Raises FieldError where a field of it had a half in it."""
    for field in event.__struct_fields__:
        if getattr(event, field) != getattr(twin, field):
            raise FieldError(field, r"must not contain half of a surrogate pair (like \ud83d without \ude00)")
    return event


def named_in(one: bytes, other: bytes) -> Named:
    """The names in a broken event, which is given in two spellings."""
    try:
        fields, twins = _decode_fields(one), _decode_fields(other)
    except UNREADABLE:
        return NOBODY
    pairs = ((getattr(fields, name), getattr(twins, name)) for name in _Fields.__struct_fields__)
    return Named(*(x if isinstance(x, str) and x == twin else "" for x, twin in pairs))


def spellings(value: bytes) -> tuple[bytes, bytes]:
    """The value with U+FFFD for each unreadable piece; and with U+FFFE, or nothing for bytes that are no UTF-8."""
    return _spelled(value, "replace", rb"\ufffd"), _spelled(value, "ignore", rb"\ufffe")


def _spelled(value: bytes, errors: str, half: bytes) -> bytes:
    text = value if value.isascii() else value.decode(errors=errors).encode()
    if _SURROGATE.search(text) is None:
        return text
    return _HALF.sub(lambda piece: half if piece[1] else piece[0], text)


def _around_halves(half: bytes, value: bytes) -> bytes:
    return _spelled(value, "strict", half)


def _around_bytes(errors: str, half: bytes, value: bytes) -> bytes:
    return _spelled(value.removeprefix(BOM_UTF8), errors, half)


def may_be_unreadable(value: bytes) -> bool:
    """Whether there may be a piece in a record that can only be read around: a half of a pair, or bytes."""
    return b"\\ud" in value.lower() or b"base64" in value or not _is_utf8(value)


def _is_utf8(value: bytes) -> bool:
    try:
        return value.isascii() or bool(value.decode())
    except UnicodeDecodeError:
        return False


AROUND_HALVES: Final = (partial(_around_halves, rb"\ufffd"), partial(_around_halves, rb"\ufffe"))
"""Two spellings of a text with halves of surrogate pairs. They raise UnicodeDecodeError for bytes that are no UTF-8."""
AROUND_BYTES: Final = (partial(_around_bytes, "replace", rb"\ufffd"), partial(_around_bytes, "ignore", rb"\ufffe"))
"""Two spellings of any text."""
