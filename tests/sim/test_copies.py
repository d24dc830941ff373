"""Copies that are kept by asking what has changed: schedules that show what each safeguard of them is for.

A late event changes a number; the copy must have it in the end.
"""

from copy import deepcopy
from typing import Any

import pytest

from api.changes import MARGIN_SECONDS
from pipeline.core.effects import Effect, RecomputeLate, WriteResync
from pipeline.core.late_keys import LateKeys
from pipeline.core.protocol import recompute_steps
from pipeline.runner import drive
from schemas.grain import Grain
from tests.sim.copies import Copy
from tests.sim.log import START, milliseconds
from tests.sim.test_schedules import closed_up_to, flush
from tests.support.fake_store import FakeStore, to_the_end

AT = milliseconds(START) // 1000 + 600
MINUTES = 60


class Scene:
    """A store whose clock is set by hand, with one event that is closed, and a copy that has it."""

    def __init__(self, margin_seconds: int = 0) -> None:
        self.now = AT + 60 * MINUTES
        self.store = FakeStore(clock_ms=lambda: self.now * 1000)
        flush(self.store, "on time", AT)
        closed_up_to(self.store, self.now)
        self.copy = Copy("a", Grain.MINUTE, margin_seconds)
        self.ask()

    def ask(self) -> None:
        """The client asks, and has all pages before anybody else does anything."""
        to_the_end(self.copy.ask(self.store))

    def go_on(self, minutes: int) -> None:
        """Time passes, and `as_of` with it."""
        self.now += minutes * MINUTES
        closed_up_to(self.store, self.now)

    def late(self) -> LateKeys:
        return flush(self.store, "late", AT + 1)

    def recompute(self, keys: LateKeys, between: Any = lambda: None, *, repeats: bool = True) -> None:
        """``between`` happens while a statement over minutes is under way, which takes effect behind it.

        It ``repeats`` as the store does where that took too long.
        """

        def perform(effect: Effect) -> Any:
            if not isinstance(effect, RecomputeLate) or effect.grain is not Grain.MINUTE:
                return self.store.perform(effect)
            statement, began = self.store.steps(effect), self.now
            next(statement)
            between()
            to_the_end(statement)
            if repeats and self.now - began > 2 * MINUTES:
                self.store.perform(effect)
            return None

        drive(recompute_steps("batch", keys), perform)

    @property
    def is_exact(self) -> bool:
        return self.copy.problem(self.store) is None


@pytest.mark.parametrize("has_margin", [True, False])
def test_a_number_that_is_seen_only_after_it_was_computed_is_listed(has_margin: bool) -> None:
    """::

    worker   reads the minute's facts, which is its time ──────────────────── writes it
    client                                                asks, since then ──────────── asks: what has changed since?
    """
    scene = Scene(0 if has_margin else MARGIN_SECONDS)
    scene.go_on(60)
    keys = scene.late()

    def between() -> None:
        scene.now += 5
        closed_up_to(scene.store, scene.now)
        scene.ask()

    scene.recompute(keys, between)
    scene.go_on(60)
    scene.ask()
    assert scene.is_exact is has_margin


@pytest.mark.parametrize("repeats", [True, False])
def test_a_statement_that_took_longer_than_any_may_is_repeated(repeats: bool) -> None:
    """::

    worker   reads the minute's facts ──── half an hour ──── writes it ── again, by the time it is now
    client                                          asks ───────────────────────────────────────────── asks
    """
    scene = Scene()
    scene.go_on(60)
    keys = scene.late()

    def between() -> None:
        scene.go_on(30)
        scene.ask()

    scene.recompute(keys, between, repeats=repeats)
    scene.go_on(1)
    scene.ask()
    assert scene.is_exact is repeats


@pytest.mark.parametrize("is_told", [True, False])
def test_where_the_clock_fell_everything_is_listed(is_told: bool) -> None:
    """::

    clock    12:00 ──────── falls to 11:00 ───────────────────────── 12:30
    worker                                 computes the minute anew
    client   asks at 12:00                                                 asks: what has changed since 12:00?
    """
    scene = Scene()
    scene.go_on(120)
    scene.ask()
    scene.now -= 60 * MINUTES

    def perform(effect: Effect) -> Any:
        return None if isinstance(effect, WriteResync) and not is_told else scene.store.perform(effect)

    drive(recompute_steps("batch", scene.late()), perform)
    scene.now += 90 * MINUTES
    scene.ask()
    assert scene.is_exact is is_told


def test_a_client_whose_since_is_ahead_of_the_clock_gets_everything() -> None:
    """Ours fell, or it sent the time of its own: it has that in the end which was corrected before.

    ::

    clock    12:00 ─────────────────────────── 12:30
    client   asks at 12:00                           asks: what has changed since 14:00?
    worker                  computes the minute
    """
    scene = Scene()
    scene.go_on(60)
    scene.ask()
    scene.recompute(scene.late())
    scene.go_on(30)
    scene.copy.updated_since = scene.now + 90 * MINUTES
    scene.ask()
    assert scene.is_exact


@pytest.mark.parametrize("is_told", [True, False])
def test_after_a_restore_everything_is_listed(is_told: bool) -> None:
    """A backup has numbers that are older than the copy's, and rows that say so."""
    scene = Scene()
    backup = deepcopy(scene.store.rollups)
    scene.recompute(scene.late())
    scene.go_on(60)
    scene.ask()
    assert scene.is_exact
    scene.store.rollups = backup
    if is_told:
        scene.store.perform(WriteResync())
    scene.go_on(60)
    scene.ask()
    assert scene.is_exact is is_told


def test_of_each_copy_only_what_has_changed_is_listed() -> None:
    """Else all of the above would hold for an answer that lists everything."""
    scene = Scene()
    scene.go_on(60)
    scene.ask()
    scene.copy.buckets.clear()
    scene.recompute(scene.late())
    scene.ask()
    assert set(scene.copy.buckets) == {AT, *range(scene.now - MARGIN_SECONDS, scene.now, MINUTES)}
