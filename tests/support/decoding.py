"""Values decoded as records of one partition, at a fixed time."""

import json
from typing import Any

from pipeline.core.decode import Decoded, decode_batch
from pipeline.core.records import Columns
from tests.support.places import P3
from tests.support.record import NOW_MS, Record

SKEW_MS = 300_000
GOOD: dict[str, Any] = {
    "event_id": "e1",
    "type": "message.failed",
    "org_id": "acme",
    "channel": "sms",
    "occurred_at": "2026-05-05T11:59:59.123Z",
}


def decode(*values: bytes | None, floor_ms: int = 0, timestamp: int | None = NOW_MS) -> tuple[Columns, Decoded]:
    rows = Columns()
    records = [Record(offset, value, timestamp, b"k", (("h", b"v"),)) for offset, value in enumerate(values)]
    return rows, decode_batch(P3, records, NOW_MS, SKEW_MS, floor_ms, rows)


def event(**changes: Any) -> bytes:
    return json.dumps({k: v for k, v in {**GOOD, **changes}.items() if v != "absent"}).encode()


def refusal(value: bytes | None, **options: Any) -> tuple[str, str]:
    rows, decoded = decode(value, **options)
    assert len(rows) == 0
    assert decoded.candidate_ms is None, "a dead letter must never move a watermark"
    (letter,) = decoded.letters
    assert (letter.place, letter.value, letter.key, letter.headers) == (P3, value, b"k", ((b"h", b"v"),))
    return letter.reason, letter.detail


def row(**changes: Any) -> dict[str, Any]:
    rows, decoded = decode(event(**changes))
    assert decoded.letters == []
    return {name: getattr(rows, name)[0] for name in Columns.__slots__}
