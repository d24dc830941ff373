"""The load's own oracle: a lost event, a doubled one and a wrong cost are seen in every grain."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.load.traffic import occurred_ms
from tests.load.verdict import GRAIN_MINUTES, Compared, Endured, Rows, compare, sample_table, without_groups

NOW_MS = int(datetime(2026, 5, 5, 10, 30, tzinfo=UTC).timestamp() * 1000)
AS_OF_MINUTES = NOW_MS // 60_000
YESTERDAY = AS_OF_MINUTES // 1440 * 1440 - 1440
GROUPS = {
    ("a", YESTERDAY + 5, "sms", ""): [2, 2, 0, 400],
    ("a", YESTERDAY + 5, "sms", "30003"): [1, 0, 1, 100],
    ("b", YESTERDAY + 1439, "email", ""): [1, 0, 0, 7],
}
TOTALS = {("a", YESTERDAY + 5): [3, 2, 1, 500], ("b", YESTERDAY + 1439): [1, 0, 0, 7]}


def rolled(grain: str, rows: Rows) -> dict[Any, list[int]]:
    """What a right rollup of rows by minute has."""
    width = GRAIN_MINUTES[grain]
    return {(org, minute // width * width, *group): list(row) for (org, minute, *group), row in rows.items()}


def judged(grain: str, rows: Rows, found: Rows, as_of_minutes: int = AS_OF_MINUTES) -> Compared:
    return compare(grain, grain, rows, found, as_of_minutes)


def test_totals_are_the_sums_of_groups() -> None:
    assert without_groups(GROUPS) == TOTALS


@pytest.mark.parametrize("rows", [TOTALS, GROUPS], ids=["totals", "groups"])
@pytest.mark.parametrize("grain", GRAIN_MINUTES)
def test_whatever_is_wrong_is_seen_in_every_grain(grain: str, rows: Rows) -> None:
    assert judged(grain, rows, rolled(grain, rows)).is_right
    for index, (field, by) in enumerate([("lost", -1), ("doubled", 1), ("lost", -1)]):
        found = rolled(grain, rows)
        found[list(found)[index % 2]][index] += by
        line = judged(grain, rows, found)
        assert (getattr(line, field), line.lost + line.doubled, line.differing) == (1, 1, 1)
    found = rolled(grain, rows)
    found[next(iter(found))][3] += 1
    assert not judged(grain, rows, found).is_right
    assert judged(grain, rows, {}).lost == 7
    assert judged(grain, rows, {**found, ("c", YESTERDAY): [4, 0, 0, 0]}).doubled == 4


@pytest.mark.parametrize("grain", GRAIN_MINUTES)
def test_nothing_to_compare_is_not_right(grain: str) -> None:
    assert not judged(grain, TOTALS, rolled(grain, TOTALS), YESTERDAY).is_right


def test_events_in_another_group_are_lost_and_doubled() -> None:
    found = rolled("hour", GROUPS)
    found["b", (YESTERDAY + 1439) // 60 * 60, "sms", ""] = found.pop(("b", (YESTERDAY + 1439) // 60 * 60, "email", ""))
    line = judged("hour", GROUPS, found)
    assert (line.lost, line.doubled, line.differing) == (1, 1, 2)


def test_some_events_are_on_both_sides_of_midnights_of_days_that_are_over() -> None:
    days = Counter(
        (occurred_ms(number, NOW_MS) - NOW_MS // 86_400_000 * 86_400_000) // 86_400_000 for number in range(200_000)
    )
    assert {-1, -2, -3, -4} <= set(days)
    assert days[0] > 0.99 * 200_000
    assert max(occurred_ms(number, NOW_MS) for number in range(200_000)) <= NOW_MS


def test_a_table_without_samples_says_nan() -> None:
    assert "nan" in sample_table({"as_of age, s": []})


DEEDS = {"guesses": 9, "bytes": 1}
QUIET = [10.0] * 98 + [50.0] * 2


@pytest.mark.parametrize(
    ("beside", "mib", "deeds", "problems"),
    [
        ([20.0] * 98 + [100.0] * 2, 399.0, DEEDS, 0),
        ([9.0] * 98 + [101.0] * 2, 399.0, DEEDS, 1),
        ([200.0] + [10.0] * 999, 399.0, DEEDS, 0),
        (QUIET, 400.0, DEEDS, 1),
        (QUIET, 1.0, DEEDS | {"bytes": 0}, 1),
        ([], 1.0, DEEDS, 1),
        ([101.0], 1176.0, dict.fromkeys(DEEDS, 0), 4),
    ],
    ids=["endured", "slower", "slower once", "memory", "no attack", "nobody who paid", "all at once"],
)
def test_a_run_beside_strangers_is_judged_by_its_quiet_phase_and_by_memory(
    beside: list[float], mib: float, deeds: dict[str, int], problems: int
) -> None:
    assert len(Endured(QUIET, beside, mib, deeds).problems()) == problems


def test_without_a_quiet_phase_there_is_no_ratio_and_the_run_fails() -> None:
    assert len(Endured([], QUIET, 1.0, DEEDS).problems()) == 1
