"""Writes the published documents of the event: JSON Schema and AsyncAPI. ``python -m schemas.publish``."""

from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from schemas.asyncapi import asyncapi
from schemas.message_event import (
    AMOUNT_SCHEMA,
    CHARGED,
    DELIVERED,
    FAILED,
    MAX_EVENT_BYTES,
    NOT_NEGATIVE_SCHEMA,
    OTHER_KEY,
    SENT,
    TYPES,
    MessageEvent,
)

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
CHARGE = {name: value for name, value in EXAMPLE.items() if name != "error_code"} | {
    "type": "message.charged",
    "cost_cents": "-0.05",
}


def _where_type(kinds: Iterable[int], **rule: Any) -> dict[str, Any]:
    """A rule for events of some types. Where the type is left out, as in a CloudEvent's data, none holds."""
    told = {"type": {"enum": [TYPES[kind - 1] for kind in kinds]}}
    return {"if": {"properties": told, "required": ["type"]}, "then": rule}


_RULES = [
    _where_type((SENT, DELIVERED, CHARGED), properties={"error_code": {"type": "null"}}),
    _where_type((SENT, DELIVERED, FAILED), properties={"cost_cents": NOT_NEGATIVE_SCHEMA}),
    _where_type((CHARGED,), properties={"cost_cents": AMOUNT_SCHEMA}, required=["cost_cents"]),
]


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
        "allOf": _RULES,
        "examples": [EXAMPLE, CHARGE],
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
