"""From a record's value to the event in it, one envelope after the other: each is opened once at most.

A value that is a valid event is that whatever is around it, so every layer is tried as an event before the next is
opened (``pipeline/core/opening.py``).
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from pipeline.core.envelope import cloudevents, connect, frames
from pipeline.core.envelope.cloudevents import Attributes
from pipeline.core.envelope.frames import BLANK, Readers
from pipeline.core.json_text import fields_in, text_in
from pipeline.core.records import Headers
from pipeline.core.refusal import Refused
from schemas.message_event import DeadLetterReason

Spelling = Callable[[bytes], bytes]
"""JSON text in which whatever cannot be read stands in another way; or the same text."""
Fields = Mapping[str, msgspec.Raw]

_CHANGE: Final = "op"
_ROWS: Final = {"before", "after"}


class Envelope(StrEnum):
    """Kinds of envelopes, by what sentences call them."""

    FRAME = "a schema registry's frame"
    STRUCTURED = "a CloudEvent"
    BINARY = "a binary CloudEvent"
    CONNECT = "Connect's schema and payload"
    STRING = "a JSON string"


_CLOUD_EVENTS: Final = {Envelope.STRUCTURED, Envelope.BINARY}


class Record(NamedTuple):
    """The headers of a record, and the readers for what is in frames.

    ``readers`` is None where there is no registry.
    """

    headers: Headers
    readers: Readers | None


class Layer(NamedTuple):
    """A value, the envelopes around it, the outermost first, and the attributes of the CloudEvent among them.

    ``refusal`` is why it is no event, if an envelope tells: what is in it is attributed all the same.
    """

    value: bytes
    around: tuple[Envelope, ...] = ()
    attributes: Attributes | None = None
    refusal: Exception | None = None

    def inside(self, envelope: Envelope, value: bytes, refusal: Exception | None = None) -> "Layer":
        """The layer in this one, which is an envelope of a kind."""
        return Layer(value, (*self.around, envelope), self.attributes, self.refusal or refusal)


class Found(NamedTuple):
    """An envelope, and how to open it: which raises Refused, msgspec's errors, or anything that a reader raises."""

    envelope: Envelope
    open: Callable[[], Layer]


class Content(NamedTuple):
    """The text of a layer, and its fields in JSON if it is an object; none of anything else."""

    text: bytes
    fields: Fields


def content_of(layer: Layer, headers: Headers, spelling: Spelling) -> Content:
    """The content of a layer. Raises UnicodeDecodeError where that is no text."""
    if _is_frame(layer, headers):
        return Content(layer.value, {})
    text = spelling(layer.value)
    if not text.isascii():
        text.decode()
    try:
        return Content(text, fields_in(text) if text.lstrip(BLANK).startswith(b"{") else {})
    except (msgspec.DecodeError, RecursionError):
        return Content(text, {})


def _is_frame(layer: Layer, headers: Headers) -> bool:
    return not layer.around and frames.is_framed(layer.value, headers)


def next_envelope(layer: Layer, content: Content, record: Record) -> Found | None:
    """The envelope that a layer is; None where it is none, or of a kind that was opened already.

    Raises Refused for those that are known and not read.
    """
    if _is_frame(layer, record.headers):
        return Found(Envelope.FRAME, lambda: _unframed(layer, record))
    fields = content.fields
    if not fields and Envelope.STRING not in layer.around and (inner := object_in_string(content.text)) is not None:
        return Found(Envelope.STRING, lambda: layer.inside(Envelope.STRING, inner))
    if _CLOUD_EVENTS.isdisjoint(layer.around) and (found := _cloud_event(layer, content, record.headers)):
        return found
    if fields.keys() == connect.KEYS and Envelope.CONNECT not in layer.around:
        return Found(Envelope.CONNECT, lambda: _payload(layer, fields))
    if _CHANGE in fields and _ROWS & fields.keys() and "org_id" not in fields:
        remedy = "publish events of their own, with its outbox event router"
        raise Refused(DeadLetterReason.INVALID_FIELD, f"the value is a change of a row, as Debezium sends it; {remedy}")
    return None


def _unframed(layer: Layer, record: Record) -> Layer:
    return layer.inside(Envelope.FRAME, frames.unframed(layer.value, record.headers, record.readers))


def _cloud_event(layer: Layer, content: Content, headers: Headers) -> Found | None:
    content_type = cloudevents.content_type(headers)
    media = cloudevents.media_type(content_type)
    if "specversion" in content.fields or (content.fields and media == cloudevents.STRUCTURED):
        return Found(Envelope.STRUCTURED, lambda: _structured(layer, content.fields))
    if media != cloudevents.STRUCTURED and media.startswith(cloudevents.MEDIA_TYPE):
        sentence = f"CloudEvents as {media} are not read; publish each as {cloudevents.STRUCTURED}, or in binary mode"
        raise Refused(DeadLetterReason.INVALID_FIELD, sentence)
    if cloudevents.VERSION_HEADER in headers:
        shows_what_it_is = Envelope.FRAME in layer.around
        return Found(Envelope.BINARY, lambda: _binary(layer, headers, "" if shows_what_it_is else content_type))
    return None


def _structured(layer: Layer, fields: Fields) -> Layer:
    attributes = cloudevents.of_fields(fields)
    is_base64 = bytes(fields.get("data", b"null")) == b"null"
    content_type = attributes.get("datacontenttype") if is_base64 else None
    refusal = cloudevents.problem(attributes, content_type or "", "datacontenttype")
    around = (*layer.around, Envelope.STRUCTURED)
    try:
        return Layer(cloudevents.data_of(fields), around, attributes, layer.refusal or refusal)
    except Refused as missing:
        raise refusal or missing from None


def _binary(layer: Layer, headers: Headers, content_type: str) -> Layer:
    attributes = cloudevents.of_headers(headers)
    refusal = cloudevents.problem(attributes, content_type, "content-type")
    return Layer(layer.value, (*layer.around, Envelope.BINARY), attributes, layer.refusal or refusal)


def _payload(layer: Layer, fields: Fields) -> Layer:
    payload = bytes(fields["payload"])
    if payload == b"null":
        raise Refused(DeadLetterReason.EMPTY, "the payload is null; an event is one JSON object")
    refusal = connect.doubtful(payload, bytes(fields["schema"]))
    return layer.inside(Envelope.CONNECT, payload, refusal)


def object_in_string(text: bytes) -> bytes | None:
    """The text of the object in a JSON string; None for anything else."""
    try:
        content = text_in(text).encode().lstrip(BLANK) if text.lstrip(BLANK).startswith(b'"') else b""
    except msgspec.DecodeError:
        return None
    return content if content.startswith(b"{") else None
