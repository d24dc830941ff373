"""Chunks: when one is due, progress per partition, and verdicts that stay the same when a record comes again."""

import json

from pipeline.core.effects import Effect, InsertDeadLetters, InsertFacts, ReadErasures, ReadState, State, Synchronise
from pipeline.core.flush import Batch, Chunk, FlushPolicy, Rules, too_late
from pipeline.core.place import Place
from pipeline.core.progress import Progress, WriteProgress
from pipeline.core.protocol import flush_steps
from pipeline.core.records import DeadLetter
from pipeline.runner import drive
from schemas.message_event import DeadLetterReason
from tests.support.moments import at
from tests.support.places import P0, P1
from tests.support.record import NOW_MS, Record

RULES = Rules(lateness_ms=10_000, future_skew_ms=300_000)


def event(occurred_at: str, event_id: str = "e") -> bytes:
    return json.dumps(
        {"event_id": event_id, "type": "message.sent", "org_id": "a", "channel": "sms", "occurred_at": occurred_at}
    ).encode()


def batch(*records: Record, epoch: int = 1, place: Place = P0) -> Batch:
    first, last = records[0].offset, records[-1].offset
    size = sum(len(record.value or b"") for record in records)
    return Batch(place, epoch, first, last + 1, records, size)


def chunk_of(*batches: Batch, now_ms: int = NOW_MS, is_second_reading: bool = False) -> Chunk:
    chunk = Chunk(is_second_reading=is_second_reading)
    for one in batches:
        chunk.add(one, RULES, at(now_ms), 0, read_at=1.0)
    return chunk


FUTURE, PAST = event("2026-05-05T13:00:00Z"), event("2026-05-05T11:00:00Z")


def test_a_new_record_from_the_future_becomes_a_dead_letter() -> None:
    assert [x.offset for x in chunk_of(batch(Record(5, FUTURE))).letters] == [5]


def test_a_second_reading_counts_what_is_out_of_time_and_writes_no_letter_of_it() -> None:
    records = batch(Record(5, FUTURE), Record(6, b"broken"), Record(7, FUTURE))
    chunk = chunk_of(records, is_second_reading=True)
    assert [(x.offset, x.reason.value) for x in chunk.letters] == [(6, "malformed_json")]
    assert chunk.out_of_time == 2
    assert len(chunk_of(records).letters) == 3
    assert chunk_of(records).out_of_time == 0


def test_rows_below_a_floor_that_rose_since_are_dead_letters_with_their_bytes() -> None:
    chunk = chunk_of(batch(Record(5, PAST), Record(6, event("2026-05-05T11:59:00Z", "new")), Record(7, PAST)))
    floor = NOW_MS - 1_800_000
    assert [(x.offset, x.value) for x in too_late(chunk, floor)] == [(5, PAST), (7, PAST)]
    assert too_late(chunk, 0) == []


def test_rows_below_the_floor_are_not_reported_by_a_second_reading() -> None:
    chunk = chunk_of(batch(Record(5, PAST), Record(6, PAST)), is_second_reading=True)
    assert too_late(chunk, NOW_MS) == []


def test_progress_speaks_for_the_last_batch_of_each_partition() -> None:
    chunk = chunk_of(
        batch(Record(5, PAST)), batch(Record(9, b"x"), place=P1), batch(Record(6, event("2026-05-05T11:30:00Z")))
    )
    assert chunk.progress() == (Progress(P0, 7, NOW_MS - 1_800_000 - 10_000), Progress(P1, 10, 0))


def test_a_newer_reading_replaces_an_older_one() -> None:
    chunk = chunk_of(batch(Record(50, PAST)), batch(Record(2, PAST), epoch=2))
    assert chunk.progress()[0].next_offset == 3


def test_a_flush_is_durable_before_it_looks_and_looks_before_it_speaks() -> None:
    chunk = chunk_of(batch(Record(5, PAST), Record(6, b"broken")))
    seen: list[type] = []

    def perform(effect: Effect) -> object:
        seen.append(type(effect))
        return {ReadState: State(closing_ms=NOW_MS), ReadErasures: {"a": NOW_MS}}.get(type(effect))

    flushed = drive(flush_steps(chunk, chunk.progress(), 0, {}), perform)
    letters = [InsertDeadLetters, Synchronise, ReadErasures]
    assert seen == [InsertFacts, Synchronise, ReadState, *letters, WriteProgress]
    assert set(flushed.late) == {((NOW_MS - 3_600_000) // 60_000, "a")}
    assert flushed.sweep, "the erasure was announced while the facts went in"


def test_what_belongs_to_an_erased_organization_is_dropped_up_to_its_erasure() -> None:
    broken = b'{"org_id": "a", "type": 7}'
    later = Record(8, PAST, timestamp=NOW_MS + 1)
    chunk = chunk_of(batch(Record(5, PAST), Record(6, broken), Record(7, b"nobody's"), later))
    assert not chunk.touches({"b": NOW_MS})
    assert not chunk.touches({"a": NOW_MS - 1})
    assert chunk.forget({"a": NOW_MS}) == 2
    assert chunk.columns.offset == [8]
    assert [letter.offset for letter in chunk.letters] == [7], "what nobody can be named for stays"
    assert not chunk.touches({"a": NOW_MS})


def test_a_flush_is_due_by_events_by_bytes_or_by_age() -> None:
    policy = FlushPolicy(events=10, size_bytes=100, seconds=1)
    assert not policy.is_due(9, 99, 5.0, 5.9)
    assert policy.is_due(10, 0, 5.0, 5.0)
    assert policy.is_due(0, 100, 5.0, 5.0)
    assert policy.is_due(1, 1, 5.0, 6.0)
    assert not policy.is_due(0, 0, None, 99.0)


def test_what_is_no_record_becomes_a_dead_letter_of_its_flush() -> None:
    letter = DeadLetter(P0, 5, DeadLetterReason.UNREADABLE_RECORD, "broken", 0, None, b"x", ())
    chunk = Chunk()
    chunk.add(Batch(P0, 1, 5, 6, [], 1, [letter]), RULES, at(NOW_MS), 0, 0.0)
    assert (chunk.letters, chunk.records, chunk.progress()[0].next_offset) == ([letter], 1, 6)
