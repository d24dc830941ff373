"""Records with something around their event, put together as their specifications say, without the product's code."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Headers = tuple[tuple[str, bytes | None], ...]

ATTRIBUTES: Mapping[str, str] = {
    "id": "5f3c1a2e",
    "source": "/messaging",
    "type": "com.example.message.sent.v1",
    "time": "2020-01-01T00:00:00Z",
}
"""Of another event, as SDKs make them up: they must change nothing where the data is complete."""


@dataclass(frozen=True)
class Sent:
    """Value and headers of a record."""

    value: bytes
    headers: Headers = ()


def structured(event: bytes, attributes: Mapping[str, object] = ATTRIBUTES) -> bytes:
    """A CloudEvent as JSON; the event is in it byte by byte."""
    head = json.dumps({"specversion": "1.0", **attributes})
    return head[:-1].encode() + b', "data": ' + event + b"}"


def structured_text(event: bytes) -> bytes:
    return structured(json.dumps(event.decode()).encode())


def structured_base64(event: bytes) -> bytes:
    encoded = base64.b64encode(event).decode()
    return json.dumps({"specversion": "1.0", **ATTRIBUTES, "data": None, "data_base64": encoded}).encode()


def in_connect(event: bytes, schema: object = None) -> bytes:
    """What Connect's JsonConverter makes of it; the event is in it byte by byte."""
    return b'{"schema": ' + json.dumps(schema).encode() + b', "payload": ' + event + b"}"


def in_string(event: bytes) -> bytes:
    """As Debezium's outbox sends a column with JSON."""
    return json.dumps(event.decode()).encode()


def in_frame(event: bytes, schema_id: int = 7) -> bytes:
    """As Confluent's JSON serializer writes it."""
    return b"\0" + schema_id.to_bytes(4, "big") + event


def binary_headers(attributes: Mapping[str, str] = ATTRIBUTES) -> Headers:
    """The headers of a CloudEvent in binary mode."""
    named = {"specversion": "1.0", **attributes}
    return (("content-type", b"application/json"), *((f"ce_{name}", text.encode()) for name, text in named.items()))


KINDS: Mapping[str, Callable[[bytes], Sent]] = {
    "plain": Sent,
    "cloudevents": lambda event: Sent(structured(event), (("content-type", b"application/cloudevents+json"),)),
    "cloudevents, data as text": lambda event: Sent(structured_text(event)),
    "cloudevents, data as base64": lambda event: Sent(structured_base64(event)),
    "cloudevents-binary": lambda event: Sent(event, binary_headers()),
    "confluent-json": lambda event: Sent(in_frame(event)),
    "connect": lambda event: Sent(in_connect(event)),
    "string": lambda event: Sent(in_string(event)),
}
"""Every kind of envelope that needs no registry."""

WRAPPERS: Sequence[Callable[[bytes], bytes]] = (structured, structured_text, structured_base64, in_connect, in_string)
CLOUD_EVENTS = frozenset({structured, structured_text, structured_base64})


def nested(event: bytes, wrappers: Sequence[Callable[[bytes], bytes]]) -> bytes:
    """An event in several envelopes, the innermost first."""
    for wrap in wrappers:
        event = wrap(event)
    return event
