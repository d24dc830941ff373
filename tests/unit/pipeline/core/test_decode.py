"""Every rule of the event contract, and that any bytes become exactly one row or one dead letter."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.records import Columns
from schemas.message_event import MAX_EVENT_BYTES, TYPE_CODES
from tests.support.decoding import GOOD, decode, event, refusal, row
from tests.support.places import P3
from tests.support.record import NOW_MS

BAD_COSTS: list[Any] = [
    *("", "NaN", " 1", "1 ", "1_0", "١", "-1", "+1", "1e3", ".5", "5.", "1" * 13, "0.0000001"),
    *(-1, -0.5, 1e12, 1e-7, True, [], {}),
]


def test_a_valid_event_becomes_a_row_with_its_place_in_the_log() -> None:
    assert row(error_code="E1", cost_cents="0.75") == {
        "org_id": "acme",
        "event_id": "e1",
        "type": 3,
        "channel": "sms",
        "error_code": "E1",
        "cost_micros": 750_000,
        "occurred_ms": NOW_MS - 877,
        "record_ms": NOW_MS,
        "place": P3,
        "offset": 0,
    }


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        *(({name: "absent"}, name) for name in GOOD),
        *(({name: None}, name) for name in GOOD),
        *(({name: 1}, name) for name in GOOD),
        *(({name: ""}, name) for name in GOOD if name != "type"),
        ({"type": "message.opened"}, "type"),
        ({"event_id": "x" * 129}, "event_id"),
        ({"org_id": "x" * 65}, "org_id"),
        *(({"channel": c}, "channel") for c in ("SMS", "a b", "sms\n", "x" * 33, "ü", "__other__")),
        ({"error_code": "x" * 65}, "error_code"),
        ({"error_code": ""}, "error_code"),
        ({"error_code": "__other__"}, "error_code"),
        ({"type": "message.sent", "error_code": "E1"}, "error_code"),
        *(({"cost_cents": cost}, "cost_cents") for cost in BAD_COSTS),
        *(
            ({"occurred_at": t}, "occurred_at")
            for t in (
                "2026-05-05",
                "2026-05-05T12:00:00",
                "2026-05-05 12:00:00Z",
                "2026-W19-2T12:00:00Z",
                "20260505T120000Z",
                "2026-02-30T12:00:00Z",
                "2026-05-05T24:00:00Z",
                "2026-05-05T12:00:60Z",
                "2026-05-05T12:00:00.Z",
                "2026-05-05T12:00:00+24:00",
                "2026-05-05T12:00:00+0200",
                "٢٠٢٦-05-05T12:00:00Z",
                "0001-01-01T00:00:00+23:59",
                "9999-12-31T23:59:59-23:59",
                "1999-12-31T23:59:59Z",
                "2101-01-01T00:00:00Z",
            )
        ),
    ],
)
def test_a_broken_rule_is_named_with_its_field(changes: dict[str, Any], field: str) -> None:
    reason, detail = refusal(event(**changes))
    assert reason == "invalid_field"
    assert field in detail


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"{", "malformed_json"),
        (b"not json", "malformed_json"),
        (event() + b"{}", "malformed_json"),
        (b"\xef\xbb\xbf" + event(), "malformed_json"),
        (event(note="\xff").replace(b"\\u00ff", b"\xff"), "malformed_json"),
        (event(note="x").replace(b'"x"', b"NaN"), "malformed_json"),
        (event(note="x").replace(b'"x"', b"[" * 5000 + b"]" * 5000), "malformed_json"),
        (event(note="x" * MAX_EVENT_BYTES), "too_large"),
        (b"[]", "invalid_field"),
        (b"7", "invalid_field"),
    ],
)
def test_what_is_not_an_event_at_all_has_its_own_reason(value: bytes | None, reason: str) -> None:
    assert refusal(value)[0] == reason


def test_64_kib_pass_and_one_byte_more_does_not() -> None:
    filler = MAX_EVENT_BYTES - len(event(note=""))
    assert decode(event(note="x" * filler))[1].letters == []
    assert refusal(event(note="x" * (filler + 1)))[0] == "too_large"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-04T23:59:59.9999999Z", datetime(2026, 5, 4, 23, 59, 59, 999_000, UTC)),
        ("2026-05-05T01:30:00.5+02:00", datetime(2026, 5, 4, 23, 30, 0, 500_000, UTC)),
        ("2026-05-04t18:00:00-05:30", datetime(2026, 5, 4, 23, 30, tzinfo=UTC)),
        ("2026-05-05T00:00:00z", datetime(2026, 5, 5, tzinfo=UTC)),
        ("2000-01-01T00:00:00Z", datetime(2000, 1, 1, tzinfo=UTC)),
    ],
)
def test_digits_beyond_milliseconds_are_cut_and_offsets_are_applied(text: str, expected: datetime) -> None:
    assert row(occurred_at=text)["occurred_ms"] == int(expected.timestamp() * 1000)


def test_the_future_starts_five_minutes_after_the_records_own_time() -> None:
    assert decode(event(occurred_at="2026-05-05T12:05:00Z"))[1].letters == []
    assert refusal(event(occurred_at="2026-05-05T12:05:00.001Z"))[0] == "future_timestamp"
    assert refusal(event(occurred_at="2026-05-05T11:06:00Z"), timestamp=NOW_MS - 3_600_000)[0] == "future_timestamp"


def test_a_record_ahead_of_the_clock_does_not_widen_the_future() -> None:
    assert refusal(event(occurred_at="2026-05-05T12:06:00Z"), timestamp=NOW_MS + 3_600_000)[0] == "future_timestamp"


def test_what_lies_before_the_floor_is_too_late() -> None:
    assert refusal(event(), floor_ms=NOW_MS)[0] == "too_late"
    assert decode(event(), floor_ms=NOW_MS - 877)[1].letters == []


def test_the_candidate_is_the_largest_of_the_smaller_of_both_times() -> None:
    _, decoded = decode(event(occurred_at="2026-05-05T12:04:00Z"), event(), b"broken")
    assert decoded.candidate_ms == NOW_MS
    assert decode(event(), event(occurred_at="2026-05-05T10:00:00Z"))[1].candidate_ms == NOW_MS - 877


@given(
    st.lists(st.one_of(st.none(), st.binary(max_size=300), st.sampled_from([event(), event(channel="X")])), max_size=20)
)
def test_every_record_becomes_exactly_one_row_or_one_dead_letter(values: list[bytes | None]) -> None:
    rows, decoded = decode(*values)
    assert sorted(rows.offset + [letter.offset for letter in decoded.letters]) == list(range(len(values)))
    assert {len(getattr(rows, name)) for name in Columns.__slots__} == {len(rows)}


@given(st.datetimes(datetime(2000, 1, 2), datetime(2026, 5, 3)), st.integers(-1439, 1439))  # noqa: DTZ001
def test_times_agree_with_the_standard_library(naive: datetime, offset_minutes: int) -> None:
    sign, size = "-" if offset_minutes < 0 else "+", abs(offset_minutes)
    text = f"{naive.isoformat(timespec='microseconds')}{sign}{size // 60:02}:{size % 60:02}"
    instant = datetime.fromisoformat(text)
    rows, _ = decode(event(occurred_at=text))
    expected = (instant - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    assert abs(rows.occurred_ms[0] / 1000 - expected) < 0.001
    assert rows.occurred_ms[0] % 1000 == naive.microsecond // 1000


@pytest.mark.parametrize("told", [*TYPE_CODES, "message.read", "", "x" * 9000, None, 5])
def test_a_letter_tells_a_type_of_the_contract_or_none(told: Any) -> None:
    _, decoded = decode(event(type=told, channel="NOT ONE"))
    assert [x.type for x in decoded.letters] == [told if told in TYPE_CODES else ""]
