"""Safeguards of erasures that a random schedule does not meet, written out, each also taken away."""

from collections.abc import Callable, Generator
from typing import Any

import pytest

from pipeline.core.effects import AwaitInserts, CloseBuckets, Effect, FindErased, ReadInserts, UnderWay
from pipeline.core.erasure import erase_steps, order_erasure_steps, sweep_steps
from pipeline.runner import drive
from schemas.grain import Grain
from tests.sim.test_schedules import HOUR, closed_up_to, flush
from tests.support.fake_store import FakeStore

DAY = Grain.DAY.floor(HOUR)
LATER = DAY + 100 * Grain.DAY.seconds
"""By then facts of before have expired, whatever was made of them."""


class TakesAll(FakeStore):
    """Deletes every rollup of an erased organization."""

    def _erasable(self, org_id: str, grain: Grain, floor_ms: int) -> list[tuple[str, int]]:
        return [place for place in self.rollups[grain] if place[0] == org_id]


class LooksForFacts(FakeStore):
    """Looks for facts that came back, and not for rollups."""

    def _comes_back(self, org_id: str, floor_ms: int) -> bool:
        return False


def at(instant: int) -> Callable[[], int]:
    """A clock that shows an instant in epoch seconds: it also says which facts have expired."""
    return lambda: instant * 1000


@pytest.mark.parametrize("store", [FakeStore(), TakesAll()], ids=["as designed", "takes all"])
def test_an_old_record_does_not_take_numbers_along_that_nothing_can_compute_again(store: FakeStore) -> None:
    """::

    January ── erased ── numbers of a new contract ── (their facts expire) ── one old record ── swept
    """
    store.clock_ms = at(DAY + Grain.DAY.seconds)
    flush(store, "january", HOUR)
    closed_up_to(store, HOUR + 3600)
    drive(order_erasure_steps("a", (HOUR + 3600) * 1000), store.perform)
    flush(store, "new contract", HOUR + 7200)
    closed_up_to(store, DAY + Grain.DAY.seconds)
    assert set(store.rollups[Grain.HOUR]) == {("a", HOUR + 7200)}
    store.facts.clear()
    store.clock_ms = at(LATER + Grain.DAY.seconds)
    flush(store, "old", LATER)
    for key in store.facts:
        store.record_times[key] = HOUR * 1000
    closed_up_to(store, LATER + Grain.DAY.seconds)
    assert drive(sweep_steps(), store.perform) == ("a",)
    designed = type(store) is FakeStore
    assert {bucket for _, bucket in store.rollups[Grain.HOUR]} == ({HOUR + 7200} if designed else set())
    assert {bucket for _, bucket in store.rollups[Grain.DAY]} == ({DAY} if designed else set())
    assert drive(sweep_steps(), store.perform) == (), "what stays is no reason to begin again"


@pytest.mark.parametrize("store", [FakeStore(), LooksForFacts()], ids=["as designed", "looks for facts alone"])
def test_a_minute_of_erased_facts_that_a_statement_wrote_too_late_is_swept(store: FakeStore) -> None:
    """::

    roller   reads the facts of 12:10 ────────────────────────────────────────────── writes the minute
    eraser                             deletes facts ── waits in vain ── finishes
    """
    store.clock_ms = at(HOUR + 7200)
    flush(store, "erased", HOUR + 600)
    closing: Generator[None, None, Any] = store.steps(CloseBuckets(Grain.MINUTE, HOUR, HOUR + 3600, 0))
    next(closing)
    store.under_way.clear()  # nobody sees it: another server lists it
    drive(order_erasure_steps("a", (HOUR + 3600) * 1000), store.perform)
    for _ in closing:
        pass
    assert store.rollups[Grain.MINUTE]
    assert drive(sweep_steps(), store.perform) == (("a",) if type(store) is FakeStore else ())
    assert bool(store.rollups[Grain.MINUTE]) is (type(store) is not FakeStore)
    assert store.perform(FindErased()) == {}


@pytest.mark.parametrize("asks", ["once", "anew"])
def test_an_erasure_ends_though_some_insert_is_always_under_way(asks: str) -> None:
    """::

    inserts    ──────┤ ──────┤ ──────┤ ...
                  ──────┤ ──────┤ ──────┤
    eraser       waits for those of one moment
    """
    store, erasing, answer = FakeStore(), erase_steps("a", 1), None
    store.under_way = {"insert 0"}
    for number in range(1, 50):
        try:
            effect: Effect = erasing.send(answer)
        except StopIteration:
            assert asks == "once"
            return
        if isinstance(effect, ReadInserts | AwaitInserts):
            store.under_way = {f"insert {number - 1}", f"insert {number}"}
        if asks == "anew" and isinstance(effect, AwaitInserts):
            effect = AwaitInserts(UnderWay(frozenset(store.under_way)))
        answer = store.perform(effect)
    assert asks == "anew"
