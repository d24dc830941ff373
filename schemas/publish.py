"""Writes the published documents of the event: JSON Schema and AsyncAPI. ``python -m schemas.publish``."""

from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from schemas.asyncapi import asyncapi
from schemas.message_event import MAX_EVENT_BYTES, OTHER_KEY, MessageEvent

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


DOCUMENTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "message-event.schema.json": event_schema,
    "asyncapi.json": lambda: asyncapi(event_schema(), EXAMPLE),
}


def render(document: dict[str, Any]) -> bytes:
    """A document as the bytes of its file."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def main() -> None:
    folder = Path(str(files("schemas") / "published"))
    for name, make in DOCUMENTS.items():
        (folder / name).write_bytes(render(make()))


if __name__ == "__main__":
    main()
