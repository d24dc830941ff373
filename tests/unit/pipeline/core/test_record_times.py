"""A record's own time is a number that anybody may set: which ones are times, and what stands in for the others."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.decode import decode_batch
from pipeline.core.exact import LATEST_MS
from pipeline.core.flush import Batch, Chunk, Rules
from pipeline.core.records import Columns, DeadLetter, time_of
from pipeline.repair.replay_reading import Wanted, is_wanted
from tests.support.moments import at
from tests.support.places import P0
from tests.support.record import NOW_MS, Record

SKEW_MS = 300_000
RULES = Rules(lateness_ms=10_000, future_skew_ms=SKEW_MS)
OCCURRED_MS = NOW_MS - 877
NO_TIMES = [None, -1, -2, -62_135_596_800_000, -(2**63), NOW_MS * 1000, NOW_MS * 10**6, LATEST_MS, 2**63 - 1, 2**64]
TIMES = [0, 1, NOW_MS // 1000, NOW_MS, NOW_MS + SKEW_MS, LATEST_MS - 1]
TIMESTAMPS = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, LATEST_MS),
    st.integers(NOW_MS - 10**7, NOW_MS + 10**7),
    st.sampled_from([*NO_TIMES, *TIMES]),
)


def event(occurred_at: str = "2026-05-05T11:59:59.123Z", **changes: Any) -> bytes:
    good = {"event_id": "e1", "type": "message.sent", "org_id": "acme", "channel": "sms", "occurred_at": occurred_at}
    return json.dumps({**good, **changes}).encode()


def decode(value: bytes | None, timestamp: int | None, now_ms: int = NOW_MS) -> tuple[Columns, list[DeadLetter], int]:
    rows = Columns()
    decoded = decode_batch(P0, [Record(0, value, timestamp)], now_ms, SKEW_MS, 0, rows)
    return rows, decoded.letters, -1 if decoded.candidate_ms is None else decoded.candidate_ms


def letter(value: bytes | None, timestamp: int | None) -> DeadLetter:
    rows, (only,), candidate_ms = decode(value, timestamp)
    assert (len(rows), candidate_ms) == (0, -1)
    return only


@pytest.mark.parametrize("timestamp", NO_TIMES)
def test_a_record_without_a_time_takes_its_events(timestamp: int | None) -> None:
    rows, letters, candidate_ms = decode(event(), timestamp)
    assert (rows.record_ms, letters, candidate_ms) == ([OCCURRED_MS], [], OCCURRED_MS)


@pytest.mark.parametrize("timestamp", NO_TIMES)
def test_a_record_without_a_time_is_judged_by_the_clock_alone(timestamp: int | None) -> None:
    assert decode(event("2026-05-05T12:05:00Z"), timestamp)[1] == []
    early = letter(event("2026-05-05T12:05:00.001Z"), timestamp)
    assert (early.reason.value, early.record_ms) == ("future_timestamp", NOW_MS + SKEW_MS + 1)
    assert "after the time at which it was read" in early.detail


def test_a_dead_letter_names_the_time_that_its_event_was_held_against() -> None:
    seconds_for_milliseconds = letter(event(), NOW_MS // 1000)
    assert seconds_for_milliseconds.reason == "future_timestamp"
    assert "after the record's own time, 1970-01-21T13:53:02Z" in seconds_for_milliseconds.detail
    assert "the record's own time, 1970-01-01T00:00:00Z" in letter(event(), 0).detail


@pytest.mark.parametrize("timestamp", NO_TIMES)
def test_a_broken_record_without_a_time_takes_what_can_be_read_else_1970(timestamp: int | None) -> None:
    told = letter(event(type="x"), timestamp)
    assert (told.record_ms, told.occurred_ms) == (OCCURRED_MS, OCCURRED_MS)
    long = b'{"occurred_at":"' + b"2" * 65_500 + b'"}'
    for untold in (None, b"", b"broken", event("2101-01-01T00:00:00Z"), event("soon"), long, event("2" * 70_000)):
        assert (letter(untold, timestamp).record_ms, letter(untold, timestamp).occurred_ms) == (0, None)


@pytest.mark.parametrize("timestamp", NO_TIMES)
def test_a_number_that_is_no_time_stands_in_the_letters_sentence(timestamp: int | None) -> None:
    sentence = f"the record's timestamp {timestamp} is not in milliseconds of the years 1970 to 2100"
    for value in (None, b"broken", event("2026-05-05T13:00:00Z")):
        assert (sentence in letter(value, timestamp).detail) is (timestamp not in (None, -1))


@pytest.mark.parametrize("timestamp", TIMES)
def test_a_time_is_kept(timestamp: int) -> None:
    kept = letter(b"broken", timestamp)
    assert kept.record_ms == timestamp
    assert "timestamp" not in kept.detail
    assert time_of(timestamp, -7) == timestamp


@given(TIMESTAMPS, st.integers(-(10**10), 10**10))
def test_a_row_has_the_time_that_the_rule_says(timestamp: int | None, skew_ms: int) -> None:
    """The loop writes the rule out for speed."""
    rows, letters, _ = decode(event(), timestamp)
    assert [*rows.record_ms, *(x.record_ms for x in letters)] == [time_of(timestamp, OCCURRED_MS)]


@given(st.integers(OCCURRED_MS - 10**10, OCCURRED_MS + 10**10) | st.integers(OCCURRED_MS - 10**6, OCCURRED_MS + 10**6))
def test_a_producers_stamp_of_the_past_or_the_future_decides_no_number(timestamp: int) -> None:
    """On a topic with CreateTime. All that it can do is to refuse an event that lies five minutes after its record."""
    rows, letters, candidate_ms = decode(event(), timestamp)
    if timestamp >= OCCURRED_MS - SKEW_MS:
        assert (rows.occurred_ms, letters, candidate_ms) == ([OCCURRED_MS], [], min(OCCURRED_MS, timestamp))
        return
    (refused,) = letters
    assert (len(rows), refused.reason.value, candidate_ms) == (0, "future_timestamp", -1)
    assert "after the record's own time, " in refused.detail


VALUES = st.one_of(
    st.none(),
    st.binary(max_size=100),
    st.builds(event, st.sampled_from(["2026-05-05T11:59:59.123Z", "2026-05-05T12:05:00Z", "2000-01-01T00:00:00Z"])),
    st.builds(event, channel=st.text(max_size=5)),
    st.builds(event, st.text(max_size=25)),
)
HEADERS = st.lists(st.tuples(st.text(max_size=9), st.one_of(st.none(), st.binary(max_size=9))), max_size=3)
RECORDS = st.lists(
    st.builds(
        Record,
        offset=st.just(0),
        value=VALUES,
        timestamp=TIMESTAMPS,
        key=st.one_of(st.none(), st.binary(max_size=200)),
        headers=HEADERS,
    ),
    max_size=8,
)
LATER = st.one_of(st.integers(0, 10**13), st.integers(0, 2 * SKEW_MS).map(lambda ms: NOW_MS + ms))


@given(RECORDS, LATER)
def test_a_record_read_again_at_another_time_is_stored_the_same(records: list[Record], later_ms: int) -> None:
    placed = [Record(n, r.value, r.timestamp, r.key, r.headers) for n, r in enumerate(records)]
    first, again = (stored(placed, now_ms) for now_ms in (NOW_MS, later_ms))
    assert first.keys() == again.keys() == set(range(len(placed)))
    for offset, one in first.items():
        other = again[offset]
        if one != other:  # only the clock's verdict may differ, and even then nothing else does
            assert {one[0], other[0]} == {"fact", "future_timestamp"}
            assert one[2:] == other[2:]
        assert 0 <= one[2] < LATEST_MS


def stored(records: list[Record], now_ms: int) -> dict[int, tuple[str, str, int, str, int | None]]:
    """By offset: verdict and sentence, record time, organization, event time. Each record once."""
    rows = Columns()
    decoded = decode_batch(P0, records, now_ms, SKEW_MS, 0, rows)
    facts = zip(rows.offset, rows.record_ms, rows.org_id, rows.occurred_ms, strict=True)
    letters = decoded.letters
    assert len(rows) + len(letters) == len(records)
    for x in letters:
        x.detail.encode()  # else the insert would raise
        assert len(x.detail) < 500
        assert (x.key, x.value, x.headers) == (
            records[x.offset].key,
            records[x.offset].value,
            tuple((n.encode() if isinstance(n, str) else n, v) for n, v in records[x.offset].headers),
        )
    return {
        **{offset: ("fact", "", record_ms, org, at) for offset, record_ms, org, at in facts},
        **{x.offset: (x.reason.value, x.detail, x.record_ms, x.org_id, x.occurred_ms) for x in letters},
    }


@given(TIMESTAMPS, st.integers(NOW_MS - 10**7, NOW_MS + 10**7))
def test_no_timestamp_moves_a_watermark_ahead_of_event_or_clock(timestamp: int | None, now_ms: int) -> None:
    chunk = Chunk()
    chunk.add(Batch(P0, 1, 0, 1, [Record(0, event(), timestamp)], 1), RULES, at(now_ms), 0, read_at=1.0)
    (progress,) = chunk.progress()
    assert progress.watermark_ms <= min(OCCURRED_MS, now_ms) - RULES.lateness_ms


@pytest.mark.parametrize("timestamp", NO_TIMES)
def test_an_erasure_takes_records_without_a_time_by_their_events(timestamp: int | None) -> None:
    for value in (event(), event(type="x"), event("never")):
        chunk = Chunk()
        chunk.add(Batch(P0, 1, 0, 1, [Record(0, value, timestamp)], 1), RULES, at(NOW_MS), 0, read_at=1.0)
        assert not chunk.touches({"other": NOW_MS})
        assert chunk.touches({"acme": OCCURRED_MS})
        assert chunk.forget({"acme": OCCURRED_MS}) == 1


@pytest.mark.parametrize("timestamp", NO_TIMES)
def test_a_replay_of_any_span_takes_records_without_a_time(timestamp: int | None) -> None:
    assert is_wanted(timestamp, Wanted(NOW_MS, NOW_MS + 1))
    assert not is_wanted(NOW_MS - 1, Wanted(NOW_MS, NOW_MS + 1))
