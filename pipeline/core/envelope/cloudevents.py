"""CloudEvents 1.0, structured and binary: the data is the event, and attributes fill only what it lacks.

They are never compared with the event, since SDKs set a random id and the time of sending where they are given none.
"""

import binascii
import hashlib
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from pipeline.core.exact import FieldError
from pipeline.core.json_text import text_in
from pipeline.core.records import Headers
from pipeline.core.refusal import Refused, excerpt
from schemas.message_event import FIELD_RULES, MAX_EVENT_ID_CHARACTERS, TYPES, DeadLetterReason

VERSION: Final = "1.0"
MEDIA_TYPE: Final = "application/cloudevents"
STRUCTURED: Final = "application/cloudevents+json"
VERSION_HEADER: Final = b"ce_specversion"
CONTENT_TYPE: Final = b"content-type"

_TYPE: Final = re.compile(rf"(?:.*[^A-Za-z0-9_-])?({'|'.join(map(re.escape, TYPES))})(?:\.v[0-9]+)?", re.DOTALL)


def content_type(headers: Headers) -> str:
    """The content type of a record as it was sent; '' where there is none."""
    return (headers.get(CONTENT_TYPE) or b"").decode(errors="replace")


def media_type(text: str) -> str:
    """A content type without its parameters, in lower case."""
    return text.partition(";")[0].strip().lower() if text else ""


def is_json(text: str) -> bool:
    """Whether a content type is JSON's; none is taken for it, as CloudEvents have it."""
    media = media_type(text)
    return not media or media.partition("/")[2] == "json" or media.endswith("+json")


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of a CloudEvent. ``get`` returns the text of one by its name; None where it is none."""

    get: Callable[[str], str | None]


def of_fields(fields: Mapping[str, msgspec.Raw]) -> Attributes:
    """The attributes of a CloudEvent that is a JSON object."""
    return Attributes(lambda name: _string(fields.get(name)))


def of_headers(headers: Headers) -> Attributes:
    """The attributes of a CloudEvent in binary mode, whose data is the record's value."""
    return Attributes(lambda name: _utf8(headers.get(b"ce_" + name.encode())))


def data_of(fields: Mapping[str, msgspec.Raw]) -> bytes:
    """The data of a CloudEvent that is a JSON object. Raises Refused where it has none."""
    data = bytes(fields.get("data", b"null"))
    if data.startswith(b'"'):  # JSON in a string, as SDKs send it that are given text
        return text_in(data).encode()
    if data != b"null":
        return data
    if (encoded := _string(fields.get("data_base64"))) is None:
        raise Refused(DeadLetterReason.INVALID_FIELD, "data is required and missing; the event is expected there")
    try:
        return b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(DeadLetterReason.INVALID_FIELD, f"data_base64 must be base64 ({error})") from None


def problem(attributes: Attributes, content_type: str = "", name: str = "") -> Refused | None:
    """The refusal of another version, or of data of another type than JSON; None where there is nothing to refuse."""
    if (version := attributes.get("specversion")) != VERSION:
        found = "missing or no text" if version is None else excerpt(version)
        return Refused(DeadLetterReason.INVALID_FIELD, f'specversion must be "{VERSION}", and is {found}')
    if not is_json(content_type):
        sentence = f"{name} must be application/json, or left out, not {excerpt(content_type)}"
        return Refused(DeadLetterReason.INVALID_FIELD, sentence)
    return None


def fill(event: bytes, fields: Mapping[str, msgspec.Raw], attributes: Attributes) -> bytes:
    """An event, given its fields as well, with those that it lacks, as far as the attributes tell.

    The same bytes where nothing is filled. Raises FieldError where an attribute is needed and unfit.
    """
    if not fields:
        return event
    filled = {
        name: msgspec.Raw(msgspec.json.encode(value))
        for name, make in _MAKERS.items()
        if bytes(fields.get(name, b"null")) == b"null" and (value := make(attributes)) is not None
    }
    return msgspec.json.encode({**fields, **filled}) if filled else event


def _event_id(attributes: Attributes) -> str | None:
    source, own = attributes.get("source"), attributes.get("id")
    if not source or not own:
        return None
    if " " in source:
        raise FieldError(
            "event_id", f"is missing in data, and cannot be made of a source with a space: {excerpt(source)}"
        )
    text = f"{source} {own}"
    return text if len(text) <= MAX_EVENT_ID_CHARACTERS else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _type(attributes: Attributes) -> str | None:
    kind = attributes.get("type")
    if kind is None:
        return None
    if (ours := _TYPE.fullmatch(kind)) is None:
        raise FieldError("type", f"{FIELD_RULES['type']}; data has none, and the attribute is {excerpt(kind)}")
    return ours[1]


_MAKERS: Final[Mapping[str, Callable[[Attributes], str | None]]] = {
    "event_id": _event_id,
    "type": _type,
    "occurred_at": lambda attributes: attributes.get("time"),
}


def _string(raw: msgspec.Raw | None) -> str | None:
    return text_in(raw) if raw is not None and bytes(raw).startswith(b'"') else None


def _utf8(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
