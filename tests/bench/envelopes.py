"""Decoding an event in each envelope, in records of three sizes: microseconds of one core, and how many times plain.

All kinds take turns in one process, and the least of five rounds counts, so that the ratios hold on a busy machine.
"""

import json
import time
import uuid
from collections.abc import Sequence

from pipeline.core.decode import decode_batch
from pipeline.core.envelope.frames import Readers, keys_needed
from pipeline.core.records import Columns, RawRecord
from pipeline.registry.payloads.readers import reader_of
from tests.bench.figures import Figures
from tests.support.envelopes import ATTRIBUTES, KINDS, Sent, in_frame, structured
from tests.support.places import P0
from tests.support.record import NOW_MS, Record
from tests.support.registered import (
    add_field,
    avro,
    avro_payload,
    avro_schema,
    field,
    proto_class,
    proto_file,
    proto_schema,
)

PART = "envelopes"
SIZES = (214, 750, 1_500)
RECORDS, ROUNDS = 10_000, 5
TEXTS = ("event_id", "type", "org_id", "channel", "cost_cents", "occurred_at", "note")
AVRO_ID, PROTOBUF_ID = 1, 2
AVRO = avro(*(field(name, "string") for name in TEXTS))
PROTOBUF = proto_file()
_message = PROTOBUF.message_type.add(name="MessageEvent")
for _name in TEXTS:
    add_field(_message, _name, "string")


def measure(figures: Figures) -> None:
    """A row for each envelope and size."""
    readers: Readers = {AVRO_ID: reader_of(avro_schema(AVRO)), PROTOBUF_ID: reader_of(proto_schema(PROTOBUF))}
    for size in SIZES:
        kinds = _kinds(size)
        best = dict.fromkeys(kinds, float("inf"))
        for _ in range(ROUNDS):
            for kind, records in kinds.items():
                best[kind] = min(best[kind], _microseconds(records, readers))
        for kind, microseconds in best.items():
            times = f", {microseconds / best['plain']:.1f} times plain" if kind != "plain" else ""
            figures.add(PART, f"{kind}, events of {size} bytes{times}", microseconds, "µs/event")


def _microseconds(records: Sequence[RawRecord], readers: Readers) -> float:
    rows, began = Columns(), time.process_time()
    keys_needed(records)  # as where a registry is set
    decoded = decode_batch(P0, records, NOW_MS, 0, 0, rows, readers)
    took = time.process_time() - began
    assert not decoded.letters, decoded.letters[0]
    return took / len(records) * 1e6


def _kinds(size: int) -> dict[str, list[Record]]:
    events = [_event(number, size) for number in range(RECORDS)]
    texts = [json.dumps(event).encode() for event in events]
    proto = proto_class(PROTOBUF, "acme.MessageEvent")
    lacking = [json.dumps({k: v for k, v in e.items() if k not in ("event_id", "type", "occurred_at")}) for e in events]
    filling = [
        {**ATTRIBUTES, "id": e["event_id"], "time": e["occurred_at"], "type": "com.acme.message.sent"} for e in events
    ]
    sent = {kind: [put(text) for text in texts] for kind, put in KINDS.items()}
    sent["cloudevents whose attributes fill"] = [
        Sent(structured(text.encode(), attributes)) for text, attributes in zip(lacking, filling, strict=True)
    ]
    sent["Avro"] = [Sent(in_frame(avro_payload(AVRO, event), AVRO_ID)) for event in events]
    sent["Protobuf"] = [Sent(in_frame(b"\0" + proto(**event).SerializeToString(), PROTOBUF_ID)) for event in events]
    return {
        kind: [Record(n, x.value, key=b"acme", headers=x.headers) for n, x in enumerate(records)]
        for kind, records in sent.items()
    }


def _event(number: int, size: int) -> dict[str, str]:
    """An event of about so many bytes of JSON."""
    event = {
        "event_id": str(uuid.UUID(int=number)),
        "type": "message.sent",
        "org_id": f"org-{number % 50}",
        "channel": "sms",
        "cost_cents": "0.75",
        "occurred_at": f"2026-05-05T10:15:{number % 60:02}.{number % 1000:03}Z",
        "note": "",
    }
    return event | {"note": "x" * max(0, size - len(json.dumps(event)))}
