"""Reasons of refusals: a code, and a sentence that names field, rule, the value that was given and the remedy."""

import re
from typing import Final

import msgspec

from pipeline.core.exact import FieldError
from pipeline.core.json_text import fields_in, text_in
from pipeline.core.lenient import UNREADABLE, spellings
from pipeline.core.looks import Look, begins_with, look_of
from schemas.message_event import FIELD_RULES, DeadLetterReason

_AT_FIELD = re.compile(r" - at `\$\.([^`]*)`")
_AT_BYTE = re.compile(r"\(byte (\d+)\)")
_MISSING = re.compile(r"Object missing required field `(.+)`")
_EXCERPT_CHARACTERS: Final = 80
_NEAR_BYTES: Final = 16


class Refused(Exception):
    """A record is refused before its JSON is looked at."""

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def explain(error: Exception, value: bytes | None) -> tuple[DeadLetterReason, str]:
    """Explain why a value is no event: a reason code, and a sentence."""
    value, text = value or b"", str(error)
    match error:
        case Refused():
            return error.reason, text
        case FieldError():
            return DeadLetterReason.INVALID_FIELD, text + _not_given(value, error.field)
        case msgspec.ValidationError():
            return DeadLetterReason.INVALID_FIELD, _validation_sentence(text, value)
        case UnicodeDecodeError():
            why = f"the value is not UTF-8: {error.reason} at byte {error.start}{_near(value, error.start)}"
            return DeadLetterReason.MALFORMED_JSON, _look_sentence(value) or why
        case msgspec.DecodeError():
            return DeadLetterReason.MALFORMED_JSON, _look_sentence(value) or _malformed_sentence(text, value)
        case RecursionError():
            return DeadLetterReason.MALFORMED_JSON, "the value is nested too deeply to be read"
    return DeadLetterReason.INVALID_FIELD, f"the value cannot be read as an event: {_cut(repr(error))}"


def printable(text: str) -> str:
    """The text with everything that does not print escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def excerpt(value: str | bytes) -> str:
    """A text as it may stand in a sentence: quoted, control characters escaped, and cut to 80 characters."""
    start = value[: 4 * _EXCERPT_CHARACTERS]
    return _cut(repr(start if isinstance(start, str) else start.decode(errors="replace")))


def _cut(text: str) -> str:
    return text if len(text) <= _EXCERPT_CHARACTERS else text[: _EXCERPT_CHARACTERS - 1] + "…"


def _look_sentence(value: bytes) -> str:
    look = look_of(value)
    return "" if look is None else look_sentence(value, look)


def look_sentence(value: bytes, look: Look) -> str:
    """A sentence on a value that looks like something else than JSON."""
    return f"the value looks like {look.name}, and begins with {begins_with(value)}; {look.remedy}"


def _malformed_sentence(text: str, value: bytes) -> str:
    if "truncated" in text:
        return "the value is not a JSON object: it ends before the object does"
    near = _near(value, int(at[1])) if (at := _AT_BYTE.search(text)) else ""
    more = "; one record is one event" if "trailing characters" in text else ""
    return f"the value is not a JSON object: {text}{near}{more}"


def _near(value: bytes, at: int) -> str:
    piece = value[at : at + _NEAR_BYTES]
    return f", at {begins_with(piece)}" if piece else ""


def _validation_sentence(text: str, value: bytes) -> str:
    if missing := _MISSING.match(text):
        return f"{missing[1]} is required and missing"
    if (where := _AT_FIELD.search(text)) and where[1] in FIELD_RULES:
        return f"{where[1]} {FIELD_RULES[where[1]]}{_not_given(value, where[1])}"
    return f"the value must be one JSON object, not {excerpt(value)}"


def _not_given(value: bytes, field: str) -> str:
    """The end of a sentence: the value that was given in a field; '' where that cannot be read."""
    try:
        raw = bytes(fields_in(spellings(value)[0])[field])
    except (*UNREADABLE, KeyError):
        return ""
    if raw.startswith(b'"'):
        return f", not {excerpt(text_in(raw))}"
    text = raw.decode()[: 4 * _EXCERPT_CHARACTERS]
    return f", not {_cut(printable(text))}"
