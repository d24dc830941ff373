"""Events in the envelopes of other systems, as their own serializers write them. The event stays byte by byte."""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from deploy.errors import Usage
from pipeline.core.envelope import cloudevents, frames
from schemas.message_event import MessageEvent

SCHEMA_ID_BYTES: Final = 4
DEFAULT_SOURCE: Final = "msgmetrics"
MOST_SOURCE_CHARACTERS: Final = 256

_JSON: Final = "application/json"
_CONTENT_TYPE: Final = cloudevents.CONTENT_TYPE.decode()
_SOURCE: Final = re.compile(rf"[!-~]{{1,{MOST_SOURCE_CHARACTERS}}}", re.ASCII)


class EnvelopeName(StrEnum):
    """Envelopes that events can be sent in, by the names that the command knows."""

    PLAIN = "plain"
    CLOUDEVENTS = "cloudevents"
    CLOUDEVENTS_BINARY = "cloudevents-binary"
    CONFLUENT_JSON = "confluent-json"


CLOUD_EVENTS: Final = (EnvelopeName.CLOUDEVENTS, EnvelopeName.CLOUDEVENTS_BINARY)


class Wrapped(NamedTuple):
    """The value and the headers of a record."""

    value: bytes
    headers: list[tuple[str, bytes]]


Wrap = Callable[[bytes, MessageEvent], Wrapped]
"""Puts an event, given as its line and decoded, into an envelope."""


def wrap_of(envelope: EnvelopeName, source: str | None, schema_id: int | None) -> Wrap:
    """The way into an envelope. Raises Usage where an option is missing, or belongs to another envelope."""
    _require_fitting(envelope, source, schema_id)
    origin = DEFAULT_SOURCE if source is None else source
    match envelope:
        case EnvelopeName.CLOUDEVENTS:
            return lambda line, event: structured(line, event, origin)
        case EnvelopeName.CLOUDEVENTS_BINARY:
            return lambda line, event: binary(line, event, origin)
        case EnvelopeName.CONFLUENT_JSON:
            return lambda line, _: framed(line, schema_id or 0)
    return plain


def _require_fitting(envelope: EnvelopeName, source: str | None, schema_id: int | None) -> None:
    is_framed = envelope is EnvelopeName.CONFLUENT_JSON
    if is_framed and schema_id is None:
        raise Usage(f"--envelope {envelope} needs --schema-id, the number that the schema registry gave the schema")
    if schema_id is not None and not is_framed:
        raise Usage(f"--schema-id goes with --envelope {EnvelopeName.CONFLUENT_JSON} alone")
    if source is not None and envelope not in CLOUD_EVENTS:
        raise Usage(f"--source goes with --envelope {' or '.join(CLOUD_EVENTS)} alone")
    if source is not None and not _SOURCE.fullmatch(source):
        raise Usage(
            f"a source is a URI, or a part of one: 1 to {MOST_SOURCE_CHARACTERS} characters of ASCII without spaces; "
            f"not {source!a}"
        )


def plain(line: bytes, _: MessageEvent) -> Wrapped:
    """An event with nothing around it."""
    return Wrapped(line, [])


def structured(line: bytes, event: MessageEvent, source: str) -> Wrapped:
    """A CloudEvent as one JSON object, whose data is the event."""
    attributes = msgspec.json.encode({**_attributes(event, source), "datacontenttype": _JSON})
    content_type = f"{cloudevents.STRUCTURED}; charset=UTF-8"
    return Wrapped(attributes[:-1] + b',"data":' + line + b"}", [(_CONTENT_TYPE, content_type.encode())])


def binary(line: bytes, event: MessageEvent, source: str) -> Wrapped:
    """A CloudEvent whose attributes are headers."""
    attributes = [(f"ce_{name}", text.encode()) for name, text in _attributes(event, source).items()]
    return Wrapped(line, [*attributes, (_CONTENT_TYPE, _JSON.encode())])


def framed(line: bytes, schema_id: int) -> Wrapped:
    """A schema registry's frame, as Confluent's JSON serializer writes it."""
    return Wrapped(frames.MAGIC + schema_id.to_bytes(SCHEMA_ID_BYTES, "big") + line, [])


def _attributes(event: MessageEvent, source: str) -> Mapping[str, str]:
    return {
        "specversion": cloudevents.VERSION,
        "id": f"{event.org_id}/{event.type}/{event.event_id}",  # an event's own is unique within these two
        "source": source,
        "type": event.type,
        "time": event.occurred_at,
    }
