"""Days of a zone tile their span, and hold exactly the instants that have their date there."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploy.cli.zone_days import Days, date_at, days_of, local, midnight_of
from schemas.grain import Grain
from schemas.instant import epoch_seconds, parse_instant

HOUR = Grain.HOUR.seconds
ZONES = (
    *("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe"),
    *("Africa/Cairo", "America/Havana", "America/Sao_Paulo", "Pacific/Apia", "Pacific/Kiritimati"),
)
DATES = st.dates(date(2001, 1, 1), date(2098, 12, 1))


def days(zone: str, first: date, count: int) -> Days:
    info = ZoneInfo(zone)
    return days_of(info, midnight_of(info, first), midnight_of(info, first + timedelta(days=count)))


def hours(zone: str, first: date, count: int = 1) -> list[float]:
    return [(day.end - day.start) / HOUR for day in days(zone, first, count).all]


@given(st.sampled_from(ZONES), DATES, st.integers(1, 40), st.data())
def test_days_tile_their_span_and_an_instant_lies_in_the_day_of_its_date(
    zone: str, first: date, count: int, data: st.DataObject
) -> None:
    found = days(zone, first, count)
    assert [day.end for day in found.all[:-1]] == found.starts[1:]
    assert all(day.start < day.end for day in found.all)
    instant = data.draw(st.integers(found.starts[0], found.end - 1))
    day = found.at(instant)
    assert day is not None
    assert day.start <= instant < day.end
    assert day.date == datetime.fromtimestamp(instant, ZoneInfo(zone)).date()
    assert (found.at(found.starts[0] - 1), found.at(found.end)) == (None, None)


@given(st.sampled_from(sorted(available_timezones() - {"localtime"})), DATES)
@settings(max_examples=1000)
def test_a_day_of_any_zone_begins_with_the_first_instant_of_its_date(zone: str, day: date) -> None:
    assume(day != date(2011, 12, 30))  # which two zones left out
    info = ZoneInfo(zone)
    midnight = midnight_of(info, day)
    assert date_at(info, midnight) == day
    assert date_at(info, midnight - 1) < day


def test_days_on_which_clocks_are_set_are_longer_or_shorter() -> None:
    assert hours("Europe/Berlin", date(2026, 3, 28), 3) == [24, 23, 24]
    assert hours("Europe/Berlin", date(2026, 10, 24), 3) == [24, 25, 24]
    assert hours("Australia/Lord_Howe", date(2026, 4, 5)) == [24.5]
    assert hours("UTC", date(2026, 3, 29)) == [24]


def test_a_day_without_a_midnight_begins_when_its_clocks_are_set() -> None:
    (day,) = days("Africa/Cairo", date(2026, 4, 24), 1).all
    assert (local(ZoneInfo("Africa/Cairo"), day.start), day.end - day.start) == ("2026-04-24T01:00:00+03:00", 23 * HOUR)


def test_a_date_that_a_zone_left_out_is_no_day() -> None:
    assert [str(day.date) for day in days("Pacific/Apia", date(2011, 12, 29), 3).all] == ["2011-12-29", "2011-12-31"]


def test_a_midnight_that_is_there_twice_is_the_first_one() -> None:
    (day,) = days("America/Havana", date(2026, 11, 1), 1).all
    assert (day.end - day.start, local(ZoneInfo("America/Havana"), day.start)) == (
        25 * HOUR,
        "2026-11-01T00:00:00-04:00",
    )


def test_every_zone_has_days_on_whole_minutes() -> None:
    for zone in sorted(available_timezones() - {"localtime"}):
        for day in days(zone, date(2026, 1, 1), 1).all:
            assert Grain.MINUTE.floor(day.start) == day.start, zone


@pytest.mark.parametrize(
    ("zone", "grain"),
    [
        ("UTC", Grain.HOUR),
        ("Europe/Berlin", Grain.HOUR),
        ("Asia/Kolkata", Grain.MINUTE),
        ("Asia/Kathmandu", Grain.MINUTE),
    ],
)
def test_hours_make_up_a_day_unless_its_midnights_are_within_one(zone: str, grain: Grain) -> None:
    assert days(zone, date(2026, 10, 1), 31).grain is grain


def test_minutes_are_needed_where_one_midnight_of_the_span_is_within_an_hour() -> None:
    winter, summer = date(2026, 7, 1), date(2026, 12, 1)
    assert [days("Australia/Lord_Howe", first, 1).grain for first in (winter, summer)] == [Grain.MINUTE, Grain.HOUR]
    assert days("Australia/Lord_Howe", date(2026, 10, 1), 31).grain is Grain.MINUTE


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("2026-10-01T00:00:00Z", "2026-11-01T00:00:00+01:00",
         "--from must be a midnight of Europe/Berlin, and 2026-10-01T02:00:00+02:00 is none; the nearest are "
         "2026-10-01T00:00:00+02:00 and 2026-10-02T00:00:00+02:00"),
        ("2026-10-01T00:00:00+02:00", "2026-11-01T00:00:00+02:00",
         "--to must be a midnight of Europe/Berlin, and 2026-10-31T23:00:00+01:00 is none; the nearest are "
         "2026-10-31T00:00:00+01:00 and 2026-11-01T00:00:00+01:00"),
    ],
)  # fmt: skip
def test_an_end_that_is_no_midnight_is_told_with_the_nearest_ones(start: str, end: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:
        days_of(ZoneInfo("Europe/Berlin"), parse_instant(start).seconds, parse_instant(end).seconds)
    assert str(refused.value) == said


def test_midnights_may_be_written_with_any_offset() -> None:
    start, end = parse_instant("2026-09-30T22:00:00Z").seconds, parse_instant("2026-10-02T07:30:00+09:30").seconds
    found = days_of(ZoneInfo("Europe/Berlin"), start, end)
    assert [str(day.date) for day in found.all] == ["2026-10-01"]
    assert found.end == epoch_seconds(datetime(2026, 10, 1, 22, tzinfo=UTC))
