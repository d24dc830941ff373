"""Costs: exact, of either sign for charges alone; and how far a charge moves the watermark."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.message_event import TYPE_CODES
from tests.support.decoding import SKEW_MS, decode, event, refusal, row
from tests.support.record import NOW_MS

CHARGE = {"type": "message.charged"}


@pytest.mark.parametrize(
    ("cost", "micros"),
    [
        ("absent", 0),
        (None, 0),
        ("0", 0),
        ("0.1", 100_000),
        ("999999999999.999999", 999_999_999_999_999_999),
        ("007.50", 7_500_000),
        (0.1, 100_000),
        (1e-06, 1),
        (3, 3_000_000),
        (1.5, 1_500_000),
    ],
)
def test_costs_are_exact(cost: Any, micros: int) -> None:
    assert row(cost_cents=cost)["cost_micros"] == micros


@pytest.mark.parametrize(
    "raw", [b"1E2", b"0.0000010", b"1.50", b"100000000000e-6", b"1e0000000000002", b"-0", b"-0.0", b"-0e-7"]
)
def test_any_json_number_of_an_allowed_value_is_a_cost(raw: bytes) -> None:
    rows, decoded = decode(event(cost_cents="X").replace(b'"X"', raw))
    assert decoded.letters == []
    assert rows.cost_micros == [int(Decimal(raw.decode()) * 10**6)]


@pytest.mark.parametrize("raw", [b"1e999999999", b"1e-999999999", b"1e99999999999999999999", b"-1e-999999999"])
def test_absurd_numbers_are_refused_without_delay(raw: bytes) -> None:
    assert refusal(event(cost_cents="X").replace(b'"X"', raw))[0] == "invalid_field"


HOURS_AGO = {"occurred_at": "2026-05-05T06:00:00Z", "type": "message.charged", "cost_cents": "-1"}


def test_a_charge_moves_the_candidate_by_its_records_time_and_not_by_that_of_its_message() -> None:
    """Else a topic of charges alone would hold as_of back by hours, for everybody."""
    assert decode(event(**HOURS_AGO))[1].candidate_ms == NOW_MS
    assert decode(event(**HOURS_AGO), timestamp=NOW_MS - 5)[1].candidate_ms == NOW_MS - 5
    rows, decoded = decode(event(**HOURS_AGO), timestamp=NOW_MS + SKEW_MS)
    assert (len(rows), decoded.candidate_ms) == (1, NOW_MS + SKEW_MS)


def test_beside_messages_a_charge_moves_no_candidate() -> None:
    """Messages that are published five minutes late hold as_of there; by a charge of just now it would pass them."""
    message = event(occurred_at="2026-05-05T11:55:00Z")
    assert decode(message)[1].candidate_ms == NOW_MS - 300_000
    for order in ((message, event(**HOURS_AGO)), (event(**HOURS_AGO), message)):
        assert decode(*order)[1].candidate_ms == NOW_MS - 300_000


@pytest.mark.parametrize("timestamp", [None, -1, -(2**62), NOW_MS * 1000, NOW_MS + SKEW_MS + 1])
def test_a_charge_whose_record_has_no_time_to_believe_moves_no_candidate(timestamp: int | None) -> None:
    rows, decoded = decode(event(**HOURS_AGO), timestamp=timestamp)
    assert (len(rows), decoded.candidate_ms) == (1, None)


@given(st.decimals(min_value="-999999999999.999999", max_value="999999999999.999999", places=6))
def test_any_allowed_decimal_survives_as_text_and_as_number_and_charges_alone_are_negative(cost: Decimal) -> None:
    raw = f"{cost:f}".encode()
    for spelling in (b'"' + raw + b'"', raw):
        rows, _ = decode(event(**CHARGE, cost_cents="X").replace(b'"X"', spelling))
        assert rows.cost_micros == [int(cost * 10**6)]
        rows, decoded = decode(event(cost_cents="X").replace(b'"X"', spelling))
        assert rows.cost_micros == ([int(cost * 10**6)] if cost >= 0 else [])
        assert all(
            "cost_cents must not be negative on any type but message.charged" in x.detail for x in decoded.letters
        )


@pytest.mark.parametrize("cost", ["-0", "-0.000000", "-000000000000.0"])
@pytest.mark.parametrize("kind", TYPE_CODES)
def test_minus_zero_is_zero_on_every_type(kind: str, cost: str) -> None:
    assert row(type=kind, cost_cents=cost)["cost_micros"] == 0


@pytest.mark.parametrize("cost", ["absent", None])
def test_a_charge_without_a_cost_is_refused_with_the_rule(cost: str | None) -> None:
    reason, detail = refusal(event(**CHARGE, cost_cents=cost))
    assert (reason, "cost_cents is required on message.charged" in detail) == ("invalid_field", True)


@pytest.mark.parametrize("cost", ["-1000000000000", "-1e3", "--1", "-", "- 1", "-.5", -1e12, -1e-7, "-0.0000001"])
def test_a_credit_has_the_same_bounds_as_a_charge(cost: Any) -> None:
    reason, detail = refusal(event(**CHARGE, cost_cents=cost))
    assert (reason, "cost_cents must be a decimal of at most 12 digits" in detail) == ("invalid_field", True)


@given(
    st.lists(st.tuples(st.sampled_from(list(TYPE_CODES)), st.sampled_from(["-1", "0", "-0", "1", None])), max_size=30)
)
def test_what_a_cost_may_be_never_depends_on_the_events_before_it(told: list[tuple[str, str | None]]) -> None:
    """Costs are remembered by their text, and the type is none of their rules."""
    rows, decoded = decode(*(event(type=kind, cost_cents=cost) for kind, cost in told))
    bad = [
        (kind == "message.charged" and cost is None) or (kind != "message.charged" and cost == "-1")
        for kind, cost in told
    ]
    assert [letter.offset for letter in decoded.letters] == [n for n, is_bad in enumerate(bad) if is_bad]
    assert rows.cost_micros == [
        int(cost or 0) * 10**6 for (_, cost), is_bad in zip(told, bad, strict=True) if not is_bad
    ]
