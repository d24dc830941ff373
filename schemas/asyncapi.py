"""The AsyncAPI document of the topics: the event in every envelope that is read, and the headers that matter.

It repeats names that the decoder knows, since this package imports nothing of ours; a test holds the two together.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from schemas.message_event import MAX_RECORD_BYTES
from schemas.settings import SETTINGS

Document = dict[str, Any]

REDRIVEN: Final = "msgmetrics-redriven"
SCHEMA_ID: Final = "__value_schema_id"
FORMAT: Final = "application/schema+json;version=draft-2020-12"
JSON: Final = "application/json"
CLOUD_EVENT_JSON: Final = "application/cloudevents+json"

_FILLED: Final = ("event_id", "type", "occurred_at")
_EVENT, _DATA = ({"$ref": f"#/components/schemas/{name}/schema"} for name in ("messageEvent", "cloudEventData"))
_JSON_TYPE: Final = {"type": "string", "description": f"{JSON}, another type of JSON, or left out."}
_ATTRIBUTES: Final[Mapping[str, Document]] = {
    "specversion": {"const": "1.0"},
    "id": {"type": "string", "minLength": 1, "description": "With source the event_id, where data has none."},
    "source": {"type": "string", "minLength": 1, "format": "uri-reference"},
    "type": {"type": "string", "minLength": 1, "description": "Ends with the type, where data has none."},
    "time": {"type": "string", "format": "date-time", "description": "The occurred_at, where data has none."},
}
_REQUIRED: Final = ("specversion", "id", "source", "type")
_ATTRIBUTE_EXAMPLES: Final = {
    "specversion": "1.0",
    "id": "5f3c1a2e",
    "source": "/messaging",
    "type": "com.example.message.failed",
    "time": "2026-05-05T12:00:00.123Z",
}


def asyncapi(event: Document, example: Document) -> Document:
    """AsyncAPI 3.0 of the topics, given the event's JSON Schema and an event."""
    schema = {name: value for name, value in event.items() if name != "$schema"}
    messages = _messages(example)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Message Metrics events", "version": "1.0.0", "license": {"name": "Apache-2.0"}},
        "defaultContentType": JSON,
        "channels": {"messageEvents": _channel(messages)},
        "operations": {
            "countMessageEvent": {
                "action": "receive",
                "channel": {"$ref": "#/channels/messageEvents"},
                "summary": "Each event counts exactly once, however often it is sent, and in whatever envelope.",
            }
        },
        "components": {
            "schemas": {"messageEvent": _schema(schema), "cloudEventData": _schema(_data(schema))},
            "messages": messages,
            "messageTraits": {"record": _record()},
        },
    }


def _channel(messages: Mapping[str, Document]) -> Document:
    topic = next(s.default for s in SETTINGS if s.name == "KAFKA_TOPIC")
    return {
        "address": "{topic}",
        "description": "Everything that happened to messages. Any codec, any partitioner; transactions work. Envelopes "
        "may be mixed, and stand in each other: each is opened once.",
        "parameters": {
            "topic": {
                "default": topic,
                "description": "Any of the topics that the operator lists.",
                "examples": [topic],
            }
        },
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"kafka": {"bindingVersion": "0.5.0"}},
    }


def _record() -> Document:
    """The key and the headers that a record may have, whatever its value is."""
    sent_back = "Set by dead-letters redrive: topic/partition/offset of the record that is sent once more."
    key = {"type": "string", "description": "org_id is recommended, never required"}
    return {
        "headers": _object({REDRIVEN: {"type": "string", "description": sent_back}}),
        "bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}},
    }


def _messages(example: Document) -> dict[str, Document]:
    data = {name: value for name, value in example.items() if name not in _FILLED}
    return {
        "messageEvent": _message("MessageEvent", "A plain event", JSON, _EVENT, {"payload": example}),
        "cloudEvent": _message(
            "CloudEvent", "An event in a CloudEvent, structured mode", CLOUD_EVENT_JSON, _structured(),
            {"headers": {"content-type": CLOUD_EVENT_JSON}, "payload": {**_ATTRIBUTE_EXAMPLES, "data": data}},
            headers=_object({"content-type": {"type": "string", "description": "May be left out in this mode."}}),
        ),
        "cloudEventBinary": _message(
            "CloudEventBinary", "An event as a CloudEvent, binary mode", JSON, _DATA,
            {"headers": {f"ce_{name}": text for name, text in _ATTRIBUTE_EXAMPLES.items()}, "payload": data},
            headers=_binary_headers(),
        ),
        "connectRecord": _message(
            "ConnectRecord", "An event from Kafka Connect's JsonConverter with schemas", JSON, _connect(),
            {"payload": {"schema": {"type": "struct", "fields": []}, "payload": example}},
        ),
        "jsonString": _message(
            "JsonString", "An event in a JSON string", JSON,
            {"type": "string", "contentMediaType": JSON, "contentSchema": _EVENT},
            {"payload": json.dumps(example)},
        ),
        "registryFrame": _frame(),
    }  # fmt: skip


def _message(
    name: str, title: str, content_type: str, payload: Document, example: Document, headers: Document | None = None
) -> Document:
    return {
        "name": name,
        "title": title,
        "contentType": content_type,
        "traits": [{"$ref": "#/components/messageTraits/record"}],
        **({} if headers is None else {"headers": headers}),
        "payload": _schema(payload),
        "examples": [{"name": "failed", **example}],
    }


def _frame() -> Document:
    """The message in a schema registry's frame. It has no example, since JSON has no bytes."""
    told = (
        "A byte 0, four bytes with the schema's number (big endian), and the payload; or a byte 1 and the 16 bytes of "
        "the schema's GUID. A payload that begins with { is JSON, whatever its schema says."
    )
    in_header = f"The bytes before the payload, where they are not in the value: {told[0].lower()}{told[1:]}"
    return {
        "name": "RegistryFrame",
        "title": "An event in a schema registry's frame, as Confluent writes it",
        "contentType": "application/octet-stream",
        "traits": [{"$ref": "#/components/messageTraits/record"}],
        "headers": _object({SCHEMA_ID: {"type": "string", "format": "binary", "description": in_header}}),
        "payload": _schema({"type": "string", "format": "binary", "description": told}),
        "bindings": {
            "kafka": {
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "confluent",
                "bindingVersion": "0.5.0",
            }
        },
    }


def _data(event: Document) -> Document:
    """The event in a CloudEvent, whose attributes fill what it lacks."""
    lacks = "What is left out of event_id, type and occurred_at is taken from the attributes."
    required = [name for name in event["required"] if name not in _FILLED]
    data = {**event, "title": "CloudEventData", "description": lacks, "required": required}
    return {name: value for name, value in data.items() if name != "examples"}


def _structured() -> Document:
    as_text = {"type": "string", "contentMediaType": JSON, "contentSchema": _DATA}
    properties = {
        **_ATTRIBUTES,
        "datacontenttype": _JSON_TYPE,
        "data": {"description": "The event, or its JSON in a string.", "anyOf": [_DATA, as_text, {"type": "null"}]},
        "data_base64": {"type": "string", "contentEncoding": "base64", "description": "The event, in place of data."},
    }
    schema = _object(properties, required=_REQUIRED)
    return {
        **schema,
        "description": f"One JSON object a record, <= {MAX_RECORD_BYTES} bytes with its event.",
        "anyOf": [{"required": ["data"]}, {"required": ["data_base64"]}],
    }


def _binary_headers() -> Document:
    attributes = {f"ce_{name}": rule for name, rule in _ATTRIBUTES.items()}
    return _object({**attributes, "content-type": _JSON_TYPE}, required=[f"ce_{name}" for name in _REQUIRED])


def _connect() -> Document:
    as_schema = {"description": "As Connect writes it; the types of the event's fields are read."}
    schema = _object({"schema": as_schema, "payload": _EVENT}, required=("schema", "payload"))
    return {**schema, "additionalProperties": False}


def _object(properties: Mapping[str, Document], required: Sequence[str] = ()) -> Document:
    return {"type": "object", **({"required": list(required)} if required else {}), "properties": dict(properties)}


def _schema(schema: Document) -> Document:
    return {"schemaFormat": FORMAT, "schema": schema}
