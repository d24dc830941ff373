"""Clocks that are read over a network differ only by what the journey does not explain."""

import pytest

from pipeline.core.start import clock_skew_ms


@pytest.mark.parametrize(
    ("before", "theirs", "after", "skew"),
    [
        (1000, 1000, 1000, 0),
        (1000, 1500, 9000, 0),
        (1000, 9000, 9000, 0),
        (1000, 400, 9000, 600),
        (1000, 9700, 9000, -700),
    ],
)
def test_a_slow_answer_is_no_skew(before: int, theirs: int, after: int, skew: int) -> None:
    assert clock_skew_ms(before, theirs, after) == skew
