"""What becomes of one record."""

from typing import Any

from pipeline.core.decode import decode_batch
from pipeline.core.envelope.frames import Readers
from pipeline.core.records import Columns, DeadLetter
from tests.support.envelopes import Sent
from tests.support.places import P0
from tests.support.record import NOW_MS, Record

COMPLETE: dict[str, Any] = {
    "event_id": "e1",
    "type": "message.failed",
    "org_id": "acme",
    "channel": "sms",
    "occurred_at": "2026-05-05T11:45:00Z",
    "error_code": "E1",
    "cost_cents": "0.75",
}


def read(*sent: Sent, readers: Readers | None = None) -> tuple[Columns, list[DeadLetter]]:
    """Rows and dead letters of records, at a fixed time."""
    rows = Columns()
    records = [Record(0, x.value, key=b"k", headers=x.headers) for x in sent]
    return rows, decode_batch(P0, records, NOW_MS, 0, 0, rows, readers).letters


def only_row(sent: Sent, readers: Readers | None = None) -> dict[str, Any]:
    rows, letters = read(sent, readers=readers)
    assert letters == []
    return {name: getattr(rows, name)[0] for name in Columns.__slots__}


def letter(sent: Sent, readers: Readers | None = None) -> DeadLetter:
    """The dead letter of a record, which keeps it as it was."""
    rows, (only,) = read(sent, readers=readers)
    assert len(rows) == 0
    assert (only.value, only.key) == (sent.value, b"k")
    assert only.headers == tuple((name.encode(), value) for name, value in sent.headers)
    return only
