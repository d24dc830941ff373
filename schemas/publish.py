"""Writes the published documents of the event: JSON Schema and AsyncAPI. ``python -m schemas.publish``."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from schemas.message_event import MAX_EVENT_BYTES, OTHER_KEY, MessageEvent
from schemas.settings import SETTINGS

DRAFT = "https://json-schema.org/draft/2020-12/schema"
EXAMPLE = {
    "event_id": "9f0c6a52-6f0e-4f4e-9d43-1d8f5a0c7b11",
    "type": "message.failed",
    "org_id": "acme",
    "channel": "sms",
    "error_code": "carrier_rejected",
    "cost_cents": "0.75",
    "occurred_at": "2026-05-05T12:00:00.123Z",
}


def event_schema() -> dict[str, Any]:
    """JSON Schema of an event. What it cannot say: at most 64 KiB, six decimals in a JSON number, and times."""
    (_, components) = msgspec.json.schema_components([MessageEvent], ref_template="#/$defs/{name}")
    schema: dict[str, Any] = components["MessageEvent"]
    schema["properties"]["error_code"]["not"] = {"const": OTHER_KEY}
    return {
        "$schema": DRAFT,
        "title": "MessageEvent",
        "description": f"{schema.pop('description')} One JSON object a record, UTF-8, <= {MAX_EVENT_BYTES} bytes.",
        **{name: value for name, value in schema.items() if name != "title"},
        "if": {"properties": {"type": {"const": "message.failed"}}},
        "else": {"properties": {"error_code": {"type": "null"}}},
        "examples": [EXAMPLE],
    }


def asyncapi() -> dict[str, Any]:
    """AsyncAPI 3.0 of the topic."""
    topic = next(s.default for s in SETTINGS if s.name == "KAFKA_TOPIC")
    payload = {name: value for name, value in event_schema().items() if name != "$schema"}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Message Metrics events", "version": "1.0.0", "license": {"name": "Apache-2.0"}},
        "defaultContentType": "application/json",
        "channels": {
            "messageEvents": {
                "address": topic,
                "description": "Everything that happened to messages. Any codec, any partitioner; transactions work.",
                "messages": {"messageEvent": {"$ref": "#/components/messages/messageEvent"}},
                "bindings": {"kafka": {"topic": topic, "bindingVersion": "0.5.0"}},
            }
        },
        "operations": {
            "countMessageEvent": {
                "action": "receive",
                "channel": {"$ref": "#/channels/messageEvents"},
                "summary": "Each event counts exactly once, however often it is sent.",
            }
        },
        "components": {
            "messages": {
                "messageEvent": {
                    "name": "MessageEvent",
                    "contentType": "application/json",
                    "payload": {"schemaFormat": "application/schema+json;version=draft-2020-12", "schema": payload},
                    "bindings": {
                        "kafka": {
                            "key": {"type": "string", "description": "org_id is recommended, never required"},
                            "bindingVersion": "0.5.0",
                        }
                    },
                    "examples": [{"name": "failed", "payload": EXAMPLE}],
                }
            }
        },
    }


DOCUMENTS = {"message-event.schema.json": event_schema, "asyncapi.json": asyncapi}


def render(document: dict[str, Any]) -> bytes:
    """A document as the bytes of its file."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def main() -> None:
    folder = Path(str(files("schemas") / "published"))
    for name, make in DOCUMENTS.items():
        (folder / name).write_bytes(render(make()))


if __name__ == "__main__":
    main()
