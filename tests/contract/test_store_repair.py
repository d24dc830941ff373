"""What rebuilds and erasures rely on, held on the fake and on ClickHouse alike."""

from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.core.effects import (
    CloseBuckets,
    EraseRollups,
    EraseRows,
    FindErased,
    FinishErasure,
    InsertDeadLetters,
    InsertFacts,
    OrderErasure,
    ReadEarliestFact,
    ReadErasures,
    ReadHighestGeneration,
    RebuildBuckets,
)
from pipeline.core.erasure import erase_steps, sweep_steps
from pipeline.core.generation import stamp
from pipeline.core.protocol import rebuild_steps
from pipeline.core.records import DeadLetter
from pipeline.runner import drive
from schemas.grain import Grain
from schemas.message_event import DeadLetterReason
from tests.support.places import P0
from tests.support.stores import DAY, NOW, Case, close_all, facts, real


@pytest.fixture(autouse=True)
def _nothing_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a cluster statements are waited for by the clock; here nobody else has any."""
    monkeypatch.setattr("pipeline.clickhouse.inserts.LONGEST_INSERT_SECONDS", 0)


NEXT_DAY = DAY + Grain.DAY.seconds


def rebuild_all(case: Case, generation: int, org: str = "") -> None:
    for grain in Grain:
        case.perform(RebuildBuckets(grain, DAY, NEXT_DAY, generation, org))


def test_a_rebuild_outranks_fuller_rows_and_empties_those_that_should_not_be(case: Case) -> None:
    case.perform(InsertFacts(facts(("a", "1", 1, 0, DAY), ("a", "2", 1, 0, DAY), ("b", "3", 2, 0, DAY + 60))))
    close_all(case)
    case.perform(EraseRows("a", (NOW + 1) * 1000))
    case.perform(InsertFacts(facts(("a", "9", 3, 5, DAY))))
    close_all(case)
    assert case.totals(Grain.DAY)["a", DAY][4] == 2, "a row computed from less does not win by itself"
    case.perform(EraseRows("b", (NOW + 1) * 1000))
    assert case.perform(ReadHighestGeneration()) == 0
    rebuild_all(case, 1)
    for grain in Grain:
        assert case.totals(grain)["a", DAY] == (0, 0, 1, 5, 1)
        assert case.totals(grain)["b", grain.floor(DAY + 60)] == (0, 0, 0, 0, 0)
    assert case.perform(ReadHighestGeneration()) == 1


def test_a_rebuild_of_one_organization_leaves_the_others(case: Case) -> None:
    case.perform(InsertFacts(facts(("a", "1", 1, 0, DAY), ("b", "2", 1, 0, DAY))))
    close_all(case)
    case.perform(EraseRows("a", (NOW + 1) * 1000))
    case.perform(EraseRows("b", (NOW + 1) * 1000))
    rebuild_all(case, 1, org="a")
    assert {key: row[4] for key, row in case.totals(Grain.DAY).items()} == {("a", DAY): 0, ("b", DAY): 1}


def test_an_hour_from_a_bad_minute_loses_against_one_from_its_repair(case: Case) -> None:
    case.perform(InsertFacts(facts(("a", "1", 1, 0, DAY), ("a", "2", 1, 0, DAY), ("a", "3", 1, 0, DAY + 60))))
    close_all(case, generation=1)
    case.perform(EraseRows("a", (NOW + 1) * 1000))
    case.perform(InsertFacts(facts(("a", "4", 1, 0, DAY))))
    for grain in (Grain.HOUR, Grain.DAY):
        case.perform(CloseBuckets(grain, DAY, NEXT_DAY, 2))  # of the new generation, but from bad minutes
    assert case.totals(Grain.DAY)["a", DAY][4] == 3
    rebuild_all(case, 2)
    assert {grain: case.totals(grain)["a", DAY][4] for grain in Grain} == dict.fromkeys(Grain, 1)


def test_erased_rows_are_gone_up_to_the_instant_and_announced_once(case: Case) -> None:
    case.perform(InsertFacts(facts(("a", "1", 1, 0, DAY), ("b", "2", 1, 0, DAY))))
    assert case.perform(ReadErasures()) == {}
    assert case.perform(EraseRows("a", NOW * 1000 - 1)).rows == 0, "the record is younger"
    erased = case.perform(EraseRows("a", NOW * 1000))
    assert erased.rows == 1
    assert case.perform(ReadErasures()) == {"a": NOW * 1000}
    assert case.perform(ReadEarliestFact("a")) is None
    assert case.perform(ReadEarliestFact("b")) == DAY
    again = case.perform(EraseRows("a", NOW * 1000))
    assert again.rows == 0
    assert again.announcement > erased.announcement, "the first answer is from before its own announcement"
    assert case.perform(EraseRows("a", NOW * 1000)) == again


def test_rollups_are_not_erased_where_another_erasure_came_between(case: Case) -> None:
    case.perform(InsertFacts(facts(("a", "1", 1, 0, DAY), ("b", "2", 1, 0, DAY))))
    close_all(case)
    case.perform(EraseRows("a", NOW * 1000))
    known = case.perform(EraseRows("a", NOW * 1000)).announcement
    made = case.perform(EraseRollups("a", Grain.MINUTE, known))
    assert made > known
    assert case.perform(EraseRollups("a", Grain.HOUR, known)) is None
    assert set(case.totals(Grain.MINUTE)) == {("b", DAY)}
    assert set(case.totals(Grain.HOUR)) == {("a", DAY), ("b", DAY)}
    for grain in (Grain.HOUR, Grain.DAY):
        made = case.perform(EraseRollups("a", grain, made))
    case.perform(FinishErasure("a", known))
    assert case.perform(FindErased()) == {"a": NOW * 1000}, "it is not finished"
    case.perform(FinishErasure("a", made))
    assert case.perform(FindErased()) == {}


@pytest.mark.parametrize("ordered", [1, 2])
def test_an_erasure_that_died_after_its_order_is_found_where_only_rollups_are_left(case: Case, ordered: int) -> None:
    case.perform(InsertFacts(facts(("a", "1", 1, 0, DAY), ("b", "2", 1, 0, DAY))))
    close_all(case)
    case.perform(EraseRows("a", NOW * 1000))
    case.perform(FinishErasure("a", case.perform(EraseRows("a", NOW * 1000)).announcement))
    for later in range(ordered):
        case.perform(OrderErasure("a", NOW * 1000 + later))
    assert case.perform(FindErased()) == {"a": NOW * 1000 + ordered - 1}
    assert drive(sweep_steps(), case.perform) == ("a",)
    assert set(case.totals(Grain.DAY)) == {("b", DAY)}
    assert case.perform(FindErased()) == {}


def test_what_comes_back_is_found_and_swept(case: Case) -> None:
    case.perform(InsertFacts(facts(("a", "1", 1, 0, DAY), ("b", "2", 1, 0, DAY))))
    close_all(case)
    drive(erase_steps("a", NOW * 1000), case.perform)
    assert case.perform(FindErased()) == {}
    assert set(case.totals(Grain.DAY)) == {("b", DAY)}
    case.perform(InsertFacts(facts(("a", "1", 1, 0, DAY))))
    assert case.perform(FindErased()) == {"a": NOW * 1000}
    assert drive(sweep_steps(), case.perform) == ("a",)
    assert case.perform(FindErased()) == {}
    assert case.perform(ReadEarliestFact("a")) is None


# -- what only ClickHouse has ---------------------------------------------------------------------------------------


def test_a_dead_letter_that_names_an_erased_organization_goes_and_the_rest_stays(url: str, client: Client) -> None:
    store = real(url)

    def letter(offset: int, org: str) -> DeadLetter:
        reason = DeadLetterReason.INVALID_FIELD
        return DeadLetter(P0, offset, reason, "why", NOW * 1000, None, b"x", (), org)

    store.perform(InsertDeadLetters((letter(1, "a"), letter(2, ""), letter(3, "b"))))
    assert store.perform(EraseRows("a", NOW * 1000)).rows == 1
    assert client.query("SELECT offset FROM dead_letters ORDER BY offset").result_rows == [(2,), (3,)]


def test_an_hours_stamp_tells_how_many_of_its_minutes_are_of_its_generation(url: str, client: Client) -> None:
    case = real(url)
    case.perform(InsertFacts(facts(("a", "1", 1, 0, DAY), ("a", "2", 1, 0, DAY + 60))))
    case.perform(CloseBuckets(Grain.MINUTE, DAY, DAY + 60, 5))
    case.perform(CloseBuckets(Grain.MINUTE, DAY + 60, DAY + 120, 3))
    for grain in (Grain.HOUR, Grain.DAY):
        case.perform(CloseBuckets(grain, DAY, NEXT_DAY, 4))

    def stamps(grain: str) -> list[Any]:
        return [row[0] for row in client.query(f"SELECT generation FROM rollup_{grain} FINAL").result_rows]

    assert stamps("hour") == [stamp(4, 1)]
    assert stamps("day") == [stamp(4, 2)], "the hour counts, and what it counts"


def test_a_rebuild_raises_the_generation_above_whatever_is_stored(url: str, client: Client) -> None:
    case = real(url)
    case.perform(InsertFacts(facts(("a", "1", 1, 0, DAY))))
    close_all(case, generation=6)
    client.command("INSERT INTO watermark (closing, generation) VALUES (now64(3), 4)")
    rebuilt = drive(rebuild_steps(DAY, DAY + 60), case.perform)
    assert (rebuilt.start, rebuilt.end, rebuilt.generation) == (DAY, NEXT_DAY, 7)
    assert case.perform(ReadHighestGeneration()) == 7
