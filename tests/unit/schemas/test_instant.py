"""Instants: what is written is read again, and no millisecond is lost on the way."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.instant import TIME_RULE, Instant, epoch_seconds, parse_instant, rfc3339, second, utc
from schemas.message_event import FIRST_YEAR, LAST_YEAR

FIRST = epoch_seconds(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC))
END = epoch_seconds(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC))


@given(st.integers(FIRST, END - 1))
def test_seconds_round_trip(seconds: int) -> None:
    assert parse_instant(second(seconds)) == Instant(seconds)


@given(st.integers(FIRST * 1000, END * 1000 - 1))
def test_milliseconds_round_trip(instant_ms: int) -> None:
    assert parse_instant(rfc3339(instant_ms) or "") == Instant.of_ms(instant_ms)
    assert (utc(instant_ms) - utc(0)) // timedelta(milliseconds=1) == instant_ms


@given(st.integers(FIRST * 1000, END * 1000 - 1), st.integers(FIRST * 1000, END * 1000 - 1))
def test_instants_order_as_their_milliseconds_do(one_ms: int, other_ms: int) -> None:
    assert (Instant.of_ms(one_ms) < Instant.of_ms(other_ms)) == (one_ms < other_ms)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-05-05T00:00:00.000Z", Instant(1_777_939_200)),
        ("2026-05-05t02:00:00.001+02:00", Instant(1_777_939_200, "001")),
        ("2026-05-04T23:30:00-00:30", Instant(1_777_939_200)),
        ("2026-05-05T00:00:00.0000000001z", Instant(1_777_939_200, "0000000001")),
    ],
)
def test_offsets_are_taken_off_and_every_digit_of_the_fraction_kept(text: str, instant: Instant) -> None:
    assert parse_instant(text) == instant


@pytest.mark.parametrize(
    "text",
    ["", "2026-05-05", "2026-05-05T00:00:00", "2026-05-05T24:00:00Z", "2026-02-30T00:00:00Z", "2026-05-05T00:00:60Z",
     "2026-05-05T00:00:00+24:00", "2026-05-05T00:00:00+00:60", "1999-12-31T23:59:59Z", "2101-01-01T00:00:00Z",
     "2000-01-01T00:00:00+00:01", "2100-12-31T23:59:59-00:01", "٢026-05-05T00:00:00Z"],
)  # fmt: skip
def test_anything_else_is_refused_with_the_rule(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_instant(text)


def test_the_rule_shows_an_instant_as_it_is_written_where_it_was_asked_for() -> None:
    for example in re.findall(r"\d{4}-[^ ]+", TIME_RULE):
        parse_instant(example)
    with pytest.raises(ValueError, match=r"^in a letter: day is out of range for month$"):
        parse_instant("2026-02-30T00:00:00Z", rule="in a letter")


def test_an_instant_that_is_not_set_is_not_written() -> None:
    assert rfc3339(0) is None
