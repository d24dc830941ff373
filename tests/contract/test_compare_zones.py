"""``compare`` by the days of a zone: our sums are those of the minutes that have the day's date there."""

import random
from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver.client import Client

from deploy.cli.compare import Asked, our_cells
from deploy.cli.comparing import Numbers
from deploy.cli.invoice_form import Columns
from deploy.cli.zone_days import days_of, midnight_of
from pipeline.clickhouse.store import Store
from schemas.connection import connect
from schemas.grain import Grain
from tests.support.invoices import Row, Say, at, commanded, put, put_all

ZONES = {
    "UTC": Grain.HOUR,
    "Europe/Berlin": Grain.HOUR,
    "America/New_York": Grain.HOUR,
    "Asia/Kolkata": Grain.MINUTE,
    "Asia/Kathmandu": Grain.MINUTE,
    "Australia/Lord_Howe": Grain.MINUTE,
}
FIRST, COUNT = date(2026, 3, 1), 42
"""Days with a change of clocks in Berlin, New York and on Lord Howe, and more than are asked for at once."""


@pytest.fixture(scope="module")
def database(module_url: str) -> Client:
    client = connect(module_url)
    client.command("INSERT INTO watermark (as_of) VALUES ('2026-05-01 00:00:00')")
    return client


@pytest.fixture
def compare(module_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Say:
    return commanded(module_url, monkeypatch, capfd, tmp_path)


@pytest.fixture(scope="module")
def minutes(database: Client) -> dict[int, list[Row]]:
    """Minutes of organization zones, from two days before to two days after; many at midnights and clock changes."""
    pick, found = random.Random(3), dict[int, list[Row]]()
    begin = at(f"{FIRST - timedelta(days=2)}T00:00Z")
    edges = [midnight_of(ZoneInfo(zone), FIRST + timedelta(days=n)) for zone in ZONES for n in range(COUNT + 1)]
    instants = [edge + off for edge in edges for off in (-60, 0)]
    instants += [begin + 60 * pick.randrange((COUNT + 4) * 1440) for _ in range(500)]
    for minute in instants:
        cost = f"{pick.randrange(-(10**9), 10**9)}.{pick.randrange(10**6):06}"
        rows = [(channel, pick.randrange(9), pick.randrange(9), pick.randrange(9), cost) for channel in ("sms", "mms")]
        found[minute] = rows[: pick.randrange(1, 3)]
    put_all(database, "zones", found)
    return found


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("as_of", ["2026-04-02T17:45:30+00:00", "2026-05-01T00:00:00+00:00"])
def test_our_numbers_are_those_of_the_minutes_that_have_the_days_date_in_the_zone(
    module_url: str, minutes: dict[int, list[Row]], zone: str, as_of: str
) -> None:
    info = ZoneInfo(zone)
    days = days_of(info, midnight_of(info, FIRST), midnight_of(info, FIRST + timedelta(days=COUNT)))
    assert days.grain is ZONES[zone]
    asked = Asked("zones", days, Columns("d", "ch", "n", "c"), "sent+failed", 0, False)
    found = our_cells(Store(module_url, "cluster", "worker", 30), asked, at(as_of) * 1000 + 999)
    until = days.grain.floor(at(as_of))
    counts: Counter[tuple[str, str]] = Counter()
    costs: dict[tuple[str, str], Decimal] = {}
    for minute, groups in minutes.items():
        local = datetime.fromtimestamp(minute, info).date()
        if FIRST <= local < FIRST + timedelta(days=COUNT) and minute < until:
            for channel, sent, _, failed, cost in groups:
                counts[str(local), channel] += sent + failed
                costs[str(local), channel] = costs.get((str(local), channel), Decimal()) + Decimal(cost)
    assert len(costs) > 50
    assert {(str(day.date), channel): numbers for (day, channel), numbers in found.items()} == {
        cell: Numbers(counts[cell], int(cost * 10**6)) for cell, cost in costs.items()
    }


@pytest.mark.parametrize(
    ("day", "hours", "start", "end"),
    [
        ("2026-03-29", 23, "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        ("2025-10-26", 25, "2025-10-26T00:00:00+02:00", "2025-10-27T00:00:00+01:00"),
    ],
)
def test_a_day_of_23_or_25_hours_has_all_of_them_and_no_other(
    compare: Say, database: Client, day: str, hours: int, start: str, end: str
) -> None:
    org, first = f"clocks-{hours}", at(start)
    around = {first + 3600 * n: [("sms", 1, 0, 0, "0.01")] for n in range(-2, hours + 2)}
    put(database, Grain.HOUR, org, around)
    content = f"day,kind,n,cents\n{day},sms,{hours},0.{hours}\n"
    assert compare(content, "--zone", "Europe/Berlin", org=org, start=start, end=end)[0] == 0


def test_half_an_hour_of_a_zone_is_summed_from_minutes(compare: Say, database: Client) -> None:
    rows = {at("2026-04-01T18:29Z"): [("sms", 1, 0, 0, "0")], at("2026-04-01T18:30Z"): [("sms", 10, 0, 0, "0")]}
    put_all(database, "kolkata", {minute: list(groups) for minute, groups in rows.items()})
    content = "day,kind,n,cents\n2026-04-01,sms,1,0\n2026-04-02T00:00:00+05:30,sms,10,0\n"
    span = {"start": "2026-04-01T00:00:00+05:30", "end": "2026-04-03T00:00:00+05:30"}
    code, out, _ = compare(content, "--zone", "Asia/Kolkata", org="kolkata", **span)
    assert (code, "ours: summed from minutes" in out) == (0, True)
