"""What is stored rests on ClickHouse's clock, whatever the writer's says; what is stored ahead of it is read as now."""

import pytest
from clickhouse_connect.driver.client import Client

from api.reader import Reader
from deploy.cli.status import read_status
from pipeline.clickhouse.store import Store
from pipeline.core.effects import RaiseState, ReadState, State
from pipeline.core.progress import Progress, ReadMarks, WriteProgress
from pipeline.core.watermark import retention_floor
from schemas.connection import connect
from schemas.instant import parse_instant
from schemas.settings import read_settings
from tests.support.places import P0, P1
from tests.support.stores import NOW, Case

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
AHEAD_MS = NOW * 1000 + 40 * DAY_MS


def test_no_scalar_gets_ahead_of_the_clock(case: Case) -> None:
    before_ms = case.perform(ReadState()).clock.theirs_ms
    case.perform(RaiseState(State(as_of_ms=AHEAD_MS, closing_ms=AHEAD_MS)))
    state = case.perform(ReadState())
    assert before_ms <= state.as_of_ms == state.closing_ms <= state.clock.theirs_ms


@pytest.mark.parametrize("lateness_ms", [0, 10_000, HOUR_MS])
def test_no_watermark_gets_ahead_of_the_clock_less_the_lateness(case: Case, lateness_ms: int) -> None:
    before_ms, behind_ms = case.perform(ReadState()).clock.theirs_ms, NOW * 1000 - 2 * HOUR_MS
    case.perform(WriteProgress((Progress(P0, 1, AHEAD_MS), Progress(P1, 1, behind_ms)), lateness_ms))
    marks, after_ms = case.perform(ReadMarks()), case.perform(ReadState()).clock.theirs_ms
    assert before_ms - lateness_ms <= marks.watermarks[P0] <= after_ms - lateness_ms
    assert marks.watermarks[P1] == behind_ms, "what is behind stays"


def test_facts_are_complete_since_the_retention_or_since_what_is_stored(case: Case) -> None:
    state: State = case.perform(ReadState())
    floor_ms = retention_floor(state.clock.theirs_ms, 35)
    assert state.facts_floor_ms in (floor_ms, floor_ms - DAY_MS), "a day may have begun in between"
    case.perform(RaiseState(State(facts_floor_ms=floor_ms + 5 * DAY_MS)))
    assert case.perform(ReadState()).facts_floor_ms == floor_ms + 5 * DAY_MS


def test_a_clock_that_is_set_back_brings_no_facts_back(url: str) -> None:
    """`as_of` was not ahead of it when it was written: as if that had been so, ten days from now."""
    store = Store(url, "cluster", "worker", 10)
    connect(url).command("INSERT INTO watermark (as_of) VALUES (now64(3) + INTERVAL 10 DAY)")
    state: State = store.perform(ReadState())
    assert state.facts_floor_ms == retention_floor(state.as_of_ms, 35)


def test_the_retention_is_the_setting(url: str) -> None:
    states = [Store(url, "cluster", "worker", 10, days).perform(ReadState()) for days in (1, 3650)]
    for state, days in zip(states, (1, 3650), strict=True):
        floor_ms = retention_floor(state.clock.theirs_ms, days)
        assert state.facts_floor_ms in (floor_ms, floor_ms - DAY_MS)


def test_a_reading_names_its_server_and_agrees(url: str) -> None:
    clock = Store(url, "cluster", "worker", 10).perform(ReadState()).clock
    assert (clock.server,) == connect(url).query("SELECT hostName()").result_rows[0]
    assert clock.tells
    assert clock.agrees()
    assert clock.skew_ms() == 0


def test_readers_see_nothing_ahead_of_now(url: str) -> None:
    """A server whose clock was ahead has written it."""
    client: Client = connect(url)
    client.command("INSERT INTO watermark (as_of) VALUES (now64(3) + INTERVAL 1 HOUR)")
    before_ms = Store(url, "cluster", "worker", 10).clock_ms()
    assert Store(url, "cluster", "worker", 10).perform(ReadState()).as_of_ms > before_ms + HOUR_MS - 60_000
    seen = Reader(url).as_of_ms()
    status = read_status(client, read_settings({"MSGMETRICS_CLICKHOUSE_URL": url}))
    after_ms = Store(url, "cluster", "worker", 10).clock_ms()
    assert before_ms <= seen <= after_ms
    assert status.as_of is not None
    assert before_ms // 1000 <= parse_instant(status.as_of).seconds <= after_ms // 1000
