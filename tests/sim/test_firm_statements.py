"""Revisions that may be replaced yet: nothing is built on them, and nobody is given them as firm."""

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from pipeline.core.effects import (
    AwaitInserts,
    Effect,
    UnderWay,
)
from pipeline.core.statements.deciding import Order
from pipeline.core.statements.history import (
    AppendStatements,
    ReadStating,
)
from pipeline.core.statements.keeping import Unfit
from pipeline.core.statements.steps import firm_steps, state_steps
from pipeline.runner import drive
from tests.sim.clerks import Scene, until
from tests.sim.stating import MAY
from tests.support.exported import import_documents
from tests.support.fake_store import to_the_end


@pytest.mark.parametrize("waits", [True, False], ids=["as designed", "nobody waits"])
def test_a_revision_is_firm_when_those_that_began_before_it_have_ended(waits: bool) -> None:
    """::

    A        reads ── appends revision 1 ─────────────────── seen: it began first
    B        reads, with a late event ── appends ── seen
    finance                                          reads ┄┄┄┄┄ books
    """
    scene = Scene()
    scene.waits = waits
    first = until(state_steps(Order(MAY, partial=True)), scene, AppendStatements)
    scene.count("late", "a", "b")
    second = until(state_steps(Order(MAY, partial=True)), scene, AppendStatements)
    slow: Generator[None, None, Any] = scene.steps(first)
    next(slow)
    scene.perform(second)

    def perform(effect: Effect) -> Any:
        if isinstance(effect, AwaitInserts):
            next(slow, None)
        return scene.perform(effect)

    booked = drive(firm_steps(MAY.name), perform)["a"].newest.sha256
    to_the_end(slow)
    assert (scene.hashes("a") == [booked]) is waits
    scene.aggregate()
    assert scene.state_month(adjusts=True)["a"].is_stated, "what the other had seen comes with the next adjustment"
    scene.aggregate()
    assert not scene.state_month(adjusts=True)["a"].is_stated


class Race(Scene):
    """A first revision that began and is not seen yet: it is whenever somebody waits for inserts."""

    _slow: Iterator[None] = iter(())

    def __init__(self) -> None:
        super().__init__()
        early = until(state_steps(Order(MAY, partial=True)), self, AppendStatements)
        self.count("late", "a", "b")
        self.rival = until(state_steps(Order(MAY, partial=True)), self, AppendStatements)
        self.early = early.drafts[0].sha256
        self._slow = self.steps(early)
        next(self._slow)

    def perform(self, effect: Any) -> Any:
        if isinstance(effect, AwaitInserts):
            next(self._slow, None)
        return super().perform(effect)


def test_no_revision_is_built_on_one_that_another_may_come_before() -> None:
    """::

    A  appends revision 1 ──────────────────────── seen
    B    appends revision 1 ── seen
    C                            reads ┄┄┄┄┄┄┄┄┄┄┄┄ appends revision 2, behind A's
    """
    race = Race()
    race.perform(race.rival)
    race.aggregate()
    made = race.state_month(adjusts=True)["a"]
    assert made.is_stated
    assert made.newest is not None
    assert (made.newest.revision, made.newest.previous) == (2, race.early)


def test_nothing_is_imported_behind_one_that_another_may_come_before() -> None:
    """What is imported is B's revision 1, and A's is under way."""
    race = Race()
    rival = [draft.document for draft in race.rival.drafts]
    with pytest.raises(Unfit, match="is another document here"):
        drive(import_documents(rival), race.perform)


def test_a_revision_that_turned_up_during_the_wait_is_not_firm_yet() -> None:
    """::

    reader  reads ── lists inserts ── reads: revision 1 ── lists, waits for A ────── reads: A's
    A                             appends ──────────────────────────────────── seen
    B                               appends ── seen
    """
    race, lists = Race(), list[ReadStating]()

    def perform(effect: Effect) -> Any:
        if isinstance(effect, ReadStating):
            lists.append(effect)
            if len(lists) == 1:
                race.perform(race.rival)
                return UnderWay()
        return race.perform(effect)

    assert drive(firm_steps(MAY.name), perform)["a"].newest.sha256 == race.early
    assert len(lists) == 2
