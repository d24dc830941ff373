"""The load's own oracle: a lost event, a doubled one and a wrong cost are seen in every grain."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from tests.load.traffic import occurred_ms
from tests.load.verdict import GRAIN_MINUTES, compare, sample_table

NOW_MS = int(datetime(2026, 5, 5, 10, 30, tzinfo=UTC).timestamp() * 1000)
AS_OF_MINUTES = NOW_MS // 60_000
YESTERDAY = AS_OF_MINUTES // 1440 * 1440 - 1440
SENT = {("a", YESTERDAY + 5): [3, 2, 1, 500], ("b", YESTERDAY + 1439): [1, 0, 0, 7]}


def rolled(grain: str) -> dict[tuple[str, int], list[int]]:
    """What a right rollup of SENT has."""
    width = GRAIN_MINUTES[grain]
    return {(org, minute // width * width): list(row) for (org, minute), row in SENT.items()}


@pytest.mark.parametrize("grain", GRAIN_MINUTES)
def test_whatever_is_wrong_is_seen_in_every_grain(grain: str) -> None:
    assert compare(grain, SENT, rolled(grain), AS_OF_MINUTES).is_right
    for index, (field, by) in enumerate([("lost", -1), ("doubled", 1), ("lost", -1)]):
        found = rolled(grain)
        found[next(iter(found))][index] += by
        line = compare(grain, SENT, found, AS_OF_MINUTES)
        assert (getattr(line, field), line.lost + line.doubled, line.differing) == (1, 1, 1)
    found = rolled(grain)
    found[next(iter(found))][3] += 1
    assert not compare(grain, SENT, found, AS_OF_MINUTES).is_right
    assert compare(grain, SENT, {}, AS_OF_MINUTES).lost == 7
    assert compare(grain, SENT, {**found, ("c", YESTERDAY): [4, 0, 0, 0]}, AS_OF_MINUTES).doubled == 4


@pytest.mark.parametrize("grain", GRAIN_MINUTES)
def test_nothing_to_compare_is_not_right(grain: str) -> None:
    assert not compare(grain, SENT, rolled(grain), YESTERDAY).is_right


def test_some_events_are_on_both_sides_of_midnights_of_days_that_are_over() -> None:
    days = Counter(
        (occurred_ms(number, NOW_MS) - NOW_MS // 86_400_000 * 86_400_000) // 86_400_000 for number in range(200_000)
    )
    assert {-1, -2, -3, -4} <= set(days)
    assert days[0] > 0.99 * 200_000
    assert max(occurred_ms(number, NOW_MS) for number in range(200_000)) <= NOW_MS


def test_a_table_without_samples_says_nan() -> None:
    assert "nan" in sample_table({"as_of age, s": []})
