"""A replay of records in frames: it waits for their schemas, says so, and leaves what has none as it is."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Collection
from typing import Any, cast

import pytest

from pipeline.core.effects import State
from pipeline.core.envelope.frames import Looked, SchemaKey
from pipeline.core.flush import Batch, Chunk, Rules, too_late
from pipeline.core.refusal import Refused
from pipeline.core.waiting import Cause
from pipeline.kafka.log_consumer import LogConsumer
from pipeline.repair import replay_reading
from pipeline.repair.replay_reading import Reading, SchemaLacking, Wanted, with_readers
from schemas.message_event import DeadLetterReason
from schemas.settings import read_settings
from tests.support.envelopes import in_frame
from tests.support.judging import COMPLETE
from tests.support.moments import at
from tests.support.places import P0
from tests.support.record import NOW_MS, Record

EVENT = json.dumps(COMPLETE).encode()
AWAY = Cause("the registry is away", "start it", passes=True, is_elsewhere=True)
REFUSES = Cause("the registry refuses", "set a password", is_elsewhere=True)


class Late:
    """A registry that has its schemas at the third look."""

    def __init__(self, cause: Cause) -> None:
        self.cause, self.looks = cause, list[set[SchemaKey]]()

    def look(self, keys: Collection[SchemaKey]) -> Looked:
        self.looks.append({*keys})
        if len(self.looks) < 3:
            return Looked({}, dict.fromkeys(keys, self.cause))
        return Looked({key: lambda _: EVENT for key in keys}, {})


def framed(*values: bytes) -> Batch:
    records = [Record(offset, value) for offset, value in enumerate(values)]
    return Batch(P0, 0, 0, len(values), records, 1)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_reading, "SCHEMA_SECONDS", 0.0)


def test_a_batch_waits_for_its_schemas_and_a_warning_says_why_once(caplog: pytest.LogCaptureFixture) -> None:
    schemas, batch = Late(AWAY), framed(b"{}", in_frame(b"\2x", 7), in_frame(b"\2x", 8))
    found = asyncio.run(with_readers(batch, schemas))
    assert found.records is batch.records
    assert found.readers is not None
    assert found.readers.keys() == {7, 8}
    assert schemas.looks == [{7, 8}] * 3
    warned = [r.message for r in caplog.records if r.levelno >= logging.WARNING]
    assert warned == ["a schema cannot be had: the registry is away; start it"], "commands print warnings alone"


def test_a_mistake_in_the_settings_ends_the_replay() -> None:
    with pytest.raises(SchemaLacking, match="the registry refuses; set a password"):
        asyncio.run(with_readers(framed(in_frame(b"\2x", 7)), Late(REFUSES)))


def test_without_a_registry_and_without_frames_nothing_is_asked() -> None:
    batch, schemas = framed(b"{}", EVENT), Late(AWAY)
    assert asyncio.run(with_readers(batch, None)) is batch
    assert asyncio.run(with_readers(batch, schemas)).readers == {}
    assert schemas.looks == []


def test_the_chunks_of_a_replay_have_the_events_in_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    async def batches(*_: Any) -> AsyncIterator[Batch]:
        yield framed(in_frame(b"\2x", 7))

    async def run() -> list[str]:
        reading = Reading(read_settings({}), Wanted(0, 1), lambda: at(NOW_MS), {}, Late(AWAY))
        chunks = reading.chunks(cast(LogConsumer, None), {}, State())
        return [event_id async for chunk in chunks for event_id in chunk.columns.event_id]

    monkeypatch.setattr(replay_reading, "read_batches", batches)
    assert asyncio.run(run()) == ["e1"]


def chunk_of(batch: Batch, *, is_second_reading: bool) -> Chunk:
    chunk = Chunk(is_second_reading=is_second_reading)
    chunk.add(batch, Rules(0, 0), at(NOW_MS), 0, 0.0)
    return chunk


def unknown(_: bytes) -> bytes:
    raise Refused(DeadLetterReason.UNKNOWN_SCHEMA, "no schema")


@pytest.mark.parametrize("second", [False, True])
def test_a_second_reading_writes_no_letter_for_a_schema_that_is_gone(second: bool) -> None:
    batch = Batch(P0, 0, 0, 2, [Record(0, in_frame(b"\2x", 7)), Record(1, b"no event")], 1, readers={7: unknown})
    chunk = chunk_of(batch, is_second_reading=second)
    letters = [letter.reason for letter in chunk.letters]
    assert letters == ["malformed_json"] if second else ["unknown_schema", "malformed_json"]
    assert (chunk.without_schema, chunk.out_of_time) == (int(second), 0)


def test_a_record_in_a_frame_that_turns_out_to_be_too_late_is_a_letter_by_its_row() -> None:
    """Its bytes are not read a second time, for which there may be no reader any more."""
    batch = Batch(P0, 0, 0, 1, [Record(0, in_frame(b"\2x", 7))], 1, readers={7: lambda _: EVENT})
    chunk = chunk_of(batch, is_second_reading=False)
    (letter,) = too_late(chunk, NOW_MS)
    assert (letter.reason, letter.org_id, letter.event_id, letter.type) == ("too_late", "acme", "e1", "message.failed")
    assert letter.detail.startswith("occurred_at 2026-05-05T11:45:00.000Z is before the time")
    assert letter.occurred_ms == chunk.columns.occurred_ms[0]
