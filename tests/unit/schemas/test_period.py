"""Months: their names, their spans and their days."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli.statement_texts import named_period
from schemas.period import PERIOD_RULE, Period, day_name, day_start, month_of, parse_period

INSTANTS = st.integers(951_782_400, 4_099_680_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(INSTANTS)
def test_a_month_contains_its_instants_and_months_tile_the_line(at: datetime) -> None:
    seconds = int(at.timestamp())
    month = month_of(seconds)
    assert month.start <= seconds < month.end
    assert month.name == at.strftime("%Y-%m")
    assert parse_period(month.name) == month
    assert (month.before.end, month.after.start) == (month.start, month.end)
    assert datetime.fromtimestamp(month.start, UTC).strftime("%d %H:%M:%S") == "01 00:00:00"
    assert sorted([month.after, month, month.before]) == [month.before, month, month.after]


@given(INSTANTS)
def test_a_day_has_the_name_of_its_date(at: datetime) -> None:
    name = day_name(int(at.timestamp()))
    assert name == at.strftime("%Y-%m-%d")
    assert datetime.fromtimestamp(day_start(name), UTC) == at.replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-1", "2026-00", "2026-13", "1999-12", "2101-01", "2026-10-01", "２０２６-10", " 2026-10"]
)
def test_other_texts_are_no_month(text: str) -> None:
    with pytest.raises(ValueError, match="a period is a month like 2026-10"):
        parse_period(text)
    assert "2000 to 2100" in PERIOD_RULE


@pytest.mark.parametrize("text", ["", "2026-10", "20261001", "2026-W40-1", "2026-02-30"])
def test_other_texts_are_no_day(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        day_start(text)


@pytest.mark.parametrize("day", ["2026-03-01", "2026-03-31", "2026-03-30"])
def test_last_month_is_the_one_before_this_one_on_every_day(day: str) -> None:
    now_ms = int(datetime.fromisoformat(f"{day}T23:59:59+00:00").timestamp()) * 1000
    february: Period = named_period("last", now_ms)
    assert (february.name, named_period("before-last", now_ms).name) == ("2026-02", "2026-01")
    assert timedelta(seconds=february.end - february.start) == timedelta(days=28)
    assert named_period("2026-10", now_ms).name == "2026-10"
