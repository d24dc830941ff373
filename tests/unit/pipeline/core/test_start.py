"""Where reading starts, and the difference between two clocks that a network lies between."""

import pytest

from pipeline.core.start import Gap, Start, Stored, choose_start, clock_skew_ms


@pytest.mark.parametrize(
    ("committed", "stored", "log", "choice"),
    [
        (None, None, (0, 10), Start(0, 0)),
        (None, None, (4, 10), Start(4, 0)),
        (7, None, (0, 10), Start(0, 0)),  # an emptied ClickHouse is refilled
        (7, 9, (0, 10), Start(7, 9)),  # recomputes were pending
        (9, 7, (0, 10), Start(7, 7)),  # a ClickHouse restored from a backup
        (None, 7, (2, 10), Start(2, 7)),  # nothing was ever committed
        (7, 7, (8, 10), Gap(7, 8)),
        (9, 7, (8, 10), Gap(7, 8)),
        (None, 7, (8, 10), Gap(7, 8)),
        (7, 50, (0, 10), Start(0, 0, recreated=True)),
        (50, 7, (0, 10), Start(0, 0, recreated=True)),
        (10, 10, (10, 10), Start(10, 10)),
    ],
)
def test_reading_starts_where_nothing_can_be_missed(
    committed: int | None, stored: int | None, log: tuple[int, int], choice: Start | Gap
) -> None:
    assert choose_start(committed, None if stored is None else Stored(stored), *log) == choice


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
