"""Events of a load in every envelope, some in frames whose schemas come late to a registry that comes and goes."""

import io
import json
import random
import time
from typing import Any

import fastavro

from tests.support.envelopes import KINDS, Sent, in_frame
from tests.support.schema_registry import HANGS_UP, UNKNOWN, FakeRegistry

FRAMED = "a frame"
NEW_SCHEMA_SHARE = 0.02
"""Of the records in frames: each of these names a schema that nobody has asked for yet."""
LAG_SECONDS = 1.5
TEXTS = ("event_id", "type", "org_id", "channel", "occurred_at")


class _Answers(dict[str, Any]):
    """The registry's answers, of which new ones are given only after a while, and none while it is away."""

    def __init__(self) -> None:
        super().__init__({"/schemas/types": ["AVRO"]})
        self.is_away = False
        self._known_at: dict[str, float] = {}

    def register(self, number: int, schema: dict[str, Any]) -> None:
        path = f"/schemas/ids/{number}"
        self._known_at[path] = time.monotonic() + LAG_SECONDS
        self[path] = {"schema": json.dumps(schema)}

    def get(self, path: str, default: Any = None) -> Any:
        if self.is_away:
            return HANGS_UP
        return UNKNOWN if time.monotonic() < self._known_at.get(path, 0.0) else super().get(path, default)


class Wrapping:
    """Puts records into envelopes. ``inner`` has the event of each value that is none itself."""

    def __init__(self, seed: int) -> None:
        self.answers = _Answers()
        self.registry = FakeRegistry()
        self.registry.answers = self.answers
        self.inner: dict[bytes, bytes] = {}
        self._random, self._number = random.Random(seed), 0
        self._schema: dict[str, Any] = {}

    def wrapped(self, event: bytes) -> Sent:
        """An event in one of the envelopes, or as it is."""
        kind = self._random.choice([FRAMED, *KINDS])
        sent = Sent(self._framed(event)) if kind == FRAMED else KINDS[kind](event)
        self.inner[sent.value] = event
        return sent

    def _framed(self, value: bytes) -> bytes:
        if not self._number or self._random.random() < NEW_SCHEMA_SHARE:
            self._number += 1
            self._schema = _schema(self._number)
            self.answers.register(self._number, self._schema)
        content = io.BytesIO()
        fastavro.schemaless_writer(content, fastavro.parse_schema(self._schema), json.loads(value))
        return in_frame(content.getvalue(), self._number)


def _schema(number: int) -> dict[str, Any]:
    fields: list[dict[str, Any]] = [{"name": name, "type": "string"} for name in TEXTS]
    fields += [
        {"name": "error_code", "type": ["null", "string"]},
        {"name": "cost_cents", "type": ["null", "string", "double", "long"]},
    ]
    return {"type": "record", "name": f"Event{number}", "fields": fields}
