"""The meaning of an answer: null, zero, order, and exact numbers."""

from decimal import Decimal

import pytest
from msgspec import Raw

from api.answer import Group, buckets, number
from api.window import Window
from schemas.grain import Grain


def plain(value: Raw | None) -> int | None:
    return None if value is None else int(bytes(value))


def test_a_bucket_has_a_number_exactly_when_it_ended_at_as_of() -> None:
    window = Window(Grain.HOUR, 0, 4 * 3600)
    rows = {0: 5, 3600: 7, 7200: 9}
    values = [plain(b.value) for b in buckets(window, rows, 7200, grouped=False)]
    assert values == [5, 7, None, None], "a row beyond as_of stays unseen"
    assert [plain(b.value) for b in buckets(window, {}, 7199, grouped=False)] == [0, None, None, None]
    assert [plain(b.value) for b in buckets(window, rows, None, grouped=False)] == [None] * 4


def test_groups_are_sorted_with_no_key_last_and_empty_is_a_known_zero() -> None:
    window = Window(Grain.HOUR, 0, 3 * 3600)
    rows = {0: [("", 1), ("b", 2), ("a", 3), ("zero", 0)]}
    answer = [bucket.groups for bucket in buckets(window, rows, 7200, grouped=True)]
    assert answer[0] == [Group("a", number(3)), Group("b", number(2)), Group(None, number(1))]
    assert answer[1:] == [[], None]


def test_a_group_whose_costs_cancel_out_is_left_out_like_one_without_costs() -> None:
    rows = {0: [("a", Decimal("-0.500000")), ("b", Decimal("0.000000")), ("", Decimal("-0.000000"))]}
    (answer,) = buckets(Window(Grain.HOUR, 0, 3600), rows, 3600, grouped=True)
    assert answer.groups == [Group("a", number(Decimal("-0.5")))]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("12.000000"), b"12"),
        (Decimal("0.100000"), b"0.1"),
        (Decimal("0E-6"), b"0"),
        (Decimal("1E+3"), b"1000"),
        (Decimal("-12.000000"), b"-12"),
        (Decimal("-120"), b"-120"),
        (Decimal("-0.000001"), b"-0.000001"),
        (Decimal("-1E-6"), b"-0.000001"),
        (Decimal("-0"), b"0"),
        (Decimal("-0.000000"), b"0"),
        (Decimal("-0E+3"), b"0"),
        (0, b"0"),
    ],
)
def test_a_cost_is_whole_when_it_is_whole(value: Decimal, text: bytes) -> None:
    assert bytes(number(value)) == text
